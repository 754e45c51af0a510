//! `submit_sm` and `deliver_sm`: one layout for both (SMPP 3.4 §4.4.1, §4.6.1), and their responses.
//!
//! The view borrows the frame and copies nothing. In a `deliver_sm` the sender is the handset, or the recipient of the
//! message that a receipt is about.

use super::command::{CommandId, Sequence};
use super::fields::{Address, DataCoding, EsmClass, Npi, RegisteredDelivery, Ton};
use super::header::{Header, end_pdu};
use super::limits::SHORT_MESSAGE_BYTES_MAX;
use super::reader::{DecodeError, Reader, put_c_octets};
use super::tlv::{Tag, Tlvs};

use thiserror::Error;

/// A short message: the body of `submit_sm` or `deliver_sm`. The names are the specification's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sm<'a> {
    /// §5.2.11; empty is the default.
    pub service_type: &'a [u8],
    /// Who sends.
    pub source: Address<'a>,
    /// Who shall get it.
    pub destination: Address<'a>,
    /// §5.2.12.
    pub esm_class: EsmClass,
    /// §5.2.13.
    pub protocol_id: u8,
    /// §5.2.14.
    pub priority_flag: u8,
    /// §5.2.15; empty is now.
    pub schedule_delivery_time: &'a [u8],
    /// §5.2.16; empty is the MC's default. See [`super::validity`].
    pub validity_period: &'a [u8],
    /// §5.2.17.
    pub registered_delivery: RegisteredDelivery,
    /// §5.2.18.
    pub replace_if_present_flag: u8,
    /// §5.2.19.
    pub data_coding: DataCoding,
    /// §5.2.20.
    pub sm_default_msg_id: u8,
    /// §5.2.22, with its user data header if `esm_class` says so. At most 255 octets; see [`Sm::text`].
    pub short_message: &'a [u8],
    /// The optional parameters.
    pub tlvs: Tlvs<'a>,
}

/// A message that does not fit in a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("short_message has {bytes} octets, expected at most 255 (longer ones go into message_payload)")]
pub struct TooLong {
    /// What it has.
    pub bytes: usize,
}

impl<'a> Sm<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field or a TLV runs over the end.
    #[inline]
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets()?;
        let source = address(&mut reader)?;
        let destination = address(&mut reader)?;
        let [esm_class, protocol_id, priority_flag] = reader.array()?;
        let schedule_delivery_time = reader.c_octets()?;
        let validity_period = reader.c_octets()?;
        let [registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id, sm_length] =
            reader.array()?;
        let short_message = reader.take(usize::from(sm_length))?;
        let tlvs = Tlvs::new(reader.rest())?;
        Ok(Self {
            service_type,
            source,
            destination,
            esm_class: EsmClass(esm_class),
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered_delivery),
            replace_if_present_flag,
            data_coding: DataCoding(data_coding),
            sm_default_msg_id,
            short_message,
            tlvs,
        })
    }

    /// Appends the PDU: `command` is `submit_sm` or `deliver_sm`.
    ///
    /// # Errors
    /// [`TooLong`] when the text needs `message_payload`; nothing is appended.
    #[inline]
    pub fn encode(&self, command: CommandId, sequence: Sequence, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let Ok(sm_length) = u8::try_from(self.short_message.len()) else {
            return Err(TooLong { bytes: self.short_message.len() });
        };
        let text_and_tlvs = self.short_message.len() + self.tlvs.as_bytes().len();
        out.reserve(PDU_BYTES_WITHOUT_TEXT + text_and_tlvs);
        let start = Header::request(command, sequence).begin(out);
        put_c_octets(out, self.service_type);
        put_address(out, self.source);
        put_address(out, self.destination);
        out.extend_from_slice(&[self.esm_class.0, self.protocol_id, self.priority_flag]);
        put_c_octets(out, self.schedule_delivery_time);
        put_c_octets(out, self.validity_period);
        out.extend_from_slice(&[
            self.registered_delivery.0,
            self.replace_if_present_flag,
            self.data_coding.0,
            self.sm_default_msg_id,
            sm_length,
        ]);
        out.extend_from_slice(self.short_message);
        out.extend_from_slice(self.tlvs.as_bytes());
        end_pdu(out, start);
        Ok(())
    }

    /// The text, wherever it is: `message_payload` when `short_message` is empty (§5.3.2.32).
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        if self.short_message.is_empty() {
            self.tlvs.find(Tag::MESSAGE_PAYLOAD).map_or(&[], |tlv| tlv.value)
        } else {
            self.short_message
        }
    }
}

/// What a PDU without text and TLVs can have when its fields keep to the specification; a hint to reserve, no bound.
const PDU_BYTES_WITHOUT_TEXT: usize = 128;

const _: () = assert!(SHORT_MESSAGE_BYTES_MAX == 255, "sm_length is one octet");

#[inline]
pub(crate) fn address<'a>(reader: &mut Reader<'a>) -> Result<Address<'a>, DecodeError> {
    let [ton, npi] = reader.array()?;
    Ok(Address { ton: Ton(ton), npi: Npi(npi), octets: reader.c_octets()? })
}

#[inline]
pub(crate) fn put_address(out: &mut Vec<u8>, address: Address<'_>) {
    out.extend_from_slice(&[address.ton.0, address.npi.0]);
    put_c_octets(out, address.octets);
}

/// The body of `submit_sm_resp`, `deliver_sm_resp` or `data_sm_resp` (§4.4.2, §4.6.2, §4.7.2): a message id, which may be
/// missing, without its NUL, or followed by TLVs. It cannot be malformed: an answer that cannot be read is worse than
/// one without an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmResp<'a> {
    /// Empty when there is none.
    pub message_id: &'a [u8],
    /// What follows it; none when it is not well formed.
    pub tlvs: Tlvs<'a>,
}

impl<'a> SmResp<'a> {
    /// Reads a body.
    #[inline]
    #[must_use]
    pub fn decode(body: &'a [u8]) -> Self {
        let mut reader = Reader::new(body);
        match reader.c_octets() {
            Ok(message_id) => Self { message_id, tlvs: Tlvs::new(reader.rest()).unwrap_or_default() },
            Err(_) => Self { message_id: body, tlvs: Tlvs::NONE },
        }
    }

    /// Appends the response `header`. The body of a `submit_sm_resp` that refuses is left out (§4.4.2).
    #[inline]
    pub fn encode(&self, header: Header, out: &mut Vec<u8>) {
        let start = header.begin(out);
        if header.status.is_ok() || header.command != CommandId::SUBMIT_SM_RESP {
            put_c_octets(out, self.message_id);
            out.extend_from_slice(self.tlvs.as_bytes());
        }
        end_pdu(out, start);
    }
}
