//! The judge.
//!
//! The simulator: production state machines of one to five nodes in a world that is invented, with one seed and virtual time.
//!
//! ```text
//!   run      a seed becomes an outcome        story    a world by hand, for seeds that once failed
//!   world    the loop                         judge    what was promised
//!   carrier · customers · network · disk      mutants  engines that break a promise, to see whether the judge sees
//! ```

mod carrier;
mod conn;
mod dice;
mod disk;
mod event;
mod judge;
pub mod mutants;
mod node;
mod parcel;
mod queue;
mod recover;
pub mod run;
pub mod story;
mod swarm;
mod world;

pub use judge::Violation;
pub use swarm::{Canary, Mode};
pub use world::{Outcome, Sights};
