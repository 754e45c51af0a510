//! The messages of a partition: slots, and the two ways to find one.
//!
//! A message keeps its slot from acceptance until it is forgotten. Slots are used again, buffers and all, so a busy
//! partition allocates nothing; a slot's *stamp* counts its uses, so that a reference from outside (a queue, a link's
//! window) shows when its message is gone. Slots lie in chunks that never move. The tables hold a slot and half of its
//! hash, so that a table grows without touching a message.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use wire::id::{CarrierId, MessageId};
use wire::msisdn::Msisdn;

use crate::state::message::{Content, Message};

/// A message's place, which shows when the message is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotRef {
    pub(crate) slot: u32,
    pub(crate) stamp: u16,
}

/// Stamps wrap here, since a link's token has 14 bits for one.
const STAMPS: u16 = 1 << 14;

/// Slots of a chunk: 64 messages are about three pages.
const CHUNK: usize = 64;

/// A message in the table by id.
#[derive(Clone, Copy, Debug)]
struct Named {
    slot: u32,
    hash: u32,
}

/// A segment of a message that a carrier named.
#[derive(Clone, Copy, Debug)]
struct Receipt {
    slot: u32,
    hash: u32,
    part: u8,
}

#[derive(Debug, Default)]
pub(crate) struct Messages {
    chunks: Vec<Box<[Message]>>,
    stamps: Vec<u16>,
    /// The stamp of a slot that was never used.
    first_stamp: u16,
    free: Vec<u32>,
    /// The slot that the next record is about, as far as is known.
    expected: u32,
    by_id: HashTable<Named>,
    by_receipt: HashTable<Receipt>,
    hasher: FixedState,
    /// Buffers of texts that are no longer needed, for the next messages.
    spare: Vec<Content>,
}

/// Buffers kept for the next messages: as many as come in one group commit at a high rate.
const SPARE_MAX: usize = 1024;

impl Messages {
    /// How many messages there are, open and over.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes a slot for a message that `fill` writes.
    pub(crate) fn insert(&mut self, id: MessageId, fill: impl FnOnce(&mut Message)) -> u32 {
        if self.free.is_empty() {
            self.add_chunk();
        }
        let slot = self.free.pop().expect("a chunk was added");
        let spare = self.spare.pop();
        let message = self.at_mut(slot);
        if let Some(content) = spare {
            message.content = content;
        }
        fill(message);
        assert!(message.id == id, "a slot was filled with another message");
        let hash = half(self.hasher.hash_one(id.0));
        self.expected = slot;
        self.by_id.insert_unique(whole(hash), Named { slot, hash }, |entry| whole(entry.hash));
        slot
    }

    fn add_chunk(&mut self) {
        let first = u32::try_from(self.stamps.len()).expect("open messages are bounded far below 2^32");
        self.chunks.push((0..CHUNK).map(|_| Message::vacant()).collect());
        self.stamps.resize(self.stamps.len() + CHUNK, self.first_stamp);
        self.free.extend((first..).take(CHUNK));
        self.free.reverse();
    }

    /// Names the slot that the next record is about, so that [`Messages::find`] looks there first.
    pub(crate) fn expect(&mut self, slot: u32) {
        self.expected = slot;
    }

    /// The slot of a message.
    pub(crate) fn find(&self, id: MessageId) -> Option<u32> {
        if (self.expected as usize) < self.stamps.len() && self.at(self.expected).id == id {
            return Some(self.expected);
        }
        let hash = half(self.hasher.hash_one(id.0));
        let is_it = |entry: &Named| entry.hash == hash && self.at(entry.slot).id == id;
        self.by_id.find(whole(hash), is_it).map(|entry| entry.slot)
    }

    pub(crate) fn at(&self, slot: u32) -> &Message {
        let place = slot as usize;
        &self.chunks[place / CHUNK][place % CHUNK]
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Message {
        let place = slot as usize;
        &mut self.chunks[place / CHUNK][place % CHUNK]
    }

    /// Gives up the text of a message that needs it no more. It is in the log.
    pub(crate) fn give_up_content(&mut self, slot: u32) {
        let content = core::mem::take(&mut self.at_mut(slot).content);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(content);
        }
    }

    /// A reference that outlives the message.
    pub(crate) fn reference(&self, slot: u32) -> SlotRef {
        SlotRef { slot, stamp: self.stamps[slot as usize] }
    }

