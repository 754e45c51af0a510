//! A carrier's report about a message: three TLVs where the carrier sends them, else the text of SMPP 3.4 Appendix B
//! in the many ways in which carriers write it.
//!
//! ```text
//! id:IIIIIIIIII sub:SSS dlvrd:DDD submit date:YYMMDDhhmm done date:YYMMDDhhmm stat:DDDDDDD err:E Text: …
//! ```
//!
//! What is asked for is the id, the state and the error; dates and counts are read past. A receipt without an id or
//! without a state is no receipt: nothing could be done with it.

use super::fields::EsmClass;
use super::limits::WIDE_RECEIPT_CHARS_MAX;
use super::query::DataSm;
use super::receipt_text::TextFields;
use super::sm::Sm;
use super::state::MessageState;
use super::tlv::{Tag, Tlv, Tlvs};
use crate::text::PartHeader;

/// Which `deliver_sm` are taken for receipts; part of a carrier's profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptSign {
    /// Bits 5 to 2 of `esm_class` say so (§5.2.12).
    #[default]
    EsmClass,
    /// They, or a body that reads as a receipt: for carriers that forget the bits.
    EsmClassOrBody,
}

/// What of a receipt counts; part of a carrier's profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptSource {
    /// The TLVs, and the text for what they do not say.
    #[default]
    TlvsThenText,
    /// The text, and the TLVs for what it does not say: for carriers whose TLVs are a relay's and not theirs.
    TextThenTlvs,
    /// The TLVs alone: for carriers whose text has an id that is cut to ten characters (Appendix B prints ten).
    Tlvs,
    /// The text alone.
    Text,
}

/// How a carrier's receipts are read; part of its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiptDialect {
    /// Which `deliver_sm` are receipts.
    pub sign: ReceiptSign,
    /// What of them counts.
    pub source: ReceiptSource,
}

impl ReceiptDialect {
    /// By the bits of `esm_class`; TLVs, then text.
    pub const DEFAULT: Self = Self { sign: ReceiptSign::EsmClass, source: ReceiptSource::TlvsThenText };
}

/// Where a receipt's id stood: carriers write the same id otherwise in a text than in a TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdPlace {
    /// In `receipted_message_id`.
    Tlv,
    /// After `id:`.
    Text,
}

/// Why the network did not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptError<'a> {
    /// `network_error_code` (§5.3.2.31).
    Network {
        /// 1 ANSI-136, 2 IS-95, 3 GSM, 4 and more the carrier's.
        network: u8,
        /// Its code.
        code: u16,
    },
    /// What follows `err:`, in the carrier's own numbers or letters.
    Text(&'a [u8]),
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt<'a> {
    /// The carrier's id of the message, as it is written here; see [`super::carrier_id::IdForm`].
    pub id: &'a [u8],
    /// Where it is written.
    pub id_place: IdPlace,
    /// What became of it.
    pub state: MessageState,
    /// Why, if it says so.
    pub error: Option<ReceiptError<'a>>,
    /// `esm_class` says that another receipt follows.
    pub is_intermediate: bool,
}

/// Where a UCS-2 receipt is narrowed to. One for each link is enough.
#[derive(Clone, Debug)]
pub struct Scratch([u8; WIDE_RECEIPT_CHARS_MAX]);

impl Default for Scratch {
    fn default() -> Self {
        Self([0; WIDE_RECEIPT_CHARS_MAX])
    }
}

impl<'a> Receipt<'a> {
    /// The receipt that `sm`, a `deliver_sm`, is. `None`: it is a message from a handset, or cannot be read.
    #[must_use]
    #[inline]
    pub fn read(sm: &Sm<'a>, sign: ReceiptSign, scratch: &'a mut Scratch) -> Option<Self> {
        Self::read_as(sm, ReceiptDialect { sign, source: ReceiptSource::TlvsThenText }, scratch)
    }

    /// As [`Receipt::read`], in a carrier's dialect.
    #[must_use]
    #[inline]
    pub fn read_as(sm: &Sm<'a>, dialect: ReceiptDialect, scratch: &'a mut Scratch) -> Option<Self> {
        Self::read_parts(sm.esm_class, sm.tlvs, sm.text(), dialect, scratch)
    }

    /// The receipt that a `data_sm` of the MC is (§4.7.1).
    #[must_use]
    pub fn read_data(data: &DataSm<'a>, dialect: ReceiptDialect, scratch: &'a mut Scratch) -> Option<Self> {
        Self::read_parts(data.esm_class, data.tlvs, data.text(), dialect, scratch)
    }

