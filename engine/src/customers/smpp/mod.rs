//! One bind of an SMPP customer, as a machine over bytes: we are the MC (SMPP 3.4 §2.2).
//!
//! ```text
//!   ESME   bind ─▶        submit_sm ─▶                       deliver_sm_resp ─▶      unbind ─▶
//!   we          ◀─ resp             ◀─ submit_sm_resp (durable)       ◀─ deliver_sm (a fate)   ◀─ resp
//! ```
//!
//! The session (`wire`) owns sequence numbers, timers and the matching of responses; here is what a submission means
//! ([`submit`]), which parts wait for each other ([`parts`]), and who is told a fate ([`outlets`]). A submission is handed to
//! the brain as it is read ([`intake`]), and its response says an id only when the message is durable.

pub mod binds;
mod door;
pub mod exchange;
mod intake;
pub mod lobby;
pub mod network;
mod outlets;
mod parts;
mod receipts;
mod submit;
#[cfg(test)]
mod tests;
pub mod view;

use std::net::IpAddr;
use std::sync::Arc;

use shards::api::{Acceptance, MessageView, NotCancelled, Refusal, Reply, State};
use wire::smpp::fields::RegisteredDelivery;
use wire::smpp::header::{Header, encode_header_only};
use wire::smpp::query::QuerySmResp;
use wire::smpp::validity::absolute_time;
use wire::smpp::{
    CloseReason, CommandId, CommandStatus, Event, MessageState, Options, RequestKind, Sequence, Session,
    Timers, Verdict,
};
use wire::time::Instant;

use super::Readiness;
use super::context::Context;
use super::limits::{OUTPUT_BYTES_MAX, SMPP_UNBIND_WAIT};
use super::native::Liveness;

use binds::Seat;
use door::{Applicant, Door};
use exchange::Place;
use intake::Intake;
use outlets::{GivenUp, Heard};
use receipts::{ReceiptWriter, message_state};

pub(super) use binds::Call;
pub(super) use outlets::{OUTLETS, Outlets};

/// One bind. Lives on the shard that accepted its connection.
#[derive(Debug)]
pub(super) struct SmppSession {
    session: Session,
    stage: Stage,
    /// From where it calls.
    from: IpAddr,
    /// A bind that waits to be let in.
    applicant: Option<Applicant>,
    /// Whose bind it is, or was, and its place among that account's.
    seat: Option<(Place, Arc<Seat>)>,
    /// It is asked whether it is there, for somebody who would have its place; until then.
    probed_until: Option<Instant>,
    intake: Intake,
    writer: ReceiptWriter,
    /// Whether the customer has said that it sends nothing more.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for its bind.
    New,
    /// Bound for an account, perhaps to receive.
    Bound(Receives),
    /// Bound once; its session has ended, and its last bytes wait.
    Ended,
    /// All is said.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receives {
    Yes,
    No,
}

/// What an event asks for, once the session is no longer borrowed.
enum Act {
    Nothing,
    Bind(Door),
    Refuse(Sequence, CommandStatus),
    RefuseParts(Vec<u32>, CommandStatus),
    RefuseData(Sequence, CommandStatus),
    NoCancel(Sequence, CommandStatus),
    NoQuery(Sequence, CommandStatus),
    Heard(u64, Heard),
    Closed(CloseReason),
}

/// What a request's number says beside its sequence number (32 bits): which receipt is wanted (2 bits), and what it was.
const WANTED_SHIFT: u32 = 32;
/// The low half is the number of a whole text.
const WHOLE: u64 = 1 << 40;
/// It was a `query_sm`.
const QUERY: u64 = 1 << 41;
/// It was a `data_sm`.
const DATA: u64 = 1 << 42;

