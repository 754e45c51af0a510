//! What a handset sent to a number of ours: a `deliver_sm` or `data_sm` of a carrier that is no receipt, read.
//!
//! ```text
//!   deliver_sm · data_sm ──▶ from, to, which part of what, octets in an alphabet ──▶ (all parts) ──▶ text
//! ```
//!
//! The octets of parts are put together before they are decoded, since some handsets cut between the two halves of a
//! character. What is packed is unpacked here, part by part, as each begins on an octet of its own.

use std::borrow::Cow;

use thiserror::Error;
use xxhash_rust::xxh3::Xxh3Default;

use super::fields::{Address, DataCoding, EsmClass};
use super::limits::HANDSET_OCTETS_MAX;
use super::query::DataSm;
use super::sm::Sm;
use super::status::CommandStatus;
use super::tlv::{Tag, Tlvs};
use crate::msisdn::Msisdn;
use crate::text::{self, Alphabet, Narrow, PartHeader};

/// How the octets of a part are characters; the numbers are in records and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Coding {
    /// GSM 7-bit, one septet to an octet.
    Gsm7 = 0,
    /// ISO 8859-1, and ASCII in it.
    Latin1 = 1,
    /// UTF-16, big-endian.
    Ucs2 = 2,
    /// UTF-8: what came packed and was unpacked.
    Utf8 = 3,
}

impl Coding {
    /// The coding of a number in a record.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Gsm7,
            1 => Self::Latin1,
            2 => Self::Ucs2,
            3 => Self::Utf8,
            _ => return None,
        })
    }

    /// Appends the text of octets: what a handset would show.
    pub fn read(self, octets: &[u8], out: &mut String) {
        match self {
            Self::Gsm7 => text::read(Alphabet::Gsm7, octets, out),
            Self::Latin1 => text::read(Alphabet::Latin1, octets, out),
            Self::Ucs2 => text::read(Alphabet::Ucs2, octets, out),
            Self::Utf8 => out.push_str(&String::from_utf8_lossy(octets)),
        }
    }
}

/// What a handset sent, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandsetSm<'a> {
    /// The handset.
    pub source: Msisdn,
    /// The number of ours that it was sent to.
    pub destination: Msisdn,
    /// Which part of a long text it is; `None`: it is whole.
    pub part: Option<PartHeader>,
    /// How its octets are characters.
    pub coding: Coding,
    /// Its text, without a header.
    pub octets: Cow<'a, [u8]>,
    /// A hash of all that the carrier said but for the PDU's number; of a part, of what makes it this part.
    pub fingerprint: u64,
}

/// Why a carrier's PDU is no message that could be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandsetError {
    /// The sender is no number.
    #[error("the sender is not a number of at most 15 digits")]
    Source,
    /// The number that it was sent to is none.
    #[error("the number that it was sent to is not one of at most 15 digits")]
    Destination,
    /// Octets that are no text, or an alphabet that is not known.
    #[error("data_coding {0:#04x} is no text that can be read")]
    Coding(u8),
    /// `esm_class` says that there is a header, and it runs over the end.
    #[error("the user data header runs over the end")]
    Header,
    /// The text is longer than any that handsets send.
    #[error("a text of {0} octets, expected at most {HANDSET_OCTETS_MAX}")]
    Long(usize),
}

impl HandsetError {
    /// What its carrier is answered: none of these is worth sending again.
    #[must_use]
    pub const fn status(self) -> CommandStatus {
        match self {
            Self::Source => CommandStatus::ESME_RINVSRCADR,
            Self::Destination => CommandStatus::ESME_RINVDSTADR,
            Self::Coding(_) | Self::Header => CommandStatus::ESME_RX_R_APPN,
            Self::Long(_) => CommandStatus::ESME_RINVMSGLEN,
        }
    }
}

/// What `deliver_sm` and `data_sm` have in common.
struct Said<'a> {
    service_type: &'a [u8],
    addresses: [Address<'a>; 2],
    octets_of_fields: [u8; 3],
    text: &'a [u8],
    tlvs: Tlvs<'a>,
}

impl<'a> HandsetSm<'a> {
    /// Reads a `deliver_sm` of a carrier whose default alphabet is `narrow`.
    ///
    /// # Errors
    /// [`HandsetError`]; its status is the answer.
    pub fn read(sm: &Sm<'a>, narrow: Narrow) -> Result<Self, HandsetError> {
        let said = Said {
            service_type: sm.service_type,
            addresses: [sm.source, sm.destination],
            octets_of_fields: [sm.esm_class.0, sm.data_coding.0, sm.protocol_id],
            text: sm.text(),
            tlvs: sm.tlvs,
        };
        Self::of(&said, sm.esm_class, sm.data_coding, narrow)
    }

