//! The keys of an account that begin with `smpp_`: how its customers may bind, and what they may do then.

use toml::de::DeValue;
use wire::id::Class;
use wire::smpp::Tag;
use wire::text::Alphabet;

use super::error::ConfigError;
use super::limits;
use super::section::{Located, Section};
use super::types::{ALPHABETS, KEYS, RECEIPTS, SmppAccess};
use super::value::{self, Expected, Parsed};
use crate::customers::credentials::KeyDigest;
use crate::customers::passwords::{PASSWORD_HASH_PREFIX, Password, SlowHash};
use crate::customers::smpp::binds::BindLimits;
use crate::customers::smpp::exchange::{Keys, Receipts};
use crate::customers::smpp::network::Network;

/// What an account of this name may do over SMPP; `None`: nothing. Without a password the other keys say nothing, and are refused.
pub(super) fn access(section: &Section<'_>, name: &str) -> Result<Option<SmppAccess>, ConfigError> {
    let mut lines = Lines(None);
    let passwords = passwords(section)?;
    let system_id = lines.note(
        section.located("smpp_system_id", |text| value::visible(text, 1..=limits::SYSTEM_ID_BYTES_MAX))?,
    );
    let addresses = lines.note(section.located("smpp_addresses", networks)?);
    let system_types = lines.note(section.located("smpp_system_types", system_types)?);
    let binds_max = binds(section, &mut lines)?;
    let window_max = u64::from(wire::smpp::limits::WINDOW_PDUS_MAX);
    let window = lines.note(section.located("smpp_window", |count| value::whole(count, 1..=window_max))?);
    let rate =
        lines.note(section.located("smpp_bind_rate", |rate| value::whole(rate, 1..=limits::RATE_MAX))?);
    let receipts = lines.note(section.located("smpp_receipts", |word| value::word(word, &RECEIPTS))?);
    let keys = lines.note(section.located("smpp_keys", keys)?);
    let alphabet =
        lines.note(section.located("smpp_default_alphabet", |word| value::word(word, &ALPHABETS))?);
    let priorities = lines.note(section.located("smpp_priorities", priorities)?);
    if passwords.is_empty() {
        return match lines.0 {
            Some(line) => {
                let expected = "a password wherever another key of SMPP is";
                Err(section.wrong(line, "smpp_password", expected, "none: this account cannot bind"))
            }
            None => Ok(None),
        };
    }
    Ok(Some(SmppAccess {
        system_id: system_id.unwrap_or_else(|| name.to_owned()),
        passwords,
        addresses: addresses.unwrap_or_default(),
        system_types: system_types.unwrap_or_default(),
        binds_max,
        window_pdus: window.map_or(limits::SMPP_WINDOW_DEFAULT, small),
        bind_rate_per_s: rate.map(small),
        receipts: receipts.unwrap_or(Receipts::Asked),
        keys: keys.unwrap_or(Keys::None),
        default_alphabet: alphabet.unwrap_or(Alphabet::Gsm7),
        priorities,
    }))
}

/// The first line of a key that is there.
struct Lines(Option<usize>);

impl Lines {
    /// The value, whose line is noted.
    fn note<T>(&mut self, located: Option<Located<T>>) -> Option<T> {
        let Located { line, value } = located?;
        self.0 = Some(self.0.map_or(line, |first| first.min(line)));
        Some(value)
    }
}

/// `smpp_password`, `smpp_password_hash` and `smpp_passwords`, any of which may be there.
fn passwords(section: &Section<'_>) -> Result<Vec<Password>, ConfigError> {
    let mut all: Vec<Password> = Vec::new();
    all.extend(section.optional("smpp_password", plain_password)?);
    all.extend(section.optional("smpp_password_hash", hashed_password)?);
    let most = limits::SMPP_PASSWORDS_MAX;
    let what = format!("a list of 1 to {most} passwords or hashes of passwords");
    let either = |text: &DeValue<'_>| match text.as_str() {
        Some(hash) if hash.starts_with(PASSWORD_HASH_PREFIX) => hashed_password(text),
        _ => plain_password(text),
    };
    let listed = section.located("smpp_passwords", |list| value::list(list, &what, either))?;
    let line = listed.as_ref().map_or_else(|| section.line(), |listed| listed.line);
    all.extend(listed.into_iter().flat_map(|listed| listed.value));
    if all.len() > most {
        let found = all.len().to_string();
        return Err(section.wrong(line, "smpp_passwords", format!("at most {most} passwords"), found));
    }
    Ok(all)
}

