//! Why the daemon does not start, or stops. Each text says what an operator can do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crossbeam::channel::SendError;
use shards::RecoveryError;
use wal::{LayoutError, ScanError};

use crate::config::ConfigError;
use crate::faults::FaultsError;
use crate::files::{DirError, LogError};
use crate::net::NetError;
use crate::net::tls::MaterialError;
use crate::runtime::RuntimeError;
use crate::shard_io::IoError;

use super::control::Notice;

/// Why the daemon does not start, or stops other than in order.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of certificates or keys.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The machine does not say what it has.
    #[error("this host cannot be looked at: {what}")]
    Host {
        /// Where and what.
        what: String,
    },
    /// A core that is not there.
    #[error("node.cores names core {core}, and this process may use {allowed:?}: name some of those")]
    Core {
        /// The core.
        core: usize,
        /// Those that there are.
        allowed: Vec<usize>,
    },
    /// A file of the data directory.
    #[error("{}: {doing}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The development key is not one.
    #[error(
        "{}: expected one line with a key of 16 to 255 characters of ASCII without spaces; remove the file to have a \
         new one made",
        path.display()
    )]
    DevKey {
        /// The file.
        path: PathBuf,
    },
    /// A thread of the daemon itself.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// An address is not to be had.
    #[error("{key}: {address} is not to be had: {error}; stop who has it, or configure another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key of the configuration.
        key: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A carrier's name is not known.
    #[error("carrier {carrier}: {host} has no address: {error}")]
    Carrier {
        /// The carrier.
        carrier: String,
        /// The name.
        host: String,
        /// What the system said.
        error: io::Error,
    },
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// The data directory is another node's, or was written by another number of shards.
    #[error("{}: {what} = {found} in this directory, and {ours} in this start: {advice}", path.display())]
    Identity {
        /// The identity file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the directory says.
        found: String,
        /// What the configuration and the host say.
        ours: String,
        /// What to do.
        advice: &'static str,
    },
    /// The sizes of the log.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The faults file.
    #[error(transparent)]
    Faults(#[from] FaultsError),
    /// What the host does not give.
    #[error("this host is not fit: {what}")]
    Unfit {
        /// Each finding with what to do, one a line.
        what: String,
    },
    /// A shard's thread.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A shard has stopped.
    #[error("shard {shard}: {error}")]
    Shard {
        /// Which.
        shard: u16,
        /// Why.
        error: ShardError,
    },
}

/// Why a shard stops other than in order.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// Its IO.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Its ring.
    #[error("the kernel refuses the ring of this shard: {0}")]
    Ring(io::Error),
    /// Its log's files.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its log's bytes.
    #[error("{}: {error}", file.display())]
    Scan {
        /// The segment.
        file: PathBuf,
        /// What is wrong.
        error: Box<ScanError>,
    },
    /// What its log says.
    #[error("{}: {error}", file.display())]
    Recovery {
        /// The segment, or the log.
        file: PathBuf,
        /// What is wrong.
        error: Box<RecoveryError>,
    },
    /// Its ports.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The control thread is gone.
    #[error("the control thread is gone")]
    Alone,
}

impl From<SendError<Notice>> for ShardError {
    fn from(_: SendError<Notice>) -> Self {
        Self::Alone
    }
}

impl DaemonError {
    /// Whether a change of the configuration is what helps.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Config(_) | Self::Material(_) | Self::Core { .. } | Self::Layout(_) | Self::Faults(_)
        )
    }
}
