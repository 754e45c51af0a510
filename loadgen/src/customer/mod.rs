//! The customers: connections that submit messages and are told what became of them.
//!
//! ```text
//!   Feed ──▶ Customers ──▶ Session (native · HTTP · events · SMPP) ──▶ Socket
//!                ◀── answers, fates ── into the ledger ◀──
//! ```
//!
//! Here is what all protocols share: who may take how many messages, when sockets are read and written, and what
//! happens when a connection ends. If an outage is allowed, what was submitted and not answered is submitted again
//! with the same key on a new connection; else a connection that ends, ends the run.

mod events;
mod http;
mod native;
mod response;
mod smpp;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Registry, Token};
use wire::time::Instant;

use crate::clock::Clock;
use crate::feed::Feed;
use crate::ledger::Ledger;
use crate::limits::{OUTPUT_BYTES_HIGH, RECONNECT_PAUSE};
use crate::message::{Nonce, Run, Shape};
use crate::socket::{Filled, Socket};
use crate::wheel::Wheel;

/// What customers and carriers share of a run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) clock: Clock,
    pub(crate) feed: Feed,
    pub(crate) ledger: Ledger,
    pub(crate) shape: Shape,
    /// Submissions that are to be repeated later.
    pub(crate) later: Wheel<Nonce>,
}

/// Who customers are, and where they go.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) account: String,
    pub(crate) key: String,
}

/// How customers behave.
#[derive(Clone, Debug)]
pub(crate) enum Habit {
    /// Native connections with a window of submissions each.
    Native {
        /// Unanswered submissions of a connection, if the daemon grants as many.
        window: usize,
    },
    /// HTTP connections.
    Http {
        /// Unanswered requests of a connection.
        pipeline: usize,
        /// Messages of a request.
        batch: usize,
    },
    /// SMPP binds with a window each.
    Smpp {
        /// Unanswered submissions of a bind.
        window: usize,
    },
}

/// Why a customer could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CustomerError {
    #[error("customer {customer}: {source}")]
    Io { customer: u16, source: io::Error },
    #[error("customer {customer}: the daemon closed the connection")]
    Closed { customer: u16 },
    #[error("customer {customer}: the daemon sent what is no native frame: {source}")]
    Frame { customer: u16, source: wire::native::FrameError },
    #[error("customer {customer}: the daemon rejected the connection ({code}): {reason}")]
    Rejected { customer: u16, code: u16, reason: String },
    #[error("customer {customer}: {what}")]
    Protocol { customer: u16, what: String },
}

#[derive(Debug)]
enum Session {
    Native(native::Session),
    Http(http::Session),
    Events(events::Session),
    Smpp(Box<smpp::Session>),
}

#[derive(Debug)]
struct Customer {
    socket: Option<Socket>,
    session: Session,
    retry_at: Instant,
}

/// All customers of a run.
#[derive(Debug)]
pub(crate) struct Customers {
    customers: Vec<Customer>,
    /// Of each node; connections are dealt to them.
    addresses: Vec<SocketAddr>,
    first_token: usize,
    /// Who is asked first whether it has room.
    turn: usize,
    /// How long the daemon may be away; zero: not at all.
    outage: Duration,
    gone_since: Option<Instant>,
}

impl Customers {
    /// So many customers of a habit; nobody is connected yet. Fates come over the first native connection, or over a
    /// connection of their own.
    pub(crate) fn new(
        count: u16,
        habit: &Habit,
        credentials: &Credentials,
        addresses: Vec<SocketAddr>,
        first: Token,
    ) -> Self {
        let address_of = |index: u16| addresses[usize::from(index) % addresses.len()];
        let session = |index: u16| match *habit {
            Habit::Native { window } => {
                Session::Native(native::Session::new(credentials, window, index == 0))
            }
            Habit::Http { pipeline, batch } => {
                Session::Http(http::Session::new(credentials, address_of(index), pipeline, batch))
            }
            Habit::Smpp { window } => Session::Smpp(Box::new(smpp::Session::new(credentials, window))),
        };
        let mut sessions: Vec<_> = (0..count).map(session).collect();
        if matches!(habit, Habit::Http { .. }) {
            sessions.push(Session::Events(events::Session::new(credentials, address_of(count))));
        }
        let customers = sessions
            .into_iter()
            .map(|session| Customer { socket: None, session, retry_at: Instant::default() })
            .collect();
        Self { customers, addresses, first_token: first.0, turn: 0, outage: Duration::ZERO, gone_since: None }
    }

