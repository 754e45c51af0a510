//! Identity, and all that crosses a socket.
//!
//! What two programs must agree on lives here and nowhere else: what a message, a partition and a class are
//! ([`id`], [`msisdn`], [`time`]), the frames of the native protocol ([`native`]), SMPP in both roles ([`smpp`]) and
//! the alphabets of a short message ([`text`]).
//!
//! The room is pure. It opens no socket and reads no clock: bytes come in, values and bytes go out, and `now` is an
//! argument. That is why the load generator can share it with the daemon that it judges and nothing else.

pub mod id;
pub mod msisdn;
pub mod native;
pub mod smpp;
pub mod text;
pub mod time;
