//! What a PDU that came means: first by its header alone, then, where it is for the caller, as a view of its body.

use core::ops::Range;

use crate::time::Instant;

use super::super::bind::{Bind, BindKind, BindResp, Outbind, version_below};
use super::super::command::{CommandId, Sequence};
use super::super::header::{FrameError, Header, encode_header_only};
use super::super::limits;
use super::super::query::{AlertNotification, CancelSm, DataSm, QuerySm, QuerySmResp};
use super::super::reader::DecodeError;
use super::super::sm::{Sm, SmResp};
use super::super::status::CommandStatus;
use super::super::unserved::{ReplaceSm, SubmitMulti, SubmitMultiResp};
use super::answers::answer;
use super::buffers::{Frame, Output};
use super::table::{Control, Request, Taken};
use super::{CloseReason, Counters, Event, RequestKind, Role, Session, State};

/// A PDU that the caller will see. Owned, so that the look at headers can loop before a body is borrowed.
#[derive(Debug)]
enum Step {
    Bound { body: Range<usize> },
    Bind { kind: BindKind, frame: Frame },
    Request { frame: Frame },
    Notice { frame: Frame },
    Unserved { frame: Frame },
    Answer { frame: Frame, request: Request },
    Late { frame: Frame, request: Request },
    UnbindRequested,
}

