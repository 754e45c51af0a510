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
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use shards::api::Fate;
use wire::id::{AccountId, Class, MessageId, ShardId};
use wire::smpp::fields::ReceiptWanted;
use wire::smpp::{Bind, BindKind, CommandStatus};
use wire::text::Alphabet;
use wire::time::Instant;

use super::super::credentials::KeyDigest;
use super::super::limits::{SMPP_KNOWN_PASSWORDS_MAX, SMPP_UNASKED_MAX};
use super::super::passwords::{Password, SlowHash};
use super::binds::{BindLimits, Binds, Call, Entered, Line, Seat};
use super::lobby::Lobby;
use super::network::Network;

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
    /// The TLV with this tag, together with the recipient.
    Tlv(u16),
}

/// An account that may bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmppAccount {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Its name in binds.
    pub system_id: String,
    /// Its passwords, any of which lets it in.
    pub passwords: Vec<Password>,
    /// From where it may bind; empty: from anywhere.
    pub addresses: Vec<Network>,
    /// What it may say of its system; empty: anything.
    pub system_types: Vec<String>,
    /// Binds on all shards together, at most.
    pub binds_max: BindLimits,
    /// Unanswered submissions of one bind, and unanswered receipts, at most.
    pub window_pdus_max: u32,
    /// Submissions a second over one bind; `None`: any.
    pub bind_rate_per_s: Option<u32>,
    /// Which receipts it is sent.
    pub receipts: Receipts,
    /// Its idempotency keys.
    pub keys: Keys,
    /// What `data_coding` 0 means to it.
    pub default_alphabet: Alphabet,
    /// The class of each `priority_flag`; `None`: all messages have the account's.
    pub priorities: Option<[Class; 4]>,
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
    /// It is not where the account's programs are.
    #[error("the account may not bind from this address (smpp_addresses)")]
    Address,
    /// It says that it is another kind of system.
    #[error("the account may not bind with this system_type (smpp_system_types)")]
    SystemType,
    /// It has as many binds as it may.
    #[error(
        "the account has as many binds as it may (smpp_binds_max and its siblings), and all of them live"
    )]
    Binds,
    /// Its address has shown too many wrong names and passwords.
    #[error("too many binds from this address were refused; it is held off for a while")]
    HeldOff,
    /// Too many passwords wait to be looked at.
    #[error("too many passwords wait to be looked at")]
    Busy,
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
}

impl Stranger {
    /// What it is answered (SMPP 3.4 §5.1.3).
    #[must_use]
    pub const fn status(self) -> CommandStatus {
        match self {
            Self::Name => CommandStatus::ESME_RINVSYSID,
            Self::Password => CommandStatus::ESME_RINVPASWD,
            Self::SystemType => CommandStatus::ESME_RINVSYSTYP,
            Self::Binds => CommandStatus::ESME_RALYBND,
            Self::Busy => CommandStatus::ESME_RTHROTTLED,
            Self::Address | Self::HeldOff | Self::Stopping => CommandStatus::ESME_RBINDFAIL,
        }
    }

    /// Whether it may be somebody who guesses.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Name | Self::Password | Self::Address)
    }
}

/// What is known of a password that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is one of the account's.
    Right,
    /// It is none.
    Wrong,
    /// It is to be seen whether it fits one of these.
    Unknown(Vec<SlowHash>),
}

/// An account's place in the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u16);

/// All accounts that may bind, by one configuration. What changes while binds come and go belongs to the account and outlives it.
#[derive(Debug)]
pub struct Exchange {
    lobby: Arc<Lobby>,
    accounts: Vec<Entry>,
    /// By the hash of the `system_id`, so that looking takes the same time whatever is near it. Only of accounts that may bind now.
    by_system_id: HashMap<[u8; 32], Place, foldhash::fast::FixedState>,
}

#[derive(Debug)]
struct Entry {
    account: SmppAccount,
    shared: Arc<Shared>,
}

/// What all shards and all configurations share about an account.
#[derive(Debug, Default)]
struct Shared {
    binds: Binds,
    /// The shard that tells its receipts, plus one; zero: none does.
    holder: AtomicU32,
    unasked: Mutex<Unasked>,
    /// By what passwords that were found right are known, the oldest first.
    known: Mutex<VecDeque<KeyDigest>>,
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
    pub fn new(accounts: Vec<SmppAccount>, lobby: Arc<Lobby>) -> Self {
        let nobody = Self { lobby, accounts: Vec::new(), by_system_id: HashMap::default() };
        nobody.renewed(accounts)
    }

