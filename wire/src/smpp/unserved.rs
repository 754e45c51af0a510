//! `submit_multi` and `replace_sm` (SMPP 3.4 §4.5, §4.10): read so that they can be refused in their own words.
//!
//! Neither is served. A message to many recipients has one id and one fate each in Switchyard, and a message that was
//! taken is not changed. A `generic_nack` would say as much, but customers' libraries look for the response of the type
//! that they asked for, and a PDU that is well formed deserves one.

use super::command::{CommandId, Sequence};
use super::fields::{Address, DataCoding, EsmClass, RegisteredDelivery};
use super::header::{Header, end_pdu};
use super::reader::{DecodeError, Reader, put_c_octets};
use super::sm::{TooLong, address, put_address};
use super::status::CommandStatus;
use super::tlv::Tlvs;

/// One recipient of a `submit_multi` (§4.5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A number (`dest_flag` 1).
    Sme(Address<'a>),
    /// A list that the MC keeps, by its name (`dest_flag` 2).
    List(&'a [u8]),
}

/// The recipients of a `submit_multi`, as bytes that are read on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destinations<'a> {
    bytes: &'a [u8],
    count: u8,
}

impl<'a> Destinations<'a> {
    /// How many `number_of_dests` says.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.count
    }

    /// Reads them all once, and where they end.
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = reader.u8()?;
        let all = reader.rest();
        for _ in 0..count {
            destination(reader)?;
        }
        Ok(Self { bytes: &all[..all.len() - reader.rest().len()], count })
    }
}

impl<'a> IntoIterator for Destinations<'a> {
    type Item = Destination<'a>;
    type IntoIter = DestinationIter<'a>;

    fn into_iter(self) -> DestinationIter<'a> {
        DestinationIter(Reader::new(self.bytes))
    }
}

/// Iterates over [`Destinations`], in the order of the PDU.
#[derive(Clone, Debug)]
pub struct DestinationIter<'a>(Reader<'a>);

impl<'a> Iterator for DestinationIter<'a> {
    type Item = Destination<'a>;

    fn next(&mut self) -> Option<Destination<'a>> {
        destination(&mut self.0).ok()
    }
}

fn destination<'a>(reader: &mut Reader<'a>) -> Result<Destination<'a>, DecodeError> {
    match reader.u8()? {
        2 => Ok(Destination::List(reader.c_octets()?)),
        // 1 by the specification; another flag cannot be told from a number by its octets.
        _ => Ok(Destination::Sme(address(reader)?)),
    }
}

/// `submit_multi` (§4.5.1). The names are the specification's, as of [`super::sm::Sm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitMulti<'a> {
    /// §5.2.11.
    pub service_type: &'a [u8],
    /// Who sends.
    pub source: Address<'a>,
    /// Who shall get it.
    pub destinations: Destinations<'a>,
    /// §5.2.12.
    pub esm_class: EsmClass,
    /// §5.2.13.
    pub protocol_id: u8,
    /// §5.2.14.
    pub priority_flag: u8,
    /// §5.2.15.
    pub schedule_delivery_time: &'a [u8],
    /// §5.2.16.
    pub validity_period: &'a [u8],
    /// §5.2.17.
    pub registered_delivery: RegisteredDelivery,
    /// §5.2.18.
    pub replace_if_present_flag: u8,
    /// §5.2.19.
    pub data_coding: DataCoding,
    /// §5.2.20.
    pub sm_default_msg_id: u8,
    /// §5.2.22.
    pub short_message: &'a [u8],
    /// The optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> SubmitMulti<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field, a destination or a TLV runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets()?;
        let source = address(&mut reader)?;
        let destinations = Destinations::read(&mut reader)?;
        let [esm_class, protocol_id, priority_flag] = reader.array()?;
        let schedule_delivery_time = reader.c_octets()?;
        let validity_period = reader.c_octets()?;
        let [registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id, sm_length] =
            reader.array()?;
        Ok(Self {
            service_type,
            source,
            destinations,
            esm_class: EsmClass(esm_class),
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered_delivery),
            replace_if_present_flag,
            data_coding: DataCoding(data_coding),
            sm_default_msg_id,
            short_message: reader.take(usize::from(sm_length))?,
            tlvs: Tlvs::new(reader.rest())?,
        })
    }

    /// Appends the PDU.
    ///
    /// # Errors
    /// [`TooLong`] when the text needs `message_payload`; nothing is appended.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let Ok(sm_length) = u8::try_from(self.short_message.len()) else {
            return Err(TooLong { bytes: self.short_message.len() });
        };
        let start = Header::request(CommandId::SUBMIT_MULTI, sequence).begin(out);
        put_c_octets(out, self.service_type);
        put_address(out, self.source);
        out.push(self.destinations.count);
        out.extend_from_slice(self.destinations.bytes);
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
}

