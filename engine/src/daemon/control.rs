//! The control thread: the program's main thread, which starts the shards together, waits for a signal, and stops them
//! together.
//!
//! ```text
//!   all Recovered ─▶ Begin ─▶ all Listening ─▶ … signal … ─▶ Drain ─▶ all Drained, or 25 s, or a second signal ─▶ Stop
//! ```
//!
//! A shard that ends by itself has failed: the others are drained and stopped, since its partitions need a restart. The
//! drain is worth its time: what carriers still answer in it is no doubt later.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use shards::members::{Act, NotDone};
use shards::plan::Plan;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use wire::id::{MessageId, NodeId};

use crate::admin::server::Asked;
use crate::admin::trace::Feed;
use crate::admin::words;
use crate::customers::credentials::Credentials;
use crate::customers::smpp::exchange::Exchange;
use crate::runtime::WakeHandle;

use super::answers::Overseer;
use super::limits::{DRAIN_MAX, WATCH_EVERY};
use super::secure::Secure;
use super::view::{Numbers, ShardView};
use super::webhooks::Order;

/// What a shard is told.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// All logs are read: write, listen, serve.
    Begin,
    /// Take nothing new, finish what is under way.
    Drain,
    /// End now.
    Stop,
    /// Show what there is.
    Show(Sender<ShardView>),
    /// Show a message, if it is there.
    Find(MessageId, Numbers, Sender<Option<Box<words::Message>>>),
    /// Feed a trace, and say so.
    Trace(Feed, Sender<()>),
    /// Work by another plan, and say so.
    Plan(Arc<Plan>, Sender<()>),
    /// Begin sessions of TLS with other certificates, and say so.
    Secure(Arc<Secure>, Sender<()>),
    /// Let others in, and say so.
    Admit(Arc<Credentials>, Arc<Exchange>, Sender<()>),
    /// Do what an operator decided about the cluster's members, and say what came of it.
    Act(Box<Act>, Sender<Result<NodeId, NotDone>>),
    /// Tell these webhooks, and those no more, and say so.
    Webhooks(Vec<Order>, Sender<()>),
}

/// What the control thread hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// This shard has read its log.
    Recovered(u16),
    /// This shard listens.
    Listening(u16),
    /// This shard has nothing left to do.
    Drained(u16),
    /// This shard has ended.
    Ended(u16),
    /// SIGTERM or SIGINT.
    Signal(i32),
    /// SIGHUP: the configuration is to be read again.
    Reload,
}

/// Why a wait of the control thread was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// All shards have reported.
    All,
    /// A signal came.
    Signal(i32),
    /// A shard has ended, which it should not have.
    Ended,
    /// Time is up.
    TimeUp,
}

/// The control thread's ends of all queues.
#[derive(Debug)]
pub(super) struct Control {
    commands: Vec<Sender<Command>>,
    wakers: Arc<[WakeHandle]>,
    notices: Receiver<Notice>,
}

impl Control {
    /// The control of these shards.
    pub(super) fn new(
        commands: Vec<Sender<Command>>,
        wakers: Arc<[WakeHandle]>,
        notices: Receiver<Notice>,
    ) -> Self {
        assert_eq!(commands.len(), wakers.len(), "each shard has a queue and a waker");
        Self { commands, wakers, notices }
    }

    /// What wakes each shard.
    pub(super) fn wakers(&self) -> &[WakeHandle] {
        &self.wakers
    }

    /// Tells every shard the same.
    pub(super) fn order(&self, command: Command) {
        for (commands, waker) in self.commands.iter().zip(self.wakers.iter()) {
            // A shard that has ended needs no orders, and one order of each kind always has room.
            let _ = commands.try_send(command.clone());
            waker.wake();
        }
    }

    /// Tells one shard something that it answers, and waits for the answer within bounds.
    pub(super) fn ask<T>(
        &self,
        shard: usize,
        command: impl FnOnce(Sender<T>) -> Command,
        at_most: Duration,
    ) -> Option<T> {
        let (to, answered) = bounded(1);
        self.commands[shard].try_send(command(to)).ok()?;
        self.wakers[shard].wake();
        answered.recv_timeout(at_most).ok()
    }

    /// As [`Control::ask`], of every shard at once.
    pub(super) fn ask_all<T>(
        &self,
        command: impl Fn(Sender<T>) -> Command,
        at_most: Duration,
    ) -> Vec<Option<T>> {
        let until = Instant::now() + at_most;
        let asked: Vec<_> = (0..self.commands.len())
            .map(|shard| {
                let (to, answered) = bounded(1);
                let sent = self.commands[shard].try_send(command(to)).is_ok();
                self.wakers[shard].wake();
                (sent, answered)
            })
            .collect();
        let answer = |(sent, answered): (bool, Receiver<T>)| match sent {
            true => answered.recv_deadline(until).ok(),
            false => None,
        };
        asked.into_iter().map(answer).collect()
    }

    /// Lets the overseer answer what is asked, until a signal comes or a shard ends.
    pub(super) fn serve(
        &self,
        asked: &Receiver<Asked>,
        overseer: &mut Overseer<'_>,
        is_alive: impl Fn() -> bool,
    ) -> Wait {
        loop {
            overseer.look_around();
            crossbeam::select! {
                recv(self.notices) -> notice => match notice {
                    Ok(Notice::Signal(signal)) => return Wait::Signal(signal),
                    Ok(Notice::Ended(_)) | Err(_) => return Wait::Ended,
                    Ok(Notice::Reload) => {
                        overseer.reload("SIGHUP");
                    }
                    Ok(Notice::Recovered(_) | Notice::Listening(_) | Notice::Drained(_)) => {}
                },
                recv(asked) -> asked => if let Ok(asked) = asked { overseer.answer(asked) },
                default(WATCH_EVERY) => if !is_alive() { return Wait::Ended },
            }
        }
    }

