//! What a customer's text says about itself: the nonce of the intent, in every segment.
//!
//! A duplicate under two message ids shows, since the nonce is the customer's and not ours.

use wire::msisdn::Msisdn;
use wire::smpp::fields::DataCoding;
use wire::smpp::sm::Sm;
use wire::text::{self, Alphabet, PartHeader};

/// One segment of an intent's text, as a carrier sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) nonce: u64,
    /// Which segment, from 0.
    pub(crate) part: u8,
    pub(crate) recipient: Msisdn,
}

/// Characters of one repetition of a nonce.
const TOKEN_CHARS: usize = 10;

/// A text that carries a nonce in each of its segments, also in the last.
pub(crate) fn text_of(nonce: u64, repetitions: usize, is_wide: bool) -> String {
    // Septets of a segment with a header, or UTF-16 units.
    let segment = if is_wide { 67 } else { 153 };
    let is_cut_well = |&count: &usize| count * TOKEN_CHARS % segment >= 2 * TOKEN_CHARS;
    let repetitions = (repetitions.max(1)..).find(|count| *count < 4 || is_cut_well(count)).unwrap_or(1);
    let mut text = format!("n{nonce:08} ").repeat(repetitions);
    if is_wide {
        text.push('ж');
    }
    text
}

/// The nonce in a text.
pub(crate) fn nonce_of(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    bytes.windows(TOKEN_CHARS - 1).find_map(|window| {
        let (mark, digits) = window.split_first()?;
        let is_token = *mark == b'n' && digits.iter().all(u8::is_ascii_digit);
        if is_token { core::str::from_utf8(digits).ok()?.parse().ok() } else { None }
    })
}

impl Parcel {
    /// What a `submit_sm` carries.
    pub(crate) fn read(sm: &Sm<'_>) -> Option<Self> {
        let octets = sm.text();
        let (part, octets) =
            if sm.esm_class.has_udh() { PartHeader::read_udh(octets)? } else { (None, octets) };
        let alphabet = match sm.data_coding {
            DataCoding::UCS2 => Alphabet::Ucs2,
            DataCoding::LATIN1 => Alphabet::Latin1,
            _ => Alphabet::Gsm7,
        };
        let mut text = String::new();
        text::read(alphabet, octets, &mut text);
        let recipient = Msisdn::parse(sm.destination.octets).ok()?;
        Some(Self { nonce: nonce_of(&text)?, part: part.map_or(0, |part| part.number - 1), recipient })
    }
}