    /// From now on the daemon may be away for so long.
    pub(crate) const fn allow_outage(&mut self, outage: Duration) {
        self.outage = outage;
    }

    /// The daemon has moved.
    pub(crate) fn move_to(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses;
    }

    /// Connects whoever is not connected and may try.
    ///
    /// # Errors
    /// When the daemon cannot be reached, and was not allowed to be away for so long.
    pub(crate) fn connect(&mut self, registry: &Registry, now: Instant) -> Result<(), CustomerError> {
        for (index, customer) in (0_u16..).zip(&mut self.customers) {
            if customer.socket.is_some() || customer.retry_at > now {
                continue;
            }
            let token = Token(self.first_token + usize::from(index));
            let address = self.addresses[usize::from(index) % self.addresses.len()];
            match Socket::connect(address, registry, token) {
                Ok(mut socket) => {
                    customer.session.greet(socket.output());
                    customer.socket = Some(socket);
                }
                Err(source) => {
                    customer.retry_at = now.plus(RECONNECT_PAUSE);
                    let since = *self.gone_since.get_or_insert(now);
                    if now.since(since) >= self.outage {
                        return Err(CustomerError::Io { customer: index, source });
                    }
                    return Ok(());
                }
            }
        }
        self.gone_since = None;
        Ok(())
    }

    /// Whether this token is one of theirs.
    pub(crate) const fn owns(&self, token: Token) -> bool {
        token.0 >= self.first_token && token.0 < self.first_token + self.customers.len()
    }

    /// Whether every customer is connected and welcome.
    pub(crate) fn ready(&self) -> bool {
        self.customers.iter().all(|customer| customer.socket.is_some() && customer.session.ready())
    }

    /// A socket is readable or writable again.
    ///
    /// # Errors
    /// When its customer cannot go on, and the daemon may not be away.
    pub(crate) fn handle_event(&mut self, token: Token, stage: &mut Stage) -> Result<(), CustomerError> {
        let index = token.0 - self.first_token;
        let customer = &mut self.customers[index];
        let number = u16::try_from(index).expect("customers are counted by a u16");
        let Some(socket) = &mut customer.socket else { return Ok(()) };
        socket.unblock();
        match read(number, socket, &mut customer.session, stage) {
            Ok(()) => Ok(()),
            Err(error) => self.ended(number, error, stage),
        }
    }

    /// Lets customers take what is due, as far as they have room.
    pub(crate) fn pump(&mut self, now: Instant, stage: &mut Stage) {
        let count = self.customers.len();
        for place in 0..count {
            let waiting = stage.feed.waiting();
            if waiting == 0 {
                break;
            }
            let index = (self.turn + place) % count;
            let customer = &mut self.customers[index];
            let Some(socket) = customer.socket.as_mut().filter(|socket| socket.unsent() < OUTPUT_BYTES_HIGH)
            else {
                continue;
            };
            let number = u16::try_from(index).expect("customers are counted by a u16");
            let mut room = customer.session.room().min(waiting.div_ceil(count - place));
            while let Some(run) =
                stage.feed.take(room.min(customer.session.batch_max()), now, &mut stage.ledger)
            {
                room -= run.len();
                stage.ledger.submitted(run.clone(), number);
                customer.session.submit(run, now, &mut stage.shape, socket.output());
            }
        }
        self.turn = (self.turn + 1) % count;
    }

    /// Hands what was written to the kernel.
    ///
    /// # Errors
    /// When a connection broke, and the daemon may not be away.
    pub(crate) fn flush(&mut self, stage: &mut Stage) -> Result<(), CustomerError> {
        for index in 0..self.customers.len() {
            let Some(socket) = &mut self.customers[index].socket else { continue };
            if socket.unsent() > 0
                && let Err(source) = socket.flush()
            {
                let customer = u16::try_from(index).expect("customers are counted by a u16");
                self.ended(customer, CustomerError::Io { customer, source }, stage)?;
            }
        }
        Ok(())
    }

