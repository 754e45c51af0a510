//! The files of a shard's log as the archive reads them, and the indexes that it writes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use wal::index::{Gather, Index, IndexError};
use wal::limits::BLOCK_BYTES;
use wal::segment::Header;

use crate::files::{aged_path, index_path, segment_path};

use super::super::super::limits::ARCHIVE_PIECE_BYTES;
use super::ShelfError;

/// A segment's file, under the one name or the other: it is aged at any time.
pub(super) fn open(dir: &Path, seq: u64) -> Result<(PathBuf, File), ShelfError> {
    let mut path = segment_path(dir, seq);
    let mut file = File::open(&path);
    if file.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        path = aged_path(dir, seq);
        file = File::open(&path);
    }
    match file {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(ShelfError::Io { path, source }),
    }
}

/// Reads on up to `end`, a piece at a time. A piece without a whole batch is the end of what was written, or damage larger than
/// a piece: then the rest is looked at as a whole, for batches behind it.
pub(super) fn read_on(gather: &mut Gather, file: &File, end: u64) -> io::Result<()> {
    let (mut bytes, mut piece_bytes) = (Vec::new(), ARCHIVE_PIECE_BYTES);
    loop {
        let offset = gather.offset();
        let left = usize::try_from(end.saturating_sub(offset)).expect("a segment fits into memory");
        bytes.resize(left.min(piece_bytes), 0);
        file.read_exact_at(&mut bytes, offset)?;
        gather.read(&bytes);
        if gather.offset() == offset {
            if left <= piece_bytes {
                return Ok(());
            }
            piece_bytes = left;
        }
    }
}

/// Reads the head of an index, whole; an error of the second kind says why it is none of this segment.
pub(super) fn read_head(path: &Path, header: &Header) -> io::Result<Result<Index, IndexError>> {
    let file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let read = |bytes: usize| {
        let mut head = vec![0; bytes.min(usize::try_from(file_bytes).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut head, 0).map(|()| head)
    };
    let head_bytes = match Index::head_bytes(&read(BLOCK_BYTES)?) {
        Ok(head_bytes) => head_bytes,
        Err(error) => return Ok(Err(error)),
    };
    let index = Index::decode(&read(head_bytes)?, header);
    Ok(index.and_then(|index| {
        let is_whole = index.file_bytes() == file_bytes;
        if is_whole { Ok(index) } else { Err(IndexError::Damaged("a file as long as its head says")) }
    }))
}

/// Under another name first, so that an index that has its name was written whole. It is not synced: one that a power cut left
/// incomplete does not read, and is made again.
pub(super) fn write_index(dir: &Path, seq: u64, bytes: &[u8]) -> Result<(), ShelfError> {
    let path = index_path(dir, seq);
    let new = path.with_extension("idx.new");
    let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, &path));
    written.map_err(|source| {
        let _ = fs::remove_file(&new);
        ShelfError::Io { path: new, source }
    })
}
