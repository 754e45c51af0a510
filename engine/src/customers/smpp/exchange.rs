//! What the shards of a node share about its SMPP customers: who may bind, how often they have, and which shard tells an
//! account's receipts.
//!
//! ```text
//!   shard 0 ─ binds of acme ─┐               holder of acme: shard 0 ─▶ subscribes, sends receipts on its binds
//!   shard 1 ─ binds of acme ─┴─ Exchange ─▶  shard 1 asks now and then, and takes over when shard 0 has no bind left
//! ```
//!
//! A fate goes to every subscription, so an account has one on a node: that of the shard that holds it. What is here is
//! touched when a bind comes or goes, never for a message, but for messages whose customer asked for no receipt: those are
//! remembered in a table with a lock, since no record has room for what a customer does not want to hear.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;
use shards::api::Fate;
use wire::id::{AccountId, Class, MessageId, ShardId};
use wire::smpp::fields::ReceiptWanted;
use wire::text::Alphabet;

use super::super::credentials::equal;
use super::super::limits::SMPP_UNASKED_MAX;

/// Which receipts an account is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipts {
    /// Those that `registered_delivery` asked for.
    Asked,
    /// Those of all its messages.
    All,
}

/// What makes two submissions of an account one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nothing.
    None,
    /// The TLV `user_message_reference`, together with the sender and the recipient.
    UserMessageReference,
}

/// An account that may bind.
#[derive(Clone, PartialEq, Eq)]
pub struct SmppAccount {
    /// The account.
    pub account: AccountId,
    /// Its name, which is its `system_id`.
    pub name: String,
    /// Its password.
    pub password: String,
    /// Binds on all shards together, at most.
    pub binds_max: u32,
    /// Unanswered submissions of one bind, and unanswered receipts, at most.
    pub window_pdus_max: u32,
    /// Which receipts it is sent.
    pub receipts: Receipts,
    /// Its idempotency keys.
    pub keys: Keys,
    /// What `data_coding` 0 means to it.
    pub default_alphabet: Alphabet,
    /// The class of each `priority_flag`; `None`: all messages have the account's.
    pub priorities: Option<[Class; 4]>,
}

impl fmt::Debug for SmppAccount {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmppAccount").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// No account of this name may bind.
    #[error("there is no account of this name that may bind")]
    Name,
    /// The password is another.
    #[error("this is not its password")]
    Password,
    /// It has as many binds as it may.
    #[error("the account has as many binds as it may (smpp_binds_max)")]
    Binds,
}

/// An account's place in the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u16);

/// All accounts that may bind. One for the node.
#[derive(Debug)]
pub struct Exchange {
    accounts: Vec<Entry>,
    by_name: HashMap<String, Place, foldhash::fast::FixedState>,
}

#[derive(Debug)]
struct Entry {
    account: SmppAccount,
    binds: AtomicU32,
    /// The shard that tells its receipts, plus one; zero: none does.
    holder: AtomicU32,
    unasked: Mutex<Unasked>,
}

/// Messages whose customer wants no receipt, or not every one. The oldest is forgotten for the newest: then a receipt is
/// sent that nobody asked for, which is the lesser evil.
#[derive(Debug, Default)]
struct Unasked {
    wanted: HashMap<MessageId, ReceiptWanted, foldhash::fast::FixedState>,
    order: VecDeque<MessageId>,
}

impl Exchange {
    /// An exchange of these accounts, nobody bound.
    #[must_use]
    pub fn new(accounts: Vec<SmppAccount>) -> Self {
        let places = (0..).map(Place);
        let by_name =
            accounts.iter().zip(places).map(|(account, place)| (account.name.clone(), place)).collect();
        let entry = |account| Entry {
            account,
            binds: AtomicU32::new(0),
            holder: AtomicU32::new(0),
            unasked: Mutex::default(),
        };
        Self { accounts: accounts.into_iter().map(entry).collect(), by_name }
    }

