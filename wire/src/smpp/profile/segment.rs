//! One segment of a message as the `submit_sm` that a carrier takes.

use core::time::Duration;

use super::super::fields::EsmClass;
use super::super::limits::ADDRESS_BYTES_MAX;
use super::super::sm::Sm;
use super::super::tlv::{Tag, Tlvs, put_tlv};
use super::super::validity::{absolute_time, relative_time};
use super::{Profile, SenderError, Validity};
use crate::msisdn::Msisdn;
use crate::text::{Concatenation, PartHeader, Plan};
use crate::time::WallMs;

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// A number, a short code or a name.
    pub sender: &'a str,
    /// Who shall get it.
    pub recipient: Msisdn,
    /// The whole text, as it was planned.
    pub text: &'a str,
    /// Its plan, of the same profile.
    pub plan: &'a Plan,
    /// Which PDU of [`Profile::pdus`], from 0.
    pub part: u8,
    /// The same in all parts of a text, and different in texts that follow each other between the same two addresses.
    pub reference: u16,
    /// How long it may still be delivered.
    pub valid_for: Duration,
    /// Now.
    pub now: WallMs,
}

/// Where the octets of a `submit_sm` are put together. One for each shard is enough.
#[derive(Clone, Debug, Default)]
pub struct SegmentBuffers {
    user_data: Vec<u8>,
    tlvs: Vec<u8>,
    source: [u8; ADDRESS_BYTES_MAX],
    destination: [u8; ADDRESS_BYTES_MAX],
    validity: [u8; 16],
}

impl Profile {
    /// One segment, as a `submit_sm`.
    ///
    /// # Errors
    /// [`SenderError`] when the carrier would not take the sender.
    ///
    /// # Panics
    /// When the plan has no such part.
    pub fn segment<'a>(
        &'a self,
        segment: &Segment<'_>,
        buffers: &'a mut SegmentBuffers,
    ) -> Result<Sm<'a>, SenderError> {
        let SegmentBuffers { user_data, tlvs, source, destination, validity } = buffers;
        assert!(segment.part < self.pdus(segment.plan), "the plan has this part");
        user_data.clear();
        tlvs.clear();
        let has_udh = self.put_text(segment, user_data, tlvs);
        tlvs.extend_from_slice(&self.tlvs);
        let short_message: &[u8] = if self.in_payload(segment.plan) { &[] } else { user_data };
        let validity_period: &[u8] = match self.validity {
            Validity::Omitted => &[],
            Validity::Relative => {
                *validity = relative_time(segment.valid_for);
                validity
            }
            Validity::Absolute => {
                *validity = absolute_time(segment.now.plus(segment.valid_for));
                validity
            }
        };
        Ok(Sm {
            service_type: &self.service_type,
            source: self.sender(segment.sender, source)?,
            destination: self.recipient(segment.recipient, destination),
            esm_class: if has_udh { EsmClass::DEFAULT.with_udh() } else { EsmClass::DEFAULT },
            validity_period,
            registered_delivery: self.registered_delivery,
            data_coding: self.data_coding(segment.plan.alphabet),
            short_message,
            tlvs: Tlvs::new(tlvs).unwrap_or_default(),
            ..Sm::default()
        })
    }

    /// Whether a planned text goes into `message_payload`: a long one, where the carrier cuts it.
    const fn in_payload(&self, plan: &Plan) -> bool {
        matches!(self.texts.style.concatenation, Concatenation::Payload) && plan.segments > 1
    }

    /// Appends the text's octets and the parameters that go with them; whether there is a user data header.
    fn put_text(&self, segment: &Segment<'_>, user_data: &mut Vec<u8>, tlvs: &mut Vec<u8>) -> bool {
        let Segment { text, plan, .. } = *segment;
        if self.in_payload(plan) {
            plan.put(text, None, user_data);
            put_tlv(tlvs, Tag::MESSAGE_PAYLOAD, user_data);
            return false;
        }
        let header = (plan.segments > 1).then_some(PartHeader {
            reference: segment.reference,
            total: plan.segments,
            number: segment.part + 1,
        });
        let cut = plan.cut(text).nth(usize::from(segment.part)).unwrap_or_default();
        let has_udh = plan.put(cut, header, user_data);
        if let (Some(part), Concatenation::Sar) = (header, self.texts.style.concatenation) {
            put_tlv(tlvs, Tag::SAR_MSG_REF_NUM, &part.reference.to_be_bytes());
            put_tlv(tlvs, Tag::SAR_TOTAL_SEGMENTS, &[part.total]);
            put_tlv(tlvs, Tag::SAR_SEGMENT_SEQNUM, &[part.number]);
        }
        has_udh
    }
}