    /// When somebody who is not connected tries again.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.customers
            .iter()
            .filter(|customer| customer.socket.is_none())
            .map(|customer| customer.retry_at)
            .min()
    }

    fn ended(&mut self, number: u16, error: CustomerError, stage: &mut Stage) -> Result<(), CustomerError> {
        let now = stage.clock.now();
        let since = *self.gone_since.get_or_insert(now);
        if now.since(since) >= self.outage {
            return Err(error);
        }
        let customer = &mut self.customers[usize::from(number)];
        customer.socket = None;
        customer.retry_at = now.plus(RECONNECT_PAUSE);
        stage.ledger.abandon(number).into_iter().for_each(|nonce| stage.feed.again(nonce));
        Ok(())
    }
}

/// Reads until there is no more, and lets the session take it.
fn read(
    customer: u16,
    socket: &mut Socket,
    session: &mut Session,
    stage: &mut Stage,
) -> Result<(), CustomerError> {
    loop {
        let filled = socket.fill().map_err(|source| CustomerError::Io { customer, source })?;
        let now = stage.clock.now();
        let used = session.handle(customer, socket.received(), now, stage)?;
        socket.consume(used);
        session.respond(socket.output());
        match filled {
            Filled::All => return Ok(()),
            Filled::More => {}
            Filled::Closed => return Err(CustomerError::Closed { customer }),
        }
    }
}

/// One choice for each protocol; what they do is in their files.
impl Session {
    fn greet(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Native(session) => session.greet(out),
            Self::Http(session) => session.greet(),
            Self::Events(session) => session.greet(out),
            Self::Smpp(session) => session.greet(out),
        }
    }

    fn handle(
        &mut self,
        customer: u16,
        bytes: &[u8],
        now: Instant,
        stage: &mut Stage,
    ) -> Result<usize, CustomerError> {
        match self {
            Self::Native(session) => session.handle(customer, bytes, now, stage),
            Self::Http(session) => session.handle(customer, bytes, now, stage),
            Self::Events(session) => session.handle(customer, bytes, now, stage),
            Self::Smpp(session) => session.handle(customer, bytes, now, stage),
        }
    }

    fn respond(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Native(session) => session.respond(out),
            Self::Http(_) => {}
            Self::Events(session) => session.respond(out),
            Self::Smpp(session) => session.respond(out),
        }
    }

    fn submit(&mut self, run: Run, now: Instant, shape: &mut Shape, out: &mut Vec<u8>) {
        match self {
            Self::Native(session) => session.submit(run, shape, out),
            Self::Http(session) => session.submit(run, shape, out),
            Self::Events(_) => {}
            Self::Smpp(session) => session.submit(run, now, shape, out),
        }
    }

    fn ready(&self) -> bool {
        match self {
            Self::Native(session) => session.ready(),
            Self::Http(_) | Self::Events(_) => true,
            Self::Smpp(session) => session.ready(),
        }
    }

    fn room(&self) -> usize {
        match self {
            Self::Native(session) => session.room(),
            Self::Http(session) => session.room(),
            Self::Events(_) => 0,
            Self::Smpp(session) => session.room(),
        }
    }

    const fn batch_max(&self) -> usize {
        match self {
            Self::Native(_) => wire::native::ITEMS_MAX,
            Self::Http(session) => session.batch_max(),
            Self::Events(_) => 0,
            // A window's worth: each submission is a PDU of its own.
            Self::Smpp(_) => usize::MAX,
        }
    }
}

#[cfg(test)]
mod testing {
    //! What the tests of the protocols share.

    use wire::id::{MessageId, Partition};
    use wire::time::{Instant, WallMs};

    use super::Stage;
    use crate::clock::Clock;
    use crate::feed::{Arrivals, Feed};
    use crate::ledger::Ledger;
    use crate::message::Shape;
    use crate::random::Random;
    use crate::wheel::Wheel;

    /// A stage with a ledger of so many intents.
    pub(super) fn stage(intents: u32) -> Stage {
        Stage {
            clock: Clock::start(),
            feed: Feed::new(0..0, Arrivals::Closed { open_max: 0 }, Instant(0)),
            ledger: Ledger::new(intents),
            shape: Shape::new(None, 40, 1000, &mut Random::of_seed(1, 0)),
            later: Wheel::new(),
        }
    }

    /// Two message ids.
    pub(super) fn ids() -> [MessageId; 2] {
        [1, 2].map(|counter| MessageId::mint(WallMs(1_795_402_975_120), Partition(3), 1, counter))
    }
}
