//! The verdict: what the ledger says, what the daemon's traces permit, and what is wrong, in words.

use std::path::Path;

use wire::id::{Class, MessageId};

use crate::args::Protocol;
use crate::carrier::CarrierCounts;
use crate::daemon::profile_of;
use crate::inquiry::{Attempts, Inquiry};
use crate::ledger::{Counts, Ledger, Reckoning};
use crate::limits::{EXAMPLES_MAX, TRACES_MAX};
use crate::message::Nonce;
use crate::probe::Machine;
use crate::report::{Report, Setup};
use crate::run::{Measured, Session};

/// What is known when the last fate has come.
#[derive(Debug)]
pub(crate) struct Evidence {
    reckoning: Reckoning,
    /// Never seen by a carrier, and no trace shows that an attempt was doubted.
    lost: Vec<Nonce>,
    /// Taken twice, and no trace permits it.
    duplicates: Vec<Nonce>,
    doubtful: u64,
    /// Why traces could not be asked for.
    silence: Option<String>,
}

/// Why a message's trace is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspicion {
    /// Carriers took it so often.
    Taken(u8),
    /// It ended as unknown, and no carrier saw it.
    Vanished,
    /// None: a carrier was silent about it.
    Doubted,
}

/// Holds the ledger's suspects against the daemon's traces.
pub(crate) fn gather(session: &Session<'_>) -> Evidence {
    let ledger = &session.world.stage.ledger;
    let reckoning = ledger.reconcile();
    let lost = reckoning.lost.clone();
    let mut evidence = Evidence { reckoning, lost, duplicates: Vec::new(), doubtful: 0, silence: None };
    let suspects = suspects(&evidence.reckoning);
    if suspects.is_empty() {
        return evidence;
    }
    // A campaign's message may be sent once and never again, whatever became of it.
    let may_repeat = session.options.class != Some(Class::Marketing);
    let opened = session
        .native
        .ok_or_else(|| "no --native address".to_owned())
        .and_then(|address| Inquiry::open(address, &session.credentials).map_err(|error| error.to_string()));
    let mut inquiry = opened.map_err(|error| evidence.silence = Some(error)).ok();
    for (place, (nonce, suspicion)) in suspects.into_iter().enumerate() {
        let asked = ledger.id(nonce).filter(|_| place < TRACES_MAX).zip(inquiry.as_mut());
        let attempts = match asked.map(|(id, inquiry)| inquiry.attempts(id)) {
            Some(Ok(attempts)) => attempts,
            Some(Err(error)) => {
                evidence.silence = Some(error.to_string());
                inquiry = None;
                Attempts::default()
            }
            None => Attempts::default(),
        };
        evidence.doubtful += u64::from(attempts.doubted > 0);
        match suspicion {
            Suspicion::Taken(taken) if !(may_repeat && attempts.permit(usize::from(taken))) => {
                evidence.duplicates.push(nonce);
            }
            Suspicion::Vanished if attempts.doubted == 0 => evidence.lost.push(nonce),
            _ => {}
        }
    }
    evidence
}

fn suspects(reckoning: &Reckoning) -> Vec<(Nonce, Suspicion)> {
    let Reckoning { repeated, vanished, doubted, .. } = reckoning;
    let repeated = repeated.iter().map(|(nonce, taken)| (*nonce, Suspicion::Taken(*taken)));
    let vanished = vanished.iter().map(|nonce| (*nonce, Suspicion::Vanished));
    repeated.chain(vanished).chain(doubted.iter().map(|nonce| (*nonce, Suspicion::Doubted))).collect()
}

