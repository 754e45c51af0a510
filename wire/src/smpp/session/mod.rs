//! One SMPP session as a pure state machine, in both roles (SMPP 3.4 §2.2).
//!
//! ```text
//! bytes ──▶ handle_bytes      poll_event ──▶ what happened (views into the input)
//!           handle_timeout    submit · deliver · answer_* · unbind
//!           timeout           pending ──▶ bytes for the socket, consume(n) when the kernel has them
//!
//! Opening ──bind──▶ Deciding (MC) ──▶ Bound ──▶ Draining ──▶ Unbinding ──▶ Closed
//!                                       └──▶ PeerUnbinding ──────────────────┘
//! ```
//!
//! It owns what a carrier's dialect cannot change: sequence numbers, the matching of responses by an opaque token, the
//! protocol's timers, `enquire_link`, `unbind`, `generic_nack`. It never answers `submit_sm` or `deliver_sm` by itself:
//! those answers are promises, and only the caller knows when they can be kept. It has no rate and no queue.
//!
//! Responses never wait behind requests: requests stop at a full window or [`limits::REQUEST_OUTPUT_BYTES_MAX`] of
//! output, responses go on until [`limits::OUTPUT_BYTES_MAX`], at which nothing more is read.

mod answers;
mod buffers;
mod event;
mod inbound;
#[cfg(test)]
mod random;
mod table;
mod tap;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_rare;
mod timers;

use core::time::Duration;

use crate::time::Instant;

use super::bind::{Bind, BindKind, INTERFACE_VERSION_3_4, Outbind, knows_tlvs};
use super::command::{CommandId, Sequence};
use super::limits;
use super::query::{CancelSm, DataSm, QuerySm};
use super::sm::Sm;
use super::tally::Statuses;
use super::tlv::Tlvs;
use buffers::{Input, Output};
use table::{Control, Request, Table};

pub use tap::Tapped;

pub use event::{CloseReason, Counters, Event, Handed, InFlight, Options, Refused, RequestKind, Timers};

/// Which end of the session we are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// A customer, towards a carrier. What it asks, or will ask, to be bound for.
    Esme { kind: BindKind, interface_version: u8 },
    /// A carrier, towards a customer.
    Mc { system_id: Box<[u8]> },
}

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// ESME: `bind` is queued. MC: none has come.
    Opening {
        deadline: Instant,
    },
    /// MC: the caller decides about a bind.
    Deciding {
        kind: BindKind,
        sequence: Sequence,
        interface_version: u8,
    },
    Bound {
        kind: BindKind,
    },
    /// We shall unbind when the window is empty, or at the deadline.
    Draining {
        kind: BindKind,
        deadline: Instant,
    },
    /// `unbind` is queued.
    Unbinding {
        kind: BindKind,
        deadline: Instant,
    },
    /// The peer's `unbind` is answered when nothing is owed, or at the deadline.
    PeerUnbinding {
        sequence: Sequence,
        deadline: Instant,
    },
    Closed,
}

/// One session over one connection. Lives on the shard that owns the connection.
#[derive(Debug)]
pub struct Session {
    role: Role,
    state: State,
    /// The version that both ends know, once bound: what may be sent depends on it.
    version: u8,
    timers: Timers,
    pdu_bytes_max: usize,
    input: Input,
    output: Output,
    table: Table,
    /// Requests of the peer that the caller has not answered.
    owed: u32,
    last_inbound: Instant,
    /// What was read last, and when.
    last_pdu: Option<(CommandId, Instant)>,
    /// What requests of the peer were refused with.
    refused_with: Statuses,
    /// When the `enquire_link` in flight was queued.
    enquired_at: Option<Instant>,
    /// Requests due until then are told as timed out.
    expire_until: Instant,
    /// Why it ended, until it is told.
    closed: Option<CloseReason>,
    /// MC: what answers to customers of 5.0 tell.
    congestion_state: Option<u8>,
    /// From queueing to the response, of the response that was told last.
    answer_took: Duration,
    counters: Counters,
}

impl Session {
    /// An ESME's session over a connection that has just been made: `bind` is pending at once.
    #[must_use]
    pub fn esme(bind: &Bind<'_>, options: &Options, now: Instant) -> Self {
        let mut session = Self::esme_called(options, now);
        session.bind(bind);
        session
    }

    /// An ESME's session over a connection that the MC has made (§4.1.7): its `outbind` is awaited, and answered with
    /// [`Session::bind`], or with [`Session::unbind`] by who does not know it.
    #[must_use]
    pub fn esme_called(options: &Options, now: Instant) -> Self {
        let role = Role::Esme { kind: BindKind::Receiver, interface_version: INTERFACE_VERSION_3_4 };
        Self::new(role, options, now)
    }

    /// ESME: asks to be bound, once, after an `outbind`.
    pub fn bind(&mut self, bind: &Bind<'_>) {
        let Role::Esme { kind, interface_version } = &mut self.role else { return };
        let is_first = matches!(self.state, State::Opening { .. });
        if !is_first || self.table.is_open_control(Control::BindOrUnbind) {
            return;
        }
        (*kind, *interface_version) = (bind.kind, bind.interface_version);
        let sequence = self.table.open_control(Control::BindOrUnbind);
        bind.encode(sequence, self.output.writer());
        self.counters.pdus_out += 1;
    }

