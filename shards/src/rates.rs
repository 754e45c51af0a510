//! A rate that the shards of a node share: a carrier's, or an account's.
//!
//! ```text
//!   owner    bucket ──draw──▶ slices of at most 20 ms of the rate, one to an asker, in turn
//!   others   slice: so many segments until then; what is left of it goes back
//! ```
//!
//! One shard owns the rate and its bucket. A shard works on slices, so that nothing is shared but messages, and the sum is
//! what the rate says, however many shards there are. On a node of one shard there is only the bucket.

use std::collections::VecDeque;

use wire::id::{AccountId, ShardId};
use wire::time::Instant;

use crate::limits::{SLICE, SLICES_PER_SECOND};
use crate::pacing::Bucket;

/// Which rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateId {
    /// A carrier's, by its place in the plan.
    Carrier(u16),
    /// An account's.
    Account(AccountId),
}

/// Where a rate's bucket is.
#[derive(Debug)]
enum Place {
    /// On the only shard.
    Here(Bucket),
    /// On this shard, and others draw from it.
    Owned(Bucket, VecDeque<Asker>),
    /// There.
    With(ShardId),
}

#[derive(Clone, Copy, Debug)]
struct Asker {
    shard: ShardId,
    need: u8,
    want: u32,
}

/// One shard's part in a rate.
#[derive(Debug)]
pub(crate) struct SharedRate {
    per_second: Option<u32>,
    place: Place,
    /// Segments of the slice.
    left: u32,
    until: Instant,
    /// Segments of earlier slices that the owner is to have back.
    surplus: u32,
    /// The owner was asked and has not answered.
    asked: bool,
}

/// A question for the owner of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) owner: ShardId,
    pub(crate) need: u8,
    pub(crate) want: u32,
}

impl SharedRate {
    /// The part of shard `own` of `shards`.
    pub(crate) fn new(
        per_second: Option<u32>,
        owner: ShardId,
        own: ShardId,
        shards: u16,
        now: Instant,
    ) -> Self {
        let bucket = Bucket::new(per_second, now);
        let place = match () {
            () if shards == 1 => Place::Here(bucket),
            () if owner == own => Place::Owned(bucket, VecDeque::new()),
            () => Place::With(owner),
        };
        Self { per_second, place, left: 0, until: now, surplus: 0, asked: false }
    }

    /// The rate; `None`: no limit.
    pub(crate) const fn per_second(&self) -> Option<u32> {
        self.per_second
    }

    /// Goes on at another rate.
    pub(crate) fn set(&mut self, now: Instant, per_second: Option<u32>) {
        if per_second == self.per_second {
            return;
        }
        self.per_second = per_second;
        if let Place::Here(bucket) | Place::Owned(bucket, _) = &mut self.place {
            bucket.set(now, per_second);
        }
        // A slice of a rate that was faster is not to be used up at the one that is slower.
        self.left = self.left.min(self.slice_max());
    }

    /// The most that one slice holds.
    fn slice_max(&self) -> u32 {
        (self.per_second.unwrap_or(u32::MAX) / SLICES_PER_SECOND).max(1)
    }

    /// Whether a message of this many segments may go now.
    pub(crate) fn admits(&mut self, now: Instant, segments: u8) -> bool {
        match &mut self.place {
            _ if self.per_second.is_none() => true,
            Place::Here(bucket) => bucket.admits(now, segments),
            Place::Owned(..) | Place::With(_) => now < self.until && self.left >= u32::from(segments),
        }
    }

    /// Takes what [`SharedRate::admits`] said is there.
    pub(crate) fn take(&mut self, segments: u8) {
        match &mut self.place {
            _ if self.per_second.is_none() => {}
            Place::Here(bucket) => bucket.take(segments),
            Place::Owned(..) | Place::With(_) => self.left -= u32::from(segments),
        }
    }

