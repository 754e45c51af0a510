//! What records mean, and one shard's brain.
//!
//! ```text
//!   api       what goes in and comes out, as plain values        plan     accounts, carriers, routes, classes
//!   shard     one core's share of a node: it decides             state    what records have made of a partition
//! ```
//!
//! *Decide, log, apply*: a handler decides and makes records; state changes in one function, which recovery uses too;
//! nothing that rests on a record leaves before it is durable. The room is pure: no socket, no file, no clock. `engine`
//! drives it with real ones, the simulator with invented ones.

mod accounts;
mod across;
mod adaptive;
mod aged;
pub mod api;
mod clock;
pub mod counters;
mod cut;
pub mod histogram;
pub mod inbound;
mod jitter;
pub mod limits;
pub mod members;
mod pacing;
pub mod plan;
mod queue;
mod rates;
pub mod routes;
mod shard;
mod state;
mod token;
mod wheel;

pub use adaptive::{Felt, Paced};
pub use aged::Aged;
pub use rates::RateId;
pub use shard::ask::Said;
pub use shard::cell::{Asked, ReceiptOrigin};
pub use shard::cross::{Cross, LentOutcome, LentSegment, Loan, OwnedSubmission, Receipt};
pub use shard::handsets::HandsetPart;
pub use shard::homes::Rebuild;
pub use shard::inspect::{HomeView, Latencies, LinkCounts, LinkState, LinkView, QueueView, Trouble};
pub use shard::links::{LinkAction, LinkId, LinkInput};
pub use shard::snapshots::SnapshotPiece;
pub use shard::{LogRoom, RecoveryError, Shard, ShardConfig};
pub use state::restore::RestoreError;
