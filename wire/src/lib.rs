//! Identity, and all that crosses a socket: native frames, SMPP.
