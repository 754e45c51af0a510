//! What passes over a session, for an operator who looks on.
//!
//! ```text
//!   input   ▓▓▓▓▓▓▓▓│░░░░░░   framed, and not looked at │ not framed
//!           ▲ seen          what is framed is copied before it is dropped
//! ```
//!
//! A session that nobody looks at has no tap, and pays one look at an `Option` for each piece of bytes that comes or goes, none
//! for a PDU. A tap holds whole PDUs as they were on the wire, at most [`TAP_BYTES_MAX`] in each direction; what is beyond that is
//! counted and gone.

use super::super::header::split_pdu;
use super::super::limits::{HEADER_BYTES, TAP_BYTES_MAX};
use super::Session;

/// What has passed since it was taken last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tapped {
    /// Whole PDUs that the peer has sent, one after the other.
    pub inbound: Vec<u8>,
    /// Whole PDUs that were queued for it.
    pub outbound: Vec<u8>,
    /// PDUs for which there was no room.
    pub dropped: u64,
}

impl Tapped {
    /// Whether nothing has passed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.inbound.is_empty() && self.outbound.is_empty() && self.dropped == 0
    }
}

/// One direction of a tapped session.
#[derive(Debug, Default)]
pub(super) struct Tap {
    bytes: Vec<u8>,
    dropped: u64,
}

impl Tap {
    /// Copies whole PDUs.
    pub(super) fn keep(&mut self, mut pdus: &[u8]) {
        while let Ok(Some((_, body))) = split_pdu(pdus, usize::MAX) {
            let (pdu, rest) = pdus.split_at(HEADER_BYTES + body.len());
            if self.bytes.len() + pdu.len() <= TAP_BYTES_MAX {
                self.bytes.extend_from_slice(pdu);
            } else {
                self.dropped += 1;
            }
            pdus = rest;
        }
    }

    fn take(&mut self) -> (Vec<u8>, u64) {
        (core::mem::take(&mut self.bytes), core::mem::take(&mut self.dropped))
    }
}

impl Session {
    /// Begins to keep what passes, or goes on.
    pub fn tap(&mut self) {
        self.input.tap();
        self.output.tap();
    }

    /// Keeps nothing any more.
    pub fn untap(&mut self) {
        self.input.untap();
        self.output.untap();
    }

    /// Takes what has passed since the last time. `None`: nothing, or there is no tap.
    pub fn take_tapped(&mut self) -> Option<Tapped> {
        let (inbound, missed) = self.input.tapped()?.take();
        let (outbound, dropped) = self.output.tapped()?.take();
        Some(Tapped { inbound, outbound, dropped: missed + dropped }).filter(|tapped| !tapped.is_empty())
    }
}
