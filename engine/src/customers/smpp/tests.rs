//! What a bound customer is told, byte by byte.
