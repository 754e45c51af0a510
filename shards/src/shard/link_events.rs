//! What happens on links: connections come and go, sessions speak.

use wire::smpp::session::{Event, Handed, RequestKind, Session};
use wire::smpp::status::{CommandStatus, Verdict};
use wire::time::Now;

use super::cross::LentOutcome;
use super::inspect::Trouble;
use super::lending::Queued;
use super::links::{Link, LinkAction, LinkId, LinkInput, can_carry};
use super::pace::congestion_of;
use super::{Phase, Shard};
use crate::api::Why;
use crate::token::{Token, unpack_lent};

impl Shard {
    /// Something happened to a link's connection.
    pub fn handle_link(&mut self, now: Now, link: LinkId, input: LinkInput<'_>) {
        self.clock.read(now);
        let place = usize::from(link.0);
        match input {
            LinkInput::Connected => self.link_connected(now, place),
            LinkInput::ConnectFailed => {
                self.counters.link_losses += 1;
                self.links[place].trouble(now.wall, Trouble::ConnectFailed);
                self.links[place].down(now.mono, &mut self.jitter);
                self.stop_if_draining(place);
            }
            LinkInput::Received(bytes) => {
                if let Some(session) = &mut self.links[place].session {
                    session.handle_bytes(now.mono, bytes);
                }
                self.pump_link(now, place);
            }
            LinkInput::Written { total } => self.links[place].written(total),
            LinkInput::Closed => self.link_closed(now, place),
        }
        self.release();
    }

    /// Whether a link's session wants more bytes; the shell stops reading its connection while not.
    #[must_use]
    pub fn link_wants_bytes(&self, link: LinkId) -> bool {
        self.links[usize::from(link.0)].session.as_ref().is_none_or(|session| session.wants_bytes())
    }

    fn link_connected(&mut self, now: Now, place: usize) {
        let carrier = usize::from(self.links[place].carrier);
        self.links[place].connected(&self.plan.carriers[carrier], now.mono);
        if self.phase != Phase::Running {
            self.links[place].stop(now.mono);
        }
        self.pump_link(now, place);
    }

    /// Lets the session tell what it has, and acts on it.
    pub(super) fn pump_link(&mut self, now: Now, place: usize) {
        // The session is lent out while its events are told, since they borrow it.
        let Some(mut session) = self.links[place].session.take() else { return };
        while self.take_event(now, place, &mut session) {}
        self.handle_pacing_due(now);
        self.links[place].session = Some(session);
        self.flush_backlogs(now);
    }

    /// Acts on one event; `false` when there was none.
    fn take_event(&mut self, now: Now, place: usize, session: &mut Session) -> bool {
        let Some(event) = session.poll_event(now.mono) else { return false };
        match event {
            Event::Bound { .. } => {
                let profile = &self.plan.carriers[usize::from(self.links[place].carrier)].profile;
                if can_carry(profile, session) {
                    self.link_up(LinkId(u16::try_from(place).expect("few links")));
                } else {
                    self.links[place].trouble(now.wall, Trouble::NoTlvs);
                    session.unbind(now.mono);
                }
            }
            Event::SubmitAnswer { token, status, message_id, tlvs } => {
                let congestion = congestion_of(tlvs);
                let verdict = self.segment_answered(now, place, token, (status, message_id), false);
                let took = session.answer_took();
                self.feel(self.links[place].carrier, verdict, Some(took), congestion);
                self.latencies.response.record(took);
                self.links[place].responded(took);
            }
            Event::LateAnswer { token, kind: RequestKind::Submit, status, message_id } => {
                let verdict = self.segment_answered(now, place, token, (status, message_id), true);
                self.feel(self.links[place].carrier, verdict, None, 0);
            }
            Event::Timeout { token, kind: RequestKind::Submit } => {
                let at = self.clock.read(now);
                self.links[place].trouble(now.wall, Trouble::ResponseTimeout);
                match unpack_lent(token) {
                    Some(lent) => self.lent_timed_out(place, lent),
                    None => self.doubt(at, Token::unpack(token), Why::ResponseTimeout),
                }
            }
            Event::QueryAnswer { token, status, answer } => {
                self.question_answered(now, place, token, (status, answer));
            }
            Event::Timeout { token, kind: RequestKind::Query } => {
                self.links[place].lent_answered_question(token);
            }
            Event::DeliverRequest { sequence, sm } => {
                if let Some(status) = self.deliver(now, place, sequence, &sm) {
                    session.answer_deliver(sequence, status);
                }
            }
            Event::DataRequest { sequence, data } => {
                if let Some(status) = self.data(now, place, sequence, &data) {
                    session.answer_data(sequence, status, b"");
                }
            }
            Event::Malformed { .. } => self.counters.session_faults += 1,
            Event::UnbindRequested => self.link_not_up(place),
            Event::Closed { reason } => {
                if !self.links[place].is_useless() {
                    self.links[place].trouble(now.wall, Trouble::Session(reason));
                }
                self.link_not_up(place);
                if self.links[place].begin_close() {
                    let link = LinkId(u16::try_from(place).expect("few links"));
                    self.actions.push_back(LinkAction::Close { link });
                }
            }
            // What an ESME that binds as transceiver is not sent, or need not act on.
            _ => {}
        }
        true
    }