impl SmppSession {
    /// A session that waits for its bind.
    pub(super) fn new(now: Instant, from: IpAddr) -> Self {
        let timers = Timers { drain: SMPP_UNBIND_WAIT, unbind: SMPP_UNBIND_WAIT, ..Timers::default() };
        // Until it is known who binds, nothing is sent that could wait for an answer.
        let options = Options { timers, window_pdus_max: 1, ..Options::default() };
        Self {
            session: Session::mc(SYSTEM_ID, &options, now),
            stage: Stage::New,
            from,
            applicant: None,
            seat: None,
            probed_until: None,
            intake: Intake::default(),
            writer: ReceiptWriter::default(),
            ended: false,
        }
    }

    /// Turns a connection away before its bind.
    pub(super) fn turn_away(&mut self, cx: &mut Context<'_>) {
        cx.counts.smpp_binds_refused += 1;
        let header = Header {
            command: CommandId::GENERIC_NACK,
            status: CommandStatus::ESME_RTHROTTLED,
            sequence: Sequence(0),
        };
        encode_header_only(header, cx.out);
        self.stage = Stage::Over;
    }

    /// Takes bytes in.
    pub(super) fn receive(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        self.hear_from(cx);
        self.session.set_congestion_state(Some(cx.fullness));
        self.session.handle_bytes(cx.now.mono, bytes);
        self.work(cx);
    }

    /// The customer sends nothing more, and so cannot answer: receipts end here, and the session with its last answer.
    pub(super) const fn receive_end(&mut self) {
        self.ended = true;
    }

    /// Takes an answer of the brain.
    pub(super) fn reply(&mut self, number: u64, reply: Reply, cx: &mut Context<'_>) {
        self.session.set_congestion_state(Some(cx.fullness));
        let sequence = Sequence(u32::try_from(number & u64::from(u32::MAX)).expect("masked"));
        match reply {
            Reply::Answer { outcome, .. } if number & WHOLE != 0 => {
                for part in self.intake.parts.answered(sequence.0) {
                    self.answer(Sequence(part), number, outcome, cx);
                }
            }
            Reply::Answer { outcome, .. } => self.answer(sequence, number, outcome, cx),
            Reply::Message { view, .. } => {
                self.intake.unanswered = self.intake.unanswered.saturating_sub(1);
                let is_asked_for = self.intake.queried(sequence, view.as_deref().map(|view| view.sender));
                let view = view.as_deref().filter(|_| is_asked_for).ok_or(CommandStatus::ESME_RQUERYFAIL);
                answer_query(&mut self.session, sequence, view);
            }
            Reply::CannotTell { .. } => self.refuse_query(number),
            Reply::Cancelled { outcome, .. } => {
                self.intake.unanswered = self.intake.unanswered.saturating_sub(1);
                let status = match outcome {
                    Ok(()) => CommandStatus::ESME_ROK,
                    Err(NotCancelled::NotFound | NotCancelled::TooLate(_)) => CommandStatus::ESME_RCANCELFAIL,
                    Err(NotCancelled::Busy) => CommandStatus::ESME_RTHROTTLED,
                };
                self.session.answer_cancel(sequence, status);
            }
            Reply::Fate { .. } | Reply::Handset { .. } | Reply::Done { .. } => {}
        }
    }

    /// A query is to be repeated later.
    pub(super) fn refuse_query(&mut self, number: u64) {
        let sequence = Sequence(u32::try_from(number & u64::from(u32::MAX)).expect("masked"));
        self.intake.unanswered = self.intake.unanswered.saturating_sub(1);
        self.intake.queried(sequence, None);
        answer_query(&mut self.session, sequence, Err(CommandStatus::ESME_RTHROTTLED));
    }

