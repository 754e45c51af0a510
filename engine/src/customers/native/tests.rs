//! Sessions of bytes: who may say what when.

mod zoo;

use std::time::Duration;

use shards::api::{
    Acceptance, Fate, FateEvent, HandsetMessage, MessageView, Origin, Refusal, Reply, State, Step, StepKind,
    Why,
};
use wire::id::{CarrierId, Class, MessageId, Partition};
use wire::native::{
    Answers, Fates, Frame, HandsetItems, Hello, Kind, Position, Positions, Reject, Submit, SubmitItem,
    SubmitWriter, TraceAnswer, Welcome,
};
use wire::time::WallMs;

use super::super::limits::{HELLO_WAIT, PING_AFTER, QUERIES_MAX, SILENCE_MAX};
use super::super::probe::{Asked, CONNECTION, KEY, Probe, account, id};
use super::super::{Ending, Protocol, Readiness};
use super::STATUS_RECIPIENT;

const ITEM: SubmitItem<'static> = SubmitItem {
    class: Some(Class::Otp),
    validity_s: 90,
    to: "+4915112345678",
    from: "",
    key: b"k",
    text: "hello",
};

fn hello() -> Vec<u8> {
    let mut out = Vec::new();
    Hello { version_min: 1, version_max: 3, account: "dev", key: KEY }.write(&mut out);
    out
}

fn submit(number: u64, items: &[SubmitItem<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = SubmitWriter::begin(number, &mut out);
    for item in items {
        assert!(writer.push(item, &mut out));
    }
    writer.close(&mut out);
    out
}

/// A session that is open.
fn open() -> Probe {
    let mut probe = Probe::connected(Protocol::Native);
    probe.send(&hello());
    let out = probe.output();
    let welcome = Welcome::read(only(&out)).unwrap();
    assert_eq!((welcome.credits, welcome.ports), (4, vec![7701, 7702]));
    probe
}

#[test]
fn whoever_came_over_tls_is_told_the_ports_of_tls() {
    let mut probe = Probe::connected(Protocol::NativeTls);
    probe.send(&hello());
    let out = probe.output();
    assert_eq!(Welcome::read(only(&out)).unwrap().ports, [7801, 7802]);
}

fn only(bytes: &[u8]) -> Frame<'_> {
    let (frame, used) = Frame::split(bytes).unwrap().unwrap();
    assert_eq!(used, bytes.len(), "more than one frame");
    frame
}

fn rejected(probe: &mut Probe) -> (u16, String) {
    let out = probe.output();
    let reject = Reject::read(only(&out)).unwrap();
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
    (reject.code, reject.reason.to_owned())
}

#[test]
fn whoever_says_hello_rightly_is_welcome() {
    open();
    let check = |version_min: u8, version_max: u8, account: &str, key: &str, code: u16, words: &str| {
        let mut probe = Probe::connected(Protocol::Native);
        let mut out = Vec::new();
        Hello { version_min, version_max, account, key }.write(&mut out);
        probe.send(&out);
        assert_eq!(rejected(&mut probe), (code, words.to_owned()));
    };
    let credentials = "there is no such account, or this is not its key";
    check(2, 9, "dev", KEY, Reject::VERSION, "this node speaks version 1, the client 2 to 9");
    check(1, 1, "dev", "key", Reject::CREDENTIALS, credentials);
    check(1, 1, "Dev", KEY, Reject::CREDENTIALS, credentials);
}

