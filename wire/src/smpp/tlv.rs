//! Optional parameters: tag, length, value (SMPP 3.4 §3.2.4, §5.3).
//!
//! Tags that are not known pass. A value of another length than §5.3 prints is read as well as it can be: carriers send
//! `message_state` in two octets and `receipted_message_id` without its NUL.

use super::limits::CONGESTION_STATE_MAX;
use super::reader::DecodeError;

/// A TLV's tag (§5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u16);

impl Tag {
    /// `qos_time_to_live`, §5.3.2.9: seconds.
    pub const QOS_TIME_TO_LIVE: Self = Self(0x0017);
    /// `receipted_message_id`, §5.3.2.12.
    pub const RECEIPTED_MESSAGE_ID: Self = Self(0x001E);
    /// `user_message_reference`, §5.3.2.17: the sender's own number of a message.
    pub const USER_MESSAGE_REFERENCE: Self = Self(0x0204);
    /// `sar_msg_ref_num`, §5.3.2.22.
    pub const SAR_MSG_REF_NUM: Self = Self(0x020C);
    /// `sar_total_segments`, §5.3.2.23.
    pub const SAR_TOTAL_SEGMENTS: Self = Self(0x020E);
    /// `sar_segment_seqnum`, §5.3.2.24.
    pub const SAR_SEGMENT_SEQNUM: Self = Self(0x020F);
    /// `sc_interface_version`, §5.3.2.25.
    pub const SC_INTERFACE_VERSION: Self = Self(0x0210);
    /// `ms_availability_status`, §5.3.2.30: 0 available, 1 denied, 2 unavailable.
    pub const MS_AVAILABILITY_STATUS: Self = Self(0x0422);
    /// `network_error_code`, §5.3.2.31.
    pub const NETWORK_ERROR_CODE: Self = Self(0x0423);
    /// `message_payload`, §5.3.2.32.
    pub const MESSAGE_PAYLOAD: Self = Self(0x0424);
    /// `delivery_failure_reason`, §5.3.2.33.
    pub const DELIVERY_FAILURE_REASON: Self = Self(0x0425);
    /// `message_state`, §5.3.2.35.
    pub const MESSAGE_STATE: Self = Self(0x0427);
    /// `congestion_state`, SMPP 5.0 §4.8.4.18: 0 idle to 99 congested.
    pub const CONGESTION_STATE: Self = Self(0x0428);
}

/// One optional parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Which.
    pub tag: Tag,
    /// Its value as it came.
    pub value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// The value as a number: the last octets, whatever its length. `None` when it is empty.
    #[must_use]
    pub fn number(self) -> Option<u32> {
        if self.value.is_empty() {
            return None;
        }
        Some(self.value.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// The value as a C-octet string: without its NUL, which may be missing.
    #[must_use]
    pub fn text(self) -> &'a [u8] {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        &self.value[..end]
    }
}

/// The optional parameters of a PDU, as bytes that are read on the way. As part of a PDU to be sent: bytes made by
/// [`put_tlv`], or [`Tlvs::NONE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// No optional parameter.
    pub const NONE: Self = Self(&[]);

    /// Optional parameters from their bytes.
    ///
    /// # Errors
    /// [`DecodeError::TlvCut`] when the last one runs over the end.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = split_tlv(rest).ok_or(DecodeError::TlvCut)?.1;
        }
        Ok(Self(bytes))
    }

    /// Their bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The first parameter with this tag.
    #[must_use]
    pub fn find(self, tag: Tag) -> Option<Tlv<'a>> {
        self.into_iter().find(|tlv| tlv.tag == tag)
    }

    /// `congestion_state` of the MC, 0 idle to 99 congested (5.0 §4.8.4.18), in the answers of carriers that send it.
    /// `None` also for a value that is reserved.
    #[must_use]
    pub fn congestion_state(self) -> Option<u8> {
        let state = u8::try_from(self.find(Tag::CONGESTION_STATE)?.number()?).ok();
        state.filter(|state| *state <= CONGESTION_STATE_MAX)
    }

    /// Whether one of them carries the text, or says which part of a text it is: without them it is another message.
    #[must_use]
    pub fn carry_text(self) -> bool {
        self.into_iter().any(|tlv| {
            matches!(
                tlv.tag,
                Tag::MESSAGE_PAYLOAD
                    | Tag::SAR_MSG_REF_NUM
                    | Tag::SAR_TOTAL_SEGMENTS
                    | Tag::SAR_SEGMENT_SEQNUM
            )
        })
    }
}

impl<'a> IntoIterator for Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = TlvIter<'a>;

    fn into_iter(self) -> TlvIter<'a> {
        TlvIter(self.0)
    }
}

/// Iterates over [`Tlvs`], in the order of the PDU.
#[derive(Clone, Debug)]
pub struct TlvIter<'a>(&'a [u8]);

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    #[inline]
    fn next(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split_tlv(self.0)?;
        self.0 = rest;
        Some(tlv)
    }
}

#[inline]
fn split_tlv(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let length = u16::from_be_bytes([head[2], head[3]]);
    let (value, rest) = rest.split_at_checked(usize::from(length))?;
    Some((Tlv { tag: Tag(u16::from_be_bytes([head[0], head[1]])), value }, rest))
}

/// Appends one optional parameter. A value longer than 65,535 octets is cut: no tag of the specification has one.
pub fn put_tlv(out: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&tag.0.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&value[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_whatever_their_length_and_order() {
        let mut bytes = Vec::new();
        put_tlv(&mut bytes, Tag(0x1400), b"vendor");
        put_tlv(&mut bytes, Tag::MESSAGE_STATE, &[0, 2]);
        put_tlv(&mut bytes, Tag::RECEIPTED_MESSAGE_ID, b"abc");
        let tlvs = Tlvs::new(&bytes).unwrap();
        assert_eq!(tlvs.find(Tag::MESSAGE_STATE).and_then(Tlv::number), Some(2));
        assert_eq!(tlvs.find(Tag::RECEIPTED_MESSAGE_ID).map(Tlv::text), Some(&b"abc"[..]));
        assert_eq!(tlvs.find(Tag::MESSAGE_PAYLOAD), None);
        for cut in [bytes.len() - 1, 3, 1] {
            assert_eq!(Tlvs::new(&bytes[..cut]), Err(DecodeError::TlvCut));
        }
    }
}