/// A recipient that a `submit_multi` did not reach (§4.5.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuccessful<'a> {
    /// Who.
    pub destination: Address<'a>,
    /// Why.
    pub status: CommandStatus,
}

/// `submit_multi_resp` (§4.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitMultiResp<'a> {
    /// Of all of them together; empty when it is refused.
    pub message_id: &'a [u8],
    unsuccessful: &'a [u8],
    count: u8,
}

impl<'a> SubmitMultiResp<'a> {
    /// What refuses the whole: no id, and no list.
    pub const REFUSED: Self = Self { message_id: &[], unsuccessful: &[], count: 0 };

    /// Reads a body. An error's body may be missing: ask [`Header::status`] first.
    ///
    /// # Errors
    /// [`DecodeError`] when a field runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets()?;
        let count = reader.u8()?;
        let all = reader.rest();
        for _ in 0..count {
            unsuccessful(&mut reader)?;
        }
        Ok(Self { message_id, unsuccessful: &all[..all.len() - reader.rest().len()], count })
    }

    /// Those that were not reached.
    pub fn unsuccessful(&self) -> impl Iterator<Item = Unsuccessful<'a>> {
        let mut reader = Reader::new(self.unsuccessful);
        core::iter::from_fn(move || unsuccessful(&mut reader).ok())
    }

    /// Appends the response `header`.
    pub fn encode(&self, header: Header, out: &mut Vec<u8>) {
        let start = header.begin(out);
        put_c_octets(out, self.message_id);
        out.push(self.count);
        out.extend_from_slice(self.unsuccessful);
        end_pdu(out, start);
    }
}

fn unsuccessful<'a>(reader: &mut Reader<'a>) -> Result<Unsuccessful<'a>, DecodeError> {
    let destination = address(reader)?;
    Ok(Unsuccessful { destination, status: CommandStatus(u32::from_be_bytes(reader.array()?)) })
}

/// `replace_sm` (§4.10.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplaceSm<'a> {
    /// The MC's id of the message.
    pub message_id: &'a [u8],
    /// The sender of that message.
    pub source: Address<'a>,
    /// §5.2.15.
    pub schedule_delivery_time: &'a [u8],
    /// §5.2.16.
    pub validity_period: &'a [u8],
    /// §5.2.17.
    pub registered_delivery: RegisteredDelivery,
    /// §5.2.20.
    pub sm_default_msg_id: u8,
    /// The new text.
    pub short_message: &'a [u8],
    /// The optional parameters, which 5.0 allows (§4.5.3.1 there).
    pub tlvs: Tlvs<'a>,
}

impl<'a> ReplaceSm<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field or a TLV runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets()?;
        let source = address(&mut reader)?;
        let schedule_delivery_time = reader.c_octets()?;
        let validity_period = reader.c_octets()?;
        let [registered_delivery, sm_default_msg_id, sm_length] = reader.array()?;
        Ok(Self {
            message_id,
            source,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered_delivery),
            sm_default_msg_id,
            short_message: reader.take(usize::from(sm_length))?,
            tlvs: Tlvs::new(reader.rest())?,
        })
    }

    /// Appends the PDU.
    ///
    /// # Errors
    /// [`TooLong`] when the text has more than 255 octets; nothing is appended.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let Ok(sm_length) = u8::try_from(self.short_message.len()) else {
            return Err(TooLong { bytes: self.short_message.len() });
        };
        let start = Header::request(CommandId::REPLACE_SM, sequence).begin(out);
        put_c_octets(out, self.message_id);
        put_address(out, self.source);
        put_c_octets(out, self.schedule_delivery_time);
        put_c_octets(out, self.validity_period);
        out.extend_from_slice(&[self.registered_delivery.0, self.sm_default_msg_id, sm_length]);
        out.extend_from_slice(self.short_message);
        out.extend_from_slice(self.tlvs.as_bytes());
        end_pdu(out, start);
        Ok(())
    }
}
