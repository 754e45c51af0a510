//! Messages of groups as bytes: one frame each, in our own format, with the entries as they lie on disk.
//!
//! ```text
//!   crc32c · bytes · partition · kind · version · from · to · six numbers · counts · reject     88 bytes, fixed
//!   context                                                                                     what a vote or a heartbeat carries along
//!   entry, entry, …                                                                             each under its own checksum
//! ```
//!
//! The checksum of the frame covers what is not an entry. No protobuf crosses: the library's parser never sees foreign bytes.
//! Proposals have no kind, so that none can come. A kind or version that is not known here is refused by name.

use bytes::Bytes;
use raft::eraftpb::{self, EntryType, MessageType};
use wal::entry::ENTRY_HEADER_BYTES;
use wal::{EntryError, EntryKind};
use wire::id::{NodeId, Partition};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::config::raft_id;
use crate::limits::{CONTEXT_BYTES_MAX, ENTRIES_PER_MESSAGE_MAX};
use crate::members::Change;
use crate::message::Message;

/// The version of a frame.
const VERSION: u8 = 1;

/// The bytes of a frame before its context and entries.
pub const MESSAGE_HEADER_BYTES: usize = size_of::<Raw>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Raw {
    crc32c: U32,
    /// Of the whole frame.
    bytes: U32,
    partition: U16,
    kind: u8,
    version: u8,
    from: U32,
    to: U32,
    term: U64,
    log_term: U64,
    index: U64,
    commit: U64,
    commit_term: U64,
    reject_hint: U64,
    request_snapshot: U64,
    entries_count: U32,
    context_bytes: U16,
    reject: u8,
    reserved: u8,
    reserved_2: U32,
}

const _: () = assert!(MESSAGE_HEADER_BYTES == 88);

/// Kinds of messages, with the numbers that they have in a frame. Those that stay in a node have none.
const KINDS: [(MessageType, u8); 12] = [
    (MessageType::MsgAppend, 1),
    (MessageType::MsgAppendResponse, 2),
    (MessageType::MsgRequestVote, 3),
    (MessageType::MsgRequestVoteResponse, 4),
    (MessageType::MsgHeartbeat, 5),
    (MessageType::MsgHeartbeatResponse, 6),
    (MessageType::MsgTimeoutNow, 7),
    (MessageType::MsgReadIndex, 8),
    (MessageType::MsgReadIndexResp, 9),
    (MessageType::MsgRequestPreVote, 10),
    (MessageType::MsgRequestPreVoteResponse, 11),
    (MessageType::MsgTransferLeader, 12),
];

/// Why bytes are not a message. The connection that brought them is not to be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes are not as many as a frame says, or its parts do not fill it.
    #[error("a frame of {found} bytes whose parts take {expected}")]
    Length {
        /// What it should have.
        expected: usize,
        /// What it has.
        found: usize,
    },
    /// The checksum does not fit.
    #[error("a frame with checksum {expected:#010x} whose bytes have {found:#010x}")]
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
    /// A kind or version that this program does not know; whoever wrote it is newer.
    #[error("a message of kind {kind}, version {version}: this program is older than the one that wrote it")]
    Unknown {
        /// The kind.
        kind: u8,
        /// The version.
        version: u8,
    },
    /// An entry in it is not one.
    #[error("entry {number} of a message: {error}")]
    Entry {
        /// Which, from 0.
        number: u32,
        /// What is wrong.
        error: EntryError,
    },
    /// An entry in it is a change of members that means nothing here.
    #[error("entry {number} of a message is a change of members that means nothing here")]
    Change {
        /// Which, from 0.
        number: u32,
    },
    /// An entry in it is of another partition, or its place is none.
    #[error("entry {number} of a message is not one of partition {partition}", partition = .partition.0)]
    Foreign {
        /// Which, from 0.
        number: u32,
        /// Whose message it is.
        partition: Partition,
    },
}

