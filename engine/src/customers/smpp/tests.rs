//! Binds of bytes: a customer's session at one end, ours at the other, and a brain that says what the test says.

mod door;
mod life;
mod receipts;
mod submits;
mod taken;
mod zoo;

use std::sync::Arc;
use std::time::Duration;

use shards::api::{
    Fate, FateEvent, HandsetMessage, MessageView, Origin, Refusal, Reply, Sender, State, Step, StepKind, Why,
};
use wire::id::{Class, Partition, ShardId};
use wire::smpp::query::{CancelSm, DataSm, QuerySm};
use wire::smpp::unserved::SubmitMulti;
use wire::smpp::{
    Address, Bind, BindKind, CommandId, CommandStatus, DataCoding, EsmClass, Event, Options, Receipt,
    ReceiptSign, RegisteredDelivery, Scratch, Sequence, Session, Sm, Tag, Tlvs, put_tlv,
};
use wire::time::{Instant, WallMs};

use super::super::limits::{
    SMPP_CLAIM_EVERY, SMPP_FATE_CREDITS, SMPP_RECEIPT_AGAIN, SMPP_RECEIPT_TRIES_MAX, SMPP_TEXTS_MAX,
    SMPP_WHOLE_WAIT,
};
use super::super::probe::{Asked, CONNECTION, Probe, account, exchange, id, smpp_account};
use super::super::{Ending, Hearing, Protocol, Readiness};
use super::OUTLETS;
use super::exchange::SmppAccount;

/// A customer's end of a connection, which writes down what it hears.
struct Esme {
    connection: u64,
    session: Session,
    heard: Vec<String>,
    /// Receipts that it has not answered.
    owed: Vec<Sequence>,
}

fn bind(kind: BindKind, system_id: &'static [u8], password: &'static [u8]) -> Bind<'static> {
    let address_range = Address::default();
    Bind { kind, system_id, password, system_type: b"", interface_version: 0x34, address_range }
}

impl Esme {
    /// Connects and says something.
    fn connect(probe: &mut Probe, connection: u64, bind: &Bind<'_>) -> Self {
        let options = Options { window_pdus_max: 100, ..Options::default() };
        let session = Session::esme(bind, &options, probe.now.mono);
        probe.accept(connection, Protocol::Smpp);
        let mut esme = Self { connection, session, heard: Vec::new(), owed: Vec::new() };
        esme.exchange(probe);
        esme
    }

    /// A transceiver that was let in.
    fn bound(probe: &mut Probe, connection: u64) -> Self {
        let mut esme = Self::connect(probe, connection, &bind(BindKind::Transceiver, b"dev", b"secret"));
        assert_eq!(esme.told(), ["bound to switchyard"]);
        esme
    }

    /// Passes bytes to and fro until both are silent.
    fn exchange(&mut self, probe: &mut Probe) {
        loop {
            let there = self.session.pending().to_vec();
            self.session.consume(there.len());
            if !there.is_empty() {
                probe.send_on(self.connection, &there);
            }
            probe.settle();
            let back = probe.output_of(self.connection);
            if there.is_empty() && back.is_empty() {
                return;
            }
            self.session.handle_bytes(probe.now.mono, &back);
            self.listen(probe.now.mono);
        }
    }

    fn listen(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event(now) {
            let words = match event {
                Event::Bound { system_id, .. } => format!("bound to {}", system_id.escape_ascii()),
                Event::SubmitAnswer { token, status, message_id, .. } => {
                    format!("{token}: {status} {}", message_id.escape_ascii())
                }
                Event::DeliverRequest { sequence, sm } => {
                    self.owed.push(sequence);
                    if sm.esm_class.is_receipt() { receipt_words(&sm) } else { handset_words(&sm) }
                }
                Event::QueryAnswer { status, answer, .. } => {
                    let state = answer
                        .map(|answer| (answer.message_state, answer.final_date.escape_ascii().to_string()));
                    format!("query: {status} {state:?}")
                }
                Event::DataAnswer { status, .. } => format!("data: {status}"),
                Event::CancelAnswer { status, .. } => format!("cancel: {status}"),
                Event::UnbindRequested => "unbind".to_owned(),
                Event::Closed { reason } => format!("closed: {reason}"),
                other => format!("{other:?}"),
            };
            self.heard.push(words);
        }
    }