    /// Takes `need` segments, which [`SharedRate::admits`] said are there, and of as many more as are, `want` at most. How many
    /// were taken.
    pub(crate) fn take_up_to(&mut self, now: Instant, need: u8, want: u32) -> u32 {
        let most = want.max(u32::from(need));
        let taken = match &mut self.place {
            _ if self.per_second.is_none() => most,
            Place::Here(bucket) => return bucket.draw(now, need, most),
            Place::Owned(..) | Place::With(_) => most.min(self.left),
        };
        if self.per_second.is_some() {
            self.left -= taken;
        }
        taken
    }

    /// What was taken and not used. A slice that is over meanwhile goes back with [`SharedRate::expire`].
    pub(crate) fn give_back(&mut self, segments: u32) {
        match &mut self.place {
            _ if self.per_second.is_none() => {}
            Place::Here(bucket) => bucket.give_back(segments),
            Place::Owned(..) | Place::With(_) => self.left += segments,
        }
    }

    /// Wants a slice with room for a message of `need` segments, of `want` at most. A question for another shard, if there is
    /// one to be asked; of the own bucket the slice comes by [`SharedRate::serve`].
    pub(crate) fn ask(&mut self, own: ShardId, need: u8, want: usize) -> Option<Question> {
        if self.asked || self.per_second.is_none() {
            return None;
        }
        let want = u32::try_from(want)
            .unwrap_or(u32::MAX)
            .clamp(u32::from(need), self.slice_max().max(u32::from(need)));
        match &mut self.place {
            Place::Here(_) => None,
            Place::Owned(_, askers) => {
                self.asked = true;
                askers.push_back(Asker { shard: own, need, want });
                None
            }
            Place::With(owner) => {
                self.asked = true;
                Some(Question { owner: *owner, need, want })
            }
        }
    }

    /// Another shard wants a slice and waits for it.
    pub(crate) fn handle_asked(&mut self, shard: ShardId, need: u8, want: u32) {
        if let Place::Owned(_, askers) = &mut self.place {
            askers.push_back(Asker { shard, need, want });
        }
    }

    /// The next asker whose slice is there, and its segments.
    pub(crate) fn serve(&mut self, now: Instant) -> Option<(ShardId, u32)> {
        let Place::Owned(bucket, askers) = &mut self.place else { return None };
        let &Asker { shard, need, want } = askers.front()?;
        let drawn = bucket.draw(now, need, want);
        (drawn > 0).then(|| askers.pop_front())?;
        Some((shard, drawn))
    }

    /// Takes segments of the bucket at once, at the owner: 0 when `need` are not there.
    pub(crate) fn draw(&mut self, now: Instant, need: u8, want: u32) -> u32 {
        match &mut self.place {
            Place::Here(bucket) | Place::Owned(bucket, _) => bucket.draw(now, need, want),
            Place::With(_) => 0,
        }
    }

    /// Whether the bucket is here.
    pub(crate) const fn is_owned(&self) -> bool {
        !matches!(self.place, Place::With(_))
    }

    /// The owner has answered: a slice, or nothing. What is left of earlier ones goes back unless all is one slice at most, or
    /// tokens would gather here, slice by slice, while a lender or a disk is slow.
    pub(crate) fn handle_slice(&mut self, now: Instant, segments: u32) {
        self.asked = false;
        if self.left + segments > self.slice_max() {
            self.surplus += core::mem::take(&mut self.left);
        }
        self.left += segments;
        self.until = now.plus(SLICE);
    }

    /// Another shard has not used these.
    pub(crate) fn handle_back(&mut self, segments: u32) {
        if let Place::Here(bucket) | Place::Owned(bucket, _) = &mut self.place {
            bucket.give_back(segments);
        }
    }

