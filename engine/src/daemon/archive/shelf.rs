//! One shard's log as the archive reads it: its complete segments with their indexes, and the one that is written to.
//!
//! ```text
//!   <seq>.aged  <seq>.aged  <seq>.seg  <seq>.seg │ <seq>.seg
//!   <seq>.idx   <seq>.idx   <seq>.idx  <seq>.idx │ gathered in memory, read on when somebody asks
//!                               complete segments │ the last
//! ```
//!
//! The shard owns the files: it may take the oldest away at any time. Each batch names its place, so what is read of a file that
//! has become another segment is seen to be none of this one.

mod files;
mod look_up;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use wal::index::{BatchError, Gather, Index, Times};
use wal::limits::SEGMENT_HEADER_BYTES;
use wal::segment::Header;
use wal::{LogConfig, Lsn};

use crate::files::index_path;
use crate::runtime::numbered;

use files::{open, read_head, read_on, write_index};

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Segments are left that have no index.
    Left,
    /// None are.
    Done,
}

/// Why something cannot be said at the moment.
#[derive(Debug, thiserror::Error)]
enum ShelfError {
    /// A file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A batch that an index names is not there.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A file is no segment of this log.
    #[error("{}: expected segment {seq:016x} of this log, found another first block", path.display())]
    OtherSegment {
        /// The file.
        path: PathBuf,
        /// The segment.
        seq: u64,
    },
    /// The last segment does not hold what it should.
    #[error("segment {seq:016x}.seg reads up to byte {found}, and is written up to {expected}")]
    Behind {
        /// The segment.
        seq: u64,
        /// How far it is on disk.
        expected: u64,
        /// How far it was read.
        found: u64,
    },
    /// A message that is not over was not in memory.
    #[error(
        "a message was asked for that its shard did not have, and that is not over in the log as far as that reads"
    )]
    Open,
    /// There are many segments to be indexed first.
    #[error("{count} segments are still to be indexed")]
    Unread {
        /// How many.
        count: usize,
    },
}

/// A complete segment.
#[derive(Debug)]
struct Volume {
    header: Header,
    index: Known,
}

/// Where a segment's index is.
#[derive(Debug)]
enum Known {
    /// In its file.
    Filed(Index),
    /// It could not be written, and is in memory until it can.
    InMemory(Gather),
}

/// One shard's log. Lives on the archive's thread.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    config: LogConfig,
    volumes: BTreeMap<u64, Volume>,
    /// Complete segments that have no index, by number, with what was gathered of one while it was the last.
    unread: BTreeMap<u64, Option<Gather>>,
    last: Option<Gather>,
    /// Those that cannot be read, until the next start.
    given_up: BTreeSet<u64>,
    /// The number of the segment that was written to when files were last listed.
    listed_at: Option<u64>,
    indexes_built: u64,
    /// The last complaint, so that it is not repeated each second.
    complaint: String,
}

impl Shelf {
    /// A log of which nothing is known yet.
    pub(super) const fn new(dir: PathBuf, config: LogConfig) -> Self {
        Self {
            dir,
            config,
            volumes: BTreeMap::new(),
            unread: BTreeMap::new(),
            last: None,
            given_up: BTreeSet::new(),
            listed_at: None,
            indexes_built: 0,
            complaint: String::new(),
        }
    }

    /// How many indexes were made.
    pub(super) const fn indexes_built(&self) -> u64 {
        self.indexes_built
    }

    /// Writes down what is wrong, once.
    fn complain(&mut self, error: &ShelfError) {
        let words = error.to_string();
        if self.complaint != words {
            tracing::warn!(
                event = "archive.failed",
                error = words,
                "aged messages cannot all be found for now"
            );
            self.complaint = words;
        }
    }

    /// Looks which segments there are, and indexes one. Before anything is on disk there is nothing to do: files are the
    /// recovering shard's alone.
    pub(super) fn tend(&mut self, durable: Lsn) -> Work {
        self.try_to_tend(durable).unwrap_or_else(|error| {
            self.complain(&error);
            Work::Done
        })
    }

    fn try_to_tend(&mut self, durable: Lsn) -> Result<Work, ShelfError> {
        if durable == Lsn::ZERO {
            return Ok(Work::Done);
        }
        self.list(durable)?;
        // The newest first: they are asked for most.
        if let Some((&seq, _)) = self.unread.last_key_value() {
            self.index(seq)?;
        }
        let in_memory = self.volumes.iter_mut().find_map(|(seq, volume)| match &volume.index {
            Known::InMemory(gather) => Some((*seq, gather.encode())),
            Known::Filed(_) => None,
        });
        if let Some((seq, bytes)) = in_memory {
            write_index(&self.dir, seq, &bytes)?;
            self.load(seq)?;
        }
        Ok(if self.unread.is_empty() { Work::Done } else { Work::Left })
    }