impl Message {
    /// Appends the message of a partition's group as one frame.
    pub fn encode(&self, partition: Partition, out: &mut Vec<u8>) {
        let message = &self.0;
        let start = out.len();
        let kind = KINDS.iter().find(|(kind, _)| *kind == message.get_msg_type());
        let (_, kind) =
            kind.expect("the library sends only kinds that cross: the others are stepped locally");
        out.resize(start + MESSAGE_HEADER_BYTES, 0);
        out.extend_from_slice(&message.context);
        let covered_until = out.len();
        for entry in &message.entries {
            let entry = to_wal(partition, entry);
            let at = out.len();
            out.resize(at + entry.bytes_len(), 0);
            entry.encode_into(&mut out[at..]);
        }
        let count = |number: usize| u32::try_from(number).expect("a message is bounded");
        let raw = Raw {
            crc32c: U32::ZERO,
            bytes: U32::new(count(out.len() - start)),
            partition: U16::new(partition.0),
            kind: *kind,
            version: VERSION,
            from: U32::new(self.from().0),
            to: U32::new(self.to().0),
            term: U64::new(message.term),
            log_term: U64::new(message.log_term),
            index: U64::new(message.index),
            commit: U64::new(message.commit),
            commit_term: U64::new(message.commit_term),
            reject_hint: U64::new(message.reject_hint),
            request_snapshot: U64::new(message.request_snapshot),
            entries_count: U32::new(count(message.entries.len())),
            context_bytes: U16::new(u16::try_from(message.context.len()).expect("a context is short")),
            reject: u8::from(message.reject),
            reserved: 0,
            reserved_2: U32::ZERO,
        };
        out[start..start + MESSAGE_HEADER_BYTES].copy_from_slice(raw.as_bytes());
        let crc = wal::crc32c(&out[start + 4..covered_until]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// How many bytes the frame takes that begins here; `None` when too few are there to say.
    pub(crate) fn bytes_of(bytes: &[u8]) -> Option<usize> {
        let (raw, _) = Raw::ref_from_prefix(bytes).ok()?;
        Some((raw.bytes.get() as usize).max(MESSAGE_HEADER_BYTES))
    }

    /// Reads one frame, whole. Its entries keep the frame's bytes: nothing is copied.
    ///
    /// # Errors
    /// Says what was expected and what was found.
    pub fn decode(bytes: &Bytes) -> Result<(Partition, Self), FrameError> {
        let length = |expected| FrameError::Length { expected, found: bytes.len() };
        let (raw, rest) = Raw::ref_from_prefix(bytes).map_err(|_| length(MESSAGE_HEADER_BYTES))?;
        let context_bytes = usize::from(raw.context_bytes.get());
        if raw.bytes.get() as usize != bytes.len() || context_bytes > CONTEXT_BYTES_MAX {
            return Err(length(raw.bytes.get() as usize));
        }
        let Some((context, mut rest)) = rest.split_at_checked(context_bytes) else {
            return Err(length(MESSAGE_HEADER_BYTES + context_bytes));
        };
        let found = wal::crc32c(&bytes[4..MESSAGE_HEADER_BYTES + context_bytes]);
        if raw.crc32c.get() != found {
            return Err(FrameError::Checksum { expected: raw.crc32c.get(), found });
        }
        let kind = KINDS.iter().find(|(_, number)| *number == raw.kind && raw.version == VERSION);
        let (kind, _) = kind.ok_or(FrameError::Unknown { kind: raw.kind, version: raw.version })?;
        let partition = Partition(raw.partition.get());
        let mut message = raw.to_raft(*kind);
        message.context = bytes.slice_ref(context);
        if u64::from(raw.entries_count.get()) > ENTRIES_PER_MESSAGE_MAX {
            return Err(length(raw.entries_count.get() as usize * ENTRY_HEADER_BYTES));
        }
        for number in 0..raw.entries_count.get() {
            let entry = wal::Entry::decode(rest).map_err(|error| FrameError::Entry { number, error })?;
            if entry.partition != partition || entry.index == 0 || entry.term == 0 {
                return Err(FrameError::Foreign { number, partition });
            }
            rest = &rest[entry.bytes_len()..];
            let read = from_wal(&entry, bytes.slice_ref(entry.payload));
            message.entries.push(read.ok_or(FrameError::Change { number })?);
        }
        if !rest.is_empty() {
            return Err(length(bytes.len() - rest.len()));
        }
        Ok((partition, Self(message)))
    }
}

impl Raw {
    fn to_raft(self, kind: MessageType) -> eraftpb::Message {
        let mut message = eraftpb::Message::default();
        message.set_msg_type(kind);
        message.from = raft_id(NodeId(self.from.get()));
        message.to = raft_id(NodeId(self.to.get()));
        message.term = self.term.get();
        message.log_term = self.log_term.get();
        message.index = self.index.get();
        message.commit = self.commit.get();
        message.commit_term = self.commit_term.get();
        message.reject_hint = self.reject_hint.get();
        message.request_snapshot = self.request_snapshot.get();
        message.reject = self.reject != 0;
        message
    }
}

/// An entry of the library as the log and the wire have it.
pub(crate) fn to_wal(partition: Partition, entry: &eraftpb::Entry) -> wal::Entry<'_> {
    let (term, index) = (entry.term, entry.index);
    let kind = match entry.get_entry_type() {
        EntryType::EntryNormal => {
            return wal::Entry::of_records(partition, term, index, &entry.data)
                .expect("an entry is proposed as a run of whole records");
        }
        EntryType::EntryConfChange => EntryKind::Members,
        EntryType::EntryConfChangeV2 => EntryKind::MembersJoint,
    };
    // What the library reads of a change stays in the node.
    wal::Entry { partition, kind, term, index, records_count: 0, payload: &entry.context }
}

/// An entry of the log or the wire as the library has it; `None` for a change of members that is none, or of a kind that is never proposed.
pub(crate) fn from_wal(entry: &wal::Entry<'_>, payload: Bytes) -> Option<eraftpb::Entry> {
    let mut raft = match entry.kind {
        EntryKind::Records => eraftpb::Entry { data: payload, ..eraftpb::Entry::default() },
        EntryKind::Members => Change::from_bytes(entry.payload)?.to_entry(),
        EntryKind::MembersJoint => return None,
    };
    raft.term = entry.term;
    raft.index = entry.index;
    Some(raft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn an_append() -> Message {
        let mut message = eraftpb::Message::default();
        message.set_msg_type(MessageType::MsgAppend);
        (message.from, message.to, message.term) = (1, 3, 7);
        (message.log_term, message.index, message.commit) = (6, 41, 40);
        message.context = Bytes::from_static(b"why");
        for index in 42..44 {
            let entry = eraftpb::Entry { term: 7, index, ..eraftpb::Entry::default() };
            message.entries.push(entry);
        }
        message.reject = true;
        (message.commit_term, message.reject_hint, message.request_snapshot) = (5, 9, 11);
        Message(message)
    }

    fn framed(message: &Message) -> Bytes {
        let mut bytes = Vec::new();
        message.encode(Partition(13), &mut bytes);
        bytes.into()
    }

    #[test]
    fn a_message_comes_back_as_it_was_and_every_flipped_bit_is_seen() {
        let message = an_append();
        let bytes = framed(&message);
        assert_eq!(Message::decode(&bytes), Ok((Partition(13), message)));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Message::decode(&flipped.into()).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Message::decode(&bytes.slice(..len)).is_err(), "{len} bytes");
        }
    }

    /// The format is fixed: another program reads these bytes.
    #[test]
    fn a_frame_has_the_bytes_that_it_always_had() {
        let hex: String = framed(&an_append()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../testdata/append.hex").trim());
    }

    #[test]
    fn an_entry_of_another_partition_and_a_kind_of_tomorrow_are_refused() {
        let mut bytes = framed(&an_append()).to_vec();
        bytes[10] = 13;
        let crc = wal::crc32c(&bytes[4..MESSAGE_HEADER_BYTES + 3]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Message::decode(&bytes.clone().into()), Err(FrameError::Unknown { kind: 13, version: 1 }));
        (bytes[8], bytes[10]) = (12, 1);
        let crc = wal::crc32c(&bytes[4..MESSAGE_HEADER_BYTES + 3]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        let foreign = FrameError::Foreign { number: 0, partition: Partition(12) };
        assert_eq!(Message::decode(&bytes.into()), Err(foreign));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = Message::decode(&Bytes::copy_from_slice(bytes));
        });
    }
}
