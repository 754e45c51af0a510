#![expect(
    unsafe_code,
    reason = "an eventfd is made by a raw call, and glommio takes one only as a raw descriptor"
)]
//! The event that wakes a shard, and the handle that others wake it by.
//!
//! An eventfd serves both of the shard's sleepers: the shard's own ring raises it for completions, other threads for
//! what they put into the shard's queues. A handle writes to it only when the shard sleeps; a shard that is awake looks
//! at its queues by itself.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use glommio::io::BufferedFile;

/// Wakes one shard, from any thread.
#[derive(Clone, Debug)]
pub struct WakeHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    asleep: AtomicBool,
    event: File,
}

impl WakeHandle {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; a descriptor that it returns is ours alone.
        let event = unsafe {
            match libc::eventfd(0, libc::EFD_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Self { shared: Arc::new(Shared { asleep: AtomicBool::new(false), event: File::from(event) }) })
    }

    /// Wakes the shard if it sleeps. What the shard shall find (an item in its queue) was put there before.
    ///
    /// Cheap when the shard is awake: a fence and a load.
    pub fn wake(&self) {
        // Pairs with the fence in `falls_asleep`: either we see it asleep, or it sees our item.
        fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed) && self.shared.asleep.swap(false, Ordering::Relaxed) {
            self.raise();
        }
    }

    /// Raises the event, whether the shard sleeps or not.
    pub(super) fn raise(&self) {
        // It can fail only when the counter is full, and then the event is raised already.
        let _ = (&self.shared.event).write(&1u64.to_ne_bytes());
    }

    /// The shard says that it is about to sleep; it looks at its queues once more after this.
    pub(super) fn falls_asleep(&self) {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The shard is awake.
    pub(super) fn awakes(&self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }

    /// The event as a file of the executor's, whose reads wait until it is raised and lower it.
    pub(super) fn file(&self) -> io::Result<BufferedFile> {
        let twin = self.event().try_clone_to_owned()?;
        // SAFETY: the descriptor is a fresh duplicate that nobody else has; the file closes it.
        Ok(unsafe { BufferedFile::from_raw_fd(twin.into_raw_fd()) })
    }
}
