//! The slow side of a shard's log: listing, reading and preparing its segments.
//!
//! A segment is written full of zeros before it is used: after `fallocate` alone each sync would also commit metadata.
//! That happens under another name, `<seq>.seg.new`, so that a segment that exists is whole:
//!
//! ```text
//!   create .new ─▶ zeros in pieces ─▶ header ─▶ fdatasync ─▶ rename ─▶ sync of the directory
//!   rename an aged one to .new ───────▶
//! ```
//!
//! A segment that no start needs is *aged*: it is named `<seq>.aged`, which recovery does not look at, until it is used again or
//! removed.
//!
//! Files are direct where the file system allows it. Where it does not (some network and memory file systems), they are
//! buffered, and the log says so loudly: syncs are then as good as that file system's.

use std::fs::OpenOptions as StdOpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use glommio::GlommioError;
use glommio::io::{BufferedFile, DmaBuffer, DmaFile, OpenOptions};
use wire::time::WallMs;

use super::limits::{PREPARE_PIECE_BYTES, READ_PIECE_BYTES};
use crate::files::{LogError, aged_path, index_path, segment_path};

/// Direct IO wants whole blocks; this suits every device that we know.
const BLOCK_BYTES: usize = 4096;
const _: () =
    assert!(PREPARE_PIECE_BYTES.is_multiple_of(BLOCK_BYTES) && READ_PIECE_BYTES.is_multiple_of(BLOCK_BYTES));

/// An aged segment on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgedFile {
    /// Its number in the log.
    pub seq: u64,
    /// When it was last written to: the time of its last batch.
    pub written: WallMs,
}

/// A segment on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its number in the log.
    pub seq: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// One shard's log directory.
#[derive(Clone, Debug)]
pub struct LogDir {
    dir: PathBuf,
    segment_bytes: u64,
    direct: bool,
}

impl LogDir {
    /// Opens a log's directory, made if it is missing, and removes what an earlier start left half prepared.
    ///
    /// # Errors
    ///
    /// When a file operation fails.
    ///
    /// # Panics
    ///
    /// When a segment is not whole blocks: the configuration checks that.
    pub async fn open(dir: &Path, segment_bytes: u64) -> Result<Self, LogError> {
        let block = u64::try_from(BLOCK_BYTES).expect("a block is small");
        assert!(segment_bytes > 0 && segment_bytes.is_multiple_of(block), "a segment is whole blocks");
        std::fs::create_dir_all(dir)
            .map_err(|source| LogError::io(dir, "creating the log's directory", source))?;
        let direct = takes_direct(dir)?;
        let log_dir = Self { dir: dir.to_owned(), segment_bytes, direct };
        for entry in log_dir.entries()? {
            if entry.extension().is_some_and(|extension| extension == "new") {
                std::fs::remove_file(&entry).map_err(|source| LogError::io(&entry, "removing", source))?;
            }
        }
        if direct {
            // The executor probes a device with the first direct file that it opens there, by reading it.
            let path = log_dir.probe_path();
            let file = DmaFile::open(&path).await.map_err(failed(&path, "opening for direct IO"))?;
            file.close().await.map_err(failed(&path, "closing"))?;
        }
        Ok(log_dir)
    }

