//! The PDUs beside the main road: `query_sm`, `cancel_sm`, `data_sm`, `alert_notification` (SMPP 3.4 §4.7 to §4.12).

use super::command::{CommandId, Sequence};
use super::fields::{Address, DataCoding, EsmClass, RegisteredDelivery};
use super::header::{Header, end_pdu};
use super::reader::{DecodeError, Reader, put_c_octets};
use super::sm::{address, put_address};
use super::state::MessageState;
use super::tlv::{Tag, Tlvs};

/// `query_sm` (§4.8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuerySm<'a> {
    /// The MC's id of the message.
    pub message_id: &'a [u8],
    /// The sender of that message.
    pub source: Address<'a>,
}

impl<'a> QuerySm<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self { message_id: reader.c_octets()?, source: address(&mut reader)? })
    }

    /// Appends the PDU.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) {
        let start = Header::request(CommandId::QUERY_SM, sequence).begin(out);
        put_c_octets(out, self.message_id);
        put_address(out, self.source);
        end_pdu(out, start);
    }
}

/// `query_sm_resp` (§4.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuerySmResp<'a> {
    /// The id that was asked for.
    pub message_id: &'a [u8],
    /// When the final state was reached (§7.1.1); empty when it was not.
    pub final_date: &'a [u8],
    /// §5.2.28.
    pub message_state: MessageState,
    /// The network's error, zero for none.
    pub error_code: u8,
}

impl<'a> QuerySmResp<'a> {
    /// Reads a body. An error's body may be missing: ask [`Header::status`] first.
    ///
    /// # Errors
    /// [`DecodeError`] when a field runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets()?;
        let final_date = reader.c_octets()?;
        let message_state = MessageState::from_octet(reader.u8()?);
        Ok(Self { message_id, final_date, message_state, error_code: reader.u8()? })
    }

    /// Appends the response `header`.
    pub fn encode(&self, header: Header, out: &mut Vec<u8>) {
        let start = header.begin(out);
        put_c_octets(out, self.message_id);
        put_c_octets(out, self.final_date);
        out.extend_from_slice(&[self.message_state.octet(), self.error_code]);
        end_pdu(out, start);
    }
}

/// `cancel_sm` (§4.9.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelSm<'a> {
    /// §5.2.11.
    pub service_type: &'a [u8],
    /// The MC's id of the message; empty to cancel by addresses.
    pub message_id: &'a [u8],
    /// The sender of that message.
    pub source: Address<'a>,
    /// Its recipient.
    pub destination: Address<'a>,
}

impl<'a> CancelSm<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self {
            service_type: reader.c_octets()?,
            message_id: reader.c_octets()?,
            source: address(&mut reader)?,
            destination: address(&mut reader)?,
        })
    }

    /// Appends the PDU.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) {
        let start = Header::request(CommandId::CANCEL_SM, sequence).begin(out);
        put_c_octets(out, self.service_type);
        put_c_octets(out, self.message_id);
        put_address(out, self.source);
        put_address(out, self.destination);
        end_pdu(out, start);
    }
}

/// `data_sm` (§4.7.1): its text is always in `message_payload`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSm<'a> {
    /// §5.2.11.
    pub service_type: &'a [u8],
    /// Who sends.
    pub source: Address<'a>,
    /// Who shall get it.
    pub destination: Address<'a>,
    /// §5.2.12.
    pub esm_class: EsmClass,
    /// §5.2.17.
    pub registered_delivery: RegisteredDelivery,
    /// §5.2.19.
    pub data_coding: DataCoding,
    /// The optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> DataSm<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field or a TLV runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets()?;
        let source = address(&mut reader)?;
        let destination = address(&mut reader)?;
        let [esm_class, registered_delivery, data_coding] = reader.array()?;
        Ok(Self {
            service_type,
            source,
            destination,
            esm_class: EsmClass(esm_class),
            registered_delivery: RegisteredDelivery(registered_delivery),
            data_coding: DataCoding(data_coding),
            tlvs: Tlvs::new(reader.rest())?,
        })
    }

    /// Appends the PDU.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) {
        let start = Header::request(CommandId::DATA_SM, sequence).begin(out);
        put_c_octets(out, self.service_type);
        put_address(out, self.source);
        put_address(out, self.destination);
        out.extend_from_slice(&[self.esm_class.0, self.registered_delivery.0, self.data_coding.0]);
        out.extend_from_slice(self.tlvs.as_bytes());
        end_pdu(out, start);
    }

    /// The text: `message_payload`, or nothing.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.tlvs.find(Tag::MESSAGE_PAYLOAD).map_or(&[], |tlv| tlv.value)
    }
}

/// `alert_notification` (§4.12.1): a handset is there again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertNotification<'a> {
    /// The handset.
    pub source: Address<'a>,
    /// Who asked to be told.
    pub esme: Address<'a>,
    /// `ms_availability_status`, perhaps (§5.3.2.30).
    pub tlvs: Tlvs<'a>,
}

impl<'a> AlertNotification<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field or a TLV runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let source = address(&mut reader)?;
        let esme = address(&mut reader)?;
        Ok(Self { source, esme, tlvs: Tlvs::new(reader.rest())? })
    }

    /// Appends the PDU, which has no response.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) {
        let start = Header::request(CommandId::ALERT_NOTIFICATION, sequence).begin(out);
        put_address(out, self.source);
        put_address(out, self.esme);
        out.extend_from_slice(self.tlvs.as_bytes());
        end_pdu(out, start);
    }
}
