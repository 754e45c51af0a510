//! Binds of bytes: a customer's session at one end, ours at the other, and a brain that says what the test says.

mod door;
mod taken;

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

#[test]
fn what_a_handset_sent_stands_among_the_fates_and_is_told_until_it_is_answered() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.reply(handset(1, "STOP @"));
    probe.reply(fate(2, 2, Fate::Delivered));
    probe.reply(handset(3, "ж"));
    esme.exchange(&mut probe);
    let between = "from 1/1 4915112345678 to 0/0 12345";
    let told = esme.told();
    assert_eq!(
        (&told[0], &told[2]),
        (&format!("STOP \\x00 as 0 {between}"), &format!("\\x046 as 8 {between}"))
    );
    esme.answer(&mut probe, 1, CommandStatus::ESME_ROK);
    esme.answer(&mut probe, 1, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [0; 0], "the first is not answered");
    esme.answer(&mut probe, 0, CommandStatus::ESME_RX_T_APPN);
    assert_eq!(esme.told(), [""; 0]);
    probe.wait(SMPP_RECEIPT_AGAIN);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [format!("STOP \\x00 as 0 {between}")]);
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [3]);
    let long = "0123456789".repeat(30);
    probe.reply(handset(4, &long));
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [format!("{long} as 0 {between}")], "in message_payload");
}

#[test]
fn each_bind_that_is_refused_is_told_why() {
    let check = |system_id, password, status: CommandStatus| {
        let mut probe = Probe::new();
        let asked = bind(BindKind::Transmitter, system_id, password);
        let mut esme = Esme::connect(&mut probe, CONNECTION, &asked);
        assert_eq!(esme.told(), [format!("closed: the bind was refused with {status}")]);
        assert_eq!(probe.ending(), Some(Ending::AfterOutput));
        assert_eq!(probe.customers.counts().smpp_binds_refused, 1);
    };
    check(b"Dev", b"secret", CommandStatus::ESME_RINVSYSID);
    check(b"dev", b"Secret", CommandStatus::ESME_RINVPASWD);
    let mut probe = Probe::new();
    let mut esmes: Vec<_> = (1..=3).map(|connection| Esme::bound(&mut probe, connection)).collect();
    let fourth = &bind(BindKind::Receiver, b"dev", b"secret");
    let mut refused = Esme::connect(&mut probe, 4, fourth);
    assert_eq!(refused.told(), ["closed: the bind was refused with ESME_RALYBND (0x05)"]);
    esmes.pop();
    probe.close_on(3);
    assert_eq!(Esme::connect(&mut probe, 5, fourth).told(), ["bound to switchyard"]);
    probe.customers.handle_readiness(Readiness::Stopping);
    let mut late = Esme::connect(&mut probe, 6, fourth);
    assert!(late.told()[0].starts_with("closed"), "a node that stops lets nobody in");
}

#[test]
fn who_says_nothing_in_time_is_let_go() {
    let mut probe = Probe::connected(Protocol::Smpp);
    probe.wait(wire::smpp::limits::SESSION_INIT);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
    assert_eq!(probe.customers.counts().timeouts, 1);
}

#[test]
fn an_id_is_told_when_the_message_is_durable_and_not_before() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let mut tlvs = Vec::new();
    put_tlv(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, &[0, 7]);
    let sm = Sm { tlvs: Tlvs::new(&tlvs).unwrap(), validity_period: b"000000000130000R", ..hello() };
    esme.submit(&mut probe, 9, &sm);
    assert_eq!(esme.told(), [""; 0]);
    let Some(Asked::Submit { to, text, key, class, validity, .. }) = probe.asked.last() else { panic!() };
    assert_eq!((&**to, &**text, &**key), ("+4915112345678", "hello", "smpp:0007:Acme"));
    assert_eq!((*class, *validity), (None, Some(Duration::from_secs(90))));
    let origin = probe.submissions()[0];
    probe.accept_message(origin, 1);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [format!("9: ESME_ROK (0x00) {}", id(1))]);
}

