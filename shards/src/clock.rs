//! The time that is written into records.
//!
//! It runs with the monotonic clock and leans towards the wall clock, so that it never goes back and never jumps: a
//! wall clock that was set by an hour makes no message expire an hour early. A large difference is counted as an alarm.

use core::time::Duration;

use wire::time::{Instant, Now, WallMs};

use crate::limits::CLOCK_JUMP;

/// How much of the passing time may be spent on leaning towards the wall clock: one part in ten.
const SLEW_PARTS: u64 = 10;

/// A shard's record clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordClock {
    last: Now,
    /// The latest monotonic time that was given, also within a millisecond.
    seen: Instant,
    /// Nanoseconds of monotonic time that did not make a whole millisecond yet.
    remainder_ns: u64,
    jumped: bool,
    jumps: u64,
}

impl RecordClock {
    /// Starts at the wall time of `now`, or at the last time that the log holds where that is later.
    pub(crate) fn start(now: Now, last_recorded: WallMs) -> Self {
        let wall = now.wall.max(last_recorded);
        Self { last: Now { mono: now.mono, wall }, seen: now.mono, remainder_ns: 0, jumped: false, jumps: 0 }
    }

    /// Moves record time up to what another node wrote, so that it does not go back in a partition.
    pub(crate) fn not_before(&mut self, recorded: WallMs) {
        self.last.wall = self.last.wall.max(recorded);
    }

    /// The record time at `now`; it never decreases.
    pub(crate) fn read(&mut self, now: Now) -> WallMs {
        self.seen = self.seen.max(now.mono);
        let nanos = u64::try_from(now.mono.since(self.last.mono).as_nanos()).unwrap_or(u64::MAX);
        let nanos = nanos.saturating_add(self.remainder_ns);
        let elapsed = nanos / 1_000_000;
        self.remainder_ns = nanos % 1_000_000;
        self.last.mono = self.last.mono.max(now.mono);
        if elapsed == 0 {
            return self.last.wall;
        }
        let ideal = self.last.wall.0.saturating_add(elapsed);
        let lean_max = elapsed / SLEW_PARTS;
        let time = if now.wall.0 >= ideal {
            ideal + (now.wall.0 - ideal).min(lean_max)
        } else {
            ideal - (ideal - now.wall.0).min(lean_max)
        };
        self.watch(ideal.abs_diff(now.wall.0));
        assert!(time >= self.last.wall.0, "record time went back");
        self.last.wall = WallMs(time);
        self.last.wall
    }

    /// The last reading, with the monotonic time at which it was taken.
    pub(crate) const fn last(&self) -> Now {
        Now { mono: self.seen, wall: self.last.wall }
    }

    /// When record time will be at `due`, by the last reading.
    pub(crate) fn instant_of(&self, due: WallMs) -> Instant {
        let whole = self.last.mono.plus(due.since(self.last.wall));
        Instant(whole.0.saturating_sub(self.remainder_ns)).max(self.last.mono)
    }

    /// How often the wall clock was found far away.
    pub(crate) const fn jumps(&self) -> u64 {
        self.jumps
    }

    fn watch(&mut self, difference_ms: u64) {
        let far = Duration::from_millis(difference_ms) > CLOCK_JUMP;
        self.jumps += u64::from(far && !self.jumped);
        self.jumped = far;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(mono_ms: u64, wall: u64) -> Now {
        Now { mono: Instant(mono_ms * 1_000_000), wall: WallMs(wall) }
    }

    #[test]
    fn a_wall_clock_that_jumps_moves_nothing_at_once() {
        let mut clock = RecordClock::start(at(0, 1_000_000), WallMs(0));
        assert_eq!(clock.read(at(10, 1_000_010)), WallMs(1_000_010));
        assert_eq!(clock.read(at(1_010, 9_000_000)), WallMs(1_001_110));
        assert_eq!(clock.jumps(), 1);
        assert_eq!(clock.read(at(2_010, 5)), WallMs(1_002_010));
        assert_eq!(clock.jumps(), 1);
    }

    #[test]
    fn it_goes_on_after_the_last_record_even_when_the_wall_clock_is_behind() {
        let mut clock = RecordClock::start(at(0, 50), WallMs(900));
        assert!(clock.read(at(100, 150)) >= WallMs(900));
    }

    #[test]
    fn many_short_turns_are_as_long_as_one_long_turn() {
        let mut clock = RecordClock::start(at(0, 0), WallMs(0));
        for step in 1..=10_000_u64 {
            let now = Now { mono: Instant(step * 333_333), wall: WallMs(step / 3) };
            clock.read(now);
        }
        assert!((3_300..=3_334).contains(&clock.last.wall.0), "{:?}", clock.last);
    }
}