    /// MC: asks the ESME at the other end of a connection that we have made to bind as receiver (§4.1.7). It has no
    /// response; the `bind_receiver` comes, or [`Timers::session_init`] ends.
    pub fn outbind(&mut self, outbind: &Outbind<'_>) {
        if matches!((&self.role, self.state), (Role::Mc { .. }, State::Opening { .. })) {
            let sequence = self.table.draw_unanswered();
            outbind.encode(sequence, self.output.writer());
            self.counters.pdus_out += 1;
        }
    }

    /// An MC's session over a connection that has just been accepted. `system_id` is our name.
    #[must_use]
    pub fn mc(system_id: &[u8], options: &Options, now: Instant) -> Self {
        Self::new(Role::Mc { system_id: system_id.into() }, options, now)
    }

    fn new(role: Role, options: &Options, now: Instant) -> Self {
        Self {
            role,
            state: State::Opening { deadline: now.plus(options.timers.session_init) },
            version: INTERFACE_VERSION_3_4,
            timers: options.timers,
            pdu_bytes_max: options.pdu_bytes_max,
            input: Input::default(),
            output: Output::default(),
            table: Table::new(options.window_pdus_max, options.first_sequence),
            owed: 0,
            last_inbound: now,
            last_pdu: None,
            refused_with: Statuses::default(),
            enquired_at: None,
            expire_until: Instant(0),
            closed: None,
            congestion_state: None,
            answer_took: Duration::ZERO,
            counters: Counters::default(),
        }
    }

