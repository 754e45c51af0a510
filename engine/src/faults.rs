//! Faults on purpose: `serve --faults FILE` makes the drivers split, stall, reset, hold and fail.
//!
//! Tests of real processes need what a loopback and a healthy disk never do. The faults sit in the drivers, below
//! everything that they judge, and cost one look at an `Option` when there are none. A production daemon has no file, and
//! one that has says so on its standard error, line by line.
//!
//! ```toml
//! seed = 7
//! [sockets]
//! split = 100                 # at most so many bytes in a receive or a send
//! stall_every = 50            # one receive in so many, at random, …
//! stall_ms = 20               # … comes so much later
//! reset_after_bytes = 100000  # connections end after twice this at most
//! [files]
//! hold_writes = true          # an append stays in the process until its sync
//! sync = "noop"               # acknowledged and not done: a test that does not see this is blind
//! fail_write_after = 1000     # that append fails
//! fail_sync_after = 1000      # that append's sync fails
//! slow_sync_ms = 5            # each sync counts as done so much later
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What goes wrong on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Where the random choices start.
    pub seed: u64,
    /// Faults of sockets.
    pub sockets: Option<SocketFaults>,
    /// Faults of the log's files.
    pub files: Option<FileFaults>,
}

/// Faults of sockets. Zero switches one off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SocketFaults {
    /// The most bytes that a receive or a send carries; each draws from 1 to this.
    pub split: u32,
    /// One receive in this many, drawn at random, is late.
    pub stall_every: u32,
    /// By how many milliseconds; what follows on the same connection waits behind it.
    pub stall_ms: u64,
    /// A connection is reset after a number of bytes in both directions, drawn from 1 to twice this.
    pub reset_after_bytes: u64,
}

/// Faults of the log's files. Zero switches a count off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileFaults {
    /// An append is kept in the process, where a SIGKILL loses it, until its sync; then it is written and synced.
    pub hold_writes: bool,
    /// What a sync does.
    pub sync: SyncFault,
    /// The append with this number, from 1, fails to be written.
    pub fail_write_after: u64,
    /// The append with this number, from 1, is written and fails to be synced.
    pub fail_sync_after: u64,
    /// Each sync is reported so many milliseconds late.
    pub slow_sync_ms: u64,
}

/// What a sync does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncFault {
    /// It syncs.
    #[default]
    Real,
    /// It says that it did, and the bytes never leave the process, whatever `hold_writes` says.
    Noop,
}

/// A file of faults is not one.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// It cannot be read.
    #[error("{}: cannot read the faults: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says something unknown. The source names line and column.
    #[error("{}: these are not faults: {source}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
}

impl Faults {
    /// Reads a file of faults.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or holds anything that is not a fault.
    pub fn read(path: &Path) -> Result<Self, FaultsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| FaultsError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| FaultsError::Unknown { path: path.to_owned(), source: Box::new(source) })
    }

    /// Says on standard error what will go wrong, so that nobody runs with faults unawares.
    pub fn announce(&self) {
        eprintln!(
            "!!! FAULTS ARE SWITCHED ON (--faults). This daemon breaks connections and loses data on purpose."
        );
        eprintln!("!!! seed {}", self.seed);
        if let Some(sockets) = &self.sockets {
            eprintln!("!!! {sockets:?}");
        }
        if let Some(files) = &self.files {
            eprintln!("!!! {files:?}");
        }
    }
}

/// A stream of random numbers for the faults, the same for the same seed (Steele et al., SplitMix, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of a seed and of one of its users.
    pub(crate) fn new(seed: u64, user: u64) -> Self {
        Self(seed ^ user.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number from 1 to `most`; 1 when `most` is 0.
    pub(crate) fn draw(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        1 + (mixed ^ (mixed >> 31)) % most.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_faults_says_what_goes_wrong() {
        let text = "seed = 3\n[sockets]\nsplit = 10\n[files]\nhold_writes = true\nsync = \"noop\"\n";
        let faults: Faults = toml::from_str(text).unwrap();
        assert_eq!(faults.seed, 3);
        assert_eq!(faults.sockets.unwrap().split, 10);
        let files = faults.files.unwrap();
        assert_eq!((files.hold_writes, files.sync), (true, SyncFault::Noop));
    }

    #[test]
    fn a_fault_that_nobody_knows_is_refused_by_name_and_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("faults.toml");
        std::fs::write(&path, "[sockets]\nspilt = 10\n").unwrap();
        let said = Faults::read(&path).unwrap_err().to_string();
        assert!(said.contains("spilt") && said.contains("line 2"), "{said}");
    }

    #[test]
    fn dice_repeat_for_a_seed_and_stay_in_range() {
        let roll = |seed| {
            let mut dice = Dice::new(seed, 1);
            (0..100).map(|_| dice.draw(6)).collect::<Vec<_>>()
        };
        assert_eq!(roll(1), roll(1));
        assert_ne!(roll(1), roll(2));
        assert!((1..=6).all(|face| roll(1).contains(&face)));
        assert!(roll(1).iter().all(|face| (1..=6).contains(face)));
    }
}
