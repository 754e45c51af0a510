//! Parts of a long text: how they say that they belong together (3GPP TS 23.040 §9.2.3.24).
//!
//! ```text
//! octets  05 00 03 rr tt nn      8-bit reference (IEI 00), 6 octets
//!         06 08 04 rr rr tt nn   16-bit reference (IEI 08), 7 octets
//! ```

/// How a carrier wants the parts of a long text. One way to a carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Concatenation {
    /// A user data header with an 8-bit reference.
    #[default]
    Udh8,
    /// A user data header with a 16-bit reference.
    Udh16,
    /// The `sar_*` TLVs; the carrier writes the header.
    Sar,
    /// The whole text in `message_payload`; the carrier cuts it.
    Payload,
}

impl Concatenation {
    /// Octets of a part's user data that the header takes, now or at the carrier.
    #[must_use]
    pub const fn header_bytes(self) -> usize {
        match self {
            Self::Udh8 | Self::Sar | Self::Payload => 6,
            Self::Udh16 => 7,
        }
    }
}

/// Which part of which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartHeader {
    /// The same in all parts of a text, and different in texts that follow each other between the same two addresses.
    /// Of an 8-bit reference only the low octet is sent.
    pub reference: u16,
    /// How many parts there are.
    pub total: u8,
    /// Which it is, from 1.
    pub number: u8,
}

impl PartHeader {
    /// Appends the user data header; nothing for the ways that have none. `true` if there is one: `esm_class` must say so.
    pub fn put_udh(self, concatenation: Concatenation, out: &mut Vec<u8>) -> bool {
        let [high, low] = self.reference.to_be_bytes();
        match concatenation {
            Concatenation::Udh8 => out.extend_from_slice(&[5, 0, 3, low, self.total, self.number]),
            Concatenation::Udh16 => out.extend_from_slice(&[6, 8, 4, high, low, self.total, self.number]),
            Concatenation::Sar | Concatenation::Payload => return false,
        }
        true
    }

    /// Reads the header in front of a text whose `esm_class` says that there is one: the part, if an element names it,
    /// and the text behind the header. `None` when the header runs over the end.
    #[must_use]
    pub fn read_udh(user_data: &[u8]) -> Option<(Option<Self>, &[u8])> {
        let (length, rest) = user_data.split_first()?;
        let (mut elements, text) = rest.split_at_checked(usize::from(*length))?;
        let mut part = None;
        while let [id, length, rest @ ..] = elements {
            let (value, rest) = rest.split_at_checked(usize::from(*length))?;
            part = match (*id, value) {
                (0x00, &[low, total, number]) => Some(Self { reference: u16::from(low), total, number }),
                (0x08, &[high, low, total, number]) => {
                    Some(Self { reference: u16::from_be_bytes([high, low]), total, number })
                }
                _ => part,
            };
            elements = rest;
        }
        // A part outside of its text is to be ignored (§9.2.3.24.1).
        Some((part.filter(|part| part.number >= 1 && part.number <= part.total), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_other_elements_pass() {
        let part = PartHeader { reference: 0x1234, total: 3, number: 2 };
        for (concatenation, reference) in [(Concatenation::Udh8, 0x34), (Concatenation::Udh16, 0x1234)] {
            let mut out = Vec::new();
            assert!(part.put_udh(concatenation, &mut out));
            assert_eq!(out.len(), concatenation.header_bytes());
            out.extend_from_slice(b"text");
            let read = PartHeader::read_udh(&out);
            assert_eq!(read, Some((Some(PartHeader { reference, ..part }), &b"text"[..])));
        }
        assert_eq!(PartHeader::read_udh(&[3, 0x24, 1, 1, b'x']), Some((None, &b"x"[..])));
        assert_eq!(PartHeader::read_udh(&[5, 0, 3, 9, 2, 3]), Some((None, &b""[..])));
        for cut in [&[][..], &[5, 0, 3], &[2, 0, 9]] {
            assert_eq!(PartHeader::read_udh(cut), None);
        }
    }
}
