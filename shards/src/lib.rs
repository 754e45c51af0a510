//! What records mean, and one shard's brain.