    /// Reads a `data_sm`.
    ///
    /// # Errors
    /// [`HandsetError`]; its status is the answer.
    pub fn read_data(data: &DataSm<'a>, narrow: Narrow) -> Result<Self, HandsetError> {
        let said = Said {
            service_type: data.service_type,
            addresses: [data.source, data.destination],
            octets_of_fields: [data.esm_class.0, data.data_coding.0, 0],
            text: data.text(),
            tlvs: data.tlvs,
        };
        Self::of(&said, data.esm_class, data.data_coding, narrow)
    }

    fn of(
        said: &Said<'a>,
        esm_class: EsmClass,
        data_coding: DataCoding,
        narrow: Narrow,
    ) -> Result<Self, HandsetError> {
        let [source, destination] = said.addresses.map(|address| Msisdn::parse(address.octets));
        let source = source.map_err(|_| HandsetError::Source)?;
        let destination = destination.map_err(|_| HandsetError::Destination)?;
        let (part, octets) = if esm_class.has_udh() {
            PartHeader::read_udh(said.text).ok_or(HandsetError::Header)?
        } else {
            (sar_part(said.tlvs), said.text)
        };
        if octets.len() > HANDSET_OCTETS_MAX {
            return Err(HandsetError::Long(octets.len()));
        }
        let header_bytes = said.text.len() - octets.len();
        let (coding, octets) = coded(octets, header_bytes, data_coding, narrow)?;
        // A text of one part needs nobody to wait for.
        let part = part.filter(|part| part.total > 1);
        let fingerprint = fingerprint(said, part);
        Ok(Self { source, destination, part, coding, octets, fingerprint })
    }
}

/// The part that the `sar_*` parameters name (§5.3.2.22).
fn sar_part(tlvs: Tlvs<'_>) -> Option<PartHeader> {
    let number = |tag| tlvs.find(tag)?.number();
    let part = PartHeader {
        reference: u16::try_from(number(Tag::SAR_MSG_REF_NUM)?).ok()?,
        total: u8::try_from(number(Tag::SAR_TOTAL_SEGMENTS)?).ok()?,
        number: u8::try_from(number(Tag::SAR_SEGMENT_SEQNUM)?).ok()?,
    };
    (part.number >= 1 && part.number <= part.total).then_some(part)
}

/// The coding of a `data_coding` (§5.2.19, and the groups of 3GPP TS 23.038 §4 that carriers hand through), and the octets
/// in it.
fn coded(
    octets: &[u8],
    header_bytes: usize,
    data_coding: DataCoding,
    narrow: Narrow,
) -> Result<(Coding, Cow<'_, [u8]>), HandsetError> {
    let coding = match (data_coding.0, narrow) {
        (0, Narrow::Latin1) | (1 | 3, _) => Coding::Latin1,
        (0x00 | 0x10..=0x13 | 0xF0..=0xF3, Narrow::Gsm7Packed) => {
            let mut unpacked = String::new();
            text::read_packed(octets, header_bytes, &mut unpacked);
            return Ok((Coding::Utf8, Cow::Owned(unpacked.into_bytes())));
        }
        (0x00 | 0x10..=0x13 | 0xF0..=0xF3, _) => Coding::Gsm7,
        (0x08 | 0x18..=0x1B, _) => Coding::Ucs2,
        (other, _) => return Err(HandsetError::Coding(other)),
    };
    Ok((coding, Cow::Borrowed(octets)))
}

fn fingerprint(said: &Said<'_>, part: Option<PartHeader>) -> u64 {
    let mut hash = Xxh3Default::new();
    let mut put = |octets: &[u8]| {
        hash.update(&(octets.len() as u64).to_le_bytes());
        hash.update(octets);
    };
    for address in said.addresses {
        put(address.octets);
    }
    put(&said.octets_of_fields);
    put(said.text);
    match part {
        // Carriers number their repetitions anew in parameters of their own; a part's own number is enough.
        Some(part) => {
            put(&part.reference.to_le_bytes());
            put(&[part.total, part.number]);
        }
        None => {
            put(said.service_type);
            put(said.tlvs.as_bytes());
        }
    }
    hash.digest().max(1)
}

#[cfg(test)]
mod tests {
    use super::super::put_tlv;
    use super::*;

