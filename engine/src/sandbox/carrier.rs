//! One connection of the sandbox as a machine without IO: an SMPP session in the MC's role, the script, and the
//! receipts that wait for their time.

use std::collections::{BTreeSet, VecDeque};

use wire::smpp::fields::ReceiptWanted;
use wire::smpp::query::QuerySmResp;
use wire::smpp::{
    Address, CommandStatus, EsmClass, Event, MessageState, Npi, Options, ReceiptOut, Refused, Sequence,
    Session, Sm, Tlvs, Ton,
};
use wire::time::{Instant, Now, WallMs};

use super::limits;
use super::script::Script;

/// One connection's state: on its own thread.
#[derive(Debug)]
pub(super) struct Carrier {
    session: Session,
    /// Makes ids unique: the wall time at which the connection came, then a counter.
    ids: u64,
    /// In the order of their times: all wait equally long.
    receipts: VecDeque<Receipt>,
    /// Numbers that were throttled once and are let through when they come again.
    throttled: BTreeSet<Box<[u8]>>,
}

/// A receipt that waits.
#[derive(Debug)]
struct Receipt {
    due: Instant,
    id: String,
    state: MessageState,
    submitted: WallMs,
    recipient: OwnedAddress,
    sender: OwnedAddress,
}

/// An address that outlives its PDU.
#[derive(Debug)]
struct OwnedAddress {
    ton: Ton,
    npi: Npi,
    octets: Box<[u8]>,
}

/// What the peer asked for, without a loan on the session.
enum Asked {
    ToBind,
    Submission { sequence: Sequence, wanted: bool, recipient: OwnedAddress, sender: OwnedAddress },
    Data(Sequence),
    Query(Sequence),
    Cancel(Sequence),
    Nothing,
}

impl Carrier {
    /// A connection that came now. `ids` starts its message ids; each connection has another.
    pub(super) fn new(now: Now, ids: u64) -> Self {
        let options = Options { window_pdus_max: limits::WINDOW_PDUS, ..Options::default() };
        let session = Session::mc(b"sandbox", &options, now.mono);
        Self { session, ids, receipts: VecDeque::new(), throttled: BTreeSet::new() }
    }

