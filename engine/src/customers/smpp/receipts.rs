//! A handset's message as a `deliver_sm`, and a fate as one: the text of SMPP 3.4 Appendix B, and the TLVs that say the same to a program.

use shards::api::{Fate, FateEvent, HandsetMessage, State};
use wire::msisdn::{DIGITS_MAX, Msisdn};
use wire::smpp::{
    Address, DataCoding, EsmClass, MessageState, ReceiptOut, Refused, Session, Sm, Tag, Tlvs, put_tlv,
};
use wire::text::{Alphabet, Concatenation, Narrow, Plan, Style};
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

impl ReceiptWriter {
    /// Queues a message of a handset, in the alphabet that `data_coding` 0 means to the customer, else in UCS-2.
    ///
    /// # Errors
    /// What the session says; nothing is queued then.
    pub(super) fn hand_on(
        &mut self,
        session: &mut Session,
        token: u64,
        (message, alphabet): (&HandsetMessage, Alphabet),
        now: Instant,
    ) -> Result<(), Refused> {
        self.text.clear();
        self.tlvs.clear();
        let data_coding = put_text(&message.text, alphabet, &mut self.text);
        let mut short_message = &self.text[..];
        if self.text.len() > SHORT_TEXT_BYTES_MAX {
            put_tlv(&mut self.tlvs, Tag::MESSAGE_PAYLOAD, &self.text);
            short_message = b"";
        }
        let mut digits = [0; DIGITS_MAX];
        let sm = Sm {
            source: Address::international(message.from.write_digits(&mut digits)),
            destination: Address { octets: message.to.as_bytes(), ..Address::default() },
            data_coding,
            short_message,
            tlvs: Tlvs::new(&self.tlvs).expect("what was written as TLVs reads as TLVs"),
            ..Sm::default()
        };
        session.deliver(now, token, &sm).map(|_| ())
    }
}

/// Appends a text as its customer reads it, and says how.
fn put_text(text: &str, alphabet: Alphabet, out: &mut Vec<u8>) -> DataCoding {
    let narrow = if alphabet == Alphabet::Latin1 { Narrow::Latin1 } else { Narrow::Gsm7 };
    let style = Style { narrow, concatenation: Concatenation::Payload };
    match Plan::new(text, style) {
        Ok(plan) if plan.alphabet != Alphabet::Ucs2 => {
            plan.put(text, None, out);
            DataCoding::DEFAULT
        }
        // Also what is longer than a customer could submit: two octets to a character, whatever they are.
        _ => {
            out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            DataCoding::UCS2
        }
    }
}

/// Octets of a text that goes into `short_message` (SMPP 3.4 §5.2.22); a longer one goes into `message_payload`.
const SHORT_TEXT_BYTES_MAX: usize = 254;

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
