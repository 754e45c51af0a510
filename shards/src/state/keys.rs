//! Idempotency keys: which message a key led to, until its window is over.
//!
//! ```text
//!   generation      tags   [ 16 bits of the hash, 0 = empty ]   probed 64 bytes at a time
//!                   entries[ key 16 · message 16 · body 8 ]     touched only where a tag fits
//! ```
//!
//! Keys live in generations by the time they came. A generation has a fixed size and is never resized: when it is full, the
//! next is opened, twice as large up to a bound; when it has taken keys for its span, one of the size that it used. It is freed
//! whole when the windows of all its keys are over, so that forgetting costs nothing. A look-up asks the generations from
//! the newest back.
//! An entry costs 42 bytes; at seven eighths full, 48 for a key.
//!
//! Everything here follows from records alone, so two replicas hold the same bytes.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use wal::snapshot::{GenerationImage, KeyImage, ShareImage};
use wire::id::{AccountId, KeyHash, MessageId};
use wire::time::WallMs;

use crate::limits::{
    KEY_GENERATION_KEYS_MAX, KEY_GENERATION_KEYS_MIN, KEY_GENERATIONS_MAX, key_generation_span,
};
use crate::state::digest::Digest;

/// What a key led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyEntry {
    pub(crate) message: MessageId,
    /// The hash of the body that came with the key.
    pub(crate) body: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u128,
    message: u128,
    body: u64,
}

const EMPTY: Slot = Slot { key: 0, message: 0, body: 0 };

#[derive(Debug)]
struct Generation {
    tags: Box<[u16]>,
    slots: Box<[Slot]>,
    count: usize,
    /// How many of them are whose.
    shares: HashMap<AccountId, u32, FixedState>,
    /// Keys that a snapshot has brought back.
    restored: usize,
    opened_at: WallMs,
    /// When the window of its last key is over.
    expires_at: WallMs,
}

impl Generation {
    fn new(capacity: usize, opened_at: WallMs) -> Self {
        assert!(capacity.is_power_of_two(), "a generation of {capacity} slots");
        let tags = vec![0; capacity].into_boxed_slice();
        Self {
            tags,
            slots: vec![EMPTY; capacity].into_boxed_slice(),
            count: 0,
            shares: HashMap::with_hasher(FixedState::default()),
            restored: 0,
            opened_at,
            expires_at: opened_at,
        }
    }

    /// Seven eighths: probing stays short.
    fn is_full(&self) -> bool {
        self.count >= self.tags.len() / 8 * 7
    }

    fn home(&self, key: u128) -> usize {
        usize::try_from(key & (self.tags.len() as u128 - 1)).expect("masked by the capacity")
    }

    /// From other bits than [`Generation::home`], and never 0.
    fn tag(key: u128) -> u16 {
        u16::try_from(key >> 112).expect("the top 16 bits").max(1)
    }

