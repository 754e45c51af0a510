//! What records mean, and one shard's brain.

pub mod api;
pub mod plan;
pub mod routes;
