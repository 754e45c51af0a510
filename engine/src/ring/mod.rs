//! The shard's own ring: sockets and the log's appends, one system call a turn.
//!
//! Why a second ring beside the executor's: its sockets know neither multishot nor provided buffers, and its executor
//! looks at its rings only once all its tasks wait or a timer preempts them; such a pass costs more than a whole turn
//! of this ring (docs/adr/0004). So what is hot goes through here, and the thread sleeps in the executor.
//!
//! ```text
//!   accept receive send connect write_and_sync           next() ◀── completions
//!        │ the ring takes the memory                        │ and gives it back
//!        ▼                                                  │
//!   [slots] ── entries ──▶ turn(): one enter ──▶ kernel ────┘
//! ```
//!
//! Memory that the kernel reads or writes is moved in here and comes back with the completion, so that nobody above can
//! free or change it meanwhile. That makes this room the only one of the engine's that needs `unsafe` for its sockets
//! and its log; what sits on it (`net`, `files`) is safe code.
//!
//! It does not know what a connection is: a [`Tag`] that the caller chose comes back with each completion.

mod blocks;
mod buffers;
mod limits;
mod ops;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use blocks::{BLOCK_BYTES, Blocks};
pub(crate) use buffers::Chunk;
pub(crate) use ops::{Completion, Held, Op, Ring};
pub(crate) use queue::Notify;

use std::io;

/// What a completion is about, in the words of whoever asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The kind of operation.
    pub(crate) what: What,
    /// Which connection, listener or file: the caller's number.
    pub(crate) id: u64,
}

/// The kinds of operations, as their owners tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A listener's multishot accept.
    Accept,
    /// A listener waits before it accepts again.
    AcceptLater,
    /// A connection's multishot receive.
    Receive,
    /// A connection's send.
    Send,
    /// A connection that is being made.
    Connect,
    /// A connection that closes has had its time.
    Linger,
    /// A hand-shake has had its time.
    Handshake,
    /// A stall that a fault asked for is over.
    Stall,
    /// The write of an append.
    LogWrite,
    /// The `fdatasync` of an append.
    LogSync,
    /// A pause that a fault asked for before an append counts as done.
    LogPause,
    /// Another thread woke the shard.
    Wake,
    /// Nobody waits for it: a cancellation, the timer of a linked operation.
    Nobody,
}

/// The ring could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The kernel forbids io_uring to this process.
    #[error(
        "io_uring is not allowed here: {source}. Set `sysctl kernel.io_uring_disabled=0`, and in a container allow \
         io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile"
    )]
    Forbidden {
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel is too old for an operation that the sockets need.
    #[error("this kernel's io_uring lacks {what}; Switchyard needs Linux 6.1 or newer")]
    TooOld {
        /// The first thing that is missing.
        what: &'static str,
    },
    /// Anything else; most often the limit of locked memory or of open files.
    #[error("cannot set up io_uring ({what}): {source}. Look at `ulimit -l` (at least 8192) and `ulimit -n`")]
    Setup {
        /// Which step failed.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Asks the kernel, once at start, whether it has what the ring needs.
///
/// # Errors
///
/// A [`RingError`] whose text says what to change.
pub(crate) fn probe() -> Result<(), RingError> {
    queue::probe()
}
