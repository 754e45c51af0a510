//! A fate as a `deliver_sm`: the text of SMPP 3.4 Appendix B, and the TLVs that say the same to a program.

use shards::api::{Fate, FateEvent, State};
use wire::msisdn::{DIGITS_MAX, Msisdn};
use wire::smpp::{Address, EsmClass, MessageState, ReceiptOut, Refused, Session, Sm, Tlvs};
use wire::time::Instant;

/// Writes receipts, with buffers that are reused.
#[derive(Debug, Default)]
pub(super) struct ReceiptWriter {
    text: Vec<u8>,
    tlvs: Vec<u8>,
}

impl ReceiptWriter {
    /// Queues a receipt.
    ///
    /// # Errors
    /// What the session says; nothing is queued then.
    pub(super) fn deliver(
        &mut self,
        session: &mut Session,
        token: u64,
        event: &FateEvent,
        now: Instant,
    ) -> Result<(), Refused> {
        let id = event.id.to_chars();
        let receipt = ReceiptOut {
            id: &id,
            state: state_of_fate(event.fate),
            error: u16::try_from(event.code).unwrap_or(u16::MAX),
            submitted: event.id.minted_at(),
            done: event.at,
            text: b"",
        };
        self.text.clear();
        self.tlvs.clear();
        receipt.put_text(&mut self.text);
        receipt.put_tlvs(&mut self.tlvs);
        let mut digits = [0; DIGITS_MAX];
        let sm = Sm {
            source: Address::international(event.recipient.write_digits(&mut digits)),
            destination: address(event.sender.as_bytes()),
            esm_class: EsmClass::RECEIPT,
            short_message: &self.text,
            tlvs: Tlvs::new(&self.tlvs).expect("what was written as TLVs reads as TLVs"),
            ..Sm::default()
        };
        session.deliver(now, token, &sm).map(|_| ())
    }
}

/// The sender of the message, as a carrier was told it.
fn address(sender: &[u8]) -> Address<'_> {
    let digits = sender.strip_prefix(b"+").unwrap_or(sender);
    if Msisdn::parse(digits).is_ok() { Address::international(digits) } else { Address::alphanumeric(sender) }
}

/// §5.2.28.
pub(super) const fn message_state(state: State) -> MessageState {
    match state {
        State::Queued | State::Attempting | State::Doubtful | State::Sent => MessageState::Enroute,
        State::Final(fate) => state_of_fate(fate),
    }
}

const fn state_of_fate(fate: Fate) -> MessageState {
    match fate {
        Fate::Delivered => MessageState::Delivered,
        Fate::Failed => MessageState::Undeliverable,
        Fate::Expired => MessageState::Expired,
        Fate::Cancelled => MessageState::Deleted,
        Fate::Unknown => MessageState::Unknown,
    }
}