    /// Whether its files bypass the page cache.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The segments that exist, by number.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn segments(&self) -> Result<Vec<SegmentFile>, LogError> {
        segments_in(&self.dir)
    }

    /// The segments that are aged, by number.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn aged(&self) -> Result<Vec<AgedFile>, LogError> {
        let entries = self.entries()?;
        let numbers = entries.iter().filter_map(|path| numbered(path, ".aged"));
        let mut aged = numbers.map(|seq| self.aged_file(seq)).collect::<Result<Vec<_>, _>>()?;
        aged.sort_by_key(|segment| segment.seq);
        Ok(aged)
    }

    fn aged_file(&self, seq: u64) -> Result<AgedFile, LogError> {
        let path = aged_path(&self.dir, seq);
        let modified = path.metadata().and_then(|meta| meta.modified());
        let modified = modified.map_err(|source| LogError::io(&path, "asking for its time", source))?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(AgedFile { seq, written: WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)) })
    }

    /// Makes a segment an aged one, durably: a start does not read it from here on. In the order of their numbers, since a
    /// start expects no gap.
    ///
    /// # Errors
    ///
    /// When a file operation fails.
    pub async fn retire(&self, seq: u64) -> Result<AgedFile, LogError> {
        let path = segment_path(&self.dir, seq);
        std::fs::rename(&path, aged_path(&self.dir, seq))
            .map_err(|source| LogError::io(&path, "renaming", source))?;
        sync_dir(&self.dir).await?;
        self.aged_file(seq)
    }

    /// All bytes of a segment.
    ///
    /// # Errors
    ///
    /// When a read fails, and when the segment's size is not the configured one.
    ///
    /// # Panics
    ///
    /// When a segment does not fit into the address space.
    pub async fn read(&self, seq: u64) -> Result<Vec<u8>, LogError> {
        let path = segment_path(&self.dir, seq);
        let file = File::open(&path, self.direct).await.map_err(failed(&path, "opening"))?;
        let found = file.size().await.map_err(failed(&path, "asking for its size"))?;
        if found != self.segment_bytes {
            return Err(LogError::Size { file: path, found, expected: self.segment_bytes });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found).expect("a segment fits into memory"));
        loop {
            let at = u64::try_from(bytes.len()).expect("a length fits");
            if at == found {
                break;
            }
            let error = |source: GlommioError<()>| LogError::Io {
                file: path.clone(),
                offset: at,
                what: "read",
                source: source.into(),
            };
            let before = bytes.len();
            file.read(at, &mut bytes).await.map_err(error)?;
            if bytes.len() == before {
                let source = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(LogError::Io { file: path, offset: at, what: "read", source });
            }
        }
        file.close().await.map_err(failed(&path, "closing"))?;
        Ok(bytes)
    }

    /// Makes a segment out of the file of an aged one, durably: it gets another name and `header`. What
    /// lies behind it is of other places in the log, and is written over.
    ///
    /// # Errors
    ///
    /// When a file operation fails.
    ///
    /// # Panics
    ///
    /// When the header is longer than a block.
    pub async fn recycle(&self, old: u64, seq: u64, header: &[u8]) -> Result<(), LogError> {
        assert!(header.len() <= BLOCK_BYTES, "a segment's header is one block");
        let index = index_path(&self.dir, old);
        let (old, path) = (aged_path(&self.dir, old), segment_path(&self.dir, seq));
        let new = path.with_extension("seg.new");
        std::fs::rename(&old, &new).map_err(|source| LogError::io(&old, "renaming", source))?;
        remove_part(&index);
        let headed = self.head(&new, &path, header).await;
        headed.inspect_err(|_| remove_part(&new))
    }

    async fn head(&self, new: &Path, path: &Path, header: &[u8]) -> Result<(), LogError> {
        let file = File::open_to_write(new, self.direct).await.map_err(failed(new, "opening"))?;
        file.write(&file.piece(BLOCK_BYTES, header), 0).await.map_err(at(new, 0))?;
        file.sync().await.map_err(failed(new, "fdatasync"))?;
        file.close().await.map_err(failed(new, "closing"))?;
        std::fs::rename(new, path).map_err(|source| LogError::io(new, "renaming", source))?;
        sync_dir(&self.dir).await
    }

    /// Makes a segment that is full of zeros behind `header`, durably. One that exists is replaced.
    ///
    /// # Errors
    ///
    /// When a file operation fails. What was written is removed then, which makes room again on a full disk.
    ///
    /// # Panics
    ///
    /// When the header is longer than a block.
    pub async fn prepare(&self, seq: u64, header: &[u8]) -> Result<(), LogError> {
        assert!(header.len() <= BLOCK_BYTES, "a segment's header is one block");
        let path = segment_path(&self.dir, seq);
        let new = path.with_extension("seg.new");
        let filled = self.fill(&new).await;
        let headed = if filled.is_ok() { self.head(&new, &path, header).await } else { filled };
        headed.inspect_err(|_| remove_part(&new))
    }

    /// A file of zeros.
    async fn fill(&self, new: &Path) -> Result<(), LogError> {
        let file = File::create(new, self.direct).await.map_err(failed(new, "creating"))?;
        let piece = u64::try_from(PREPARE_PIECE_BYTES).expect("a piece is small");
        let whole = self.segment_bytes - self.segment_bytes % piece;
        let zeros = file.piece(PREPARE_PIECE_BYTES, &[]);
        let mut offset = 0;
        while offset < whole {
            file.write(&zeros, offset).await.map_err(at(new, offset))?;
            offset += piece;
        }
        let rest = usize::try_from(self.segment_bytes - whole).expect("less than a piece");
        if rest > 0 {
            file.write(&file.piece(rest, &[]), whole).await.map_err(at(new, whole))?;
        }
        file.close().await.map_err(failed(new, "closing"))
    }

    /// Removes an aged segment, durably.
    ///
    /// # Errors
    ///
    /// When a file operation fails.
    pub async fn remove(&self, seq: u64) -> Result<(), LogError> {
        let path = aged_path(&self.dir, seq);
        std::fs::remove_file(&path).map_err(|source| LogError::io(&path, "removing", source))?;
        remove_part(&index_path(&self.dir, seq));
        sync_dir(&self.dir).await
    }

    fn entries(&self) -> Result<Vec<PathBuf>, LogError> {
        entries_of(&self.dir)
    }

    fn probe_path(&self) -> PathBuf {
        probe_path(&self.dir)
    }
}

