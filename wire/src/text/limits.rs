//! Bounds of texts, and where they come from.

/// Segments of one text, at most. Handsets put together 255 (3GPP TS 23.040 §9.2.3.24.1); what people send has fewer than ten,
/// and each is a message that someone pays for.
pub const SEGMENTS_MAX: u8 = 32;

/// Octets of one segment's user data (3GPP TS 23.040 §9.2.3.24).
pub const USER_DATA_BYTES: usize = 140;

/// Septets in them.
pub const USER_DATA_SEPTETS: usize = USER_DATA_BYTES * 8 / 7;