    /// Makes all references void: every slot's stamp moves on by as much.
    pub(crate) fn stamp_anew(&mut self, by: u16) {
        let moved = |stamp: u16| (stamp % STAMPS + by % STAMPS) % STAMPS;
        self.first_stamp = moved(self.first_stamp);
        self.stamps.iter_mut().for_each(|stamp| *stamp = moved(*stamp));
    }

    /// The message of a reference, if it is still there.
    pub(crate) fn resolve(&self, reference: SlotRef) -> Option<&Message> {
        let alive = self.stamps.get(reference.slot as usize) == Some(&reference.stamp);
        alive.then(|| self.at(reference.slot))
    }

    /// Gives a segment the name that its carrier will use in receipts: a hash that is not 0.
    pub(crate) fn name_part(&mut self, slot: u32, part: u8, receipt: u64) {
        let message = self.at_mut(slot);
        let carrier = message.carrier;
        let named = &mut message.parts.all_mut()[usize::from(part)];
        assert!(named.receipt == 0, "a segment was named twice");
        named.receipt = receipt;
        named.named_by = carrier;
        let key = (carrier, receipt, message.recipient);
        let hash = self.hash_of(key);
        self.by_receipt.insert_unique(whole(hash), Receipt { slot, hash, part }, |entry| whole(entry.hash));
    }

    /// Names a segment that a snapshot has brought back with its name.
    pub(crate) fn restore_name(&mut self, slot: u32, part: u8) {
        let message = self.at(slot);
        let named = message.parts.all()[usize::from(part)];
        let hash = self.hash_of((named.named_by, named.receipt, message.recipient));
        self.by_receipt.insert_unique(whole(hash), Receipt { slot, hash, part }, |entry| whole(entry.hash));
    }

    /// The segment of a receipt: carrier, hash of the canonical id, and recipient must all fit.
    pub(crate) fn find_receipt(
        &self,
        carrier: CarrierId,
        receipt: u64,
        recipient: Msisdn,
    ) -> Option<(u32, u8)> {
        let key = (carrier, receipt, recipient);
        let hash = self.hash_of(key);
        let is_it = |entry: &Receipt| entry.hash == hash && self.key_of(entry) == key;
        self.by_receipt.find(whole(hash), is_it).map(|entry| (entry.slot, entry.part))
    }

    /// Takes back the name of a segment that is to be sent again.
    pub(crate) fn unname_part(&mut self, slot: u32, part: u8) {
        let message = self.at(slot);
        let named = message.parts.all()[usize::from(part)];
        if named.receipt == 0 {
            return;
        }
        let hash = self.hash_of((named.named_by, named.receipt, message.recipient));
        let is_it = |entry: &Receipt| entry.slot == slot && entry.part == part;
        self.by_receipt.find_entry(whole(hash), is_it).expect("a named segment is in the table").remove();
        self.at_mut(slot).parts.all_mut()[usize::from(part)].receipt = 0;
    }

    /// Forgets a message and frees its slot.
    pub(crate) fn remove(&mut self, slot: u32) {
        for part in 0..self.at(slot).segments() {
            self.unname_part(slot, part);
        }
        let hash = half(self.hasher.hash_one(self.at(slot).id.0));
        let entry = self.by_id.find_entry(whole(hash), |entry| entry.slot == slot);
        entry.expect("a message is in the table while it has a slot").remove();
        self.at_mut(slot).id = MessageId(0);
        let stamp = &mut self.stamps[slot as usize];
        *stamp = (*stamp + 1) % STAMPS;
        self.free.push(slot);
    }

    /// How many slots there are, in use or free.
    pub(crate) fn slots_len(&self) -> u32 {
        u32::try_from(self.stamps.len()).expect("open messages are bounded far below 2^32")
    }

    /// The slots in use, in no order that means anything.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_id.iter().map(|entry| entry.slot)
    }

    fn hash_of(&self, key: ReceiptKey) -> u32 {
        half(self.hasher.hash_one((key.0.0, key.1, key.2.to_word())))
    }

    fn key_of(&self, entry: &Receipt) -> ReceiptKey {
        let message = self.at(entry.slot);
        let named = message.parts.all()[usize::from(entry.part)];
        (named.named_by, named.receipt, message.recipient)
    }
}

type ReceiptKey = (CarrierId, u64, Msisdn);

/// The half of a hash that a table's entry keeps.
fn half(hash: u64) -> u32 {
    u32::try_from(hash >> 32).expect("half of it")
}

/// A hash for a table, made again from its half: the multiplier (2^64 over the golden ratio) spreads it over the bits
/// that the table takes its places and its fingerprints from.
fn whole(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
