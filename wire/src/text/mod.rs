//! What a short message can say, and what it costs: alphabets, and the cutting of long texts (3GPP TS 23.038, 23.040).
//!
//! A [`Plan`] is made once for a text: the narrow alphabet of the carrier if every character is in it, else UCS-2, and
//! how many segments that makes. The segments are cut by characters of the text, so that neither an escape pair of
//! GSM 7-bit nor a surrogate pair is ever split, and are encoded one at a time into the caller's buffer. A plan
//! replaces nothing and leaves nothing out to make a text fit: changing what a customer wrote is not its to decide. Who wants
//! curly quotes to cost no second segment asks [`plain`] first.

#[cfg(test)]
mod golden;
mod gsm7;
pub mod limits;
mod parts;
#[cfg(test)]
mod tests;
mod typography;

use limits::{SEGMENTS_MAX, USER_DATA_BYTES, USER_DATA_SEPTETS};
use thiserror::Error;

pub use parts::{Concatenation, PartHeader};
pub use typography::{Typography, plain};

/// How characters become octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// The GSM 7-bit default alphabet with its extension.
    Gsm7,
    /// ISO 8859-1.
    Latin1,
    /// UTF-16, big-endian, which SMPP calls UCS-2.
    Ucs2,
}

/// What a carrier takes instead of UCS-2 for texts that need less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Narrow {
    /// GSM 7-bit, one septet to an octet: what nearly all take.
    #[default]
    Gsm7,
    /// GSM 7-bit, eight septets to seven octets.
    Gsm7Packed,
    /// ISO 8859-1.
    Latin1,
}

impl Narrow {
    const fn alphabet(self) -> Alphabet {
        match self {
            Self::Gsm7 | Self::Gsm7Packed => Alphabet::Gsm7,
            Self::Latin1 => Alphabet::Latin1,
        }
    }
}

/// How a carrier takes texts; part of its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Style {
    /// Its narrow alphabet.
    pub narrow: Narrow,
    /// How it takes the parts of a long text.
    pub concatenation: Concatenation,
}

impl Style {
    /// GSM 7-bit, one septet to an octet, and an 8-bit reference.
    pub const DEFAULT: Self = Self { narrow: Narrow::Gsm7, concatenation: Concatenation::Udh8 };
}

/// A text that nobody should have to pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the text makes {segments} segments, expected at most {SEGMENTS_MAX}")]
pub struct TooManySegments {
    /// How many it would be.
    pub segments: usize,
}

/// What a text becomes with one carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Its alphabet.
    pub alphabet: Alphabet,
    /// Septets, octets or UTF-16 units, by the alphabet, headers not counted.
    pub units: u32,
    /// What is paid for, also where one PDU carries them all: 1 to [`SEGMENTS_MAX`].
    pub segments: u8,
    style: Style,
    /// The text's octets are its codes.
    is_identity: bool,
}

impl Plan {
    /// Looks at a text.
    ///
    /// # Errors
    /// [`TooManySegments`].
    pub fn new(text: &str, style: Style) -> Result<Self, TooManySegments> {
        let alphabet = style.narrow.alphabet();
        if gsm7::is_identity(text.as_bytes()) {
            let units = text.len();
            let per_segment = units_per_segment(alphabet, style.concatenation, units);
            return Self::with(alphabet, units, units.div_ceil(per_segment), style, true);
        }
        let narrow = text.chars().try_fold(0, |units, character| Some(units + width(character, alphabet)?));
        let (alphabet, units) = match narrow {
            Some(units) => (alphabet, units),
            None => (Alphabet::Ucs2, text.chars().map(char::len_utf16).sum()),
        };
        let per_segment = units_per_segment(alphabet, style.concatenation, units);
        // Only cutting tells how many: a pair that does not fit leaves a unit of its segment empty.
        let segments = if units <= per_segment {
            1
        } else {
            Segments { rest: text, alphabet, per_segment, is_identity: false }.count()
        };
        Self::with(alphabet, units, segments, style, false)
    }

    fn with(
        alphabet: Alphabet,
        units: usize,
        segments: usize,
        style: Style,
        is_identity: bool,
    ) -> Result<Self, TooManySegments> {
        let too_many = |_| TooManySegments { segments };
        let count = u8::try_from(segments.max(1)).map_err(too_many)?;
        if count > SEGMENTS_MAX {
            return Err(TooManySegments { segments });
        }
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Ok(Self { alphabet, units, segments: count, style, is_identity })
    }

    /// The text's segments, in order: as many as [`Plan::segments`]. `text` is the one that was planned.
    #[must_use]
    pub fn cut<'a>(&self, text: &'a str) -> Segments<'a> {
        let units = usize::try_from(self.units).unwrap_or(usize::MAX);
        let per_segment = units_per_segment(self.alphabet, self.style.concatenation, units);
        Segments { rest: text, alphabet: self.alphabet, per_segment, is_identity: self.is_identity }
    }

    /// Appends the user data of one segment: its header, if `part` names one of several and the style has headers, and
    /// its codes. Returns whether there is a header, which `esm_class` must tell.
    ///
    /// With [`Concatenation::Payload`] the segment is the whole text.
    pub fn put(&self, segment: &str, part: Option<PartHeader>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let has_udh = part.is_some_and(|part| part.put_udh(self.style.concatenation, out));
        match self.alphabet {
            Alphabet::Gsm7 if self.style.narrow == Narrow::Gsm7Packed => {
                let first = out.len();
                gsm7::put(segment, out);
                gsm7::pack(out, first, fill_bits(first - start));
            }
            Alphabet::Gsm7 | Alphabet::Latin1 if self.is_identity => {
                out.extend_from_slice(segment.as_bytes())
            }
            Alphabet::Gsm7 => gsm7::put(segment, out),
            Alphabet::Latin1 => {
                out.extend(segment.chars().map(|character| u8::try_from(character).unwrap_or(b'?')));
            }
            Alphabet::Ucs2 => {
                for unit in segment.encode_utf16() {
                    out.extend_from_slice(&unit.to_be_bytes());
                }
            }
        }
        has_udh
    }
}

