//! `[[profile]]`: how carriers want to be spoken to, and the same keys in a `[[carrier]]`, which change single fields of the
//! profile that it names.
//!
//! ```text
//!   shipped, by name ─┐
//!   [[profile]] base ─┴─▶ a profile ── keys of [[profile]] or [[carrier]] ──▶ another, which must not contradict itself
//! ```

use core::time::Duration;
use std::borrow::Cow;

use toml::de::DeValue;
use wire::smpp::bind::{INTERFACE_VERSION_3_3, INTERFACE_VERSION_3_4, INTERFACE_VERSION_5_0};
use wire::smpp::carrier_id::IdForm;
use wire::smpp::fields::{DataCoding, Npi, RegisteredDelivery, Ton};
use wire::smpp::limits::SENDER_LETTERS_MAX;
use wire::smpp::profile::{
    Binds, FinalStates, IdScope, Letters, LettersRule, NumberForm, Profile, ShortCodes, Spelling, StatusRule,
    Validity,
};
use wire::smpp::receipt::{ReceiptSign, ReceiptSource};
use wire::smpp::state::MessageState;
use wire::smpp::status::{CommandStatus, Verdict};
use wire::smpp::tlv::Tlvs;
use wire::text::{Concatenation, Narrow, Typography};

use super::error::ConfigError;
use super::limits;
use super::section::Section;
use super::value::{self, Expected, Parsed};

