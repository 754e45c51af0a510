//! What each account holds of a shard, and how fast it may go on.
//!
//! A limit is checked when a submission is decided, never when a record is applied: what was taken before a limit was
//! lowered stays taken.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use wire::id::{AccountId, ShardId};
use wire::time::Instant;

use crate::api::{Origin, Refusal};
use crate::limits::AWAITING_RATE_MAX;
use crate::plan::Plan;
use crate::rates::{Question, SharedRate};
use crate::shard::cross::OwnedSubmission;

/// The accounts of the plan in force, and those that have open messages though they are not in it any more.
#[derive(Debug)]
pub(crate) struct Accounts {
    own: ShardId,
    entries: HashMap<AccountId, Entry, FixedState>,
    /// How many the plan has.
    count: u16,
    /// Accounts with a slice of their rate.
    sliced: Vec<AccountId>,
    /// Submissions that wait for a slice.
    awaiting: usize,
}

#[derive(Debug)]
struct Entry {
    /// Its place in the plan; `None` when it is not there.
    place: Option<u16>,
    open: usize,
    open_max: usize,
    keys_max: usize,
    rate: SharedRate,
    awaiting: Vec<Awaiting>,
}

/// A submission that waits for a slice of its account's rate.
#[derive(Debug)]
pub(crate) struct Awaiting {
    pub(crate) origin: Origin,
    pub(crate) submission: OwnedSubmission,
}

/// What may be said of a submission now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is taken from the account's rate.
    Granted,
    /// The shard that owns the rate is to be asked, or has been.
    Waits(Option<Question>),
}

impl Entry {
    fn new(rate: SharedRate) -> Self {
        Self { place: None, open: 0, open_max: 0, keys_max: usize::MAX, rate, awaiting: Vec::new() }
    }
}

impl Accounts {
    pub(crate) fn new(plan: &Plan, own: ShardId, now: Instant) -> Self {
        let entries = HashMap::with_hasher(FixedState::default());
        let mut accounts = Self { own, entries, count: 0, sliced: Vec::new(), awaiting: 0 };
        accounts.replace(plan, now);
        accounts
    }

