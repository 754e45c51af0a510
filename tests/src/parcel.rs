//! What a customer's text says about itself: the nonce of the intent, in every segment.
//!
//! A duplicate under two message ids shows, since the nonce is the customer's and not ours.

use wire::msisdn::Msisdn;
use wire::smpp::fields::DataCoding;
use wire::smpp::sm::Sm;
use wire::smpp::tlv::Tag;
use wire::text::{self, Alphabet, Narrow, PartHeader};

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
    // Septets or octets of a segment with a header, or UTF-16 units: by references of either length.
    let segments = if is_wide { &[67, 66][..] } else { &[153, 152, 134, 133] };
    let is_cut_well =
        |&count: &usize| segments.iter().all(|segment| count * TOKEN_CHARS % segment >= 2 * TOKEN_CHARS);
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
    /// What a `submit_sm` carries, to a carrier that takes this narrow alphabet.
    pub(crate) fn read(sm: &Sm<'_>, narrow: Narrow) -> Option<Self> {
        let whole = sm.text();
        let (header, octets) =
            if sm.esm_class.has_udh() { PartHeader::read_udh(whole)? } else { (None, whole) };
        let sar = sm.tlvs.find(Tag::SAR_SEGMENT_SEQNUM).map(|tlv| tlv.value);
        let part = match (header, sar) {
            (Some(header), None) => header.number - 1,
            (None, Some(&[number])) => number.checked_sub(1)?,
            (None, None) => 0,
            _ => return None,
        };
        let mut text = String::new();
        match (sm.data_coding, narrow) {
            (DataCoding::UCS2, _) => text::read(Alphabet::Ucs2, octets, &mut text),
            (_, Narrow::Gsm7) => text::read(Alphabet::Gsm7, octets, &mut text),
            (_, Narrow::Latin1) => text::read(Alphabet::Latin1, octets, &mut text),
            (_, Narrow::Gsm7Packed) => text::read_packed(octets, whole.len() - octets.len(), &mut text),
        }
        let recipient =
            Msisdn::parse(sm.destination.octets.strip_prefix(b"00").unwrap_or(sm.destination.octets));
        Some(Self { nonce: nonce_of(&text)?, part, recipient: recipient.ok()? })
    }
}
