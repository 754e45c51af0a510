//! The daemon: all of the IO, and no decision about messages.
//!
//! [`config`] is what the operator decides; [`daemon`] starts, runs and stops, and drives a shard ([`shards::Shard`]) turn by
//! turn; [`customers`] is HTTP and the native protocol as machines over bytes; [`webhooks`] tells accounts' own servers; [`shard_io`] is all IO of one shard, made of
//! [`net`], [`files`], [`ring`] and [`runtime`]; [`faults`] breaks them for tests; [`sandbox`] is the carrier for newcomers, and
//! [`dev`] a cluster of daemons on one machine.
//!
//! For whoever runs it: [`check`] says what a configuration means, [`host`] what the machine gives, [`admin`] what a running
//! daemon and its logs hold; [`key`] and [`password`] make an account's secrets, [`logging`] writes the daemon's own lines, [`table`] lays out the
//! answers.

pub mod admin;
pub mod check;
pub mod config;
pub mod customers;
pub mod daemon;
pub mod dev;
pub mod faults;
pub mod files;
pub mod host;
pub mod key;
pub mod logging;
pub mod net;
pub mod password;
pub mod ring;
pub mod runtime;
pub mod sandbox;
pub mod shard_io;
pub mod table;
pub mod webhooks;
