//! One bind of a carrier: a socket, the MC's side of an SMPP session, and what the carrier decides about submissions.

use std::io;
use std::time::Duration;

use wire::smpp::{CloseReason, CommandStatus, Event, Options, RequestKind, Sequence, Session, Timers};
use wire::time::{Instant, WallMs};

use super::behaviour::{Decision, ReceiptPlan, ReceiptTime};
use super::receipt::{Receipt, carrier_id};
use super::{BindKey, Carrier, Later};
use crate::customer::Stage;
use crate::ledger::Verdict;
use crate::message::{Nonce, Recognised};
use crate::socket::{Filled, Socket};

/// One connection of the daemon to a carrier.
#[derive(Debug)]
pub(crate) struct Bind {
    pub(crate) key: BindKey,
    /// The carrier that it is a bind of.
    pub(crate) carrier: usize,
    socket: Socket,
    session: Session,
    /// The peer is so far behind that nothing more was read.
    stalled: bool,
}

/// An answer that is owed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    pub(crate) sequence: Sequence,
    pub(crate) status: CommandStatus,
    pub(crate) nonce: Nonce,
    /// Which sighting of the nonce it was, from 0.
    pub(crate) attempt: u8,
    /// What follows the answer.
    pub(crate) receipt: Option<ReceiptPlan>,
}

/// What an event asks for, once the session is no longer borrowed.
enum Act {
    Nothing,
    Accept,
    Answer { sequence: Sequence, seen: Recognised },
    Settled { token: u64, status: CommandStatus },
    NoData { sequence: Sequence },
    Closed { reason: CloseReason },
}

/// The name by which the carriers bind.
const SYSTEM_ID: &[u8] = b"loadgen";

/// Receipts that were not taken are sent again after so long.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

impl Bind {
    /// A connection that was just accepted.
    pub(crate) fn new(
        key: BindKey,
        carrier: usize,
        socket: Socket,
        window_pdus_max: u32,
        now: Instant,
    ) -> Self {
        // A carrier that unbinds slowly would look like a daemon that stops slowly.
        let second = Duration::from_secs(1);
        let timers = Timers { drain: second, unbind: second, ..Timers::default() };
        let options = Options { timers, window_pdus_max, ..Options::default() };
        Self { key, carrier, socket, session: Session::mc(SYSTEM_ID, &options, now), stalled: false }
    }

    /// Whether the daemon has bound.
    pub(crate) const fn is_bound(&self) -> bool {
        self.session.bound().is_some()
    }

