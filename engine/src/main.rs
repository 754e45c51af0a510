//! `switchyard`, the daemon.
fn main() {}
