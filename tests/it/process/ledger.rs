//! What a customer knows: which texts it handed over, what was acknowledged, which fates it was told. Shared between the
//! customer's thread and the test, which waits on it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use wire::id::MessageId;

/// Between two tries to connect.
const MOMENT: Duration = Duration::from_millis(5);

/// The books of one customer.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    state: Mutex<Pages>,
    changed: Condvar,
}

/// What stands in them.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Where the daemon is reached; `None` while it is down.
    pub(crate) daemon: Option<SocketAddr>,
    /// The number of the first intent that is not wanted any more.
    pub(crate) intents_end: u64,
    /// Intents that were begun, which is a number below `intents_end`.
    pub(crate) begun: u64,
    /// The ids that were acknowledged for an intent: one, or the daemon broke its word.
    pub(crate) acknowledged: BTreeMap<u64, BTreeSet<MessageId>>,
    /// The fates that were told of a message, by their byte: one, or the daemon broke its word.
    pub(crate) fates: BTreeMap<MessageId, BTreeSet<u8>>,
    /// Refusals that said to come back later; the customer does.
    pub(crate) put_off: u64,
    /// The customer's thread has panicked; its words are in the output.
    pub(crate) customer_gone: bool,
    /// Refusals for good, with the status: none are expected.
    pub(crate) refused: BTreeMap<u64, u8>,
}

impl Ledger {
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.state.lock().expect("no thread panics while it writes into the ledger")
    }

    /// Changes the pages, and wakes whoever waits for a change.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Pages) -> T) -> T {
        let out = change(&mut self.pages());
        self.changed.notify_all();
        out
    }

    /// Waits until the pages satisfy a condition, whose words are for the failure.
    pub(crate) fn wait_for(&self, what: &str, at_most: Duration, done: impl Fn(&Pages) -> bool) {
        let deadline = Instant::now() + at_most;
        let mut pages = self.pages();
        while !done(&pages) {
            let left = deadline.saturating_duration_since(Instant::now());
            if pages.customer_gone || left.is_zero() {
                let Pages { begun, acknowledged, fates, put_off, refused, customer_gone, .. } = &*pages;
                let words = format!(
                    "{what}: not within {at_most:?}, or the customer has panicked ({customer_gone}); begun {begun}, acknowledged {}, \
                     with a fate {}, put off {put_off}, refused {refused:?}",
                    acknowledged.len(),
                    fates.len()
                );
                // The customer's thread still writes.
                drop(pages);
                panic!("{words}");
            }
            pages = self.changed.wait_timeout(pages, left).expect("as above").0;
        }
    }

    /// Where the daemon is reached, once it is up; a moment later at the earliest, since the last try has just failed.
    pub(crate) fn wait_for_daemon(&self) -> SocketAddr {
        let mut pages = self.changed.wait_timeout(self.pages(), MOMENT).expect("as above").0;
        loop {
            match pages.daemon {
                Some(address) => return address,
                None => pages = self.changed.wait(pages).expect("as above"),
            }
        }
    }
}

/// How the text of an intent begins.
pub(crate) const INTENT: &str = "intent ";

/// The text of an intent: what carriers count.
pub(crate) fn nonce(intent: u64) -> String {
    format!("{INTENT}{intent:07}")
}
