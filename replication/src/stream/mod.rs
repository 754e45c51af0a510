//! The stream between nodes: one connection for each pair of shards that share a partition.
//!
//! ```text
//!   brain ── poll_peer ──▶ Peers ──▶ Session ── bytes ──▶ ╌╌╌ ──▶ Session ──▶ Peers ── handle_peer ──▶ brain
//!                          who is dialled, which                  what was heard,
//!                          connection leads where                 in order
//! ```
//!
//! [`Peers`] is a shard's end of all its connections: a machine over bytes, as SMPP's session is one. The shell dials, reads and writes; a
//! simulator does it over pipes that split, stall and break. Why it is as it is: docs/adr/0018-the-stream-between-nodes.md.

mod header;
mod hello;
mod peers;
mod pieces;
mod session;

pub use hello::{Hello, Mismatch, STREAM_VERSION};
pub use peers::{Event, Known, LineAction, LineId, Peers, Proven, Standing};

use crate::frame::FrameError;
use crate::limits::FRAME_BYTES_MAX;

/// Why bytes of a connection are none of this stream. The connection is closed: what was on it is said again on the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The checksum of a header or of what follows it does not fit.
    #[error(
        "a frame with checksum {expected:#010x} whose bytes have {found:#010x}: a middle-box or memory changes bytes"
    )]
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
    /// A kind or version of frame that this program does not know.
    #[error("a frame of kind {kind}, version {version}, which this program does not know")]
    Kind {
        /// The kind.
        kind: u8,
        /// The version.
        version: u8,
    },
    /// A frame longer than any may be.
    #[error("a frame of {bytes} bytes, {FRAME_BYTES_MAX} are allowed")]
    Long {
        /// How long it says it is.
        bytes: usize,
    },
    /// A frame that is not the next one.
    #[error("frame {found}, and {expected} is the next one")]
    Number {
        /// The next one's number.
        expected: u32,
        /// This one's.
        found: u32,
    },
    /// The first frame is no hello.
    #[error("the first bytes are no hello of a node: something else listens or calls here")]
    NoHello,
    /// A second hello, or something behind the last frame.
    #[error("a hello in the middle, or a frame behind the last one")]
    Twice,
    /// What is in a frame does not fill it.
    #[error("a frame whose parts do not fill it")]
    Cut,
    /// A message in a frame is none.
    #[error("{0}")]
    Message(FrameError),
    /// A piece of a state that is not the next one.
    #[error("a piece of a state that is not the next one")]
    Piece,
    /// A state larger than any is.
    #[error("a state of {bytes} bytes, more than there is room for")]
    State {
        /// Its bytes.
        bytes: u64,
    },
    /// More than credit was given for.
    #[error("{beyond} bytes beyond the credit")]
    Credit {
        /// How far beyond.
        beyond: i64,
    },
}

#[cfg(test)]
mod tests;
