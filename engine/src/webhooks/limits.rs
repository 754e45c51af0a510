//! Every bound of webhooks, with where it comes from.

use core::time::Duration;

/// Accounts of a node with a webhook. Each has a thread, which sleeps nearly always and whose stack is some pages; a shard has room for
/// four times as many subscriptions.
pub(crate) const WEBHOOKS_MAX: usize = 1024;

/// Events of an account that its courier holds, on the node: one post that is under way, and the next one.
pub(crate) const EVENTS_HELD_MAX: u32 = 512;

/// Events of one post: at a round trip of 50 ms, some 5,000 a second.
pub(crate) const POST_EVENTS_MAX: usize = EVENTS_HELD_MAX as usize / 2;

/// The largest post, in bytes: what common servers take without being told to.
const POST_BYTES_MAX: usize = 100_000;

/// The longest text of a handset, as JSON: characters of packed parts, each escaped.
const TEXT_JSON_BYTES_MAX: usize =
    6 * 8 * shards::limits::PART_OCTETS_MAX.div_ceil(7) * wire::text::limits::SEGMENTS_MAX as usize;

/// A post that has so many bytes takes no further event: the longest one behind it still fits. About as much as
/// [`POST_EVENTS_MAX`] fates.
pub(crate) const POST_BYTES_ENOUGH: usize = POST_BYTES_MAX - TEXT_JSON_BYTES_MAX - 1024;

/// The first and the longest wait after a post that was not taken; it doubles from post to post. A server that is back is found within
/// five minutes.
pub(crate) const REPEAT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The longest wait that a server may ask for: beyond an hour somebody would have to remember why nothing comes.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How long the look-up of the server's name may take, and then a connection to it, with TLS.
pub(crate) const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// How long a whole post may take: the Standard Webhooks ask senders to wait for 15 to 30 seconds.
pub(crate) const POST_WAIT: Duration = Duration::from_secs(20);

/// How long the rest of an answer may take when its status is known.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// What is read of an answer's body, so that its connection can be used again. A longer one costs its connection.
pub(crate) const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// What is read of an answer's head.
pub(crate) const ANSWER_HEAD_BYTES_MAX: usize = 16 << 10;

/// How long a connection is kept for the next post: servers keep theirs for a minute and more.
pub(crate) const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(30);

/// Room for what is read from and written to a connection at a time.
pub(crate) const BUFFER_BYTES: usize = 16 << 10;

/// Turns of a shard whose events may wait for one courier; beyond, they wait on the shard, where their number is bounded.
pub(crate) const TURNS_WAITING_MAX: usize = 64;

/// Words of couriers that may wait for one shard, which hears all of them in its next turn.
pub(crate) const WORDS_WAITING_MAX: usize = 256;

/// How long an orderly stop waits for posts that are under way: what is answered in it is not told twice. A post may take longer than a
/// stop should.
pub(crate) const STOP_WAIT: Duration = Duration::from_secs(5);

/// The longest URL, in bytes: what servers take at least (RFC 9110 section 4.1 recommends 8,000; people's are shorter).
pub(crate) const URL_BYTES_MAX: usize = 2048;

/// A secret, in bytes: the Standard Webhooks' own bounds.
pub(crate) const SECRET_BYTES: core::ops::RangeInclusive<usize> = 24..=64;

/// The most secrets of one account: an old and a new one, twice.
pub(crate) const SECRETS_MAX: usize = 4;

/// The stack of a courier: a hand-shake of TLS takes some tens of KiB.
pub(crate) const STACK_BYTES: usize = 512 << 10;

const _: () = assert!(POST_BYTES_ENOUGH >= 100 * POST_EVENTS_MAX);
const _: () = assert!(4 * WEBHOOKS_MAX <= shards::limits::SUBSCRIBERS_MAX);
const _: () = assert!(2 * CONNECT_WAIT.as_secs() < POST_WAIT.as_secs());
