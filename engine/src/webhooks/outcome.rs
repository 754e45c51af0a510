//! What became of a post: what its server said, or what happened on the way.

use core::time::Duration;

use wire::time::WallMs;

use super::limits::RETRY_AFTER_MAX;

/// What became of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has it.
    Taken,
    /// It has it not, as far as we know.
    NotTaken(Trouble),
}

/// Why a post was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What sort of trouble it is.
    pub(super) kind: Kind,
    /// The same for people.
    pub(super) words: String,
    /// How long the server asks us to wait.
    pub(super) retry_after: Option<Duration>,
}

/// What sort of trouble there is with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 4xx: it does not want this post, or does not know us.
    Refused,
    /// 410: there is no such server any more.
    Gone,
    /// 408, 429 and 5xx: not now.
    Failed,
    /// 3xx: it is elsewhere, where we do not follow.
    Redirected,
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// Its certificate, or its TLS, is not good.
    Tls,
    /// It does not speak HTTP.
    Broken,
}

impl Kind {
    /// All of them, in the order of their places.
    pub(crate) const ALL: [Self; 8] = [
        Self::Refused,
        Self::Gone,
        Self::Failed,
        Self::Redirected,
        Self::TimedOut,
        Self::Unreachable,
        Self::Tls,
        Self::Broken,
    ];

    /// Its name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Redirected => "redirected",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Broken => "broken",
        }
    }

    /// Whether it may be about what is in the post.
    pub(super) const fn may_be_about_the_post(self) -> bool {
        matches!(self, Self::Refused)
    }
}

impl Outcome {
    /// The outcome of a post that was answered with this status, at this time.
    pub(super) fn of_status(status: u16, retry_after: Option<&str>, now: WallMs) -> Self {
        let kind = match status {
            200..=299 => return Self::Taken,
            300..=399 => Kind::Redirected,
            410 => Kind::Gone,
            408 | 429 | 500..=599 => Kind::Failed,
            400..=499 => Kind::Refused,
            _ => Kind::Broken,
        };
        let advice = match kind {
            Kind::Redirected => ": redirects are not followed; write the URL to which it points",
            Kind::Gone => ": it says that it is gone for good; take the webhook out if that is so",
            _ => "",
        };
        let retry_after = retry_after.and_then(|text| wait_of(text, now));
        Self::NotTaken(Trouble { kind, words: format!("answered {status}{advice}"), retry_after })
    }

    /// The outcome of a post that was not answered.
    pub(super) fn unanswered(kind: Kind, words: impl Into<String>) -> Self {
        Self::NotTaken(Trouble { kind, words: words.into(), retry_after: None })
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date. What is neither is passed over.
fn wait_of(text: &str, now: WallMs) -> Option<Duration> {
    let wait = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::from_secs(date_of(text.trim())?).saturating_sub(Duration::from_millis(now.0)),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 of an `IMF-fixdate` (RFC 9110 section 5.6.7), as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date_of(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = 1 + MONTHS.iter().position(|name| *name == month)? as u64;
    let number = |text: &str| text.parse::<u64>().ok();
    let (day, year) = (number(day)?, number(year)?);
    let clock: Vec<u64> = time.split(':').map(number).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    if !(1970..=9999).contains(&year)
        || !(1..=31).contains(&day)
        || hours > 23
        || minutes > 59
        || seconds > 60
    {
        return None;
    }
    // Years begin in March, so that the leap day is their last one (Howard Hinnant, `days_from_civil`).
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1970;
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

/// From the first of March of the year 0 to the first of January 1970.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(status: u16) -> Option<Kind> {
        match Outcome::of_status(status, None, WallMs(0)) {
            Outcome::Taken => None,
            Outcome::NotTaken(trouble) => Some(trouble.kind),
        }
    }

    #[test]
    fn a_status_says_whether_it_was_taken_and_whose_trouble_it_is() {
        for (status, kind) in [
            (200, None),
            (204, None),
            (299, None),
            (301, Some(Kind::Redirected)),
            (308, Some(Kind::Redirected)),
            (400, Some(Kind::Refused)),
            (401, Some(Kind::Refused)),
            (408, Some(Kind::Failed)),
            (410, Some(Kind::Gone)),
            (413, Some(Kind::Refused)),
            (429, Some(Kind::Failed)),
            (500, Some(Kind::Failed)),
            (503, Some(Kind::Failed)),
            (101, Some(Kind::Broken)),
            (999, Some(Kind::Broken)),
        ] {
            assert_eq!(kind_of(status), kind, "{status}");
        }
        assert_eq!(Kind::ALL.map(|kind| kind as usize), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_wait_is_heard_in_both_forms_and_within_bounds() {
        let now = WallMs(784_111_777_000);
        let wait = |text: &str| match Outcome::of_status(503, Some(text), now) {
            Outcome::NotTaken(trouble) => trouble.retry_after.map(|wait| wait.as_secs()),
            Outcome::Taken => panic!("503"),
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("999999999"), Some(3600));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "it is over");
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3600));
        for nonsense in
            ["", "-1", "soon", "Sun, 06 Nov 1994", "Sun, 06 Foo 1994 08:49:37 GMT", "a b c d e GMT"]
        {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
        assert_eq!(date_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date_of("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    }
}
