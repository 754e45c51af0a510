//! Bounds of the daemon's own machinery, and where each number comes from.

use core::time::Duration;

/// How long an orderly stop may take: a link waits for the answers that it is owed, unbinds, and has its last records synced; the
/// packaged unit kills after 40 seconds (`engine/packaging/switchyard.service`).
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(25);

const _: () = {
    let link = wire::smpp::limits::DRAIN.as_secs() + wire::smpp::limits::UNBIND.as_secs();
    assert!(link < DRAIN_MAX.as_secs(), "a carrier that answers late is waited for");
};

/// How long a shard looks for work before it sleeps. A sleep and its wake-up cost about 10 µs of CPU, so looking longer
/// than that costs more than it can save.
pub(crate) const SPIN: Duration = Duration::from_micros(20);

/// Orders that may wait for one shard: three kinds that are given at most once, and a few questions, of which there is one at a
/// time unless a shard is slow.
pub(crate) const COMMANDS_MAX: usize = 16;

/// Reports that one shard may make: recovered, listening, drained, ended.
pub(crate) const NOTICES_PER_SHARD: usize = 4;

/// Signals that may wait for the control thread.
pub(crate) const SIGNALS_MAX: usize = 16;

/// How often the control thread looks whether a thread has died without a word.
pub(crate) const WATCH_EVERY: Duration = Duration::from_millis(500);

/// The room of the ring between two shards: as many answers as requests can be open, and as many requests.
pub(crate) const RING_MESSAGES: usize = 2 * shards::limits::CROSS_CREDITS;

/// How long before its end a certificate is warned of: those that are renewed by machines are renewed at 30 days.
pub(crate) const CERTIFICATE_WARNING: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often a shard says that a hand-shake failed or that a peer spoke the wrong language: whoever scans ports must not fill the disk
/// with lines. What is not said is counted.
pub(crate) const STRANGER_EVERY: Duration = Duration::from_secs(1);

/// How often a shard shows its numbers to the others.
pub(crate) const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// Partitions for each core of a new cluster's first node (ARCHITECTURE, Identity).
pub(crate) const PARTITIONS_PER_SHARD: u16 = 8;

/// How often a shard says at most that there is trouble with another node: it dials each second.
pub(crate) const TROUBLE_EVERY: Duration = Duration::from_secs(30);

/// How long a shard waits before it tries again to prepare a segment for which there was no room.
pub(crate) const SEGMENT_RETRY: Duration = Duration::from_secs(1);

/// How long a shard that called for room waits before it tries again for the first time: others hear it within a tick of their groups, and remove files
/// in a few milliseconds.
pub(crate) const ROOM_WAIT: Duration = Duration::from_millis(200);

/// Questions about aged messages that one shard may have under way: each is some reads of the disk, and nobody waits long for one.
pub(crate) const AGED_QUERIES_MAX: usize = 256;

/// Passwords that wait to be looked at, on the node: at 20 ms each, as long as clients wait for the answer to a bind.
pub(crate) const PASSWORD_CHECKS_MAX: usize = 256;

/// How often the archive looks which segments there are.
pub(crate) const ARCHIVE_TICK: Duration = Duration::from_secs(1);

/// Segments without an index that are read while a question waits: those that were filled just now. With more of them, as after
/// an upgrade, the question is to be asked again later.
pub(crate) const INDEX_WHILE_ASKED_MAX: usize = 4;

/// Segments whose retention is over and kept, so that the next one is made of the oldest and not written with zeros.
pub(crate) const SPARE_SEGMENTS: u64 = 2;

/// Log that is kept for each open message while no segment can be prepared: its attempt, answer, receipt and fate take about
/// 400 bytes, and batches of few records are padded.
pub(crate) const RESERVED_BYTES_PER_OPEN: u64 = 1024;

/// Bytes of a segment that the archive reads at a time: a whole batch always lies in so many, wherever they begin, and memory of
/// this size is used again and again.
pub(crate) const ARCHIVE_PIECE_BYTES: usize = 2 * wal::limits::BATCH_BYTES_MAX;
