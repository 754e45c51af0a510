//! Time formats: `validity_period` and `schedule_delivery_time` (SMPP 3.4 §7.1.1), and the dates of receipts.
//!
//! ```text
//! YYMMDDhhmmsstnnp   p = '+' or '-': absolute, local time and its offset from UTC in quarters of an hour
//! YYMMDDhhmmsstnnR   p = 'R': from now on
//! ```
//!
//! Fifteen characters are read too (the tenth of a second left out), and absolute times without an offset as UTC.

use core::time::Duration;

use thiserror::Error;

use crate::time::{WallMs, civil_from_days};

/// A field that is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a time as YYMMDDhhmmsstnnp (SMPP 3.4 §7.1.1)")]
pub struct TimeError;

/// A time of a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmppTime {
    /// From the moment at which it is received. A month counts as 30 days, a year as 365.
    Relative(Duration),
    /// In wall time.
    Absolute(WallMs),
}

impl SmppTime {
    /// Reads a field; `None` when it is empty: the default.
    ///
    /// # Errors
    /// [`TimeError`] when it is something else than a time.
    pub fn read(field: &[u8]) -> Result<Option<Self>, TimeError> {
        let (digits, tail) = match field.len() {
            0 => return Ok(None),
            12 => (field, &[][..]),
            15 | 16 => field.split_at(12),
            _ => return Err(TimeError),
        };
        let mut parts = [0_u64; 6];
        for (part, pair) in parts.iter_mut().zip(digits.chunks_exact(2)) {
            *part = two_digits(pair)?;
        }
        match *tail {
            [.., b'R'] => Ok(Some(Self::Relative(relative(parts)))),
            [] => Ok(Some(Self::Absolute(absolute(parts, 0)?))),
            [.., high, low, sign @ (b'+' | b'-')] => {
                let quarters = i64::try_from(two_digits(&[high, low])?).map_err(|_| TimeError)?;
                let minutes = if sign == b'+' { quarters * 15 } else { quarters * -15 };
                Ok(Some(Self::Absolute(absolute(parts, minutes)?)))
            }
            _ => Err(TimeError),
        }
    }

    /// How long it is from `now`; zero when it is over.
    #[must_use]
    pub const fn from_now(self, now: WallMs) -> Duration {
        match self {
            Self::Relative(duration) => duration,
            Self::Absolute(at) => at.since(now),
        }
    }
}

/// A relative time for a PDU, in whole seconds, at most 99 days (`DDhhmmss`; months and years are of no fixed length).
#[must_use]
pub fn relative_time(duration: Duration) -> [u8; 16] {
    let seconds = duration.as_secs().min(100 * 86_400 - 1);
    let mut field = *b"000000000000000R";
    let parts = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    for (place, part) in field[4..12].chunks_exact_mut(2).zip(parts) {
        place.copy_from_slice(&digits(part));
    }
    // Thirty days are a month to whoever counts days of a month: 30 to 98 days do not fit in DD for them.
    if seconds >= 30 * 86_400 {
        let days = seconds / 86_400;
        field[2..4].copy_from_slice(&digits(days / 30));
        field[4..6].copy_from_slice(&digits(days % 30));
    }
    field
}

/// An absolute time for a PDU, in UTC (§7.1.1).
#[must_use]
pub fn absolute_time(at: WallMs) -> [u8; 16] {
    let (year, month, day) = civil_from_days(at.0 / 86_400_000);
    let second_of_day = at.0 / 1000 % 86_400;
    let parts = [year % 100, month, day, second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60];
    let mut field = *b"000000000000000+";
    for (place, part) in field[..12].chunks_exact_mut(2).zip(parts) {
        place.copy_from_slice(&digits(part));
    }
    field[12] = b'0' + u8::try_from(at.0 / 100 % 10).unwrap_or(0);
    field
}

