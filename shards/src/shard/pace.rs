//! What carriers answer is felt on every link and known by one shard for each carrier, which tells all how fast to go.
//! What follows from it is in `adaptive`.

use core::time::Duration;

use wire::id::ShardId;
use wire::smpp::status::Verdict;
use wire::smpp::tlv::{Tag, Tlv, Tlvs};
use wire::time::{Instant, Now};

use super::Shard;
use super::cross::Cross;
use crate::adaptive::{Felt, Pace, Paced};
use crate::limits::{FELT_EVERY, FELT_URGENT};

/// A shard's part in a carrier's pace.
#[derive(Debug)]
pub(super) struct Pacing {
    /// What was felt since it was told last.
    felt: Felt,
    told_at: Instant,
    /// What the links keep to.
    paced: Paced,
    /// On the shard that owns the carrier's rate: all that is known.
    pace: Option<Pace>,
}

impl Pacing {
    pub(super) fn new(configured: Option<u32>, is_owner: bool) -> Self {
        let pace = is_owner.then(|| Pace::new(configured));
        Self { felt: Felt::default(), told_at: Instant(0), paced: Paced::FREE, pace }
    }

    /// When it wants to be looked at.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let wait = if self.felt.is_urgent() { FELT_URGENT } else { FELT_EVERY };
        let tell = (!self.felt.is_nothing()).then(|| self.told_at.plus(wait));
        let step = self.pace.as_ref().and_then(Pace::timeout);
        tell.into_iter().chain(step).min()
    }

    /// What was learnt of how many segments a second there may be; `None`: nothing.
    pub(super) const fn learnt_rate(&self) -> Option<u32> {
        self.paced.rate
    }
}

/// `congestion_state` of an answer; 0 when it does not say.
pub(super) fn congestion_of(tlvs: Tlvs<'_>) -> u8 {
    let state = tlvs.find(Tag::CONGESTION_STATE).and_then(Tlv::number);
    state.and_then(|state| u8::try_from(state).ok()).unwrap_or(0)
}

impl Shard {
    /// A carrier's answer to a segment on a link of this shard; `took` is how long it took, if it came in time.
    pub(super) fn feel(&mut self, carrier: u16, verdict: Verdict, took: Option<Duration>, congestion: u8) {
        let felt = &mut self.carriers[usize::from(carrier)].pacing.felt;
        felt.taken = felt.taken.saturating_add(u32::from(verdict == Verdict::Ok));
        felt.throttled = felt.throttled.saturating_add(u32::from(verdict == Verdict::Throttled));
        if let Some(took) = took {
            felt.responses = felt.responses.saturating_add(1);
            felt.response_time = felt.response_time.saturating_add(took);
        }
        felt.congestion = felt.congestion.max(congestion);
    }

    /// Tells what was felt where that is due, and lets what was learnt go on.
    pub(super) fn handle_pacing_due(&mut self, now: Now) {
        for carrier in (0_u16..).take(self.carriers.len()) {
            let pacing = &mut self.carriers[usize::from(carrier)].pacing;
            if pacing.timeout().is_none_or(|due| due > now.mono) {
                continue;
            }
            let felt = core::mem::take(&mut pacing.felt);
            pacing.told_at = now.mono;
            let owner = self.plan.first_shard_of(carrier);
            if owner == self.config.id {
                self.handle_felt(now, carrier, &felt);
            } else if !felt.is_nothing() {
                self.crosses.push_back((owner, Cross::Felt { carrier, felt }));
            }
        }
    }

    /// A shard tells what its links felt of a carrier whose rate this one owns.
    pub(super) fn handle_felt(&mut self, now: Now, carrier: u16, felt: &Felt) {
        let Some(pace) = self.carriers[usize::from(carrier)].pacing.pace.as_mut() else { return };
        let before = pace.paced();
        pace.handle_timeout(now.mono);
        if !felt.is_nothing() {
            pace.handle_felt(now.mono, felt);
        }
        let after = pace.paced();
        if after == before {
            return;
        }
        let is_less = |rate: Option<u32>| rate.map_or(u64::MAX, u64::from);
        if is_less(after.rate) < is_less(before.rate) || after.share < before.share {
            self.counters.paces_cut += 1;
        }
        for shard in (0..self.plan.shards).map(ShardId).filter(|&shard| shard != self.config.id) {
            self.crosses.push_back((shard, Cross::Paced { carrier, paced: after }));
        }
        self.handle_paced(now, carrier, after);
    }

    /// The links of a carrier keep to this from now on.
    pub(super) fn handle_paced(&mut self, now: Now, carrier: u16, paced: Paced) {
        let configured = self.plan.carriers[usize::from(carrier)].profile.rate_per_s;
        let state = &mut self.carriers[usize::from(carrier)];
        state.pacing.paced = paced;
        state.rate.set(now.mono, paced.rate.or(configured));
        for link in &state.links {
            self.links[usize::from(link.0)].keep_to(paced);
        }
        self.serve_rate(now, carrier);
        self.serve_borrowers(now, carrier);
    }
}
