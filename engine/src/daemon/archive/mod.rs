//! Messages that left memory, found in the log: one thread of the node that reads what the shards have written.
//!
//! ```text
//!   brain: not in memory ─▶ Client.ask ═══ bounded ══▶ archive: index, batches, the message's records ─▶ apply
//!   customers ◀─ Client.poll ◀════════════ bounded ═══════════════════ Answer ◀──────────────────────────┘
//! ```
//!
//! The shards do not wait for it and do not read for it; only a question about a message that they do not have comes here. The
//! thread makes the index of each segment when it is full ([`shelf`]), one at a time, between questions. It reads no further than
//! what the shards have on disk, so nothing is told before it is durable.

mod shelf;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, iter};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use crossbeam::utils::CachePadded;
use shards::api::{MessageView, Origin};
use wal::{LogConfig, Lsn};
use wire::id::{AccountId, MessageId, PartitionCount, ShardId};

use crate::runtime::{WakeHandle, step_aside};

use super::limits::{AGED_QUERIES_MAX, ARCHIVE_TICK};
use shelf::{Shelf, Work};

/// What a shard and the archive know of each other.
#[derive(Debug, Default)]
struct Progress {
    /// Up to where the shard's log is on disk, in its own places; 0 before it was read back.
    durable: AtomicU64,
    /// Indexes that were made of its segments.
    indexes_built: AtomicU64,
}

/// A question about a message.
#[derive(Debug)]
struct Question {
    asker: Asker,
    id: MessageId,
    to: To,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// A customer, who is told of its own messages.
    Account(AccountId),
    /// Whoever runs the node.
    Operator,
}

impl Asker {
    fn may_know_of(self, owner: AccountId) -> bool {
        self == Self::Operator || self == Self::Account(owner)
    }
}

/// Where an answer goes.
#[derive(Debug)]
enum To {
    /// To a customer of a shard.
    Customer(Origin, AccountId, WakeHandle),
    /// To the control thread.
    Operator(Sender<Outcome>),
}

/// What the archive knows of a message.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Whose it is, and what became of it.
    Found(AccountId, Box<MessageView>),
    /// No message of whoever asked with this id is in the log, or not all of it is.
    Unknown,
    /// It cannot be said now; later, perhaps.
    Failed,
}

/// An answer to a question.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whose question.
    pub(super) origin: Origin,
    /// Who asked.
    pub(super) account: AccountId,
    /// About which message.
    pub(super) id: MessageId,
    /// What is known.
    pub(super) outcome: Outcome,
}

/// Whether a question is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its answer will come.
    Waits,
    /// As many are under way as may be.
    Refused,
    /// Nobody could know.
    Nobody,
}

/// One shard's end of the archive. Lives on the shard's thread.
#[derive(Debug)]
pub(super) struct Client {
    shard: ShardId,
    partitions: PartitionCount,
    /// `None`: the log is not kept.
    questions: Option<Sender<Question>>,
    answers: Receiver<Answer>,
    progress: Arc<[CachePadded<Progress>]>,
    under_way: usize,
    counts: Counts,
}

/// What a shard asked, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Questions that were asked.
    pub(super) asked: u64,
    /// Of these, for a message that was found.
    pub(super) found: u64,
    /// Questions that were put off: as many were under way as may be, or it could not be said.
    pub(super) put_off: u64,
}

impl Client {
    /// Asks for a message of an account.
    pub(super) fn ask(
        &mut self,
        origin: Origin,
        account: AccountId,
        id: MessageId,
        waker: &WakeHandle,
    ) -> Asked {
        let Some(questions) = self.questions.as_ref().filter(|_| id.partition().0 < self.partitions.count())
        else {
            return Asked::Nobody;
        };
        let to = To::Customer(origin, account, waker.clone());
        let question = Question { asker: Asker::Account(account), id, to };
        if self.under_way >= AGED_QUERIES_MAX || questions.try_send(question).is_err() {
            self.counts.put_off += 1;
            return Asked::Refused;
        }
        self.under_way += 1;
        self.counts.asked += 1;
        Asked::Waits
    }

    /// The next answer.
    pub(super) fn poll(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.under_way -= 1;
        self.counts.found += u64::from(matches!(answer.outcome, Outcome::Found(..)));
        self.counts.put_off += u64::from(matches!(answer.outcome, Outcome::Failed));
        Some(answer)
    }

    /// Whether [`Client::poll`] has something.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The shard's log is on disk up to here.
    pub(super) fn durable(&self, lsn: Lsn) {
        // Whoever hears of what lies before it, by whatever way, sees this.
        self.progress().durable.store(lsn.0, Ordering::Release);
    }

    /// What was asked.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Indexes that were made of the shard's segments since the process began.
    pub(super) fn indexes_built(&self) -> u64 {
        self.progress().indexes_built.load(Ordering::Relaxed)
    }

