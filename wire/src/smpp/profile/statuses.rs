//! What a carrier's statuses mean, where the specification does not say or the carrier means something else.

use std::borrow::Cow;

use super::super::status::{CommandStatus, Verdict};

/// The meaning of a range of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRule {
    /// The first.
    pub first: CommandStatus,
    /// The last.
    pub last: CommandStatus,
    /// What they ask for. [`Verdict::Vendor`] takes an earlier meaning away.
    pub verdict: Verdict,
}

impl StatusRule {
    /// One status.
    #[must_use]
    pub const fn of(status: u32, verdict: Verdict) -> Self {
        Self { first: CommandStatus(status), last: CommandStatus(status), verdict }
    }

    /// All from `first` to `last`.
    #[must_use]
    pub const fn range(first: u32, last: u32, verdict: Verdict) -> Self {
        Self { first: CommandStatus(first), last: CommandStatus(last), verdict }
    }
}

/// The meanings of a carrier's statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// Looked at in order, before the specification: the first that has the status counts.
    pub rules: Cow<'static, [StatusRule]>,
    /// What a status means that neither a rule nor the specification has.
    pub others: Verdict,
}

impl Statuses {
    /// What the specification says, and a later try for all else: a message given up for a status that nobody explained
    /// is lost, one that is tried again is not.
    pub const SPECIFIED: Self = Self { rules: Cow::Borrowed(&[]), others: Verdict::Temporary };

    /// What a status means. [`Verdict::Ok`] for `ESME_ROK` alone, whatever the rules say: a refusal is never success.
    #[must_use]
    pub fn verdict(&self, status: CommandStatus) -> Verdict {
        if status.is_ok() {
            return Verdict::Ok;
        }
        let rule = self.rules.iter().find(|rule| (rule.first..=rule.last).contains(&status));
        match rule.map_or_else(|| status.verdict(), |rule| rule.verdict) {
            Verdict::Vendor | Verdict::Ok => self.others,
            verdict => verdict,
        }
    }
}
