//! Randomness for backoff, from a seed that the shell gives.

use core::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): enough for jitter, and the same from the same seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Where the stamps of slots begin anew.
    pub(crate) const fn stamps(&mut self) -> u16 {
        (self.next() >> 48) as u16
    }

    /// Between half of a wait and the whole of it.
    pub(crate) fn spread(&mut self, wait: Duration) -> Duration {
        let half = wait / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_nanos(self.next() % nanos)
    }

    /// A wait that doubles from `first` with every step, up to `longest`, spread.
    pub(crate) fn backoff(&mut self, (first, longest): (Duration, Duration), step: u32) -> Duration {
        let wait = first.saturating_mul(1_u32.checked_shl(step).unwrap_or(u32::MAX)).min(longest);
        self.spread(wait)
    }
}
