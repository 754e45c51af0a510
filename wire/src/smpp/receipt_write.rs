//! Writing receipts, for the MC's side: the text of Appendix B and the three TLVs.

use crate::time::WallMs;

use super::state::MessageState;
use super::tlv::{Tag, put_tlv};
use super::validity::put_minutes;

/// A receipt to be sent in a `deliver_sm` with [`super::fields::EsmClass::RECEIPT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptOut<'a> {
    /// Our id of the message.
    pub id: &'a [u8],
    /// What became of it.
    pub state: MessageState,
    /// 0 to 999, 0 for none.
    pub error: u16,
    /// When it was submitted.
    pub submitted: WallMs,
    /// When the state was reached.
    pub done: WallMs,
    /// The start of the message, at most 20 octets of it (Appendix B).
    pub text: &'a [u8],
}

impl ReceiptOut<'_> {
    /// Appends the text, for `short_message`. It has 105 octets, the id and the text.
    pub fn put_text(&self, out: &mut Vec<u8>) {
        let delivered = if self.state == MessageState::Delivered { b'1' } else { b'0' };
        out.extend_from_slice(b"id:");
        out.extend_from_slice(self.id);
        out.extend_from_slice(b" sub:001 dlvrd:00");
        out.push(delivered);
        out.extend_from_slice(b" submit date:");
        put_minutes(out, self.submitted);
        out.extend_from_slice(b" done date:");
        put_minutes(out, self.done);
        out.extend_from_slice(b" stat:");
        out.extend_from_slice(self.state.word().as_bytes());
        out.extend_from_slice(b" err:");
        let error = self.error.min(999);
        for digit in [error / 100, error / 10 % 10, error % 10] {
            out.push(b'0' + u8::try_from(digit).unwrap_or(9));
        }
        out.extend_from_slice(b" text:");
        out.extend_from_slice(&self.text[..self.text.len().min(20)]);
    }

    /// Appends the TLVs: `receipted_message_id`, `message_state`, and `network_error_code` (of GSM) if there is an error.
    pub fn put_tlvs(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put_tlv(out, Tag::RECEIPTED_MESSAGE_ID, self.id);
        // The value is a C-octet string: one octet more, and its NUL.
        let length = u16::try_from(self.id.len() + 1).unwrap_or(u16::MAX);
        out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
        out.push(0);
        put_tlv(out, Tag::MESSAGE_STATE, &[self.state.octet()]);
        if self.error != 0 {
            let [high, low] = self.error.to_be_bytes();
            put_tlv(out, Tag::NETWORK_ERROR_CODE, &[3, high, low]);
        }
    }
}
