//! Benches of the pure rooms.
