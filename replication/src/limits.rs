//! Every bound of replication, and where its number comes from.

use core::time::Duration;

/// The most bytes of entries in one message to a peer: 256 of them in flight are 16 MiB, which is 100 MB/s over a round
/// trip of 160 ms. 0 would mean one entry a message. One entry may be larger.
pub const MESSAGE_BYTES_MAX: u64 = 64 * 1024;

/// The most messages with entries in flight to one peer, see [`MESSAGE_BYTES_MAX`].
pub const MESSAGES_IN_FLIGHT_MAX: usize = 256;

/// The most bytes of records that a group proposes ahead of their commit. At 100 MB/s for a node and 16 partitions it
/// is more than a second of a peer's silence; beyond it the home holds.
pub const UNCOMMITTED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most bytes of committed entries that one ready brings: they are looked at, never copied.
pub const COMMITTED_BYTES_PER_READY_MAX: u64 = 16 * 1024 * 1024;

/// The most readies of one group that wait for their sync. One batch is in flight while another gathers, and a batch
/// holds one ready of a group; the rest is for readies without bytes.
pub const READIES_PENDING_MAX: usize = 64;

/// The most messages of one group that wait to be sent. A peer is sent at most [`MESSAGES_IN_FLIGHT_MAX`] with entries, and a
/// few others; more than this were not taken by anybody, and the oldest are dropped, as Raft allows.
pub const MESSAGES_WAITING_MAX: usize = VOTERS_MAX * 2 * MESSAGES_IN_FLIGHT_MAX;

/// The most bytes of applied entries that a member of several keeps in memory for peers that lag: with 16 partitions on a
/// node 64 MiB. Who is further behind is fed from the disk, or sent a snapshot.
pub const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most bytes that a message carries along in its context: a vote names its cause, a heartbeat nothing yet.
pub const CONTEXT_BYTES_MAX: usize = 64;

/// The most entries of one message: the library counts at least four bytes for each of [`MESSAGE_BYTES_MAX`].
pub const ENTRIES_PER_MESSAGE_MAX: u64 = MESSAGE_BYTES_MAX / 4;

/// The most bytes of entries that are kept in memory behind a snapshot that is on its way to a member: at 6 MB/s for a partition, ten
/// seconds for the snapshot to arrive. Beyond it the member asks for another one.
pub const PINNED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// About how many bytes of messages or words one frame between nodes carries: beyond it, what waits behind a frame waits for long, and before it
/// a header and two checksums are under one in a thousand.
pub const FRAME_BYTES_WANTED: usize = 256 * 1024;

/// The most bytes of one frame behind its header: [`FRAME_BYTES_WANTED`], and one message with the largest entry behind it.
pub const FRAME_BYTES_MAX: usize = FRAME_BYTES_WANTED + wal::limits::BATCH_BYTES_MAX + 4096;

/// About how many bytes a connection between nodes is given to send at a time: what is more urgent does not wait for more than this.
pub const OUTPUT_BYTES_WANTED: usize = 1024 * 1024;

/// The credit of one connection between nodes, in bytes: a fifth of a second at 80 MB/s, so that one round trip of 160 ms is filled.
pub const CREDIT_BYTES: u32 = 16 * 1024 * 1024;

/// The most bytes of entries that wait to be sent on one connection, beyond what a peer gave credit for. What does not fit is dropped, and Raft says
/// it again when there is room. They are shared with the log in memory, so that they cost little while the home keeps them too.
pub const QUEUED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most messages without entries that wait on one connection: of 512 partitions, a vote, a heartbeat and their answers.
pub const QUEUED_LIGHT_MAX: usize = 4 * 1024;

/// The most bytes of words between brains that wait on one connection: 16,000 submissions of a kilobyte.
pub const WORDS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most states that wait to be sent on one connection. A member that finds none asks again.
pub const INSTALLS_WAITING_MAX: usize = 4;

/// The bytes of one piece of a state: at 100 Mbit/s, a heartbeat waits 5 ms behind it.
pub const PIECE_BYTES: usize = 64 * 1024;

/// The most bytes of a partition's state that is taken from another node: ten million open messages of 517 bytes in 16 partitions are a
/// third of it.
pub const INSTALL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The most bytes of the words with which a node is refused.
pub const REFUSAL_BYTES_MAX: usize = 1024;

/// After how long without a byte a connection between nodes says that it is there.
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// After how long without a byte from the other side it is taken for gone: several times [`KEEP_ALIVE`]; groups find out by themselves, and sooner.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long a dialled node may take to be there: two round trips around the world and a TLS hand-shake, many times over.
pub const DIAL_WAIT: Duration = Duration::from_secs(5);

/// How long a node that is gone is not dialled, at first; it doubles up to [`DIAL_AGAIN_MAX`].
pub const DIAL_AGAIN: Duration = Duration::from_millis(50);

/// The longest pause between two dials: a node that is back is spoken to within it.
pub const DIAL_AGAIN_MAX: Duration = Duration::from_secs(1);

/// For how long a node that is to call, since it has the lower number, is waited for before it is called: it may not know yet that this one is a member.
pub const CALL_WAIT: Duration = Duration::from_secs(5);

/// The most voters of a group.
pub const VOTERS_MAX: usize = 7;

/// The largest term that a message id can carry (`wire::id::MessageId::TERM_MAX`).
pub const TERM_MAX: u64 = wire::id::MessageId::TERM_MAX;

const _: () = assert!(MESSAGE_BYTES_MAX > 0, "0 would mean one entry a message");
const _: () =
    assert!(FRAME_BYTES_WANTED >= PIECE_BYTES && KEEP_ALIVE.as_nanos() * 2 < SILENCE_MAX.as_nanos());
const _: () = assert!(UNCOMMITTED_BYTES_MAX as u64 > MESSAGE_BYTES_MAX);
const _: () =
    assert!(UNCOMMITTED_BYTES_MAX >= wal::limits::BATCH_BYTES_MAX / wal::limits::ENTRIES_PER_BATCH_MIN);
