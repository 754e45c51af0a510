//! A courier: the thread that carries one account's events to its server. It waits for events, for its server, for the time of the next
//! try, and for nobody else.
//!
//! It ends when its shard hangs up, behind the post that is under way: what was not posted is told to the next one.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError, after, bounded, never};
use wire::id::Partition;
use wire::time::Now;

use super::Setup;
use super::limits::{STACK_BYTES, TURNS_WAITING_MAX};
use super::metrics::Tally;
use super::outbox::{Done, Outbox};
use super::outcome::{Outcome, Trouble};
use crate::customers::ToldEvent;
use crate::daemon::{clock, random_u64};
use crate::runtime::{WakeHandle, step_aside};

/// What a courier says to its shard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// These are done, up to the last of each partition.
    Done {
        /// Which courier.
        courier: u64,
        /// Partitions and numbers.
        positions: Vec<(Partition, u64)>,
    },
    /// This one has ended.
    Ended(u64),
}

/// The way to a courier's shard.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    /// Words for it.
    pub(crate) words: Sender<Word>,
    /// Wakes it.
    pub(crate) waker: WakeHandle,
}

/// Both ends that a new courier is reached by.
#[derive(Debug)]
pub(crate) struct Ends {
    /// The shard's: events, a turn's at a time. The courier ends with it.
    pub(crate) events: Sender<Vec<ToldEvent>>,
    /// The control thread's.
    pub(crate) reins: Reins,
}

/// What the control thread has of a courier.
#[derive(Debug)]
pub(crate) struct Reins {
    setup: Arc<Mutex<Arc<Setup>>>,
    changes: Sender<()>,
    /// Its numbers.
    pub(crate) tally: Arc<Tally>,
}

impl Reins {
    /// What it works by.
    pub(crate) fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.setup.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the courier has ended.
    pub(crate) fn are_loose(&self) -> bool {
        Arc::strong_count(&self.setup) == 1
    }

    /// Has it work by another setup; if that makes a difference to posts, from the next one on, which is then made at once.
    pub(crate) fn change(&self, setup: Arc<Setup>) {
        let differs = setup.differs(&self.setup());
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner) = setup;
        if differs {
            // When there is no room, it has not looked at the last change yet, and will see this one.
            let _ = self.changes.try_send(());
        }
    }
}

/// Starts a courier under a number of its own.
///
/// # Errors
/// When no thread is to be had.
pub(crate) fn start(number: u64, setup: Arc<Setup>, shard: Shard) -> io::Result<Ends> {
    let (events, told) = bounded(TURNS_WAITING_MAX);
    let (changes, changed) = bounded(1);
    let tally = Arc::new(Tally::default());
    let shared = Arc::new(Mutex::new(setup));
    let courier = Courier {
        number,
        setup: Arc::clone(&shared),
        told,
        changed,
        shard,
        outbox: Outbox::new(),
        tally: Arc::clone(&tally),
    };
    let thread = thread::Builder::new().name("webhook".to_owned()).stack_size(STACK_BYTES);
    // It ends with its shard, or with the process: nobody waits for a server.
    thread.spawn(move || courier.run())?;
    Ok(Ends { events, reins: Reins { setup: shared, changes, tally } })
}

struct Courier {
    number: u64,
    setup: Arc<Mutex<Arc<Setup>>>,
    told: Receiver<Vec<ToldEvent>>,
    changed: Receiver<()>,
    shard: Shard,
    outbox: Outbox,
    tally: Arc<Tally>,
}

/// Whether the shard still speaks to the courier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    HungUp,
}

impl Courier {
    fn run(mut self) {
        step_aside();
        while self.hear() == Line::Open {
            let setup = Arc::clone(&self.setup.lock().unwrap_or_else(PoisonError::into_inner));
            let now = clock::now();
            if let Some(done) = self.outbox.handle_time(now, setup.plan.retention) {
                tracing::warn!(event = "webhook-lapsed", account = setup.account, events = done.lapsed);
                self.done(done);
            }
            self.show(now);
            match self.outbox.poll_letter(now.mono, &setup.account, &setup.plan) {
                Some(letter) => {
                    let outcome = setup.poster.post(&setup.webhook, letter, now.wall);
                    self.heed(&setup, &outcome);
                }
                None => self.rest(now),
            }
        }
        self.say(Word::Ended(self.number));
    }

    /// Takes what was told and changed meanwhile.
    fn hear(&mut self) -> Line {
        if self.changed.try_recv().is_ok() {
            self.outbox.handle_change();
        }
        loop {
            match self.told.try_recv() {
                Ok(events) => self.outbox.handle_events(events),
                Err(TryRecvError::Empty) => return Line::Open,
                Err(TryRecvError::Disconnected) => return Line::HungUp,
            }
        }
    }

    fn heed(&mut self, setup: &Setup, outcome: &Outcome) {
        let failed_before = self.outbox.failures();
        let now = clock::now();
        // Without randomness those who failed together come back together, which is no reason to stop.
        let done = self.outbox.handle_outcome(now.mono, outcome, random_u64().unwrap_or(0));
        match outcome {
            Outcome::Taken if failed_before > 0 => {
                let host = setup.webhook.url.host();
                tracing::info!(
                    event = "webhook-recovered",
                    account = setup.account,
                    host,
                    after = failed_before
                );
            }
            Outcome::Taken => {}
            Outcome::NotTaken(trouble) => self.complain(setup, trouble, now),
        }
        if let Some(done) = done {
            self.done(done);
        }
    }

    /// A line for each try, of which there is one in some minutes when the trouble lasts.
    fn complain(&self, setup: &Setup, trouble: &Trouble, now: Now) {
        self.tally.not_taken(trouble, now.wall.0);
        let again_s = self.outbox.timeout().map_or(0, |at| at.since(now.mono).as_secs());
        let (events, _) = self.outbox.waiting();
        tracing::warn!(
            event = "webhook-failed",
            account = setup.account,
            host = setup.webhook.url.host(),
            kind = trouble.kind.name(),
            why = trouble.words,
            events,
            again_s
        );
    }

    fn done(&self, done: Done) {
        if done.taken > 0 {
            self.tally.taken(done.taken);
        }
        self.tally.lapsed(done.lapsed);
        self.say(Word::Done { courier: self.number, positions: done.positions });
    }

    /// Says something to the shard. One that has ended needs no words.
    fn say(&self, word: Word) {
        if self.shard.words.send(word).is_ok() {
            self.shard.waker.wake();
        }
    }

    fn show(&self, now: Now) {
        let (events, oldest) = self.outbox.waiting();
        let again = self.outbox.timeout().filter(|_| self.outbox.failures() > 0);
        let again_ms = again.map_or(0, |at| now.wall.plus(at.since(now.mono)).0);
        self.tally.waits(events, oldest.map_or(0, |at| at.0), again_ms);
    }

    /// Sleeps until it is told something, or the time of the next try.
    fn rest(&mut self, now: Now) {
        let wait: Option<Duration> = self.outbox.timeout().map(|at| at.since(now.mono));
        let due = wait.map_or_else(never, after);
        crossbeam::select! {
            recv(self.told) -> events => if let Ok(events) = events {
                self.outbox.handle_events(events);
            },
            recv(self.changed) -> change => match change {
                Ok(()) => self.outbox.handle_change(),
                // Nobody changes anything any more.
                Err(_) => self.changed = never(),
            },
            recv(due) -> _ => {}
        }
    }
}
