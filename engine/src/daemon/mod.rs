//! The daemon's life: start, run, stop.

pub(crate) mod clock;
mod error;
mod host;
mod newcomer;
mod ports;

use std::path::PathBuf;

pub use error::DaemonError;

/// What `switchyard serve` was told.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// The configuration file; `None`: one account and the sandbox.
    pub config: Option<PathBuf>,
    /// The data directory, over the configuration's.
    pub data: Option<PathBuf>,
    /// Faults for tests.
    pub faults: Option<PathBuf>,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// [`DaemonError`], whose text is for the operator.
pub fn serve(_options: &ServeOptions) -> Result<(), DaemonError> {
    Ok(())
}
