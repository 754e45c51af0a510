//! The bounds of a shard, and where each number comes from.

use core::time::Duration;

/// Places in a carrier's queue of messages that were taken back, beyond twice the open messages: 16 KiB.
pub const QUEUE_STALE_MAX: usize = 1024;
/// The most carriers that a route names: their refusals of one message are bits of a byte.
pub const ROUTE_CARRIERS_MAX: usize = 8;
/// The longest text, in bytes of UTF-8: 32 segments of 67 UCS-2 units of at most three bytes, rounded up.
pub const TEXT_BYTES_MAX: usize = 6_528;
/// The longest sender as text (SMPP 3.4 §5.2.8 allows 20 octets; alphanumeric senders have 11).
pub const SENDER_CHARS_MAX: usize = 11;
/// The longest sender in octets: a plus and fifteen digits.
pub const SENDER_BYTES_MAX: usize = wire::msisdn::DIGITS_MAX + 1;
/// The longest validity that a submission may ask for (the contract's).
pub const VALIDITY_MAX: Duration = Duration::from_secs(48 * 3600);
/// The most attempts of one message. At the longest backoff they last beyond the longest validity; the number is a
/// fuse against a loop, and the largest that a link's token can carry.
pub const ATTEMPTS_MAX: u16 = 1_000;
/// The longest trace of one message, in packed bytes: about 250 steps. A message that is tried more often keeps its
/// first steps, its doubts and its fate.
pub const TRACE_BYTES_MAX: usize = 4_096;
/// The longest carrier's id of a message that is remembered (SMPP 3.4 §5.2.23 allows 64 octets).
pub const CARRIER_MESSAGE_ID_BYTES_MAX: usize = 64;

/// What a partition gathers before it takes nothing more until its entry is sealed, in bytes of records: a raft entry
/// of this size still crosses a slow link in a moment.
pub const ENTRY_BYTES_MAX: usize = 256 << 10;
/// The room that is kept free in an open entry for records which cannot be refused: outcomes and receipts.
pub const ENTRY_BYTES_RESERVED: usize = 64 << 10;

/// Records that a shard gathers for its next batch before it wants no more submissions, in bytes for each partition: half of what a
/// partition takes, so that customers wait in their sockets before one of them is refused.
pub const GATHERED_BYTES_PER_PARTITION: usize = (ENTRY_BYTES_MAX - ENTRY_BYTES_RESERVED) / 2;
/// The same for a whole shard, however many partitions it has: what one batch takes.
pub const GATHERED_BYTES_MAX: usize = wal::limits::BATCH_BYTES_MAX;

/// Early receipts that a partition parks; beyond, a carrier is asked to send its receipt again (`ESME_RX_T_APPN`).
pub const PARKED_MAX: usize = 16_384;
/// How long an early receipt is parked: longer than the longest response time-out.
pub const PARKED_WAIT: Duration = Duration::from_secs(120);

/// How long the parts of a handset's text wait for each other, unless the operator says otherwise: networks send the parts
/// within seconds, and repeat one that was refused for now for some minutes.
pub const INBOUND_PARTS_WAIT: Duration = Duration::from_secs(600);
/// How long a handset's message is known when its carrier repeats it, unless the operator says otherwise: the time in which a
/// carrier whose connection broke comes back with what was not answered.
pub const INBOUND_KNOWN_FOR: Duration = Duration::from_secs(300);
/// Parts of handsets' texts that a partition holds until their texts are whole; beyond, a carrier is asked to send its part
/// again (`ESME_RX_T_APPN`). With their octets they take at most 4 MiB.
pub const COLLECTED_MAX: usize = 4_096;
/// The octets of a part of a handset's text: what `short_message` holds.
pub const PART_OCTETS_MAX: usize = wire::smpp::limits::SHORT_MESSAGE_BYTES_MAX;
/// The same of a part that came packed and was made UTF-8: eight characters of at most three bytes for each seven octets.
pub const PART_UTF8_BYTES_MAX: usize = PART_OCTETS_MAX.div_ceil(7) * 8 * 3;
/// Messages of handsets that a partition remembers to know their repetitions; beyond, the oldest is forgotten, and told again
/// if its carrier repeats it.
pub const KNOWN_MAX: usize = 16_384;
/// Messages of handsets that a partition holds for accounts that have not acknowledged them; beyond, a carrier is asked to
/// send its message again (`ESME_RX_T_APPN`).
pub const RECEIVED_MAX: usize = 16_384;
/// The same of one account: one that never asks leaves room for others.
pub const RECEIVED_OF_ACCOUNT_MAX: usize = 4_096;
/// The texts of those messages, in bytes.
pub const RECEIVED_BYTES_MAX: usize = 4 << 20;