    /// Lists the files: forgets segments that are gone, with their indexes, and learns of new ones.
    fn list(&mut self, durable: Lsn) -> Result<(), ShelfError> {
        let failed = |source| ShelfError::Io { path: self.dir.clone(), source };
        let last = self.segment_of(durable);
        let (mut complete, mut indexes) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let seq = numbered(&path, ".seg").or_else(|| numbered(&path, ".aged"));
            complete.extend(seq.filter(|&seq| seq < last));
            indexes.extend(numbered(&path, ".idx"));
        }
        complete.sort_unstable();
        complete.dedup();
        let is_there = |seq: &u64| complete.binary_search(seq).is_ok();
        self.volumes.retain(|seq, _| is_there(seq));
        self.unread.retain(|seq, _| is_there(seq));
        for seq in indexes.iter().filter(|seq| !is_there(seq)) {
            // The shard removes it too.
            let _ = fs::remove_file(index_path(&self.dir, *seq));
        }
        if let Some(gather) = self.last.take_if(|gather| gather.segment().seq < last) {
            self.unread.insert(gather.segment().seq, Some(gather));
        }
        complete.retain(|seq| {
            !self.volumes.contains_key(seq) && !self.unread.contains_key(seq) && !self.given_up.contains(seq)
        });
        for seq in complete {
            match self.load(seq) {
                Ok(true) => {}
                Ok(false) => _ = self.unread.insert(seq, None),
                Err(error) => self.give_up(seq, error)?,
            }
        }
        self.listed_at = Some(last);
        Ok(())
    }

    /// Reads the head of a segment's index; `false` when it has none that is good.
    fn load(&mut self, seq: u64) -> Result<bool, ShelfError> {
        let header = match self.header(seq) {
            Ok((header, _)) => header,
            Err(ShelfError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let path = index_path(&self.dir, seq);
        match read_head(&path, &header) {
            Ok(Ok(index)) => {
                self.volumes.insert(seq, Volume { header, index: Known::Filed(index) });
                Ok(true)
            }
            Ok(Err(error)) => {
                tracing::warn!(event = "archive.index_damaged", file = %path.display(), %error, "it is made again");
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ShelfError::Io { path, source }),
        }
    }

    /// Makes the index of a segment that has none.
    fn index(&mut self, seq: u64) -> Result<(), ShelfError> {
        let begun = self.unread.remove(&seq).flatten();
        match self.gather(seq, begun) {
            Ok(gather) => self.file(seq, gather),
            // It was taken away meanwhile.
            Err(ShelfError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.give_up(seq, error)?,
        }
        Ok(())
    }

    /// Goes on without a segment that will not read at another time either: what is in it is not known, what is in others is.
    fn give_up(&mut self, seq: u64, error: ShelfError) -> Result<(), ShelfError> {
        let is_final = match &error {
            ShelfError::Io { source, .. } => {
                source.raw_os_error() == Some(libc::EIO) || source.kind() == io::ErrorKind::UnexpectedEof
            }
            _ => true,
        };
        if !is_final {
            self.listed_at = None;
            return Err(error);
        }
        self.complain(&error);
        self.given_up.insert(seq);
        Ok(())
    }

    /// Writes an index, or keeps it in memory until there is room for it.
    fn file(&mut self, seq: u64, gather: Gather) {
        self.indexes_built += 1;
        if gather.skipped() > 0 {
            let (count, dir) = (gather.skipped(), self.dir.display());
            tracing::warn!(event = "archive.damage", %dir, segment = seq, count, "a part of this segment cannot be read");
        }
        let header = *gather.segment();
        match write_index(&self.dir, seq, &gather.encode()).map(|()| self.load(seq)) {
            Ok(Ok(true)) => {}
            Ok(Err(error)) | Err(error) => {
                self.complain(&error);
                self.volumes.insert(seq, Volume { header, index: Known::InMemory(gather) });
            }
            Ok(Ok(false)) => {
                self.volumes.insert(seq, Volume { header, index: Known::InMemory(gather) });
            }
        }
    }

    /// Reads a complete segment, from where it was left off.
    fn gather(&self, seq: u64, begun: Option<Gather>) -> Result<Gather, ShelfError> {
        let (header, (path, file)) = self.header(seq)?;
        let mut gather = begun.unwrap_or_else(|| Gather::new(header));
        let end = self.config.layout.segment_bytes();
        read_on(&mut gather, &file, end).map_err(|source| ShelfError::Io { path, source })?;
        Ok(gather)
    }

    /// Reads on in the segment that is written to.
    fn read_last(&mut self, durable: Lsn) -> Result<(), ShelfError> {
        let seq = self.segment_of(durable);
        let end = durable.0 - self.config.layout.lsn(seq, 0).0;
        if end <= SEGMENT_HEADER_BYTES as u64 {
            return Ok(());
        }
        let (header, (path, file)) = self.header(seq)?;
        let last = self.last.get_or_insert_with(|| Gather::new(header));
        assert_eq!(last.segment().seq, seq, "the segments were listed since the log went on");
        read_on(last, &file, end).map_err(|source| ShelfError::Io { path, source })?;
        let found = last.offset();
        if found == end { Ok(()) } else { Err(ShelfError::Behind { seq, expected: end, found }) }
    }

    /// A segment's header, which says that it is what its name says; and its file.
    fn header(&self, seq: u64) -> Result<(Header, (PathBuf, File)), ShelfError> {
        let (path, file) = open(&self.dir, seq)?;
        let mut block = vec![0; SEGMENT_HEADER_BYTES];
        if let Err(source) = file.read_exact_at(&mut block, 0) {
            return Err(ShelfError::Io { path, source });
        }
        let LogConfig { identity, layout } = self.config;
        let is_ours =
            |header: &Header| (header.identity, header.layout, header.seq) == (identity, layout, seq);
        match Header::decode(&block).ok().filter(is_ours) {
            Some(header) => Ok((header, (path, file))),
            None => Err(ShelfError::OtherSegment { path, seq }),
        }
    }

    fn segment_of(&self, lsn: Lsn) -> u64 {
        lsn.0 / self.config.layout.segment_bytes()
    }
}

impl Volume {
    fn times(&self) -> Option<Times> {
        match &self.index {
            Known::Filed(index) => Some(index.times()),
            Known::InMemory(gather) => gather.times(),
        }
    }
}

#[cfg(test)]
mod tests;