    /// Bytes came.
    pub(super) fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        self.session.handle_bytes(now.mono, bytes);
        self.work(now);
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.session.handle_timeout(now.mono);
        self.work(now);
    }

    /// When to call [`Carrier::handle_timeout`].
    pub(super) fn timeout(&self) -> Option<Instant> {
        // A receipt that is due and does not fit waits for answers, which come as bytes.
        let room = self.session.window_room() > 0;
        let receipt = self.receipts.front().filter(|_| room).map(|receipt| receipt.due);
        self.session.timeout().into_iter().chain(receipt).min()
    }

    /// Bytes for the peer.
    pub(super) fn pending(&self) -> &[u8] {
        self.session.pending()
    }

    /// The kernel took all of [`Carrier::pending`].
    pub(super) fn handle_written(&mut self) {
        self.session.consume(self.session.pending().len());
    }

    /// Whether nothing more will come.
    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    fn work(&mut self, now: Now) {
        while let Some(asked) = self.session.poll_event(now.mono).map(Asked::of) {
            self.answer(now, asked);
        }
        while let Some(receipt) = self.receipts.front().filter(|receipt| receipt.due <= now.mono) {
            match deliver(&mut self.session, now, receipt) {
                Err(Refused::WindowFull | Refused::OutputFull) => break,
                // A peer that is unbinding gets no more receipts.
                Ok(_) | Err(Refused::NotBound | Refused::NeedsTlvs | Refused::TooLong(_)) => {}
            }
            self.receipts.pop_front();
        }
    }

    fn answer(&mut self, now: Now, asked: Asked) {
        match asked {
            Asked::ToBind => self.session.accept_bind(),
            Asked::Submission { sequence, wanted, recipient, sender } => {
                let script = Script::of(&recipient.octets);
                let (status, id) = self.take(now, script, wanted, recipient, sender);
                self.session.answer_submit(sequence, status, id.as_bytes());
            }
            Asked::Data(sequence) => self.session.answer_data(sequence, CommandStatus::ESME_RINVCMDID, b""),
            Asked::Query(sequence) => {
                let nothing = QuerySmResp {
                    message_id: b"",
                    final_date: b"",
                    message_state: MessageState::Unknown,
                    error_code: 0,
                };
                self.session.answer_query(sequence, CommandStatus::ESME_RQUERYFAIL, &nothing);
            }
            Asked::Cancel(sequence) => self.session.answer_cancel(sequence, CommandStatus::ESME_RCANCELFAIL),
            Asked::Nothing => {}
        }
    }

    /// Takes a message or does not: the status and the id.
    fn take(
        &mut self,
        now: Now,
        script: Script,
        wanted: bool,
        recipient: OwnedAddress,
        sender: OwnedAddress,
    ) -> (CommandStatus, String) {
        let is_first = script == Script::ThrottleOnce && !self.throttled.remove(&recipient.octets);
        if is_first && self.throttled.len() < limits::THROTTLED_MAX {
            self.throttled.insert(recipient.octets);
            return (CommandStatus::ESME_RTHROTTLED, String::new());
        }
        if self.receipts.len() >= limits::RECEIPTS_WAITING_MAX {
            return (CommandStatus::ESME_RMSGQFUL, String::new());
        }
        self.ids += 1;
        let id = format!("{:x}", self.ids);
        if wanted && script != Script::Silence {
            let state =
                if script == Script::Fail { MessageState::Undeliverable } else { MessageState::Delivered };
            let due = now.mono.plus(limits::RECEIPT_DELAY);
            let receipt = Receipt { due, id: id.clone(), state, submitted: now.wall, recipient, sender };
            self.receipts.push_back(receipt);
        }
        (CommandStatus::ESME_ROK, id)
    }
}

/// Queues a receipt.
fn deliver(session: &mut Session, now: Now, receipt: &Receipt) -> Result<u64, Refused> {
    let error = if receipt.state == MessageState::Delivered { 0 } else { 1 };
    let out = ReceiptOut {
        id: receipt.id.as_bytes(),
        state: receipt.state,
        error,
        submitted: receipt.submitted,
        done: now.wall,
        text: b"",
    };
    let (mut text, mut tlvs) = (Vec::with_capacity(160), Vec::with_capacity(64));
    out.put_text(&mut text);
    out.put_tlvs(&mut tlvs);
    let sm = Sm {
        source: receipt.recipient.view(),
        destination: receipt.sender.view(),
        esm_class: EsmClass::RECEIPT,
        short_message: &text,
        tlvs: Tlvs::new(&tlvs).expect("what was written as TLVs reads as TLVs"),
        ..Sm::default()
    };
    session.deliver(now.mono, 0, &sm)
}

impl OwnedAddress {
    fn of(address: Address<'_>) -> Self {
        Self { ton: address.ton, npi: address.npi, octets: address.octets.into() }
    }

    fn view(&self) -> Address<'_> {
        Address { ton: self.ton, npi: self.npi, octets: &self.octets }
    }
}

