//! The messages of a partition: slots, and the two ways to find one.
//!
//! A message keeps its slot from acceptance until it is forgotten. Slots are used again, buffers and all, so a busy
//! partition allocates nothing; a slot's *stamp* counts its uses, so that a reference from outside (a queue, a link's
//! window) shows when its message is gone. The tables hold slots and compare with what the slot holds: four bytes an
//! entry and one of fingerprint.

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

/// A segment of a message that a carrier named.
#[derive(Clone, Copy, Debug)]
struct Receipt {
    slot: u32,
    part: u8,
}

#[derive(Debug, Default)]
pub(crate) struct Messages {
    slots: Vec<Message>,
    stamps: Vec<u16>,
    free: Vec<u32>,
    by_id: HashTable<u32>,
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
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Message::vacant());
            self.stamps.push(0);
            u32::try_from(self.slots.len() - 1).expect("open messages are bounded far below 2^32")
        });
        if let Some(content) = self.spare.pop() {
            self.slots[slot as usize].content = content;
        }
        fill(&mut self.slots[slot as usize]);
        assert!(self.slots[slot as usize].id == id, "a slot was filled with another message");
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = hasher.hash_one(id.0);
        self.by_id.insert_unique(hash, slot, |&other| hasher.hash_one(slots[other as usize].id.0));
        slot
    }

    /// The slot of a message.
    pub(crate) fn find(&self, id: MessageId) -> Option<u32> {
        let hash = self.hasher.hash_one(id.0);
        self.by_id.find(hash, |&slot| self.slots[slot as usize].id == id).copied()
    }

    pub(crate) fn at(&self, slot: u32) -> &Message {
        &self.slots[slot as usize]
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Message {
        &mut self.slots[slot as usize]
    }

    /// Gives up the text of a message that needs it no more. It is in the log.
    pub(crate) fn give_up_content(&mut self, slot: u32) {
        let content = core::mem::take(&mut self.slots[slot as usize].content);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(content);
        }
    }

    /// A reference that outlives the message.
    pub(crate) fn reference(&self, slot: u32) -> SlotRef {
        SlotRef { slot, stamp: self.stamps[slot as usize] }
    }

    /// The message of a reference, if it is still there.
    pub(crate) fn resolve(&self, reference: SlotRef) -> Option<&Message> {
        let alive = self.stamps.get(reference.slot as usize) == Some(&reference.stamp);
        alive.then(|| &self.slots[reference.slot as usize])
    }

    /// Gives a segment the name that its carrier will use in receipts: a hash that is not 0.
    pub(crate) fn name_part(&mut self, slot: u32, part: u8, receipt: u64) {
        let message = &mut self.slots[slot as usize];
        let named = &mut message.parts.all_mut()[usize::from(part)];
        assert!(named.receipt == 0, "a segment was named twice");
        named.receipt = receipt;
        named.named_by = message.carrier;
        let key = (message.carrier, receipt, message.recipient);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_receipt.insert_unique(hash_of(hasher, key), Receipt { slot, part }, |entry| {
            hash_of(hasher, key_of(slots, entry))
        });
    }

    /// The segment of a receipt: carrier, hash of the canonical id, and recipient must all fit.
    pub(crate) fn find_receipt(
        &self,
        carrier: CarrierId,
        receipt: u64,
        recipient: Msisdn,
    ) -> Option<(u32, u8)> {
        let key = (carrier, receipt, recipient);
        let hash = hash_of(&self.hasher, key);
        self.by_receipt
            .find(hash, |entry| key_of(&self.slots, entry) == key)
            .map(|entry| (entry.slot, entry.part))
    }

    /// Takes back the name of a segment that is to be sent again.
    pub(crate) fn unname_part(&mut self, slot: u32, part: u8) {
        let message = &self.slots[slot as usize];
        let named = message.parts.all()[usize::from(part)];
        if named.receipt == 0 {
            return;
        }
        let hash = hash_of(&self.hasher, (named.named_by, named.receipt, message.recipient));
        if let Ok(entry) = self.by_receipt.find_entry(hash, |entry| entry.slot == slot && entry.part == part)
        {
            entry.remove();
        }
        self.slots[slot as usize].parts.all_mut()[usize::from(part)].receipt = 0;
    }

    /// Forgets a message and frees its slot.
    pub(crate) fn remove(&mut self, slot: u32) {
        for part in 0..self.at(slot).segments() {
            self.unname_part(slot, part);
        }
        let hash = self.hasher.hash_one(self.at(slot).id.0);
        let entry = self.by_id.find_entry(hash, |&other| other == slot);
        entry.expect("a message is in the table while it has a slot").remove();
        let stamp = &mut self.stamps[slot as usize];
        *stamp = (*stamp + 1) % STAMPS;
        self.free.push(slot);
    }

    /// The slots in use, in no order that means anything.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_id.iter().copied()
    }
}

type ReceiptKey = (CarrierId, u64, Msisdn);

fn hash_of(hasher: &FixedState, key: ReceiptKey) -> u64 {
    hasher.hash_one((key.0.0, key.1, key.2.to_word()))
}

fn key_of(slots: &[Message], entry: &Receipt) -> ReceiptKey {
    let message = &slots[entry.slot as usize];
    let named = message.parts.all()[usize::from(entry.part)];
    (named.named_by, named.receipt, message.recipient)
}
