//! A shard's log read from its files, without a daemon: whether it is whole, and what is in it.
//!
//! It is scanned as recovery scans it, so what is called damage here is what a start would stop at, and nothing is
//! changed. Texts of messages and whole numbers are shown only when they are asked for. A log to which a daemon writes
//! can be read too, and then ends in what the daemon is writing; whoever looks is told.

mod show;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use wal::segment::{Header, HeaderError};
use wal::{Damage, Item, LogConfig, Lsn, Scan, ScanError, Tail};

use crate::files::segment_path;

pub use show::Shown;

/// Why a log cannot be looked at, or is not whole.
#[derive(Debug, thiserror::Error)]
pub enum LogToolError {
    /// A file cannot be read.
    #[error("{}: {doing}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// There is no log.
    #[error("{}: no segments here; expected the directory of a shard, as DIR/shard-0", path.display())]
    NoLog {
        /// The directory.
        path: PathBuf,
    },
    /// The first segment does not say whose log it is.
    #[error("{}: the head of the first segment cannot be read: {found}", path.display())]
    Head {
        /// The segment.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The log is not whole.
    #[error("{}: {error}", path.display())]
    Scan {
        /// The segment.
        path: PathBuf,
        /// What is wrong, and where.
        error: ScanError,
    },
    /// A record in a whole entry cannot be read.
    #[error("{}: place {lsn}: {error}", path.display())]
    Record {
        /// The directory.
        path: PathBuf,
        /// The batch.
        lsn: Lsn,
        /// What is wrong.
        error: wal::RecordError,
    },
    /// The lines cannot be written.
    #[error("the output was closed: {0}")]
    Output(io::Error),
}

/// What a log holds, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    entries: u64,
    records: u64,
    hard_states: u64,
    starts: u64,
}

/// Says whether a log is whole, as a start would find it.
///
/// # Errors
/// [`LogToolError::Scan`] and [`LogToolError::Record`] for a log at which a start would stop.
pub fn verify(log_dir: &Path, out: &mut dyn Write) -> Result<(), LogToolError> {
    let mut counted = Counted::default();
    let mut wrong = None;
    let (config, tail) = scan(log_dir, out, |lsn, item| match item {
        Item::Entry(entry) => {
            counted.entries += 1;
            for record in entry.records() {
                match record {
                    Ok(_) => counted.records += 1,
                    Err(error) => {
                        wrong.get_or_insert((lsn, error));
                    }
                }
            }
        }
        Item::HardState(_) => counted.hard_states += 1,
        Item::Start(_) => counted.starts += 1,
    })?;
    if let Some((lsn, error)) = wrong {
        return Err(LogToolError::Record { path: log_dir.to_owned(), lsn, error });
    }
    let segments = segments(log_dir)?.len();
    let Counted { entries, records, hard_states, starts } = counted;
    let mib = config.layout.segment_bytes() >> 20;
    let told = match tail {
        None => "whole: empty, its first segment was never headed\n".to_owned(),
        Some(tail) => {
            let end = format!("up to {}: segment {:016x}.seg, byte {}", tail.lsn, tail.segment, tail.offset);
            let behind = tail.torn.as_ref().map_or_else(String::new, |torn| behind(torn) + "\n");
            format!(
                "whole {end}\n{behind}{segments} segments of {mib} MiB, {entries} entries, {records} records, \
                 {hard_states} hard states, {starts} starts\n"
            )
        }
    };
    out.write_all(told.as_bytes()).map_err(LogToolError::Output)
}

