//! The daemon: all of the IO.