/// Puts the figures together.
pub(crate) fn report(
    session: &Session<'_>,
    evidence: &Evidence,
    measured: &Measured,
    cores: usize,
) -> Report {
    let ledger = &session.world.stage.ledger;
    let (counts, carriers) = (ledger.counts(), session.world.carriers.counts());
    let wrong = wrong(ledger, evidence, measured, carriers);
    let reckoning = &evidence.reckoning;
    let messages = f64::from(session.options.messages);
    let a_second = |seconds: f64| if seconds > 0.0 { messages / seconds } else { 0.0 };
    Report {
        ok: wrong.is_empty(),
        wrong,
        accepted: counts.accepted,
        submitted: reckoning.submitted,
        delivered: reckoning.delivered,
        failed: reckoning.failed,
        expired: reckoning.expired,
        cancelled: reckoning.cancelled,
        unknown: reckoning.unknown,
        lost: evidence.lost.len() as u64,
        duplicates: evidence.duplicates.len() as u64,
        doubtful: evidence.doubtful,
        fateless: reckoning.fateless,
        contradicted: reckoning.contradicted.len() as u64,
        refused: counts.refused,
        resubmitted: counts.resubmitted,
        fates_repeated: counts.fates_repeated,
        fates_foreign: ledger.strays() as u64,
        duration_s: measured.duration.as_secs_f64(),
        throughput_per_s: a_second(measured.duration.as_secs_f64()),
        answered_per_s: a_second(measured.answering.as_secs_f64()),
        engine_cpu_us_per_message: measured.engine_cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / messages),
        engine_rss_mib: measured.engine_memory.map(|memory| memory.resident_mib),
        engine_rss_peak_mib: measured.engine_memory.map(|memory| memory.peak_mib),
        engine_rss_series: session.memory_series.clone(),
        loadgen_cpu_us_per_message: measured.own_cpu.as_secs_f64() * 1e6 / messages,
        fdatasync_us: measured.fdatasync,
        latency_us: ledger.latencies().report(),
        carriers: carriers.into(),
        machine: Machine::read(cores),
        setup: setup(session),
    }
}

/// Everything that a promise forbids, in words.
fn wrong(ledger: &Ledger, evidence: &Evidence, measured: &Measured, carriers: CarrierCounts) -> Vec<String> {
    let Counts { refused, fates_changed, ids_wrong, .. } = *ledger.counts();
    let Reckoning { contradicted, fateless, repeated, vanished, .. } = &evidence.reckoning;
    let mut wrong = Vec::new();
    let mut named = |nonces: &[Nonce], what: &str| {
        if !nonces.is_empty() {
            wrong.push(format!("{} {what}, as {}", nonces.len(), examples(ledger, nonces)));
        }
    };
    named(
        &evidence.lost,
        "accepted messages were never seen by a carrier, and no trace shows that they may have left",
    );
    named(
        &evidence.duplicates,
        "messages were taken twice by carriers, and no trace shows a doubt that permits it, or their class does not",
    );
    named(contradicted, "fates are not what the carrier reported");
    let mut counted = |count: u64, what: &str| {
        if count > 0 {
            wrong.push(format!("{count} {what}"));
        }
    };
    counted(*fateless, "accepted messages had no fate when the drain was over");
    counted(refused, "messages were refused for good");
    counted(fates_changed, "fates were told differently a second time");
    counted(ids_wrong, "answers named an id that another answer contradicts");
    counted(carriers.mangled, "submissions had another recipient or text than was accepted");
    let judged_blindly = !repeated.is_empty() || !vanished.is_empty();
    if let Some(why) = evidence.silence.as_ref().filter(|_| judged_blindly) {
        wrong.push(format!("traces could not be asked for: {why}"));
    }
    if !measured.stopped {
        wrong.push("the daemon did not stop in order when it was asked to".to_owned());
    }
    wrong
}

fn examples(ledger: &Ledger, nonces: &[Nonce]) -> String {
    let name = |nonce: &Nonce| {
        let id = ledger.id(*nonce).as_ref().map_or_else(|| "without id".to_owned(), MessageId::to_string);
        format!("{} ({id})", nonce.0)
    };
    nonces.iter().take(EXAMPLES_MAX).map(name).collect::<Vec<_>>().join(", ")
}

fn setup(session: &Session<'_>) -> Setup {
    let options = session.options;
    let own = std::env::current_exe().unwrap_or_default();
    let (protocol, window) = match options.protocol {
        Protocol::Native => ("native", u32::from(options.window)),
        Protocol::Http => ("http", u32::from(options.pipeline) * u32::from(options.batch)),
        Protocol::Smpp => ("smpp", u32::from(options.window)),
    };
    Setup {
        profile: profile_of(own.parent().unwrap_or_else(|| Path::new("."))).to_owned(),
        protocol,
        messages: options.messages,
        prefill: options.prefill,
        rate_per_s: options.rate,
        customers: options.customers,
        window,
        carriers: session.world.carriers.count(),
        binds: session.binds,
        carrier_window: options.carriers.carrier_window,
        open_max: options.open_max,
        class: options.class.map(Class::name),
        text_bytes: options.text_bytes,
        kills: options.spawned.kills,
        seed: options.seed,
    }
}