/// The segments that exist in a log's directory, by number.
pub(crate) fn segments_in(dir: &Path) -> Result<Vec<SegmentFile>, LogError> {
    let mut segments = Vec::new();
    for path in entries_of(dir)? {
        if let Some(seq) = segment_seq(&path) {
            let meta =
                path.metadata().map_err(|source| LogError::io(&path, "asking for its size", source))?;
            segments.push(SegmentFile { seq, bytes: meta.len() });
        }
    }
    segments.sort_by_key(|segment| segment.seq);
    Ok(segments)
}

fn entries_of(dir: &Path) -> Result<Vec<PathBuf>, LogError> {
    let unreadable = |source| LogError::io(dir, "listing", source);
    let entries = std::fs::read_dir(dir).map_err(unreadable)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect()
}

/// Removes what could not be written whole, or is of no use any more; what stays takes room, and nothing else.
fn remove_part(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(event = "log.part_left", file = %path.display(), %error);
    }
}

/// Makes the names in a directory durable.
pub(super) async fn sync_dir(dir: &Path) -> Result<(), LogError> {
    let what = "syncing the directory";
    // A `Directory` of the executor is opened as a path alone, which cannot be synced.
    let file = OpenOptions::new().read(true).buffered_open(dir).await.map_err(failed(dir, what))?;
    file.fdatasync().await.map_err(failed(dir, what))?;
    file.close().await.map_err(failed(dir, what))
}

fn probe_path(dir: &Path) -> PathBuf {
    dir.join("direct-io-probe")
}

/// Whether the directory's file system takes direct IO. Leaves a file of one block there.
fn takes_direct(dir: &Path) -> Result<bool, LogError> {
    let path = probe_path(dir);
    std::fs::write(&path, [0; BLOCK_BYTES]).map_err(|source| LogError::io(&path, "writing", source))?;
    match StdOpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path) {
        Ok(_) if !is_memory(dir) => Ok(true),
        Err(source) if source.raw_os_error() != Some(libc::EINVAL) => {
            Err(LogError::io(&path, "opening for direct IO", source))
        }
        _ => {
            tracing::warn!(
                event = "log.not_direct",
                dir = %dir.display(),
                "this file system has no direct IO: the log goes through the page cache, and is only as durable as \
                 this file system's fdatasync; use a local disk for anything that matters"
            );
            Ok(false)
        }
    }
}

/// glommio opens files in memory without direct IO, whatever the kernel would allow; mixing both would not be coherent.
fn is_memory(dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else { return false };
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let over = fields.filter(|fields| fields.len() > 2 && dir.starts_with(fields[1]));
    over.max_by_key(|fields| fields[1].len()).is_some_and(|fields| matches!(fields[2], "tmpfs" | "ramfs"))
}

/// The number of a segment's file; `None` for any other.
pub(crate) fn segment_seq(path: &Path) -> Option<u64> {
    numbered(path, ".seg")
}