    /// What it heard since it was asked last.
    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    fn submit(&mut self, probe: &mut Probe, token: u64, sm: &Sm<'_>) {
        self.session.submit(probe.now.mono, token, sm).unwrap();
        self.exchange(probe);
    }

    /// Answers the receipt that it was sent nth of those that it has not answered.
    fn answer(&mut self, probe: &mut Probe, nth: usize, status: CommandStatus) {
        let sequence = self.owed.remove(nth);
        self.session.answer_deliver(sequence, status);
        self.exchange(probe);
    }
}

/// A receipt in words, as its TLVs and as its text.
fn receipt_words(sm: &Sm<'_>) -> String {
    let (mut scratch, mut other) = (Scratch::default(), Scratch::default());
    let by_tlvs = Receipt::read(sm, ReceiptSign::EsmClass, &mut scratch).unwrap();
    let without = Sm { tlvs: Tlvs::NONE, ..*sm };
    let by_text = Receipt::read(&without, ReceiptSign::EsmClass, &mut other).unwrap();
    assert_eq!((by_tlvs.id, by_tlvs.state), (by_text.id, by_text.state));
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (id, word) = (text(by_tlvs.id), by_tlvs.state.word());
    format!("{word} {id} from {:?} to {:?}", sm.source, sm.destination)
}

/// A message of a handset in words.
fn handset_words(sm: &Sm<'_>) -> String {
    let text = sm.text().escape_ascii();
    format!("{text} as {} from {:?} to {:?}", sm.data_coding.0, sm.source, sm.destination)
}

fn hello<'a>() -> Sm<'a> {
    Sm {
        source: Address::alphanumeric(b"Acme"),
        destination: Address::international(b"4915112345678"),
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: b"hello",
        ..Sm::default()
    }
}

/// A part of a text with an 8-bit reference.
fn part(reference: u8, total: u8, number: u8, text: &[u8]) -> Vec<u8> {
    [&[5, 0, 3, reference, total, number], text].concat()
}

/// The fate of the nth message, told as the `sequence`th of partition 3.
fn fate(sequence: u64, n: u64, fate: Fate) -> Reply {
    let subscriber = Origin { shard: ShardId(0), connection: OUTLETS, request: 0 };
    let event = FateEvent {
        sequence,
        id: id(n),
        at: WallMs(1_795_402_976_000),
        fate,
        why: Why::Receipt,
        code: 0,
        recipient: "+4915112345678".parse().unwrap(),
        sender: Sender::new(b"+4930123456"),
    };
    Reply::Fate { subscriber, event }
}

/// What a handset sent, told as the `sequence`th of partition 3.
fn handset(sequence: u64, text: &str) -> Reply {
    let subscriber = Origin { shard: ShardId(0), connection: OUTLETS, request: 0 };
    let message = HandsetMessage {
        sequence,
        id: id(sequence),
        at: WallMs(1_795_402_976_000),
        carrier: wire::id::CarrierId(7),
        from: "+4915112345678".parse().unwrap(),
        to: Sender::new(b"12345"),
        parts: 1,
        missing: 0,
        text: text.into(),
    };
    Reply::Handset { subscriber, message: Box::new(message) }
}

fn acknowledged(probe: &Probe) -> Vec<u64> {
    let sequence = |asked: &Asked| match asked {
        Asked::Acknowledge(Partition(3), sequence) => Some(*sequence),
        _ => None,
    };
    probe.asked.iter().filter_map(sequence).collect()
}
