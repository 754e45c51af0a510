//! Passwords are looked at: one thread of the node that is no shard, since a look takes tens of milliseconds and a shard has none.
//!
//! ```text
//!   customers: a bind whose password is not known ─▶ Client.ask ═══ bounded ══▶ doorkeeper: Argon2id
//!   customers ◀─ Client.poll ◀══════════════════════ bounded ═══════════════════════ verdict
//! ```
//!
//! However many strangers bind at once, the shards lose nothing to them but a place in a queue: what does not fit into it is told to
//! try again, and customers whose password is known do not come here.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::customers::passwords::{Check, Verdict};
use crate::runtime::{WakeHandle, step_aside};

use super::limits::PASSWORD_CHECKS_MAX;

/// A password on its way to the doorkeeper.
#[derive(Debug)]
struct Question {
    check: Check,
    shard: usize,
    waker: WakeHandle,
}

/// One shard's end. Lives on the shard's thread.
#[derive(Debug)]
pub(super) struct Client {
    shard: usize,
    questions: Sender<Question>,
    answers: Receiver<(Check, Verdict)>,
    under_way: usize,
}

impl Client {
    /// Has a password looked at.
    ///
    /// # Errors
    /// The check itself, when as many are under way as may be.
    pub(super) fn ask(&mut self, check: Check, waker: &WakeHandle) -> Result<(), Check> {
        if self.under_way >= PASSWORD_CHECKS_MAX {
            return Err(check);
        }
        let question = Question { check, shard: self.shard, waker: waker.clone() };
        self.questions.try_send(question).map_err(|error| error.into_inner().check)?;
        self.under_way += 1;
        Ok(())
    }

    /// The next verdict.
    pub(super) fn poll(&mut self) -> Option<(Check, Verdict)> {
        let answer = self.answers.try_recv().ok()?;
        self.under_way -= 1;
        Some(answer)
    }

    /// Whether [`Client::poll`] has something.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }
}

/// The doorkeeper's thread, while it lives.
#[derive(Debug)]
pub(super) struct Doorkeeper(JoinHandle<()>);

impl Doorkeeper {
    /// Starts it for so many shards.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub(super) fn start(shards: u16) -> io::Result<(Self, Vec<Client>)> {
        let (questions, asked) = bounded(PASSWORD_CHECKS_MAX);
        // Each has room for all that its shard may have under way.
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| bounded(PASSWORD_CHECKS_MAX)).unzip();
        let client = |(shard, answers)| Client { shard, questions: questions.clone(), answers, under_way: 0 };
        let clients = receivers.into_iter().enumerate().map(client).collect();
        let thread = thread::Builder::new().name("doorkeeper".to_owned());
        Ok((Self(thread.spawn(move || keep(&asked, &senders))?), clients))
    }

    /// Waits until it has ended, which it does when no client is left.
    pub(super) fn join(self) {
        // A panic aborts the programs; there is nothing to add to it.
        let _ = self.0.join();
    }
}

fn keep(asked: &Receiver<Question>, answers: &[Sender<(Check, Verdict)>]) {
    step_aside();
    while let Ok(Question { check, shard, waker }) = asked.recv() {
        let verdict = check.look();
        let sent = answers[shard].try_send((check, verdict));
        // One that has ended needs no answers.
        assert!(!sent.is_err_and(|error| error.is_full()), "a shard has room for its answers");
        waker.wake();
    }
}