impl Session {
    /// The next thing that happened; call it until `None`.
    #[inline]
    pub fn poll_event(&mut self, now: Instant) -> Option<Event<'_>> {
        match self.next_step(now) {
            Some(step) => Some(self.view(step)),
            None => self.poll_own_event(now),
        }
    }

    /// Handles PDUs until one is for the caller.
    #[inline]
    fn next_step(&mut self, now: Instant) -> Option<Step> {
        loop {
            let waits = matches!(self.state, State::Closed | State::Deciding { .. });
            if waits || self.output.bytes_waiting() > limits::OUTPUT_BYTES_MAX {
                return None;
            }
            let frame = match self.input.next_frame(self.pdu_bytes_max) {
                Ok(frame) => frame?,
                Err(error) => {
                    self.lose_frame(error);
                    return None;
                }
            };
            self.counters.pdus_in += 1;
            self.last_pdu = Some((frame.header.command, now));
            if let Some(step) = self.sort(frame, now) {
                return Some(step);
            }
        }
    }

    /// What a PDU is by its header.
    #[inline]
    fn sort(&mut self, frame: Frame, now: Instant) -> Option<Step> {
        let Header { command, sequence, .. } = frame.header;
        match command {
            CommandId::SUBMIT_SM_RESP => self.sort_answer(frame, RequestKind::Submit, now),
            CommandId::DELIVER_SM_RESP => self.sort_answer(frame, RequestKind::Deliver, now),
            CommandId::DELIVER_SM
            | CommandId::SUBMIT_SM
            | CommandId::DATA_SM
            | CommandId::QUERY_SM
            | CommandId::CANCEL_SM => self.sort_request(frame),
            CommandId::DATA_SM_RESP => self.sort_answer(frame, RequestKind::Data, now),
            CommandId::QUERY_SM_RESP => self.sort_answer(frame, RequestKind::Query, now),
            CommandId::CANCEL_SM_RESP => self.sort_answer(frame, RequestKind::Cancel, now),
            CommandId::GENERIC_NACK => self.sort_nack(frame, now),
            CommandId::ENQUIRE_LINK => {
                self.counters.enquire_links_in += 1;
                self.reply(answer(command, CommandStatus::ESME_ROK, sequence));
                None
            }
            CommandId::ENQUIRE_LINK_RESP => {
                if self.table.take_control(Control::EnquireLink, sequence) {
                    self.enquired_at = None;
                } else {
                    self.counters.answers_unknown += 1;
                }
                None
            }
            CommandId::UNBIND => self.sort_unbind(sequence, now),
            CommandId::UNBIND_RESP => {
                let unbinding = matches!(self.state, State::Unbinding { .. });
                if unbinding && self.table.take_control(Control::BindOrUnbind, sequence) {
                    self.close(CloseReason::Unbound);
                } else {
                    self.counters.answers_unknown += 1;
                }
                None
            }
            CommandId::ALERT_NOTIFICATION | CommandId::OUTBIND => self.sort_notice(frame),
            CommandId::SUBMIT_MULTI | CommandId::REPLACE_SM => {
                let Step::Request { frame } = self.sort_request(frame)? else { return None };
                Some(Step::Unserved { frame })
            }
            _ => self.sort_rare(frame),
        }
    }

    /// Binds, and what is not supported.
    fn sort_rare(&mut self, frame: Frame) -> Option<Step> {
        let Header { command, status, sequence } = frame.header;
        let kind = BindKind::of(command);
        if let (Some(_), true) = (kind, command.is_response()) {
            let opening = matches!((self.state, &self.role), (State::Opening { .. }, Role::Esme { .. }));
            if !opening || !self.table.take_control(Control::BindOrUnbind, sequence) {
                self.counters.answers_unknown += 1;
                return None;
            }
            if status.is_ok() {
                return Some(Step::Bound { body: frame.body });
            }
            self.close(CloseReason::BindRefused(status));
            return None;
        }
        if command.is_response() {
            self.counters.answers_unknown += 1;
            return None;
        }
        match (kind, &self.role, self.state) {
            (Some(kind), Role::Mc { .. }, State::Opening { .. }) => Some(Step::Bind { kind, frame }),
            (Some(_), Role::Mc { .. }, _) => {
                self.counters.refused += 1;
                self.reply(answer(command, CommandStatus::ESME_RALYBND, sequence));
                None
            }
            _ => {
                self.nack(CommandStatus::ESME_RINVCMDID, sequence);
                None
            }
        }
    }

    #[inline]
    fn sort_answer(&mut self, frame: Frame, kind: RequestKind, now: Instant) -> Option<Step> {
        self.settle_answer(frame, Some(kind), now)
    }

    #[inline]
    fn settle_answer(&mut self, frame: Frame, kind: Option<RequestKind>, now: Instant) -> Option<Step> {
        match self.table.take(frame.header.sequence, kind) {
            Taken::Open(request) => {
                let left = request.deadline.since(now);
                self.answer_took = self.timers.response.saturating_sub(left);
                self.advance_drain(now);
                self.advance_peer_unbind();
                Some(Step::Answer { frame, request })
            }
            Taken::Late(request) => {
                self.counters.answers_late += 1;
                Some(Step::Late { frame, request })
            }
            Taken::Mistyped => {
                self.counters.answers_mistyped += 1;
                None
            }
            Taken::Unknown => {
                self.counters.answers_unknown += 1;
                None
            }
        }
    }

    /// `generic_nack` (§4.3): the answer to whatever has its number.
    fn sort_nack(&mut self, mut frame: Frame, now: Instant) -> Option<Step> {
        self.counters.nacks_in += 1;
        // A refusal that says ESME_ROK is a refusal all the same.
        if frame.header.status.is_ok() {
            frame.header.status = CommandStatus::ESME_RUNKNOWNERR;
        }
        let Header { status, sequence, .. } = frame.header;
        if sequence.0 == 0 {
            self.close(CloseReason::NackWithoutSequence(status));
            return None;
        }
        if self.table.take_control(Control::EnquireLink, sequence) {
            // It lives, though it does not know the question.
            self.enquired_at = None;
            return None;
        }
        if self.table.take_control(Control::BindOrUnbind, sequence) {
            self.close(match self.state {
                State::Opening { .. } => CloseReason::BindRefused(status),
                _ => CloseReason::Unbound,
            });
            return None;
        }
        self.settle_answer(frame, None, now)
    }

    fn sort_unbind(&mut self, sequence: Sequence, now: Instant) -> Option<Step> {
        match self.state {
            State::Bound { .. } | State::Draining { .. } => {
                let deadline = now.plus(self.timers.unbind);
                self.state = State::PeerUnbinding { sequence, deadline };
                self.advance_peer_unbind();
                Some(Step::UnbindRequested)
            }
            State::PeerUnbinding { .. } => None,
            _ => {
                self.answer_unbind(sequence);
                None
            }
        }
    }

    /// A request that the caller answers, if it may come now.
    #[inline]
    fn sort_request(&mut self, frame: Frame) -> Option<Step> {
        let Header { command, sequence, .. } = frame.header;
        let role_fits = match (&self.role, command) {
            (_, CommandId::DATA_SM) => true,
            // An MC that delivers on a transmitter's bind is served: its receipt would be lost otherwise.
            (Role::Esme { .. }, _) => command == CommandId::DELIVER_SM,
            (Role::Mc { .. }, _) => command != CommandId::DELIVER_SM,
        };
        if !role_fits {
            self.nack(CommandStatus::ESME_RINVCMDID, sequence);
            return None;
        }
        let state_fits = match (&self.role, self.bound()) {
            (Role::Esme { .. }, Some(_)) => true,
            (Role::Mc { .. }, Some(kind)) => kind.submits(),
            (_, None) => false,
        };
        if !state_fits {
            self.counters.refused += 1;
            self.reply(answer(command, CommandStatus::ESME_RINVBNDSTS, sequence));
            return None;
        }
        Some(Step::Request { frame })
    }

    /// `alert_notification` and `outbind`, which have no response: where they may not come, they are passed over.
    fn sort_notice(&mut self, frame: Frame) -> Option<Step> {
        let fits = match (&self.role, self.state) {
            (Role::Mc { .. }, _) => false,
            (_, State::Opening { .. }) => frame.header.command == CommandId::OUTBIND,
            _ => frame.header.command == CommandId::ALERT_NOTIFICATION,
        };
        if !fits {
            self.counters.refused += 1;
        }
        fits.then_some(Step::Notice { frame })
    }

    /// A stream that cannot be cut any more: the peer is told, if it can be, and the session ends.
    fn lose_frame(&mut self, error: FrameError) {
        let sequence = error.sequence.unwrap_or(Sequence(0));
        self.nack(CommandStatus::ESME_RINVCMDLEN, sequence);
        self.close(CloseReason::CommandLength(error.command_length));
    }

    fn nack(&mut self, status: CommandStatus, sequence: Sequence) {
        self.counters.nacks_out += 1;
        self.reply(Header { command: CommandId::GENERIC_NACK, status, sequence });
    }

    fn reply(&mut self, header: Header) {
        self.counters.pdus_out += 1;
        encode_header_only(header, self.output.writer());
    }

    /// The event of a PDU that was sorted.
    #[inline]
    fn view(&mut self, step: Step) -> Event<'_> {
        match step {
            Step::Answer { frame, request } => {
                view_answer(frame.header.status, &request, self.input.body(frame.body))
            }
            Step::Request { frame } => self.view_request(frame),
            Step::Late { frame, request } => Event::LateAnswer {
                token: request.token,
                kind: request.kind,
                status: frame.header.status,
                message_id: SmResp::decode(self.input.body(frame.body)).message_id,
            },
            Step::Bound { body } => {
                let response = BindResp::decode(self.input.body(body));
                let BindResp { system_id, sc_interface_version } = response;
                if let Role::Esme { kind, interface_version } = self.role {
                    self.state = State::Bound { kind };
                    // Carriers of 3.4 leave their version out; then what we asked for holds.
                    let theirs = sc_interface_version.unwrap_or(interface_version);
                    self.version = version_below(interface_version.min(theirs));
                }
                let kind = self.bound().unwrap_or(BindKind::Transceiver);
                Event::Bound { kind, system_id, sc_interface_version }
            }
            Step::Bind { kind, frame } => self.view_bind(kind, frame),
            Step::Notice { frame } => self.view_notice(frame),
            Step::Unserved { frame } => self.view_unserved(frame),
            Step::UnbindRequested => Event::UnbindRequested,
        }
    }

    fn view_bind(&mut self, kind: BindKind, frame: Frame) -> Event<'_> {
        let sequence = frame.header.sequence;
        match Bind::decode(kind, self.input.body(frame.body.clone())) {
            Ok(bind) => {
                let interface_version = bind.interface_version;
                self.state = State::Deciding { kind, sequence, interface_version };
                Event::BindRequested { bind }
            }
            Err(error) => self.output.refuse_malformed(&mut self.counters, frame.header, error),
        }
    }

    #[inline]
    fn view_request(&mut self, frame: Frame) -> Event<'_> {
        let Header { command, sequence, .. } = frame.header;
        let body = self.input.body(frame.body);
        let event = match command {
            CommandId::SUBMIT_SM => Sm::decode(body).map(|sm| Event::SubmitRequest { sequence, sm }),
            CommandId::DELIVER_SM => Sm::decode(body).map(|sm| Event::DeliverRequest { sequence, sm }),
            CommandId::DATA_SM => DataSm::decode(body).map(|data| Event::DataRequest { sequence, data }),
            CommandId::QUERY_SM => QuerySm::decode(body).map(|query| Event::QueryRequest { sequence, query }),
            _ => CancelSm::decode(body).map(|cancel| Event::CancelRequest { sequence, cancel }),
        };
        match event {
            Ok(event) => {
                self.owed += 1;
                event
            }
            Err(error) => self.output.refuse_malformed(&mut self.counters, frame.header, error),
        }
    }

    /// Refuses what is not served, in its own words if it is well formed. `ESME_RINVCMDID` would be a `generic_nack`'s by
    /// §5.1.3; no other status says that the same request will never be taken.
    fn view_unserved(&mut self, frame: Frame) -> Event<'_> {
        let Header { command, sequence, .. } = frame.header;
        let body = self.input.body(frame.body);
        let refusal = match command {
            CommandId::REPLACE_SM => ReplaceSm::decode(body).map(|_| CommandStatus::ESME_RREPLACEFAIL),
            _ => SubmitMulti::decode(body).map(|_| CommandStatus::ESME_RINVCMDID),
        };
        let status = match refusal {
            Ok(status) => status,
            Err(error) => {
                return self.output.refuse_malformed(&mut self.counters, frame.header, error);
            }
        };
        self.counters.refused += 1;
        self.counters.pdus_out += 1;
        let header = answer(command, status, sequence);
        if command == CommandId::SUBMIT_MULTI {
            SubmitMultiResp::REFUSED.encode(header, self.output.writer());
        } else {
            encode_header_only(header, self.output.writer());
        }
        Event::Unserved { command, sequence, status }
    }

    /// What has no response.
    fn view_notice(&mut self, frame: Frame) -> Event<'_> {
        let Header { command, sequence, .. } = frame.header;
        let body = self.input.body(frame.body);
        let event = match command {
            CommandId::OUTBIND => Outbind::decode(body).map(|outbind| Event::OutbindRequested { outbind }),
            _ => AlertNotification::decode(body).map(|alert| Event::Alert { alert }),
        };
        event.unwrap_or_else(|error| {
            self.counters.malformed += 1;
            Event::Malformed { command, sequence, error }
        })
    }
}

