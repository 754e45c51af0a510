//! `[[inbound]]` and `[handsets]`: whose the messages of handsets are.

use core::time::Duration;
use std::collections::BTreeMap;

use shards::inbound::{Inbound, InboundRule, Unrouted, words};
use toml::de::DeValue;
use wire::id::CarrierId;
use wire::msisdn::Msisdn;

use super::error::ConfigError;
use super::limits;
use super::section::{Located, Section};
use super::types::{Account, Carrier};
use super::value::{self, Expected, Parsed};

/// The words of `[handsets]`' `unrouted`.
pub(super) const UNROUTED: [(&str, Unrouted); 2] =
    [("answer", Unrouted::Answer), ("refuse", Unrouted::Refuse)];

/// What makes two rules one.
type Name = (Msisdn, Vec<String>, Option<CarrierId>);

/// All rules of the file, over the accounts and carriers that there are.
pub(super) fn inbound(
    root: &Section<'_>,
    accounts: &[Account],
    carriers: &[Carrier],
) -> Result<Inbound, ConfigError> {
    let sections = root.sections("inbound", limits::INBOUND_RULES_MAX)?;
    let mut rules = Vec::with_capacity(sections.len());
    let mut lines: BTreeMap<Name, usize> = BTreeMap::new();
    for section in &sections {
        let (line, rule) = rule(section, accounts, carriers)?;
        let of = rule.carriers.iter().copied().map(Some);
        let of: Vec<_> = if rule.carriers.is_empty() { vec![None] } else { of.collect() };
        for carrier in of {
            if let Some(first) = lines.insert((rule.to, rule.keyword.clone(), carrier), line) {
                let expected = "each number and keyword once, or for different carriers";
                let found = format!("those of line {first} again");
                return Err(section.wrong(line, "to", expected, found));
            }
        }
        rules.push(rule);
    }
    let mut inbound = Inbound::new(rules);
    handsets(&root.section("handsets")?, &mut inbound)?;
    Ok(inbound)
}

fn rule(
    section: &Section<'_>,
    accounts: &[Account],
    carriers: &[Carrier],
) -> Result<(usize, InboundRule), ConfigError> {
    let to = section.required("to", "a number of yours, as \"12345\" or \"+49301234567\"", |to| {
        let number = value::text(to)?.parse::<Msisdn>();
        number.map_err(|_| {
            Expected("a number of at most 15 digits, as \"12345\" or \"+49301234567\"".to_owned())
        })
    })?;
    let keyword = section.optional("keyword", keyword)?;
    let account = section.required("account", "the account that is told", |name| {
        let named = value::text(name)?;
        let found = accounts.iter().find(|account| account.name == named);
        found.map(Account::id).ok_or_else(|| Expected("the name of an account that has a section".to_owned()))
    })?;
    let carriers = rule_carriers(section, carriers)?;
    section.end()?;
    let carriers = carriers.map_or_else(Vec::new, |carriers| carriers.value);
    let rule =
        InboundRule { to: to.value, keyword: keyword.unwrap_or_default(), account: account.value, carriers };
    Ok((to.line, rule))
}

fn keyword(value: &DeValue<'_>) -> Parsed<Vec<String>> {
    let text = value::text(value)?;
    let found: Vec<String> = words(text).collect();
    let fits = !found.is_empty() && text.len() <= limits::KEYWORD_BYTES_MAX;
    // What a handset's words are stripped of could never be asked of them.
    let is_plain = found.join(" ") == text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if fits && is_plain {
        return Ok(found);
    }
    let most = limits::KEYWORD_BYTES_MAX;
    Err(Expected(format!(
        "a word or some, without punctuation around them, {most} bytes at most; none: all other messages"
    )))
}

fn rule_carriers(
    section: &Section<'_>,
    carriers: &[Carrier],
) -> Result<Option<Located<Vec<CarrierId>>>, ConfigError> {
    let names: Vec<&str> = carriers.iter().map(|carrier| &*carrier.name).collect();
    let what = format!("a list of the carriers {}", names.join(", "));
    let id = |carrier: &DeValue<'_>| {
        let named = value::text(carrier)?;
        let found = carriers.iter().find(|carrier| carrier.name == named);
        found
            .map(Carrier::id)
            .ok_or_else(|| Expected(format!("only carriers that have a section: {}", names.join(", "))))
    };
    let list = section.located("carriers", |list| value::list(list, &what, id))?;
    if let Some(list) = &list {
        let twice = list.value.iter().enumerate().any(|(at, id)| list.value[..at].contains(id));
        if twice {
            return Err(section.wrong(list.line, "carriers", what, "one of them twice"));
        }
    }
    Ok(list)
}

/// `[handsets]`.
fn handsets(section: &Section<'_>, inbound: &mut Inbound) -> Result<(), ConfigError> {
    let second = Duration::from_secs(1);
    let unrouted = section.optional("unrouted", |word| value::word(word, &UNROUTED))?;
    let parts_wait = section
        .optional("parts_wait", |time| value::duration(time, second..=limits::INBOUND_PARTS_WAIT_MAX))?;
    let known_for = section.optional("repeats_known", |time| {
        value::duration(time, Duration::ZERO..=limits::INBOUND_KNOWN_FOR_MAX)
    })?;
    section.end()?;
    inbound.unrouted = unrouted.unwrap_or(inbound.unrouted);
    inbound.parts_wait = parts_wait.unwrap_or(inbound.parts_wait);
    inbound.known_for = known_for.unwrap_or(inbound.known_for);
    Ok(())
}
