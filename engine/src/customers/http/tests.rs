//! Golden exchanges: the bytes of a customer, and the bytes of the answer.

mod zoo;

use std::time::Duration;

use shards::api::Sender;
use shards::api::{
    Acceptance, Fate, FateEvent, HandsetMessage, MessageView, NotCancelled, Origin, Refusal, Reply, State,
    Step, StepKind, Why,
};
use wire::id::{CarrierId, Class, Partition, ShardId};
use wire::time::WallMs;

use super::super::limits::{
    ANSWER_WAIT, EVENTS_TEXT_BYTES_MAX, IDLE_WAIT, LAST_WORDS_WAIT, PIPELINE_REQUESTS_MAX, STALL_WAIT,
};
use super::super::probe::{Asked, CONNECTION, KEY, Probe, account, id};
use super::super::{Ending, Protocol, Readiness};
use super::cursor::Cursor;

const LEAST: &str = r#"{"to":"+4915112345678","text":"hello"}"#;

fn probe() -> Probe {
    Probe::connected(Protocol::Http)
}

fn post(body: &str) -> String {
    post_with("", body)
}

fn post_with(fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n")
}

/// Status and body of the first answer of a text, and the rest.
fn split(text: &str) -> (u16, &str, &str) {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let head_bytes = response.parse(text.as_bytes()).unwrap().unwrap();
    let length = response.headers.iter().find(|field| field.name == "content-length").unwrap().value;
    let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
    (response.code.unwrap(), &text[head_bytes..head_bytes + length], &text[head_bytes + length..])
}

fn statuses(mut text: &str) -> Vec<u16> {
    let mut all = Vec::new();
    while !text.is_empty() {
        let (status, _, rest) = split(text);
        all.push(status);
        text = rest;
    }
    all
}

fn event(n: u64, partition: u16) -> FateEvent {
    let id = wire::id::MessageId::mint(WallMs(1_795_402_975_120), Partition(partition), 1, n);
    FateEvent {
        sequence: n,
        id,
        at: WallMs(1_795_402_976_000),
        fate: Fate::Delivered,
        why: Why::Receipt,
        code: 0,
        recipient: "+4915112345678".parse().unwrap(),
        sender: Sender::new(b"Acme"),
    }
}

#[test]
fn a_message_is_answered_when_the_brain_has_answered() {
    let mut probe = probe();
    probe.send(post(LEAST).as_bytes());
    assert_eq!(probe.text(), "");
    let origin = Origin { shard: ShardId(0), connection: CONNECTION, request: 0 };
    let asked = Asked::Submit {
        origin,
        to: "+4915112345678".into(),
        text: "hello".into(),
        key: String::new(),
        class: None,
        validity: None,
    };
    assert_eq!(probe.asked, [asked]);
    probe.accept_message(origin, 7);
    probe.settle();
    assert_eq!(
        probe.text(),
        "HTTP/1.1 202 Accepted\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-type: application/json\r\n\
         content-length:       49\r\n\r\n{\"id\":\"01M835PHWG001G000100000007\",\"known\":false}"
    );
}

#[test]
fn a_request_means_the_same_wherever_it_is_split() {
    let key = "Idempotency-Key: \"k\"\r\n";
    let chunked = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &LEAST[..5],
        LEAST.len() - 5,
        &LEAST[5..]
    );
    let stream = [post_with(key, LEAST), chunked, get("/healthz"), post(LEAST)].concat();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut probe = probe();
        for piece in pieces {
            probe.send(piece);
        }
        for (n, origin) in probe.submissions().into_iter().enumerate() {
            probe.accept_message(origin, n as u64);
        }
        probe.settle();
        (probe.asked.clone(), probe.text())
    };
    let whole = run(&mut std::iter::once(stream.as_bytes()));
    assert_eq!(statuses(&whole.1), [202, 202, 200, 202]);
    for at in 1..stream.len() {
        let (one, other) = stream.as_bytes().split_at(at);
        assert_eq!(run(&mut [one, other].into_iter()), whole, "split at {at}");
    }
    assert_eq!(run(&mut stream.as_bytes().chunks(1)), whole);
}

