//! Messages from handsets through a whole daemon: a carrier brings them, an account is told, whatever happens between.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::carrier::Carrier;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http;
use crate::pdu::from_handset;

const HANDSET: &str = "4915112345678";

/// Rules for a number of ours.
const RULES: &str = r#"[[inbound]]
to = "12345"
account = "judge"
[handsets]
parts_wait = "2s"
"#;

#[test]
fn what_handsets_send_is_told_whole_and_until_it_is_acknowledged() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let mut daemon = setup(place.path(), &carrier).start();
    carrier.say(from_handset(HANDSET, "12345", 0, b"STOP now"));
    let (events, cursor) = told(&mut daemon, "", 1);
    let event = &events[0];
    let said = (&event["type"], &event["from"], &event["to"], &event["text"], &event["carrier"]);
    let expected =
        (json!("message"), json!("+4915112345678"), json!("12345"), json!("STOP now"), json!("reliable"));
    assert_eq!(said, (&expected.0, &expected.1, &expected.2, &expected.3, &expected.4));
    assert_eq!((&event["parts"], &event["missing"]), (&json!(1), &Value::Null));
    assert_eq!(told(&mut daemon, "", 1).0, events, "it was not acknowledged");

    // The last part first, and the first twice.
    let part = |number, text: &[u8]| [&[5, 0, 3, 9, 2, number], text].concat();
    carrier.say(from_handset(HANDSET, "12345", 0x40, &part(2, b"and the other")));
    carrier.say(from_handset(HANDSET, "12345", 0x40, &part(1, b"one half, ")));
    carrier.say(from_handset(HANDSET, "12345", 0x40, &part(1, b"one half, ")));
    let (events, cursor) = told(&mut daemon, &cursor, 1);
    assert_eq!((&events[0]["text"], &events[0]["parts"]), (&json!("one half, and the other"), &json!(2)));

    // One whose other part never comes.
    carrier.say(from_handset(HANDSET, "12345", 0x40, &[5, 0, 3, 10, 2, 1, b'e', b'n', b'd']));
    let (events, cursor) = told(&mut daemon, &cursor, 1);
    assert_eq!((&events[0]["text"], &events[0]["missing"]), (&json!("end[...]"), &json!([2])));

    // Nobody's number: it is answered, counted and let go.
    carrier.say(from_handset(HANDSET, "999", 0, b"hello"));
    daemon.until("the carrier is rid of all", || carrier.is_rid_of_all().then_some(()));
    assert_eq!(poll(daemon.http, &cursor, 0)["events"], json!([]));
    let http = daemon.http;
    daemon.until("the numbers show it", || {
        let metrics = http::get(http, "/metrics", None).expect("the daemon takes requests").body;
        let of_shard = |line: &str| line.contains("outcome=\"unrouted\"") && !line.ends_with(" 0");
        metrics.lines().any(of_shard).then_some(())
    });
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

#[test]
fn what_was_answered_is_told_by_the_process_after_a_kill() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    // Writes stay in the process until their sync: what was answered before it was durable would be gone.
    let setup = setup(place.path(), &carrier).with_faults("[files]\nhold_writes = true\n");
    for round in 0..3 {
        let mut daemon = setup.start();
        let texts: Vec<String> = (0..20).map(|number| format!("text {number} of {round}")).collect();
        let part = |number, text: &str| [&[5, 0, 3, round, 2, number], text.as_bytes()].concat();
        texts.iter().for_each(|text| carrier.say(from_handset(HANDSET, "12345", 0, text.as_bytes())));
        carrier.say(from_handset(HANDSET, "12345", 0x40, &part(1, "before the kill, ")));
        daemon.until("the carrier is rid of all", || carrier.is_rid_of_all().then_some(()));
        daemon.kill();

        let mut daemon = setup.start();
        carrier.say(from_handset(HANDSET, "12345", 0x40, &part(2, "and behind it")));
        let (events, cursor) = told(&mut daemon, "", 21);
        let mut heard: Vec<&str> = events.iter().filter_map(|event| event["text"].as_str()).collect();
        let mut expected: Vec<&str> = texts.iter().map(String::as_str).collect();
        expected.push("before the kill, and behind it");
        heard.sort_unstable();
        expected.sort_unstable();
        assert_eq!(heard, expected);
        // The next round begins behind these.
        let http = daemon.http;
        daemon.until("all is acknowledged", || {
            poll(http, &cursor, 0);
            (poll(http, "", 0)["events"] == json!([])).then_some(())
        });
        // It is decided; an answer about a message of the same handset waits until that is on disk.
        let id = events[0]["id"].as_str().expect("an event has an id");
        let seen = http::get(http, &format!("/v1/messages/{id}"), Some(KEY)).expect("the daemon answers");
        assert_eq!(seen.status, 404, "a handset's message is told, and not asked for: {seen:?}");
        daemon.kill();
    }
}

fn setup(place: &Path, carrier: &Carrier) -> Setup {
    Setup::new(place, carrier.address()).with("[[route]]", &format!("{RULES}[[route]]"))
}

/// Polls until so many messages of handsets are told, and gives them with the last cursor.
fn told(daemon: &mut Daemon, cursor: &str, count: usize) -> (Vec<Value>, String) {
    let http = daemon.http;
    daemon.until("the messages are told", || {
        let page = poll(http, cursor, 1000);
        let events = page["events"].as_array().expect("a page has events").clone();
        let next = page["cursor"].as_str().expect("and a cursor").to_owned();
        (events.len() >= count).then_some((events, next))
    })
}

fn poll(http: SocketAddr, cursor: &str, wait_ms: u32) -> Value {
    let after = if cursor.is_empty() { String::new() } else { format!("&after={cursor}") };
    let path = format!("/v1/events?wait_ms={wait_ms}{after}");
    http::get(http, &path, Some(KEY)).expect("the daemon takes requests").json()
}