impl Asked {
    fn of(event: Event<'_>) -> Self {
        match event {
            Event::BindRequested { .. } => Self::ToBind,
            Event::SubmitRequest { sequence, sm } => Self::Submission {
                sequence,
                wanted: sm.registered_delivery.receipt() != ReceiptWanted::Never,
                recipient: OwnedAddress::of(sm.destination),
                sender: OwnedAddress::of(sm.source),
            },
            Event::DataRequest { sequence, .. } => Self::Data(sequence),
            Event::QueryRequest { sequence, .. } => Self::Query(sequence),
            Event::CancelRequest { sequence, .. } => Self::Cancel(sequence),
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use wire::smpp::{Bind, BindKind, Receipt as Read, ReceiptSign, RegisteredDelivery, Scratch};

    use super::*;

    /// A customer of the sandbox, joined to it without sockets.
    struct Pair {
        now: Now,
        esme: Session,
        carrier: Carrier,
        heard: Vec<String>,
    }

    impl Pair {
        fn bound() -> Self {
            let now = Now { mono: Instant(1), wall: WallMs(1_795_402_975_120) };
            let bind = Bind {
                kind: BindKind::Transceiver,
                system_id: b"me",
                password: b"",
                system_type: b"",
                interface_version: 0x34,
                address_range: Address::default(),
            };
            let mut pair = Self {
                now,
                esme: Session::esme(&bind, &Options::default(), now.mono),
                carrier: Carrier::new(now, 0xA0),
                heard: Vec::new(),
            };
            pair.exchange();
            pair
        }

        fn submit(&mut self, recipient: &str) {
            let sm = Sm {
                source: Address::alphanumeric(b"Acme"),
                destination: Address::international(recipient.as_bytes()),
                registered_delivery: RegisteredDelivery::FINAL,
                short_message: b"hello",
                ..Sm::default()
            };
            self.esme.submit(self.now.mono, 7, &sm).unwrap();
            self.exchange();
        }

        fn pass(&mut self, time: Duration) {
            self.now.mono = self.now.mono.plus(time);
            self.carrier.handle_timeout(self.now);
            self.exchange();
        }

        fn exchange(&mut self) {
            for _ in 0..4 {
                let there = self.esme.pending().to_vec();
                self.esme.consume(there.len());
                self.carrier.handle_bytes(self.now, &there);
                let back = self.carrier.pending().to_vec();
                self.carrier.handle_written();
                self.esme.handle_bytes(self.now.mono, &back);
                self.listen();
            }
        }

        fn listen(&mut self) {
            let mut receipts = Vec::new();
            while let Some(event) = self.esme.poll_event(self.now.mono) {
                match event {
                    Event::SubmitAnswer { status, message_id, .. } => {
                        self.heard.push(format!("{status} {}", String::from_utf8_lossy(message_id)));
                    }
                    Event::DeliverRequest { sequence, sm } => {
                        let mut scratch = Scratch::default();
                        let receipt = Read::read(&sm, ReceiptSign::EsmClass, &mut scratch).unwrap();
                        let id = String::from_utf8_lossy(receipt.id).into_owned();
                        let source = String::from_utf8_lossy(sm.source.octets).into_owned();
                        self.heard.push(format!("{} {id} from {source}", receipt.state.word()));
                        receipts.push(sequence);
                    }
                    _ => {}
                }
            }
            for sequence in receipts {
                self.esme.answer_deliver(sequence, CommandStatus::ESME_ROK);
            }
        }
    }

    #[test]
    fn the_last_digits_of_a_number_choose_its_story() {
        let mut pair = Pair::bound();
        for recipient in ["4915112345678", "4915112340001", "4915112340002", "4915112340003", "4915112340003"]
        {
            pair.submit(recipient);
        }
        assert!(pair.carrier.timeout().is_some());
        pair.pass(limits::RECEIPT_DELAY);
        assert_eq!(
            pair.heard,
            [
                "ESME_ROK (0x00) a1",
                "ESME_ROK (0x00) a2",
                "ESME_ROK (0x00) a3",
                "ESME_RTHROTTLED (0x58) ",
                "ESME_ROK (0x00) a4",
                "DELIVRD a1 from 4915112345678",
                "UNDELIV a2 from 4915112340001",
                "DELIVRD a4 from 4915112340003",
            ]
        );
    }

    #[test]
    fn receipts_wait_for_room_in_the_window() {
        let mut pair = Pair::bound();
        for _ in 0..limits::WINDOW_PDUS * 2 + 3 {
            pair.submit("4915112345678");
        }
        pair.heard.clear();
        pair.pass(limits::RECEIPT_DELAY);
        assert_eq!(pair.heard.len(), (limits::WINDOW_PDUS * 2 + 3) as usize);
    }
}
