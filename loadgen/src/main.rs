//! `loadgen`, the load generator.
fn main() {}
