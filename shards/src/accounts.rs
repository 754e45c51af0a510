//! What each account holds of a shard, and how fast it may go on.
//!
//! A limit is checked when a submission is decided, never when a record is applied: what was taken before a limit was
//! lowered stays taken.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use wire::id::AccountId;
use wire::time::Instant;

use crate::api::Refusal;
use crate::pacing::Bucket;
use crate::plan::Plan;

/// The accounts of the plan in force, and those that have open messages though they are not in it any more.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    entries: HashMap<AccountId, Entry, FixedState>,
    /// How many the plan has.
    count: u16,
}

#[derive(Debug)]
struct Entry {
    /// Its place in the plan; `None` when it is not there.
    place: Option<u16>,
    open: usize,
    open_max: usize,
    rate: Bucket,
}

impl Accounts {
    pub(crate) fn new(plan: &Plan, now: Instant) -> Self {
        let mut accounts = Self::default();
        accounts.replace(plan, now);
        accounts
    }

    /// Goes on by another plan. What is open stays counted; a rate that has not changed keeps what it has used up.
    pub(crate) fn replace(&mut self, plan: &Plan, now: Instant) {
        self.entries.values_mut().for_each(|entry| entry.place = None);
        for (place, account) in (0_u16..).zip(&plan.accounts) {
            let (open_max, rate) = (account.open_messages_max, Bucket::new(account.rate_per_shard, now));
            let entry =
                self.entries.entry(account.id).or_insert(Entry { place: None, open: 0, open_max, rate });
            entry.place = Some(place);
            entry.open_max = open_max;
            if entry.rate.per_second() != account.rate_per_shard {
                entry.rate = rate;
            }
        }
        self.entries.retain(|_, entry| entry.place.is_some() || entry.open > 0);
        self.count = u16::try_from(plan.accounts.len()).unwrap_or(u16::MAX);
    }

    /// Its place in the plan in force.
    pub(crate) fn place(&self, account: AccountId) -> Option<u16> {
        self.entries.get(&account)?.place
    }

    /// Its place among those that wait: all that are not in the plan share one.
    pub(crate) fn queue_place(&self, account: AccountId) -> u16 {
        self.place(account).unwrap_or(self.count)
    }

    /// Whether an account may have one more open message of so many segments now. Takes it from its rate if so.
    ///
    /// # Errors
    /// Which limit stands against it.
    pub(crate) fn admit(&mut self, account: AccountId, now: Instant, segments: u8) -> Result<(), Refusal> {
        let Some(entry) = self.entries.get_mut(&account) else { return Err(Refusal::Account) };
        if entry.open >= entry.open_max {
            return Err(Refusal::AccountFull);
        }
        if !entry.rate.admits(now, segments) {
            return Err(Refusal::Rate);
        }
        entry.rate.take(now, segments);
        Ok(())
    }

    /// One more of its messages is open.
    pub(crate) fn opened(&mut self, account: AccountId) {
        let (open_max, rate) = (0, Bucket::new(None, Instant(0)));
        let entry = self.entries.entry(account).or_insert(Entry { place: None, open: 0, open_max, rate });
        entry.open += 1;
    }

    /// One of its messages is over.
    pub(crate) fn over(&mut self, account: AccountId) {
        let entry =
            self.entries.get_mut(&account).expect("an account has an entry while a message of it is open");
        entry.open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use wire::id::{Class, NodeId, PartitionCount};

    use super::*;
    use crate::plan::{self, ClassPolicy};
    use crate::routes::Routes;

    fn plan(accounts: &[(&str, usize, Option<u32>)]) -> Plan {
        let account =
            |&(name, open_messages_max, rate_per_shard): &(&str, usize, Option<u32>)| plan::Account {
                id: AccountId::of_name(name),
                name: name.into(),
                class: Class::Transactional,
                sender: "A".into(),
                open_messages_max,
                rate_per_shard,
            };
        Plan {
            node: NodeId(1),
            shards: 1,
            partitions: PartitionCount::new(16).unwrap(),
            accounts: accounts.iter().map(account).collect(),
            carriers: Vec::new(),
            routes: Routes::new(Vec::new()),
            classes: Class::ALL.map(ClassPolicy::default_of),
            open_messages_max: 1_000,
            keys_max: 1_000,
            retention: Duration::from_secs(60),
            finished_max: 1_000,
        }
    }

    #[test]
    fn an_account_holds_as_many_as_it_may_also_over_another_plan() {
        let (a, b) = (AccountId::of_name("a"), AccountId::of_name("b"));
        let mut accounts = Accounts::new(&plan(&[("a", 2, None), ("b", 2, None)]), Instant(0));
        for _ in 0..2 {
            accounts.admit(a, Instant(0), 1).unwrap();
            accounts.opened(a);
        }
        assert_eq!(accounts.admit(a, Instant(0), 1), Err(Refusal::AccountFull));
        accounts.admit(b, Instant(0), 1).unwrap();
        accounts.replace(&plan(&[("b", 2, None)]), Instant(0));
        assert_eq!((accounts.place(a), accounts.queue_place(a), accounts.place(b)), (None, 1, Some(0)));
        accounts.over(a);
        accounts.replace(&plan(&[("b", 2, None), ("a", 2, None)]), Instant(0));
        accounts.admit(a, Instant(0), 1).unwrap();
        accounts.opened(a);
        assert_eq!(accounts.admit(a, Instant(0), 1), Err(Refusal::AccountFull));
    }

    #[test]
    fn an_account_goes_as_fast_as_it_may_and_does_not_gain_by_a_reload() {
        let (a, second) = (AccountId::of_name("a"), 1_000_000_000);
        let with_rate = plan(&[("a", 1_000, Some(20))]);
        let mut accounts = Accounts::new(&with_rate, Instant(0));
        accounts.admit(a, Instant(0), 1).unwrap();
        assert_eq!(accounts.admit(a, Instant(0), 1), Err(Refusal::Rate));
        accounts.replace(&with_rate, Instant(0));
        assert_eq!(accounts.admit(a, Instant(0), 1), Err(Refusal::Rate));
        let taken =
            (1..1_000).filter(|ms| accounts.admit(a, Instant(ms * second / 1_000), 1).is_ok()).count();
        assert!((18..=20).contains(&taken), "{taken}");
        assert_eq!(accounts.admit(AccountId::of_name("b"), Instant(0), 1), Err(Refusal::Account));
    }
}
