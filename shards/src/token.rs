//! What a link's window remembers of a message: one word.
//!
//! ```text
//!   own      0 · cell 9 bits · slot 25 · stamp 14 · attempt 10 · part 5
//!   lent     1 · place in the link's table of what other shards sent over it
//! ```
//!
//! The session hands the word back with the response. The stamp shows whether the slot still holds that message, the
//! attempt whether the response is about the last one.

use wire::text::limits::SEGMENTS_MAX;

use crate::limits::ATTEMPTS_MAX;
use crate::state::messages::SlotRef;

const PART_BITS: u32 = 5;
const ATTEMPT_BITS: u32 = 10;
const STAMP_BITS: u32 = 14;
const SLOT_BITS: u32 = 25;

/// Set in the word of a segment that another shard sends.
const LENT: u64 = 1 << 63;

const _: () = assert!(SEGMENTS_MAX as u32 <= 1 << PART_BITS);
const _: () = assert!((ATTEMPTS_MAX as u32) < 1 << ATTEMPT_BITS);

/// How many messages a partition's slots can hold: what 25 bits count.
pub(crate) const SLOTS_MAX: usize = 1 << SLOT_BITS;

/// One part of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) cell: u16,
    pub(crate) slot: SlotRef,
    pub(crate) attempt: u16,
    pub(crate) part: u8,
}

impl Token {
    pub(crate) fn pack(self) -> u64 {
        debug_assert!((self.slot.slot as usize) < SLOTS_MAX && u32::from(self.slot.stamp) < 1 << STAMP_BITS);
        let mut word = u64::from(self.cell);
        word = word << SLOT_BITS | u64::from(self.slot.slot);
        word = word << STAMP_BITS | u64::from(self.slot.stamp);
        word = word << ATTEMPT_BITS | u64::from(self.attempt);
        word << PART_BITS | u64::from(self.part)
    }

    pub(crate) fn unpack(mut word: u64) -> Self {
        let mut take = |bits: u32| {
            let field = word & ((1 << bits) - 1);
            word >>= bits;
            u32::try_from(field).expect("no field has more than 25 bits")
        };
        let (part, attempt, stamp, slot) =
            (take(PART_BITS), take(ATTEMPT_BITS), take(STAMP_BITS), take(SLOT_BITS));
        let narrow = |field| u16::try_from(field).expect("at most 14 bits");
        Self {
            cell: u16::try_from(word).expect("nine bits are left of an own token"),
            slot: SlotRef { slot, stamp: narrow(stamp) },
            attempt: narrow(attempt),
            part: u8::try_from(part).expect("five bits"),
        }
    }
}

/// The word of a segment that another shard sends.
pub(crate) fn pack_lent(place: u32) -> u64 {
    LENT | u64::from(place)
}

/// The place of a segment that another shard sends; `None` for an own one.
pub(crate) fn unpack_lent(word: u64) -> Option<u32> {
    (word & LENT != 0).then(|| u32::try_from(word & !LENT).expect("packed from 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was() {
        let slot = SlotRef { slot: (1 << 25) - 1, stamp: (1 << 14) - 1 };
        let token = Token { cell: 511, slot, attempt: 1000, part: 31 };
        assert_eq!(Token::unpack(token.pack()), token);
        let token = Token { cell: 0, slot: SlotRef { slot: 7, stamp: 1 }, attempt: 1, part: 0 };
        assert_eq!(Token::unpack(token.pack()), token);
        assert_eq!(unpack_lent(token.pack()), None);
        assert_eq!(unpack_lent(pack_lent(u32::MAX)), Some(u32::MAX));
    }
}
