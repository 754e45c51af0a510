//! The fates of a partition, in the order in which they are told.
//!
//! Each account has its own numbering in each partition, from 1. What was not acknowledged is told again, to whoever
//! asks, until the message is forgotten.

use std::collections::VecDeque;

use wire::id::AccountId;

/// The fates of one account in one partition.
#[derive(Debug, Default)]
pub(crate) struct AccountFates {
    /// The number of the first slot in `slots`; all below are acknowledged or forgotten.
    pub(crate) first: u64,
    /// The slots of finished messages.
    pub(crate) slots: VecDeque<u32>,
    /// The last number that the customer acknowledged.
    pub(crate) acknowledged: u64,
    /// Fates that were forgotten before anybody acknowledged them.
    pub(crate) forgotten: u64,
}

impl AccountFates {
    /// The number of the last fate; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.slots.len() as u64 - 1
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
                self.accounts.insert(place, (account, AccountFates { first: 1, ..AccountFates::default() }));
                place
            }
        };
        &mut self.accounts[place].1
    }

    /// Adds a fate and says its number.
    pub(crate) fn push(&mut self, account: AccountId, slot: u32) -> u64 {
        let fates = self.of_mut(account);
        fates.slots.push_back(slot);
        fates.last()
    }

    /// Nothing up to this number is told again.
    pub(crate) fn acknowledge(&mut self, account: AccountId, sequence: u64) {
        let fates = self.of_mut(account);
        let sequence = sequence.min(fates.last());
        fates.acknowledged = fates.acknowledged.max(sequence);
        while fates.first <= fates.acknowledged && fates.slots.pop_front().is_some() {
            fates.first += 1;
        }
    }

    /// The message of this fate is forgotten, the oldest of its account that was left.
    pub(crate) fn forget(&mut self, account: AccountId, sequence: u64) {
        let fates = self.of_mut(account);
        if fates.first == sequence {
            fates.slots.pop_front().expect("first names the front");
            fates.first += 1;
            fates.forgotten += 1;
        }
        assert!(fates.first > sequence, "fates are forgotten in their order");
    }

    /// The fates that a snapshot has: of each account its numbers, and the slots in their order.
    pub(crate) fn restore(accounts: Vec<(AccountId, AccountFates)>) -> Option<Self> {
        let is_ordered = accounts.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let are_numbered = accounts.iter().all(|(_, fates)| fates.first > fates.acknowledged);
        (is_ordered && are_numbered).then_some(Self { accounts })
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
        fates.acknowledge(account, 2);
        let left = fates.of(account).unwrap();
        assert_eq!((left.first, left.slots.len(), left.last()), (3, 1, 3));
        fates.forget(account, 1);
        fates.forget(account, 3);
        let left = fates.of(account).unwrap();
        assert_eq!((left.first, left.forgotten, left.last()), (4, 1, 3));
        fates.acknowledge(account, 99);
        assert_eq!(fates.push(account, 4), 4);
    }
}
