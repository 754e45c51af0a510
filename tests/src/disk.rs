//! A disk of one shard: segments as they are after a power cut, and the one write that is under way.
//!
//! The log is written with direct IO, so what was synced is there and what was not may be there in part: any prefix of
//! the write, or any of its sectors. A disk that *lies* says that it synced and did not; the judge must notice.

use std::collections::BTreeMap;

use shards::SnapshotPiece;
use wal::Lsn;
use wire::id::Partition;

use crate::dice::Dice;

/// What a disk writes as one: a sector is written or not.
const SECTOR_BYTES: usize = 512;

/// One shard's disk. It outlives the process.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// What a power cut leaves.
    segments: BTreeMap<u64, Vec<u8>>,
    /// Segments that the node has released. Only the judge still reads them.
    released: BTreeMap<u64, Vec<u8>>,
    /// Snapshots that have their name, by partition.
    snapshots: BTreeMap<Partition, Vec<u8>>,
    /// A snapshot that is being written, and whether its last piece is.
    writing: Option<(Partition, Vec<u8>, bool)>,
    /// Written and not synced.
    pending: Option<Pending>,
    /// A segment that is being prepared.
    preparing: Option<(u64, Vec<u8>)>,
    /// Synced as it said, and lost with the power: only on a disk that lies.
    lied: Vec<Pending>,
    /// Up to where it said that the log is durable.
    pub(crate) durable: Lsn,
}

#[derive(Debug)]
struct Pending {
    segment: u64,
    offset: usize,
    bytes: Vec<u8>,
    end: Lsn,
}

/// Whether a disk does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honesty {
    Honest,
    Lies,
}

/// How much a crash leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process is gone, the kernel finishes what it was given.
    Process,
    /// The power is gone.
    Power,
}

impl Disk {
    pub(crate) fn write(&mut self, segment: u64, offset: u64, bytes: &[u8], end: Lsn) {
        assert!(self.pending.is_none(), "one write is in flight at a time");
        let offset = usize::try_from(offset).expect("segments are small");
        self.pending = Some(Pending { segment, offset, bytes: bytes.to_vec(), end });
    }

    /// The write and its sync are over.
    pub(crate) fn sync(&mut self, honesty: Honesty) -> Lsn {
        let pending = self.pending.take().expect("a write is in flight");
        self.durable = pending.end;
        match honesty {
            Honesty::Honest => self.put(&pending, |_| true),
            Honesty::Lies => self.lied.push(pending),
        }
        self.durable
    }

    /// A file of zeros, or that of a released segment.
    pub(crate) fn prepare(&mut self, seq: u64, header: &[u8], segment_bytes: u64, again: bool) {
        let released = self.released.last_key_value().filter(|_| again).map(|(_, file)| file.clone());
        let mut file = released.unwrap_or_default();
        file.resize(usize::try_from(segment_bytes).expect("segments are small"), 0);
        file[..header.len()].copy_from_slice(header);
        self.preparing = Some((seq, file));
    }

    /// No room for the segment that is being prepared.
    pub(crate) fn give_up_segment(&mut self) {
        self.preparing = None;
    }

    /// The node needs no segment before this one; says how many are released.
    pub(crate) fn release(&mut self, first_needed: u64) -> u64 {
        let kept = self.segments.split_off(&first_needed);
        let mut gone = std::mem::replace(&mut self.segments, kept);
        let count = gone.len() as u64;
        self.released.append(&mut gone);
        count
    }

    /// A piece of a snapshot is written behind the one before it.
    pub(crate) fn write_snapshot(&mut self, piece: SnapshotPiece) {
        if piece.is_first {
            self.writing = Some((piece.partition, Vec::new(), false));
        }
        let (partition, bytes, is_whole) = self.writing.as_mut().expect("a first piece begins it");
        assert!(*partition == piece.partition && !*is_whole, "one snapshot is written at a time");
        bytes.extend(piece.bytes);
        *is_whole = piece.is_last;
    }

    /// The snapshot that was written is synced and gets its name.
    pub(crate) fn publish(&mut self) {
        let whole = self.writing.take().filter(|(_, _, is_whole)| *is_whole);
        let (partition, bytes, _) = whole.expect("its last piece was written");
        self.snapshots.insert(partition, bytes);
    }

    /// No room for the snapshot that is being written.
    pub(crate) fn give_up_snapshot(&mut self) {
        self.writing = None;
    }

    pub(crate) fn prepared(&mut self) -> Option<u64> {
        let (seq, file) = self.preparing.take()?;
        self.segments.insert(seq, file);
        Some(seq)
    }

    /// Nobody writes any more; what was under way is there in part.
    pub(crate) fn crash(&mut self, crash: Crash, dice: &mut Dice) {
        if dice.chance(500) {
            self.prepared();
        }
        self.preparing = None;
        if self.writing.as_ref().is_some_and(|(_, _, is_whole)| *is_whole) && dice.chance(500) {
            self.publish();
        }
        self.writing = None;
        let lied = std::mem::take(&mut self.lied);
        if crash == Crash::Process {
            lied.iter().for_each(|write| self.put(write, |_| true));
        }
        let Some(pending) = self.pending.take() else { return };
        let sectors = pending.bytes.len() / SECTOR_BYTES;
        match dice.below(4) {
            0 => self.put(&pending, |_| true),
            1 => {}
            2 => {
                let kept = dice.index(sectors + 1);
                self.put(&pending, |sector| sector < kept);
            }
            _ => {
                let mut own = dice.clone();
                self.put(&pending, |_| own.chance(500));
                dice.next();
            }
        }
    }

    fn put(&mut self, write: &Pending, mut keeps: impl FnMut(usize) -> bool) {
        let file = self.segments.get_mut(&write.segment).or_else(|| self.released.get_mut(&write.segment));
        let file = file.expect("a segment is prepared before it is written");
        for (sector, bytes) in write.bytes.chunks(SECTOR_BYTES).enumerate() {
            if keeps(sector) {
                let at = write.offset + sector * SECTOR_BYTES;
                file[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    /// The snapshots, as a process that starts finds them.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = (Partition, &[u8])> {
        self.snapshots.iter().map(|(partition, bytes)| (*partition, bytes.as_slice()))
    }

    /// All segments that there ever were, in their order.
    pub(crate) fn history(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.released.iter().map(|(seq, bytes)| (*seq, bytes.as_slice())).chain(self.segments())
    }

    /// The segments in their order, as a process that starts finds them.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.segments.iter().map(|(seq, bytes)| (*seq, bytes.as_slice()))
    }
}
