//! The carriers: SMPP endpoints that the daemon binds to, which count what they see.
//!
//! ```text
//!   listener ──▶ Bind (socket + session) ──▶ Conduct decides ──▶ answer · receipt
//!                    └── nonce into the ledger          └── now, or later by the wheel
//! ```
//!
//! A carrier is its listener and its binds. Answers belong to the bind on which the submission came; receipts go to any
//! bind of the carrier that has room.

pub(crate) mod behaviour;
mod bind;
mod receipt;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use wire::time::{Instant, WallMs};

use crate::customer::Stage;
use crate::random::Random;
use crate::socket::Socket;
use crate::wheel::Wheel;
use behaviour::{Behaviour, Conduct};
use bind::{Bind, Owed};
use receipt::{Receipt, ReceiptWriter};

/// A bind's place, and which of those that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BindKey {
    place: usize,
    generation: u64,
}

/// What a carrier does later.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Later {
    Answer(BindKey, Owed),
    Receipt(Receipt),
}

/// What a carrier counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CarrierCounts {
    /// `submit_sm` that came.
    pub(crate) submissions: u64,
    /// Of these, the ones that were answered with an error.
    pub(crate) refused: u64,
    /// Of these, the ones that were never answered.
    pub(crate) silent: u64,
    /// Of these, the ones whose text or recipient is not what the customer wrote.
    pub(crate) mangled: u64,
    /// Of these, the ones that are not of this run.
    pub(crate) foreign: u64,
    /// Receipts that were sent.
    pub(crate) receipts: u64,
    /// Of these, the ones that the daemon took.
    pub(crate) receipts_taken: u64,
    /// Of these, the ones that the daemon asked for again, or did not answer.
    pub(crate) receipts_refused: u64,
    /// Binds that ended by a fault of the protocol.
    pub(crate) broken: u64,
}

/// One carrier, shared by its binds.
#[derive(Debug)]
pub(crate) struct Carrier {
    listener: TcpListener,
    conduct: Conduct,
    later: Wheel<Later>,
    /// Due, and not yet given to a bind.
    receipts: VecDeque<Receipt>,
    writer: ReceiptWriter,
    counts: CarrierCounts,
    wall: WallMs,
}

/// All carriers of a run.
#[derive(Debug)]
pub(crate) struct Carriers {
    carriers: Vec<Carrier>,
    binds: Vec<Option<Bind>>,
    first_token: usize,
    window_pdus_max: u32,
    generation: u64,
    due: Vec<Later>,
    next_look: Instant,
}

