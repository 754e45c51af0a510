//! Frames: what lies in a batch. Entries, which travel, and what belongs to this disk alone.
//!
//! ```text
//! | bytes u32 (after this header) | kind u8 | version u8 | reserved u16 | ... |
//! ```

use wire::id::{NodeId, Partition, ShardId};
use wire::time::WallMs;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::entry::{ENTRY_HEADER_BYTES, Entry, EntryError};

/// The bytes of a frame before what it holds.
pub const FRAME_HEADER_BYTES: usize = size_of::<RawFrame>();

/// What an entry without records takes in a batch.
pub const ENTRY_FRAME_BYTES: usize = FRAME_HEADER_BYTES + ENTRY_HEADER_BYTES;

/// What a hard state takes in a batch.
pub const HARD_STATE_FRAME_BYTES: usize = FRAME_HEADER_BYTES + size_of::<RawHardState>();

/// What a start takes in a batch.
pub const START_FRAME_BYTES: usize = FRAME_HEADER_BYTES + size_of::<RawStart>();

const VERSION: u8 = 1;
const KIND_ENTRY: u8 = 1;
const KIND_HARD_STATE: u8 = 2;
const KIND_START: u8 = 3;

/// What a partition's group must remember over a crash (Raft §5.2): without it a node could vote twice in a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardState {
    /// Whose group.
    pub partition: Partition,
    /// The latest term that the node has seen.
    pub term: u64,
    /// For whom it voted in that term, by Raft id; 0 is nobody.
    pub vote: u64,
    /// The last index that it knows to be committed.
    pub commit: u64,
}

/// A start of the process that writes the log. It is the first batch of each start, so that whatever the start before
/// had synced has a valid batch behind it: a rotten last batch is then damage, and no longer looks like a torn tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The node.
    pub node: NodeId,
    /// The shard.
    pub shard: ShardId,
    /// The number of the process, another one for each start; attempts carry it.
    pub process: u64,
    /// When it started.
    pub wall: WallMs,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Entry(Entry<'a>),
    HardState(HardState),
    Start(Start),
}

/// Why bytes are not a frame. In a batch whose checksum fits, only the first can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    Unknown { kind: u8, version: u8 },
    Malformed(&'static str),
    Entry(EntryError),
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawFrame {
    bytes: U32,
    kind: u8,
    version: u8,
    reserved: U16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawHardState {
    partition: U16,
    reserved: [u8; 6],
    term: U64,
    vote: U64,
    commit: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawStart {
    node: U32,
    shard: U16,
    reserved: U16,
    process: U64,
    wall_ms: U64,
}

const _: () = assert!(FRAME_HEADER_BYTES == 8 && HARD_STATE_FRAME_BYTES == 40 && START_FRAME_BYTES == 32);

impl Frame<'_> {
    /// How many bytes the frame takes.
    pub(crate) const fn bytes_len(&self) -> usize {
        match self {
            Self::Entry(entry) => FRAME_HEADER_BYTES + entry.bytes_len(),
            Self::HardState(_) => HARD_STATE_FRAME_BYTES,
            Self::Start(_) => START_FRAME_BYTES,
        }
    }

    /// Writes the frame to `out`, which is exactly its room.
    pub(crate) fn encode_into(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.bytes_len(), "a frame is written into exactly its own room");
        let (head, body) = out.split_at_mut(FRAME_HEADER_BYTES);
        let kind = match self {
            Self::Entry(entry) => {
                entry.encode_into(body);
                KIND_ENTRY
            }
            Self::HardState(state) => {
                let raw = RawHardState {
                    partition: U16::new(state.partition.0),
                    reserved: [0; 6],
                    term: U64::new(state.term),
                    vote: U64::new(state.vote),
                    commit: U64::new(state.commit),
                };
                body.copy_from_slice(raw.as_bytes());
                KIND_HARD_STATE
            }
            Self::Start(start) => {
                let raw = RawStart {
                    node: U32::new(start.node.0),
                    shard: U16::new(start.shard.0),
                    reserved: U16::ZERO,
                    process: U64::new(start.process),
                    wall_ms: U64::new(start.wall.0),
                };
                body.copy_from_slice(raw.as_bytes());
                KIND_START
            }
        };
        let bytes = U32::new(u32::try_from(body.len()).expect("a batch is far smaller than 4 GiB"));
        head.copy_from_slice(RawFrame { bytes, kind, version: VERSION, reserved: U16::ZERO }.as_bytes());
    }
}

/// Reads the frame at the start of `bytes`; returns it with what follows.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), FrameError> {
    let (raw, rest) =
        RawFrame::ref_from_prefix(bytes).map_err(|_| FrameError::Malformed("a frame's header"))?;
    let len = raw.bytes.get() as usize;
    if len > rest.len() {
        return Err(FrameError::Malformed("a frame that ends within its batch"));
    }
    let (body, rest) = rest.split_at(len);
    let frame = match (raw.kind, raw.version) {
        (KIND_ENTRY, VERSION) => {
            let entry = Entry::decode(body).map_err(FrameError::Entry)?;
            if entry.bytes_len() != body.len() {
                return Err(FrameError::Malformed("an entry that fills its frame"));
            }
            Frame::Entry(entry)
        }
        (KIND_HARD_STATE, VERSION) => {
            let raw =
                RawHardState::ref_from_bytes(body).map_err(|_| FrameError::Malformed("a hard state"))?;
            Frame::HardState(HardState {
                partition: Partition(raw.partition.get()),
                term: raw.term.get(),
                vote: raw.vote.get(),
                commit: raw.commit.get(),
            })
        }
        (KIND_START, VERSION) => {
            let raw = RawStart::ref_from_bytes(body).map_err(|_| FrameError::Malformed("a start"))?;
            Frame::Start(Start {
                node: NodeId(raw.node.get()),
                shard: ShardId(raw.shard.get()),
                process: raw.process.get(),
                wall: WallMs(raw.wall_ms.get()),
            })
        }
        (kind, version) => return Err(FrameError::Unknown { kind, version }),
    };
    Ok((frame, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_as_they_were_written() {
        let frames = [
            Frame::HardState(HardState { partition: Partition(3), term: 4, vote: 5, commit: 6 }),
            Frame::Start(Start { node: NodeId(7), shard: ShardId(8), process: 9, wall: WallMs(10) }),
            Frame::Entry(Entry::of_records(Partition(11), 12, 13, &[]).unwrap()),
        ];
        for frame in frames {
            let mut bytes = vec![0; frame.bytes_len()];
            frame.encode_into(&mut bytes);
            bytes.push(77);
            assert_eq!(decode(&bytes), Ok((frame, &[77][..])));
            bytes[4] = 99;
            assert_eq!(decode(&bytes), Err(FrameError::Unknown { kind: 99, version: VERSION }));
        }
        assert!(matches!(decode(&[0; 7]), Err(FrameError::Malformed(_))));
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok((frame, rest)) = decode(bytes) {
                assert_eq!(frame.bytes_len() + rest.len(), bytes.len());
            }
        });
    }
}