impl Output {
    /// Answers a request that cannot be read. Here and not in [`Session`], whose input the other outcome borrows.
    #[cold]
    fn refuse_malformed<'a>(
        &mut self,
        counters: &mut Counters,
        request: Header,
        error: DecodeError,
    ) -> Event<'a> {
        let Header { command, sequence, .. } = request;
        counters.malformed += 1;
        counters.nacks_out += 1;
        counters.pdus_out += 1;
        let nack = Header { command: CommandId::GENERIC_NACK, status: error.status(), sequence };
        encode_header_only(nack, self.writer());
        Event::Malformed { command, sequence, error }
    }
}

/// The event of the response to `request`.
#[inline]
fn view_answer<'a>(status: CommandStatus, request: &Request, body: &'a [u8]) -> Event<'a> {
    let token = request.token;
    match request.kind {
        RequestKind::Submit => {
            let SmResp { message_id, tlvs } = SmResp::decode(body);
            Event::SubmitAnswer { token, status, message_id, tlvs }
        }
        RequestKind::Deliver => Event::DeliverAnswer { token, status },
        RequestKind::Data => {
            let SmResp { message_id, tlvs } = SmResp::decode(body);
            Event::DataAnswer { token, status, message_id, tlvs }
        }
        RequestKind::Query => Event::QueryAnswer { token, status, answer: QuerySmResp::decode(body).ok() },
        RequestKind::Cancel => Event::CancelAnswer { token, status },
    }
}
