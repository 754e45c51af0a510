//! What a shard's sockets count about TLS: plain numbers, read by copying.

/// Counters of one shard since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsCounts {
    /// Hand-shakes that were done, of callers and of links.
    pub handshakes: u64,
    /// Hand-shakes that failed.
    pub handshakes_failed: u64,
    /// Of these, with a peer that did not speak TLS.
    pub plain_on_tls: u64,
    /// Plain connections whose peer spoke TLS.
    pub tls_on_plain: u64,
    /// Sessions that broke: what came could not be opened, or the peer said so.
    pub broken: u64,
    /// Sessions whose peer ended without saying so.
    pub truncated: u64,
}
