//! The fates of a partition, in the order in which they are told.
//!
//! Each account has its own numbering in each partition, from 1. What was not acknowledged is told again, to whoever
//! asks, until the message is forgotten. Messages from handsets have their place in the same order, and are forgotten by
//! other rules: so what is forgotten may leave a hole.

use std::collections::VecDeque;

use wire::id::AccountId;

/// The fates of one account in one partition.
#[derive(Debug, Default)]
pub(crate) struct AccountFates {
    /// The number of the last fate; 0 before the first.
    last: u64,
    /// Numbers and slots of finished messages, neither acknowledged nor forgotten. Numbers ascend, and nearly always by one.
    slots: VecDeque<(u64, u32)>,
    /// The last number that the customer acknowledged.
    pub(crate) acknowledged: u64,
    /// Fates that were forgotten before anybody acknowledged them.
    pub(crate) forgotten: u64,
}

impl AccountFates {
    /// The fates of a snapshot, in the order of their numbers, of which the last was `last`.
    pub(crate) fn restored(
        last: u64,
        slots: VecDeque<(u64, u32)>,
        acknowledged: u64,
        forgotten: u64,
    ) -> Option<Self> {
        let ascend = slots.iter().zip(slots.iter().skip(1)).all(|(one, next)| one.0 < next.0);
        let are_between = slots.front().is_none_or(|first| first.0 > acknowledged)
            && slots.back().is_none_or(|back| back.0 <= last);
        (ascend && are_between && acknowledged <= last).then_some(Self {
            last,
            slots,
            acknowledged,
            forgotten,
        })
    }

    /// The number of the last fate; 0 before the first.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// The number of the first that is neither acknowledged nor forgotten; behind the last when all are.
    pub(crate) fn first(&self) -> u64 {
        self.slots.front().map_or(self.last + 1, |&(number, _)| number)
    }

    /// The first fate from this number on: its number and slot.
    pub(crate) fn from(&self, number: u64) -> Option<(u64, u32)> {
        let place = self.place_of(number).unwrap_or_else(|next| next);
        self.slots.get(place).copied()
    }

    /// All, in their order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.slots.iter().copied()
    }

    /// Where a number is, or where it would be.
    fn place_of(&self, number: u64) -> Result<usize, usize> {
        let near = usize::try_from(number.saturating_sub(self.first())).unwrap_or(usize::MAX);
        match self.slots.get(near) {
            Some(&(found, _)) if found == number => Ok(near),
            _ => self.slots.binary_search_by_key(&number, |&(number, _)| number),
        }
    }
}

/// All accounts' fates. Few accounts have messages in one partition, so a sorted list serves.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    accounts: Vec<(AccountId, AccountFates)>,
}

impl Fates {
    pub(crate) fn of(&self, account: AccountId) -> Option<&AccountFates> {
        let place = self.accounts.binary_search_by_key(&account, |&(id, _)| id).ok()?;
        Some(&self.accounts[place].1)
    }

    fn of_mut(&mut self, account: AccountId) -> &mut AccountFates {
        let place = match self.accounts.binary_search_by_key(&account, |&(id, _)| id) {
            Ok(place) => place,
            Err(place) => {
                self.accounts.insert(place, (account, AccountFates::default()));
                place
            }
        };
        &mut self.accounts[place].1
    }

    /// Adds a fate and says its number.
    pub(crate) fn push(&mut self, account: AccountId, slot: u32) -> u64 {
        let fates = self.of_mut(account);
        fates.last += 1;
        fates.slots.push_back((fates.last, slot));
        fates.last
    }

    /// Nothing up to this number is told again: names the slots that are acknowledged by it.
    pub(crate) fn acknowledge(&mut self, account: AccountId, sequence: u64, mut with: impl FnMut(u32)) {
        let fates = self.of_mut(account);
        let sequence = sequence.min(fates.last);
        fates.acknowledged = fates.acknowledged.max(sequence);
        while let Some((_, slot)) = fates.slots.pop_front_if(|fate| fate.0 <= fates.acknowledged) {
            with(slot);
        }
    }

    /// The message of this fate is forgotten, acknowledged or not.
    pub(crate) fn forget(&mut self, account: AccountId, sequence: u64) {
        let fates = self.of_mut(account);
        if let Ok(place) = fates.place_of(sequence) {
            fates.slots.remove(place);
            fates.forgotten += 1;
        }
        assert!(sequence <= fates.last, "what is forgotten has had a number");
    }

    /// The fates that a snapshot has: of each account its numbers, and the slots in their order.
    pub(crate) fn restore(accounts: Vec<(AccountId, AccountFates)>) -> Option<Self> {
        let is_ordered = accounts.windows(2).all(|pair| pair[0].0 < pair[1].0);
        is_ordered.then_some(Self { accounts })
    }

    /// All accounts, in the order of their ids.
    pub(crate) fn all(&self) -> &[(AccountId, AccountFates)] {
        &self.accounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_acknowledged_stays() {
        let (mut fates, account) = (Fates::default(), AccountId(1));
        assert_eq!([7, 8, 9].map(|slot| fates.push(account, slot)), [1, 2, 3]);
        fates.acknowledge(account, 2, |_| {});
        let left = fates.of(account).unwrap();
        assert_eq!((left.first(), left.slots().count(), left.last()), (3, 1, 3));
        fates.forget(account, 1);
        fates.forget(account, 3);
        let left = fates.of(account).unwrap();
        assert_eq!((left.first(), left.forgotten, left.last()), (4, 1, 3));
        fates.acknowledge(account, 99, |_| {});
        assert_eq!(fates.push(account, 4), 4);
    }

    #[test]
    fn what_is_forgotten_out_of_its_turn_leaves_the_others() {
        let (mut fates, account) = (Fates::default(), AccountId(1));
        assert_eq!([7, 8, 9, 10].map(|slot| fates.push(account, slot)), [1, 2, 3, 4]);
        fates.forget(account, 2);
        fates.forget(account, 3);
        let left = fates.of(account).unwrap();
        assert_eq!((left.first(), left.last(), left.from(2), left.from(5)), (1, 4, Some((4, 10)), None));
        let mut acknowledged = Vec::new();
        fates.acknowledge(account, 1, |slot| acknowledged.push(slot));
        let left = fates.of(account).unwrap();
        assert_eq!((left.first(), left.forgotten, acknowledged), (4, 2, vec![7]));
        assert!(AccountFates::restored(4, left.slots().collect(), 1, 2).is_some());
        assert!(AccountFates::restored(3, left.slots().collect(), 1, 2).is_none());
        assert!(AccountFates::restored(4, left.slots().collect(), 4, 2).is_none());
    }
}