    /// The same by another configuration. Accounts keep their places, and with them their binds; one that is gone binds no more.
    #[must_use]
    pub fn renewed(&self, accounts: Vec<SmppAccount>) -> Self {
        let keep =
            |entry: &Entry| Entry { account: entry.account.clone(), shared: Arc::clone(&entry.shared) };
        let mut entries: Vec<Entry> = self.accounts.iter().map(keep).collect();
        let mut by_system_id = HashMap::default();
        for account in accounts {
            let known = entries.iter().position(|entry| entry.account.account == account.account);
            let place = known.unwrap_or(entries.len());
            let Ok(number) = u16::try_from(place) else { break };
            by_system_id.insert(KeyDigest::of(account.system_id.as_bytes()).bytes(), Place(number));
            match known {
                Some(place) => entries[place].account = account,
                None => entries.push(Entry { account, shared: Arc::default() }),
            }
        }
        Self { lobby: Arc::clone(&self.lobby), accounts: entries, by_system_id }
    }

    /// What the callers of a node have in common.
    pub(in super::super) fn lobby(&self) -> &Lobby {
        &self.lobby
    }

    /// Whose bind it would be, and what is known of its password.
    ///
    /// # Errors
    /// [`Stranger`] says why nobody's.
    pub(super) fn look_at(&self, bind: &Bind<'_>, from: IpAddr) -> Result<(Place, Shown), Stranger> {
        let digest = KeyDigest::of(bind.system_id).bytes();
        let place = *self.by_system_id.get(&digest).ok_or(Stranger::Name)?;
        let entry = self.entry(place);
        let account = &entry.account;
        if !account.addresses.is_empty() && !account.addresses.iter().any(|network| network.has(from)) {
            return Err(Stranger::Address);
        }
        let types = &account.system_types;
        if !types.is_empty() && !types.iter().any(|known| known.as_bytes() == bind.system_type) {
            return Err(Stranger::SystemType);
        }
        Ok((place, self.look_at_password(entry, bind.password)))
    }

    fn look_at_password(&self, entry: &Entry, password: &[u8]) -> Shown {
        let shown = KeyDigest::of(password);
        let mut slow = Vec::new();
        for kept in &entry.account.passwords {
            match kept {
                Password::Plain(digest) if digest.equals(&shown) => return Shown::Right,
                Password::Plain(_) => {}
                Password::Hashed(hash) => slow.push(hash.clone()),
            }
        }
        let known = entry.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |hash: &SlowHash| {
            let tag = self.lobby.pepper.tag(hash, password);
            known.iter().any(|known| known.equals(&tag))
        };
        match slow {
            slow if slow.is_empty() => Shown::Wrong,
            slow if slow.iter().any(is_known) => Shown::Right,
            slow => Shown::Unknown(slow),
        }
    }

    /// A password was found to fit a hash: it is known from now on.
    pub(in super::super) fn remember_password(&self, place: Place, hash: &SlowHash, password: &[u8]) {
        let mut known = self.entry(place).shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_back(self.lobby.pepper.tag(hash, password));
        if known.len() > SMPP_KNOWN_PASSWORDS_MAX {
            known.pop_front();
        }
    }

    /// Whether a hash is one of an account's passwords now.
    pub(super) fn has_password(&self, place: Place, hash: &SlowHash) -> bool {
        let mut passwords = self.entry(place).account.passwords.iter();
        self.may_bind(place) && passwords.any(|kept| matches!(kept, Password::Hashed(other) if other == hash))
    }

    /// Whether an account may bind at all by this configuration.
    fn may_bind(&self, place: Place) -> bool {
        let digest = KeyDigest::of(self.entry(place).account.system_id.as_bytes()).bytes();
        self.by_system_id.get(&digest) == Some(&place)
    }