    fn find(&self, key: KeyHash) -> Option<KeyEntry> {
        let (mask, tag) = (self.tags.len() - 1, Self::tag(key.0));
        let mut place = self.home(key.0);
        loop {
            match self.tags[place] {
                0 => return None,
                found if found == tag && self.slots[place].key == key.0 => {
                    let slot = &self.slots[place];
                    return Some(KeyEntry { message: MessageId(slot.message), body: slot.body });
                }
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn insert(&mut self, account: AccountId, key: KeyHash, entry: KeyEntry, window_ends: WallMs) {
        assert!(!self.is_full(), "a full generation took a key");
        self.put(key, entry);
        self.count += 1;
        *self.shares.entry(account).or_insert(0) += 1;
        self.expires_at = self.expires_at.max(window_ends);
    }

    /// Writes a key into the table. It may be there: a snapshot is taken while its newest generation goes on taking keys,
    /// whose records are applied behind it.
    fn put(&mut self, key: KeyHash, entry: KeyEntry) {
        let (mask, tag) = (self.tags.len() - 1, Self::tag(key.0));
        let mut place = self.home(key.0);
        while self.tags[place] != 0 && !(self.tags[place] == tag && self.slots[place].key == key.0) {
            place = (place + 1) & mask;
        }
        self.tags[place] = tag;
        self.slots[place] = Slot { key: key.0, message: entry.message.0, body: entry.body };
    }

    fn keys(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().zip(&self.tags).filter(|&(_, &tag)| tag != 0).map(|(slot, _)| slot)
    }
}

/// The keys of one partition.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// The oldest first.
    generations: VecDeque<Generation>,
    /// The number of the oldest generation, by which a snapshot that is being taken finds it again.
    first: u64,
    count: usize,
}

impl Keys {
    /// What a key led to, if its window is not over.
    pub(crate) fn find(&self, key: KeyHash) -> Option<KeyEntry> {
        self.generations.iter().rev().find_map(|generation| generation.find(key))
    }

    /// Remembers an account's key that [`Keys::find`] did not find, at least until `window_ends`.
    pub(crate) fn insert(
        &mut self,
        now: WallMs,
        (account, key): (AccountId, KeyHash),
        entry: KeyEntry,
        window_ends: WallMs,
    ) {
        let may_span = self.generations.len() < KEY_GENERATIONS_MAX;
        let span = key_generation_span(window_ends.since(now));
        let next = match self.generations.back() {
            None => Some(KEY_GENERATION_KEYS_MIN),
            Some(newest) if newest.is_full() => Some(newest.tags.len() * 2),
            // What came in its span comes again, and finds room.
            Some(newest) if may_span && now.since(newest.opened_at) >= span => {
                Some((newest.count + newest.count / 2).next_power_of_two())
            }
            Some(_) => None,
        };
        if let Some(slots) = next {
            let slots = slots.clamp(KEY_GENERATION_KEYS_MIN, KEY_GENERATION_KEYS_MAX);
            self.generations.push_back(Generation::new(slots, now));
        }
        let newest = self.generations.back_mut().expect("one was opened above");
        newest.insert(account, key, entry, window_ends);
        self.count += 1;
    }

    /// Frees the generations whose windows are all over.
    pub(crate) fn expire(&mut self, now: WallMs) {
        while self.generations.front().is_some_and(|oldest| oldest.expires_at < now) {
            let oldest = self.generations.pop_front().expect("looked at above");
            self.first += 1;
            self.count -= oldest.count;
        }
    }

    /// How many keys are remembered.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// How many there will be once [`Keys::expire`] was told this time: records alone expire keys, and a table that is
    /// full must not wait for a record which it refuses itself.
    pub(crate) fn count_at(&self, now: WallMs) -> usize {
        let over = self.generations.iter().take_while(|oldest| oldest.expires_at < now);
        self.count - over.map(|generation| generation.count).sum::<usize>()
    }

    /// As [`Keys::count_at`], of one account.
    pub(crate) fn share_at(&self, now: WallMs, account: AccountId) -> usize {
        let kept = self.generations.iter().skip_while(|oldest| oldest.expires_at < now);
        kept.map(|generation| generation.shares.get(&account).map_or(0, |&count| count as usize)).sum()
    }

    /// How many keys of each generation are whose, for a snapshot.
    pub(crate) fn share_images(&self) -> Vec<ShareImage> {
        let generations = (self.first..).zip(&self.generations);
        let mut shares: Vec<_> = generations
            .flat_map(|(generation, keys)| {
                keys.shares.iter().map(move |(&account, &count)| ShareImage { generation, account, count })
            })
            .collect();
        shares.sort_unstable_by_key(|share| (share.generation, share.account));
        shares
    }

    /// The generations without their keys, for a snapshot.
    pub(crate) fn generation_images(&self) -> Vec<GenerationImage> {
        let image = |(number, generation): (u64, &Generation)| GenerationImage {
            number,
            opened_at: generation.opened_at,
            expires_at: generation.expires_at,
            capacity: u32::try_from(generation.tags.len()).expect("bounded by KEY_GENERATION_KEYS_MAX"),
            count: u32::try_from(generation.count).expect("fewer than its slots"),
        };
        (self.first..).zip(&self.generations).map(image).collect()
    }

    /// The keys of a generation in some of its slots; `None` behind its last slot, or when it was freed.
    pub(crate) fn key_images(
        &self,
        generation: u64,
        slots: core::ops::Range<usize>,
    ) -> Option<impl Iterator<Item = KeyImage>> {
        let generation = self.generations.get(usize::try_from(generation.checked_sub(self.first)?).ok()?)?;
        let end = slots.end.min(generation.tags.len());
        let places = (slots.start < end).then_some(slots.start..end)?;
        let slots = generation.slots[places.clone()].iter().zip(&generation.tags[places]);
        Some(slots.filter(|&(_, &tag)| tag != 0).map(|(slot, _)| KeyImage {
            key: KeyHash(slot.key),
            message: MessageId(slot.message),
            body: slot.body,
        }))
    }

    /// A table with the generations of a snapshot and none of their keys; `None` when they cannot have been its.
    pub(crate) fn restore(images: &[GenerationImage], shares: &[ShareImage]) -> Option<Self> {
        let mut keys = Self { first: images.first().map_or(0, |image| image.number), ..Self::default() };
        for (number, image) in (keys.first..).zip(images) {
            let capacity = image.capacity as usize;
            let fits = (KEY_GENERATION_KEYS_MIN..=KEY_GENERATION_KEYS_MAX).contains(&capacity);
            if image.number != number || !fits || !capacity.is_power_of_two() {
                return None;
            }
            let mut generation = Generation::new(capacity, image.opened_at);
            generation.expires_at = image.expires_at;
            generation.count = image.count as usize;
            keys.count += generation.count;
            keys.generations.push_back(generation);
        }
        for share in shares {
            let place = usize::try_from(share.generation.checked_sub(keys.first)?).ok()?;
            keys.generations.get_mut(place)?.shares.insert(share.account, share.count);
        }
        Some(keys)
    }

    /// A key of a snapshot; `false` when its generation has no room for it.
    pub(crate) fn restore_key(&mut self, generation: u64, image: &KeyImage) -> bool {
        let place = generation.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(generation) = place.and_then(|place| self.generations.get_mut(place)) else { return false };
        generation.restored += 1;
        if generation.restored > generation.tags.len() / 8 * 7 {
            return false;
        }
        generation.put(image.key, KeyEntry { message: image.message, body: image.body });
        true
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(self.count as u64);
        for generation in &self.generations {
            digest.number(generation.opened_at.0);
            digest.number(generation.expires_at.0);
            // Where a key lies depends on the order in which they came, which a snapshot does not keep.
            let folded = generation.keys().fold(0_u64, |folded, slot| {
                let mut one = Digest::default();
                one.wide(slot.key);
                one.wide(slot.message);
                one.number(slot.body);
                folded.wrapping_add(one.finish())
            });
            digest.number(folded);
        }
        for share in self.share_images() {
            digest.number(u64::from(share.account.0) << 32 | u64::from(share.count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: AccountId = AccountId(1);

    fn key(number: u64) -> KeyHash {
        KeyHash::of(OWNER, wire::msisdn::Msisdn::parse(b"4915112345678").unwrap(), &number.to_le_bytes())
    }

    fn entry(number: u64) -> KeyEntry {
        KeyEntry { message: MessageId(u128::from(number)), body: number }
    }

    #[test]
    fn every_key_is_found_while_its_window_lasts_and_its_generation_is_freed_after_it() {
        let mut keys = Keys::default();
        for number in 0..50_000 {
            keys.insert(WallMs(number), (OWNER, key(number)), entry(number), WallMs(number + 60_000));
        }
        assert!((0..50_000).all(|number| keys.find(key(number)) == Some(entry(number))));
        assert_eq!(keys.find(key(50_001)), None);
        keys.expire(WallMs(60_000));
        assert_eq!(keys.find(key(0)), Some(entry(0)));
        keys.expire(WallMs(110_000));
        assert_eq!((keys.find(key(0)), keys.count()), (None, 0));
    }

    #[test]
    fn each_account_is_counted_and_a_snapshot_brings_its_count_back() {
        let other = AccountId(7);
        let mut keys = Keys::default();
        for number in 0..3_000 {
            let account = if number % 3 == 0 { other } else { OWNER };
            keys.insert(WallMs(number), (account, key(number)), entry(number), WallMs(number + 10_000));
        }
        assert_eq!((keys.share_at(WallMs(0), OWNER), keys.share_at(WallMs(0), other)), (2_000, 1_000));
        let restored = Keys::restore(&keys.generation_images(), &keys.share_images()).unwrap();
        assert_eq!(restored.share_at(WallMs(0), other), 1_000);
        // The first generation of 896 keys is over.
        assert_eq!(keys.share_at(WallMs(10_896), OWNER) + keys.share_at(WallMs(10_896), other), 3_000 - 896);
        keys.expire(WallMs(10_896));
        assert_eq!(keys.share_at(WallMs(10_896), other), 1_000 - 299);
    }

    /// Half an hour of a steady load with a window of a minute: what is remembered stays near what must be, and its tables too.
    #[test]
    fn keys_of_a_short_window_are_not_remembered_for_long() {
        const A_SECOND: u64 = 200;
        let (mut keys, mut most, mut slots) = (Keys::default(), 0, 0);
        for number in 0..1_800 * A_SECOND {
            let now = WallMs(number * 1_000 / A_SECOND);
            keys.expire(now);
            keys.insert(now, (OWNER, key(number)), entry(number), WallMs(now.0 + 60_000));
            most = most.max(keys.count());
            slots = slots.max(keys.generations.iter().map(|it| it.tags.len()).sum());
            assert!(keys.generations.len() < KEY_GENERATIONS_MAX);
        }
        let needed = usize::try_from(60 * A_SECOND).unwrap();
        assert!(most <= needed * 4 / 3, "{most} keys, {needed} needed");
        assert!(slots <= needed * 4, "{slots} slots for {needed} keys");
    }

    #[test]
    fn few_keys_take_small_tables_however_long_they_come() {
        let mut keys = Keys::default();
        for hour in 0..100_u64 {
            let now = WallMs(hour * 3_600_000);
            keys.expire(now);
            keys.insert(now, (OWNER, key(hour)), entry(hour), WallMs(now.0 + 24 * 3_600_000));
        }
        assert!(keys.generations.iter().all(|it| it.tags.len() == KEY_GENERATION_KEYS_MIN));
    }

    #[test]
    fn generations_stay_few_over_days() {
        let mut keys = Keys::default();
        for hour in 0..200_u64 {
            let now = WallMs(hour * 3_600_000);
            keys.expire(now);
            keys.insert(now, (OWNER, key(hour)), entry(hour), WallMs(now.0 + 24 * 3_600_000));
            assert!(keys.generations.len() <= KEY_GENERATIONS_MAX);
            assert_eq!(keys.find(key(hour.saturating_sub(23))), Some(entry(hour.saturating_sub(23))));
        }
    }
}