    fn progress(&self) -> &Progress {
        &self.progress[usize::from(self.shard.0)]
    }
}

/// The control thread's end of the archive.
#[derive(Debug)]
pub(super) struct Inquirer {
    /// `None`: the log is not kept.
    questions: Option<Sender<Question>>,
}

impl Inquirer {
    /// Asks for a message of any account, and waits within bounds. `None`: no answer came.
    pub(super) fn ask(&self, id: MessageId, at_most: Duration) -> Option<Outcome> {
        let Some(questions) = &self.questions else { return Some(Outcome::Unknown) };
        let (to, answered) = bounded(1);
        questions.try_send(Question { asker: Asker::Operator, id, to: To::Operator(to) }).ok()?;
        answered.recv_timeout(at_most).ok()
    }
}

/// The archive's thread, while it lives.
#[derive(Debug)]
pub(super) struct Archive {
    thread: Option<JoinHandle<()>>,
}

impl Archive {
    /// Starts the archive of these logs, one for each shard, unless they are not kept. One client for each shard,
    /// and what the control thread asks by.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub(super) fn start(
        logs: Vec<(PathBuf, LogConfig)>,
        partitions: PartitionCount,
        is_kept: bool,
    ) -> io::Result<(Self, Vec<Client>, Inquirer)> {
        let progress: Arc<[CachePadded<Progress>]> = logs.iter().map(|_| CachePadded::default()).collect();
        // As many as the shards may have under way, and one of the operator's.
        let (questions, asked) = bounded(AGED_QUERIES_MAX * logs.len() + 1);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            logs.iter().map(|_| bounded::<Answer>(AGED_QUERIES_MAX)).unzip();
        let clients = (0..).map(ShardId).zip(receivers).map(|(shard, answers)| Client {
            shard,
            partitions,
            questions: is_kept.then(|| questions.clone()),
            answers,
            progress: Arc::clone(&progress),
            under_way: 0,
            counts: Counts::default(),
        });
        let clients = clients.collect();
        let inquirer = Inquirer { questions: is_kept.then(|| questions.clone()) };
        let shelves = logs.into_iter().map(|(dir, config)| Shelf::new(dir, config)).collect();
        let reader = Reader { questions: asked, answers: senders, shelves, progress, tended: Instant::now() };
        let spawn = || thread::Builder::new().name("archive".to_owned()).spawn(move || reader.run());
        Ok((Self { thread: is_kept.then(spawn).transpose()? }, clients, inquirer))
    }

    /// Waits until it has ended, which it does when no client is left and no inquirer.
    pub(super) fn join(self) {
        if let Some(thread) = self.thread {
            // A panic aborts the programs; there is nothing to add to it.
            let _ = thread.join();
        }
    }
}

/// The archive at work. Lives on its own thread.
struct Reader {
    questions: Receiver<Question>,
    /// To each shard.
    answers: Vec<Sender<Answer>>,
    /// Of each shard.
    shelves: Vec<Shelf>,
    progress: Arc<[CachePadded<Progress>]>,
    tended: Instant,
}

impl Reader {
    fn run(mut self) {
        step_aside();
        let mut work = Work::Done;
        loop {
            let wait = if work == Work::Left { Duration::ZERO } else { ARCHIVE_TICK };
            match self.questions.recv_timeout(wait) {
                Ok(question) => self.answer(question),
                Err(RecvTimeoutError::Timeout) => work = self.tend(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.tended.elapsed() >= ARCHIVE_TICK {
                work = self.tend();
            }
        }
    }

    /// Looks which segments there are, and indexes one that has no index.
    fn tend(&mut self) -> Work {
        self.tended = Instant::now();
        let mut work = Work::Done;
        for (shelf, progress) in iter::zip(&mut self.shelves, &*self.progress) {
            if shelf.tend(Lsn(progress.durable.load(Ordering::Acquire))) == Work::Left {
                work = Work::Left;
            }
            progress.indexes_built.store(shelf.indexes_built(), Ordering::Relaxed);
        }
        work
    }

    fn answer(&mut self, question: Question) {
        let Question { asker, id, to } = question;
        let shards = u16::try_from(self.shelves.len()).expect("shards are numbered by 16 bits");
        let owner = usize::from(ShardId::owner_of(id.partition(), shards).0);
        let durable = Lsn(self.progress[owner].durable.load(Ordering::Acquire));
        let outcome = self.shelves[owner].ask(durable, asker, id);
        match to {
            To::Customer(origin, account, waker) => {
                let answers = &self.answers[usize::from(origin.shard.0)];
                let sent = answers.try_send(Answer { origin, account, id, outcome });
                // One that has ended needs no answers.
                assert!(!sent.is_err_and(|error| error.is_full()), "a shard has room for its answers");
                waker.wake();
            }
            // The control thread may have waited long enough.
            To::Operator(answer) => _ = answer.try_send(outcome),
        }
    }
}