#[test]
fn each_refusal_has_its_status_and_a_full_window_is_throttled() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let statuses = Refusal::ALL.map(|refusal| {
        esme.submit(&mut probe, 1, &hello());
        let origin = *probe.submissions().last().unwrap();
        probe.answer(origin, Err(refusal));
        esme.exchange(&mut probe);
        let told = esme.told().remove(0);
        u32::from_str_radix(told.split("0x").nth(1).unwrap().split(')').next().unwrap(), 16).unwrap()
    });
    let for_good = [0xC4, 0x0B, 0x01, 0x0A, 0xC4, 0x62, 0x45];
    let for_now = [0x14, 0x14, 0x14, 0x14, 0x58, 0x14, 0x58, 0x08, 0x08];
    assert_eq!(statuses[..7], for_good);
    assert_eq!(statuses[7..], for_now);
    (0..5).for_each(|token| esme.submit(&mut probe, token, &hello()));
    assert_eq!(esme.told(), ["4: ESME_RTHROTTLED (0x58) "]);
    assert_eq!(probe.customers.counts().smpp_throttled, 1);
    let origin = *probe.submissions().last().unwrap();
    probe.accept_message(origin, 1);
    esme.submit(&mut probe, 5, &hello());
    assert_eq!(esme.told().len(), 1, "there was room again");
}

#[test]
fn what_cannot_be_kept_is_refused_and_never_asked() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    esme.submit(&mut probe, 1, &Sm { data_coding: DataCoding::BINARY, ..hello() });
    esme.submit(&mut probe, 2, &Sm { destination: Address::international(b"x"), ..hello() });
    esme.session.data(probe.now.mono, 3, &DataSm::default()).unwrap();
    // A group of messages, which are not taken back.
    esme.session.cancel(probe.now.mono, 4, &CancelSm::default()).unwrap();
    let nonsense = CancelSm { message_id: b"17", ..CancelSm::default() };
    esme.session.cancel(probe.now.mono, 5, &nonsense).unwrap();
    esme.exchange(&mut probe);
    assert_eq!(
        esme.told(),
        [
            "1: ESME_RINVDCS (0x104) ",
            "2: ESME_RINVDSTADR (0x0B) ",
            "data: ESME_RINVDSTADR (0x0B)",
            "cancel: ESME_RCANCELFAIL (0x11)",
            "cancel: ESME_RINVMSGID (0x0C)"
        ]
    );
    assert_eq!((probe.submissions().len(), probe.customers.counts().messages_malformed), (0, 3));
    // submit_multi: refused in its own words, and one without a body by a generic_nack.
    let mut multi = Vec::new();
    SubmitMulti::default().encode(Sequence(98), &mut multi).unwrap();
    probe.send(&multi);
    let out = probe.output();
    assert_eq!(out[4..16], [0x80, 0, 0, 0x21, 0, 0, 0, 3, 0, 0, 0, 98]);
    probe.send(&[0, 0, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 99]);
    let out = probe.output();
    assert_eq!(out[4..16], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 99]);
}

#[test]
fn parts_become_one_message_and_each_is_answered_when_that_is_durable() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    // The second part comes first, and an escape pair is split between the two.
    let (first, second) = (part(7, 2, 1, b"hello \x1B"), part(7, 2, 2, b"\x65 world"));
    let sm = Sm { esm_class: EsmClass::UDHI, ..hello() };
    esme.submit(&mut probe, 2, &Sm { short_message: &second, ..sm });
    assert_eq!(probe.submissions(), []);
    esme.submit(&mut probe, 1, &Sm { short_message: &first, ..sm });
    let Some(Asked::Submit { text, origin, .. }) = probe.asked.last().cloned() else { panic!() };
    assert_eq!((&*text, esme.told().len()), ("hello € world", 0));
    probe.accept_message(origin, 1);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [2, 1].map(|token| format!("{token}: ESME_ROK (0x00) {}", id(1))));
}

