//! The event loop: one turn does what is due, lets customers submit, sends, and waits for sockets or the next time.
//!
//! Everything that has gathered is handled before anything is sent, so that one read brings many frames and one write
//! takes many: the busier the daemon, the cheaper a message becomes here.

use std::io;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use wire::time::Instant;

use crate::carrier::Carriers;
use crate::customer::{CustomerError, Customers, Stage};
use crate::limits::{CUSTOMERS_MAX, SLEEP_MAX, SLEEP_MIN};
use crate::message::Nonce;
use crate::os::Timer;

const TIMER: Token = Token(0);
/// The first customer's token.
pub(crate) const CUSTOMERS: Token = Token(1);
/// The first carrier's token: behind all customers and the connection that polls for events.
pub(crate) const CARRIERS: Token = Token(2 + CUSTOMERS_MAX as usize);

/// Events that one look at the sockets may bring.
const EVENTS_MAX: usize = 1024;

/// Why a turn could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    #[error(transparent)]
    Customer(#[from] CustomerError),
    #[error("the event loop: {0}")]
    Io(#[from] io::Error),
}

/// All that takes part in a run on our side.
#[derive(Debug)]
pub(crate) struct World {
    waiter: Waiter,
    pub(crate) stage: Stage,
    pub(crate) customers: Option<Customers>,
    pub(crate) carriers: Carriers,
    due: Vec<Nonce>,
}

/// The sockets and the clock, as something to wait for.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) poll: Poll,
    events: Events,
    timer: Timer,
}

impl World {
    /// A world without customers.
    pub(crate) const fn new(waiter: Waiter, stage: Stage, carriers: Carriers) -> Self {
        Self { waiter, stage, customers: None, carriers, due: Vec::new() }
    }

    /// One turn. It returns after [`SLEEP_MAX`] at the latest.
    ///
    /// # Errors
    /// When a customer cannot go on, or the system fails.
    pub(crate) fn turn(&mut self) -> Result<(), TurnError> {
        let Self { waiter, stage, customers, carriers, due } = self;
        let now = stage.clock.now();
        stage.feed.advance(now, &mut stage.ledger);
        stage.later.fire(now, due);
        due.drain(..).for_each(|nonce| stage.feed.again(nonce));
        carriers.handle_timeout(now, stage);
        if let Some(customers) = customers {
            customers.connect(waiter.poll.registry(), now)?;
            customers.pump(now, stage);
            customers.flush(stage)?;
        }
        carriers.flush(stage);
        let times = [
            stage.feed.timeout(),
            stage.later.timeout(),
            carriers.timeout(),
            customers.as_ref().and_then(Customers::timeout),
        ];
        waiter.wait(stage.clock.now(), times.into_iter().flatten().min())?;
        for event in &waiter.events {
            match (event.token(), &mut *customers) {
                (TIMER, _) => waiter.timer.clear(),
                (token, Some(customers)) if customers.owns(token) => customers.handle_event(token, stage)?,
                (token, _) if carriers.owns(token) => {
                    carriers.handle_event(token, waiter.poll.registry(), stage)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Waiter {
    /// Nothing to wait for yet.
    ///
    /// # Errors
    /// When the system has no epoll or no timer left.
    pub(crate) fn new() -> io::Result<Self> {
        let (poll, timer) = (Poll::new()?, Timer::new()?);
        poll.registry().register(&mut SourceFd(&timer.fd()), TIMER, Interest::READABLE)?;
        Ok(Self { poll, events: Events::with_capacity(EVENTS_MAX), timer })
    }

    fn wait(&mut self, now: Instant, next: Option<Instant>) -> io::Result<()> {
        let pause = match next {
            None => SLEEP_MAX,
            Some(next) if next <= now => Duration::ZERO,
            Some(next) => next.since(now).clamp(SLEEP_MIN, SLEEP_MAX),
        };
        // The epoll itself sleeps whole milliseconds.
        if !pause.is_zero() && pause < SLEEP_MAX {
            self.timer.set(pause)?;
        }
        let asked = if pause.is_zero() { pause } else { SLEEP_MAX };
        match self.poll.poll(&mut self.events, Some(asked)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}
