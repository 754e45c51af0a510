//! Files: who may use a data directory, what it belongs to, and the appends of a shard's log.
//!
//! The log's bytes mean nothing here (`wal` knows them). Appends go through the shard's ring; what is slow or rare
//! (preparing, listing and reading segments) goes through the executor's files in `runtime`.
//!
//! A write or a sync that fails is reported once and never tried again: after a failed `fsync` nobody knows what the
//! disk holds (Rebello et al., "Can applications recover from fsync failures?", 2020), so the shard stops.

mod appender;
mod identity;
mod lock;

use std::io;
use std::path::PathBuf;

pub use appender::Appended;
pub(crate) use appender::Appender;
pub use identity::{FORMAT_VERSION, Identity, Membership};
pub use lock::DirLock;

/// The file of a segment of a log.
#[must_use]
pub fn segment_path(log_dir: &std::path::Path, segment: u64) -> PathBuf {
    log_dir.join(format!("{segment:016x}.seg"))
}

/// The file of a segment that no start needs any more, and that is kept so that messages in it can be asked for.
#[must_use]
pub fn aged_path(log_dir: &std::path::Path, segment: u64) -> PathBuf {
    log_dir.join(format!("{segment:016x}.aged"))
}

/// The file of a segment's index.
#[must_use]
pub fn index_path(log_dir: &std::path::Path, segment: u64) -> PathBuf {
    log_dir.join(format!("{segment:016x}.idx"))
}

/// The log cannot go on. Nothing may be appended after it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// An operation failed.
    #[error("{}, offset {offset}: {what} failed: {source}{}", file.display(), advice(source))]
    Io {
        /// Which file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// Which operation.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The disk took only a part of a write.
    #[error("{}, offset {offset}: the disk took {written} of {bytes} bytes; is it full?", file.display())]
    Short {
        /// Which file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// Bytes that were written.
        written: usize,
        /// Bytes that were to be written.
        bytes: usize,
    },
    /// A segment has another size than the configuration says.
    #[error(
        "{}: this segment has {found} bytes, and the log is configured for {expected}; a log keeps the size it began \
         with: set it back",
        file.display()
    )]
    Size {
        /// Which file.
        file: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The configured size in bytes.
        expected: u64,
    },
}

impl LogError {
    /// Whether there is no room.
    pub(crate) fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
    }

    pub(crate) fn io(file: impl Into<PathBuf>, what: &'static str, source: io::Error) -> Self {
        Self::Io { file: file.into(), offset: 0, what, source }
    }
}

/// A data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// Another daemon uses it.
    #[error(
        "{} is in use by the daemon with process id {pid}; stop it, or give this one another directory with --data",
        dir.display()
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// Who holds it, as that process wrote it down.
        pid: String,
    },
    /// Its format is not ours.
    #[error(
        "{}: this directory has format version {found}, and this program reads {ours}; use the release that wrote it, \
         or give another directory with --data",
        file.display()
    )]
    OtherVersion {
        /// The identity file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        ours: u32,
    },
    /// Its identity cannot be understood.
    #[error("{}, line {line}: expected {expected}, found {found:?}", file.display())]
    NotIdentity {
        /// The identity file.
        file: PathBuf,
        /// Which line, from 1; 0 for what is missing as a whole.
        line: usize,
        /// What should stand there.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// An operation failed.
    #[error("{}: {what} failed: {source}{}", path.display(), advice(source))]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Which operation.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl DirError {
    fn io(path: impl Into<PathBuf>, what: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.into(), what, source }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => "; make room on that file system, then start again",
        Some(libc::EIO) => "; the device is failing: look at the kernel's log before starting again",
        Some(libc::EROFS) => "; the file system went read-only: look at the kernel's log",
        Some(libc::EACCES | libc::EPERM) => "; the daemon's user needs read and write access there",
        Some(libc::EMFILE | libc::ENFILE) => "; raise `ulimit -n`",
        _ => "",
    }
}