#[test]
fn parts_that_wait_in_vain_are_refused() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let sm = Sm { esm_class: EsmClass::UDHI, ..hello() };
    let first = part(7, 2, 1, b"hello");
    esme.submit(&mut probe, 1, &Sm { short_message: &first, ..sm });
    // Sent again it is the same part; another text in its place is not.
    esme.submit(&mut probe, 2, &Sm { short_message: &first, ..sm });
    esme.submit(&mut probe, 3, &Sm { short_message: &part(7, 2, 1, b"other"), ..sm });
    assert_eq!(esme.told(), ["3: ESME_RSUBMITFAIL (0x45) "]);
    probe.wait(SMPP_WHOLE_WAIT);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), ["1: ESME_RSUBMITFAIL (0x45) ", "2: ESME_RSUBMITFAIL (0x45) "]);
    assert_eq!(probe.customers.counts().smpp_parts_expired, 2);
    // A whole text that is none in its alphabet: both parts are refused.
    esme.submit(&mut probe, 4, &Sm { short_message: &part(8, 2, 1, b"hello\x1B"), ..sm });
    esme.submit(&mut probe, 5, &Sm { short_message: &part(8, 2, 2, b"world"), ..sm });
    assert_eq!(esme.told(), ["4: ESME_RINVDCS (0x104) ", "5: ESME_RINVDCS (0x104) "]);
    esme.submit(&mut probe, 6, &Sm { short_message: &part(9, 33, 1, b"hello"), ..sm });
    assert_eq!(esme.told(), ["6: ESME_RINVMSGLEN (0x01) "]);
    assert_eq!(probe.submissions(), []);
    assert!(!probe.customers.is_drained(), "the bind stands");
}

#[test]
fn a_bind_holds_so_many_texts_and_no_more() {
    let mut account = smpp_account();
    account.window_pdus_max = 200;
    let mut probe = Probe::with_account(account);
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    for reference in 0..=u8::try_from(SMPP_TEXTS_MAX).unwrap() {
        let first = part(reference, 2, 1, b"hello");
        esme.submit(
            &mut probe,
            u64::from(reference),
            &Sm { esm_class: EsmClass::UDHI, short_message: &first, ..hello() },
        );
    }
    assert_eq!(esme.told(), [format!("{SMPP_TEXTS_MAX}: ESME_RSUBMITFAIL (0x45) ")]);
}

#[test]
fn a_fate_is_a_receipt_and_is_acknowledged_when_the_customer_has_it() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let subscribed = probe.asked.iter().any(|asked| {
        matches!(asked, Asked::Subscribe(origin, wanted) if origin.connection == OUTLETS && wanted.account == account())
    });
    assert!(subscribed, "{:?}", probe.asked);
    for (sequence, n, what) in [(1, 1, Fate::Delivered), (2, 2, Fate::Failed), (3, 3, Fate::Expired)] {
        probe.reply(fate(sequence, n, what));
    }
    esme.exchange(&mut probe);
    let words = |word: &str, n| format!("{word} {} from 1/1 4915112345678 to 1/1 4930123456", id(n));
    assert_eq!(esme.told(), [words("DELIVRD", 1), words("UNDELIV", 2), words("EXPIRED", 3)]);
    assert_eq!(acknowledged(&probe), [0; 0]);
    // The last is answered first: nothing before it may be lost.
    esme.answer(&mut probe, 2, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [0; 0]);
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [1]);
    esme.answer(&mut probe, 0, CommandStatus::ESME_RX_P_APPN);
    assert_eq!(acknowledged(&probe), [1, 3]);
    assert_eq!(probe.customers.counts().smpp_receipts_refused, 1);
}

