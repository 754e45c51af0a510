//! What was agreed with carriers and accounts about how much and how fast: the sum over all shards keeps to it.
//!
//! A carrier's attempts are those of the logs, so that a network that holds bytes back and lets them go together excuses
//! nothing. A restart begins with a full bucket, which is granted.

use std::collections::BTreeMap;

use shards::plan::Binds;
use wire::id::{AccountId, CarrierId, ShardId};
use wire::time::WallMs;

use super::chronicle::Chronicle;
use super::{DECENCY, Judge};
use crate::carrier::capacity::{Capacity, Seen};
use crate::swarm::{MS, S, Swarm};

impl Judge {
    /// No rate of a carrier or an account was exceeded, whatever the shards; the process began `lives` times.
    pub(crate) fn check_pace(&mut self, at: u64, swarm: &Swarm, lives: u64, chronicle: &Chronicle) {
        if swarm.clock_is_wrong() {
            return;
        }
        let mut by_carrier: BTreeMap<CarrierId, Vec<(WallMs, u64)>> = BTreeMap::new();
        let mut by_account: BTreeMap<AccountId, Vec<(WallMs, u64)>> = BTreeMap::new();
        for (id, life) in &chronicle.messages {
            for attempt in &life.attempts {
                let sent = (attempt.at, u64::from(attempt.parts.count_ones()));
                by_carrier.entry(attempt.carrier).or_default().push(sent);
            }
            if let Some(account) = chronicle.account(*id) {
                by_account.entry(account).or_default().push((id.minted_at(), u64::from(life.segments)));
            }
        }
        let plan = &swarm.plan;
        // Also one that was never sent: the tokens of its turn went to others.
        let length = |life: &super::chronicle::Life| {
            // It may have been cut otherwise for an earlier carrier.
            let cuts = life.attempts.iter().map(|attempt| attempt.parts.count_ones());
            u64::from(cuts.max().unwrap_or(0).max(u32::from(life.segments)))
        };
        let longest = chronicle.messages.values().map(length).max().unwrap_or(0);
        let carriers = plan.carriers.iter().map(|carrier| {
            (
                carrier.name.as_str(),
                carrier.profile.rate_per_s,
                by_carrier.remove(&carrier.id).unwrap_or_default(),
            )
        });
        let accounts = plan.accounts.iter().map(|account| {
            (account.name.as_str(), account.rate, by_account.remove(&account.id).unwrap_or_default())
        });
        for (name, rate, mut passed) in carriers.chain(accounts) {
            let Some(rate) = rate.map(u64::from) else { continue };
            let slices = (rate / 50).max(1) * u64::from(plan.shards);
            // A long message goes when its bucket is full, and is paid off afterwards: its segments come on top. A restart
            // forgets what is owed.
            // Room that was lent is used when the borrower's disk has let its turn come: one loan to each.
            let loans = u64::from(plan.shards - 1) * longest.max((rate / 50).max(1));
            let burst = ((rate / 20).max(1) + slices + loans + longest) * lives.max(1);
            passed.sort_unstable();
            if let Some((when, over)) = excess(rate, burst, &passed) {
                let what = format!("{name} has {rate} segments/s and {over} more went by {} ms", when.0);
                self.fail(at, DECENCY, what);
            }
        }
    }
}

impl Judge {
    /// No account had more open messages on a shard than it may, whatever was lost and read back.
    pub(crate) fn check_open(&mut self, at: u64, swarm: &Swarm, chronicle: &Chronicle) {
        let plan = &swarm.plan;
        let mut turns: BTreeMap<(AccountId, ShardId), Vec<(WallMs, i64)>> = BTreeMap::new();
        for (id, life) in &chronicle.messages {
            let Some(account) = chronicle.account(*id) else { continue };
            let turns = turns.entry((account, ShardId::owner_of(id.partition(), plan.shards))).or_default();
            turns.push((id.minted_at(), 1));
            turns.extend(life.fates.iter().map(|fate| (fate.at, -1)));
        }
        for ((account, shard), mut turns) in turns {
            let limit = plan.account(account).map_or(usize::MAX, |account| account.open_messages_max);
            // Of one millisecond, what ends is counted first.
            turns.sort_unstable();
            let mut open = 0_i64;
            let over = turns.iter().find(|(_, turn)| {
                open += turn;
                usize::try_from(open).is_ok_and(|open| open > limit)
            });
            if let Some((when, _)) = over {
                let what = format!(
                    "account {} had more than {limit} open on shard {} at {} ms",
                    account.0, shard.0, when.0
                );
                self.fail(at, DECENCY, what);
            }
        }
    }
}

impl Judge {
    /// In a calm world, a carrier that can take so much a second gets about that, and not much more than it can take.
    /// `others` is how long the others may take for what they were given: it may come here in the end.
    pub(crate) fn check_capacity(
        &mut self,
        (at, swarm, lives): (u64, &Swarm, u64),
        place: usize,
        of: &Capacity,
        others: u64,
    ) {
        let Seen { taken, throttled, first_throttled, last_taken, taken_after } = of.seen;
        let Some(first) = first_throttled else { return };
        let carrier = &swarm.plan.carriers[place];
        let binds = match carrier.binds {
            Binds::PerShard(binds) => u64::from(binds) * u64::from(swarm.plan.shards),
            Binds::OfNode(binds) => u64::from(binds),
        };
        // What was under way when it asked for less first, twice since it is heard by one shard and told to the others; then one in two.
        let under_way = binds * u64::from(carrier.profile.window_pdus);
        if throttled > 2 * lives * under_way + taken / 2 + 40 {
            let what = format!(
                "carrier {place} takes {} segments/s and was given {throttled} too many: {of:?}",
                of.per_s
            );
            self.fail(at, DECENCY, what);
        }
        let took = last_taken.saturating_sub(first);
        let allowed = patience_with(of) + others + (8 + swarm.safety / S) * S;
        if took > allowed {
            let what = format!(
                "carrier {place} takes {} segments/s and was given {taken_after} in {} ms: {of:?}",
                of.per_s,
                took / MS
            );
            self.fail(at, DECENCY, what);
        }
    }
}

/// How long a carrier may take for what it was given since it asked for less: twice as long as it needs.
pub(crate) const fn patience_with(of: &Capacity) -> u64 {
    2 * of.seen.taken_after * S / of.per_s
}

/// When more than a rate and its burst had passed, and by how much: a bucket that leaks at the rate.
fn excess(rate: u64, burst: u64, passed: &[(WallMs, u64)]) -> Option<(WallMs, u64)> {
    let (mut level, mut last) = (0_u64, WallMs(0));
    passed.iter().find_map(|&(at, segments)| {
        let ms = u64::try_from(at.since(last).as_millis()).unwrap_or(u64::MAX);
        let leaked = ms.saturating_mul(rate);
        last = at;
        level = level.saturating_sub(leaked) + segments * 1_000;
        // A record's time is rounded to a millisecond.
        let room = burst * 1_000 + rate;
        (level > room).then(|| (at, (level - room).div_ceil(1_000)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_and_its_burst_pass_and_two_more_at_once_do_not() {
        let even: Vec<_> = (0..100).map(|n| (WallMs(n * 100), 1)).collect();
        assert_eq!(excess(10, 1, &even), None);
        let mut two_more = even;
        two_more.push((WallMs(9_901), 2));
        assert_eq!(excess(10, 1, &two_more), Some((WallMs(9_901), 2)));
    }
}