#[test]
fn submissions_are_answered_in_one_frame_a_turn() {
    let mut probe = open();
    let wrong = SubmitItem { to: "x", class: None, validity_s: 0, ..ITEM };
    probe.send(&submit(10, &[ITEM, wrong, ITEM]));
    let origin = |request| Origin { shard: wire::id::ShardId(0), connection: CONNECTION, request };
    assert_eq!(probe.submissions(), [origin(10), origin(12)]);
    let Asked::Submit { to, text, key, class, validity, .. } = &probe.asked[0] else { panic!() };
    assert_eq!((&**to, &**text, &**key), ("+4915112345678", "hello", "k"));
    assert_eq!((*class, *validity), (Some(Class::Otp), Some(Duration::from_secs(90))));
    let out = probe.output();
    let [answer] = Answers::read(only(&out)).unwrap() else { panic!() };
    assert_eq!((answer.number.get(), answer.status, answer.retry), (11, STATUS_RECIPIENT, 0));

    probe.answer(origin(12), Err(Refusal::Busy));
    probe.answer(origin(10), Ok(Acceptance { id: id(1), known: true }));
    probe.settle();
    let out = probe.output();
    let [busy, known] = Answers::read(only(&out)).unwrap() else { panic!() };
    assert_eq!((busy.number.get(), busy.status, busy.retry, busy.retry_after_ms.get()), (12, 34, 1, 100));
    assert_eq!((known.number.get(), known.status, known.id.get()), (10, 1, id(1).0));
}

#[test]
fn every_refusal_has_its_own_status() {
    let mut codes: Vec<u8> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    codes.push(STATUS_RECIPIENT);
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Refusal::ALL.len() + 1);
    assert!(codes[0] >= 16, "0 and 1 are acceptances");
}

#[test]
fn credits_are_not_to_be_overspent() {
    let mut probe = open();
    probe.send(&submit(0, &[ITEM; 3]));
    probe.accept_message(probe.submissions()[0], 1);
    probe.settle();
    probe.output();
    probe.send(&submit(3, &[ITEM; 2]));
    probe.send(&submit(5, &[ITEM]));
    let words = "5 submissions would be unanswered, and there were 4 credits";
    assert_eq!(rejected(&mut probe), (Reject::CREDITS, words.to_owned()));
    assert_eq!(probe.submissions().len(), 5);
}

#[test]
fn frames_mean_the_same_wherever_they_are_split() {
    let mut stream = hello();
    stream.extend(submit(1, &[ITEM, ITEM]));
    Frame::write(Kind::Ping, 77, &[], &mut stream);
    TraceAnswer::write_query(5, id(9), &mut stream);
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut probe = Probe::connected(Protocol::Native);
        for piece in pieces {
            probe.send(piece);
        }
        (probe.asked.clone(), probe.output())
    };
    let whole = run(&mut std::iter::once(&stream[..]));
    assert_eq!(whole.0.len(), 3);
    for at in 1..stream.len() {
        let (one, other) = stream.split_at(at);
        assert_eq!(run(&mut [one, other].into_iter()), whole, "split at {at}");
    }
    assert_eq!(run(&mut stream.chunks(1)), whole);
}

