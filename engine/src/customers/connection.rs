//! One connection of a customer: a machine of its protocol, and what the shell has to know of it.

use shards::api::{Origin, Reply};
use wire::time::Instant;

use super::context::Context;
use super::http::HttpConnection;
use super::limits::{LAST_WORDS_WAIT, OUTPUT_BYTES_MAX, STALL_WAIT};
use super::native::{Liveness, NativeSession};
use super::smpp::SmppSession;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) machine: Machine,
    pub(super) output: Vec<u8>,
    /// Since when the output waits for the shell without any of it being taken.
    pub(super) output_since: Instant,
    /// When its timer is set for; never later than its deadline.
    pub(super) armed: Instant,
    /// Since when all is said.
    pub(super) ending: Option<Instant>,
    /// Whether the shell was told to close it at once.
    pub(super) given_up: bool,
    pub(super) touched: bool,
    pub(super) listed: bool,
    pub(super) paused: bool,
}

#[derive(Debug)]
pub(super) enum Machine {
    Http(Box<HttpConnection>),
    Native(Box<NativeSession>),
    Smpp(Box<SmppSession>),
}

impl Connection {
    pub(super) const fn new(machine: Machine, now: Instant) -> Self {
        Self {
            machine,
            output: Vec::new(),
            output_since: now,
            armed: Instant::FAR_FUTURE,
            ending: None,
            given_up: false,
            touched: false,
            listed: false,
            paused: false,
        }
    }

    pub(super) fn touch(&mut self, id: u64, touched: &mut Vec<u64>) {
        if !self.touched {
            self.touched = true;
            touched.push(id);
        }
    }

    pub(super) fn has_room(&self) -> bool {
        let machine_reads = match &self.machine {
            Machine::Http(http) => http.wants_reading(),
            Machine::Native(_) => true,
            Machine::Smpp(smpp) => smpp.wants_reading(),
        };
        // What ends is read so that its end is seen.
        self.ending.is_some() || machine_reads && self.output.len() < OUTPUT_BYTES_MAX
    }

    pub(super) fn stall_deadline(&self) -> Instant {
        if self.output.is_empty() { Instant::FAR_FUTURE } else { self.output_since.plus(STALL_WAIT) }
    }

    pub(super) fn deadline(&self) -> Instant {
        let machine = match &self.machine {
            // Full output holds everything up but the stall.
            _ if self.output.len() >= OUTPUT_BYTES_MAX => Instant::FAR_FUTURE,
            Machine::Http(http) => http.deadline(),
            Machine::Native(native) => native.deadline(),
            Machine::Smpp(smpp) => smpp.deadline(),
        };
        match self.ending {
            _ if self.given_up => Instant::FAR_FUTURE,
            Some(since) => since.plus(LAST_WORDS_WAIT),
            None => machine.min(self.stall_deadline()),
        }
    }
}

impl Machine {
    pub(super) fn turn_away(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http(http) => http.turn_away(cx),
            Self::Native(native) => native.turn_away(cx),
            Self::Smpp(smpp) => smpp.turn_away(cx),
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Liveness {
        match self {
            Self::Http(http) => {
                http.handle_timeout(cx);
                Liveness::Alive
            }
            Self::Native(native) => native.handle_timeout(cx),
            Self::Smpp(smpp) => smpp.handle_timeout(cx),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Http(http) => http.is_over(),
            Self::Native(native) => native.is_over(),
            Self::Smpp(smpp) => smpp.is_over(),
        }
    }

    /// Whether it waits for the brain, or has more to say than its output.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Http(http) => http.is_unanswered(),
            Self::Native(native) => native.is_unanswered() || !native.is_over(),
            Self::Smpp(smpp) => smpp.is_unanswered() || !smpp.is_over(),
        }
    }

    pub(super) fn receive(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        match self {
            Self::Http(http) => http.receive(bytes, cx),
            Self::Native(native) => native.receive(bytes, cx),
            Self::Smpp(smpp) => smpp.receive(bytes, cx),
        }
    }

    pub(super) fn receive_end(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http(http) => http.receive_end(cx.now.mono),
            Self::Native(native) => native.receive_end(cx),
            Self::Smpp(smpp) => smpp.receive_end(),
        }
    }

    pub(super) fn abandon(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http(http) => http.abandon(cx),
            Self::Native(native) => native.abandon(cx),
            Self::Smpp(smpp) => smpp.abandon(cx),
        }
    }

    pub(super) fn reply(&mut self, origin: Origin, reply: Reply, cx: &mut Context<'_>) {
        match self {
            Self::Http(http) => http.reply(origin.request, reply, cx.now.mono),
            Self::Native(native) => native.reply(origin.request, reply, cx),
            Self::Smpp(smpp) => smpp.reply(origin.request, reply, cx),
        }
    }

    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http(http) => http.settle(cx),
            Self::Native(native) => native.settle(cx),
            Self::Smpp(smpp) => smpp.settle(cx),
        }
    }
}
