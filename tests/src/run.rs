//! A seed becomes an outcome; many seeds become a verdict.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::swarm::Swarm;
use crate::world::World;
use crate::{Canary, Mode, Outcome, Sights};

/// Every which seed's world is calm.
const CALM_EVERY: u64 = 5;
/// Every which seed is run twice, to see that it does the same.
const TWICE_EVERY: u64 = 50;

thread_local! {
    /// The seed and the virtual time of this thread, for a panic.
    static WHERE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Whether runs print what happens.
static TRACES: AtomicBool = AtomicBool::new(false);

pub(crate) fn watch(seed: u64, time: u64) {
    WHERE.set((seed, time));
}

/// From now on runs print to standard error what happens, thing by thing.
pub fn trace() {
    TRACES.store(true, Ordering::Relaxed);
}

pub(crate) fn happens(time: u64, event: &impl std::fmt::Debug) {
    if TRACES.load(Ordering::Relaxed) {
        eprintln!("{:>12.3} ms {event:?}", time as f64 / 1e6);
    }
}

/// Lets a panic say which seed it was and how to repeat it. The process ends after it, as the daemon would.
pub fn explain_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let (seed, time) = WHERE.get();
        print(panic);
        eprintln!(
            "seed {seed} panicked at {} ms of virtual time; repeat: cargo sim -- --seed {seed}",
            time / 1_000_000
        );
    }));
}

/// What a run is made with, beside its seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Only this promise counts.
    pub only: Option<u8>,
    /// Deceives the judge.
    pub canary: Option<Canary>,
}

/// The kind of world of a seed.
#[must_use]
pub const fn mode_of(seed: u64) -> Mode {
    if seed.is_multiple_of(CALM_EVERY) { Mode::Calm } else { Mode::Faults }
}

/// Runs one seed.
#[must_use]
pub fn seed(seed: u64, options: Options) -> Outcome {
    let mut swarm = Swarm::draw(seed, mode_of(seed));
    if let Some(canary) = options.canary {
        swarm.deceive(canary);
    }
    World::new(seed, swarm, options.only).run()
}

/// What many seeds gave.
#[derive(Debug, Default)]
pub struct Report {
    /// The lowest seeds that failed, with what they showed.
    pub failures: Vec<(u64, Outcome)>,
    /// How many seeds were run.
    pub runs: u64,
    /// What there was to see in all of them.
    pub sights: Sights,
}

/// Runs seeds on all cores of the machine. It stops soon after `failures_max` have failed.
#[must_use]
pub fn seeds(first: u64, count: u64, options: Options, failures_max: usize) -> Report {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let parts: Vec<Report> = std::thread::scope(|scope| {
        let work = || {
            let mut report = Report::default();
            while failed.load(Ordering::Relaxed) < failures_max as u64 {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    break;
                }
                let outcome = checked(first.wrapping_add(number), options);
                report.runs += 1;
                report.sights = report.sights.and(&outcome.sights);
                if outcome.violation.is_some() {
                    failed.fetch_add(1, Ordering::Relaxed);
                    report.failures.push((first.wrapping_add(number), outcome));
                }
            }
            report
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().expect("a run that panics ends the process")).collect()
    });
    let mut whole = Report::default();
    for part in parts {
        whole.runs += part.runs;
        whole.sights = whole.sights.and(&part.sights);
        whole.failures.extend(part.failures);
    }
    whole.failures.sort_by_key(|(seed, _)| *seed);
    whole
}

/// Runs a seed, and from time to time again: the same must happen.
fn checked(number: u64, options: Options) -> Outcome {
    let outcome = seed(number, options);
    if number.is_multiple_of(TWICE_EVERY) && outcome.violation.is_none() {
        let again = seed(number, options);
        assert_eq!(outcome, again, "seed {number} does not do the same twice");
    }
    outcome
}

impl Sights {
    /// What was seen here and there.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut fates = self.fates;
        fates.iter_mut().zip(other.fates).for_each(|(sum, more)| *sum += more);
        Self {
            events: self.events + other.events,
            virtual_ns: self.virtual_ns + other.virtual_ns,
            acknowledged: self.acknowledged + other.acknowledged,
            taken: self.taken + other.taken,
            heard: self.heard + other.heard,
            fates,
            doubts: self.doubts + other.doubts,
            deaths: self.deaths + other.deaths,
            syncs: self.syncs + other.syncs,
            replays: self.replays + other.replays,
            snapshots: self.snapshots + other.snapshots,
            released: self.released + other.released,
            lent: self.lent + other.lent,
            slices: self.slices + other.slices,
            answered_questions: self.answered_questions + other.answered_questions,
            peer_messages: self.peer_messages + other.peer_messages,
            words: self.words + other.words,
            taken_over: self.taken_over + other.taken_over,
            rebuilt: self.rebuilt + other.rebuilt,
            installed: self.installed + other.installed,
            came_and_went: self.came_and_went + other.came_and_went,
        }
    }
}