#[test]
fn fates_are_told_to_subscribers_until_they_are_gone() {
    let mut probe = open();
    let position =
        |partition: u16, sequence: u64| Position { partition: partition.into(), sequence: sequence.into() };
    let mut out = Vec::new();
    Positions::write_subscribe(1 << 20, &[position(3, 8)], &mut out);
    Positions::write_ack(&[position(3, 9), position(4, 1)], &mut out);
    probe.send(&out);
    let Asked::Subscribe(subscriber, subscription) = probe.asked[0].clone() else { panic!() };
    assert_eq!((subscription.account, subscription.credits), (account(), 8192));
    assert_eq!(subscription.positions, [(Partition(3), 8)]);
    assert_eq!(probe.asked[1..], [Asked::Acknowledge(Partition(3), 9), Asked::Acknowledge(Partition(4), 1)]);
    let event = FateEvent {
        sequence: 9,
        id: id(4),
        at: WallMs(5),
        fate: Fate::Failed,
        why: Why::Response,
        code: 0x58,
        recipient: "+4915112345678".parse().unwrap(),
        sender: shards::api::Sender::new(b"Acme"),
    };
    probe.reply(Reply::Fate { subscriber, event });
    probe.settle();
    let out = probe.output();
    let [fate] = Fates::read(only(&out)).unwrap() else { panic!() };
    assert_eq!((fate.sequence.get(), fate.id.get(), fate.at_ms.get()), (9, id(4).0, 5));
    assert_eq!((fate.partition.get(), fate.fate, fate.why, fate.code.get()), (3, 2, 4, 0x58));
    let message = HandsetMessage {
        sequence: 10,
        id: id(5),
        at: WallMs(6),
        carrier: CarrierId(7),
        from: "+4915112345678".parse().unwrap(),
        to: shards::api::Sender::new(b"12345"),
        parts: 2,
        missing: 1,
        text: "[...]stop".into(),
    };
    probe.reply(Reply::Handset { subscriber, message: Box::new(message) });
    probe.settle();
    let out = probe.output();
    let mut items = HandsetItems::read(only(&out)).unwrap();
    let item = items.next_item().unwrap().unwrap();
    assert_eq!((item.sequence, item.id, item.at, item.partition), (10, id(5), WallMs(6), Partition(3)));
    assert_eq!((item.parts, item.missing), (2, 1));
    assert_eq!((item.from, item.to, item.text), ("4915112345678", "12345", "[...]stop"));
    assert_eq!(items.next_item(), Ok(None));
    probe.close();
    assert_eq!(probe.asked.last(), Some(&Asked::Unsubscribe(subscriber)));
}

#[test]
fn a_query_that_cannot_be_answered_now_is_to_be_repeated_and_gives_its_place_back() {
    let mut probe = open();
    for _ in 0..2 * QUERIES_MAX {
        let mut out = Vec::new();
        TraceAnswer::write_query(41, id(4), &mut out);
        probe.send(&out);
        let Some(Asked::Query(origin, _)) = probe.asked.pop() else { panic!() };
        probe.refuse_query(origin);
        probe.settle();
        let out = probe.output();
        let answer = TraceAnswer::read(only(&out)).unwrap();
        assert_eq!((only(&out).number, answer.state, answer.id), (41, 5, MessageId(0)));
    }
}

#[test]
fn a_query_is_answered_with_state_and_trace() {
    let mut probe = open();
    let mut out = Vec::new();
    TraceAnswer::write_query(41, id(4), &mut out);
    TraceAnswer::write_query(42, id(5), &mut out);
    probe.send(&out);
    let [Asked::Query(first, one), Asked::Query(second, _)] = probe.asked[..] else { panic!() };
    assert_eq!((one, first.request, second.request), (id(4), 41, 42));
    let step = Step {
        at: WallMs(5),
        kind: StepKind::Sent,
        attempt: 2,
        part: 1,
        why: Why::Response,
        carrier: Some(CarrierId(9)),
        code: 0,
        carrier_message_id: vec![b'x'; 300].into(),
    };
    let view = MessageView {
        id: id(4),
        state: State::Final(Fate::Delivered),
        recipient: "+4915112345678".parse().unwrap(),
        sender: shards::api::Sender::new(b"Acme"),
        class: Class::Otp,
        segments: 2,
        send_until: WallMs(9),
        trace: vec![step],
    };
    probe.reply(Reply::Message { origin: second, account: account(), id: MessageId(4), view: None });
    probe.settle();
    let out = probe.output();
    let answer = TraceAnswer::read(only(&out)).unwrap();
    assert_eq!((only(&out).number, answer.state, answer.id, answer.steps.len()), (42, 0, MessageId(0), 0));
    probe.reply(Reply::Message {
        origin: first,
        account: account(),
        id: MessageId(4),
        view: Some(Box::new(view)),
    });
    probe.settle();
    let out = probe.output();
    let answer = TraceAnswer::read(only(&out)).unwrap();
    assert_eq!((answer.state, answer.id), (17, id(4)));
    assert_eq!(
        (answer.steps[0].kind, answer.steps[0].attempt, answer.steps[0].carrier_id.len()),
        (3, 2, 255)
    );
}