#[test]
fn a_receipt_that_is_refused_for_now_or_not_answered_is_sent_again() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.reply(fate(1, 1, Fate::Delivered));
    esme.exchange(&mut probe);
    esme.told();
    esme.answer(&mut probe, 0, CommandStatus::ESME_RX_T_APPN);
    probe.wait(SMPP_RECEIPT_AGAIN);
    esme.exchange(&mut probe);
    assert_eq!(esme.told().len(), 1, "again");
    esme.owed.clear();
    probe.wait(wire::smpp::limits::RESPONSE);
    esme.exchange(&mut probe);
    assert_eq!((esme.told().len(), acknowledged(&probe)), (1, vec![]));
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [1]);
    assert_eq!(probe.customers.counts().smpp_receipts_again, 2);
}

#[test]
fn a_receipt_that_is_never_taken_is_given_up_and_holds_nobody_up_for_ever() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.reply(fate(1, 1, Fate::Delivered));
    for _ in 0..SMPP_RECEIPT_TRIES_MAX {
        assert_eq!(acknowledged(&probe), [0; 0]);
        esme.exchange(&mut probe);
        esme.answer(&mut probe, 0, CommandStatus::ESME_RX_T_APPN);
        probe.wait(SMPP_RECEIPT_AGAIN);
    }
    assert_eq!((acknowledged(&probe), probe.customers.counts().smpp_receipts_refused), (vec![1], 1));
}

#[test]
fn receipts_go_to_a_bind_with_room_and_to_another_when_that_goes() {
    let mut probe = Probe::new();
    let mut transmitter = Esme::connect(&mut probe, 1, &bind(BindKind::Transmitter, b"dev", b"secret"));
    assert!(probe.asked.is_empty(), "a transmitter is told nothing");
    let mut first = Esme::connect(&mut probe, 2, &bind(BindKind::Receiver, b"dev", b"secret"));
    let mut second = Esme::bound(&mut probe, 3);
    (1..=6).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    first.exchange(&mut probe);
    second.exchange(&mut probe);
    transmitter.exchange(&mut probe);
    assert_eq!((first.owed.len() + second.owed.len(), transmitter.owed.len()), (6, 0));
    assert!(first.owed.len() == 4 || second.owed.len() == 4, "a window has four");
    while !second.owed.is_empty() {
        second.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    }
    let before = second.told().len();
    probe.close_on(2);
    second.exchange(&mut probe);
    assert!(second.owed.len() >= 2 && before >= 2, "what the first did not answer");
    while !second.owed.is_empty() {
        second.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    }
    assert_eq!(acknowledged(&probe).last(), Some(&6));
    let subscriptions = probe.asked.iter().filter(|asked| matches!(asked, Asked::Subscribe(..))).count();
    assert_eq!(subscriptions, 1);
    probe.close_on(3);
    assert!(matches!(probe.asked.last(), Some(Asked::Unsubscribe(_))));
    probe.reply(fate(7, 7, Fate::Delivered));
    let again = Esme::bound(&mut probe, 4);
    assert!(matches!(probe.asked.last(), Some(Asked::Subscribe(..))));
    assert!(again.owed.is_empty(), "what came for the earlier subscription is told again by the brain");
}

#[test]
fn one_shard_tells_an_account_and_another_takes_over() {
    let exchange = Arc::new(exchange(smpp_account()));
    let (mut zero, mut one) = (Probe::of_shard(0, exchange.clone()), Probe::of_shard(1, exchange));
    let is_subscribed = |probe: &Probe| probe.asked.iter().any(|a| matches!(a, Asked::Subscribe(..)));
    Esme::bound(&mut zero, CONNECTION);
    Esme::bound(&mut one, CONNECTION);
    one.wait(SMPP_CLAIM_EVERY * 3);
    assert!(is_subscribed(&zero) && !is_subscribed(&one));
    zero.close();
    assert!(matches!(zero.asked.last(), Some(Asked::Unsubscribe(_))));
    one.wait(SMPP_CLAIM_EVERY);
    assert!(is_subscribed(&one));
}

