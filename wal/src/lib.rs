//! All that is on disk.
//!
//! A shard has one log. What it appends are the *entries* of its partitions' Raft groups, each a run of *records*;
//! entries are gathered into *batches*, and one batch is one write and one sync:
//!
//! ```text
//! segment file: | header 4096 | batch | batch | batch ......... | zeros, written in advance |
//! batch:        | header 56 | frame | frame | ... | zeros to the next multiple of 4096 |
//! frame:        | header 8  | entry: header 32, records    or hard state, or start |
//! record:       | header 16 | body (rkyv) |
//! ```
//!
//! [`record`] says what can happen to a message and [`entry`] what travels between regions; [`batch`] gathers, [`log`]
//! says where the next batch goes, [`segment`] heads a file and [`scan`] reads it all back after a crash. A [`snapshot`]
//! holds a partition's state, so that the log before it is not needed; an [`index`] says in which batches of a segment a
//! message is. `docs/formats.md` has every byte.
//!
//! The room is pure: it touches no file. Whoever drives it writes the bytes that it is given, in order, one batch at a
//! time, and tells it what is durable. That one batch at most is in flight is what lets [`scan`] tell a torn tail (an
//! unfinished write, which is cut) from damage in the middle (which stops the daemon).

pub mod batch;
mod crc;
pub mod entry;
pub mod frame;
#[cfg(test)]
mod golden;
pub mod index;
pub mod limits;
pub mod log;
pub mod place;
pub mod record;
pub mod scan;
pub mod segment;
pub mod snapshot;

pub use batch::Batch;
pub use crc::crc32c;
pub use entry::{Entry, EntryError, EntryKind};
pub use frame::{HardState, Start};
pub use log::{Log, LogConfig, NeedSegment, Write};
pub use place::{Layout, LayoutError, Lsn};
pub use record::{Record, RecordError, Records};
pub use scan::{Damage, Item, Scan, ScanError, Tail};
pub use segment::Identity;
