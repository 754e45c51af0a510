//! Who and what: messages, partitions, nodes, shards, accounts, carriers, classes.

use core::fmt;
use core::str::FromStr;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::msisdn::Msisdn;
use crate::time::WallMs;

/// A message's name, for its whole life and in every region.
///
/// From the top: 48 bits of milliseconds since 1970, 16 of partition, 24 of term, 40 of counter. Ids sort by time and
/// say which partition can answer for them. Two nodes can never mint the same one, because a term has one leader; the
/// top bit of the term's field is kept for ids that are granted to a holding log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

/// Crockford's base 32: no I, L, O, U.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl MessageId {
    /// The largest term that an id can carry.
    pub const TERM_MAX: u64 = (1 << 23) - 1;
    /// The largest counter that an id can carry.
    pub const COUNTER_MAX: u64 = (1 << 40) - 1;
    /// How many characters a printed id has.
    pub const CHARS: usize = 26;

    /// Puts an id together.
    ///
    /// # Panics
    /// When term or counter do not fit: whoever mints watches both, so that would be our own mistake.
    #[must_use]
    pub fn mint(at: WallMs, partition: Partition, term: u64, counter: u64) -> Self {
        assert!(term <= Self::TERM_MAX, "term {term} does not fit into an id");
        assert!(counter <= Self::COUNTER_MAX, "counter {counter} does not fit into an id");
        let time = u128::from(at.0 & 0xFFFF_FFFF_FFFF);
        Self(time << 80 | u128::from(partition.0) << 64 | u128::from(term) << 40 | u128::from(counter))
    }

    /// When it was minted.
    #[must_use]
    pub const fn minted_at(self) -> WallMs {
        WallMs((self.0 >> 80 & 0xFFFF_FFFF_FFFF) as u64)
    }

    /// The partition that answers for it.
    #[must_use]
    pub const fn partition(self) -> Partition {
        Partition((self.0 >> 64 & 0xFFFF) as u16)
    }

    /// The term in which it was minted.
    #[must_use]
    pub const fn term(self) -> u64 {
        (self.0 >> 40 & 0xFF_FFFF) as u64
    }

    /// The counter within the partition's term.
    #[must_use]
    pub const fn counter(self) -> u64 {
        (self.0 & 0xFF_FFFF_FFFF) as u64
    }

    /// The 26 characters as ASCII.
    #[must_use]
    pub fn to_chars(self) -> [u8; Self::CHARS] {
        let mut chars = [b'0'; Self::CHARS];
        let mut rest = self.0;
        for place in chars.iter_mut().rev() {
            *place = CROCKFORD[(rest & 31) as usize];
            rest >>= 5;
        }
        chars
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_chars().iter().try_for_each(|&char| write!(f, "{}", char::from(char)))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 26 characters of Crockford base 32, as in 01JDAV6W40000G000100000000")]
pub struct MessageIdError;

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let bytes = text.as_bytes();
        // 26 characters hold 130 bits; the first may only use three of its five.
        if bytes.len() != Self::CHARS || !(b'0'..=b'7').contains(&bytes[0]) {
            return Err(MessageIdError);
        }
        let mut word = 0_u128;
        for byte in bytes {
            let digit = match byte.to_ascii_uppercase() {
                b'O' => 0,
                b'I' | b'L' => 1,
                upper => CROCKFORD.iter().position(|&char| char == upper).ok_or(MessageIdError)?,
            };
            word = word << 5 | digit as u128;
        }
        Ok(Self(word))
    }
}

/// The recipients that share a home: a number below the cluster's [`PartitionCount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

/// How many partitions the cluster has, set once for its life: at least [`PartitionCount::MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// The least that a cluster is made with.
    pub const MIN: u16 = 16;
    /// The most that a cluster is made with: 64 cores of eight.
    pub const MAX: u16 = 512;

    /// A count between [`PartitionCount::MIN`] and [`PartitionCount::MAX`], else `None`.
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        if count >= Self::MIN && count <= Self::MAX { Some(Self(count)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }

    /// The partition of a recipient. The hash is XXH3 of the number's word with the high bits scaled to the count, the
    /// same for ever: a change would part recipients from their keys.
    #[must_use]
    pub fn partition_of(self, recipient: Msisdn) -> Partition {
        let hash = xxh3_64(&recipient.to_word().to_le_bytes());
        let scaled = ((hash >> 48) * u64::from(self.0)) >> 16;
        Partition(u16::try_from(scaled).expect("a share of 2^16 scaled by a u16 stays below it"))
    }
}