    fn sm(text: &[u8]) -> Sm<'_> {
        Sm {
            source: Address::international(b"4915112345678"),
            destination: Address { octets: b"12345", ..Address::default() },
            short_message: text,
            ..Sm::default()
        }
    }

    fn text_of(sm: &Sm<'_>, narrow: Narrow) -> String {
        let read = HandsetSm::read(sm, narrow).unwrap();
        let mut text = String::new();
        read.coding.read(&read.octets, &mut text);
        text
    }

    #[test]
    fn every_alphabet_is_text() {
        assert_eq!(text_of(&sm(b"STOP \x00 \x1be"), Narrow::Gsm7), "STOP @ €");
        assert_eq!(text_of(&sm(b"Gr\xfc\xdfe"), Narrow::Latin1), "Grüße");
        assert_eq!(text_of(&sm(&[0xC8, 0x34]), Narrow::Gsm7Packed), "Hi");
        let with = |coding, text| Sm { data_coding: DataCoding(coding), ..sm(text) };
        assert_eq!(text_of(&with(8, &[0x04, 0x36, 0xD8, 0x3D, 0xDE, 0x00]), Narrow::Gsm7), "ж😀");
        assert_eq!(text_of(&with(3, b"\xe9"), Narrow::Gsm7), "é");
        assert_eq!(text_of(&with(0xF1, b"flash\x02"), Narrow::Gsm7), "flash$");
        let binary = HandsetSm::read(&with(4, b"\x00\x01"), Narrow::Gsm7);
        assert_eq!(binary, Err(HandsetError::Coding(4)));
        assert_eq!(binary.unwrap_err().status(), CommandStatus::ESME_RX_R_APPN);
    }

    #[test]
    fn parts_are_named_by_a_header_or_by_parameters_and_one_of_one_is_whole() {
        let part = |sm: &Sm<'_>| HandsetSm::read(sm, Narrow::Gsm7).unwrap().part;
        let udh = |text| Sm { esm_class: EsmClass::UDHI, ..sm(text) };
        let of = |reference, total, number| Some(PartHeader { reference, total, number });
        assert_eq!(part(&udh(&[5, 0, 3, 9, 2, 1, b'a'])), of(9, 2, 1));
        assert_eq!(part(&udh(&[6, 8, 4, 1, 9, 2, 2, b'a'])), of(0x109, 2, 2));
        assert_eq!(part(&udh(&[5, 0, 3, 9, 1, 1, b'a'])), None);
        assert_eq!(HandsetSm::read(&udh(&[9, 0, 3]), Narrow::Gsm7), Err(HandsetError::Header));
        let mut tlvs = Vec::new();
        put_tlv(&mut tlvs, Tag::SAR_MSG_REF_NUM, &[2, 1]);
        put_tlv(&mut tlvs, Tag::SAR_TOTAL_SEGMENTS, &[3]);
        put_tlv(&mut tlvs, Tag::SAR_SEGMENT_SEQNUM, &[2]);
        assert_eq!(part(&Sm { tlvs: Tlvs::new(&tlvs).unwrap(), ..sm(b"a") }), of(0x201, 3, 2));
    }

    #[test]
    fn a_data_sm_says_the_same_and_what_is_no_number_is_refused() {
        let mut tlvs = Vec::new();
        put_tlv(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"STOP");
        let plain = sm(b"");
        let tlvs = Tlvs::new(&tlvs).unwrap();
        let data = DataSm { source: plain.source, destination: plain.destination, tlvs, ..DataSm::default() };
        let read = HandsetSm::read_data(&data, Narrow::Gsm7).unwrap();
        assert_eq!((&*read.octets, read.part), (&b"STOP"[..], None));
        let letters = Sm { source: Address::alphanumeric(b"Acme"), ..sm(b"x") };
        assert_eq!(HandsetSm::read(&letters, Narrow::Gsm7), Err(HandsetError::Source));
        let long = vec![b'x'; HANDSET_OCTETS_MAX + 1];
        assert_eq!(HandsetSm::read(&sm(&long), Narrow::Gsm7), Err(HandsetError::Long(long.len())));
    }

    #[test]
    fn a_repetition_has_the_same_fingerprint_and_nothing_else_has() {
        let of = |sm: &Sm<'_>| HandsetSm::read(sm, Narrow::Gsm7).unwrap().fingerprint;
        let first = of(&sm(b"YES"));
        assert_eq!(first, of(&sm(b"YES")));
        assert_ne!(first, of(&sm(b"NO")));
        assert_ne!(first, of(&Sm { service_type: b"x", ..sm(b"YES") }));
        assert_ne!(first, of(&Sm { source: Address::international(b"4915112345679"), ..sm(b"YES") }));
        let udh = |text| Sm { esm_class: EsmClass::UDHI, ..sm(text) };
        assert_ne!(of(&udh(&[5, 0, 3, 9, 2, 1, b'a'])), of(&udh(&[5, 0, 3, 9, 2, 2, b'a'])));
    }

    #[test]
    fn any_octets_are_a_message_or_an_error() {
        bolero::check!().for_each(|octets: &[u8]| {
            let mut text = String::new();
            for narrow in [Narrow::Gsm7, Narrow::Gsm7Packed, Narrow::Latin1] {
                if let Ok(sm) = Sm::decode(octets)
                    && let Ok(read) = HandsetSm::read(&sm, narrow)
                {
                    read.coding.read(&read.octets, &mut text);
                }
                let plain = Sm { esm_class: EsmClass::UDHI, ..sm(octets) };
                if let Ok(read) = HandsetSm::read(&plain, narrow) {
                    read.coding.read(&read.octets, &mut text);
                }
            }
        });
    }
}