    /// A carrier's response to a segment: it tells the link how fast it may go, and whoever sent the segment the rest.
    fn segment_answered(
        &mut self,
        now: Now,
        place: usize,
        token: u64,
        (status, carrier_id): (CommandStatus, &[u8]),
        is_late: bool,
    ) -> Verdict {
        let verdict = self.plan.carriers[usize::from(self.links[place].carrier)].profile.verdict(status);
        self.links[place].counted(now.wall, status, verdict);
        match verdict {
            Verdict::Ok => self.links[place].took(),
            Verdict::Throttled => self.links[place].throttled(now.mono, &mut self.jitter),
            Verdict::Temporary | Verdict::Vendor | Verdict::Permanent => {}
        }
        match unpack_lent(token) {
            Some(lent) => self.lent_answered(place, lent, status, carrier_id, is_late),
            None => {
                let Link { carrier, scope, .. } = self.links[place];
                self.answered(now, (carrier, scope), Token::unpack(token), status, carrier_id);
            }
        }
        verdict
    }

    fn link_not_up(&mut self, place: usize) {
        if core::mem::take(&mut self.links[place].is_up) && self.links[place].submits() {
            self.link_down(self.links[place].carrier);
            self.deal_returning(place);
        }
    }

    /// The connection is gone: what was written is in doubt, what was not goes back.
    fn link_closed(&mut self, now: Now, place: usize) {
        self.counters.link_losses += 1;
        self.links[place].outlive_session();
        self.links[place].connection_ended(now.wall);
        self.link_not_up(place);
        let at = self.clock.read(now);
        if let Some(mut session) = self.links[place].session.take() {
            for request in session.drain_in_flight().filter(|request| request.kind == RequestKind::Submit) {
                if let Some(lent) = unpack_lent(request.token) {
                    self.lent_cut_off(place, lent, request.delivery);
                    continue;
                }
                let token = Token::unpack(request.token);
                match request.delivery {
                    Handed::Written => self.doubt(at, token, Why::ConnectionLost),
                    Handed::NotWritten => self.withdraw_token(at, token),
                }
            }
        }
        for queued in core::mem::take(&mut self.links[place].backlog) {
            match queued {
                Queued::Own(token) => self.withdraw_token(at, token),
                Queued::Lent(from, segment) => {
                    let carrier = self.links[place].carrier;
                    self.tell_outcome(from, segment.token, carrier, LentOutcome::NotWritten);
                }
            }
        }
        self.links[place].lent.clear();
        self.links[place].down(now.mono, &mut self.jitter);
        self.stop_if_draining(place);
    }

    fn stop_if_draining(&mut self, place: usize) {
        if self.phase != Phase::Running {
            self.links[place].mark_stopped();
        }
    }

    /// Links that are due: to be dialled, or their sessions' timers.
    pub(super) fn handle_link_timeouts(&mut self, now: Now) {
        for place in 0..self.links.len() {
            if self.phase == Phase::Running && self.links[place].dial(now.mono) {
                let link = LinkId(u16::try_from(place).expect("few links"));
                let carrier = self.links[place].carrier;
                self.actions.push_back(LinkAction::Connect { link, carrier });
            }
            let session = self.links[place].session.as_mut();
            if let Some(session) =
                session.filter(|session| session.timeout().is_some_and(|due| due <= now.mono))
            {
                session.handle_timeout(now.mono);
                self.pump_link(now, place);
            }
        }
    }
}
