//! Receipts that came before the response which names their message.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use wal::record::Parked;
use wire::id::CarrierId;
use wire::msisdn::Msisdn;
use wire::time::WallMs;

use crate::state::digest::Digest;

/// The parked receipts of one partition. All wait equally long, so they expire in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct ParkedReceipts {
    by_number: VecDeque<Option<Parked>>,
    /// The number of the first in `by_number`.
    first: u64,
    index: HashTable<u64>,
    hasher: FixedState,
}

impl ParkedReceipts {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn insert(&mut self, parked: Parked) {
        let number = self.first + self.by_number.len() as u64;
        self.by_number.push_back(Some(parked));
        let Self { by_number, first, index, hasher } = self;
        let hash = hash_of(hasher, &parked);
        index.insert_unique(hash, number, |&other| {
            hash_of(hasher, entry(by_number, *first, other).expect("indexed receipts are there"))
        });
    }

    /// The oldest parked receipt of a segment.
    pub(crate) fn find(&self, carrier: CarrierId, receipt: u64, recipient: Msisdn) -> Option<&Parked> {
        let hash = self.hasher.hash_one((carrier.0, receipt, recipient.to_word()));
        let number = self.index.iter_hash(hash).copied().filter(|&number| {
            entry(&self.by_number, self.first, number)
                .is_some_and(|found| fits(found, carrier, receipt, recipient))
        });
        entry(&self.by_number, self.first, number.min()?)
    }

    /// Takes the oldest parked receipt of a segment out.
    pub(crate) fn remove(&mut self, carrier: CarrierId, receipt: u64, recipient: Msisdn) -> Option<Parked> {
        let hash = self.hasher.hash_one((carrier.0, receipt, recipient.to_word()));
        let number = self.index.iter_hash(hash).copied().filter(|&number| {
            entry(&self.by_number, self.first, number)
                .is_some_and(|found| fits(found, carrier, receipt, recipient))
        });
        let number = number.min()?;
        self.index.find_entry(hash, |&other| other == number).ok()?.remove();
        let place = usize::try_from(number - self.first).expect("within the queue");
        let found = self.by_number[place].take();
        while self.by_number.front().is_some_and(Option::is_none) {
            self.by_number.pop_front();
            self.first += 1;
        }
        found
    }

    /// The oldest, if its time is over.
    pub(crate) fn overdue(&self, now: WallMs) -> Option<&Parked> {
        self.by_number.front()?.as_ref().filter(|oldest| oldest.until_ms <= now.0)
    }

    /// When the oldest is over.
    pub(crate) fn next_due(&self) -> Option<WallMs> {
        self.by_number.front()?.as_ref().map(|oldest| WallMs(oldest.until_ms))
    }

    /// All, the oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Parked> {
        self.by_number.iter().flatten()
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        for parked in self.all() {
            digest.number(u64::from(parked.carrier.0) << 8 | u64::from(parked.state));
            digest.number(parked.receipt);
            digest.number(parked.recipient.to_word());
            digest.number(parked.until_ms);
        }
    }
}

fn entry(by_number: &VecDeque<Option<Parked>>, first: u64, number: u64) -> Option<&Parked> {
    by_number.get(usize::try_from(number.checked_sub(first)?).ok()?)?.as_ref()
}

fn fits(parked: &Parked, carrier: CarrierId, receipt: u64, recipient: Msisdn) -> bool {
    parked.carrier == carrier && parked.receipt == receipt && parked.recipient == recipient
}

fn hash_of(hasher: &FixedState, parked: &Parked) -> u64 {
    hasher.hash_one((parked.carrier.0, parked.receipt, parked.recipient.to_word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_taken_out_once_and_the_oldest_first() {
        let recipient = Msisdn::parse(b"4915112345678").unwrap();
        let parked = |state, until_ms| Parked {
            carrier: CarrierId(1),
            receipt: 5,
            recipient,
            state,
            error: 0,
            until_ms,
        };
        let mut receipts = ParkedReceipts::default();
        receipts.insert(parked(1, 10));
        receipts.insert(parked(2, 20));
        receipts.insert(Parked { receipt: 6, ..parked(2, 30) });
        assert_eq!(receipts.overdue(WallMs(9)), None);
        assert_eq!(receipts.overdue(WallMs(10)), Some(&parked(1, 10)));
        assert_eq!(receipts.remove(CarrierId(1), 5, recipient), Some(parked(1, 10)));
        assert_eq!(receipts.remove(CarrierId(1), 5, recipient), Some(parked(2, 20)));
        assert_eq!(receipts.remove(CarrierId(1), 5, recipient), None);
        assert_eq!(receipts.find(CarrierId(2), 6, recipient), None);
        assert_eq!((receipts.len(), receipts.next_due()), (1, Some(WallMs(30))));
    }
}