fn plain_password(text: &DeValue<'_>) -> Parsed<Password> {
    if text.as_str().is_some_and(|text| text.starts_with(PASSWORD_HASH_PREFIX)) {
        return Err(Expected("a password; a hash of one stands under smpp_password_hash".to_owned()));
    }
    let password = value::visible(text, 1..=limits::PASSWORD_BYTES_MAX)?;
    Ok(Password::Plain(KeyDigest::from(password.as_str())))
}

fn hashed_password(text: &DeValue<'_>) -> Parsed<Password> {
    text.as_str().and_then(SlowHash::parse).map(Password::Hashed).ok_or_else(|| {
        Expected(
            "\"$argon2id$v=19$m=…,t=…,p=…$SALT$HASH\" of at most 256 MiB, 10 passes and 4 lanes, as `switchyard password` prints"
                .to_owned(),
        )
    })
}

fn networks(list: &DeValue<'_>) -> Parsed<Vec<Network>> {
    let what = "a list of addresses and networks, as [\"192.0.2.7\", \"10.0.0.0/8\", \"2001:db8::/32\"]";
    let network = |text: &DeValue<'_>| {
        let parsed = text.as_str().and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| Expected(format!("{what}, without bits behind the prefix")))
    };
    bounded(value::list(list, what, network)?, limits::SMPP_NETWORKS_MAX, "networks")
}

fn system_types(list: &DeValue<'_>) -> Parsed<Vec<String>> {
    let what = "a list of texts of at most 12 characters of ASCII without spaces";
    let each = |text: &DeValue<'_>| value::visible(text, 0..=limits::SYSTEM_TYPE_BYTES_MAX);
    bounded(value::list(list, what, each)?, limits::SMPP_SYSTEM_TYPES_MAX, "texts")
}

fn bounded<T>(list: Vec<T>, most: usize, what: &str) -> Parsed<Vec<T>> {
    if list.len() > most { Err(Expected(format!("at most {most} {what}"))) } else { Ok(list) }
}

/// How many binds of all kinds together, and of each.
fn binds(section: &Section<'_>, lines: &mut Lines) -> Result<BindLimits, ConfigError> {
    let mut count = |key: &'static str, least: u64| {
        let located = section.located(key, |count| value::whole(count, least..=limits::SMPP_BINDS_MAX))?;
        Ok(lines.note(located).map(small))
    };
    let all = count("smpp_binds_max", 1)?.unwrap_or(limits::SMPP_BINDS_DEFAULT);
    Ok(BindLimits {
        all,
        transmitters: count("smpp_transmitters_max", 0)?.unwrap_or(all),
        receivers: count("smpp_receivers_max", 0)?.unwrap_or(all),
        transceivers: count("smpp_transceivers_max", 0)?.unwrap_or(all),
    })
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("its bounds have 32 bits")
}

/// A word, or `tlv:` and the tag of a vendor's own parameter.
fn keys(text: &DeValue<'_>) -> Parsed<Keys> {
    let tag = text.as_str().and_then(|text| text.strip_prefix("tlv:0x"));
    let Some(digits) = tag else {
        return value::word(text, &KEYS)
            .map_err(|Expected(words)| Expected(format!("{words}, or a TLV as \"tlv:0x1501\"")));
    };
    let tag = u16::from_str_radix(digits, 16).ok().filter(|tag| *tag != 0);
    // These say something else: a part's number would make one message of a hundred.
    let taken =
        [Tag::SAR_MSG_REF_NUM, Tag::SAR_TOTAL_SEGMENTS, Tag::SAR_SEGMENT_SEQNUM, Tag::MESSAGE_PAYLOAD];
    let is_free = |tag: &u16| !taken.contains(&Tag(*tag));
    tag.filter(is_free).map(Keys::Tlv).ok_or_else(|| {
        Expected(
            "\"tlv:0x\" and the tag of an optional parameter that says nothing else to us, 0x0001 to 0xffff"
                .to_owned(),
        )
    })
}

/// The classes of `priority_flag` 0 to 3.
fn priorities(value: &DeValue<'_>) -> Parsed<[Class; 4]> {
    let what = "a list of four classes, the first that of priority_flag 0";
    let words = Class::ALL.map(|class| (class.name(), class));
    let listed = value::list(value, what, |class| value::word(class, &words))?;
    <[Class; 4]>::try_from(listed).map_err(|_| Expected(what.to_owned()))
}