    /// Reads on, sends what is ready, and says goodbye when it is time.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        if self.stage == Stage::Over {
            return;
        }
        if cx.readiness == Readiness::Stopping {
            self.stop(cx);
        }
        self.work(cx);
        self.tell(cx);
        if cx.out.len() < OUTPUT_BYTES_MAX {
            let pending = self.session.pending();
            cx.out.extend_from_slice(pending);
            let count = pending.len();
            self.session.consume(count);
        }
        let said_all = self.session.is_closed() || (self.ended && self.intake.unanswered == 0);
        if said_all && self.session.pending().is_empty() {
            self.give_back(cx);
            self.stage = Stage::Over;
        }
    }

    /// Does what its deadline was for. A customer that is silent is asked by the session, which closes if it says nothing.
    /// One whose place somebody else would have is gone when it was asked and said nothing.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Liveness {
        if self.is_gone(cx) {
            cx.counts.smpp_binds_taken_over += 1;
            cx.counts.timeouts += 1;
            tracing::info!(event = "smpp-bind-taken-over", connection = cx.connection, from = %self.from);
            self.abandon(cx);
            return Liveness::Gone;
        }
        self.expire_applicant(cx);
        self.session.handle_timeout(cx.now.mono);
        let late = self.intake.parts.expire(cx.now.mono);
        self.refuse_parts(late, CommandStatus::ESME_RSUBMITFAIL, cx);
        self.work(cx);
        Liveness::Alive
    }

    /// When something has to happen although nothing came.
    pub(super) fn deadline(&self) -> Instant {
        match self.stage {
            Stage::Over => Instant::FAR_FUTURE,
            _ => {
                let applicant = self.applicant.as_ref().map(Applicant::until);
                let own = [self.session.timeout(), applicant, self.probed_until].into_iter().flatten().min();
                own.unwrap_or(Instant::FAR_FUTURE).min(self.intake.parts.timeout())
            }
        }
    }

    /// Whether all is said.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether requests wait for the brain.
    pub(super) const fn is_unanswered(&self) -> bool {
        self.intake.unanswered > 0
    }

    /// Whether more may be read.
    pub(super) fn wants_reading(&self) -> bool {
        self.session.wants_bytes() || self.session.is_closed()
    }

    /// The connection is gone.
    pub(super) fn abandon(&mut self, cx: &mut Context<'_>) {
        self.give_back(cx);
        self.stage = Stage::Over;
    }

    /// Whose bind it is, or was.
    fn place(&self) -> Option<Place> {
        self.seat.as_ref().map(|(place, _)| *place)
    }

    /// Takes all that the session has to tell.
    fn work(&mut self, cx: &mut Context<'_>) {
        if self.stage == Stage::Over {
            return;
        }
        while let Some(act) = self.hear(cx) {
            self.act(act, cx);
        }
    }

    fn hear(&mut self, cx: &mut Context<'_>) -> Option<Act> {
        let place = self.place();
        let Self { session, intake, from, .. } = self;
        let act = match (session.poll_event(cx.now.mono)?, place) {
            (Event::BindRequested { bind }, _) => Act::Bind(door::look_at(&bind, *from, cx)),
            (Event::SubmitRequest { sequence, sm }, Some(place)) => {
                cx.counts.smpp_submits += 1;
                intake.submit(sequence, &sm, place, cx)
            }
            (Event::QueryRequest { sequence, query }, Some(place)) => {
                let asked = intake.query(sequence, &query, place, cx);
                asked.map_or_else(|status| Act::NoQuery(sequence, status), |()| Act::Nothing)
            }
            (Event::DataRequest { sequence, data }, Some(place)) => {
                cx.counts.smpp_submits += 1;
                let given = intake.submit_data(sequence, &data, place, cx);
                given.map_or_else(|status| Act::RefuseData(sequence, status), |()| Act::Nothing)
            }
            (Event::CancelRequest { sequence, cancel }, Some(place)) => {
                let asked = intake.cancel(sequence, &cancel, place, cx);
                asked.map_or_else(|status| Act::NoCancel(sequence, status), |()| Act::Nothing)
            }
            (Event::DeliverAnswer { token, status }, _)
            | (Event::LateAnswer { token, kind: RequestKind::Deliver, status, .. }, _) => {
                Act::Heard(token, heard(status, cx))
            }
            (Event::Timeout { token, kind: RequestKind::Deliver }, _) => {
                cx.counts.smpp_receipts_again += 1;
                Act::Heard(token, Heard::Nothing)
            }
            (Event::Closed { reason }, _) => Act::Closed(reason),
            _ => Act::Nothing,
        };
        Some(act)
    }

    fn act(&mut self, act: Act, cx: &mut Context<'_>) {
        match act {
            Act::Nothing => {}
            Act::Bind(door) => self.at_the_door(door, cx),
            Act::Refuse(sequence, status) => self.session.answer_submit(sequence, status, b""),
            Act::RefuseParts(sequences, status) => {
                for sequence in sequences {
                    self.session.answer_submit(Sequence(sequence), status, b"");
                }
            }
            Act::RefuseData(sequence, status) => self.session.answer_data(sequence, status, b""),
            Act::NoCancel(sequence, status) => self.session.answer_cancel(sequence, status),
            Act::NoQuery(sequence, status) => answer_query(&mut self.session, sequence, Err(status)),
            Act::Heard(token, heard) => {
                if let Some(place) = self.place() {
                    let given_up = cx.outlets.heard(place, (cx.connection, token), heard, cx.now.mono);
                    cx.counts.smpp_receipts_refused += u64::from(given_up == GivenUp::Yes);
                }
            }
            Act::Closed(reason) => {
                let by_time = matches!(reason, CloseReason::SessionInitTimeout | CloseReason::Dead);
                cx.counts.timeouts += u64::from(by_time);
                tracing::debug!(event = "smpp-bind-ended", connection = cx.connection, %reason);
                self.give_back(cx);
            }
        }
    }

    /// Sends fates for which the window has room.
    fn tell(&mut self, cx: &mut Context<'_>) {
        let (Stage::Bound(Receives::Yes), Some(place)) = (self.stage, self.place()) else { return };
        while !self.ended && self.session.is_open() && self.session.window_room() > 0 {
            let Some((token, event)) = cx.outlets.next(place, cx.connection) else { return };
            let alphabet = cx.settings.smpp.account(place).default_alphabet;
            let written = match &event {
                outlets::Event::Fate(fate) => {
                    self.writer.deliver(&mut self.session, token, fate, cx.now.mono)
                }
                outlets::Event::Handset(message) => {
                    self.writer.hand_on(&mut self.session, token, (message, alphabet), cx.now.mono)
                }
            };
            if written == Err(wire::smpp::Refused::NeedsTlvs) {
                // A text that a peer of SMPP 3.3 cannot be sent: another bind may take it, and in time it is given up.
                cx.outlets.heard(place, (cx.connection, token), Heard::Later, cx.now.mono);
                continue;
            }
            if written.is_err() {
                // The customer does not read. Somebody else may have room; if not, its reading settles this again.
                cx.outlets.put_back(place, token);
                return;
            }
            cx.counts.fates += 1;
        }
    }

    /// The node stops: what is asked is answered, then the session is unbound.
    fn stop(&mut self, cx: &mut Context<'_>) {
        let all = self.intake.parts.expire(Instant::FAR_FUTURE);
        self.refuse_parts(all, CommandStatus::ESME_RSYSERR, cx);
        if self.intake.unanswered == 0 {
            self.session.unbind(cx.now.mono);
        }
    }

    /// Answers a submission, or a part of one.
    fn answer(
        &mut self,
        sequence: Sequence,
        number: u64,
        outcome: Result<Acceptance, Refusal>,
        cx: &Context<'_>,
    ) {
        self.intake.unanswered = self.intake.unanswered.saturating_sub(1);
        let (status, id) = match outcome {
            Ok(Acceptance { id, .. }) => {
                let wanted = RegisteredDelivery(u8::try_from(number >> WANTED_SHIFT & 3).expect("two bits"));
                if let Some(place) = self.place() {
                    cx.settings.smpp.remember(place, id, wanted.receipt());
                }
                (CommandStatus::ESME_ROK, Some(id.to_chars()))
            }
            Err(refusal) => (status_of(refusal), None),
        };
        let id = id.as_ref().map_or(&b""[..], |id| id);
        if number & DATA == 0 {
            self.session.answer_submit(sequence, status, id);
        } else {
            self.session.answer_data(sequence, status, id);
        }
    }

    /// Refuses parts that waited in vain.
    fn refuse_parts(&mut self, sequences: Vec<u32>, status: CommandStatus, cx: &mut Context<'_>) {
        for sequence in sequences {
            self.intake.unanswered = self.intake.unanswered.saturating_sub(1);
            cx.counts.smpp_parts_expired += 1;
            self.session.answer_submit(Sequence(sequence), status, b"");
        }
    }

    /// Gives back what the bind held: its place, and the receipts that were not answered.
    fn give_back(&mut self, cx: &mut Context<'_>) {
        let (Stage::Bound(receives), Some((place, seat))) = (self.stage, &self.seat) else { return };
        let place = *place;
        self.stage = Stage::Ended;
        self.probed_until = None;
        cx.nudges.extend(cx.settings.smpp.leave(place, seat));
        if receives == Receives::Yes {
            for lost in self.session.drain_in_flight() {
                cx.outlets.heard(place, (cx.connection, lost.token), Heard::Gone, cx.now.mono);
            }
            cx.outlets.unbound(place, cx.connection, cx.ask);
        }
    }
}