    /// Takes a place for a bind, which is given back with [`Exchange::leave`]. Where there is none, a bind that may be gone is asked,
    /// by its shard, which is named to be woken.
    pub(super) fn enter(
        &self,
        place: Place,
        (line, kind): (Line, BindKind),
        now: Instant,
    ) -> (Entered, Option<ShardId>) {
        let entry = self.entry(place);
        let entered = entry.shared.binds.enter(line, kind, &entry.account.binds_max, now);
        let Entered::Ask(asked) = entered else { return (entered, None) };
        self.lobby.post(asked.shard, Call::Probe(asked.connection));
        (entered, Some(asked.shard))
    }

    /// A bind is gone. The shard of who waited for that, which is to be woken.
    pub(super) fn leave(&self, place: Place, seat: &Seat) -> Option<ShardId> {
        self.settle(self.entry(place).shared.binds.leave(seat))
    }

    /// A bind is there. The shard of who waited to hear that, which is to be woken.
    pub(super) fn lives(&self, place: Place, seat: &Seat) -> Option<ShardId> {
        self.settle(self.entry(place).shared.binds.lives(seat))
    }

    fn settle(&self, asker: Option<Line>) -> Option<ShardId> {
        let Line { shard, connection } = asker?;
        self.lobby.post(shard, Call::Settled(connection));
        Some(shard)
    }

    /// The account of a place.
    #[must_use]
    pub fn account(&self, place: Place) -> &SmppAccount {
        &self.entry(place).account
    }

