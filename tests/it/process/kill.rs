//! `kill -9` in a loop under load.
//!
//! SIGKILL alone cannot show a missing sync, since the kernel keeps what was written. So the daemon's file driver holds writes
//! in the process until their sync (`hold_writes`), and a driver whose sync does nothing must fail the same judgement:
//! otherwise the judge is blind.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use wire::id::MessageId;

use crate::carrier::Carrier;
use crate::customer;
use crate::daemon::{Daemon, Setup, temporary_dir};
use crate::dice::Dice;
use crate::ledger::{Ledger, Pages};
use crate::prober::PROBE;
use crate::verdict::{Evidence, Violation, violations};

/// How often the daemon is killed, unless `SWITCHYARD_KILLS` says otherwise.
const KILLS: u64 = 10;
/// Acknowledgements between a start and its kill.
const ACKNOWLEDGED: std::ops::Range<u64> = 50..1500;
/// Writes stay in the process until their sync: what was not synced dies with it, as in a power cut.
const HELD: &str = "[files]\nhold_writes = true\n";
/// How long a round, and the draining at the end, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn kill_nine_under_load_loses_nothing_and_sends_nothing_twice() {
    let kills = kills(KILLS);
    let mut dice = Dice::from_environment("kill_nine");
    let found = under_kills(kills, &mut dice, HELD);
    assert!(found.is_empty(), "{} broken promises, first {:?}", found.len(), &found[..found.len().min(20)]);
}

#[test]
fn kill_test_sees_a_sync_that_does_nothing() {
    let mut dice = Dice::from_environment("kill_test_sees");
    let found = under_kills(2, &mut dice, &format!("{HELD}sync = \"noop\"\n"));
    println!("{} broken promises, first {:?}", found.len(), &found[..found.len().min(5)]);
    let lost = found.iter().filter(|violation| matches!(violation, Violation::Lost(_))).count();
    assert!(lost > 0, "nothing is lost without syncs: the judge is blind; it found {found:?}");
}

#[test]
fn split_late_and_reset_connections_lose_nothing_and_send_nothing_twice() {
    let mut dice = Dice::from_environment("split_late_and_reset");
    let seed = dice.next();
    let sockets = format!(
        "seed = {seed}\n[sockets]\nsplit = 700\nstall_every = 200\nstall_ms = 5\nreset_after_bytes = 40000\n"
    );
    let found = under_kills(3, &mut dice, &sockets);
    assert!(found.is_empty(), "{} broken promises, first {:?}", found.len(), &found[..found.len().min(20)]);
}

#[test]
fn a_disk_that_fails_stops_the_daemon_and_no_promise_is_broken() {
    for fault in ["fail_sync_after", "fail_write_after"] {
        let place = temporary_dir();
        let carrier = Carrier::start();
        let setup =
            Setup::new(place.path(), carrier.address()).with_faults(&format!("[files]\n{fault} = 200\n"));
        let ledger = call_customer();
        let daemon = start(&setup, &ledger);
        // It must not go on: what a failed sync has left on the disk is not known, and a second one may say that all is well.
        let (status, words) = daemon.end();
        ledger.write(|pages| pages.daemon = None);
        assert_eq!(status.code(), Some(1), "{words}");
        assert!(words.contains(".seg"), "the daemon does not name the file:\n{words}");
        let daemon = start(&setup.without_faults(), &ledger);
        let found = drain_and_judge(&ledger, &carrier, &daemon);
        assert!(found.is_empty(), "{fault}: {} broken promises, first {:?}", found.len(), found.first());
    }
}

/// How often to kill, if the environment does not say otherwise.
pub(crate) fn kills(otherwise: u64) -> u64 {
    env::var("SWITCHYARD_KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(otherwise)
}

/// Kills a daemon so many times under load, lets the last one drain, and judges.
fn under_kills(kills: u64, dice: &mut Dice, faults: &str) -> Vec<Violation> {
    let dir = temporary_dir();
    let carrier = Carrier::start();
    // Segments and snapshots so small that a kill meets the log being released as well.
    let setup = Setup::new(dir.path(), carrier.address())
        .with_log("segment_mib = 1\nsnapshot_mib = 1")
        .with_faults(faults);
    let ledger = call_customer();
    let mut daemon = start(&setup, &ledger);
    for kill in 0..kills {
        let enough =
            ledger.pages().acknowledged.len() + usize::try_from(dice.within(ACKNOWLEDGED)).expect("small");
        let what = format!("{enough} acknowledgements before kill {kill}");
        ledger.wait_for(&what, PATIENCE, |pages| pages.acknowledged.len() >= enough);
        daemon.kill();
        ledger.write(|pages| pages.daemon = None);
        daemon = start(&setup, &ledger);
    }
    drain_and_judge(&ledger, &carrier, &daemon)
}

/// A customer who submits as fast as it goes, as soon as there is a daemon.
pub(crate) fn call_customer() -> Arc<Ledger> {
    let ledger = Arc::new(Ledger::default());
    customer::start(Setup::credentials(), Arc::clone(&ledger));
    ledger.write(|pages| pages.intents_end = u64::MAX);
    ledger
}

pub(crate) fn drain_and_judge(ledger: &Ledger, carrier: &Carrier, daemon: &Daemon) -> Vec<Violation> {
    ledger.write(|pages| pages.intents_end = 0);
    drain(ledger);
    let found = judge(ledger, carrier, daemon);
    // The customer's thread outlives the test; it has nobody to call any more.
    ledger.write(|pages| pages.daemon = None);
    found
}

fn start(setup: &Setup, ledger: &Ledger) -> Daemon {
    let daemon = setup.start();
    ledger.write(|pages| pages.daemon = Some(daemon.native));
    daemon
}

/// Until every intent is answered, and every acknowledged message that still exists has its fate.
fn drain(ledger: &Ledger) {
    let answered = |pages: &Pages| {
        pages.begun == u64::try_from(pages.acknowledged.len() + pages.refused.len()).expect("a count")
    };
    ledger.wait_for("all are answered", PATIENCE, answered);
}

fn judge(ledger: &Ledger, carrier: &Carrier, daemon: &Daemon) -> Vec<Violation> {
    let ids: Vec<MessageId> = ledger.pages().acknowledged.values().flatten().copied().collect();
    let mut traces = customer::query(daemon.native, &Setup::credentials(), &ids);
    // What is lost will never have a fate: wait for the others only.
    traces.retain(|_, trace| trace.state != 0);
    let waits = |pages: &Pages| traces.keys().all(|id| pages.fates.contains_key(id));
    ledger.wait_for("all that is known has a fate", PATIENCE, waits);
    let traces = customer::query(daemon.native, &Setup::credentials(), &ids);
    let pages = ledger.pages();
    let mut seen = carrier.seen();
    // The prober's are judged apart.
    seen.retain(|text, _| !text.starts_with(PROBE));
    let doubted = traces.values().filter(|trace| trace.is_doubted()).count();
    let twice = seen.values().filter(|times| **times > 1).count();
    let (acknowledged, put_off) = (pages.acknowledged.len(), pages.put_off);
    println!("{acknowledged} acknowledged, {put_off} put off, {doubted} doubted, {twice} seen twice or more");
    violations(&Evidence { pages: &pages, traces: &traces, seen: &seen })
}