/// Appends a receipt's date, `YYMMDDhhmm` in UTC (Appendix B).
pub fn put_minutes(out: &mut Vec<u8>, at: WallMs) {
    let (year, month, day) = civil_from_days(at.0 / 86_400_000);
    let minute_of_day = at.0 / 60_000 % 1440;
    for part in [year % 100, month, day, minute_of_day / 60, minute_of_day % 60] {
        out.extend_from_slice(&digits(part));
    }
}

/// The last two digits of `number`.
fn digits(number: u64) -> [u8; 2] {
    let number = u8::try_from(number % 100).unwrap_or(0);
    [b'0' + number / 10, b'0' + number % 10]
}

fn two_digits(pair: &[u8]) -> Result<u64, TimeError> {
    match *pair {
        [high @ b'0'..=b'9', low @ b'0'..=b'9'] => Ok(u64::from(high - b'0') * 10 + u64::from(low - b'0')),
        _ => Err(TimeError),
    }
}

fn relative([years, months, days, hours, minutes, seconds]: [u64; 6]) -> Duration {
    let days = years * 365 + months * 30 + days;
    Duration::from_secs(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// UTC offset in minutes: local time is that much ahead.
fn absolute(
    [year, month, day, hour, minute, second]: [u64; 6],
    offset_minutes: i64,
) -> Result<WallMs, TimeError> {
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !in_range {
        return Err(TimeError);
    }
    let seconds = ((days_from_2000(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    let seconds = 946_684_800 + seconds;
    let seconds = seconds.checked_add_signed(-offset_minutes * 60).ok_or(TimeError)?;
    Ok(WallMs(seconds * 1000))
}

/// Days from 2000-01-01 to a day of the years 2000 to 2099, in which each fourth year has a leap day.
fn days_from_2000(year: u64, month: u64, day: u64) -> u64 {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days = year.div_ceil(4) + if month > 2 && year.is_multiple_of(4) { 1 } else { 0 };
    let before_month = BEFORE_MONTH[usize::try_from(month - 1).unwrap_or(0)];
    year * 365 + leap_days + before_month + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_times_are_read_back() {
        for seconds in [0, 1, 300, 86_399, 86_400, 12 * 3600, 29 * 86_400, 45 * 86_400 + 7, 99 * 86_400] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(SmppTime::read(&relative_time(duration)), Ok(Some(SmppTime::Relative(duration))));
        }
        assert_eq!(&relative_time(Duration::from_secs(300)), b"000000000500000R");
    }

    #[test]
    fn absolute_times_know_their_quarter_hours() {
        let check = |field: &str, ms| {
            assert_eq!(SmppTime::read(field.as_bytes()), Ok(Some(SmppTime::Absolute(WallMs(ms)))), "{field}");
        };
        check("261123030255000+", 1_795_402_975_000);
        check("261123083255022+", 1_795_402_975_000); // UTC+5:30
        check("26112308325522+", 1_795_402_975_000); // fifteen characters
        check("000229120000000+", 951_825_600_000);
        check("261122220255020-", 1_795_402_975_000);
        check("261123030255", 1_795_402_975_000);
    }

    #[test]
    fn an_absolute_time_is_read_back() {
        let at = WallMs(1_795_402_975_000);
        assert_eq!(&absolute_time(at.plus(Duration::from_millis(300))), b"261123030255300+");
        assert_eq!(SmppTime::read(&absolute_time(at)), Ok(Some(SmppTime::Absolute(at))));
    }

    #[test]
    fn what_is_no_time_is_an_error() {
        assert_eq!(SmppTime::read(b""), Ok(None));
        for field in ["1", "0000000000000000R", "00000000000000xx", "261323030255000+", "abcdefghijkl000R"] {
            assert_eq!(SmppTime::read(field.as_bytes()), Err(TimeError), "{field}");
        }
    }

    #[test]
    fn a_receipts_date_counts_minutes() {
        let mut out = Vec::new();
        put_minutes(&mut out, WallMs(1_795_402_975_120));
        assert_eq!(out, b"2611230302");
    }
}
