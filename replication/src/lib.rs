//! A partition's Raft group over the log.
