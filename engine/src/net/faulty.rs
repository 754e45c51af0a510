//! What a fault-injecting run does to received bytes: it copies them, cuts them up and lets some of them wait.

use std::collections::VecDeque;

use super::ConnId;
use crate::faults::{Dice, SocketFaults};

/// A piece of a connection's stream.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    /// The peer's end, in its place behind the bytes.
    End,
}

#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) faults: SocketFaults,
    dice: Dice,
    pieces: VecDeque<(ConnId, Piece)>,
    stalled: Vec<ConnId>,
    /// By the connection's index: bytes until it is reset.
    budgets: Vec<u64>,
}

impl Faulty {
    pub(super) fn new(faults: SocketFaults, dice: Dice) -> Self {
        Self { faults, dice, pieces: VecDeque::new(), stalled: Vec::new(), budgets: Vec::new() }
    }

    /// A connection begins.
    pub(super) fn begin(&mut self, conn: ConnId) {
        if self.budgets.len() <= conn.index() {
            self.budgets.resize(conn.index() + 1, u64::MAX);
        }
        self.budgets[conn.index()] = match self.faults.reset_after_bytes {
            0 => u64::MAX,
            about => self.dice.draw(about.saturating_mul(2)),
        };
    }

    /// Bytes moved on a connection; whether it has had its share and is to be reset.
    pub(super) fn spends(&mut self, conn: ConnId, bytes: usize) -> bool {
        let budget = &mut self.budgets[conn.index()];
        *budget = budget.saturating_sub(u64::try_from(bytes).expect("a length fits"));
        *budget == 0
    }

    /// Takes received bytes in; whether the connection stalls from here on, and its owner sets a timer for it.
    pub(super) fn takes(&mut self, conn: ConnId, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.cut(bytes.len()));
            self.pieces.push_back((conn, Piece::Bytes(now.to_vec())));
            bytes = later;
        }
        let every = u64::from(self.faults.stall_every);
        let stalls = every > 0 && self.dice.draw(every) == 1 && !self.stalled.contains(&conn);
        if stalls {
            self.stalled.push(conn);
        }
        stalls
    }

    /// The peer ended its side.
    pub(super) fn ends(&mut self, conn: ConnId) {
        self.pieces.push_back((conn, Piece::End));
    }

    /// A stall is over.
    pub(super) fn stall_over(&mut self, conn: ConnId) {
        self.stalled.retain(|stalled| *stalled != conn);
    }

    /// How many of `len` bytes move at once.
    pub(super) fn cut(&mut self, len: usize) -> usize {
        match self.faults.split {
            0 => len,
            split => len.min(usize::try_from(self.dice.draw(u64::from(split))).unwrap_or(len)),
        }
    }

    /// Whether there is a piece that does not wait.
    pub(super) fn has_pieces(&self) -> bool {
        self.pieces.iter().any(|(conn, _)| !self.stalled.contains(conn))
    }

    /// The next piece of a connection that is not stalled.
    pub(super) fn next(&mut self) -> Option<(ConnId, Piece)> {
        let at = self.pieces.iter().position(|(conn, _)| !self.stalled.contains(conn))?;
        self.pieces.remove(at)
    }
}
