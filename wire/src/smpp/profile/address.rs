//! Senders and recipients as a carrier takes them: their type, their plan, and how numbers are written.

use thiserror::Error;

use super::super::fields::{Address, Npi, Ton};
use super::super::limits::{ADDRESS_BYTES_MAX, SENDER_LETTERS_STANDARD};
use super::Profile;
use crate::msisdn::{DIGITS_MAX, Msisdn};

/// What stands before the country code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Nothing: `4915112345678`.
    Plain,
    /// A plus: `+4915112345678`.
    Plus,
    /// Two zeros: `004915112345678`.
    DoubleZero,
}

/// How a carrier takes numbers with their country code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NumberForm {
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan.
    pub npi: Npi,
    /// What stands before the country code.
    pub spelling: Spelling,
}

impl NumberForm {
    /// By the specification: TON 1, NPI 1, digits alone.
    pub const INTERNATIONAL: Self =
        Self { ton: Ton::INTERNATIONAL, npi: Npi::ISDN, spelling: Spelling::Plain };

    /// Writes a number.
    fn address(self, number: Msisdn, buffer: &mut [u8; ADDRESS_BYTES_MAX]) -> Address<'_> {
        let prefix: &[u8] = match self.spelling {
            Spelling::Plain => b"",
            Spelling::Plus => b"+",
            Spelling::DoubleZero => b"00",
        };
        let mut digits = [0; DIGITS_MAX];
        let digits = number.write_digits(&mut digits);
        let octets = &mut buffer[..prefix.len() + digits.len()];
        octets[..prefix.len()].copy_from_slice(prefix);
        octets[prefix.len()..].copy_from_slice(digits);
        Address { ton: self.ton, npi: self.npi, octets }
    }
}

/// Senders of a few digits, which are no telephone numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShortCodes {
    /// So many digits make a short code at most.
    pub digits_max: u8,
    /// Their type.
    pub ton: Ton,
    /// Their plan.
    pub npi: Npi,
}

/// Which letters a sender may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letters {
    /// Letters and digits of ASCII, and blanks.
    Plain,
    /// Whatever of ASCII can be seen, and blanks.
    Ascii,
    /// The same of Latin-1.
    Latin1,
}

/// Senders of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LettersRule {
    /// How many at most; handsets show 11 (3GPP TS 23.040 §9.1.2.5).
    pub chars_max: u8,
    /// Which.
    pub letters: Letters,
}

/// How a carrier takes senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SenderRules {
    /// Telephone numbers.
    pub number: NumberForm,
    /// Short codes; `None`: they are sent as numbers.
    pub short_codes: Option<ShortCodes>,
    /// Names; `None`: it takes none.
    pub letters: Option<LettersRule>,
}

impl SenderRules {
    /// International numbers, short codes of up to seven digits with TON 3 and NPI 0, and names with TON 5 and NPI 0: what
    /// several aggregators print as the rule of the field.
    pub const GENERIC: Self = Self {
        number: NumberForm::INTERNATIONAL,
        short_codes: Some(ShortCodes { digits_max: 7, ton: Ton::NETWORK_SPECIFIC, npi: Npi::UNKNOWN }),
        letters: Some(LettersRule { chars_max: SENDER_LETTERS_STANDARD, letters: Letters::Ascii }),
    };
}

/// A sender that the carrier would not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SenderError {
    /// Nothing was named.
    #[error("the sender is empty, expected a number or a name")]
    Empty,
    /// The carrier takes no names.
    #[error("the sender is a name, and the carrier takes numbers only")]
    NoLetters,
    /// The name is too long.
    #[error("the sender has {chars} characters, expected at most {chars_max}")]
    TooLong {
        /// What it has.
        chars: usize,
        /// What the carrier takes.
        chars_max: u8,
    },
    /// The carrier does not take this character.
    #[error("the sender has {0:?}, which the carrier does not take in a name")]
    Character(char),
    /// Digits, and too many for a number.
    #[error("the sender has more than 15 digits")]
    TooManyDigits,
}

impl Profile {
    /// A recipient's address. The buffer holds it.
    #[must_use]
    pub fn recipient<'a>(&self, number: Msisdn, buffer: &'a mut [u8; ADDRESS_BYTES_MAX]) -> Address<'a> {
        self.recipient.address(number, buffer)
    }

    /// A sender's address: a short code, a number (also with `+` or `00`), or a name. The buffer holds it.
    ///
    /// # Errors
    /// [`SenderError`] when the carrier would not take it.
    pub fn sender<'a>(
        &self,
        text: &str,
        buffer: &'a mut [u8; ADDRESS_BYTES_MAX],
    ) -> Result<Address<'a>, SenderError> {
        if text.is_empty() {
            return Err(SenderError::Empty);
        }
        let digits = text.strip_prefix('+').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.name(text, buffer);
        }
        if let Some(codes) = self.sender.short_codes
            && digits.len() == text.len()
            && digits.len() <= usize::from(codes.digits_max)
        {
            let octets = &mut buffer[..digits.len()];
            octets.copy_from_slice(digits.as_bytes());
            return Ok(Address { ton: codes.ton, npi: codes.npi, octets });
        }
        let number: Msisdn = text.parse().map_err(|_| SenderError::TooManyDigits)?;
        Ok(self.sender.number.address(number, buffer))
    }

    /// Whether it takes every number, and every name of ASCII that a handset can show.
    #[must_use]
    pub const fn takes_all_senders(&self) -> bool {
        match self.sender.letters {
            Some(LettersRule { chars_max, letters: Letters::Ascii | Letters::Latin1 }) => {
                chars_max >= SENDER_LETTERS_STANDARD
            }
            _ => false,
        }
    }

    fn name<'a>(
        &self,
        text: &str,
        buffer: &'a mut [u8; ADDRESS_BYTES_MAX],
    ) -> Result<Address<'a>, SenderError> {
        let rule = self.sender.letters.ok_or(SenderError::NoLetters)?;
        let chars = text.chars().count();
        if chars > usize::from(rule.chars_max) {
            return Err(SenderError::TooLong { chars, chars_max: rule.chars_max });
        }
        for (octet, character) in buffer.iter_mut().zip(text.chars()) {
            let is_taken = match rule.letters {
                Letters::Plain => character.is_ascii_alphanumeric() || character == ' ',
                Letters::Ascii => character.is_ascii_graphic() || character == ' ',
                Letters::Latin1 => {
                    character.is_ascii_graphic() || matches!(character, ' ' | '\u{A1}'..='\u{FF}')
                }
            };
            *octet = match u8::try_from(character) {
                Ok(octet) if is_taken => octet,
                _ => return Err(SenderError::Character(character)),
            };
        }
        Ok(Address { ton: Ton::ALPHANUMERIC, npi: Npi::UNKNOWN, octets: &buffer[..chars] })
    }
}