    /// Waits until every shard has reported what `matches` looks for, or something else ends the wait.
    /// `is_alive` is asked now and then, since a thread may die without a word.
    pub(super) fn wait_for_all(&self, matches: impl Fn(Notice) -> bool, is_alive: impl Fn() -> bool) -> Wait {
        self.wait_for(self.commands.len(), matches, None, is_alive)
    }

    fn wait_for(
        &self,
        mut missing: usize,
        matches: impl Fn(Notice) -> bool,
        until: Option<Instant>,
        is_alive: impl Fn() -> bool,
    ) -> Wait {
        while missing > 0 {
            let left = until.map_or(WATCH_EVERY, |until| until.saturating_duration_since(Instant::now()));
            match self.notices.recv_timeout(left.min(WATCH_EVERY)) {
                Ok(Notice::Signal(signal)) => return Wait::Signal(signal),
                Ok(notice) if matches(notice) => missing -= 1,
                Ok(Notice::Ended(_)) => return Wait::Ended,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if until.is_some_and(|until| until <= Instant::now()) => {
                    return Wait::TimeUp;
                }
                Err(RecvTimeoutError::Timeout) if is_alive() => {}
                Err(_) => return Wait::Ended,
            }
        }
        Wait::All
    }

    /// Drains so many shards, all or those that are left, within bounds, and stops them.
    pub(super) fn drain_and_stop(&self, shards: usize) {
        self.order(Command::Drain);
        let until = Some(Instant::now() + DRAIN_MAX);
        match self.wait_for(shards, |notice| matches!(notice, Notice::Drained(_)), until, || true) {
            Wait::All => tracing::info!(event = "drained"),
            Wait::TimeUp => tracing::warn!(event = "drain-incomplete", after_s = DRAIN_MAX.as_secs()),
            Wait::Signal(_) => tracing::warn!(event = "drain-cut-short"),
            Wait::Ended => tracing::error!(event = "drain-lost-a-shard"),
        }
        self.order(Command::Stop);
    }
}

/// Turns SIGTERM, SIGINT and SIGHUP into notices, from a thread of their own that ends with the process.
///
/// # Errors
/// When the system has no thread or no handler to give.
pub(super) fn watch_signals(notices: Sender<Notice>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            // A full queue has a signal in it already.
            let _ = notices.try_send(if signal == SIGHUP { Notice::Reload } else { Notice::Signal(signal) });
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A control of two shards, the queue by which it hears, and those of its orders.
    fn control() -> (Control, Sender<Notice>, Vec<Receiver<Command>>) {
        let wakers = crate::runtime::spawn_shards(&[0, 0], async |_| ()).unwrap().wakers();
        let (commands, orders) = (0..2).map(|_| bounded(4)).unzip();
        let (notices, heard) = bounded(16);
        (Control::new(commands, wakers, heard), notices, orders)
    }

    /// The orders of a shard, by name.
    fn said(orders: &Receiver<Command>) -> Vec<String> {
        orders.try_iter().map(|order| format!("{order:?}")).collect()
    }

    #[test]
    fn a_shard_is_asked_and_one_that_does_not_answer_is_not_waited_for_for_ever() {
        let (control, _notices, orders) = control();
        let shard = orders[0].clone();
        let answering = std::thread::spawn(move || match shard.recv() {
            Ok(Command::Find(_, Numbers::Masked, to)) => to.send(None).is_ok(),
            _ => false,
        });
        let find = |to| Command::Find(MessageId(1), Numbers::Masked, to);
        assert_eq!(control.ask(0, find, Duration::from_secs(60)), Some(None));
        assert!(answering.join().unwrap());
        assert_eq!(control.ask(1, find, Duration::ZERO), None);
        assert_eq!(control.ask_all(find, Duration::ZERO), [None, None]);
    }

    fn drained(control: &Control) -> Wait {
        control.wait_for_all(|notice| matches!(notice, Notice::Drained(_)), || true)
    }

    #[test]
    fn a_wait_is_over_when_all_shards_have_said_so() {
        let (control, notices, _orders) = control();
        for notice in [Notice::Drained(1), Notice::Listening(0), Notice::Drained(0)] {
            notices.send(notice).unwrap();
        }
        assert_eq!(drained(&control), Wait::All);
    }

    #[test]
    fn a_signal_a_shard_that_ends_a_dead_thread_and_time_end_a_wait_too() {
        let (control, notices, _orders) = control();
        notices.send(Notice::Signal(SIGINT)).unwrap();
        assert_eq!(drained(&control), Wait::Signal(SIGINT));
        notices.send(Notice::Ended(0)).unwrap();
        assert_eq!(drained(&control), Wait::Ended);
        assert_eq!(control.wait_for_all(|_| false, || false), Wait::Ended);
        let now = Instant::now();
        assert_eq!(control.wait_for(1, |_| false, Some(now), || true), Wait::TimeUp);
    }

    #[test]
    fn those_that_are_left_are_drained_when_one_has_failed() {
        let (control, notices, orders) = control();
        notices.send(Notice::Drained(0)).unwrap();
        control.drain_and_stop(1);
        assert_eq!(said(&orders[0]), ["Drain", "Stop"]);
    }

    #[test]
    fn a_stop_drains_first_and_a_second_signal_cuts_it_short() {
        let (control, notices, orders) = control();
        notices.send(Notice::Signal(SIGTERM)).unwrap();
        control.drain_and_stop(2);
        for orders in orders {
            assert_eq!(said(&orders), ["Drain", "Stop"]);
        }
    }
}
