//! The log's life on a real disk: it is released behind snapshots, and when there is no room the daemon says so and goes on
//! when there is.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::carrier::Carrier;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http::{self, Response};

/// Messages of one request.
const BATCH: usize = 500;

#[test]
fn a_log_is_released_behind_its_snapshots_and_a_start_finds_everything() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address()).with_log("segment_mib = 1\nsnapshot_mib = 1");
    let daemon = setup.start();
    let mut ids = submit_until_released(&setup, &daemon);
    daemon.kill();
    let mut daemon = setup.start();
    // One of each batch, the first of all among them: its acceptance is in no log any more.
    for id in ids.iter().step_by(BATCH) {
        daemon.delivered(id);
    }
    ids = accepted(&submit(daemon.http, ids.len()));
    daemon.delivered(&ids[0]);
}

#[test]
fn another_number_of_cores_finds_everything_up_and_down() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let mut setup = Setup::new(dir.path(), carrier.address()).with_cores("0");
    let mut ids: Vec<String> = Vec::new();
    for (deal, cores) in ["0", "0, 1", "0"].into_iter().enumerate() {
        setup = setup.with_cores(cores);
        let mut daemon = setup.start();
        for id in ids.iter().step_by(BATCH / 10) {
            daemon.delivered(id);
        }
        let once = json!({"to": "+4915112345678", "text": "once", "key": "once"});
        let answer = http::post(daemon.http, "/v1/messages", KEY, &once).expect("the daemon takes requests");
        assert_eq!(answer.json()["known"], deal > 0, "a key is known whatever shard has it: {answer:?}");
        let batch = accepted(&submit(daemon.http, deal * BATCH));
        assert_eq!(batch.len(), BATCH);
        ids.extend(batch);
        daemon.kill();
    }
    let logs = fs::read_dir(setup.data()).expect("the daemon's directory").flatten();
    let logs: Vec<_> = logs.map(|entry| entry.file_name().into_string().expect("ASCII")).collect();
    assert_eq!(logs.iter().filter(|name| name.starts_with("shard-")).count(), 1, "old logs stay: {logs:?}");
}

#[test]
fn a_damaged_snapshot_stops_the_daemon_which_says_where() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address()).with_log("segment_mib = 1\nsnapshot_mib = 1");
    let daemon = setup.start();
    submit_until_released(&setup, &daemon);
    daemon.kill();
    let snapshots = fs::read_dir(setup.data().join("snapshots")).expect("the daemon's directory");
    let paths = snapshots.map(|entry| entry.expect("an entry").path());
    let path =
        paths.filter(|path| path.extension().is_some_and(|end| end == "snap")).min().expect("there is one");
    let mut bytes = fs::read(&path).expect("a snapshot can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).expect("and written");
    let (status, words) = setup.refusal();
    assert_eq!(status.code(), Some(1), "{words}");
    for word in ["snapshots", "partition", "offset", "checksum"] {
        assert!(words.contains(word), "the daemon does not say {word}:\n{words}");
    }
}

#[test]
fn a_full_disk_refuses_new_messages_and_takes_them_again_when_there_is_room() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    // Room for the first segments of two shards, and little more: snapshots that would release some never come.
    let setup = Setup::new(dir.path(), carrier.address())
        .with_log("segment_mib = 1\nsnapshot_mib = 1024")
        .on_a_disk_of(24, 16);
    let mut daemon = setup.start();
    let mut ids = Vec::new();
    let refused = loop {
        let answer = submit(daemon.http, ids.len());
        let taken = accepted(&answer);
        // What is open needs room too: here it is little.
        if let Some(last) = taken.last() {
            daemon.delivered(last);
        }
        ids.extend(taken);
        let problems = answer.json();
        let problem =
            problems.as_array().into_iter().flatten().find(|item| item["error"].is_object()).cloned();
        if let Some(problem) = problem {
            break problem["error"].clone();
        }
        assert!(ids.len() < 100_000, "the disk does not fill: {}", metrics(daemon.http));
    };
    assert_eq!(
        (&refused["type"], &refused["status"]),
        (&json!("/problems/disk-full"), &json!(503)),
        "{refused}"
    );
    // What was taken goes on.
    for id in ids.iter().step_by(BATCH / 2) {
        daemon.delivered(id);
    }
    setup.make_room(&daemon);
    let http = daemon.http;
    let count = ids.len();
    let more = daemon.until("it takes messages again", || {
        let taken = accepted(&submit(http, count));
        (taken.len() == BATCH).then_some(taken)
    });
    daemon.delivered(&more[0]);
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

/// Submits until each shard has released its first segment, and gives the ids.
fn submit_until_released(setup: &Setup, daemon: &Daemon) -> Vec<String> {
    let mut ids = Vec::new();
    while !first_segments_are_gone(&setup.data()) {
        ids.extend(accepted(&submit(daemon.http, ids.len())));
        assert!(ids.len() < 50_000, "the log only grows: {}", metrics(daemon.http));
    }
    ids
}

/// Whether each shard has released its first segment.
fn first_segments_are_gone(data: &Path) -> bool {
    let shards =
        fs::read_dir(data).expect("the daemon's directory").map(|entry| entry.expect("an entry").path());
    let is_log =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("shard-"));
    let mut logs = shards.filter(is_log);
    logs.all(|log| !log.join("0000000000000000.seg").exists())
}

/// Submits a batch to as many recipients.
fn submit(http: SocketAddr, from: usize) -> Response {
    let message = |n: usize| json!({"to": format!("+4915{:08}", n % 9_973), "text": format!("message {n}")});
    let batch: Vec<_> = (from..from + BATCH).map(message).collect();
    http::post(http, "/v1/messages", KEY, &json!(batch)).expect("the daemon takes requests")
}

/// The ids of those that were taken; the others were refused for now.
fn accepted(answer: &Response) -> Vec<String> {
    let items = answer.json();
    let items = items.as_array().unwrap_or_else(|| panic!("{answer:?}"));
    items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
}

fn metrics(http: SocketAddr) -> String {
    http::get(http, "/metrics", None).expect("the daemon takes requests").body
}