#[test]
fn a_receipt_that_was_not_asked_for_is_acknowledged_in_silence() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    for (n, registered) in [(1, 0), (2, 2), (3, 1)] {
        let registered_delivery = RegisteredDelivery(registered);
        esme.submit(&mut probe, n, &Sm { registered_delivery, ..hello() });
        let origin = *probe.submissions().last().unwrap();
        probe.accept_message(origin, n);
    }
    esme.exchange(&mut probe);
    esme.told();
    (1..=3).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    esme.exchange(&mut probe);
    assert_eq!((esme.told().len(), acknowledged(&probe)), (1, vec![2]));
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [2, 3]);
}

#[test]
fn a_text_of_which_one_part_asks_for_a_receipt_has_one() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    for (n, asks) in [(1, [1, 0]), (2, [0, 1]), (3, [2, 1]), (4, [0, 0])] {
        for (number, registered) in (1..).zip(asks) {
            let text = part(7, 2, number, b"hello");
            let registered_delivery = RegisteredDelivery(registered);
            let sm = Sm { esm_class: EsmClass::UDHI, short_message: &text, registered_delivery, ..hello() };
            esme.submit(&mut probe, 1, &sm);
        }
        let origin = *probe.submissions().last().unwrap();
        probe.accept_message(origin, n);
        esme.exchange(&mut probe);
        esme.told();
        probe.reply(fate(n, n, Fate::Delivered));
        esme.exchange(&mut probe);
        assert_eq!(esme.told().len(), usize::from(n < 4), "{asks:?}");
    }
}

#[test]
fn a_query_that_cannot_be_answered_now_is_to_be_repeated() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let text = id(1).to_string();
    let query = QuerySm { message_id: text.as_bytes(), source: Address::default() };
    esme.session.query(probe.now.mono, 1, &query).unwrap();
    esme.exchange(&mut probe);
    let Some(Asked::Query(origin, _)) = probe.asked.last().cloned() else { panic!() };
    probe.refuse_query(origin);
    esme.exchange(&mut probe);
    let told = esme.told().remove(0);
    assert!(told.starts_with("query: ESME_RTHROTTLED (0x58)"), "{told}");
}

#[test]
fn a_query_is_answered_with_the_state_and_when_it_was_reached() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let mut ask = |probe: &mut Probe, state: Option<State>| {
        let text = id(1).to_string();
        let query = QuerySm { message_id: text.as_bytes(), source: Address::default() };
        esme.session.query(probe.now.mono, 1, &query).unwrap();
        esme.exchange(probe);
        let Some(Asked::Query(origin, asked)) = probe.asked.last().cloned() else { panic!() };
        assert_eq!(asked, id(1));
        let step = Step {
            at: WallMs(1_795_402_975_300),
            kind: StepKind::Fated,
            attempt: 1,
            part: 0,
            why: Why::Receipt,
            carrier: None,
            code: 0,
            carrier_message_id: Box::default(),
        };
        let view = state.map(|state| MessageView {
            id: id(1),
            state,
            recipient: "+4915112345678".parse().unwrap(),
            sender: Sender::new(b"Acme"),
            class: Class::Otp,
            segments: 1,
            send_until: WallMs(0),
            trace: vec![step],
        });
        probe.reply(Reply::Message {
            origin,
            account: account(),
            id: wire::id::MessageId(4),
            view: view.map(Box::new),
        });
        esme.exchange(probe);
        esme.told().remove(0)
    };
    assert_eq!(ask(&mut probe, Some(State::Sent)), "query: ESME_ROK (0x00) Some((Enroute, \"\"))");
    assert_eq!(
        ask(&mut probe, Some(State::Final(Fate::Failed))),
        "query: ESME_ROK (0x00) Some((Undeliverable, \"261123030255300+\"))"
    );
    assert!(ask(&mut probe, None).starts_with("query: ESME_RQUERYFAIL (0x67)"));
    let mut other = Esme::bound(&mut probe, 2);
    let unknown = QuerySm { message_id: b"17", source: Address::default() };
    other.session.query(probe.now.mono, 1, &unknown).unwrap();
    other.exchange(&mut probe);
    assert!(other.told()[0].starts_with("query: ESME_RINVMSGID (0x0C)"));
}

