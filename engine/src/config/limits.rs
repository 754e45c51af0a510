//! Bounds of what a configuration may say, and where each comes from.

use core::time::Duration;

use wire::id::PartitionCount;

/// The most accounts. A submission finds its account by a walk over ids; the tables of a node are made for thousands of
/// customers, not for end users.
pub(crate) const ACCOUNTS_MAX: usize = 4096;

/// The most carriers. With [`BINDS_PER_SHARD_MAX`] it bounds the links of a shard, whose numbers have 16 bits.
pub(crate) const CARRIERS_MAX: usize = 256;

/// The most routes: all of E.164's country codes with a few hundred prefixes of networks each.
pub(crate) const ROUTES_MAX: usize = 16_384;

/// The most connections of one shard to one carrier. Carriers grant 1 to 32 binds to an account.
pub(crate) const BINDS_PER_SHARD_MAX: u16 = 32;
/// The most binds of one carrier on the node, a pair counted once: on one core it has no more than a shard may.
pub(crate) const BINDS_MAX: u16 = BINDS_PER_SHARD_MAX;
/// The most idempotency keys that an account's limit can name; the node's own is lower on any machine.
pub(crate) const ACCOUNT_IDEMPOTENCY_KEYS_MAX: u64 = 1_000_000_000;

/// The most cores, and so shards: [`wire::id::PartitionCount::MAX`] is eight for each of them.
pub(crate) const CORES_MAX: usize = 64;

/// The fewest members of a cluster: a node that is alone has no section for it.
pub(crate) const MEMBERS_MIN: usize = 1;

/// Partitions of a cluster whose configuration does not say: as many as a node of two cores makes for itself.
pub(crate) const CLUSTER_PARTITIONS_DEFAULT: PartitionCount = match PartitionCount::new(PartitionCount::MIN) {
    Some(count) => count,
    None => panic!("the least count is one"),
};

/// The longest name of an account, a carrier or a region: it is a label of metrics and goes through a hand-shake with
/// one octet for its length.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// The shortest key of an account: 16 characters of 64 kinds are 96 bits, which nobody guesses over a network.
pub(crate) const KEY_BYTES_MIN: usize = 16;

/// The longest key of an account: the native hand-shake has one octet for its length.
pub(crate) const KEY_BYTES_MAX: usize = 255;

/// The most keys of one account: an old and a new one for each of a few programs.
pub(crate) const ACCOUNT_KEYS_MAX: usize = 8;

/// `system_id` without its NUL (SMPP 3.4 §5.2.1).
pub(crate) const SYSTEM_ID_BYTES_MAX: usize = 15;

/// `password` without its NUL. SMPP 3.4 §5.2.2 says 8, and many carriers hand out longer ones and take them.
pub(crate) const PASSWORD_BYTES_MAX: usize = 64;

/// `system_type` without its NUL (SMPP 3.4 §5.2.3).
pub(crate) const SYSTEM_TYPE_BYTES_MAX: usize = 12;

/// The most binds of one account on a node: beyond it a customer wants a window, not another bind.
pub(crate) const SMPP_BINDS_MAX: u64 = 1024;

/// The most passwords of one account: each that is hashed and not the one costs a bind 20 ms.
pub(crate) const SMPP_PASSWORDS_MAX: usize = 4;

/// The most networks from which an account may bind: its sites, with both versions of IP.
pub(crate) const SMPP_NETWORKS_MAX: usize = 64;

/// The most words that an account may say of its system: a few programs.
pub(crate) const SMPP_SYSTEM_TYPES_MAX: usize = 16;

/// The most binds of one account, when the configuration does not say: four machines with a spare each.
pub(crate) const SMPP_BINDS_DEFAULT: u32 = 8;

/// Unanswered submissions of a customer's bind, when the configuration does not say: what the largest carriers grant.
pub(crate) const SMPP_WINDOW_DEFAULT: u32 = 256;

/// The most senders that an account may name: its brands and numbers; a submission that names one looks through them.
pub(crate) const SENDERS_MAX: usize = 64;

/// The longest wait for a receipt: carriers keep trying for up to seven days.
pub(crate) const RECEIPT_WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest wait before a doubtful attempt is settled.
pub(crate) const DOUBT_WAIT_MAX: Duration = Duration::from_secs(3600);

/// The longest time a finished message can be asked for.
pub(crate) const RETENTION_MAX: Duration = Duration::from_secs(90 * 24 * 3600);

/// The longest `response_timeout`: a receipt that comes before its response must still be parked when it comes.
pub(crate) const RESPONSE_TIMEOUT_MAX: Duration = Duration::from_secs(90);

