//! The daemon: all of the IO, and no decision about messages.
//!
//! [`config`] is what the operator decides; [`daemon`] starts, runs and stops; [`sandbox`] is the carrier for newcomers.

pub mod config;
pub mod customers;
pub mod daemon;
pub mod sandbox;