#[test]
fn pipelined_messages_are_asked_at_once_and_answered_in_order() {
    let mut probe = probe();
    let stream: String = (0..16).map(|n| post(&LEAST.replace("hello", &format!("text {n}")))).collect();
    probe.send(stream.as_bytes());
    let origins = probe.submissions();
    assert_eq!(origins.len(), 16, "all share the next sync");
    for (n, origin) in origins.into_iter().enumerate().rev() {
        probe.accept_message(origin, n as u64);
        probe.settle();
        assert_eq!(probe.customers.poll_output().is_some(), n == 0, "the first was answered last");
    }
    let text = probe.text();
    let mut rest = &text[..];
    for n in 0..16 {
        let (status, body, after) = split(rest);
        assert_eq!((status, body), (202, &*format!("{{\"id\":\"{}\",\"known\":false}}", id(n))));
        rest = after;
    }
}

#[test]
fn a_batch_has_a_result_for_each_message_in_its_order() {
    let mut probe = probe();
    let body = format!("[{LEAST}, {{\"to\":\"nobody\",\"text\":\"a\"}}, {LEAST}, {LEAST}]");
    probe.send(post(&body).as_bytes());
    let origins = probe.submissions();
    assert_eq!(origins.iter().map(|origin| origin.request).collect::<Vec<_>>(), [0, 2, 3]);
    probe.answer(origins[2], Err(Refusal::Busy));
    probe.answer(origins[0], Ok(Acceptance { id: id(1), known: true }));
    probe.settle();
    assert_eq!(probe.text(), "");
    probe.accept_message(origins[1], 2);
    probe.accept_message(origins[1], 3);
    probe.settle();
    let text = probe.text();
    let (status, body, rest) = split(&text);
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((status, rest), (202, ""));
    assert_eq!(value[0], serde_json::json!({"id": id(1).to_string(), "known": true}));
    assert_eq!(value[1]["error"]["type"], "/problems/recipient");
    assert_eq!(value[2]["id"], id(2).to_string(), "the first outcome stands");
    assert_eq!(value[3]["error"]["retry_after_ms"], 100);
    assert_eq!(value.as_array().unwrap().len(), 4);
}

