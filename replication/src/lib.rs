//! A partition's Raft group over the log.
//!
//! A partition's records go through its [`Group`] from the first day, also on a single node, where the group has one
//! voter: more regions are then a matter of configuration. Consensus itself is TiKV's library. What is here is how it is
//! used: which entries go into which batch, what is told to it when a batch is durable, and what may be proposed.
//!
//! ```text
//!  propose(records) ─▶ poll_append(batch) ─▶ one write, one sync ─▶ handle_durable(lsn) ─▶ poll_committed()
//! ```
//!
//! The room is pure. It refuses to send a protobuf anywhere: entries are sealed in the log's own format, messages between members
//! in frames of our own ([`Message::encode`]), and the library's types do not leave this crate.

mod config;
mod frame;
mod group;
mod index;
pub mod limits;
mod members;
mod message;
mod recovery;
pub mod stream;

pub use bytes::Bytes;
pub use config::{GroupConfig, GroupError};
pub use frame::{FrameError, MESSAGE_HEADER_BYTES};
pub use group::{Appended, Committed, Group, Proposed, Refused};
pub use members::{Change, Members};
pub use message::{Install, Installs, Message, Unsteppable};
pub use recovery::{Recovered, Recovery, RecoveryError};
