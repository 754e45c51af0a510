//! What an operator asks a running daemon, and looks at in its files.
//!
//! ```text
//!   switchyard ctl ──one line of JSON──▶ DIR/admin.sock ──▶ control thread ──▶ shards
//!                  ◀─one line of JSON──                 ◀──                ◀──
//! ```
//!
//! The socket has mode 0600: whoever may write the data directory's files may ask, and nobody else. Each line is one request
//! or one response and carries the version of the protocol. One connection is served at a time and everything is bounded, so
//! that no question can cost the shards more than a look at their own tables. The log is read from its files ([`log`]),
//! without the daemon.

pub mod ctl;
pub(crate) mod limits;
pub mod log;
mod pdu;
pub(crate) mod server;
mod show;
pub(crate) mod trace;
pub mod words;

use std::path::{Path, PathBuf};

/// The socket of a data directory.
#[must_use]
pub fn socket_path(data: &Path) -> PathBuf {
    data.join("admin.sock")
}
