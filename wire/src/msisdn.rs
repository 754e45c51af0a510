//! A recipient's number.
//!
//! ITU-T E.164 allows 15 digits after the country code's plus. Fifteen digits of four bits and their count fit into one
//! word, so a recipient costs eight bytes in every table and compares in one instruction. Numbers that are longer than
//! E.164 allows are refused where they come in.

use core::fmt;
use core::str::FromStr;

/// The longest international number (E.164 §6.2.1), in digits.
pub const DIGITS_MAX: usize = 15;

/// Bits of a word that hold digits, four to each.
const DIGIT_BITS: u32 = 60;

/// An international number: up to 15 digits, the first in the highest of the low 60 bits, the count in the top four.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msisdn(u64);

/// Why a text is not an international number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MsisdnError {
    /// Nothing was left after the prefix.
    #[error("expected an international number such as +4915112345678, found no digits")]
    Empty,
    /// More than [`DIGITS_MAX`] digits.
    #[error("expected at most 15 digits (E.164), found more")]
    TooLong,
    /// Something else than a digit.
    #[error("expected digits after an optional '+' or '00', found {0:?}")]
    NotADigit(char),
}

impl Msisdn {
    /// Reads `+4915112345678`, `004915112345678` or `4915112345678`.
    ///
    /// # Errors
    /// [`MsisdnError`] says what stands in the way.
    pub fn parse(text: &[u8]) -> Result<Self, MsisdnError> {
        let digits = match text {
            [b'+', rest @ ..] | [b'0', b'0', rest @ ..] => rest,
            whole => whole,
        };
        if digits.is_empty() {
            return Err(MsisdnError::Empty);
        }
        if digits.len() > DIGITS_MAX {
            return Err(MsisdnError::TooLong);
        }
        let mut word = 0_u64;
        for &byte in digits {
            if !byte.is_ascii_digit() {
                return Err(MsisdnError::NotADigit(char::from(byte)));
            }
            word = word << 4 | u64::from(byte - b'0');
        }
        word <<= 4 * (DIGITS_MAX - digits.len());
        Ok(Self(word | (digits.len() as u64) << 60))
    }

    /// The word that [`Msisdn::to_word`] gave, from a record or a frame.
    #[must_use]
    pub fn from_word(word: u64) -> Option<Self> {
        let digits = usize::try_from(word >> 60).ok()?;
        let mut rest = word << 4;
        for place in 0..DIGITS_MAX {
            let digit = rest >> 60;
            if if place < digits { digit > 9 } else { digit != 0 } {
                return None;
            }
            rest <<= 4;
        }
        (digits > 0).then_some(Self(word))
    }

    /// One word that stands for the number, the same everywhere and for ever.
    #[must_use]
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// The digits as ASCII, without plus, in `buffer`.
    pub fn write_digits(self, buffer: &mut [u8; DIGITS_MAX]) -> &[u8] {
        let count = (self.0 >> 60) as usize;
        let mut rest = self.0 << 4;
        for place in buffer.iter_mut().take(count) {
            *place = b'0' + (rest >> 60) as u8;
            rest <<= 4;
        }
        &buffer[..count]
    }

    /// Whether the number starts with the digits of `prefix`.
    #[must_use]
    pub const fn starts_with(self, prefix: Self) -> bool {
        let count = prefix.0 >> 60;
        let shift = DIGIT_BITS as u64 - 4 * count;
        self.0 >> 60 >= count && (self.0 ^ prefix.0) << 4 >> 4 >> shift == 0
    }

    /// The first `digits` digits as a number of their own, or the whole when it has no more.
    #[must_use]
    pub const fn prefix(self, digits: u32) -> Self {
        let count = self.0 >> 60;
        if digits as u64 >= count {
            return self;
        }
        let shift = DIGIT_BITS - 4 * digits;
        let kept = if shift >= DIGIT_BITS { 0 } else { (self.0 << 4 >> 4) >> shift << shift };
        Self(kept | (digits as u64) << 60)
    }

    /// How many digits it has.
    #[must_use]
    pub const fn digits(self) -> u32 {
        (self.0 >> 60) as u32
    }
}

impl FromStr for Msisdn {
    type Err = MsisdnError;
    fn from_str(text: &str) -> Result<Self, MsisdnError> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; DIGITS_MAX];
        f.write_str("+")?;
        self.write_digits(&mut buffer).iter().try_for_each(|&digit| write!(f, "{}", char::from(digit)))
    }
}

impl fmt::Debug for Msisdn {
    /// The last four digits are hidden: a debug print ends in a log, and logs hold no whole numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.prefix(self.digits().saturating_sub(4)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_are_one_number() {
        let plus: Msisdn = "+4915112345678".parse().unwrap();
        assert_eq!("004915112345678".parse(), Ok(plus));
        assert_eq!("4915112345678".parse(), Ok(plus));
        assert_eq!(plus.to_string(), "+4915112345678");
        assert_eq!(Msisdn::from_word(plus.to_word()), Some(plus));
    }

    #[test]
    fn what_is_no_number_is_refused_with_the_reason() {
        assert_eq!("+".parse::<Msisdn>(), Err(MsisdnError::Empty));
        assert_eq!("+1234567890123456".parse::<Msisdn>(), Err(MsisdnError::TooLong));
        assert_eq!("+49 151".parse::<Msisdn>(), Err(MsisdnError::NotADigit(' ')));
        assert_eq!(Msisdn::from_word(0xF << 56 | 1 << 60), None);
    }

    #[test]
    fn prefixes_compare_digit_by_digit() {
        let number: Msisdn = "+4915112345678".parse().unwrap();
        let prefix = |text: &str| text.parse::<Msisdn>().unwrap();
        assert!(number.starts_with(prefix("49")) && number.starts_with(prefix("4915112345678")));
        assert!(!number.starts_with(prefix("48")) && !number.starts_with(prefix("49151123456780")));
        assert_eq!(number.prefix(4), prefix("4915"));
        assert_eq!(number.prefix(40), number);
        assert_eq!(number.prefix(0).digits(), 0);
    }
}