#[test]
fn problems_are_answered_as_problems() {
    let check = |request: &str, status: u16, name: &str| {
        let mut probe = probe();
        probe.send(request.as_bytes());
        let text = probe.text();
        let (found, body, _) = split(&text);
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((found, &value["type"]), (status, &format!("/problems/{name}").into()), "{request}");
        assert_eq!(value["status"], status);
        assert!(text.contains("content-type: application/problem+json\r\n"));
        text
    };
    assert!(
        check("GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n", 401, "unauthorized")
            .contains("www-authenticate: Bearer\r\n")
    );
    check(&get("/v1/events").replace(KEY, "the-kez"), 401, "unauthorized");
    check(&get("/v1/events").replace("Bearer", "Basic"), 401, "unauthorized");
    check(&post("{"), 400, "json");
    check(&post("[]"), 422, "batch");
    check(&post(r#"{"to":"x","text":"a"}"#), 422, "recipient");
    check(&post(r#"{"to":"1","text":"a","class":"x"}"#), 422, "class");
    check(&post_with("Idempotency-Key: k\r\n", &format!("[{LEAST}]")), 400, "key");
    check(&post_with("Idempotency-Key: k\r\n", r#"{"to":"1","text":"a","key":"j"}"#), 400, "key");
    check(&get("/v1/nothing"), 404, "not-found");
    check(&get("/v1/messages/x"), 400, "message-id");
    assert!(check(&get("/v1/messages"), 405, "method").contains("allow: POST\r\n"));
    check(&get("/v1/events?after=nonsense"), 400, "cursor");
    check(&get("/v1/events?limit=1001"), 400, "parameter");
    let no_length = post(LEAST).replace(&format!("Content-Length: {}\r\n", LEAST.len()), "");
    check(&no_length, 411, "length-required");
    for (request, status, name) in [
        ("NONSENSE\r\n\r\n", 400, "request"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", 413, "body-size"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "transfer-encoding"),
    ] {
        assert!(check(request, status, name).contains("connection: close\r\n"));
    }
}

#[test]
fn after_nonsense_the_connection_closes_and_what_was_asked_before_is_answered() {
    let mut probe = probe();
    probe.send(format!("{}\x01\x02 nonsense\r\n\r\n{}", post(LEAST), post(LEAST)).as_bytes());
    let origins = probe.submissions();
    assert_eq!((origins.len(), probe.ending()), (1, None));
    probe.accept_message(origins[0], 1);
    probe.settle();
    assert_eq!(probe.ending(), None, "not before its answers were taken");
    assert_eq!(statuses(&probe.text()), [202, 400]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
    probe.wait(LAST_WORDS_WAIT);
    assert_eq!(probe.ending(), Some(Ending::AtOnce));
    probe.wait(Duration::from_secs(100));
    assert_eq!(probe.ending(), None);
    probe.close();
    assert_eq!(probe.customers.connections_count(), 0);
}

#[test]
fn a_full_pipeline_is_not_read_until_answers_have_left() {
    let mut probe = probe();
    let stream = post(LEAST).repeat(PIPELINE_REQUESTS_MAX + 10);
    probe.send(stream.as_bytes());
    assert_eq!(probe.submissions().len(), PIPELINE_REQUESTS_MAX);
    assert!(!probe.customers.wants_reading(CONNECTION));
    probe.accept_message(probe.submissions()[1], 1);
    probe.settle();
    assert_eq!(probe.customers.poll_resume(), None, "the first is not answered");
    probe.accept_message(probe.submissions()[0], 0);
    probe.settle();
    assert_eq!(probe.submissions().len(), PIPELINE_REQUESTS_MAX + 2);
    assert_eq!(probe.customers.poll_resume(), None, "more was waiting than there was room for");
    for (n, origin) in probe.submissions().into_iter().enumerate().skip(2) {
        probe.accept_message(origin, n as u64);
    }
    probe.settle();
    assert_eq!((probe.customers.poll_resume(), probe.customers.poll_resume()), (Some(CONNECTION), None));
    assert!(probe.customers.wants_reading(CONNECTION));
    assert_eq!(statuses(&probe.text()).len(), PIPELINE_REQUESTS_MAX + 2);
    for origin in probe.submissions().split_off(PIPELINE_REQUESTS_MAX + 2) {
        probe.accept_message(origin, 0);
    }
    probe.settle();
    assert_eq!(statuses(&probe.text()).len(), 8);
}

#[test]
fn a_customer_that_takes_no_answers_is_not_read_and_then_closed() {
    let mut probe = probe();
    let stream = get("/v1/nothing").repeat(4000);
    probe.send(stream.as_bytes());
    assert!(!probe.customers.wants_reading(CONNECTION));
    let mut answers = 0;
    while answers < 4000 {
        let text = probe.text();
        assert!((1..600_000).contains(&text.len()), "{} bytes at {answers}", text.len());
        answers += statuses(&text).len();
        assert!(answers == 4000 || probe.customers.timeout().unwrap() <= probe.now.mono, "there is more");
        probe.settle();
    }
    assert_eq!(probe.customers.poll_resume(), Some(CONNECTION));
    probe.send(stream.as_bytes());
    probe.wait(STALL_WAIT);
    assert_eq!(probe.ending(), Some(Ending::AtOnce));
}

#[test]
fn a_query_that_cannot_be_answered_now_is_to_be_repeated_and_keeps_its_place() {
    let mut probe = probe();
    let target = format!("/v1/messages/{}", id(5));
    probe.send(get(&target).repeat(2).as_bytes());
    let [Asked::Query(first, _), Asked::Query(second, _)] = probe.asked[..] else { panic!() };
    probe.reply(Reply::Message { origin: second, account: account(), id: id(5), view: None });
    probe.settle();
    assert_eq!(probe.text(), "", "the first one's answer is still to come");
    probe.refuse_query(first);
    // Another word on the same query changes nothing.
    probe.refuse_query(first);
    probe.settle();
    let text = probe.text();
    let (status, body, rest) = split(&text);
    assert_eq!((status, body.contains("/problems/busy"), text.contains("retry-after: 1")), (503, true, true));
    assert_eq!(split(rest).0, 404);
}

#[test]
fn a_message_is_taken_back_or_it_is_said_why_not() {
    let mut probe = probe();
    let delete = get(&format!("/v1/messages/{}", id(5))).replacen("GET", "DELETE", 1);
    probe.send(delete.repeat(4).as_bytes());
    let origins: Vec<Origin> = probe
        .asked
        .iter()
        .map(|asked| match asked {
            Asked::Cancel(origin, cancellation) if cancellation.id == id(5) => *origin,
            other => panic!("{other:?}"),
        })
        .collect();
    let outcomes = [
        Ok(()),
        Err(NotCancelled::NotFound),
        Err(NotCancelled::TooLate(State::Attempting)),
        Err(NotCancelled::Busy),
    ];
    for (origin, outcome) in origins.into_iter().zip(outcomes) {
        probe.reply(Reply::Cancelled { origin, id: id(5), outcome });
    }
    probe.settle();
    let text = probe.text();
    let whole = format!("{{\"id\":\"{}\",\"state\":\"cancelled\"}}", id(5));
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains(&whole), "{text}");
    for part in [
        "404 Not Found",
        "/problems/message-not-found",
        "409 Conflict",
        "the message is attempting",
        "/problems/busy",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_query_is_answered_with_state_and_trace() {
    let mut probe = probe();
    let target = format!("/v1/messages/{}", id(5));
    probe.send(get(&target).repeat(2).as_bytes());
    let origins: Vec<Origin> = probe
        .asked
        .iter()
        .map(|asked| match asked {
            Asked::Query(origin, asked_id) if *asked_id == id(5) => *origin,
            other => panic!("{other:?}"),
        })
        .collect();
    let step = |kind, attempt, why, code, name: &[u8]| Step {
        at: WallMs(1_795_402_975_120),
        kind,
        attempt,
        part: 0,
        why,
        carrier: None,
        code,
        carrier_message_id: name.into(),
    };
    let view = MessageView {
        id: id(5),
        state: State::Final(Fate::Failed),
        recipient: "+4915112345678".parse().unwrap(),
        sender: Sender::new(b"Acme"),
        class: Class::Otp,
        segments: 1,
        send_until: WallMs(1_795_402_999_000),
        trace: vec![
            step(StepKind::Accepted, 0, Why::None, 0, b""),
            step(StepKind::RefusedForGood, 1, Why::Response, 0x58, b"\"17\xff"),
            step(StepKind::Fated, 0, Why::Response, 0x58, b""),
        ],
    };
    probe.reply(Reply::Message {
        origin: origins[0],
        account: account(),
        id: wire::id::MessageId(4),
        view: Some(Box::new(view)),
    });
    probe.reply(Reply::Message {
        origin: origins[1],
        account: account(),
        id: wire::id::MessageId(4),
        view: None,
    });
    probe.settle();
    let text = probe.text();
    let (status, body, rest) = split(&text);
    assert_eq!(status, 200);
    let expected = concat!(
        r#"{"id":"ID","state":"failed","recipient":"+4915112345678","class":"otp","segments":1,"#,
        r#""send_until":"2026-11-23T03:03:19.000Z","trace":[{"at":"2026-11-23T03:02:55.120Z","what":"accepted"},"#,
        r#"{"at":"2026-11-23T03:02:55.120Z","what":"refused-for-good","attempt":1,"why":"response","#,
        r#""code":"0x00000058","carrier_message_id":"\"17�"},"#,
        r#"{"at":"2026-11-23T03:02:55.120Z","what":"fated","why":"response","code":"0x00000058","fate":"failed"}]}"#
    );
    assert_eq!(body, expected.replace("ID", &id(5).to_string()));
    assert_eq!(statuses(rest), [404]);
}

#[test]
fn messages_of_handsets_come_among_the_fates_and_as_many_as_their_texts_allow() {
    let mut probe = probe();
    probe.send(get("/v1/events?wait_ms=1000").as_bytes());
    let Some(Asked::Subscribe(subscriber, _)) = probe.asked.pop() else { panic!() };
    let message = |sequence: u64, text: &str| Reply::Handset {
        subscriber,
        message: Box::new(HandsetMessage {
            sequence,
            id: id(sequence),
            at: WallMs(1_795_402_976_000),
            carrier: CarrierId(0xC0FFEE),
            from: "+4915112345678".parse().unwrap(),
            to: Sender::new(b"12345"),
            parts: 3,
            missing: 0b100,
            text: text.into(),
        }),
    };
    let partition = id(1).partition();
    probe.reply(message(1, "STOP \"now\"[...]"));
    let long = "x".repeat(EVENTS_TEXT_BYTES_MAX);
    probe.reply(message(2, &long));
    probe.reply(message(3, "it is for the next answer"));
    probe.settle();
    let text = probe.text();
    let value: serde_json::Value = serde_json::from_str(split(&text).1).unwrap();
    let events = value["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    let expected = serde_json::json!({
        "type": "message", "id": id(1).to_string(), "at": "2026-11-23T03:02:56.000Z", "from": "+4915112345678",
        "to": "12345", "text": "STOP \"now\"[...]", "carrier": "00c0ffee", "parts": 3, "missing": [3]
    });
    assert_eq!(events[0], expected);
    let cursor = Cursor::parse(value["cursor"].as_str().unwrap().as_bytes(), account()).unwrap();
    assert_eq!(cursor.positions(), [(partition, 2)]);
}

#[test]
fn events_come_in_batches_and_their_cursor_acknowledges_them() {
    let mut probe = probe();
    probe.send(get("/v1/events?limit=3&wait_ms=1000").as_bytes());
    let Some(Asked::Subscribe(subscriber, subscription)) = probe.asked.pop() else { panic!() };
    assert_eq!(
        (subscription.account, subscription.credits),
        (account(), 2),
        "half of it on each of two shards"
    );
    assert_eq!(subscription.positions, []);
    for event in [event(1, 3), event(1, 4), event(1, 3)] {
        probe.reply(Reply::Fate { subscriber, event });
    }
    probe.settle();
    assert_eq!(probe.text(), "", "a moment more may bring more");
    probe.reply(Reply::Fate { subscriber, event: event(2, 3) });
    probe.reply(Reply::Fate { subscriber, event: event(3, 3) });
    probe.settle();
    let text = probe.text();
    let value: serde_json::Value = serde_json::from_str(split(&text).1).unwrap();
    let events = value["events"].as_array().unwrap();
    assert_eq!(events.len(), 3, "one was told twice, one was too many");
    assert_eq!((&events[0]["fate"], &events[0]["why"]), (&"delivered".into(), &"receipt".into()));
    assert_eq!(events[0]["type"], "fate");
    assert_eq!(probe.asked.pop(), Some(Asked::Unsubscribe(subscriber)));

    let cursor = value["cursor"].as_str().unwrap();
    let positions = vec![(Partition(3), 2), (Partition(4), 1)];
    assert_eq!(Cursor::parse(cursor.as_bytes(), account()).unwrap().positions(), positions);
    probe.send(get(&format!("/v1/events?after={cursor}&wait_ms=1000")).as_bytes());
    assert_eq!(probe.asked[..2], [Asked::Acknowledge(Partition(3), 2), Asked::Acknowledge(Partition(4), 1)]);
    let Some(Asked::Subscribe(_, subscription)) = probe.asked.last() else { panic!() };
    assert_eq!(subscription.positions, positions);
    probe.wait(Duration::from_millis(999));
    assert_eq!(probe.text(), "");
    probe.wait(Duration::from_millis(1));
    let text = probe.text();
    assert_eq!(split(&text).1, format!("{{\"events\":[],\"cursor\":\"{cursor}\"}}"));
}

#[test]
fn a_poll_holds_what_comes_behind_it_and_ends_with_its_connection() {
    let mut probe = probe();
    probe.send(format!("{}{}", get("/v1/events"), post(LEAST)).as_bytes());
    assert!(probe.submissions().is_empty());
    assert!(probe.customers.wants_reading(CONNECTION), "its end is to be seen");
    probe.wait(Duration::from_secs(20));
    assert_eq!(statuses(&probe.text()), [200]);
    probe.accept_message(probe.submissions()[0], 1);
    probe.settle();
    assert_eq!(statuses(&probe.text()), [202]);

    probe.send(get("/v1/events").as_bytes());
    probe.end_input();
    assert_eq!(statuses(&probe.text()), [200]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));

    let mut probe = self::probe();
    probe.send(get("/v1/events").as_bytes());
    probe.close();
    assert!(matches!(probe.asked[..], [Asked::Subscribe(one, _), Asked::Unsubscribe(other)] if one == other));
}

#[test]
fn a_request_has_a_time_to_arrive_and_a_connection_to_be_idle() {
    let mut probe = probe();
    probe.send(b"GET /healthz HT");
    probe.wait(Duration::from_secs(9));
    probe.send(b"TP/1.1\r\n");
    probe.wait(Duration::from_secs(1));
    assert_eq!(statuses(&probe.text()), [408]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));

    let mut probe = self::probe();
    probe.send(get("/healthz").as_bytes());
    assert_eq!(statuses(&probe.text()), [200]);
    probe.wait(IDLE_WAIT - Duration::from_millis(1));
    assert_eq!(probe.ending(), None);
    probe.wait(Duration::from_millis(1));
    assert_eq!((probe.text(), probe.ending()), (String::new(), Some(Ending::AfterOutput)));
}

#[test]
fn a_brain_that_does_not_answer_leaves_an_unknown_outcome() {
    let mut probe = probe();
    probe.send(format!("{}{}", post(&format!("[{LEAST},{LEAST}]")), post(LEAST)).as_bytes());
    let origins = probe.submissions();
    probe.accept_message(origins[0], 1);
    probe.wait(ANSWER_WAIT);
    let text = probe.text();
    let (status, body, rest) = split(&text);
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((status, &value[1]["error"]["type"]), (202, &"/problems/no-answer".into()));
    assert_eq!(value[0]["known"], false);
    assert_eq!(statuses(rest), [504]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
    probe.accept_message(origins[1], 2);
    probe.settle();
    assert_eq!(probe.text(), "", "too late");
}

#[test]
fn a_client_that_waits_for_continue_is_told_to_go_on() {
    let mut probe = probe();
    let request = post_with("Expect: 100-continue\r\n", LEAST);
    let (head, body) = request.split_at(request.len() - LEAST.len());
    probe.send(head.as_bytes());
    assert_eq!(probe.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    probe.send(body.as_bytes());
    assert_eq!(probe.submissions().len(), 1);
    probe.accept_message(probe.submissions()[0], 1);
    probe.settle();
    probe.send(request.as_bytes());
    assert_eq!(statuses(&probe.text()), [202], "who sends its body at once is not told");
}

#[test]
fn readiness_is_the_nodes_and_a_stop_ends_idle_connections() {
    let mut probe = probe();
    probe.customers.handle_readiness(Readiness::Starting);
    probe.send(get("/readyz").as_bytes());
    assert_eq!(split(&probe.text()).0, 503);
    probe.customers.handle_readiness(Readiness::Ready);
    probe.send(get("/readyz").as_bytes());
    assert_eq!(split(&probe.text()).1, "ready\n");
    probe.send(post(LEAST).repeat(2).as_bytes());
    probe.customers.handle_readiness(Readiness::Stopping);
    probe.settle();
    assert!(!probe.customers.is_drained());
    for origin in probe.submissions() {
        probe.accept_message(origin, 1);
    }
    probe.settle();
    let text = probe.text();
    assert_eq!(statuses(&text), [202, 202]);
    assert_eq!(text.matches("connection: close").count(), 1, "in the last one");
    assert_eq!((probe.ending(), probe.customers.is_drained()), (Some(Ending::AfterOutput), true));
}

#[test]
fn metrics_are_asked_from_the_shell() {
    use super::super::openmetrics::{Sample, SampleKind};
    let mut probe = probe();
    probe.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let origin = probe.customers.poll_scrape().unwrap();
    let sample = Sample { name: "sy_x", help: "x", kind: SampleKind::Counter, labels: &[], value: 1 };
    probe.customers.handle_scrape(probe.now, origin, &[sample]);
    probe.settle();
    let text = probe.text();
    assert!(text.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    assert_eq!(split(&text).1, "# TYPE sy_x counter\n# HELP sy_x x\nsy_x_total 1\n# EOF\n");
}

#[test]
fn no_bytes_and_no_order_of_answers_make_a_connection_panic() {
    let pieces = [
        post(LEAST),
        get("/v1/events?wait_ms=5"),
        get("/metrics"),
        get("/v1/messages/01JDAV6W40000G000100000000"),
        format!(
            "POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        "5\r\n{\"to\"\r\n0\r\n\r\n".into(),
        post(&format!("[{LEAST},{LEAST}]")),
        get("/healthz"),
        "\r\n".into(),
    ];
    bolero::check!().with_iterations(3_000).for_each(|script: &[u8]| {
        let mut probe = probe();
        let mut bytes = script.iter().copied();
        while let Some(op) = bytes.next() {
            match op % 8 {
                0..=2 => probe.send(pieces[usize::from(op / 8) % pieces.len()].as_bytes()),
                3 => {
                    let piece = pieces[usize::from(op / 8) % pieces.len()].as_bytes();
                    probe.send(&piece[..piece.len() * usize::from(bytes.next().unwrap_or(0)) / 256]);
                }
                4 => probe.send(&bytes.by_ref().take(usize::from(op)).collect::<Vec<u8>>()),
                5 => {
                    let origin = Origin {
                        shard: ShardId(0),
                        connection: CONNECTION,
                        request: (u64::from(op / 8)) << 10,
                    };
                    probe.accept_message(origin, 1);
                    probe.reply(Reply::Fate { subscriber: origin, event: event(u64::from(op), 3) });
                    probe.reply(Reply::Message {
                        origin,
                        account: account(),
                        id: wire::id::MessageId(4),
                        view: None,
                    });
                }
                6 => probe.wait(Duration::from_millis(u64::from(op) * 100)),
                _ => _ = probe.output(),
            }
            _ = probe.ending();
            _ = probe.customers.wants_reading(CONNECTION);
        }
        probe.settle();
        probe.close();
    });
}
