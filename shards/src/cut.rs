//! How a message's text is cut into parts, in one byte: what a carrier's profile says of texts, as far as the number of parts
//! and their borders follow from it.
//!
//! ```text
//!   bits 1-0  the narrow alphabet        bits 3-2  how parts say that they belong together      bit 4  typography
//! ```
//!
//! It is logged with each attempt, since carriers cut differently: a text of which one carrier has a part is finished only
//! by carriers that cut it at the same places.

use wire::smpp::profile::Profile;
use wire::text::{Concatenation, Narrow, Style, Typography};

/// A way to cut. The byte of a record, and of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut(u8);

/// The bits that mean something.
const BITS: u8 = 0x1F;

impl Cut {
    /// That of [`Style::DEFAULT`], by which submissions are counted.
    pub(crate) const DEFAULT: Self = Self(0);

    /// That of a carrier.
    pub(crate) const fn of(profile: &Profile) -> Self {
        let Style { narrow, concatenation } = profile.texts.style;
        let narrow = match narrow {
            Narrow::Gsm7 => 0,
            Narrow::Gsm7Packed => 1,
            Narrow::Latin1 => 2,
        };
        let concatenation = match concatenation {
            Concatenation::Udh8 => 0,
            Concatenation::Udh16 => 1,
            Concatenation::Sar => 2,
            Concatenation::Payload => 3,
        };
        let typography = match profile.texts.typography {
            Typography::Kept => 0,
            Typography::Plain => 1,
        };
        Self(narrow | concatenation << 2 | typography << 4)
    }

    /// The byte of a record; bits that a later version may have are passed over.
    pub(crate) const fn from_byte(byte: u8) -> Self {
        Self(byte & BITS)
    }

    pub(crate) const fn byte(self) -> u8 {
        self.0
    }

    /// The two bits of an alphabet, and these, in the byte that a snapshot has for the alphabet.
    pub(crate) const fn beside(self, alphabet: u8) -> u8 {
        alphabet & 0x03 | self.0 << 2
    }

    /// What [`Cut::beside`] made a byte of.
    pub(crate) const fn split(byte: u8) -> (u8, Self) {
        (byte & 0x03, Self(byte >> 2 & BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_cuts_in_a_way_that_comes_back() {
        let mut seen = Vec::new();
        for (name, make) in Profile::SHIPPED {
            let cut = Cut::of(&make());
            assert_eq!(Cut::from_byte(cut.byte()), cut, "{name}");
            for alphabet in 0..3 {
                assert_eq!(Cut::split(cut.beside(alphabet)), (alphabet, cut), "{name}");
            }
            if !seen.contains(&cut) {
                seen.push(cut);
            }
        }
        assert_eq!(Cut::of(&Profile::GENERIC), Cut::DEFAULT);
        assert_eq!(Cut::split(2), (2, Cut::DEFAULT), "snapshots of before say nothing of it");
        // generic, latin1-default, packed-gsm7, sar-parts, payload.
        assert_eq!(seen.len(), 5);
    }
}