/// The number of a file of a log's directory whose name ends like this; `None` for any other.
pub(crate) fn numbered(path: &Path, ending: &str) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(ending)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

pub(super) fn failed<'a>(path: &'a Path, what: &'static str) -> impl Fn(GlommioError<()>) -> LogError + 'a {
    move |source| LogError::io(path, what, source.into())
}

pub(super) fn at(path: &Path, offset: u64) -> impl Fn(GlommioError<()>) -> LogError + '_ {
    move |source| LogError::Io { file: path.to_owned(), offset, what: "write", source: source.into() }
}

/// A file of either kind.
#[derive(Debug)]
pub(super) enum File {
    Direct(DmaFile),
    Buffered(BufferedFile),
}

/// What is written: memory that the kind of file wants.
pub(super) enum PieceOf {
    Direct(Rc<DmaBuffer>),
    Buffered(Vec<u8>),
}

type Glommio<T> = Result<T, GlommioError<()>>;

impl File {
    async fn open(path: &Path, direct: bool) -> Glommio<Self> {
        Ok(if direct {
            Self::Direct(DmaFile::open(path).await?)
        } else {
            Self::Buffered(BufferedFile::open(path).await?)
        })
    }

    pub(super) async fn create(path: &Path, direct: bool) -> Glommio<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Self::open_with(&options, path, direct).await
    }

    async fn open_to_write(path: &Path, direct: bool) -> Glommio<Self> {
        let mut options = OpenOptions::new();
        options.write(true);
        Self::open_with(&options, path, direct).await
    }

    async fn open_with(options: &OpenOptions, path: &Path, direct: bool) -> Glommio<Self> {
        Ok(if direct {
            Self::Direct(options.dma_open(path).await?)
        } else {
            Self::Buffered(options.buffered_open(path).await?)
        })
    }

    async fn size(&self) -> Glommio<u64> {
        match self {
            Self::Direct(file) => file.file_size().await,
            Self::Buffered(file) => file.file_size().await,
        }
    }

    /// Appends the next bytes of the file to `into`.
    async fn read(&self, at: u64, into: &mut Vec<u8>) -> Glommio<()> {
        let read = match self {
            Self::Direct(file) => file.read_at_aligned(at, READ_PIECE_BYTES).await?,
            Self::Buffered(file) => file.read_at(at, READ_PIECE_BYTES).await?,
        };
        into.extend_from_slice(&read);
        Ok(())
    }

    /// Memory of `len` bytes that begins with `bytes` and goes on with zeros.
    pub(super) fn piece(&self, len: usize, bytes: &[u8]) -> PieceOf {
        let fill = |memory: &mut [u8]| {
            memory.fill(0);
            memory[..bytes.len()].copy_from_slice(bytes);
        };
        match self {
            Self::Direct(file) => {
                let mut memory = file.alloc_dma_buffer(len);
                fill(memory.as_bytes_mut());
                PieceOf::Direct(Rc::new(memory))
            }
            Self::Buffered(_) => {
                let mut memory = vec![0; len];
                fill(&mut memory);
                PieceOf::Buffered(memory)
            }
        }
    }

    pub(super) async fn write(&self, piece: &PieceOf, offset: u64) -> Glommio<()> {
        let (written, wanted) = match (self, piece) {
            (Self::Direct(file), PieceOf::Direct(memory)) => {
                (file.write_rc_at(Rc::clone(memory), offset).await?, memory.len())
            }
            (Self::Buffered(file), PieceOf::Buffered(memory)) => {
                (file.write_at(memory.clone(), offset).await?, memory.len())
            }
            _ => unreachable!("a piece is made by the file that it is written to"),
        };
        if written == wanted { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ENOSPC).into()) }
    }

    pub(super) async fn sync(&self) -> Glommio<()> {
        match self {
            Self::Direct(file) => file.fdatasync().await,
            Self::Buffered(file) => file.fdatasync().await,
        }
    }

    pub(super) async fn close(self) -> Glommio<()> {
        match self {
            Self::Direct(file) => file.close().await,
            Self::Buffered(file) => file.close().await,
        }
    }
}
