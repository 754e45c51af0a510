#![expect(
    unsafe_code,
    reason = "io_uring's entries carry raw addresses, and entering its kernel side is a raw call"
)]
//! The two queues of io_uring: entries in, completions out, and the flags that make them cheap.
//!
//! The ring is made for one thread that enters it itself (`SINGLE_ISSUER`, `DEFER_TASKRUN`): the kernel then does the
//! work of a completion only when we ask, and a flag in shared memory tells whether asking is worth a call.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use core::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};

use super::RingError;
use super::limits::{COMPLETIONS, SUBMISSIONS};

const ENTER_GETEVENTS: u32 = 1;

/// The queues. Whoever pushes vouches for the memory that an entry names: see [`Queue::push`].
pub(super) struct Queue {
    ring: IoUring,
    /// The kernel runs the work of completions only inside `enter`.
    deferred: bool,
}

impl core::fmt::Debug for Queue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Queue").field("fd", &self.ring.as_raw_fd()).field("deferred", &self.deferred).finish()
    }
}

impl Queue {
    /// Makes the queues, on the thread that will use them.
    pub(super) fn new() -> Result<Self, RingError> {
        let deferred = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS);
        let (ring, deferred) = match deferred {
            Ok(ring) => (ring, true),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                (IoUring::builder().setup_cqsize(COMPLETIONS).build(SUBMISSIONS).map_err(refused)?, false)
            }
            Err(error) => return Err(refused(error)),
        };
        // It only saves a look-up for each enter; a kernel without it loses nothing else.
        let _ = ring.submitter().register_ring_fd();
        Ok(Self { ring, deferred })
    }

    /// The ring, for registrations.
    pub(super) fn ring(&self) -> &IoUring {
        &self.ring
    }

    /// Completions raise `event`, while [`Queue::notify`] has it on.
    pub(super) fn register_event(&mut self, event: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_eventfd(event.as_raw_fd())?;
        self.ring.completion().disable_eventfd();
        Ok(())
    }

    /// Switches the event on or off. Off is free of calls: a shard that is awake looks by itself.
    pub(super) fn notify(&mut self, notify: Notify) {
        let completions = self.ring.completion();
        match notify {
            Notify::On => completions.enable_eventfd(),
            Notify::Off => completions.disable_eventfd(),
        }
    }

    /// Puts entries in, all or none of them in one submission (links must not be torn apart).
    ///
    /// # Safety
    ///
    /// The memory and the descriptors that the entries name stay valid until their final completion was taken.
    pub(super) unsafe fn push(&mut self, entries: &[squeue::Entry]) -> io::Result<()> {
        loop {
            // SAFETY: the caller's promise is this function's own.
            if unsafe { self.ring.submission().push_multiple(entries) }.is_ok() {
                return Ok(());
            }
            self.enter(0)?;
        }
    }

    /// Submits what was put in and lets completions come, if there is a reason to enter the kernel. Does not block.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        let queue = self.ring.submission();
        if queue.is_empty() && !queue.cq_overflow() && self.deferred && !queue.taskrun() {
            return Ok(());
        }
        drop(queue);
        self.enter(0)
    }

    /// As [`Queue::turn`], and blocks until `at_least` completions are there.
    pub(super) fn enter(&mut self, at_least: u32) -> io::Result<()> {
        let submit = u32::try_from(self.ring.submission().len()).expect("the queue has 1024 entries");
        // SAFETY: no argument is passed, and the count is that of entries whose pushers vouched for them.
        ended(unsafe {
            self.ring.submitter().enter::<libc::sigset_t>(submit, at_least, ENTER_GETEVENTS, None)
        })
    }

    /// Submits, and sleeps until a completion is there or a time passes.
    pub(super) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        let Some(at_most) = at_most else { return self.enter(1) };
        let time = Timespec::from(at_most);
        ended(self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&time)))
    }

    /// The next completion that is already there.
    pub(super) fn pop(&mut self) -> Option<cqueue::Entry> {
        self.ring.completion().next()
    }

    /// Whether a completion is there.
    pub(super) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }
}

/// Whether completions raise the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notify {
    /// They do: the shard is about to sleep.
    On,
    /// They do not: the shard looks by itself.
    Off,
}

fn ended(entered: io::Result<usize>) -> io::Result<()> {
    // A signal came, the time passed, or completions must be taken first: the next turn goes on.
    let passes = [libc::EINTR, libc::ETIME, libc::EBUSY, libc::EAGAIN];
    match entered {
        Err(error) if !error.raw_os_error().is_some_and(|code| passes.contains(&code)) => Err(error),
        _ => Ok(()),
    }
}

/// Takes ownership of a descriptor that a completion handed over.
pub(super) fn own(fd: RawFd) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd as _;
    assert!(fd >= 0, "a successful accept carries a descriptor");
    // SAFETY: the kernel made this descriptor for us in an accept, and each accept's completion is taken once.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }
}

/// See [`super::probe`].
pub(super) fn probe() -> Result<(), RingError> {
    let ring = IoUring::new(8).map_err(refused)?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|source| RingError::Setup { what: "probe", source })?;
    let needed = [
        (opcode::AcceptMulti::CODE, "accept"),
        (opcode::RecvMulti::CODE, "receive"),
        (opcode::Send::CODE, "send"),
        (opcode::Connect::CODE, "connect"),
        (opcode::AsyncCancel::CODE, "cancel"),
        (opcode::LinkTimeout::CODE, "linked timeouts"),
        (opcode::Write::CODE, "write"),
        (opcode::Fsync::CODE, "fsync"),
        // Multishot receive has no code of its own to ask for; this one came with the same release.
        (opcode::SendZc::CODE, "multishot receive (Linux 6.0)"),
    ];
    match needed.iter().find(|(code, _)| !probe.is_supported(*code)) {
        Some((_, what)) => Err(RingError::TooOld { what }),
        None => Ok(()),
    }
}

fn refused(source: io::Error) -> RingError {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => RingError::Forbidden { source },
        Some(libc::ENOSYS) => RingError::TooOld { what: "io_uring itself" },
        _ => RingError::Setup { what: "queues", source },
    }
}
