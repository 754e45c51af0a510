//! The end of a snapshot's head: who belongs to the partition's group, and the cluster's table of members.
//!
//! ```text
//! | voters u32 | learners u32 | table bytes u32 | voter u32, … | learner u32, … | table: records |
//! ```

use wire::id::NodeId;
use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Head;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawCounts {
    voters: U32,
    learners: U32,
    table_bytes: U32,
}

const _: () = assert!(size_of::<RawCounts>() == 12);

pub(super) fn encode(head: &Head, out: &mut Vec<u8>) {
    let count = |len: usize| U32::new(u32::try_from(len).expect("tables are bounded far below 2^32"));
    let counts = RawCounts {
        voters: count(head.voters.len()),
        learners: count(head.learners.len()),
        table_bytes: count(head.members.len()),
    };
    out.extend_from_slice(counts.as_bytes());
    for node in head.voters.iter().chain(&head.learners) {
        out.extend_from_slice(&node.0.to_le_bytes());
    }
    out.extend_from_slice(&head.members);
}

/// Voters, learners and the table; earlier versions end before them. `None` when the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Option<(Vec<NodeId>, Vec<NodeId>, Vec<u8>)> {
    if bytes.is_empty() {
        return Some((Vec::new(), Vec::new(), Vec::new()));
    }
    let (counts, rest) = RawCounts::ref_from_prefix(bytes).ok()?;
    let (voters, rest) = <[U32]>::ref_from_prefix_with_elems(rest, counts.voters.get() as usize).ok()?;
    let (learners, rest) = <[U32]>::ref_from_prefix_with_elems(rest, counts.learners.get() as usize).ok()?;
    let nodes = |raw: &[U32]| raw.iter().map(|node| NodeId(node.get())).collect();
    (rest.len() == counts.table_bytes.get() as usize).then(|| (nodes(voters), nodes(learners), rest.to_vec()))
}
