//! What a node has in common about callers who are not let in yet: whose address has shown too many wrong names and passwords,
//! and what the shards have to ask each other about binds.
//!
//! One for the node, so a guesser gains nothing by opening connections on several shards. It is touched when somebody binds,
//! and behind one lock: a bind comes rarely, and a node under attack is served by what is not let in quickly.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use wire::id::ShardId;
use wire::time::Instant;

use super::super::limits::{
    SMPP_ADDRESSES_MAX, SMPP_BAD_BINDS_FORGOTTEN, SMPP_BAD_BINDS_FREE, SMPP_HOLD_OFF_FIRST,
    SMPP_HOLD_OFF_LONGEST,
};
use super::super::passwords::Pepper;
use super::binds::{Call, Mailbox};

/// See the chapter. It outlives configurations.
#[derive(Debug)]
pub struct Lobby {
    pub(super) pepper: Pepper,
    bad: Mutex<BadBinds>,
    /// By shard.
    mailboxes: Vec<Mailbox>,
}

impl Lobby {
    /// The lobby of a node with so many shards.
    #[must_use]
    pub fn new(shards: u16, pepper: Pepper) -> Self {
        let mailboxes = (0..shards).map(|_| Mailbox::default()).collect();
        Self { pepper, bad: Mutex::default(), mailboxes }
    }

    /// Whether binds from an address are refused unseen for now.
    pub(super) fn holds_off(&self, address: IpAddr, now: Instant) -> bool {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).holds_off(address, now)
    }

    /// A bind from an address had a wrong name or password, or was not from where its account's are. For how long the address is
    /// held off, when that begins.
    pub(super) fn bad_bind(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).add(address, now)
    }

    /// Leaves a call for a shard, which is to be woken.
    pub(super) fn post(&self, shard: ShardId, call: Call) {
        self.mailboxes[usize::from(shard.0)].post(call);
    }

    /// Whether calls wait for a shard.
    pub(in super::super) fn has_calls(&self, shard: ShardId) -> bool {
        self.mailboxes[usize::from(shard.0)].has_some()
    }

    /// The calls for a shard.
    pub(in super::super) fn take_calls(&self, shard: ShardId) -> Vec<Call> {
        self.mailboxes[usize::from(shard.0)].take()
    }
}

/// Addresses that have shown wrong names or passwords. When there is no room, the one that was silent longest is forgotten: a guesser
/// with more addresses than this is not stopped by counting them.
#[derive(Debug, Default)]
struct BadBinds {
    by_network: HashMap<IpAddr, Bad, foldhash::fast::FixedState>,
}

#[derive(Clone, Copy, Debug)]
struct Bad {
    count: u32,
    last: Instant,
    until: Instant,
}

impl BadBinds {
    fn holds_off(&self, address: IpAddr, now: Instant) -> bool {
        self.by_network.get(&network_of(address)).is_some_and(|bad| now < bad.until)
    }

    fn add(&mut self, address: IpAddr, now: Instant) -> Option<Duration> {
        let network = network_of(address);
        if !self.by_network.contains_key(&network) && self.by_network.len() >= SMPP_ADDRESSES_MAX {
            let oldest = self.by_network.iter().min_by_key(|(network, bad)| (bad.last, **network));
            if let Some(oldest) = oldest.map(|(network, _)| *network) {
                self.by_network.remove(&oldest);
            }
        }
        let bad = self.by_network.entry(network).or_insert(Bad { count: 0, last: now, until: now });
        if now.since(bad.last) >= SMPP_BAD_BINDS_FORGOTTEN {
            bad.count = 0;
        }
        bad.count += 1;
        bad.last = now;
        let beyond = bad.count.checked_sub(SMPP_BAD_BINDS_FREE + 1)?;
        let wait = SMPP_HOLD_OFF_FIRST * 2_u32.saturating_pow(beyond.min(16));
        let wait = wait.min(SMPP_HOLD_OFF_LONGEST);
        bad.until = now.plus(wait);
        Some(wait)
    }
}

/// What one customer has: an IPv4 address, or the 64 bits of IPv6 that a site hands out.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_held_off_longer_with_each_bad_bind_and_forgiven_in_time() {
        let mut bad = BadBinds::default();
        let (guesser, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let mut now = Instant(0);
        for _ in 0..SMPP_BAD_BINDS_FREE {
            assert_eq!(bad.add(guesser, now), None);
        }
        assert!(!bad.holds_off(guesser, now));
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = bad.add(guesser, now).unwrap();
            assert!(bad.holds_off(guesser, now) && !bad.holds_off(other, now));
            now = now.plus(wait);
            assert!(!bad.holds_off(guesser, now));
            waits.push(wait);
        }
        assert_eq!(waits[..3], [SMPP_HOLD_OFF_FIRST, SMPP_HOLD_OFF_FIRST * 2, SMPP_HOLD_OFF_FIRST * 4]);
        assert_eq!(*waits.last().unwrap(), SMPP_HOLD_OFF_LONGEST);
        assert_eq!(bad.add(guesser, now.plus(SMPP_BAD_BINDS_FORGOTTEN)), None, "forgiven");
    }

    #[test]
    fn a_site_counts_as_one_and_the_table_is_bounded() {
        let mut bad = BadBinds::default();
        for n in 0..=SMPP_BAD_BINDS_FREE {
            bad.add(address(&format!("2001:db8::{n:x}")), Instant(u64::from(n)));
        }
        assert!(bad.holds_off(address("2001:db8::ffff"), Instant(10)));
        assert!(!bad.holds_off(address("2001:db8:0:1::1"), Instant(10)));
        assert_eq!(network_of(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        for n in 0..2 * u32::try_from(SMPP_ADDRESSES_MAX).unwrap() {
            bad.add(IpAddr::from(n.to_be_bytes()), Instant(100 + u64::from(n)));
        }
        assert_eq!(bad.by_network.len(), SMPP_ADDRESSES_MAX);
    }
}
