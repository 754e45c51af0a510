//! Every bound of replication, and where its number comes from.

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

/// The most voters of a group.
pub const VOTERS_MAX: usize = 7;

/// The largest term that a message id can carry (`wire::id::MessageId::TERM_MAX`).
pub const TERM_MAX: u64 = wire::id::MessageId::TERM_MAX;

const _: () = assert!(MESSAGE_BYTES_MAX > 0, "0 would mean one entry a message");
const _: () = assert!(UNCOMMITTED_BYTES_MAX as u64 > MESSAGE_BYTES_MAX);
const _: () =
    assert!(UNCOMMITTED_BYTES_MAX >= wal::limits::BATCH_BYTES_MAX / wal::limits::ENTRIES_PER_BATCH_MIN);
