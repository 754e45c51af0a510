//! The receipts of a carrier: what they are about, packed into the token of a `deliver_sm`, and their bytes.

use wire::smpp::{Address, EsmClass, MessageState, ReceiptOut, Refused, Session, Sm, Tlvs};
use wire::time::{Instant, WallMs};

use crate::ledger::Report;
use crate::message::{FROM, Nonce, Shape, put_digits};

/// A receipt that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) nonce: Nonce,
    /// Which sighting of the nonce it is about, from 0.
    pub(crate) attempt: u8,
    pub(crate) report: Report,
}

/// Digits of a carrier's message id: the nonce and the sighting.
const ID_DIGITS: usize = 12;

/// A carrier's id of a message: unique, and different for each sighting.
pub(crate) fn carrier_id(nonce: Nonce, attempt: u8) -> [u8; ID_DIGITS] {
    let mut id = [0; ID_DIGITS];
    put_digits(nonce.0, &mut id[..10]);
    put_digits(u32::from(attempt % 100), &mut id[10..]);
    id
}

impl Receipt {
    /// As the token of a request.
    pub(crate) fn to_token(self) -> u64 {
        u64::from(self.nonce.0) << 32
            | u64::from(self.attempt) << 8
            | u64::from(self.report == Report::Delivered)
    }

    /// From the token of a request.
    ///
    /// # Panics
    /// Never: each part is masked to its size.
    pub(crate) fn of_token(token: u64) -> Self {
        let nonce = u32::try_from(token >> 32).expect("half of 64 bits");
        let attempt = u8::try_from(token >> 8 & 0xFF).expect("eight bits");
        let report = if token & 1 == 1 { Report::Delivered } else { Report::Failed };
        Self { nonce: Nonce(nonce), attempt, report }
    }
}

/// Writes receipts, with buffers that are reused.
#[derive(Debug, Default)]
pub(crate) struct ReceiptWriter {
    text: Vec<u8>,
    tlvs: Vec<u8>,
}

impl ReceiptWriter {
    /// Queues a receipt as `deliver_sm`, with the text of Appendix B and the TLVs of §5.3.2.
    ///
    /// # Errors
    /// What the session says; nothing is queued then.
    pub(crate) fn deliver(
        &mut self,
        session: &mut Session,
        receipt: Receipt,
        shape: &Shape,
        now: Instant,
        wall: WallMs,
    ) -> Result<(), Refused> {
        let id = carrier_id(receipt.nonce, receipt.attempt);
        let (state, error) = match receipt.report {
            Report::Delivered => (MessageState::Delivered, 0),
            Report::Failed => (MessageState::Undeliverable, 1),
        };
        let told = ReceiptOut { id: &id, state, error, submitted: wall, done: wall, text: &[] };
        self.text.clear();
        self.tlvs.clear();
        told.put_text(&mut self.text);
        told.put_tlvs(&mut self.tlvs);
        let to = shape.to_digits(receipt.nonce);
        let sm = Sm {
            source: Address::international(&to),
            destination: Address::alphanumeric(FROM.as_bytes()),
            esm_class: EsmClass::RECEIPT,
            short_message: &self.text,
            tlvs: Tlvs::new(&self.tlvs).expect("TLVs that were just written can be read"),
            ..Sm::default()
        };
        session.deliver(now, receipt.to_token(), &sm).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_which_receipt_it_was() {
        for report in [Report::Delivered, Report::Failed] {
            let receipt = Receipt { nonce: Nonce(u32::MAX - 7), attempt: 201, report };
            assert_eq!(Receipt::of_token(receipt.to_token()), receipt);
        }
        assert_eq!(&carrier_id(Nonce(12_345), 3), b"000001234503");
    }
}
