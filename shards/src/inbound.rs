//! From what a handset sent to the account that it is for: the number that it was sent to, and the words that it begins with.

use core::time::Duration;

use wire::id::{AccountId, CarrierId};
use wire::msisdn::Msisdn;

use crate::limits::{INBOUND_KNOWN_FOR, INBOUND_PARTS_WAIT};

/// One rule: what is sent to this number and begins with these words is for this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundRule {
    /// A number of ours.
    pub to: Msisdn,
    /// The words that the text begins with, in lower case; none: whatever no other rule of the number takes.
    pub keyword: Vec<String>,
    /// Whose messages these are.
    pub account: AccountId,
    /// The carriers that the rule is for; none: all.
    pub carriers: Vec<CarrierId>,
}

/// What a carrier is answered for a message that no rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// It is taken, counted and let go: for carriers that take a refusal for a fault of the link.
    Answer,
    /// It is refused for good (`ESME_RX_R_APPN`).
    Refuse,
}

/// All rules, and how messages of handsets are treated. It belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// By number, those with the most words first, those that name carriers before those that do not.
    rules: Vec<InboundRule>,
    /// What happens to messages that no rule takes.
    pub unrouted: Unrouted,
    /// How long the parts of a text wait for each other.
    pub parts_wait: Duration,
    /// How long a repetition is known as one.
    pub known_for: Duration,
}

impl Default for Inbound {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Inbound {
    /// These rules, and the defaults of everything else.
    #[must_use]
    pub fn new(mut rules: Vec<InboundRule>) -> Self {
        rules.sort_by_key(|rule| {
            (rule.to, core::cmp::Reverse((rule.keyword.len(), letters(rule))), rule.carriers.is_empty())
        });
        Self {
            rules,
            unrouted: Unrouted::Answer,
            parts_wait: INBOUND_PARTS_WAIT,
            known_for: INBOUND_KNOWN_FOR,
        }
    }

    /// Whether a number is one of ours with this carrier.
    #[must_use]
    pub fn has_number(&self, carrier: CarrierId, to: Msisdn) -> bool {
        self.of(carrier, to).next().is_some()
    }

    /// Whose message a text is.
    #[must_use]
    pub fn find(&self, carrier: CarrierId, to: Msisdn, text: &str) -> Option<AccountId> {
        self.of(carrier, to).find(|rule| begins_with(text, &rule.keyword)).map(|rule| rule.account)
    }

    /// All rules, in the order in which they are looked at.
    #[must_use]
    pub fn rules(&self) -> &[InboundRule] {
        &self.rules
    }

    fn of(&self, carrier: CarrierId, to: Msisdn) -> impl Iterator<Item = &InboundRule> {
        let first = self.rules.partition_point(|rule| rule.to < to);
        let of_number = self.rules[first..].iter().take_while(move |rule| rule.to == to);
        of_number.filter(move |rule| rule.carriers.is_empty() || rule.carriers.contains(&carrier))
    }
}

/// The words of a text: what stands between blanks, without the punctuation around it, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    text.split_whitespace().map(bare).filter(|word| !word.is_empty())
}

fn letters(rule: &InboundRule) -> usize {
    rule.keyword.iter().map(String::len).sum()
}

fn begins_with(text: &str, keyword: &[String]) -> bool {
    let mut found = words(text);
    keyword.iter().all(|word| found.next().is_some_and(|other| other == *word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(to: &str, keyword: &str, account: u32, carriers: &[u32]) -> InboundRule {
        InboundRule {
            to: to.parse().unwrap(),
            keyword: words(keyword).collect(),
            account: AccountId(account),
            carriers: carriers.iter().copied().map(CarrierId).collect(),
        }
    }

    #[test]
    fn the_longest_keyword_wins_and_the_rest_is_for_the_number() {
        let inbound = Inbound::new(vec![
            rule("12345", "", 1, &[]),
            rule("12345", "stop", 2, &[]),
            rule("12345", "Stop All", 3, &[]),
            rule("12345", "stop", 4, &[7]),
            rule("4930123", "join", 5, &[7]),
        ]);
        let find = |carrier, to: &str, text| {
            inbound.find(CarrierId(carrier), to.parse().unwrap(), text).map(|account| account.0)
        };
        assert_eq!(find(1, "12345", "hello"), Some(1));
        assert_eq!(find(1, "12345", ""), Some(1));
        assert_eq!(find(1, "12345", "  STOP! please"), Some(2));
        assert_eq!(find(1, "12345", "Stop, all of it"), Some(3));
        assert_eq!(find(1, "12345", "stopall"), Some(1));
        assert_eq!(find(7, "12345", "stop"), Some(4), "a rule that names the carrier comes first");
        assert_eq!(find(7, "+4930123", "JOIN"), Some(5));
        assert_eq!(find(1, "+4930123", "JOIN"), None);
        assert_eq!(find(7, "+4930123", "leave"), None);
        assert!(inbound.has_number(CarrierId(7), "4930123".parse().unwrap()));
        assert!(!inbound.has_number(CarrierId(1), "4930123".parse().unwrap()));
        assert!(!inbound.has_number(CarrierId(1), "1234".parse().unwrap()));
    }
}
