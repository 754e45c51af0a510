//! A connection between a link and a carrier, as TCP has it.
//!
//! ```text
//!   brain ─ taken ─▶ shell ─ send ─▶ kernel ─ arrive ─▶ carrier's session
//!   brain ◀─────────── arrive ──────── kernel ◀───────── its pending bytes
//! ```
//!
//! Bytes keep their order; they are split anywhere, wait for any time, and are gone when the connection breaks, also
//! those that the kernel had taken. Which submissions the kernel had whole is what the judge is told.

use std::collections::VecDeque;

use shards::LinkId;
use wire::smpp::command::CommandId;
use wire::smpp::header::split_pdu;
use wire::smpp::limits::PDU_BYTES_MAX;
use wire::smpp::session::Session;
use wire::smpp::sm::Sm;
use wire::text::Narrow;

use crate::node::Seat;
use crate::parcel::Parcel;

/// Bytes under way in one direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) bytes: VecDeque<u8>,
    /// Nothing arrives before.
    pub(crate) stalled_until: u64,
    /// Whether an arrival is planned.
    pub(crate) armed: bool,
    /// The stream ends behind what is there: what is sent from now on is taken, and never arrives.
    pub(crate) cut: bool,
}

impl Pipe {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.cut {
            self.bytes.extend(bytes);
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count).collect()
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) life: u32,
    pub(crate) core: Seat,
    pub(crate) link: LinkId,
    pub(crate) carrier: usize,
    /// Taken from the brain, and not the kernel's yet.
    pub(crate) shell: VecDeque<u8>,
    pub(crate) sending: bool,
    /// The brain asked to close when all is sent.
    pub(crate) closing: bool,
    /// Bytes that the kernel has taken.
    pub(crate) written: u64,
    pub(crate) to_carrier: Pipe,
    pub(crate) to_node: Pipe,
    /// Each end is there until it learned that the connection is gone.
    pub(crate) node_has_it: bool,
    pub(crate) carrier_has_it: bool,
    /// Nothing arrives any more, though neither end knows.
    pub(crate) dead: bool,
    pub(crate) session: Session,
    /// Which of its core's binds with the carrier it belongs to: the two connections of a pair have one.
    pub(crate) bind: u16,
    pub(crate) timer_at: Option<u64>,
    pub(crate) cutter: Cutter,
    /// The carrier is to hear only whole PDUs of this: used when the network drops some.
    pub(crate) filter: Cutter,
}

/// Cuts a stream into its PDUs.
#[derive(Debug)]
pub(crate) struct Cutter {
    stream: Vec<u8>,
    /// The narrow alphabet of the carrier that hears it.
    narrow: Narrow,
}

impl Cutter {
    pub(crate) const fn new(narrow: Narrow) -> Self {
        Self { stream: Vec::new(), narrow }
    }

    /// More bytes of the stream; `each` gets every PDU that is whole now, with what it carries if it is a submission.
    pub(crate) fn push(
        &mut self,
        bytes: impl IntoIterator<Item = u8>,
        mut each: impl FnMut(&[u8], Option<Parcel>),
    ) {
        self.stream.extend(bytes);
        let mut at = 0;
        while let Ok(Some((header, body))) = split_pdu(&self.stream[at..], PDU_BYTES_MAX) {
            let whole = wire::smpp::limits::HEADER_BYTES + body.len();
            let is_submission = header.command == CommandId::SUBMIT_SM;
            let parcel = is_submission
                .then(|| Sm::decode(body).ok().and_then(|sm| Parcel::read(&sm, self.narrow)))
                .flatten();
            each(&self.stream[at..at + whole], parcel);
            at += whole;
        }
        self.stream.drain(..at);
    }
}
