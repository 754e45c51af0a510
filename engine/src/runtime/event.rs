#![expect(
    unsafe_code,
    reason = "an eventfd is made by a raw call, and glommio takes one only as a raw descriptor"
)]
//! The events that wake a shard, and the handle that others wake it by.
//!
//! A handle writes to its event only when the shard sleeps; a shard that is awake looks at its queues by itself. The
//! shard's ring reads that event. A second one, which the ring raises, wakes the executor when the shard sleeps there.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use glommio::io::BufferedFile;

/// An eventfd (eventfd(2)): it is raised by a write and lowered by a read, which waits.
#[derive(Debug)]
pub(super) struct Event {
    file: File,
}

impl Event {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers; a descriptor that it returns is ours alone.
        let event = unsafe {
            match libc::eventfd(0, libc::EFD_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Self { file: File::from(event) })
    }

    pub(super) fn raise(&self) {
        // It can fail only when the counter is full, and then the event is raised already.
        let _ = (&self.file).write(&1u64.to_ne_bytes());
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The event as a file of the executor's, whose reads wait until it is raised and lower it.
    pub(super) fn executors_file(&self) -> io::Result<BufferedFile> {
        let twin = self.fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is a fresh duplicate that nobody else has; the file closes it.
        Ok(unsafe { BufferedFile::from_raw_fd(twin.into_raw_fd()) })
    }
}

/// Wakes one shard, from any thread.
#[derive(Clone, Debug)]
pub struct WakeHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    asleep: AtomicBool,
    event: Event,
}

impl WakeHandle {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { shared: Arc::new(Shared { asleep: AtomicBool::new(false), event: Event::new()? }) })
    }

    /// Wakes the shard if it sleeps. What the shard shall find (an item in its queue) was put there before.
    ///
    /// Cheap when the shard is awake: a fence and a load.
    pub fn wake(&self) {
        // Pairs with the fence in `falls_asleep`: either we see it asleep, or it sees our item.
        fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed) && self.shared.asleep.swap(false, Ordering::Relaxed) {
            self.shared.event.raise();
        }
    }

    /// The shard is about to sleep: from here on [`WakeHandle::wake`] raises the event. It looks at its queues once more
    /// after this.
    pub(crate) fn falls_asleep(&self) {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The shard is awake.
    pub(crate) fn awakes(&self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    /// What the shard's ring reads while the shard sleeps.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.shared.event.fd().as_raw_fd()
    }
}
