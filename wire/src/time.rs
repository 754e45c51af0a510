//! Time, as an argument.
//!
//! The pure rooms read no clock. Whoever drives a machine hands it a [`Now`]: monotonic time for timers, wall time for
//! what is written down. `std::time::Instant` cannot be made from a number, so a simulator could not invent one; hence
//! our own.

use core::fmt;
use core::time::Duration;

/// A point of monotonic time: nanoseconds since an arbitrary start, the same for all threads of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The end of time: later than every timer.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// This instant moved by `by`; it stops at [`Instant::FAR_FUTURE`] instead of wrapping.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Wall time: milliseconds since 1970-01-01 UTC, without leap seconds. What records carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallMs(pub u64);

impl WallMs {
    /// This time moved by `by`, which counts in whole milliseconds.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// How long after `earlier` this is; zero when it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for WallMs {
    /// RFC 3339 in UTC with milliseconds, as `2026-11-23T03:02:55.120Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms_of_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (s, ms) = (ms_of_day / 1000, ms_of_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: eras of 400 years that start on
/// the first of March, so that the leap day is the last of its year.
pub(crate) const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The two clocks at one moment, as the shell read them (or the simulator made them up).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers.
    pub mono: Instant,
    /// For records. It may step; [`Now::mono`] may not.
    pub wall: WallMs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_prints_as_rfc_3339() {
        assert_eq!(WallMs(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(WallMs(951_782_400_007).to_string(), "2000-02-29T00:00:00.007Z");
        assert_eq!(WallMs(1_795_402_975_120).to_string(), "2026-11-23T03:02:55.120Z");
    }

    #[test]
    fn time_stops_at_its_end_instead_of_wrapping() {
        assert_eq!(Instant(u64::MAX - 1).plus(Duration::from_secs(1)), Instant::FAR_FUTURE);
        assert_eq!(Instant(5).since(Instant(9)), Duration::ZERO);
    }
}
