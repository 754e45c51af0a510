//! Other people's programs: npm's `smpp` as a carrier and as a customer, Python's `smpplib` and Kannel as customers, a protocol
//! analyser that reads what passed, and Prometheus's checker. `docs/interop.md` says how they differ.
//!
//! Our own carriers and customers share `wire` with the daemon, so a mistake in it would look right to both. `tests/run peers` installs what
//! is needed; the target runs when it is named: `cargo test -p tests --test interop`.

#![allow(clippy::print_stdout, reason = "the recorder prints which connection failed")]

#[path = "interop/analyser.rs"]
mod analyser;
#[path = "interop/customers.rs"]
mod customers;
#[path = "process/daemon.rs"]
#[allow(dead_code, reason = "this target uses a part of the harness")]
mod daemon;
#[path = "interop/differences.rs"]
mod differences;
#[path = "process/http.rs"]
#[allow(dead_code, reason = "this target sends one request at a time")]
mod http;
#[path = "interop/npm.rs"]
mod npm;
#[path = "process/programs.rs"]
#[allow(dead_code, reason = "this target needs no load generator")]
mod programs;
#[path = "interop/prometheus.rs"]
mod prometheus;
#[path = "interop/recorder.rs"]
mod recorder;
#[path = "process/tunnel.rs"]
#[allow(dead_code, reason = "this target's peers speak TLS themselves")]
mod tunnel;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use analyser::analyse;
use daemon::{Daemon, KEY, Process, Setup, temporary_dir};
use recorder::Recorder;

/// What is sent: the default alphabet, its extension table, one text longer than a segment with an extension at the seam, and
/// the same with characters outside the alphabet and outside the basic plane.
fn texts() -> Vec<String> {
    vec![
        "hello".to_owned(),
        "Grüße: 10 € [für] {Ärzte} ~ \\ @".to_owned(),
        format!("{}€{}", "a".repeat(152), "b".repeat(200)),
        "Привет, мир".to_owned(),
        format!("{}🙂{}", "я".repeat(66), "ж".repeat(80)),
    ]
}

#[test]
fn npm_smpp_delivers_what_was_submitted_and_the_analyser_finds_nothing_wrong() {
    let dir = temporary_dir();
    let (mut peer, carrier) = start_peer(&[]);
    let recorder = Recorder::start(carrier);
    let setup = Setup::new(dir.path(), recorder.address());
    // A link that is idle asks whether its carrier lives.
    deliver(&setup, &mut peer, |daemon| {
        daemon.until("an enquire_link has passed", || {
            analyse(dir.path(), &recorder.capture()).pdus.get(&0x15).copied()
        });
    });
    let analysis = analyse(dir.path(), &recorder.capture());
    assert_eq!(analysis.complaints, Vec::<String>::new());
    for (command, what) in [
        (0x09, "bind_transceiver"),
        (0x8000_0009, "its response"),
        (0x04, "submit_sm"),
        (0x8000_0004, "its response"),
        (0x05, "deliver_sm"),
        (0x8000_0005, "its response"),
        (0x06, "unbind"),
    ] {
        assert!(analysis.pdus.contains_key(&command), "the analyser saw no {what}: {:?}", analysis.pdus);
    }
    assert_eq!(analysis.pdus[&0x05], analysis.pdus[&0x8000_0005], "each receipt is answered");
}

/// Submits all texts over HTTP, waits until they are delivered, stops, and compares what the carrier has read.
fn deliver(setup: &Setup, peer: &mut Process, meanwhile: impl FnOnce(&mut Daemon)) {
    let mut daemon = setup.start();
    let texts = texts();
    let ids: Vec<String> = texts.iter().map(|text| submit(daemon.http, text)).collect();
    for id in &ids {
        daemon.delivered(id);
    }
    meanwhile(&mut daemon);
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    let said =
        peer.until("the peer saw the unbind", |log| log.contains("\"unbind\"").then(|| log.to_owned()));
    let events = events_of(&said);
    let foul = |event: &&Value| event["event"] == "error" || event["event"] == "unknown";
    assert_eq!(events.iter().find(foul), None, "the peer complains");
    assert_eq!(received(&events), texts.into_iter().map(|text| (text, 1)).collect());
}

/// Starts npm's carrier with these options and files, and reads where it listens.
fn start_peer(options: &[&Path]) -> (Process, SocketAddr) {
    let mut peer = Process::spawn(npm::node("carrier.js", options));
    let address = peer.until("the peer listens", npm::listening);
    (peer, address)
}

/// What a peer said, one JSON object a line.
fn events_of(said: &str) -> Vec<Value> {
    said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn submit(http: SocketAddr, text: &str) -> String {
    let answer = http::post(http, "/v1/messages", KEY, &json!({"to": "+4915112345678", "text": text}));
    let answer = answer.expect("the daemon takes requests");
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("an answer without an id: {answer:?}")).to_owned()
}

/// The texts that the peer received, put together from their segments, and how often.
fn received(events: &[Value]) -> BTreeMap<String, u32> {
    let mut whole = BTreeMap::new();
    let mut parts: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["event"] == "submit") {
        let text = event["text"].as_str().expect("the peer prints the text").to_owned();
        // 00 03 reference total part, or 08 04 with a reference of two octets (3GPP TS 23.040 §9.2.3.24).
        let udh = event["udh"].as_str().expect("and the header in hexadecimal");
        match udh.len() {
            0 => *whole.entry(text).or_insert(0) += 1,
            10 | 12 => {
                let (message, part) = udh.split_at(udh.len() - 2);
                parts.entry(message.to_owned()).or_default().insert(part.to_owned(), text);
            }
            _ => panic!("a user data header that no text has: {udh}"),
        }
    }
    for (message, segments) in parts {
        let total = usize::from_str_radix(&message[message.len() - 2..], 16);
        assert_eq!(total, Ok(segments.len()), "segments of {message}");
        *whole.entry(segments.into_values().collect()).or_insert(0) += 1;
    }
    whole
}