/// The longest `enquire_after`: a link that is silent for an hour is watched by nobody.
pub(crate) const ENQUIRE_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The most messages that a node is told to hold, open or finished: at 400 bytes, 40 GB.
pub(crate) const MESSAGES_MAX: u64 = 100_000_000;

/// The most keys that a node is told to remember: at 64 bytes, 256 GB.
pub(crate) const KEYS_MAX: u64 = 4_000_000_000;

/// The largest segment of a log, in MiB: recovery holds one in memory.
pub(crate) const SEGMENT_MIB_MAX: u64 = wal::limits::SEGMENT_BYTES_MAX >> 20;

/// The log of a shard that makes a snapshot due, of a node that is told nothing, in bytes: a start reads it in a second or
/// two.
pub(crate) const SNAPSHOT_BYTES_DEFAULT: u64 = 512 << 20;

/// The largest such log, in MiB: a tebibyte.
pub(crate) const SNAPSHOT_MIB_MAX: u64 = 1 << 20;

/// The most segments a second over one carrier, on all shards.
pub(crate) const RATE_MAX: u64 = 10_000_000;

/// Open messages of a node that is told nothing: an hour of 300 a second towards a dead carrier.
pub(crate) const OPEN_MESSAGES_DEFAULT: u64 = 1_000_000;

/// Finished messages of a node that is told nothing; with their traces they take half a gigabyte.
pub(crate) const FINISHED_DEFAULT: u64 = 1_000_000;

/// How long a finished message can be asked for on a node that is told nothing.
pub(crate) const RETENTION_DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// How long released segments of the log are kept on a node that is told nothing: as long as finished messages in memory.
pub(crate) const LOG_RETENTION_DEFAULT: Duration = RETENTION_DEFAULT;

/// What they may take on a shard that is told nothing, in GiB: a day of 250 messages a second of about 700 bytes each.
pub(crate) const RETAINED_GIB_DEFAULT: u64 = 16;

/// The most that they may take on a shard, in GiB: a disk of 64 TiB.
pub(crate) const RETAINED_GIB_MAX: u64 = 1 << 16;

/// Bytes that a remembered key takes (BUDGETS): the default number of keys is a quarter of the memory by this.
pub(crate) const KEY_TABLE_BYTES: u64 = 64;

/// The share of the memory that remembered keys may take when the configuration does not say.
pub(crate) const KEYS_MEMORY_DIVISOR: u64 = 4;

/// The most profiles of an operator's own: one for each carrier.
pub(crate) const PROFILES_MAX: usize = CARRIERS_MAX;

/// `service_type` without its NUL (SMPP 3.4 §5.2.11).
pub(crate) const SERVICE_TYPE_BYTES_MAX: usize = 5;

/// Optional parameters that a profile adds to each submission: with the text a PDU stays below a kilobyte.
pub(crate) const PROFILE_TLVS_BYTES_MAX: usize = 256;

/// The most ranges of statuses of one section: 0x400 to 0x4FF, one by one.
pub(crate) const STATUS_RULES_MAX: usize = 256;

/// Rules for messages of handsets. A look-up is a search in a sorted table, so the number is about people's files.
pub(crate) const INBOUND_RULES_MAX: usize = 10_000;
/// The longest keyword of such a rule: what people remember, and then some.
pub(crate) const KEYWORD_BYTES_MAX: usize = 64;
/// The longest wait for the parts of a handset's text: networks give up after two days, people much earlier.
pub(crate) const INBOUND_PARTS_WAIT_MAX: Duration = Duration::from_secs(48 * 3600);
/// The longest time in which a carrier's repetition is known: what is remembered is bounded by number, too.
pub(crate) const INBOUND_KNOWN_FOR_MAX: Duration = Duration::from_secs(24 * 3600);

const _: () = assert!(
    2 * CARRIERS_MAX * BINDS_PER_SHARD_MAX as usize <= u16::MAX as usize,
    "a link's number has 16 bits"
);
const _: () =
    assert!(wal::limits::SEGMENT_BYTES_MIN <= 1 << 20, "a segment of one MiB is one that the log takes");
const _: () = assert!(RESPONSE_TIMEOUT_MAX.as_secs() < shards::limits::PARKED_WAIT.as_secs());
const _: () = assert!(
    SMPP_PASSWORDS_MAX * 2 <= crate::customers::limits::SMPP_KNOWN_PASSWORDS_MAX,
    "a rotation forgets no password that is known"
);
const _: () = assert!(NAME_BYTES_MAX <= 255 && KEY_BYTES_MIN < KEY_BYTES_MAX);
