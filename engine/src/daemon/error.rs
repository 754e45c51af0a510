//! Why the daemon does not start, or stops. Each text says what an operator can do.

use std::io;
use std::path::PathBuf;

use crate::config::{ConfigError, PlanError};

/// Why the daemon does not start, or stops other than in order.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration does not fit this host.
    #[error(transparent)]
    Plan(#[from] PlanError),
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
    /// A thread or a port of the daemon itself.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
}

impl DaemonError {
    /// Whether a change of the configuration is what helps.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Plan(_) | Self::Core { .. })
    }
}