/// One daemon of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One core's share of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard that owns `partition` on a node of `shards` shards.
    #[must_use]
    pub const fn owner_of(partition: Partition, shards: u16) -> Self {
        Self(partition.0 % shards)
    }
}

/// A customer, by the first 32 bits of the hash of its configured name, so that it survives a change of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

impl AccountId {
    /// The id of the account of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self((xxh3_64(name.as_bytes()) >> 32) as u32)
    }
}

/// A carrier, by the first 32 bits of the hash of its configured name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierId(pub u32);

impl CarrierId {
    /// The id of the carrier of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self((xxh3_64(name.as_bytes()) >> 32) as u32)
    }
}

/// What an idempotency key becomes in tables and records: a hash over account, recipient and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// The longest idempotency key, in bytes.
    pub const KEY_BYTES_MAX: usize = 64;

    /// The hash of a key of at most [`KeyHash::KEY_BYTES_MAX`] bytes.
    ///
    /// # Panics
    /// When the key is longer: it is checked where it comes in.
    #[must_use]
    pub fn of(account: AccountId, recipient: Msisdn, key: &[u8]) -> Self {
        let mut input = [0; 12 + Self::KEY_BYTES_MAX];
        input[..4].copy_from_slice(&account.0.to_le_bytes());
        input[4..12].copy_from_slice(&recipient.to_word().to_le_bytes());
        input[12..12 + key.len()].copy_from_slice(key);
        Self(xxh3_128(&input[..12 + key.len()]))
    }
}

/// What a message may cost in certainty and time. Lower numbers go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// One-time passwords and verifications.
    Otp = 1,
    /// Payment notices, ledger entries.
    Transactional = 2,
    /// Alerts, order status.
    Notification = 3,
    /// Campaigns.
    Marketing = 4,
}

impl Class {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Otp, Self::Transactional, Self::Notification, Self::Marketing];

    /// The class of a byte in a frame or a record.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Otp),
            2 => Some(Self::Transactional),
            3 => Some(Self::Notification),
            4 => Some(Self::Marketing),
            _ => None,
        }
    }

    /// Its place in arrays of four, the most urgent at 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// Its name in configuration, JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Otp => "otp",
            Self::Transactional => "transactional",
            Self::Notification => "notification",
            Self::Marketing => "marketing",
        }
    }

    /// The class of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when_and_where_it_was_minted_and_prints_as_26_characters() {
        let id = MessageId::mint(WallMs(1_795_402_975_120), Partition(13), 7, 99);
        assert_eq!(id.minted_at(), WallMs(1_795_402_975_120));
        assert_eq!((id.partition(), id.term(), id.counter()), (Partition(13), 7, 99));
        let text = id.to_string();
        assert_eq!(text.len(), MessageId::CHARS);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_lowercase().parse(), Ok(id));
        assert_eq!("8ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<MessageId>(), Err(MessageIdError));
        assert_eq!("01".parse::<MessageId>(), Err(MessageIdError));
    }

    #[test]
    fn a_recipient_keeps_its_partition_for_ever() {
        let count = PartitionCount::new(16).unwrap();
        let of = |text: &str| count.partition_of(text.parse().unwrap()).0;
        assert_eq!([of("+4915112345678"), of("+6581234567"), of("+12025550123")], [3, 15, 9]);
    }

    #[test]
    fn recipients_spread_over_all_partitions() {
        let count = PartitionCount::new(16).unwrap();
        let mut seen = [0_u32; 16];
        for number in 0..16_000_u64 {
            let recipient = Msisdn::parse(format!("49151{number:07}").as_bytes()).unwrap();
            seen[usize::from(count.partition_of(recipient).0)] += 1;
        }
        assert!(seen.iter().all(|&recipients| (850..1150).contains(&recipients)), "{seen:?}");
    }

    #[test]
    fn classes_have_one_spelling() {
        for class in Class::ALL {
            assert_eq!(Class::from_byte(class as u8), Some(class));
            assert_eq!(Class::from_name(class.name()), Some(class));
        }
        assert_eq!(Class::from_byte(0), None);
    }
}