/// Bits between a header of so many octets and the next border of a septet.
fn fill_bits(header_bytes: usize) -> u32 {
    let over = u32::try_from(header_bytes * 8 % 7).unwrap_or(0);
    (7 - over) % 7
}

/// Iterates over a text's segments.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: &'a str,
    alphabet: Alphabet,
    per_segment: usize,
    is_identity: bool,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = if self.is_identity { self.per_segment.min(self.rest.len()) } else { self.end() };
        let (segment, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(segment)
    }
}

impl Segments<'_> {
    /// Where the first segment of the rest ends: before the character that is too much for it.
    fn end(&self) -> usize {
        let mut room = self.per_segment;
        for (at, character) in self.rest.char_indices() {
            // A plan's alphabet has every character of its text.
            let width = width(character, self.alphabet).unwrap_or(1);
            if width > room {
                return at;
            }
            room -= width;
        }
        self.rest.len()
    }
}

/// Units that a character takes; `None` when the alphabet does not have it.
#[inline]
fn width(character: char, alphabet: Alphabet) -> Option<usize> {
    match alphabet {
        Alphabet::Gsm7 => match gsm7::code(character) {
            gsm7::Code::One(_) => Some(1),
            gsm7::Code::Two(_) => Some(2),
            gsm7::Code::Missing => None,
        },
        Alphabet::Latin1 => u8::try_from(character).ok().map(|_| 1),
        Alphabet::Ucs2 => Some(character.len_utf16()),
    }
}

/// Units of each segment of a text that has `units` in all: 160, 140 or 70 of one that is alone.
const fn units_per_segment(alphabet: Alphabet, concatenation: Concatenation, units: usize) -> usize {
    let alone = units_in(alphabet, USER_DATA_BYTES);
    if units <= alone { alone } else { units_in(alphabet, USER_DATA_BYTES - concatenation.header_bytes()) }
}

const fn units_in(alphabet: Alphabet, bytes: usize) -> usize {
    match alphabet {
        Alphabet::Gsm7 => bytes * 8 / 7,
        Alphabet::Latin1 => bytes,
        Alphabet::Ucs2 => bytes / 2,
    }
}

/// User data that says nothing in the alphabet that it is said to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("octet {at} of the text is none of {alphabet:?}")]
pub struct Undecodable {
    /// What was expected.
    pub alphabet: Alphabet,
    /// Where something else stood, from 0.
    pub at: usize,
}

/// The text of user data without its header, word for word. Where a handset would show a replacement ([`read`]), this is an
/// error: whoever takes a message from a customer does not change it. GSM 7-bit one septet to an octet.
///
/// # Errors
/// [`Undecodable`].
pub fn decode<'a>(
    alphabet: Alphabet,
    octets: &'a [u8],
    scratch: &'a mut String,
) -> Result<&'a str, Undecodable> {
    let wrong = |at| Err(Undecodable { alphabet, at });
    match alphabet {
        Alphabet::Gsm7 => {
            if gsm7::is_identity(octets)
                && let Ok(text) = core::str::from_utf8(octets)
            {
                return Ok(text);
            }
            if let Some(at) = gsm7::first_unknown(octets) {
                return wrong(at);
            }
        }
        Alphabet::Latin1 => {}
        Alphabet::Ucs2 => {
            if !octets.len().is_multiple_of(2) {
                return wrong(octets.len() - 1);
            }
            let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let mut at = 0;
            for character in char::decode_utf16(units) {
                let Ok(character) = character else { return wrong(at) };
                at += character.len_utf16() * 2;
            }
        }
    }
    scratch.clear();
    read(alphabet, octets, scratch);
    Ok(scratch)
}

/// Appends the text of user data without its header: what a handset would show. GSM 7-bit one septet to an octet.
pub fn read(alphabet: Alphabet, octets: &[u8], out: &mut String) {
    match alphabet {
        Alphabet::Gsm7 => gsm7::read(octets, out),
        Alphabet::Latin1 => out.extend(octets.iter().map(|octet| char::from(*octet))),
        Alphabet::Ucs2 => {
            let units = octets.chunks(2).map(|pair| match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                _ => 0xFFFD,
            });
            out.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
    }
}

/// Appends the text of user data in packed GSM 7-bit, which starts behind a header of `header_bytes` (0 for none).
pub fn read_packed(octets: &[u8], header_bytes: usize, out: &mut String) {
    let mut codes = Vec::with_capacity(USER_DATA_SEPTETS);
    gsm7::unpack(octets, fill_bits(header_bytes), &mut codes);
    gsm7::read(&codes, out);
}
