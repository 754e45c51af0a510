//! Messages that left memory: they are found in the log by their id for as long as it is kept, and no longer.

use std::net::SocketAddr;

use serde_json::{Value, json};
use wire::id::MessageId;

use crate::carrier::Carrier;
use crate::customer;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http::{self, Response};
use crate::operator;

/// Messages of one request.
const BATCH: usize = 500;
/// The least that a node keeps in memory when they are over.
const FINISHED: &str = "finished = 1000";

#[test]
fn a_message_that_left_memory_is_found_with_its_trace_also_after_a_restart() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address())
        .with_log("segment_mib = 1\nsnapshot_mib = 1\nretention = \"1h\"")
        .with_limits(FINISHED);
    let mut daemon = setup.start();
    let first = deliver(&mut daemon, 0);
    for id in &first {
        delivered(&mut daemon, id);
    }
    let (id, live) = (&first[0], get(daemon.http, &first[0]));
    assert_eq!(live.status, 200, "{live:?}");
    let mut count = BATCH;
    // In memory, then in the segment that is written to, then in those that no start reads: always the same.
    while metric(daemon.http, "switchyard_log_retained_segments") < 2 {
        deliver(&mut daemon, count);
        count += BATCH;
        let now = get(daemon.http, id);
        assert_eq!((now.status, &now.body), (200, &live.body), "after {count} messages");
        assert!(count < 100_000, "the log is never released: {}", metrics(daemon.http));
    }
    found(&mut daemon, &first, &live);
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    let mut daemon = setup.start();
    found(&mut daemon, &first, &live);
    // The operator is told of any account's, and a number is still masked.
    let told = operator::asked(&setup, &["message", id]);
    assert_eq!((&told["state"], &told["account"]), (&json!("delivered"), &json!("judge")), "{told}");
    assert!(told["to"].as_str().is_some_and(|to| to.contains('*')), "{told}");
    let steps = |message: &Value| message["trace"].as_array().map(Vec::len);
    assert_eq!(steps(&told), steps(&live.json()), "{told}");
    assert_eq!(operator::asked(&setup, &["message", "01JDAV6W40000G000100000000"]), Value::Null);
    daemon.kill();
    let mut daemon = setup.start();
    found(&mut daemon, &first, &live);
}

#[test]
fn a_log_that_is_not_kept_tells_of_no_message_that_left_memory() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address())
        .with_log("segment_mib = 1\nsnapshot_mib = 1\nretention = \"0s\"")
        .with_limits(FINISHED);
    let mut daemon = setup.start();
    let first = deliver(&mut daemon, 0);
    let mut count = BATCH;
    while get(daemon.http, &first[0]).status == 200 {
        deliver(&mut daemon, count);
        count += BATCH;
        assert!(count < 100_000, "nothing leaves memory: {}", metrics(daemon.http));
    }
    let gone = get(daemon.http, &first[0]);
    assert_eq!((gone.status, &gone.json()["type"]), (404, &json!("/problems/message-not-found")), "{gone:?}");
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

#[test]
fn on_a_full_disk_the_log_that_is_kept_gives_way_before_new_messages_are_refused() {
    const DISK_MIB: u32 = 40;
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    // Several batches fit into what is left of a segment while room is made: files are removed as fast as the machine does it.
    let setup = Setup::new(dir.path(), carrier.address())
        .with_log("segment_mib = 4\nsnapshot_mib = 1\nretention = \"1h\"")
        .with_limits(FINISHED)
        .on_a_disk_of(DISK_MIB, 2);
    let mut daemon = setup.start();
    let first = deliver(&mut daemon, 0);
    let mut count = BATCH;
    // Twice what fits, and nothing is refused.
    while metric(daemon.http, "switchyard_log_bytes_total") < u64::from(2 * DISK_MIB) << 20 {
        deliver(&mut daemon, count);
        count += BATCH;
    }
    let kept = metric(daemon.http, "switchyard_log_retained_segments");
    assert!((1..u64::from(DISK_MIB)).contains(&kept), "{kept} segments are kept");
    assert_eq!(get(daemon.http, &first[0]).status, 404, "the oldest gave way");
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    assert!(words.contains("log.gives_way"), "{words}");
}

/// All of the first messages are found, over both protocols, and none of them is in memory.
fn found(daemon: &mut Daemon, first: &[String], live: &Response) {
    let http = daemon.http;
    let found = || metric(http, "switchyard_aged_found_total");
    let before = found();
    let now = get(http, &first[0]);
    assert_eq!((now.status, &now.body), (200, &live.body));
    let ids: Vec<MessageId> = first.iter().map(|id| id.parse().expect("an id")).collect();
    let traces = customer::query(daemon.native, &Setup::credentials(), &ids);
    for (id, trace) in &traces {
        assert_eq!(trace.state, 17, "{id} is not delivered: {trace:?}");
        assert!(trace.steps.len() >= 5, "{id} has a short trace: {trace:?}");
    }
    assert_eq!(traces.len(), first.len());
    let in_the_log = u64::try_from(first.len()).expect("few") + 1;
    daemon.until("all of them are counted as found in the log", || {
        (found() >= before + in_the_log).then_some(())
    });
    let strange = get(http, "01JDAV6W40000G000100000000");
    assert_eq!(strange.status, 404, "{strange:?}");
}

/// Submits a batch and waits until some of each part of it are delivered.
fn deliver(daemon: &mut Daemon, from: usize) -> Vec<String> {
    let message = |n: usize| json!({"to": format!("+4915{:08}", n % 9_973), "text": format!("message {n}")});
    let batch: Vec<_> = (from..from + BATCH).map(message).collect();
    let answer =
        http::post(daemon.http, "/v1/messages", KEY, &json!(batch)).expect("the daemon takes requests");
    let items = answer.json();
    let items = items.as_array().unwrap_or_else(|| panic!("{answer:?}"));
    let ids: Vec<String> = items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect();
    let refused = items.iter().find(|item| item["error"].is_object());
    assert_eq!((ids.len(), refused), (BATCH, None));
    for id in ids.iter().step_by(BATCH / 20) {
        delivered(daemon, id);
    }
    ids
}

fn delivered(daemon: &mut Daemon, id: &str) {
    let http = daemon.http;
    daemon.until(&format!("{id} is delivered"), || {
        let answer = get(http, id);
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.json()["state"] == "delivered").then_some(())
    });
}

fn get(http: SocketAddr, id: &str) -> Response {
    http::get(http, &format!("/v1/messages/{id}"), Some(KEY)).expect("the daemon takes requests")
}

/// The sum of a metric over all shards.
fn metric(http: SocketAddr, name: &str) -> u64 {
    let text = metrics(http);
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn metrics(http: SocketAddr) -> String {
    http::get(http, "/metrics", None).expect("the daemon takes requests").body
}