    /// The session, for receipts.
    pub(crate) const fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Reads what there is and acts on it.
    ///
    /// # Errors
    /// When the connection is over, for whatever reason.
    pub(crate) fn read(&mut self, carrier: &mut Carrier, stage: &mut Stage) -> io::Result<()> {
        self.socket.unblock();
        loop {
            self.stalled = !self.session.wants_bytes();
            if self.stalled {
                return Ok(());
            }
            let filled = self.socket.fill()?;
            let now = stage.clock.now();
            let bytes = self.socket.received();
            let length = bytes.len();
            self.session.handle_bytes(now, bytes);
            self.socket.consume(length);
            self.poll(now, carrier, stage)?;
            match filled {
                Filled::All => return Ok(()),
                Filled::More => {}
                Filled::Closed => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }

    /// Sends what is pending; reads on if the peer had been too far behind.
    ///
    /// # Errors
    /// As [`Bind::read`].
    pub(crate) fn flush(&mut self, carrier: &mut Carrier, stage: &mut Stage) -> io::Result<()> {
        while !self.session.pending().is_empty() {
            let sent = self.socket.send(self.session.pending())?;
            if sent == 0 {
                return Ok(());
            }
            self.session.consume(sent);
        }
        if self.session.is_closed() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if self.stalled { self.read(carrier, stage) } else { Ok(()) }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// As [`Bind::read`].
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        carrier: &mut Carrier,
        stage: &mut Stage,
    ) -> io::Result<()> {
        if self.session.timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
            self.poll(now, carrier, stage)?;
        }
        Ok(())
    }

    /// Answers a submission, and sends or plans its receipt.
    pub(crate) fn answer(&mut self, owed: &Owed, now: Instant, carrier: &mut Carrier, stage: &mut Stage) {
        let Owed { sequence, status, nonce, attempt, receipt } = *owed;
        self.session.answer_submit(sequence, status, &carrier_id(nonce, attempt));
        let Some(ReceiptPlan { report, when: ReceiptTime::After(delay), copies }) = receipt else { return };
        for _ in 0..copies {
            let receipt = Receipt { nonce, attempt, report };
            if delay.is_zero() {
                self.report(receipt, now, carrier, stage);
            } else {
                carrier.later.push(now.plus(delay), Later::Receipt(receipt));
            }
        }
    }

    /// Sends a receipt, or leaves it to whichever bind has room first.
    pub(crate) fn report(
        &mut self,
        receipt: Receipt,
        now: Instant,
        carrier: &mut Carrier,
        stage: &mut Stage,
    ) {
        stage.ledger.reported(receipt.nonce, receipt.report);
        let wall = carrier.wall;
        // Those that wait go first.
        let refused = !carrier.receipts.is_empty()
            || carrier.writer.deliver(&mut self.session, receipt, &stage.shape, now, wall).is_err();
        if refused {
            carrier.receipts.push_back(receipt);
        } else {
            carrier.counts.receipts += 1;
        }
    }

    /// Once the connection is gone: receipts without an answer go to another bind.
    pub(crate) fn abandon(mut self, carrier: &mut Carrier) {
        for request in self.session.drain_in_flight() {
            if request.kind == RequestKind::Deliver {
                carrier.receipts.push_back(Receipt::of_token(request.token));
            }
        }
    }

    fn poll(&mut self, now: Instant, carrier: &mut Carrier, stage: &mut Stage) -> io::Result<()> {
        while let Some(event) = self.session.poll_event(now) {
            let act = match event {
                Event::BindRequested { .. } => Act::Accept,
                Event::SubmitRequest { sequence, sm } => {
                    let seen = stage.shape.recognise(sm.destination.octets, sm.text());
                    Act::Answer { sequence, seen }
                }
                Event::DeliverAnswer { token, status } => Act::Settled { token, status },
                Event::Timeout { token, kind: RequestKind::Deliver } => {
                    Act::Settled { token, status: CommandStatus::ESME_RX_T_APPN }
                }
                Event::DataRequest { sequence, .. } => Act::NoData { sequence },
                Event::Closed { reason } => Act::Closed { reason },
                _ => Act::Nothing,
            };
            match act {
                Act::Nothing => {}
                Act::Accept => self.session.accept_bind(),
                Act::Answer { sequence, seen } => self.take(sequence, seen, now, carrier, stage),
                Act::Settled { token, status } => settled(token, status, now, carrier),
                Act::NoData { sequence } => {
                    self.session.answer_data(sequence, CommandStatus::ESME_RINVCMDID, &[]);
                }
                Act::Closed { reason: CloseReason::Unbound | CloseReason::UnboundByPeer } => {}
                Act::Closed { reason } => {
                    carrier.counts.broken += 1;
                    return Err(io::Error::other(reason));
                }
            }
        }
        Ok(())
    }

    /// A submission has come.
    fn take(
        &mut self,
        sequence: Sequence,
        seen: Recognised,
        now: Instant,
        carrier: &mut Carrier,
        stage: &mut Stage,
    ) {
        carrier.counts.submissions += 1;
        let nonce = match seen {
            Recognised::Ours(nonce) if stage.ledger.holds(nonce) => nonce,
            Recognised::Mangled(nonce) if stage.ledger.holds(nonce) => {
                carrier.counts.mangled += 1;
                nonce
            }
            _ => {
                carrier.counts.foreign += 1;
                self.session.answer_submit(sequence, CommandStatus::ESME_ROK, b"foreign");
                return;
            }
        };
        let Decision { verdict, status, answer_after, receipt } = carrier.conduct.decide(now);
        let attempt = stage.ledger.seen(nonce, verdict, now);
        carrier.counts.refused += u64::from(!status.is_ok());
        if verdict == Verdict::Silence {
            carrier.counts.silent += 1;
            return;
        }
        if let Some(ReceiptPlan { report, when: ReceiptTime::Early, copies }) = receipt {
            (0..copies).for_each(|_| self.report(Receipt { nonce, attempt, report }, now, carrier, stage));
        }
        let owed = Owed { sequence, status, nonce, attempt, receipt };
        if answer_after.is_zero() {
            self.answer(&owed, now, carrier, stage);
        } else {
            carrier.later.push(now.plus(answer_after), Later::Answer(self.key, owed));
        }
    }
}

/// The daemon answered a receipt; if it did not take it, it is sent again.
fn settled(token: u64, status: CommandStatus, now: Instant, carrier: &mut Carrier) {
    if status.is_ok() {
        carrier.counts.receipts_taken += 1;
    } else {
        carrier.counts.receipts_refused += 1;
        carrier.later.push(now.plus(AGAIN_AFTER), Later::Receipt(Receipt::of_token(token)));
    }
}

/// Wall time for what receipts print: minutes, so that reading it once a turn is enough.
pub(crate) fn wall() -> WallMs {
    crate::clock::Clock::wall()
}