    #[inline]
    fn read_parts(
        esm_class: EsmClass,
        tlvs: Tlvs<'a>,
        text: &'a [u8],
        dialect: ReceiptDialect,
        scratch: &'a mut Scratch,
    ) -> Option<Self> {
        let is_intermediate = esm_class.is_intermediate();
        if !is_intermediate && !esm_class.is_receipt() && dialect.sign == ReceiptSign::EsmClass {
            return None;
        }
        let tlvs = match dialect.source {
            ReceiptSource::Text => Said::default(),
            _ => Said::by_tlvs(tlvs),
        };
        // The text is only read for what the TLVs do not say.
        let wants_error = tlvs.error.is_none() && tlvs.state != Some(MessageState::Delivered);
        let wants_text = match dialect.source {
            ReceiptSource::TlvsThenText => tlvs.id.is_none() || tlvs.state.is_none() || wants_error,
            ReceiptSource::Tlvs => false,
            ReceiptSource::TextThenTlvs | ReceiptSource::Text => true,
        };
        let text = if wants_text { Said::by_text(esm_class, text, scratch) } else { Said::default() };
        let said = match dialect.source {
            ReceiptSource::TextThenTlvs => text.or(tlvs),
            _ => tlvs.or(text),
        };
        let (id, id_place) = said.id?;
        Some(Self { id, id_place, state: said.state?, error: said.error, is_intermediate })
    }

    /// Whether no other state can follow.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !self.is_intermediate && self.state.is_final()
    }
}

/// What one place says.
#[derive(Default)]
struct Said<'a> {
    id: Option<(&'a [u8], IdPlace)>,
    state: Option<MessageState>,
    error: Option<ReceiptError<'a>>,
}

impl<'a> Said<'a> {
    /// Itself, and for what it does not say, `other`.
    #[inline]
    fn or(self, other: Self) -> Self {
        Self {
            id: self.id.or(other.id),
            state: self.state.or(other.state),
            error: self.error.or(other.error),
        }
    }

    #[inline]
    fn by_text(esm_class: EsmClass, text: &'a [u8], scratch: &'a mut Scratch) -> Self {
        let fields = TextFields::read(narrow(behind_header(esm_class, text), scratch));
        Self {
            id: fields.id.map(|id| (id, IdPlace::Text)),
            state: fields.state,
            error: fields.error.map(ReceiptError::Text),
        }
    }

    #[inline]
    fn by_tlvs(tlvs: Tlvs<'a>) -> Self {
        let mut found = Self::default();
        for tlv in tlvs {
            match tlv.tag {
                Tag::RECEIPTED_MESSAGE_ID => {
                    let id = Some(tlv.text().trim_ascii()).filter(|id| !id.is_empty());
                    found.id = id.map(|id| (id, IdPlace::Tlv));
                }
                Tag::MESSAGE_STATE => found.state = state(tlv),
                Tag::NETWORK_ERROR_CODE => found.error = network_error(tlv.value),
                _ => {}
            }
        }
        found
    }
}

/// A state that is in no specification says less than the text does.
fn state(tlv: Tlv<'_>) -> Option<MessageState> {
    let octet = u8::try_from(tlv.number()?).ok()?;
    Some(MessageState::from_octet(octet)).filter(|state| *state != MessageState::Unrecognised)
}

/// Three octets; some carriers leave out the first. All zero is no error.
fn network_error<'a>(value: &[u8]) -> Option<ReceiptError<'a>> {
    let (network, code) = match *value {
        [network, high, low, ..] => (network, u16::from_be_bytes([high, low])),
        [high, low] => (0, u16::from_be_bytes([high, low])),
        [code] => (0, u16::from(code)),
        [] => return None,
    };
    (code != 0).then_some(ReceiptError::Network { network, code })
}

/// The text without its user data header: some carriers repeat that of the part which the receipt is about.
#[inline]
fn behind_header(esm_class: EsmClass, text: &[u8]) -> &[u8] {
    if !esm_class.has_udh() {
        return text;
    }
    // The bit without a header is in use too: then the first octet, `i`, says 105 octets, and the text is all there is.
    let starts_as_receipt = text.first_chunk::<3>().is_some_and(|head| head.eq_ignore_ascii_case(b"id:"));
    match PartHeader::read_udh(text) {
        Some((_, rest)) if !starts_as_receipt => rest,
        _ => text,
    }
}

/// Text in one octet a character. UCS-2 is seen by its zero octets, not by `data_coding`, which carriers forget to set
/// or set without meaning it.
#[inline]
fn narrow<'a>(text: &'a [u8], scratch: &'a mut Scratch) -> &'a [u8] {
    // A byte order mark, then `i` or `I` of `id:`, or a blank before it.
    let wide = text.strip_prefix(&[0xFE, 0xFF]).unwrap_or(text);
    if wide.len() < 4 || wide[0] != 0 || wide[2] != 0 {
        return text;
    }
    let mut chars = 0;
    for (narrow, pair) in scratch.0.iter_mut().zip(wide.chunks_exact(2)) {
        *narrow = if pair[0] == 0 { pair[1] } else { b'?' };
        chars += 1;
    }
    &scratch.0[..chars]
}