/// Requests to one other shard that may be unanswered. The ring between two shards holds twice as many messages, so
/// that there is always room for the answers.
pub const CROSS_CREDITS: usize = 4_096;
/// Subscribers of one shard.
pub const SUBSCRIBERS_MAX: usize = 4_096;
/// After so many ticks without a word from a subscriber that owes an acknowledgement another node tells its account's fates, too: ten
/// seconds, in which a customer's own store may well be down; what is told twice is recognised by its number.
pub const SILENT_TICKS_MAX: u32 = 100;
/// The most credits that a subscription gets, whatever it asks for.
pub const SUBSCRIPTION_CREDITS_MAX: u32 = 16_384;

/// Generations of the key table that live at once; a look-up asks each.
pub const KEY_GENERATIONS_MAX: usize = 16;
/// Keys of a partition's first generation. Later ones double, up to [`KEY_GENERATION_KEYS_MAX`].
pub const KEY_GENERATION_KEYS_MIN: usize = 1 << 10;
/// Keys of a partition's largest generation.
pub const KEY_GENERATION_KEYS_MAX: usize = 1 << 21;
/// How long a generation takes keys of long windows before a new one is opened: see [`key_generation_span`].
const KEY_GENERATION_SPAN: Duration = Duration::from_secs(2 * 3600);

/// How long a generation takes keys that are remembered for `window`: a quarter of it, 2 hours at most. A generation is freed whole, so
/// this is how much longer than its window a key is remembered.
#[must_use]
pub fn key_generation_span(window: Duration) -> Duration {
    KEY_GENERATION_SPAN.min(window / 4)
}

/// The first wait after a carrier refused a message for now; it doubles from attempt to attempt.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
pub const RETRY_LONGEST: Duration = Duration::from_secs(60);
/// How long a message waits when it was throttled. The link that was throttled pauses as well.
pub const RETRY_THROTTLED: Duration = Duration::from_millis(200);
/// The shortest and the longest pause of a link that was throttled; it doubles while throttling goes on.
pub const THROTTLE_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The shortest and the longest wait before a link that was lost is dialled again.
pub const RECONNECT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// How long a slice of a shared rate may be used, and how much of a second it is at most: short, so that what one shard has and
/// does not use is soon another's; long enough that a busy shard asks fifty times a second and not for each message.
pub const SLICE: Duration = Duration::from_millis(20);
/// Slices in a second, which divide a rate into the most that one slice holds.
pub const SLICES_PER_SECOND: u32 = 50;
/// Submissions of a shard that wait for a slice of their account's rate: what comes within a turn of the owner's.
pub const AWAITING_RATE_MAX: usize = 4_096;
/// The most segments that are lent to another shard at a time: some PDUs to a write, and not the window of everybody.
pub const LOAN_SEGMENTS_MAX: u32 = 64;

/// How often a shard tells the owner of a carrier's rate what its links felt: often enough to know what was taken in the last
/// second to a tenth, seldom enough to cost nothing.
pub const FELT_EVERY: Duration = Duration::from_millis(100);
/// The same when the carrier asked us to slow down: a fifth of what a slice of a rate lasts would be no sooner felt.
pub const FELT_URGENT: Duration = Duration::from_millis(20);
/// How long after a cut answers to what was sent before it are no reason for another, at least.
pub const PACE_HOLD: Duration = Duration::from_millis(500);
/// How often what was cut grows, while nothing is heard that speaks against it.
pub const PACE_STEP: Duration = Duration::from_secs(1);
/// A ceiling is forgotten when nothing was throttled for so long. A carrier that is asked for more than it takes says so within
/// a few seconds of growing.
pub const PACE_RECOVERED: Duration = Duration::from_secs(30);
/// Responses are slow when they take four times what they took at best, and this: below half a second nobody waits for them.
pub const PACE_SLOW: Duration = Duration::from_millis(500);
/// The least share of a window that is used, of 256: an eighth, so that a carrier which is slow by nature is not starved.
pub const PACE_WINDOW_LEAST: u16 = 32;

/// How long before the end of its wait for a receipt a message is asked for, at most: a carrier that reports late has reported by
/// then, and there is time to ask again.
pub const ASK_BEFORE: Duration = Duration::from_secs(15 * 60);
/// The same as a part of the wait: one in so many.
pub const ASK_WAIT_PARTS: u32 = 4;
/// Between two questions about a message, at least: five of them in a quarter of an hour.
pub const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long a question waits that no link had room for.
pub const ASK_BUSY: Duration = Duration::from_secs(1);

/// Every which pick of a link goes to the least urgent class that waits: the guaranteed share, one in sixteen.
pub const LEAST_URGENT_EVERY: u32 = 16;
/// Segments that an account may send in its turn within a class. With one, a long message would go round the accounts once for each
/// of its segments; of more, a waiting account feels it on a slow link.
pub const QUANTUM_SEGMENTS: u32 = 2;
/// The most attempts that one turn decides, so that a long queue does not delay the answers of the turn.
pub const DISPATCH_PER_TURN_MAX: usize = 4_096;

