//! Answers to the peer's requests. They always find room: requests stop long before the output is full.

use super::super::bind::{BindResp, INTERFACE_VERSION_5_0, knows_tlvs, version_below};
use super::super::command::{CommandId, Sequence};
use super::super::header::{Header, encode_header_only, end_pdu};
use super::super::limits::{CONGESTION_STATE_MAX, HEADER_BYTES};
use super::super::query::QuerySmResp;
use super::super::sm::SmResp;
use super::super::status::CommandStatus;
use super::super::tlv::{Tag, Tlvs, put_tlv};
use super::table::Table;
use super::{CloseReason, Role, Session, State};

impl Session {
    /// MC: how many requests of ours may be in flight, now that it is known who binds. Before [`Session::accept_bind`].
    ///
    /// # Panics
    /// When something is in flight already, or the window is not within its bounds.
    pub fn set_window(&mut self, window_pdus_max: u32) {
        assert!(matches!(self.state, State::Deciding { .. }), "a window is set before the bind is accepted");
        self.table = Table::new(window_pdus_max, self.table.draw());
    }

    /// MC: lets the customer in that [`super::Event::BindRequested`] told of.
    pub fn accept_bind(&mut self) {
        let State::Deciding { kind, sequence, interface_version } = self.state else { return };
        let Role::Mc { system_id } = &self.role else { return };
        // SMPP 3.3 has no TLVs.
        self.version = version_below(interface_version);
        let sc_interface_version = knows_tlvs(interface_version).then_some(self.version);
        let response = BindResp { system_id, sc_interface_version };
        let header = answer(kind.command(), CommandStatus::ESME_ROK, sequence);
        response.encode(header, self.output.writer());
        self.counters.pdus_out += 1;
        self.state = State::Bound { kind };
    }

    /// MC: refuses the customer; the session closes once this is sent.
    pub fn refuse_bind(&mut self, status: CommandStatus) {
        let State::Deciding { kind, sequence, .. } = self.state else { return };
        let Role::Mc { system_id } = &self.role else { return };
        let response = BindResp { system_id, sc_interface_version: None };
        response.encode(answer(kind.command(), status, sequence), self.output.writer());
        self.counters.pdus_out += 1;
        self.close(CloseReason::BindRefused(status));
    }

    /// MC: what the answers to submissions say of our load from now on, 0 idle to 99 congested (5.0 §4.8.4.18); only
    /// customers that bound with 5.0 are told. `None`: nothing.
    pub fn set_congestion_state(&mut self, state: Option<u8>) {
        self.congestion_state = state.map(|state| state.min(CONGESTION_STATE_MAX));
    }

    /// MC: answers a `submit_sm`. `message_id` is ours; it is left out with an error.
    #[inline]
    pub fn answer_submit(&mut self, sequence: Sequence, status: CommandStatus, message_id: &[u8]) {
        self.answer_sm(answer(CommandId::SUBMIT_SM, status, sequence), message_id);
    }

    /// ESME: answers a `deliver_sm`, with an empty id (§4.6.2).
    #[inline]
    pub fn answer_deliver(&mut self, sequence: Sequence, status: CommandStatus) {
        self.answer_sm(answer(CommandId::DELIVER_SM, status, sequence), &[]);
    }

    /// Either: answers a `data_sm`.
    pub fn answer_data(&mut self, sequence: Sequence, status: CommandStatus, message_id: &[u8]) {
        self.answer_sm(answer(CommandId::DATA_SM, status, sequence), message_id);
    }

    /// MC: answers a `query_sm`.
    pub fn answer_query(&mut self, sequence: Sequence, status: CommandStatus, response: &QuerySmResp<'_>) {
        if self.state != State::Closed {
            response.encode(answer(CommandId::QUERY_SM, status, sequence), self.output.writer());
            self.settle();
        }
    }

    /// MC: answers a `cancel_sm`.
    pub fn answer_cancel(&mut self, sequence: Sequence, status: CommandStatus) {
        if self.state != State::Closed {
            encode_header_only(answer(CommandId::CANCEL_SM, status, sequence), self.output.writer());
            self.settle();
        }
    }

    #[inline]
    fn answer_sm(&mut self, header: Header, message_id: &[u8]) {
        if self.state != State::Closed {
            self.refused_with.count(header.status);
            let start = self.output.writer().len();
            SmResp { message_id, tlvs: Tlvs::NONE }.encode(header, self.output.writer());
            if let Some(state) = self.congestion_state
                && self.version >= INTERFACE_VERSION_5_0
                && header.command != CommandId::DELIVER_SM_RESP
            {
                add_tlv(self.output.writer(), start, Tag::CONGESTION_STATE, &[state]);
            }
            self.settle();
        }
    }

    /// One answer less is owed.
    #[inline]
    fn settle(&mut self) {
        self.counters.pdus_out += 1;
        self.owed = self.owed.saturating_sub(1);
        self.advance_peer_unbind();
    }

    /// Answers the peer's `unbind` once neither side owes the other an answer: what is unanswered then is in doubt, and
    /// doubt costs more than a moment.
    #[inline]
    pub(super) fn advance_peer_unbind(&mut self) {
        if let State::PeerUnbinding { sequence, .. } = self.state
            && self.owed == 0
            && self.table.open_count() == 0
        {
            self.answer_unbind(sequence);
        }
    }

    /// Answers the peer's `unbind` and ends.
    pub(super) fn answer_unbind(&mut self, sequence: Sequence) {
        let header = answer(CommandId::UNBIND, CommandStatus::ESME_ROK, sequence);
        encode_header_only(header, self.output.writer());
        self.counters.pdus_out += 1;
        self.close(CloseReason::UnboundByPeer);
    }
}

/// Appends an optional parameter to the answer that starts at `start` and ends the output. One without a body gets an empty
/// id, or the parameter would be read as one.
#[cold]
fn add_tlv(out: &mut Vec<u8>, start: usize, tag: Tag, value: &[u8]) {
    if out.len() - start == HEADER_BYTES {
        out.push(0);
    }
    put_tlv(out, tag, value);
    end_pdu(out, start);
}

/// The header of the response to a request.
pub(super) const fn answer(request: CommandId, status: CommandStatus, sequence: Sequence) -> Header {
    Header { command: request.response(), status, sequence }
}