/// What a `deliver_sm_resp` means for its receipt. A status of a vendor's own may pass; the specification's permanent ones
/// do not.
const fn heard(status: CommandStatus, cx: &mut Context<'_>) -> Heard {
    match status.verdict() {
        Verdict::Ok => Heard::Done,
        Verdict::Permanent => {
            cx.counts.smpp_receipts_refused += 1;
            Heard::Done
        }
        Verdict::Throttled | Verdict::Temporary | Verdict::Vendor => {
            cx.counts.smpp_receipts_again += 1;
            Heard::Later
        }
    }
}

/// What a customer is answered instead of an id.
const fn status_of(refusal: Refusal) -> CommandStatus {
    match refusal {
        Refusal::KeyConflict | Refusal::KeyLength => CommandStatus::ESME_RINVOPTPARAMVAL,
        Refusal::NoRoute => CommandStatus::ESME_RINVDSTADR,
        Refusal::Text => CommandStatus::ESME_RINVMSGLEN,
        Refusal::Sender | Refusal::SenderForbidden => CommandStatus::ESME_RINVSRCADR,
        Refusal::Validity => CommandStatus::ESME_RINVEXPIRY,
        Refusal::Account => CommandStatus::ESME_RSUBMITFAIL,
        Refusal::QueueFull
        | Refusal::AccountFull
        | Refusal::AccountKeysFull
        | Refusal::KeysFull
        | Refusal::DiskFull => CommandStatus::ESME_RMSGQFUL,
        Refusal::Rate => CommandStatus::ESME_RTHROTTLED,
        Refusal::Busy => CommandStatus::ESME_RTHROTTLED,
        Refusal::Stopping | Refusal::NotHome | Refusal::HomeLost => CommandStatus::ESME_RSYSERR,
    }
}

/// Answers a `query_sm` with what is known, or with the status that says why not.
fn answer_query(session: &mut Session, sequence: Sequence, view: Result<&MessageView, CommandStatus>) {
    let empty =
        QuerySmResp { message_id: b"", final_date: b"", message_state: MessageState::Unknown, error_code: 0 };
    let view = match view {
        Ok(view) => view,
        Err(status) => return session.answer_query(sequence, status, &empty),
    };
    let id = view.id.to_chars();
    let last = view.trace.last().filter(|_| matches!(view.state, State::Final(_)));
    let date = last.map(|step| absolute_time(step.at));
    let response = QuerySmResp {
        message_id: &id,
        final_date: date.as_ref().map_or(b"", |date| date),
        message_state: message_state(view.state),
        error_code: 0,
    };
    session.answer_query(sequence, CommandStatus::ESME_ROK, &response);
}

/// Our name to customers.
const SYSTEM_ID: &[u8] = b"switchyard";
