//! A session's timers: the bind, silence, responses, and the end (SMPP 3.4 §7.2).

use crate::time::Instant;

use super::super::command::CommandId;
use super::super::header::{Header, encode_header_only};
use super::table::Control;
use super::{CloseReason, Event, Session, State};

impl Session {
    /// When [`Session::handle_timeout`] is due.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let state = match self.state {
            State::Closed => return None,
            State::Opening { deadline }
            | State::Draining { deadline, .. }
            | State::Unbinding { deadline, .. }
            | State::PeerUnbinding { deadline, .. } => deadline,
            State::Deciding { .. } | State::Bound { .. } => Instant::FAR_FUTURE,
        };
        let response = self.table.first_deadline().unwrap_or(Instant::FAR_FUTURE);
        let first = state.min(response).min(self.silence_deadline());
        (first != Instant::FAR_FUTURE).then_some(first)
    }

    /// Time has passed. Poll events afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Opening { deadline } if deadline <= now => self.close(CloseReason::SessionInitTimeout),
            State::Draining { kind, deadline } if deadline <= now => self.send_unbind(kind, now),
            State::Unbinding { deadline, .. } if deadline <= now => self.close(CloseReason::UnbindTimeout),
            State::PeerUnbinding { sequence, deadline } if deadline <= now => self.answer_unbind(sequence),
            _ => {}
        }
        if self.silence_deadline() <= now {
            self.break_silence(now);
        }
        self.expire_until = self.expire_until.max(now);
        self.table.forget_late(now);
    }

    /// The events that no PDU brings: requests whose time is over, and the end. Polled after all PDUs, so that a
    /// response that has arrived counts as an answer however late its bytes are looked at.
    pub(super) fn poll_own_event(&mut self, now: Instant) -> Option<Event<'static>> {
        if let Some(reason) = self.closed.take() {
            return Some(Event::Closed { reason });
        }
        if self.state == State::Closed {
            return None;
        }
        let late_until = now.plus(self.timers.late_memory);
        let request = self.table.expire(self.expire_until, late_until)?;
        self.counters.timeouts += 1;
        self.advance_drain(now);
        self.advance_peer_unbind();
        Some(Event::Timeout { token: request.token, kind: request.kind })
    }

    /// When silence has lasted too long: first for a question, then for its answer.
    fn silence_deadline(&self) -> Instant {
        match self.state {
            State::Bound { .. } | State::Draining { .. } => match self.enquired_at {
                Some(at) => at.plus(self.timers.response),
                None => self.last_inbound.plus(self.timers.enquire_link_idle),
            },
            _ => Instant::FAR_FUTURE,
        }
    }

    /// Asks the peer whether it is there, now and not when it has been silent for long; nothing if it is being asked.
    pub fn enquire(&mut self, now: Instant) {
        if self.enquired_at.is_none() && self.bound().is_some() {
            self.break_silence(now);
        }
    }

    fn break_silence(&mut self, now: Instant) {
        match self.enquired_at {
            Some(at) if self.last_inbound <= at => self.close(CloseReason::Dead),
            // It did not answer and yet it lives: something else came meanwhile.
            Some(_) => self.enquired_at = None,
            None => {
                let sequence = self.table.open_control(Control::EnquireLink);
                let header = Header::request(CommandId::ENQUIRE_LINK, sequence);
                encode_header_only(header, self.output.writer());
                self.enquired_at = Some(now);
                self.counters.enquire_links_out += 1;
                self.counters.pdus_out += 1;
            }
        }
    }

    /// Sends the `unbind` that a drain waits for, once nothing is in flight.
    pub(super) fn advance_drain(&mut self, now: Instant) {
        if let State::Draining { kind, .. } = self.state
            && self.table.open_count() == 0
        {
            self.send_unbind(kind, now);
        }
    }

    fn send_unbind(&mut self, kind: super::BindKind, now: Instant) {
        let sequence = self.table.open_control(Control::BindOrUnbind);
        encode_header_only(Header::request(CommandId::UNBIND, sequence), self.output.writer());
        self.counters.pdus_out += 1;
        self.state = State::Unbinding { kind, deadline: now.plus(self.timers.unbind) };
    }
}