    /// Ends a slice whose time is over. Segments that the owner is to have back, if that is another shard.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(ShardId, u32)> {
        let expired = if now < self.until { 0 } else { core::mem::take(&mut self.left) };
        let left = core::mem::take(&mut self.surplus) + expired;
        match &mut self.place {
            _ if left == 0 => None,
            Place::With(owner) => Some((*owner, left)),
            Place::Here(bucket) | Place::Owned(bucket, _) => {
                bucket.give_back(left);
                None
            }
        }
    }

    /// When it wants to be looked at again: a slice ends, or an asker's tokens are there.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let over = (self.surplus > 0).then_some(Instant(0));
        let ends = over.or_else(|| (self.left > 0).then_some(self.until));
        let serves = match &self.place {
            Place::Owned(bucket, askers) => {
                askers.front().map(|asker| bucket.ready_at(asker.need).unwrap_or(Instant(0)))
            }
            Place::Here(_) | Place::With(_) => None,
        };
        ends.into_iter().chain(serves).min()
    }

    /// When a message of one segment may go by the own bucket, if that is later than now.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        if let Place::Here(bucket) = &self.place { bucket.ready_at(1) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A rate as two shards see it, and a second in which both want all of it.
    #[test]
    fn two_shards_together_have_the_rate_and_each_its_half() {
        let (owner, other) = (ShardId(0), ShardId(1));
        let mut parts = [owner, other].map(|own| SharedRate::new(Some(200), owner, own, 2, Instant(0)));
        let mut sent = [0_u32; 2];
        for ms in 0..1_000 {
            let now = Instant(ms * MS);
            for (own, sent) in [owner, other].into_iter().zip(&mut sent) {
                let part = &mut parts[usize::from(own.0)];
                if let Some((to, segments)) = part.expire(now) {
                    parts[usize::from(to.0)].handle_back(segments);
                }
                let part = &mut parts[usize::from(own.0)];
                while part.admits(now, 1) {
                    part.take(1);
                    *sent += 1;
                }
                if let Some(asked) = part.ask(own, 1, 1_000) {
                    parts[usize::from(asked.owner.0)].handle_asked(own, asked.need, asked.want);
                }
            }
            while let Some((shard, segments)) = parts[0].serve(now) {
                parts[usize::from(shard.0)].handle_slice(now, segments);
            }
        }
        let [first, second] = sent;
        assert!((190..=215).contains(&(first + second)), "{sent:?}");
        assert!(first.abs_diff(second) <= 8, "{sent:?}");
    }

    #[test]
    fn what_is_not_used_goes_back_to_the_owner_when_its_time_is_over() {
        let (owner, other) = (ShardId(0), ShardId(1));
        let mut bucket = SharedRate::new(Some(100), owner, owner, 2, Instant(0));
        let mut part = SharedRate::new(Some(100), owner, other, 2, Instant(0));
        let asked = part.ask(other, 1, 9).unwrap();
        assert_eq!((asked.owner, asked.want), (owner, 2));
        assert_eq!(part.ask(other, 1, 9), None, "one question at a time");
        let drawn = bucket.draw(Instant(0), asked.need, asked.want);
        part.handle_slice(Instant(0), drawn);
        assert!(part.admits(Instant(0), 2) && !part.admits(Instant(20 * MS), 1));
        assert_eq!(part.expire(Instant(20 * MS - 1)), None);
        assert_eq!(part.expire(Instant(20 * MS)), Some((owner, 2)));
        bucket.handle_back(2);
        assert_eq!(bucket.draw(Instant(0), 5, 5), 5);
        assert_eq!(bucket.draw(Instant(0), 1, 1), 0);
    }

    #[test]
    fn slices_do_not_gather_where_they_are_not_used() {
        let mut part = SharedRate::new(Some(100), ShardId(0), ShardId(1), 2, Instant(0));
        part.handle_slice(Instant(0), 2);
        part.handle_slice(Instant(19 * MS), 2);
        assert!(part.admits(Instant(19 * MS), 2) && !part.admits(Instant(19 * MS), 3));
        assert_eq!(part.timeout(), Some(Instant(0)));
        assert_eq!(part.expire(Instant(19 * MS)), Some((ShardId(0), 2)));
    }
}
