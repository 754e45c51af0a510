//! What is said of callers who do not get as far as a protocol: their hand-shake failed, or they speak TLS where nobody else does.
//! A line each second at most; the rest is in the counters.

use std::net::SocketAddr;

use wire::time::{Instant, Now};

use crate::net::ListenerTag;
use crate::net::tls::TlsError;

use super::desk;
use super::limits::STRANGER_EVERY;
use super::nodes;

/// What a shard says of them; each kind has its own second.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    failed: Pace,
    spoke_tls: Pace,
}

/// When something was last said, and what has not been said since.
#[derive(Debug, Default)]
struct Pace {
    quiet_until: Option<Instant>,
    unsaid: u64,
}

impl Strangers {
    /// A caller's hand-shake failed.
    pub(super) fn failed(&mut self, now: Now, listener: ListenerTag, peer: SocketAddr, error: &TlsError) {
        let listener = match listener {
            desk::HTTP => "https",
            desk::SMPP => "smpp_tls",
            nodes::PEERS => "cluster.listen",
            _ => "native_tls",
        };
        if let Some(unsaid) = self.failed.speaks(now) {
            tracing::warn!(event = "handshake-failed", listener, peer = %peer, %error, unsaid);
        }
    }

    /// Somebody spoke TLS on a plain connection: a caller, or a carrier.
    pub(super) fn spoke_tls(&mut self, now: Now, peer: SocketAddr, carrier: Option<&str>) {
        let Some(unsaid) = self.spoke_tls.speaks(now) else { return };
        match carrier {
            None => {
                let advice = "this listener is a plain one; those of TLS are https, native_tls and smpp_tls";
                tracing::warn!(event = "unexpected-tls", peer = %peer, advice, unsaid);
            }
            Some(carrier) => {
                let advice = "the carrier speaks TLS there: set tls = true";
                tracing::warn!(event = "unexpected-tls", carrier, peer = %peer, advice, unsaid);
            }
        }
    }
}

impl Pace {
    /// Whether to speak; then how much was not said since the last time.
    fn speaks(&mut self, now: Now) -> Option<u64> {
        if self.quiet_until.is_some_and(|until| now.mono < until) {
            self.unsaid += 1;
            return None;
        }
        self.quiet_until = Some(now.mono.plus(STRANGER_EVERY));
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_and_the_rest_is_counted() {
        let mut pace = Pace::default();
        let at =
            |ms: u64| Now { mono: Instant(0).plus(core::time::Duration::from_millis(ms)), ..Now::default() };
        assert_eq!(pace.speaks(at(0)), Some(0));
        assert_eq!((pace.speaks(at(1)), pace.speaks(at(999))), (None, None));
        assert_eq!((pace.speaks(at(1000)), pace.speaks(at(2000))), (Some(2), Some(0)));
    }
}