/// Writes what is in a log, one line for each frame, entry and record, from a place on.
///
/// # Errors
/// As [`verify`]; what was written before is true as far as it goes.
pub fn dump(log_dir: &Path, from: Lsn, shown: Shown, out: &mut dyn Write) -> Result<(), LogToolError> {
    let mut lines = io::BufWriter::new(Vec::new());
    let mut broken = Ok(());
    let mut sink = io::sink();
    // The scan may fail at its end; what it has found before is written as it comes.
    let scanned = {
        let out = &mut *out;
        scan(log_dir, &mut sink, |lsn, item| {
            if lsn >= from && broken.is_ok() {
                broken = show::item(lsn, &item, shown, &mut lines)
                    .and_then(|()| lines.flush())
                    .and_then(|()| out.write_all(lines.get_ref()));
                lines.get_mut().clear();
            }
        })
    };
    broken.map_err(LogToolError::Output)?;
    let (_, tail) = scanned?;
    let end = tail.map_or_else(String::new, |tail| {
        let behind = tail.torn.as_ref().map_or_else(String::new, |torn| format!(", and {}", behind(torn)));
        format!("{} end{behind}\n", tail.lsn)
    });
    out.write_all(end.as_bytes()).map_err(LogToolError::Output)
}

/// What lies behind the last whole batch. A header that was written for this place shows an unfinished write; other bytes
/// may be one too, or what the segment held before it was used again.
fn behind(torn: &Damage) -> String {
    if torn.expected.starts_with("a batch with checksum") {
        format!("torn tail: an unfinished write, of which nobody was told; a start cuts it ({torn})")
    } else {
        format!(
            "behind it: what its segment held before it was used again, or an unfinished write; nobody was told of it, and \
             it is written over ({torn})"
        )
    }
}

/// Scans a log whose first segment says whose it is. Tells `out` about a daemon that holds it.
fn scan(
    log_dir: &Path,
    out: &mut dyn Write,
    mut visit: impl FnMut(Lsn, Item<'_>),
) -> Result<(LogConfig, Option<Tail>), LogToolError> {
    if let Some(pid) = holder(log_dir) {
        writeln!(
            out,
            "note: process {pid} holds this directory: the log grows while it is read, and what is being written looks torn"
        )
        .map_err(LogToolError::Output)?;
    }
    let segments = segments(log_dir)?;
    let Some(&first) = segments.first() else {
        return Err(LogToolError::NoLog { path: log_dir.to_owned() });
    };
    let config = head(log_dir, first)?;
    let mut scan = Scan::new(config);
    for seq in segments {
        let path = segment_path(log_dir, seq);
        let bytes = read(&path)?;
        scan.segment(seq, &bytes, &mut visit).map_err(|error| LogToolError::Scan { path, error })?;
    }
    Ok((config, scan.finish()))
}

fn read(path: &Path) -> Result<Vec<u8>, LogToolError> {
    fs::read(path).map_err(|error| LogToolError::Io { path: path.to_owned(), doing: "reading", error })
}

/// The numbers of the segments, in their order.
fn segments(log_dir: &Path) -> Result<Vec<u64>, LogToolError> {
    let failed = |error| LogToolError::Io { path: log_dir.to_owned(), doing: "listing the segments", error };
    let mut found = Vec::new();
    for file in fs::read_dir(log_dir).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        let stem =
            path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_segment && stem.len() == 16);
        found.extend(stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Whose log it is, by its first segment.
fn head(log_dir: &Path, first: u64) -> Result<LogConfig, LogToolError> {
    let path = segment_path(log_dir, first);
    let bytes = read(&path)?;
    let found = match Header::decode(&bytes) {
        Ok(header) => return Ok(LogConfig { identity: header.identity, layout: header.layout }),
        Err(HeaderError::Zeros) => "zeros: it was never headed".to_owned(),
        Err(HeaderError::Damaged(expected)) => format!("expected {expected}"),
        Err(HeaderError::OtherFormat(version)) => {
            format!("format version {version}, which this program does not read")
        }
    };
    Err(LogToolError::Head { path, found })
}

/// The process that holds the data directory of a log, as it wrote itself down.
fn holder(log_dir: &Path) -> Option<String> {
    let absolute = fs::canonicalize(log_dir).ok()?;
    let path = absolute.parent()?.join("lock");
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            Some(fs::read_to_string(&path).unwrap_or_default().trim().to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
