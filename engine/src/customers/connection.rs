//! One connection of a customer: a machine of its protocol, and what the shell has to know of it.

use wire::time::Instant;

use super::context::Context;
use super::http::HttpConnection;
use super::limits::{LAST_WORDS_WAIT, OUTPUT_BYTES_MAX, STALL_WAIT};
use super::native::{Liveness, NativeSession};

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
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Liveness {
        match self {
            Self::Http(http) => {
                http.handle_timeout(cx);
                Liveness::Alive
            }
            Self::Native(native) => native.handle_timeout(cx),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Http(http) => http.is_over(),
            Self::Native(native) => native.is_over(),
        }
    }
}
