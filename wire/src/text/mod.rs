//! Alphabets.
