//! What the shell of a shard counts: its turns, its sleeps, its log.

use crate::net::TlsCounts;

/// The shell's numbers of one shard since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShellCounts {
    /// Rounds of the loop.
    pub(super) turns: u64,
    /// Times that it looked around or slept for want of work.
    pub(super) rests: u64,
    /// Batches that were synced.
    pub(super) syncs: u64,
    /// Their bytes.
    pub(super) sync_bytes: u64,
    /// Connections that could not be made to carriers.
    pub(super) dials_failed: u64,
    /// TLS of customers and carriers.
    pub(super) tls: TlsCounts,
    /// Connections that there are.
    pub(super) connections: u64,
    /// Segments that no start needs, and that are kept.
    pub(super) retained_segments: u64,
    /// What they take.
    pub(super) retained_bytes: u64,
    /// Indexes that were made of the shard's segments.
    pub(super) indexes_built: u64,
    /// Queries about messages that were not in memory.
    pub(super) aged_queries: u64,
    /// Of these, for a message that was found.
    pub(super) aged_found: u64,
    /// Such queries that were put off.
    pub(super) aged_put_off: u64,
}

impl ShellCounts {
    /// How many numbers there are.
    pub(super) const COUNT: usize = 18;

    /// Name, help, whether it only grows, and value of each.
    pub(super) const fn all(&self) -> [(&'static str, &'static str, bool, u64); Self::COUNT] {
        [
            ("switchyard_shell_turns", "rounds of a shard's loop", true, self.turns),
            ("switchyard_shell_rests", "rounds that ended without work", true, self.rests),
            ("switchyard_log_syncs", "batches that were written and synced", true, self.syncs),
            ("switchyard_log_bytes", "bytes that were written and synced", true, self.sync_bytes),
            ("switchyard_link_dials_failed", "connections to carriers not made", true, self.dials_failed),
            ("switchyard_tls_handshakes", "hand-shakes of TLS done", true, self.tls.handshakes),
            (
                "switchyard_tls_handshakes_failed",
                "hand-shakes of TLS that failed",
                true,
                self.tls.handshakes_failed,
            ),
            ("switchyard_tls_plain", "plain peers of listeners of TLS", true, self.tls.plain_on_tls),
            ("switchyard_tls_unexpected", "peers of plain connections with TLS", true, self.tls.tls_on_plain),
            ("switchyard_tls_broken", "sessions of TLS that broke", true, self.tls.broken),
            ("switchyard_tls_truncated", "sessions of TLS ended without a word", true, self.tls.truncated),
            ("switchyard_connections", "connections of customers and carriers", false, self.connections),
            ("switchyard_log_retained_segments", "segments kept for queries", false, self.retained_segments),
            (
                "switchyard_log_retained_bytes",
                "bytes of segments kept for queries",
                false,
                self.retained_bytes,
            ),
            ("switchyard_log_indexes_built", "indexes made of segments", true, self.indexes_built),
            ("switchyard_aged_queries", "queries about messages not in memory", true, self.aged_queries),
            ("switchyard_aged_found", "messages found in the log by their id", true, self.aged_found),
            ("switchyard_aged_put_off", "queries about such messages put off", true, self.aged_put_off),
        ]
    }
}