/// A word and what it means.
type Words<T, const N: usize> = [(&'static str, T); N];

pub(super) const VERSIONS: Words<u8, 3> =
    [("3.3", INTERFACE_VERSION_3_3), ("3.4", INTERFACE_VERSION_3_4), ("5.0", INTERFACE_VERSION_5_0)];
pub(super) const BINDS: Words<Binds, 2> = [("transceiver", Binds::Transceiver), ("pair", Binds::Pair)];
pub(super) const ID_FORMS: Words<IdForm, 4> = [
    ("exact", IdForm::Exact),
    ("folded", IdForm::Folded),
    ("decimal", IdForm::Decimal),
    ("hex", IdForm::Hexadecimal),
];
pub(super) const ID_SCOPES: Words<IdScope, 2> = [("carrier", IdScope::Carrier), ("bind", IdScope::Bind)];
pub(super) const SIGNS: Words<ReceiptSign, 2> =
    [("esm-class", ReceiptSign::EsmClass), ("esm-class-or-body", ReceiptSign::EsmClassOrBody)];
pub(super) const SOURCES: Words<ReceiptSource, 4> = [
    ("tlvs-then-text", ReceiptSource::TlvsThenText),
    ("text-then-tlvs", ReceiptSource::TextThenTlvs),
    ("tlvs", ReceiptSource::Tlvs),
    ("text", ReceiptSource::Text),
];
pub(super) const STATES: Words<MessageState, 8> = [
    ("delivered", MessageState::Delivered),
    ("expired", MessageState::Expired),
    ("deleted", MessageState::Deleted),
    ("undeliverable", MessageState::Undeliverable),
    ("accepted", MessageState::Accepted),
    ("unknown", MessageState::Unknown),
    ("rejected", MessageState::Rejected),
    ("skipped", MessageState::Skipped),
];
pub(super) const ALPHABETS: Words<Narrow, 3> =
    [("gsm7", Narrow::Gsm7), ("gsm7-packed", Narrow::Gsm7Packed), ("latin1", Narrow::Latin1)];
pub(super) const PARTS: Words<Concatenation, 4> = [
    ("udh8", Concatenation::Udh8),
    ("udh16", Concatenation::Udh16),
    ("sar", Concatenation::Sar),
    ("payload", Concatenation::Payload),
];
pub(super) const TYPOGRAPHY: Words<Typography, 2> =
    [("kept", Typography::Kept), ("plain", Typography::Plain)];
const SPELLINGS: Words<Spelling, 3> =
    [("plain", Spelling::Plain), ("plus", Spelling::Plus), ("zeros", Spelling::DoubleZero)];
const LETTERS: Words<Option<Letters>, 4> = [
    ("none", None),
    ("plain", Some(Letters::Plain)),
    ("ascii", Some(Letters::Ascii)),
    ("latin1", Some(Letters::Latin1)),
];
pub(super) const VALIDITIES: Words<Validity, 3> =
    [("omitted", Validity::Omitted), ("relative", Validity::Relative), ("absolute", Validity::Absolute)];
const RECEIPTS: Words<RegisteredDelivery, 2> =
    [("final", RegisteredDelivery::FINAL), ("final-and-intermediate", RegisteredDelivery(0x11))];
const VERDICTS: Words<Verdict, 3> =
    [("permanent", Verdict::Permanent), ("temporary", Verdict::Temporary), ("throttled", Verdict::Throttled)];

/// The word of a meaning.
pub(super) fn word_of<T: PartialEq>(words: &[(&'static str, T)], meaning: &T) -> &'static str {
    words.iter().find(|(_, other)| other == meaning).map_or("", |(word, _)| word)
}

/// `[[profile]]`, each made of a shipped one or of one above it.
pub(super) fn profiles(root: &Section<'_>) -> Result<Vec<Profile>, ConfigError> {
    let mut profiles: Vec<Profile> = Vec::new();
    for section in root.sections("profile", limits::PROFILES_MAX)? {
        let name = section.required("name", "the profile's name", value::name)?;
        if Profile::named(&name.value).is_some() || profiles.iter().any(|other| other.name == *name.value) {
            let found = format!("\"{}\", which there is already", name.value);
            return Err(section.wrong(name.line, "name", "a name that no other profile has", found));
        }
        let mut profile = named(&section, "base", &profiles)?;
        profile.name = Cow::Owned(name.value);
        overrides(&section, &mut profile)?;
        section.end()?;
        profiles.push(profile);
    }
    Ok(profiles)
}

/// The profile that a key names; without the key, `generic`.
pub(super) fn named(
    section: &Section<'_>,
    key: &'static str,
    own: &[Profile],
) -> Result<Profile, ConfigError> {
    let found = section.optional(key, |name| {
        let name = value::text(name)?;
        let profile = own.iter().find(|profile| profile.name == name).cloned();
        profile.or_else(|| Profile::named(name)).ok_or_else(|| {
            let shipped = Profile::SHIPPED.iter().map(|(name, _)| *name);
            let names: Vec<&str> = shipped.chain(own.iter().map(|profile| &*profile.name)).collect();
            Expected(format!("one of the profiles {}", names.join(", ")))
        })
    })?;
    Ok(found.unwrap_or(Profile::GENERIC))
}

/// The keys that change single fields, each of which may be missing.
pub(super) fn overrides(section: &Section<'_>, profile: &mut Profile) -> Result<(), ConfigError> {
    flow(section, profile)?;
    ids_and_receipts(section, profile)?;
    texts(section, profile)?;
    addresses(section, profile)?;
    rest(section, profile)?;
    profile
        .check()
        .map_err(|error| section.wrong(section.line(), "profile", "what goes together", error.to_string()))
}

/// Changes a field where its key is there.
fn set<T>(
    section: &Section<'_>,
    key: &'static str,
    field: &mut T,
    parse: impl FnOnce(&DeValue<'_>) -> Parsed<T>,
) -> Result<bool, ConfigError> {
    let found = section.optional(key, parse)?;
    let is_there = found.is_some();
    if let Some(found) = found {
        *field = found;
    }
    Ok(is_there)
}

/// How much, how fast, and for how long.
fn flow(section: &Section<'_>, profile: &mut Profile) -> Result<(), ConfigError> {
    let window_max = u16::try_from(wire::smpp::limits::WINDOW_PDUS_MAX).unwrap_or(u16::MAX);
    let second = Duration::from_secs(1);
    set(section, "interface_version", &mut profile.interface_version, |word| value::word(word, &VERSIONS))?;
    set(section, "bind", &mut profile.binds, |word| value::word(word, &BINDS))?;
    set(section, "window", &mut profile.window_pdus, |count| value::whole_u16(count, 1..=window_max))?;
    set(section, "rate", &mut profile.rate_per_s, |rate| {
        value::whole(rate, 1..=limits::RATE_MAX).map(|rate| u32::try_from(rate).ok())
    })?;
    let timers = &mut profile.timers;
    set(section, "response_timeout", &mut timers.response, |time| {
        value::duration(time, second..=limits::RESPONSE_TIMEOUT_MAX)
    })?;
    set(section, "enquire_after", &mut timers.enquire_link_idle, |time| {
        value::duration(time, second..=limits::ENQUIRE_AFTER_MAX)
    })?;
    set(section, "bind_timeout", &mut timers.session_init, |time| {
        value::duration(time, second..=limits::RESPONSE_TIMEOUT_MAX)
    })?;
    Ok(())
}

fn ids_and_receipts(section: &Section<'_>, profile: &mut Profile) -> Result<(), ConfigError> {
    let form = |word: &DeValue<'_>| value::word(word, &ID_FORMS);
    let (ids, receipts) = (&mut profile.ids, &mut profile.receipts);
    // Who says how responses are written and nothing of receipts has them alike.
    let response = section.optional("response_ids", form)?;
    let both = section.optional("receipt_ids", form)?.or(response);
    ids.response = response.unwrap_or(ids.response);
    ids.receipt_tlv = both.unwrap_or(ids.receipt_tlv);
    ids.receipt_text = both.unwrap_or(ids.receipt_text);
    set(section, "receipt_tlv_ids", &mut ids.receipt_tlv, form)?;
    set(section, "receipt_text_ids", &mut ids.receipt_text, form)?;
    set(section, "id_scope", &mut ids.scope, |word| value::word(word, &ID_SCOPES))?;
    set(section, "receipt_sign", &mut receipts.sign, |word| value::word(word, &SIGNS))?;
    set(section, "receipt_source", &mut receipts.source, |word| value::word(word, &SOURCES))?;
    set(section, "receipts", &mut profile.registered_delivery, |word| value::word(word, &RECEIPTS))?;
    set(section, "final_states", &mut profile.final_states, final_states)?;
    Ok(())
}

fn final_states(list: &DeValue<'_>) -> Parsed<FinalStates> {
    let words: Vec<&str> = STATES.iter().map(|(word, _)| *word).collect();
    let states =
        value::list(list, &format!("a list of {}", words.join(", ")), |word| value::word(word, &STATES))?;
    let none = STATES.iter().fold(FinalStates::SPECIFIED, |set, (_, state)| set.without(*state));
    Ok(states.into_iter().fold(none, FinalStates::with))
}

fn texts(section: &Section<'_>, profile: &mut Profile) -> Result<(), ConfigError> {
    let texts = &mut profile.texts;
    let coding = |octet: &DeValue<'_>| value::octet(octet).map(DataCoding);
    set(section, "alphabet", &mut texts.style.narrow, |word| value::word(word, &ALPHABETS))?;
    set(section, "concatenation", &mut texts.style.concatenation, |word| value::word(word, &PARTS))?;
    set(section, "data_coding", &mut texts.narrow_coding, coding)?;
    set(section, "ucs2_data_coding", &mut texts.wide_coding, coding)?;
    set(section, "typography", &mut texts.typography, |word| value::word(word, &TYPOGRAPHY))?;
    Ok(())
}

fn addresses(section: &Section<'_>, profile: &mut Profile) -> Result<(), ConfigError> {
    let number = |form: &mut NumberForm, [ton, npi, spelling]: [&'static str; 3]| {
        set(section, ton, &mut form.ton, |octet| value::octet(octet).map(Ton))?;
        set(section, npi, &mut form.npi, |octet| value::octet(octet).map(Npi))?;
        set(section, spelling, &mut form.spelling, |word| value::word(word, &SPELLINGS))
    };
    number(&mut profile.recipient, ["recipient_ton", "recipient_npi", "recipient_spelling"])?;
    number(&mut profile.sender.number, ["sender_ton", "sender_npi", "sender_spelling"])?;
    let generic = ShortCodes { digits_max: 0, ton: Ton::NETWORK_SPECIFIC, npi: Npi::UNKNOWN };
    let mut codes = profile.sender.short_codes.unwrap_or(generic);
    set(section, "short_code_digits", &mut codes.digits_max, |count| {
        value::whole_u16(count, 0..=15).map(|digits| u8::try_from(digits).unwrap_or(15))
    })?;
    set(section, "short_code_ton", &mut codes.ton, |octet| value::octet(octet).map(Ton))?;
    set(section, "short_code_npi", &mut codes.npi, |octet| value::octet(octet).map(Npi))?;
    profile.sender.short_codes = Some(codes).filter(|codes| codes.digits_max > 0);
    let standard = wire::smpp::limits::SENDER_LETTERS_STANDARD;
    let mut chars_max = profile.sender.letters.map_or(standard, |rule| rule.chars_max);
    let mut letters = profile.sender.letters.map(|rule| rule.letters);
    set(section, "letters", &mut letters, |word| value::word(word, &LETTERS))?;
    set(section, "letters_max", &mut chars_max, |count| {
        let max = u16::from(SENDER_LETTERS_MAX);
        value::whole_u16(count, 1..=max).map(|chars| u8::try_from(chars).unwrap_or(SENDER_LETTERS_MAX))
    })?;
    profile.sender.letters = letters.map(|letters| LettersRule { chars_max, letters });
    Ok(())
}

fn rest(section: &Section<'_>, profile: &mut Profile) -> Result<(), ConfigError> {
    set(section, "service_type", &mut profile.service_type, |text| {
        let text = value::visible(text, 0..=limits::SERVICE_TYPE_BYTES_MAX)?;
        Ok(Cow::Owned(text.into_bytes()))
    })?;
    set(section, "queries", &mut profile.queries, value::flag)?;
    set(section, "validity", &mut profile.validity, |word| value::word(word, &VALIDITIES))?;
    set(section, "tlvs", &mut profile.tlvs, |text| {
        let octets = value::hex(text, limits::PROFILE_TLVS_BYTES_MAX)?;
        let is_whole = Tlvs::new(&octets).is_ok();
        is_whole.then_some(Cow::Owned(octets)).ok_or_else(|| {
            Expected(
                "whole parameters in hexadecimal: a tag and a length of two octets each, a value".to_owned(),
            )
        })
    })?;
    let mut rules = Vec::new();
    set(section, "statuses", &mut rules, status_rules)?;
    if !rules.is_empty() {
        rules.extend_from_slice(&profile.statuses.rules);
        profile.statuses.rules = Cow::Owned(rules);
    }
    set(section, "other_statuses", &mut profile.statuses.others, |word| value::word(word, &VERDICTS))?;
    Ok(())
}

/// `{ "0x45" = "permanent", "0x401-0x403" = "temporary" }`. Ranges that meet are refused: a table has no order.
fn status_rules(table: &DeValue<'_>) -> Parsed<Vec<StatusRule>> {
    let words: Vec<String> = VERDICTS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let what = || {
        let verdicts = words.join(", ");
        Expected(format!(
            "a table of statuses that do not meet, as {{ \"0x45\" = \"permanent\", \"0x401-0x403\" = \"temporary\" }}, \
             each one of {verdicts}"
        ))
    };
    let table = table.as_table().filter(|table| table.len() <= limits::STATUS_RULES_MAX).ok_or_else(what)?;
    let mut rules: Vec<StatusRule> = Vec::new();
    for (range, verdict) in table {
        let (first, last) = status_range(range.get_ref()).ok_or_else(what)?;
        let verdict = value::word(verdict.get_ref(), &VERDICTS).map_err(|_| what())?;
        let meets = |rule: &StatusRule| rule.first.0 <= last && first <= rule.last.0;
        if first == 0 || rules.iter().any(meets) {
            return Err(what());
        }
        rules.push(StatusRule { first: CommandStatus(first), last: CommandStatus(last), verdict });
    }
    Ok(rules)
}

fn status_range(text: &str) -> Option<(u32, u32)> {
    let status = |text: &str| u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some((first, last))
}
