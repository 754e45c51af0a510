//! Directories that are not as the daemon left them: it starts where it can, and where it must not, it says what is wrong in
//! words that an operator can act on.
//!
//! The files are changed as bytes, without the daemon's own code: segments hold blocks of 4096 bytes behind a block of
//! header, and what was never written is zeros (`docs/formats.md`).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http;

const BLOCK_BYTES: usize = 4096;
/// Messages of a test; one at a time, so that each has a batch of its own.
const MESSAGES: usize = 20;

#[test]
fn a_torn_tail_is_cut_and_the_daemon_serves() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let ids = submit_and_kill(&setup);
    let tail = newest_segment(&setup.data());
    tail.change(|bytes| {
        let last = last_block(bytes);
        // The sectors of a block reach the disk one by one: here only its first did.
        bytes[last + 512..last + BLOCK_BYTES].fill(0);
    });
    let mut daemon = setup.start();
    // What was synced before the torn batch is there. (The batch itself was torn here after it had been acknowledged, which
    // no power cut can do.)
    daemon.delivered(&ids[0]);
    let id = submit(daemon.http, "after the tail was cut");
    daemon.delivered(&id);
}

#[test]
fn rubbish_behind_the_last_batch_is_cut_and_the_daemon_serves() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let ids = submit_and_kill(&setup);
    newest_segment(&setup.data()).change(|bytes| {
        let next = last_block(bytes) + BLOCK_BYTES;
        bytes[next..next + BLOCK_BYTES].fill(0xA5);
    });
    let mut daemon = setup.start();
    for id in &ids {
        daemon.delivered(id);
    }
}

#[test]
fn a_flipped_bit_in_the_middle_stops_the_daemon_which_says_where() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    submit_and_kill(&setup);
    let segment = newest_segment(&setup.data());
    // The second block of the log: the first is its header, and many follow.
    let damaged = BLOCK_BYTES;
    segment.change(|bytes| bytes[damaged + 200] ^= 0x10);
    let (status, words) = setup.refusal();
    assert_eq!(status.code(), Some(1), "{words}");
    let file = segment.path.file_name().expect("a segment is a file").to_string_lossy().into_owned();
    expect_words(&words, &[&file, &damaged.to_string()]);
    // Nothing was repaired, cut or written behind the operator's back: it refuses again, in the same words.
    assert_eq!(reason(&setup.refusal().1), reason(&words));
}

#[test]
fn a_directory_of_another_format_is_refused_and_left_alone() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    submit_and_kill(&setup);
    let identity = setup.data().join("identity");
    let text = fs::read_to_string(&identity).expect("the daemon wrote it");
    let is_version = |line: &&str| line.starts_with("format_version");
    let version = text.lines().find(is_version).expect("it has a version");
    fs::write(&identity, text.replace(version, "format_version = 999")).expect("a file of ours");
    let (status, words) = setup.refusal();
    assert_eq!(status.code(), Some(1), "{words}");
    expect_words(&words, &["identity", "version", "999"]);
}

#[test]
fn a_second_daemon_on_a_directory_is_refused_and_the_first_serves_on() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let mut daemon = setup.start();
    let (status, words) = setup.refusal();
    assert_eq!(status.code(), Some(1), "{words}");
    expect_words(&words, &[&setup.data().to_string_lossy(), &daemon.id().to_string()]);
    let id = submit(daemon.http, "the first one still serves");
    daemon.delivered(&id);
}

#[test]
fn a_wrong_line_of_the_configuration_is_named() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address()).with_line("window = 0", "system_id = ");
    let (status, words) = setup.refusal();
    assert_eq!(status.code(), Some(2), "{words}");
    let line = setup.line_of("window = 0");
    expect_words(&words, &[&format!("switchyard.toml:{line}:"), "window", "expected", "0"]);
}

#[test]
fn an_orderly_stop_leaves_no_doubt() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let daemon = setup.start();
    let ids: Vec<String> =
        (0..MESSAGES).map(|n| submit(daemon.http, &format!("before the stop {n}"))).collect();
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    let mut daemon = setup.start();
    for id in &ids {
        let message = daemon.delivered(id);
        assert!(!message["trace"].to_string().contains("doubt"), "a doubt after an orderly stop: {message}");
    }
    assert!(carrier.seen().values().all(|times| *times == 1), "{:?}", carrier.seen());
}

/// Submits one after the other, waits until the first is delivered, kills, and gives the ids.
fn submit_and_kill(setup: &Setup) -> Vec<String> {
    let mut daemon = setup.start();
    let ids: Vec<String> = (0..MESSAGES).map(|n| submit(daemon.http, &format!("message {n}"))).collect();
    for id in &ids {
        daemon.delivered(id);
    }
    daemon.kill();
    ids
}

/// Submits a message to the one recipient of these tests, whose partition is in one log.
fn submit(http: SocketAddr, text: &str) -> String {
    let body = json!({"to": "+4915112345678", "text": text});
    let answer = http::post(http, "/v1/messages", KEY, &body).expect("the daemon takes requests");
    assert!((200..300).contains(&answer.status), "{answer:?}");
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("an answer without an id: {answer:?}")).to_owned()
}

/// Why a daemon has ended, without its log lines, which have times.
fn reason(words: &str) -> &str {
    words.lines().find(|line| line.starts_with("switchyard: ")).expect("a refusal has a reason")
}

fn expect_words(text: &str, words: &[&str]) {
    let missing: Vec<&&str> = words.iter().filter(|word| !text.contains(**word)).collect();
    assert!(missing.is_empty(), "the daemon does not say {missing:?}:\n{text}");
}

/// A segment file of a daemon that is not running.
struct Segment {
    path: PathBuf,
}

impl Segment {
    fn change(&self, change: impl FnOnce(&mut [u8])) {
        let mut bytes = fs::read(&self.path).expect("a segment can be read");
        change(&mut bytes);
        fs::write(&self.path, bytes).expect("and written");
    }
}

/// The segment with the most written blocks: that of the recipient's shard.
fn newest_segment(data: &Path) -> Segment {
    let files = |dir: PathBuf| {
        fs::read_dir(dir).expect("the daemon's directory").map(|e| e.expect("an entry").path())
    };
    let logs = files(data.to_owned()).filter(|path| path.is_dir());
    let segments = logs.flat_map(files).filter(|path| path.extension().is_some_and(|e| e == "seg"));
    let blocks = |path: &PathBuf| last_block(&fs::read(path).expect("a segment can be read"));
    let path = segments.max_by_key(blocks).expect("the daemon has a log");
    assert!(blocks(&path) > 2 * BLOCK_BYTES, "{} holds no batches", path.display());
    Segment { path }
}

/// Where the last block begins that is not all zeros.
fn last_block(segment: &[u8]) -> usize {
    let mut blocks = segment.chunks(BLOCK_BYTES);
    blocks.rposition(|block| block.iter().any(|byte| *byte != 0)).unwrap_or(0) * BLOCK_BYTES
}