#[test]
fn whoever_breaks_the_protocol_is_told_how() {
    let check = |probe: &mut Probe, bytes: &[u8], words: &str| {
        probe.send(bytes);
        assert_eq!(rejected(probe), (Reject::FRAME, words.to_owned()));
        probe.send(&hello());
        assert_eq!(probe.output(), b"", "nothing more is read");
    };
    let mut new = Probe::connected(Protocol::Native);
    check(&mut new, &submit(0, &[ITEM]), "expected Hello first, found Submit");
    check(&mut open(), &hello(), "a Hello frame came from a client whose session is open");
    check(&mut open(), b"GET / HTTP/1.1\r\n\r\n", "frame length 542393671 is not within 16 to 1048576 bytes");
    let mut zero_credits = Vec::new();
    Frame::write(Kind::Subscribe, 0, &[0; 4], &mut zero_credits);
    check(&mut open(), &zero_credits, "a Subscribe frame: expected at least one credit");
}

#[test]
fn silence_is_asked_about_and_then_ends_the_session() {
    let mut probe = Probe::connected(Protocol::Native);
    probe.wait(HELLO_WAIT);
    assert_eq!(rejected(&mut probe), (Reject::FRAME, "expected a Hello within 5 s".into()));

    let mut probe = open();
    probe.wait(PING_AFTER);
    let out = probe.output();
    assert_eq!(only(&out).kind, Kind::Ping);
    let mut pong = Vec::new();
    Frame::write(Kind::Pong, 0, &[], &mut pong);
    probe.send(&pong);
    probe.wait(PING_AFTER);
    assert_eq!(only(&probe.output()).kind, Kind::Ping);
    probe.wait(SILENCE_MAX - PING_AFTER - Duration::from_millis(1));
    assert_eq!(probe.ending(), None);
    probe.wait(Duration::from_millis(1));
    assert_eq!(probe.ending(), Some(Ending::AtOnce));
}

#[test]
fn a_customer_that_sends_nothing_more_still_gets_its_answers() {
    let mut probe = open();
    let mut stream = submit(0, &[ITEM]);
    Positions::write_subscribe(1, &[], &mut stream);
    probe.send(&stream);
    probe.end_input();
    assert!(matches!(probe.asked.last(), Some(Asked::Unsubscribe(_))));
    assert_eq!(probe.ending(), None);
    probe.accept_message(probe.submissions()[0], 1);
    probe.settle();
    assert_eq!(only(&probe.output()).kind, Kind::Answer);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
}

#[test]
fn a_stop_says_goodbye_once_all_is_answered() {
    let mut probe = open();
    probe.send(&submit(0, &[ITEM]));
    probe.customers.handle_readiness(Readiness::Stopping);
    probe.settle();
    assert_eq!((probe.output(), probe.customers.is_drained()), (Vec::new(), false));
    probe.answer(probe.submissions()[0], Err(Refusal::Stopping));
    probe.settle();
    let out = probe.output();
    let (answer, used) = Frame::split(&out).unwrap().unwrap();
    assert_eq!((answer.kind, only(&out[used..]).kind), (Kind::Answer, Kind::Goodbye));
    assert_eq!((probe.ending(), probe.customers.is_drained()), (Some(Ending::AfterOutput), true));

    let mut late = Probe::new();
    late.customers.handle_readiness(Readiness::Stopping);
    late.accept(CONNECTION, Protocol::Native);
    late.settle();
    assert_eq!(rejected(&mut late).0, Reject::STOPPING);
}

const PAGE: &str = include_str!("../../../../docs/formats-native.md");

