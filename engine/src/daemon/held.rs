//! Customers that wait because the disk is slower than they are.
//!
//! ```text
//!   bytes ─▶ customers ─▶ brain: too much waits for the log ─▶ hold: what comes is kept, its connection is not read
//!                         brain: half of it is written      ─▶ what was kept goes on in its order, then reading
//! ```
//!
//! What is kept is at most what one turn received, so all that waits is bounded whatever customers do: the rest is in their
//! sockets, and then with them. Links to carriers are read on: their windows bound what they can say.

use std::collections::VecDeque;

use crate::net::ConnId;

/// What came from a customer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The end of them.
    End,
}

/// What customers sent and is not heard yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    holds: bool,
    kept: VecDeque<(ConnId, Piece)>,
    /// Connections that are not read because of it.
    unread: Vec<ConnId>,
}

impl Held {
    /// Keeps what comes from now on.
    pub(super) const fn hold(&mut self) {
        self.holds = true;
    }

    /// Whether what comes is to be kept: also while something is that came before it.
    pub(super) fn holds(&self) -> bool {
        self.holds || !self.kept.is_empty()
    }

    /// Whether bytes may pass nevertheless: a request that only asks, on a connection of which nothing is kept. Whoever looks at
    /// a node with a slow disk sees it.
    pub(super) fn passes(&self, conn: ConnId, bytes: &[u8]) -> bool {
        bytes.starts_with(b"GET ") && self.kept.iter().all(|(other, _)| *other != conn)
    }

    /// Keeps a piece. Its connection is not to be read.
    pub(super) fn keep(&mut self, conn: ConnId, piece: Piece) {
        self.kept.push_back((conn, piece));
        self.pause(conn);
    }

    /// A connection is not to be read.
    pub(super) fn pause(&mut self, conn: ConnId) {
        if !self.unread.contains(&conn) {
            self.unread.push(conn);
        }
    }

    /// The next piece to be heard.
    pub(super) fn next(&mut self) -> Option<(ConnId, Piece)> {
        self.holds = false;
        self.kept.pop_front()
    }

    /// The next connection that is to be read again, when all that was kept is heard.
    pub(super) fn resume(&mut self) -> Option<ConnId> {
        if self.holds() { None } else { self.unread.pop() }
    }

    /// A connection is gone, and what it sent with it: nobody was promised anything.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if !self.unread.is_empty() {
            self.kept.retain(|(other, _)| *other != conn);
            self.unread.retain(|other| *other != conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u64) -> ConnId {
        ConnId::from_u64(index)
    }

    fn bytes(text: &str) -> Piece {
        Piece::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn what_was_kept_is_heard_in_its_order_and_then_its_connections_are_read() {
        let mut held = Held::default();
        held.hold();
        held.keep(conn(1), bytes("a"));
        held.keep(conn(2), bytes("b"));
        held.keep(conn(1), Piece::End);
        assert_eq!(held.resume(), None);
        assert_eq!(held.next(), Some((conn(1), bytes("a"))));
        assert!(held.holds(), "what comes now comes after what is kept");
        held.forget(conn(2));
        assert_eq!((held.next(), held.next()), (Some((conn(1), Piece::End)), None));
        assert_eq!((held.resume(), held.resume()), (Some(conn(1)), None));
    }

    #[test]
    fn a_request_that_only_asks_passes_unless_something_was_before_it() {
        let mut held = Held::default();
        held.hold();
        held.keep(conn(1), bytes("POST"));
        assert!(held.passes(conn(2), b"GET /metrics"));
        assert!(!held.passes(conn(1), b"GET /metrics") && !held.passes(conn(2), b"POST /"));
    }
}
