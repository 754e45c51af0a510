//! A shard's sleep in its executor, while the executor has something slow to do for it.
//!
//! The sleep is a read of an event through the executor's ring: it waits, and it lowers the event by itself. The
//! shard's own ring raises the event when something completes there. When a time passes first, the read stays for the
//! next sleep; cancelling it would cost more.
//!
//! A shard whose executor has nothing to do sleeps in its own ring instead, at a quarter of the price.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Poll, Waker};
use core::time::Duration;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use glommio::io::BufferedFile;
use glommio::timer::Timer;

use super::event::Event;

type Read = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Wakes the shard's main task from another task of the same thread.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: Cell<bool>,
    sleeper: RefCell<Option<Waker>>,
}

impl Signal {
    /// Ends the sleep, or the next one.
    pub(crate) fn raise(&self) {
        self.raised.set(true);
        if let Some(sleeper) = self.sleeper.borrow_mut().take() {
            sleeper.wake();
        }
    }

    /// Ready once it was raised; lowers it.
    pub(crate) async fn raised(&self) {
        poll_fn(|context| {
            if self.raised.take() {
                return Poll::Ready(());
            }
            *self.sleeper.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// One shard's sleep. It lives on the shard's thread.
pub(crate) struct Parker {
    event: Event,
    file: Rc<BufferedFile>,
    read: Option<Read>,
    signal: Rc<Signal>,
}

impl core::fmt::Debug for Parker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parker").field("event", &self.event).field("reading", &self.read.is_some()).finish()
    }
}

impl Parker {
    /// On the shard's thread, inside its executor.
    pub(crate) fn new() -> io::Result<Self> {
        let event = Event::new()?;
        let file = Rc::new(event.executors_file()?);
        Ok(Self { event, file, read: None, signal: Rc::default() })
    }

    /// What the shard's ring raises.
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.event.fd()
    }

    /// What other tasks of this thread raise.
    pub(crate) fn signal(&self) -> Rc<Signal> {
        Rc::clone(&self.signal)
    }

    /// Lets the executor look at all its rings once, and comes back. It costs some 10 µs: the executor does not look
    /// while any task is runnable, so the shard sleeps on an event that it raises itself.
    pub(crate) async fn pass(&mut self) -> io::Result<()> {
        self.event.raise();
        self.sleep(None).await
    }

    /// Sleeps. It may end for no reason.
    pub(crate) async fn sleep(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        let file = &self.file;
        let read = self.read.get_or_insert_with(|| {
            let file = Rc::clone(file);
            Box::pin(async move { file.read_at(0, 8).await.map(drop).map_err(io::Error::from) })
        });
        let mut timer = at_most.map(Timer::new);
        let mut signal = pin!(self.signal.raised());
        let read_ended = poll_fn(|context| {
            if let Poll::Ready(result) = read.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            let signalled = signal.as_mut().poll(context).is_ready();
            let late = timer.as_mut().is_some_and(|timer| pin!(timer).poll(context).is_ready());
            if signalled || late { Poll::Ready(None) } else { Poll::Pending }
        })
        .await;
        match read_ended {
            Some(result) => {
                self.read = None;
                result
            }
            None => Ok(()),
        }
    }
}
