//! Who is bound for an account, on all shards, and how a bind whose customer is gone makes room for one that is there.
//!
//! ```text
//!   shard 0                                 Binds                         shard 1
//!   a bind comes, and there is no room ─▶ the one that is silent longest ─▶ call: is it there? ─▶ enquire_link
//!        0x05 ◀──────────────────────────── call: it lives ◀────────────────── anything came
//!        bound ◀─────────────────────────── call: it is gone ◀──────────────── nothing, for SMPP_PROBE_WAIT
//! ```
//!
//! Nobody is thrown out who says anything: what is asked is a question that every customer answers at once. What is here is
//! touched when binds come and go, but for the time at which each was last heard, which is a word of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::id::ShardId;
use wire::smpp::BindKind;
use wire::time::Instant;

use super::super::limits::SMPP_SILENT_AFTER;

/// A connection of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The shard that has it.
    pub shard: ShardId,
    /// Its number there.
    pub connection: u64,
}

/// How many binds an account may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindLimits {
    /// Of all kinds together.
    pub all: u32,
    /// Transmitters.
    pub transmitters: u32,
    /// Receivers.
    pub receivers: u32,
    /// Transceivers.
    pub transceivers: u32,
}

impl BindLimits {
    const fn of(&self, kind: BindKind) -> u32 {
        match kind {
            BindKind::Transmitter => self.transmitters,
            BindKind::Receiver => self.receivers,
            BindKind::Transceiver => self.transceivers,
        }
    }
}

/// One bind.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) line: Line,
    kind: BindKind,
    /// When its customer was last heard, in nanoseconds of the node's monotonic clock.
    heard: AtomicU64,
}

impl Seat {
    /// Something came from its customer.
    pub(super) fn heard(&self, now: Instant) {
        // Whoever reads it looks for seconds of silence; a moment more or less does not matter.
        self.heard.store(now.0, Ordering::Relaxed);
    }
}

/// The binds of one account.
#[derive(Debug, Default)]
pub(super) struct Binds(Mutex<Vec<Taken>>);

#[derive(Debug)]
struct Taken {
    seat: Arc<Seat>,
    /// Who waits to hear whether it lives.
    asker: Option<Line>,
}

/// What came of asking for a place.
#[derive(Debug)]
pub(super) enum Entered {
    /// There was room.
    In(Arc<Seat>),
    /// There is none unless this bind is found to be gone, which is to be asked.
    Ask(Line),
    /// There is none, and all that could make room are there, or are being asked for somebody else.
    Full,
}

impl Binds {
    /// Takes a place, or names who is to be asked whether it is there.
    pub(super) fn enter(&self, line: Line, kind: BindKind, limits: &BindLimits, now: Instant) -> Entered {
        let mut taken = self.lock();
        let of_kind = taken.iter().filter(|taken| taken.seat.kind == kind).count();
        let kind_is_full = of_kind >= limits.of(kind) as usize;
        if !kind_is_full && taken.len() < limits.all as usize {
            let seat = Arc::new(Seat { line, kind, heard: AtomicU64::new(now.0) });
            taken.push(Taken { seat: Arc::clone(&seat), asker: None });
            return Entered::In(seat);
        }
        let makes_room = |other: &&mut Taken| {
            let silence = now.since(Instant(other.seat.heard.load(Ordering::Relaxed)));
            other.asker.is_none()
                && silence >= SMPP_SILENT_AFTER
                && (!kind_is_full || other.seat.kind == kind)
        };
        let silent = taken.iter_mut().filter(makes_room);
        match silent.min_by_key(|other| other.seat.heard.load(Ordering::Relaxed)) {
            Some(oldest) => {
                oldest.asker = Some(line);
                Entered::Ask(oldest.seat.line)
            }
            None => Entered::Full,
        }
    }

    /// A bind is gone; who waited for that.
    pub(super) fn leave(&self, seat: &Seat) -> Option<Line> {
        let mut taken = self.lock();
        let place = taken.iter().position(|taken| taken.seat.line == seat.line).expect("a bind leaves once");
        taken.swap_remove(place).asker
    }

    /// A bind is there; who waited to hear that.
    pub(super) fn lives(&self, seat: &Seat) -> Option<Line> {
        let mut taken = self.lock();
        taken.iter_mut().find(|taken| taken.seat.line == seat.line)?.asker.take()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Taken>> {
        // Whoever panics while it holds the lock takes the process along.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one shard asks another about a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Call {
    /// Is the customer of this connection there?
    Probe(u64),
    /// It is known for the bind that this connection asked about.
    Settled(u64),
}

/// The calls that wait for one shard.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    has_some: AtomicBool,
    calls: Mutex<Vec<Call>>,
}

impl Mailbox {
    /// Leaves a call. The shard is to be woken.
    pub(super) fn post(&self, call: Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        self.has_some.store(true, Ordering::Release);
    }

    /// Whether there is a call.
    pub(super) fn has_some(&self) -> bool {
        self.has_some.load(Ordering::Acquire)
    }

    /// Takes all calls.
    pub(super) fn take(&self) -> Vec<Call> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_some.store(false, Ordering::Release);
        std::mem::take(&mut calls)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const LIMITS: BindLimits = BindLimits { all: 3, transmitters: 3, receivers: 1, transceivers: 2 };

    fn line(connection: u64) -> Line {
        Line { shard: ShardId(0), connection }
    }

    fn at(seconds: u64) -> Instant {
        Instant(0).plus(Duration::from_secs(seconds))
    }

    fn seat(entered: Entered) -> Arc<Seat> {
        match entered {
            Entered::In(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_has_its_own_limit_and_all_have_one() {
        let binds = Binds::default();
        let enter = |connection, kind| binds.enter(line(connection), kind, &LIMITS, at(0));
        let receiver = seat(enter(1, BindKind::Receiver));
        assert!(matches!(enter(2, BindKind::Receiver), Entered::Full));
        seat(enter(3, BindKind::Transceiver));
        seat(enter(4, BindKind::Transceiver));
        assert!(matches!(enter(5, BindKind::Transmitter), Entered::Full));
        assert_eq!(binds.leave(&receiver), None);
        seat(enter(5, BindKind::Transmitter));
    }

    #[test]
    fn the_one_that_is_silent_longest_is_asked_and_each_for_one_asker_only() {
        let binds = Binds::default();
        let enter = |connection, kind, seconds| binds.enter(line(connection), kind, &LIMITS, at(seconds));
        let seats = [1, 2].map(|connection| seat(enter(connection, BindKind::Transceiver, connection)));
        let transmitter = seat(enter(3, BindKind::Transmitter, 0));
        seats[0].heard(at(50));
        transmitter.heard(at(10));
        assert!(matches!(enter(4, BindKind::Transceiver, 100), Entered::Ask(asked) if asked == line(2)));
        assert!(matches!(enter(5, BindKind::Transceiver, 100), Entered::Ask(asked) if asked == line(1)));
        assert!(
            matches!(enter(6, BindKind::Transceiver, 100), Entered::Full),
            "a transmitter makes no room where transceivers are too many"
        );
        assert!(matches!(enter(7, BindKind::Receiver, 100), Entered::Ask(asked) if asked == line(3)));
        assert_eq!(binds.lives(&seats[1]), Some(line(4)));
        assert_eq!(binds.lives(&seats[1]), None);
        assert_eq!(binds.leave(&seats[0]), Some(line(5)));
        seats[1].heard(at(100));
        assert!(matches!(enter(8, BindKind::Receiver, 100), Entered::In(_)), "there is room again");
    }
}
