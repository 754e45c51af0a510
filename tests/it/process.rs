//! The built programs as real processes.