    /// Takes what the socket gave. Call it while [`Session::wants_bytes`], then [`Session::poll_event`] until `None`.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        self.last_inbound = self.last_inbound.max(now);
        if !self.input.push(bytes) {
            self.close(CloseReason::InputFull);
        }
    }

    /// Whether the socket should be read: not while the peer is ahead of us.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.state != State::Closed && self.input.bytes_waiting() < limits::INPUT_BYTES_HIGH
    }

    /// The bytes to be sent, from the first that [`Session::consume`] has not seen.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.output.pending()
    }

    /// The first `bytes` of [`Session::pending`] are the kernel's now.
    pub fn consume(&mut self, bytes: usize) {
        self.output.consume(bytes);
    }

    /// All bytes ever queued: the offset at which the next PDU will start.
    #[must_use]
    pub fn stream_end(&self) -> u64 {
        self.output.end()
    }

    /// All bytes ever consumed.
    #[must_use]
    pub fn stream_consumed(&self) -> u64 {
        self.output.consumed()
    }

    /// How many requests can be queued now.
    #[must_use]
    pub fn window_room(&self) -> u32 {
        self.table.room()
    }

    /// Requests in flight.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.table.open_count()
    }

    /// What the session is bound for; `None` before the bind and after the end. Also while it drains.
    #[must_use]
    pub const fn bound(&self) -> Option<BindKind> {
        match self.state {
            State::Bound { kind } | State::Draining { kind, .. } | State::Unbinding { kind, .. } => {
                Some(kind)
            }
            State::Opening { .. } | State::Deciding { .. } | State::PeerUnbinding { .. } | State::Closed => {
                None
            }
        }
    }

    /// Whether requests can be queued: bound, and not on the way out.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Bound { .. })
    }

    /// Whether the session has ended. Bytes may still be pending.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// How long the response took that was told last, in time: from queueing its request to reading it.
    #[must_use]
    pub const fn answer_took(&self) -> Duration {
        self.answer_took
    }

    /// The `interface_version` that both ends know: 0x34 before the bind.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// The PDU of the peer that was read last, and when; `None` before the first.
    #[must_use]
    pub const fn last_pdu(&self) -> Option<(CommandId, Instant)> {
        self.last_pdu
    }

    /// What the peer's `submit_sm`, `deliver_sm` and `data_sm` were refused with.
    #[must_use]
    pub const fn refused_with(&self) -> &Statuses {
        &self.refused_with
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// ESME: queues a `submit_sm`. Returns the stream offset where it ends.
    ///
    /// # Errors
    /// [`Refused`]; nothing is queued.
    #[inline]
    pub fn submit(&mut self, now: Instant, token: u64, sm: &Sm<'_>) -> Result<u64, Refused> {
        let sequence = self.draw(RequestKind::Submit)?;
        let mut plain = Sm::default();
        let sm = self.fit(sm, &mut plain)?;
        sm.encode(CommandId::SUBMIT_SM, sequence, self.output.writer())?;
        Ok(self.open(now, token, RequestKind::Submit, sequence))
    }

    /// MC: queues a `deliver_sm`. Returns the stream offset where it ends.
    ///
    /// # Errors
    /// [`Refused`]; nothing is queued.
    #[inline]
    pub fn deliver(&mut self, now: Instant, token: u64, sm: &Sm<'_>) -> Result<u64, Refused> {
        let sequence = self.draw(RequestKind::Deliver)?;
        let mut plain = Sm::default();
        let sm = self.fit(sm, &mut plain)?;
        sm.encode(CommandId::DELIVER_SM, sequence, self.output.writer())?;
        Ok(self.open(now, token, RequestKind::Deliver, sequence))
    }

    /// Either role: queues a `data_sm`. Returns the stream offset where it ends.
    ///
    /// # Errors
    /// [`Refused`]; nothing is queued.
    pub fn data(&mut self, now: Instant, token: u64, data: &DataSm<'_>) -> Result<u64, Refused> {
        if !knows_tlvs(self.version) {
            return Err(Refused::NeedsTlvs);
        }
        let sequence = self.draw(RequestKind::Data)?;
        data.encode(sequence, self.output.writer());
        Ok(self.open(now, token, RequestKind::Data, sequence))
    }

    /// ESME: queues a `query_sm`. Returns the stream offset where it ends.
    ///
    /// # Errors
    /// [`Refused`]; nothing is queued.
    pub fn query(&mut self, now: Instant, token: u64, query: &QuerySm<'_>) -> Result<u64, Refused> {
        let sequence = self.draw(RequestKind::Query)?;
        query.encode(sequence, self.output.writer());
        Ok(self.open(now, token, RequestKind::Query, sequence))
    }

    /// ESME: queues a `cancel_sm`. Returns the stream offset where it ends.
    ///
    /// # Errors
    /// [`Refused`]; nothing is queued.
    pub fn cancel(&mut self, now: Instant, token: u64, cancel: &CancelSm<'_>) -> Result<u64, Refused> {
        let sequence = self.draw(RequestKind::Cancel)?;
        cancel.encode(sequence, self.output.writer());
        Ok(self.open(now, token, RequestKind::Cancel, sequence))
    }

    /// Stops requesting; when the window is empty, or after [`Timers::drain`], `unbind` goes out. The end comes as
    /// [`Event::Closed`].
    pub fn unbind(&mut self, now: Instant) {
        match self.state {
            State::Bound { kind } => {
                self.state = State::Draining { kind, deadline: now.plus(self.timers.drain) };
                self.advance_drain(now);
            }
            State::Opening { .. } | State::Deciding { .. } => self.close(CloseReason::Unbound),
            State::Draining { .. }
            | State::Unbinding { .. }
            | State::PeerUnbinding { .. }
            | State::Closed => {}
        }
    }

    /// Once the connection is gone: every request in flight, in the order of sending. The session is closed. Poll what
    /// has been received first: answers may be among it.
    pub fn drain_in_flight(&mut self) -> impl Iterator<Item = InFlight> + '_ {
        self.state = State::Closed;
        let consumed = self.output.consumed();
        core::iter::from_fn(move || {
            let Request { token, kind, end, .. } = self.table.take_first()?;
            let delivery = if end <= consumed { Handed::Written } else { Handed::NotWritten };
            Some(InFlight { token, kind, delivery })
        })
    }

    /// The number for a new request of this kind, if there may be one.
    #[inline]
    fn draw(&mut self, kind: RequestKind) -> Result<Sequence, Refused> {
        let State::Bound { kind: bound } = self.state else { return Err(Refused::NotBound) };
        let allowed = match (&self.role, kind) {
            (Role::Esme { .. }, RequestKind::Deliver) => false,
            (Role::Esme { .. }, _) => bound.submits(),
            (Role::Mc { .. }, RequestKind::Deliver | RequestKind::Data) => bound.delivers(),
            (Role::Mc { .. }, _) => false,
        };
        if !allowed {
            return Err(Refused::NotBound);
        }
        if self.table.room() == 0 {
            return Err(Refused::WindowFull);
        }
        if self.output.bytes_waiting() >= limits::REQUEST_OUTPUT_BYTES_MAX {
            return Err(Refused::OutputFull);
        }
        Ok(self.table.draw())
    }

    /// The message as the peer's version takes it. SMPP 3.3 has no optional parameters: those that only add to a message are
    /// left out, one whose text is in them cannot be sent.
    #[inline]
    fn fit<'a, 'b>(&self, sm: &'b Sm<'a>, plain: &'b mut Sm<'a>) -> Result<&'b Sm<'a>, Refused> {
        if knows_tlvs(self.version) || sm.tlvs == Tlvs::NONE {
            return Ok(sm);
        }
        if sm.tlvs.carry_text() {
            return Err(Refused::NeedsTlvs);
        }
        *plain = Sm { tlvs: Tlvs::NONE, ..*sm };
        Ok(plain)
    }

    /// Puts the request that was just encoded in flight.
    #[inline]
    fn open(&mut self, now: Instant, token: u64, kind: RequestKind, sequence: Sequence) -> u64 {
        let end = self.output.end();
        let deadline = now.plus(self.timers.response);
        self.table.open(sequence, Request { token, kind, deadline, end });
        self.counters.pdus_out += 1;
        end
    }

    fn close(&mut self, reason: CloseReason) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.closed = Some(reason);
        }
    }
}