/// The bytes of an example: hexadecimal digits up to two spaces that follow some.
fn example(block: &str) -> Vec<u8> {
    let mut digits = String::new();
    for line in block.lines() {
        let line = line.trim_start();
        digits.extend(line.split("  ").next().unwrap_or_default().chars().filter(|char| *char != ' '));
    }
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn the_example_of_the_page_is_what_happens() {
    let section = PAGE.split("## Example").nth(1).unwrap();
    let blocks: Vec<&str> =
        section.split("```").skip(1).step_by(2).map(|block| block.trim_start_matches("text\n")).collect();
    let [client, server] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let mut probe = Probe::connected(Protocol::Native);
    probe.customers.settings.credits = 8192;
    probe.send(&example(client));
    let [Asked::Submit { origin, text, validity, .. }] = &probe.asked[..] else {
        panic!("{:?}", probe.asked)
    };
    assert_eq!((&**text, validity), ("Code: 12345678", &Some(Duration::from_secs(300))));
    let origin = *origin;
    probe.accept_message(origin, 7);
    probe.settle();
    assert_eq!(probe.output(), example(server));
}

#[test]
fn the_tables_of_the_page_are_those_of_the_code() {
    let check = |row: String| assert!(PAGE.contains(&row), "docs/formats-native.md lacks: {row}");
    for refusal in Refusal::ALL {
        let retry = match refusal.retry() {
            shards::api::Retry::Never => "never",
            shards::api::Retry::Later(_) => "later",
            shards::api::Retry::Elsewhere => "elsewhere",
        };
        check(format!("| {} | {} | {retry} | ", refusal.code(), refusal.name()));
    }
    check(format!("| {STATUS_RECIPIENT} | recipient | never | "));
    for (byte, why) in Why::ALL.iter().enumerate().skip(1) {
        check(format!("| {byte} | {} | ", why.name()));
    }
    for kind in [
        StepKind::Accepted,
        StepKind::Attempted,
        StepKind::Sent,
        StepKind::RefusedForNow,
        StepKind::RefusedForGood,
        StepKind::Withdrawn,
        StepKind::Doubted,
        StepKind::SendAgain,
        StepKind::Reported,
        StepKind::Fated,
    ] {
        check(format!("| {} | {} | ", kind as u8, kind.name()));
    }
    for state in [State::Queued, State::Attempting, State::Doubtful, State::Sent] {
        check(format!("| {} | {}", state.code(), state.name()));
    }
    for fate in Fate::ALL {
        check(format!("| {} | {} |", State::Final(fate).code(), fate.name()));
        check(format!("{} {}", fate as u8, fate.name()));
    }
}

#[test]
fn no_bytes_and_no_order_of_answers_make_a_session_panic() {
    let mut query = Vec::new();
    TraceAnswer::write_query(5, id(9), &mut query);
    let mut subscribe = Vec::new();
    Positions::write_subscribe(10, &[], &mut subscribe);
    let pieces = [hello(), submit(0, &[ITEM]), submit(7, &[ITEM, ITEM]), query, subscribe];
    assert!(Submit::read(only(&pieces[1])).is_ok());
    bolero::check!().with_iterations(3_000).for_each(|script: &[u8]| {
        let mut probe = if script.first().is_some_and(|byte| byte % 4 > 0) {
            open()
        } else {
            Probe::connected(Protocol::Native)
        };
        let mut bytes = script.iter().copied();
        while let Some(op) = bytes.next() {
            match op % 6 {
                0 | 1 => probe.send(&pieces[usize::from(op / 6) % pieces.len()]),
                2 => {
                    let mut frame = pieces[usize::from(op / 6) % pieces.len()].clone();
                    let at = usize::from(bytes.next().unwrap_or(0)) % frame.len();
                    frame[at] ^= bytes.next().unwrap_or(1);
                    probe.send(&frame);
                }
                3 => {
                    let origin =
                        Origin { shard: wire::id::ShardId(0), connection: CONNECTION, request: op.into() };
                    probe.accept_message(origin, 1);
                    probe.reply(Reply::Message { origin, account: account(), id: MessageId(4), view: None });
                }
                4 => probe.wait(Duration::from_millis(u64::from(op) * 100)),
                _ => _ = probe.output(),
            }
            _ = probe.ending();
        }
        probe.close();
    });
}