    /// Goes on by another plan. What is open stays counted; a rate that has not changed keeps what it has used up.
    pub(crate) fn replace(&mut self, plan: &Plan, now: Instant) {
        self.entries.values_mut().for_each(|entry| entry.place = None);
        for (place, account) in (0_u16..).zip(&plan.accounts) {
            let owner = plan.rate_owner_of(account.id);
            let rate = SharedRate::new(account.rate, owner, self.own, plan.shards, now);
            match self.entries.get_mut(&account.id) {
                Some(entry) if entry.rate.per_second() == account.rate => {}
                Some(entry) => entry.rate = rate,
                None => {
                    self.entries.insert(account.id, Entry::new(rate));
                }
            }
            let entry = self.entries.get_mut(&account.id).expect("put there above");
            entry.place = Some(place);
            entry.open_max = account.open_messages_max;
            entry.keys_max = account.keys_max;
        }
        self.entries.retain(|_, entry| entry.place.is_some() || entry.open > 0 || !entry.awaiting.is_empty());
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

    /// How many of its keys are remembered here at most.
    pub(crate) fn keys_max(&self, account: AccountId) -> usize {
        self.entries.get(&account).map_or(usize::MAX, |entry| entry.keys_max)
    }

    /// Whether an account may have one more open message of so many segments now. Takes it from its rate if so.
    ///
    /// # Errors
    /// Which limit stands against it.
    pub(crate) fn admit(
        &mut self,
        account: AccountId,
        now: Instant,
        segments: u8,
    ) -> Result<Admission, Refusal> {
        let Some(entry) = self.entries.get_mut(&account) else { return Err(Refusal::Account) };
        if entry.open >= entry.open_max {
            return Err(Refusal::AccountFull);
        }
        if entry.rate.per_second().is_none() {
            return Ok(Admission::Granted);
        }
        if entry.rate.is_owned() {
            let drawn = entry.rate.draw(now, segments, 0);
            return if drawn > 0 { Ok(Admission::Granted) } else { Err(Refusal::Rate) };
        }
        if entry.rate.admits(now, segments) {
            entry.rate.take(segments);
            return Ok(Admission::Granted);
        }
        if self.awaiting >= AWAITING_RATE_MAX {
            return Err(Refusal::Busy);
        }
        Ok(Admission::Waits(entry.rate.ask(self.own, segments, usize::MAX)))
    }

    /// Keeps a submission that [`Admission::Waits`].
    pub(crate) fn wait(&mut self, account: AccountId, awaiting: Awaiting) {
        let entry = self.entries.get_mut(&account).expect("it was asked about just now");
        entry.awaiting.push(awaiting);
        self.awaiting += 1;
    }

    /// A slice for another shard, of a rate that is owned here: 0 when it is used up.
    pub(crate) fn draw_for(&mut self, account: AccountId, now: Instant, need: u8, want: u32) -> u32 {
        self.entries.get_mut(&account).map_or(0, |entry| entry.rate.draw(now, need, want))
    }

    /// The owner's answer, and all that waits for it.
    pub(crate) fn handle_slice(&mut self, account: AccountId, now: Instant, segments: u32) -> Vec<Awaiting> {
        let Some(entry) = self.entries.get_mut(&account) else { return Vec::new() };
        entry.rate.handle_slice(now, segments);
        if segments > 0 && !self.sliced.contains(&account) {
            self.sliced.push(account);
        }
        self.awaiting -= entry.awaiting.len();
        core::mem::take(&mut entry.awaiting)
    }

    /// Another shard has not used these.
    pub(crate) fn handle_back(&mut self, account: AccountId, segments: u32) {
        if let Some(entry) = self.entries.get_mut(&account) {
            entry.rate.handle_back(segments);
        }
    }

    /// When the next slice ends.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.sliced.iter().filter_map(|account| self.entries.get(account)?.rate.timeout()).min()
    }

    /// A slice whose time is over: what its owner is to have back.
    pub(crate) fn poll_expired(&mut self, now: Instant) -> Option<(AccountId, ShardId, u32)> {
        let mut place = 0;
        while let Some(&account) = self.sliced.get(place) {
            let entry = self.entries.get_mut(&account);
            let expired = entry.and_then(|entry| match entry.rate.timeout() {
                Some(ends) if ends > now => None,
                _ => Some(entry.rate.expire(now)),
            });
            match expired {
                None if self.entries.contains_key(&account) => place += 1,
                None | Some(None) => {
                    self.sliced.swap_remove(place);
                }
                Some(Some((owner, left))) => {
                    self.sliced.swap_remove(place);
                    return Some((account, owner, left));
                }
            }
        }
        None
    }

    /// One more of its messages is open.
    pub(crate) fn opened(&mut self, account: AccountId) {
        let own = self.own;
        let unknown = || Entry::new(SharedRate::new(None, own, own, 1, Instant(0)));
        self.entries.entry(account).or_insert_with(unknown).open += 1;
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
        let account = |&(name, open_messages_max, rate): &(&str, usize, Option<u32>)| plan::Account {
            id: AccountId::of_name(name),
            name: name.into(),
            class: Class::Transactional,
            sender: "A".into(),
            senders: Vec::new(),
            open_messages_max,
            keys_max: usize::MAX,
            rate,
        };
        Plan {
            node: NodeId(1),
            founders: vec![crate::members::Member::of(NodeId(1))],
            is_clustered: false,
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
            inbound: crate::inbound::Inbound::default(),
        }
    }

    #[test]
    fn an_account_holds_as_many_as_it_may_also_over_another_plan() {
        let (a, b) = (AccountId::of_name("a"), AccountId::of_name("b"));
        let mut accounts = Accounts::new(&plan(&[("a", 2, None), ("b", 2, None)]), ShardId(0), Instant(0));
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
        let mut accounts = Accounts::new(&with_rate, ShardId(0), Instant(0));
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
