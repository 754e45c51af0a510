//! A profile in an operator's words, those of the configuration file.

use wire::smpp::profile::{IdScope, NumberForm, Profile, Spelling};
use wire::text::Typography;

use super::profiles::{
    ALPHABETS, BINDS, ID_FORMS, ID_SCOPES, PARTS, SIGNS, SOURCES, STATES, TYPOGRAPHY, VALIDITIES, VERSIONS,
    word_of,
};

/// What each column of [`profile`] is about.
pub(crate) const HEADS: [&str; 7] = ["profile", "SMPP", "ids", "receipts", "texts", "addresses", "otherwise"];

/// What a profile comes to, a column for each of [`HEADS`].
pub(crate) fn profile(profile: &Profile) -> [String; 7] {
    let version = word_of(&VERSIONS, &profile.interface_version);
    [
        profile.name.to_string(),
        format!("{version}, {}", word_of(&BINDS, &profile.binds)),
        ids(profile),
        receipts(profile),
        texts(profile),
        addresses(profile),
        otherwise(profile),
    ]
}

fn ids(profile: &Profile) -> String {
    let ids = profile.ids;
    let word = |form| word_of(&ID_FORMS, &form);
    let (response, tlv, text) = (word(ids.response), word(ids.receipt_tlv), word(ids.receipt_text));
    let mut shown = match () {
        () if response == tlv && tlv == text => response.to_owned(),
        () if tlv == text => format!("{response}, {text} in receipts"),
        () => format!("{response}, {tlv} in receipts' parameters, {text} in their text"),
    };
    if ids.scope == IdScope::Bind {
        shown += &format!(", unique on one {}", word_of(&ID_SCOPES, &ids.scope));
    }
    shown
}

fn receipts(profile: &Profile) -> String {
    let final_states = STATES.iter().filter(|(_, state)| profile.final_states.has(*state));
    let others: Vec<&str> = final_states.map(|(word, _)| *word).collect();
    let (sign, source) = (profile.receipts.sign, profile.receipts.source);
    let mut shown = format!("{}, {}", word_of(&SIGNS, &sign), word_of(&SOURCES, &source));
    if profile.final_states != Profile::GENERIC.final_states {
        shown += &format!("; final: {}", others.join(" "));
    }
    if profile.registered_delivery.wants_intermediate() {
        shown += "; intermediate ones too";
    }
    shown
}

fn texts(profile: &Profile) -> String {
    let texts = profile.texts;
    let mut shown = format!(
        "{} as {}, else UCS-2 as {}; long ones: {}",
        word_of(&ALPHABETS, &texts.style.narrow),
        texts.narrow_coding.0,
        texts.wide_coding.0,
        word_of(&PARTS, &texts.style.concatenation),
    );
    if texts.typography != Typography::Kept {
        shown += &format!("; typography {}", word_of(&TYPOGRAPHY, &texts.typography));
    }
    shown
}

fn addresses(profile: &Profile) -> String {
    let number = |form: NumberForm| {
        let before = match form.spelling {
            Spelling::Plain => "",
            Spelling::Plus => " +",
            Spelling::DoubleZero => " 00",
        };
        format!("{}/{}{before}", form.ton.0, form.npi.0)
    };
    let sender = profile.sender;
    let codes = sender.short_codes.map_or_else(String::new, |codes| {
        format!(", codes of {} digits {}/{}", codes.digits_max, codes.ton.0, codes.npi.0)
    });
    let letters = sender
        .letters
        .map_or_else(|| ", no names".to_owned(), |rule| format!(", names of {}", rule.chars_max));
    format!("to {}, from {}{codes}{letters}", number(profile.recipient), number(sender.number))
}

fn otherwise(profile: &Profile) -> String {
    let generic = Profile::GENERIC;
    let mut shown = Vec::new();
    if profile.statuses != generic.statuses {
        shown.push(format!("{} ranges of statuses", profile.statuses.rules.len()));
    }
    if profile.validity != generic.validity {
        shown.push(format!("validity {}", word_of(&VALIDITIES, &profile.validity)));
    }
    if !profile.service_type.is_empty() {
        shown.push(format!("service type {}", profile.service_type.escape_ascii()));
    }
    if !profile.tlvs.is_empty() {
        shown.push(format!("{} octets of parameters", profile.tlvs.len()));
    }
    if profile.queries {
        shown.push("asked with query_sm".to_owned());
    }
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}
