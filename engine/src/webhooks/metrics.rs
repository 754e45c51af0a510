//! What is counted of one webhook, for whoever runs the node. Written by its courier, read by whoever is asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::outcome::{Kind, Trouble};

/// The numbers of one webhook.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Posts that were taken.
    pub(super) posts_taken: AtomicU64,
    /// Those that were not, by [`Kind`].
    pub(super) posts_failed: [AtomicU64; Kind::ALL.len()],
    /// Events in posts that were taken.
    pub(super) events_taken: AtomicU64,
    /// Events that were not taken while they were kept.
    pub(super) events_lapsed: AtomicU64,
    /// Events that wait.
    pub(super) events_waiting: AtomicU64,
    /// When the oldest of them happened, in milliseconds since 1970; 0: none waits.
    pub(super) oldest_ms: AtomicU64,
    /// When the next post is made after one that was not taken, in milliseconds since 1970; 0: none was.
    pub(super) again_ms: AtomicU64,
    /// What went wrong last, and when.
    pub(super) trouble: Mutex<(u64, String)>,
}

impl Tally {
    /// A post of so many events was taken.
    pub(super) fn taken(&self, events: u64) {
        self.posts_taken.fetch_add(1, Ordering::Relaxed);
        self.events_taken.fetch_add(events, Ordering::Relaxed);
    }

    /// A post was not taken.
    pub(super) fn not_taken(&self, trouble: &Trouble, now_ms: u64) {
        self.posts_failed[trouble.kind as usize].fetch_add(1, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = (now_ms, trouble.words.clone());
    }

    /// So many events were let go.
    pub(super) fn lapsed(&self, events: u64) {
        self.events_lapsed.fetch_add(events, Ordering::Relaxed);
    }

    /// What waits, since when, and until when if the last post was not taken.
    pub(super) fn waits(&self, events: usize, oldest_ms: u64, again_ms: u64) {
        self.events_waiting.store(events as u64, Ordering::Relaxed);
        self.oldest_ms.store(oldest_ms, Ordering::Relaxed);
        self.again_ms.store(again_ms, Ordering::Relaxed);
    }
}
