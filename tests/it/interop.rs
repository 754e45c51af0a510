//! Other people's SMPP and a protocol analyser.