    /// Whether this shard tells the account's receipts from now on, because no other does.
    pub fn hold(&self, place: Place, shard: ShardId) -> bool {
        let mine = u32::from(shard.0) + 1;
        let claimed =
            self.entry(place).shared.holder.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire);
        claimed.is_ok() || claimed == Err(mine)
    }

    /// This shard tells the account's receipts no more.
    pub fn release(&self, place: Place, shard: ShardId) {
        let mine = u32::from(shard.0) + 1;
        let held =
            self.entry(place).shared.holder.compare_exchange(mine, 0, Ordering::AcqRel, Ordering::Acquire);
        assert_eq!(held, Ok(mine), "what is released is held");
    }

    /// Remembers what a message's customer wants to hear of it, unless that is everything.
    pub(super) fn remember(&self, place: Place, id: MessageId, wanted: ReceiptWanted) {
        let entry = self.entry(place);
        if wanted == ReceiptWanted::Final || entry.account.receipts == Receipts::All {
            return;
        }
        // Whoever panics while it holds the lock takes the process along.
        let mut unasked = entry.shared.unasked.lock().unwrap_or_else(PoisonError::into_inner);
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
        let unasked = entry.shared.unasked.lock().unwrap_or_else(PoisonError::into_inner);
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
impl SmppAccount {
    /// One of tests, with a password in plain text and the least of everything else.
    pub(in super::super) fn sample(name: &str, password: &str) -> Self {
        Self {
            account: AccountId::of_name(name),
            name: name.to_owned(),
            system_id: name.to_owned(),
            passwords: vec![Password::Plain(password.into())],
            addresses: Vec::new(),
            system_types: Vec::new(),
            binds_max: BindLimits { all: 2, transmitters: 2, receivers: 2, transceivers: 2 },
            window_pdus_max: 10,
            bind_rate_per_s: None,
            receipts: Receipts::Asked,
            keys: Keys::None,
            default_alphabet: Alphabet::Gsm7,
            priorities: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::id::Partition;
    use wire::time::WallMs;

    use super::super::super::passwords::{Pepper, SALT_BYTES};
    use super::*;

    fn account(receipts: Receipts) -> SmppAccount {
        SmppAccount { receipts, ..SmppAccount::sample("acme", "secret") }
    }

    fn exchange(receipts: Receipts) -> Exchange {
        Exchange::new(vec![account(receipts)], Arc::new(Lobby::new(2, Pepper::new([1; 4]))))
    }

    fn id(counter: u64) -> MessageId {
        MessageId::mint(WallMs(7), Partition(1), 1, counter)
    }

    fn bind<'a>(system_id: &'a str, password: &'a str, system_type: &'a str) -> Bind<'a> {
        Bind {
            kind: BindKind::Transceiver,
            system_id: system_id.as_bytes(),
            password: password.as_bytes(),
            system_type: system_type.as_bytes(),
            interface_version: 0x34,
            address_range: wire::smpp::Address::default(),
        }
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_account_is_found_by_its_system_id_its_password_and_where_it_may_be() {
        let mut acme = account(Receipts::Asked);
        acme.system_id = "acme-sms".to_owned();
        acme.addresses = vec!["127.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        acme.system_types = vec!["SMPP".to_owned(), String::new()];
        let exchange = Exchange::new(vec![acme], Arc::new(Lobby::new(1, Pepper::new([1; 4]))));
        let look = |bind: Bind<'_>, from: &str| exchange.look_at(&bind, from.parse().unwrap());
        let found = |shown| Ok((Place(0), shown));
        assert_eq!(look(bind("acme-sms", "secret", ""), "127.0.0.1"), found(Shown::Right));
        assert_eq!(look(bind("acme-sms", "secret", "SMPP"), "2001:db8::1"), found(Shown::Right));
        assert_eq!(look(bind("acme-sms", "secre", ""), "127.0.0.1"), found(Shown::Wrong));
        assert_eq!(look(bind("acme", "secret", ""), "127.0.0.1"), Err(Stranger::Name));
        assert_eq!(look(bind("acme-sms", "secret", ""), "192.0.2.1"), Err(Stranger::Address));
        assert_eq!(look(bind("acme-sms", "secret", "VMS"), "127.0.0.1"), Err(Stranger::SystemType));
        assert!(!format!("{exchange:?}").contains("secret"));
    }

    #[test]
    fn a_slow_password_is_known_once_it_was_found_right_until_it_is_changed() {
        let hash = |password: &str| SlowHash::with_cost(password.as_bytes(), [3; SALT_BYTES], 8, 1);
        let (old, new) = (hash("old"), hash("new"));
        let with = |hashes: &[&SlowHash]| {
            let passwords = hashes.iter().map(|&hash| Password::Hashed(hash.clone())).collect();
            vec![SmppAccount { passwords, ..account(Receipts::Asked) }]
        };
        let first = Exchange::new(with(&[&old]), Arc::new(Lobby::new(1, Pepper::new([1; 4]))));
        let shown =
            |exchange: &Exchange, password| exchange.look_at(&bind("acme", password, ""), HERE).unwrap().1;
        assert_eq!(shown(&first, "old"), Shown::Unknown(vec![old.clone()]));
        assert!(old.is_of(b"old") && first.has_password(Place(0), &old));
        first.remember_password(Place(0), &old, b"old");
        assert_eq!(shown(&first, "old"), Shown::Right);
        assert_eq!(shown(&first, "new"), Shown::Unknown(vec![old.clone()]));
        let both = first.renewed(with(&[&old, &new]));
        assert_eq!(shown(&both, "old"), Shown::Right);
        assert_eq!(shown(&both, "new"), Shown::Unknown(vec![old.clone(), new.clone()]));
        let changed = both.renewed(with(&[&new]));
        assert_eq!(shown(&changed, "old"), Shown::Unknown(vec![new]));
        assert!(!changed.has_password(Place(0), &old));
    }

    #[test]
    fn places_and_binds_outlive_a_configuration() {
        let first = exchange(Receipts::Asked);
        let line = |connection| (Line { shard: ShardId(0), connection }, BindKind::Transceiver);
        let enter =
            |exchange: &Exchange, connection| exchange.enter(Place(0), line(connection), Instant(0)).0;
        let Entered::In(seat) = enter(&first, 1) else { panic!("there is room for two") };
        let one = BindLimits { all: 1, ..first.account(Place(0)).binds_max };
        let other = SmppAccount::sample("other", "secret");
        let tight = first.renewed(vec![other, SmppAccount { binds_max: one, ..account(Receipts::Asked) }]);
        assert_eq!(tight.look_at(&bind("acme", "secret", ""), HERE), Ok((Place(0), Shown::Right)));
        assert_eq!(tight.look_at(&bind("other", "secret", ""), HERE), Ok((Place(1), Shown::Right)));
        assert!(matches!(enter(&tight, 2), Entered::Full));
        let gone = tight.renewed(Vec::new());
        assert_eq!(gone.look_at(&bind("acme", "secret", ""), HERE), Err(Stranger::Name));
        assert_eq!(gone.leave(Place(0), &seat), None);
        let back = gone.renewed(vec![account(Receipts::Asked)]);
        assert!(matches!(enter(&back, 3), Entered::In(_)));
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
