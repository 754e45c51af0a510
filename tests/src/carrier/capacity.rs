//! What a carrier can take in a second: beyond it, it asks for less.

use wire::smpp::status::CommandStatus;

use crate::swarm::S;

/// A bucket of half a second, which most carriers have or more, and a long message.
#[derive(Clone, Debug)]
pub(crate) struct Capacity {
    pub(crate) per_s: u64,
    /// Segments times the nanoseconds of a second.
    level: u64,
    at: u64,
    /// What it saw.
    pub(crate) seen: Seen,
}

/// What a carrier with a capacity saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) taken: u64,
    pub(crate) throttled: u64,
    /// When it asked for less for the first time.
    pub(crate) first_throttled: Option<u64>,
    /// When it took the last one.
    pub(crate) last_taken: u64,
    /// What it took after it had asked for less.
    pub(crate) taken_after: u64,
}

/// Whether a submission is one of those by which the engine is judged: not one that came later, when there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Yes,
    No,
}

impl Capacity {
    pub(crate) fn new(per_s: u64) -> Self {
        let full = Self::full(per_s);
        Self { per_s, level: full, at: 0, seen: Seen::default() }
    }

    const fn full(per_s: u64) -> u64 {
        (per_s / 2 + 6) * S
    }

    /// The status with which a submission is refused; `None`: there is room for it.
    pub(crate) fn refuses(&mut self, now: u64, counts: Counts) -> Option<CommandStatus> {
        self.level = (self.level + (now - self.at) * self.per_s).min(Self::full(self.per_s));
        self.at = now;
        if self.level >= S {
            self.level -= S;
            if counts == Counts::Yes {
                self.seen.taken += 1;
                self.seen.last_taken = now;
                self.seen.taken_after += u64::from(self.seen.first_throttled.is_some());
            }
            return None;
        }
        self.seen.throttled += 1;
        self.seen.first_throttled.get_or_insert(now);
        Some(CommandStatus::ESME_RTHROTTLED)
    }
}
