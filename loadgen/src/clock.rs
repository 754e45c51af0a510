//! The clock of a run: one origin for customers and carriers, so that a message's times can be subtracted.

use wire::time::{Instant, WallMs};

/// Reads monotonic time from the start of the run, and wall time for what the protocols print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// Time starts now.
    pub(crate) fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// Nanoseconds since the start of the run.
    pub(crate) fn now(&self) -> Instant {
        Instant::default().plus(self.origin.elapsed())
    }

    /// Wall time.
    pub(crate) fn wall() -> WallMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        WallMs(0).plus(since)
    }
}