/// How often sessions are asked for their timers, and the wall clock is read.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Carriers {
    /// Carriers that listen at these addresses (port 0: any).
    ///
    /// # Errors
    /// When one of them cannot listen.
    pub(crate) fn listen(
        addresses: &[SocketAddr],
        behaviour: Behaviour,
        window_pdus_max: u32,
        seed: u64,
        registry: &Registry,
        first: Token,
    ) -> io::Result<Self> {
        let mut carriers = Vec::new();
        for (place, address) in (0_u64..).zip(addresses) {
            let mut listener = TcpListener::bind(*address)?;
            registry.register(&mut listener, Token(first.0 + carriers.len()), Interest::READABLE)?;
            carriers.push(Carrier {
                listener,
                conduct: Conduct::new(behaviour, Random::of_seed(seed, 100 + place)),
                later: Wheel::new(),
                receipts: VecDeque::new(),
                writer: ReceiptWriter::default(),
                counts: CarrierCounts::default(),
                wall: bind::wall(),
            });
        }
        Ok(Self {
            carriers,
            binds: Vec::new(),
            first_token: first.0,
            window_pdus_max,
            generation: 0,
            due: Vec::new(),
            next_look: Instant::default(),
        })
    }

    /// Where they listen.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.carriers.iter().map(|carrier| carrier.listener.local_addr()).collect()
    }

    /// How many carriers there are.
    pub(crate) const fn count(&self) -> usize {
        self.carriers.len()
    }

    /// How many connections are bound.
    pub(crate) fn bound(&self) -> usize {
        self.binds.iter().flatten().filter(|bind| bind.is_bound()).count()
    }

    /// What all of them counted.
    pub(crate) fn counts(&self) -> CarrierCounts {
        let mut sum = CarrierCounts::default();
        for Carrier { counts, .. } in &self.carriers {
            sum.submissions += counts.submissions;
            sum.refused += counts.refused;
            sum.silent += counts.silent;
            sum.mangled += counts.mangled;
            sum.foreign += counts.foreign;
            sum.receipts += counts.receipts;
            sum.receipts_taken += counts.receipts_taken;
            sum.receipts_refused += counts.receipts_refused;
            sum.broken += counts.broken;
        }
        sum
    }

    /// Whether this token is one of theirs.
    pub(crate) const fn owns(&self, token: Token) -> bool {
        token.0 >= self.first_token
    }

    /// A listener or a bind has something to read, or can write again.
    ///
    /// # Errors
    /// When a connection cannot be accepted; a bind that breaks is no error: the daemon comes back.
    pub(crate) fn handle_event(
        &mut self,
        token: Token,
        registry: &Registry,
        stage: &mut Stage,
    ) -> io::Result<()> {
        let place = token.0 - self.first_token;
        if place < self.carriers.len() {
            return self.accept(place, registry, stage);
        }
        self.with_bind(place - self.carriers.len(), |bind, carrier| bind.read(carrier, stage));
        Ok(())
    }

    /// Does what is due: answers, receipts, timers.
    pub(crate) fn handle_timeout(&mut self, now: Instant, stage: &mut Stage) {
        if now >= self.next_look {
            self.next_look = now.plus(LOOK_EVERY);
            let wall = bind::wall();
            self.carriers.iter_mut().for_each(|carrier| carrier.wall = wall);
            for place in 0..self.binds.len() {
                self.with_bind(place, |bind, carrier| bind.handle_timeout(now, carrier, stage));
            }
        }
        for index in 0..self.carriers.len() {
            self.fire(index, now, stage);
            self.hand_out(index, now, stage);
        }
    }

    /// Sends what is pending on every bind.
    pub(crate) fn flush(&mut self, stage: &mut Stage) {
        for place in 0..self.binds.len() {
            self.with_bind(place, |bind, carrier| bind.flush(carrier, stage));
        }
    }

    /// When something is due.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.carriers.iter().filter_map(|carrier| carrier.later.timeout()).min()
    }

    fn accept(&mut self, index: usize, registry: &Registry, stage: &Stage) -> io::Result<()> {
        loop {
            let stream = match self.carriers[index].listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let free = self.binds.iter().position(Option::is_none);
            let place = free.unwrap_or_else(|| {
                self.binds.push(None);
                self.binds.len() - 1
            });
            let token = Token(self.first_token + self.carriers.len() + place);
            let socket = Socket::register(stream, registry, token)?;
            self.generation += 1;
            let key = BindKey { place, generation: self.generation };
            self.binds[place] = Some(Bind::new(key, index, socket, self.window_pdus_max, stage.clock.now()));
        }
    }

    fn fire(&mut self, index: usize, now: Instant, stage: &mut Stage) {
        self.carriers[index].later.fire(now, &mut self.due);
        for later in self.due.drain(..) {
            let carrier = &mut self.carriers[index];
            match later {
                Later::Receipt(receipt) => {
                    stage.ledger.reported(receipt.nonce, receipt.report);
                    carrier.receipts.push_back(receipt);
                }
                Later::Answer(key, owed) => {
                    let bind = self.binds[key.place].as_mut().filter(|bind| bind.key == key);
                    match bind {
                        Some(bind) => bind.answer(&owed, now, carrier, stage),
                        None => stage.ledger.cut_off(owed.nonce),
                    }
                }
            }
        }
    }

    /// Gives receipts that wait to binds that have room.
    fn hand_out(&mut self, index: usize, now: Instant, stage: &Stage) {
        let Carrier { receipts, writer, counts, wall, .. } = &mut self.carriers[index];
        for bind in self.binds.iter_mut().flatten().filter(|bind| bind.carrier == index) {
            while let Some(receipt) = receipts.front() {
                if writer.deliver(bind.session(), *receipt, &stage.shape, now, *wall).is_err() {
                    break;
                }
                counts.receipts += 1;
                receipts.pop_front();
            }
        }
    }

    /// Lets a bind do something; if that is its end, its receipts go to another.
    fn with_bind(&mut self, place: usize, act: impl FnOnce(&mut Bind, &mut Carrier) -> io::Result<()>) {
        let Some(bind) = self.binds.get_mut(place).and_then(Option::as_mut) else { return };
        let carrier = &mut self.carriers[bind.carrier];
        if act(bind, carrier).is_err()
            && let Some(bind) = self.binds[place].take()
        {
            bind.abandon(carrier);
        }
    }
}