/// A piece of a snapshot, in bytes: about 300 messages, 50 µs of work beside a group commit.
pub const SNAPSHOT_PIECE_BYTES: usize = 64 << 10;
/// Slots that one step of a snapshot looks at: a table that is nearly empty is walked quickly and still in steps.
pub const SNAPSHOT_SLOTS_PER_STEP: u32 = 4_096;
/// How far a look into a queue goes for the first message that still waits: an operator's question must not stop the shard.
pub const OLDEST_LOOKS_MAX: usize = 1_024;

/// Ticks of the wheel of timers are this long.
pub const TICK: Duration = Duration::from_millis(16);
/// How often a partition's Raft group is told that time passes.
pub const RAFT_TICK: Duration = Duration::from_millis(100);
/// Ticks without a word from the home before its first follower stands for election: more than a round trip between regions and a
/// slow sync, and with what an election takes well within 3 seconds.
pub const ELECTION_TICKS: usize = 10;
/// By so many ticks more each next follower waits, so that the first has been elected by then.
pub const ELECTION_TICKS_APART: usize = 2;
/// Ticks for which a member that was sent a snapshot is waited for, before it may ask for another: 30 seconds, for the largest over a
/// slow line.
pub const INSTALL_TICKS: u32 = 300;
/// Ticks without a commit after which a home gives the partition up for the sake of a member that needs a state for it: 2 seconds, in which every other member
/// would have answered.
pub const STUCK_TICKS: u32 = 20;
/// Ticks until a snapshot that another node waits for is tried again after the disk had no room for it.
pub const SNAPSHOT_AGAIN_TICKS: u32 = 10;
/// The most members of a cluster: each is a replica of each partition, and as many may vote ([`replication::limits::VOTERS_MAX`]).
pub const MEMBERS_MAX: usize = replication::limits::VOTERS_MAX;
/// The most bytes of a member's region, address or certificate's name: a DNS name has 253 at most, and a port five.
pub const MEMBER_TEXT_BYTES_MAX: usize = 260;
/// Ticks for which the preferred home of a partition has to be there and level before it gets the partition back: 5 seconds, so that one that comes
/// and goes does not take it along.
pub const PREFERRED_TICKS: u32 = 50;
/// Ticks for which a home that is handing a partition on waits for the answers of carriers, and takes no submissions for it: 2 seconds. Carriers answer
/// within one, and customers wait for five.
pub const HAND_ON_TICKS: u32 = 20;
/// So often the handing on is given up since carriers do not answer, before it is done all the same by a node that is to be home of nothing.
pub const HAND_ON_TRIES: u32 = 3;
/// Ticks between two heartbeats of a home.
pub const HEARTBEAT_TICKS: usize = 2;
/// A step between the two clocks larger than this is an alarm.
pub const CLOCK_JUMP: Duration = Duration::from_secs(60);

const _: () = assert!(SLICE.as_millis() * SLICES_PER_SECOND as u128 == 1_000);
const _: () = assert!(SENDER_CHARS_MAX <= SENDER_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_RESERVED < ENTRY_BYTES_MAX);
// Parts of an attempt are bits of a word.
const _: () = assert!(wire::text::limits::SEGMENTS_MAX as u32 <= u32::BITS);
const _: () = assert!(COLLECTED_MAX * PART_UTF8_BYTES_MAX <= 4 << 20);
// A whole text fits a record: no octet of any alphabet becomes more than two bytes, but what was packed is counted as it is.
const _: () = assert!(
    PART_UTF8_BYTES_MAX * wire::text::limits::SEGMENTS_MAX as usize <= wal::limits::RECORD_BYTES_MAX * 3 / 4
);
const _: () = assert!(
    2 * PART_OCTETS_MAX * wire::text::limits::SEGMENTS_MAX as usize <= wal::limits::RECORD_BYTES_MAX * 3 / 4
);
const _: () = assert!(RECEIVED_OF_ACCOUNT_MAX < RECEIVED_MAX);
const _: () = assert!(ROUTE_CARRIERS_MAX <= u8::BITS as usize);
const _: () = assert!(KEY_GENERATION_KEYS_MIN.is_power_of_two() && KEY_GENERATION_KEYS_MAX.is_power_of_two());

/// The most bytes of other homes' entries that are in no batch yet before no more are asked for: one batch, which is written while the next
/// gathers.
pub const UNWRITTEN_BYTES_MAX: usize = wal::limits::BATCH_BYTES_MAX;

/// The most bytes of questions to other nodes that a shard keeps until they are answered: at a round trip of 160 ms and a kilobyte for each, 100,000 a
/// second. Beyond it customers are told to come again.
pub const ASKED_BYTES_MAX: usize = 16 << 20;

/// How long a question to another node is kept: a home that is lost is followed after 1.0 to 1.8 s, and one election may fail. Half of what HTTP
/// clients commonly wait.
pub const ASKED_WAIT: Duration = Duration::from_secs(5);

/// After how long without an answer a home is asked again: several round trips around the world.
pub const ASK_HOME_AGAIN: Duration = Duration::from_secs(1);