#[test]
fn a_node_that_stops_answers_what_it_was_asked_and_unbinds() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    esme.submit(&mut probe, 1, &hello());
    let half = part(7, 2, 1, b"hello");
    esme.submit(&mut probe, 2, &Sm { esm_class: EsmClass::UDHI, short_message: &half, ..hello() });
    probe.customers.handle_readiness(Readiness::Stopping);
    probe.settle();
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), ["2: ESME_RSYSERR (0x08) "]);
    let origin = probe.submissions()[0];
    probe.accept_message(origin, 1);
    esme.exchange(&mut probe);
    assert_eq!(esme.told()[..2], [format!("1: ESME_ROK (0x00) {}", id(1)), "unbind".to_owned()]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
    assert!(probe.customers.is_drained());
}

#[test]
fn a_customer_unbinds_when_it_has_its_answers_and_one_that_is_silent_is_asked() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.wait(wire::smpp::limits::ENQUIRE_LINK_IDLE);
    esme.exchange(&mut probe);
    probe.wait(wire::smpp::limits::RESPONSE - Duration::from_secs(1));
    assert_eq!(probe.ending(), None, "it answered");
    esme.submit(&mut probe, 1, &hello());
    probe.send(&[0, 0, 0, 16, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 77]);
    assert!(probe.output().is_empty(), "the answer is owed");
    let origin = probe.submissions()[0];
    probe.accept_message(origin, 1);
    probe.settle();
    let out = probe.output();
    assert_eq!(out[4..8], CommandId::SUBMIT_SM_RESP.0.to_be_bytes());
    assert_eq!(out[out.len() - 16..], [0, 0, 0, 16, 0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 77]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
}

#[test]
fn a_bind_split_at_every_byte_is_the_same_bind() {
    let mut stream = Vec::new();
    bind(BindKind::Transceiver, b"dev", b"secret").encode(Sequence(1), &mut stream);
    hello().encode(CommandId::SUBMIT_SM, Sequence(2), &mut stream).unwrap();
    for split in 0..=stream.len() {
        let mut probe = Probe::connected(Protocol::Smpp);
        probe.send(&stream[..split]);
        probe.send(&stream[split..]);
        assert_eq!(probe.submissions().len(), 1, "split at {split}");
    }
}

#[test]
fn whatever_a_customer_sends_is_answered_or_ends_its_own_bind() {
    let mut stream = Vec::new();
    bind(BindKind::Transceiver, b"dev", b"secret").encode(Sequence(1), &mut stream);
    let bound = stream.len();
    for sequence in 2..6 {
        let text = part(7, 3, u8::try_from(sequence).unwrap(), b"hello");
        let sm = Sm { esm_class: EsmClass::UDHI, short_message: &text, ..hello() };
        sm.encode(CommandId::SUBMIT_SM, Sequence(sequence), &mut stream).unwrap();
    }
    // A generator of Marsaglia's, so that each run is the same.
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..2000 {
        let mut bytes = stream.clone();
        for _ in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = bound + usize::try_from(random >> 8).unwrap() % (bytes.len() - bound);
            bytes[at] = random.to_le_bytes()[0];
        }
        let mut probe = Probe::connected(Protocol::Smpp);
        let (there, later) = bytes.split_at(bytes.len() / 2);
        probe.send(there);
        probe.send(later);
        for (n, origin) in (1..).zip(probe.submissions()) {
            probe.accept_message(origin, n);
        }
        probe.settle();
        assert!(!probe.output().is_empty());
        probe.wait(Duration::from_secs(60));
        probe.close();
        assert_eq!(probe.customers.connections_count(), 0);
        let mut esmes = (2..5).map(|connection| Esme::bound(&mut probe, connection));
        assert!(esmes.all(|esme| esme.owed.is_empty()), "its place is free again");
    }
}