    /// Lets a bind in, which is given back with [`Exchange::leave`].
    ///
    /// # Errors
    /// [`Stranger`] says why not.
    pub fn enter(&self, system_id: &[u8], password: &[u8]) -> Result<Place, Stranger> {
        let name = core::str::from_utf8(system_id).map_err(|_| Stranger::Name)?;
        let place = *self.by_name.get(name).ok_or(Stranger::Name)?;
        let entry = self.entry(place);
        if !equal(entry.account.password.as_bytes(), password) {
            return Err(Stranger::Password);
        }
        let more = |binds| (binds < entry.account.binds_max).then_some(binds + 1);
        match entry.binds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(place),
            Err(_) => Err(Stranger::Binds),
        }
    }

    /// A bind is gone.
    pub fn leave(&self, place: Place) {
        let before = self.entry(place).binds.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "a bind leaves once");
    }

    /// The account of a place.
    #[must_use]
    pub fn account(&self, place: Place) -> &SmppAccount {
        &self.entry(place).account
    }

    /// Whether this shard tells the account's receipts from now on, because no other does.
    pub fn hold(&self, place: Place, shard: ShardId) -> bool {
        let mine = u32::from(shard.0) + 1;
        let claimed = self.entry(place).holder.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire);
        claimed.is_ok() || claimed == Err(mine)
    }

    /// This shard tells the account's receipts no more.
    pub fn release(&self, place: Place, shard: ShardId) {
        let mine = u32::from(shard.0) + 1;
        let held = self.entry(place).holder.compare_exchange(mine, 0, Ordering::AcqRel, Ordering::Acquire);
        assert_eq!(held, Ok(mine), "what is released is held");
    }

    /// Remembers what a message's customer wants to hear of it, unless that is everything.
    pub(super) fn remember(&self, place: Place, id: MessageId, wanted: ReceiptWanted) {
        let entry = self.entry(place);
        if wanted == ReceiptWanted::Final || entry.account.receipts == Receipts::All {
            return;
        }
        // Whoever panics while it holds the lock takes the process along.
        let mut unasked = entry.unasked.lock().unwrap_or_else(PoisonError::into_inner);
        let Unasked { wanted: table, order } = &mut *unasked;
        if table.insert(id, wanted).is_none() {
            order.push_back(id);
            if order.len() > SMPP_UNASKED_MAX
                && let Some(oldest) = order.pop_front()
            {
                table.remove(&oldest);
            }
        }
    }

    /// Whether a message's customer wants to hear of this fate. Asked once for each fate that is told.
    pub(super) fn wants(&self, place: Place, id: MessageId, fate: Fate) -> bool {
        let entry = self.entry(place);
        if entry.account.receipts == Receipts::All {
            return true;
        }
        let unasked = entry.unasked.lock().unwrap_or_else(PoisonError::into_inner);
        match unasked.wanted.get(&id) {
            None | Some(ReceiptWanted::Final) => true,
            Some(ReceiptWanted::Never) => false,
            Some(ReceiptWanted::OnFailure) => fate != Fate::Delivered,
            Some(ReceiptWanted::OnSuccess) => fate == Fate::Delivered,
        }
    }

    fn entry(&self, place: Place) -> &Entry {
        &self.accounts[usize::from(place.0)]
    }
}

impl Place {
    /// As the number of a request.
    pub(super) const fn number(self) -> u64 {
        self.0 as u64
    }

    /// The place of a request's number.
    pub(super) fn of_number(number: u64) -> Option<Self> {
        u16::try_from(number).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use wire::id::Partition;
    use wire::time::WallMs;

    use super::*;

    fn exchange(receipts: Receipts) -> Exchange {
        Exchange::new(vec![SmppAccount {
            account: AccountId::of_name("acme"),
            name: "acme".into(),
            password: "secret".into(),
            binds_max: 2,
            window_pdus_max: 10,
            receipts,
            keys: Keys::None,
            default_alphabet: Alphabet::Gsm7,
            priorities: None,
        }])
    }

    fn id(counter: u64) -> MessageId {
        MessageId::mint(WallMs(7), Partition(1), 1, counter)
    }

    #[test]
    fn an_account_binds_with_its_name_its_password_and_as_often_as_it_may() {
        let exchange = exchange(Receipts::Asked);
        assert_eq!(exchange.enter(b"acm", b"secret"), Err(Stranger::Name));
        assert_eq!(exchange.enter(b"acme", b"secre"), Err(Stranger::Password));
        let first = exchange.enter(b"acme", b"secret").unwrap();
        exchange.enter(b"acme", b"secret").unwrap();
        assert_eq!(exchange.enter(b"acme", b"secret"), Err(Stranger::Binds));
        exchange.leave(first);
        assert_eq!(exchange.enter(b"acme", b"secret"), Ok(first));
        assert!(!format!("{exchange:?}").contains("secret"));
    }

    #[test]
    fn one_shard_at_a_time_tells_an_accounts_receipts() {
        let exchange = exchange(Receipts::Asked);
        let place = Place(0);
        assert!(exchange.hold(place, ShardId(1)) && exchange.hold(place, ShardId(1)));
        assert!(!exchange.hold(place, ShardId(0)));
        exchange.release(place, ShardId(1));
        assert!(exchange.hold(place, ShardId(0)));
    }

    #[test]
    fn what_was_not_asked_for_is_remembered_and_the_oldest_is_forgotten() {
        let (asked, all, place) = (exchange(Receipts::Asked), exchange(Receipts::All), Place(0));
        for (number, wanted) in
            [(1, ReceiptWanted::Never), (2, ReceiptWanted::OnFailure), (3, ReceiptWanted::OnSuccess)]
        {
            asked.remember(place, id(number), wanted);
            all.remember(place, id(number), wanted);
        }
        let told = |exchange: &Exchange, fate| [0, 1, 2, 3].map(|n| exchange.wants(place, id(n), fate));
        assert_eq!(told(&asked, Fate::Delivered), [true, false, false, true]);
        assert_eq!(told(&asked, Fate::Expired), [true, false, true, false]);
        assert_eq!(told(&all, Fate::Delivered), [true; 4]);
        for more in 0..SMPP_UNASKED_MAX as u64 {
            asked.remember(place, id(100 + more), ReceiptWanted::Never);
        }
        assert!(asked.wants(place, id(1), Fate::Delivered), "forgotten, so it is told");
        assert!(!asked.wants(place, id(100), Fate::Delivered));
    }
}
