//! Which errors there were and how often: a bounded table, since a peer chooses the codes.

use super::limits::STATUSES_KEPT;
use super::status::CommandStatus;

/// Statuses that were not `ESME_ROK`, each with its count: the first [`STATUSES_KEPT`] kinds by their codes, those that came
/// after these in one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    kinds: [(u32, u64); STATUSES_KEPT],
    others: u64,
}

impl Statuses {
    /// Counts a status; `ESME_ROK` is no error.
    #[inline]
    pub fn count(&mut self, status: CommandStatus) {
        if !status.is_ok() {
            self.count_error(status);
        }
    }

    #[cold]
    fn count_error(&mut self, status: CommandStatus) {
        // Zero is ESME_ROK, so it marks a free place.
        let place = self.kinds.iter_mut().find(|(code, _)| *code == status.0 || *code == 0);
        match place {
            Some((code, count)) => (*code, *count) = (status.0, *count + 1),
            None => self.others += 1,
        }
    }

    /// Those that have a place, the most frequent first.
    #[must_use]
    pub fn kinds(&self) -> Vec<(CommandStatus, u64)> {
        let kinds = self.kinds.iter().filter(|(code, _)| *code != 0);
        let mut kinds: Vec<_> = kinds.map(|&(code, count)| (CommandStatus(code), count)).collect();
        kinds.sort_by_key(|&(status, count)| (core::cmp::Reverse(count), status.0));
        kinds
    }

    /// How many had no place.
    #[must_use]
    pub const fn others(&self) -> u64 {
        self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_comes_first_and_what_has_no_place_is_counted() {
        let mut statuses = Statuses::default();
        statuses.count(CommandStatus::ESME_ROK);
        assert_eq!(statuses, Statuses::default());
        for status in [0x14, 0x58, 0x58] {
            statuses.count(CommandStatus(status));
        }
        assert_eq!(statuses.kinds(), [(CommandStatus(0x58), 2), (CommandStatus(0x14), 1)]);
        for status in 0x400..0x440 {
            statuses.count(CommandStatus(status));
        }
        assert_eq!(statuses.kinds().len(), STATUSES_KEPT);
        assert_eq!(statuses.others(), 64 + 2 - STATUSES_KEPT as u64);
    }
}
