//! CRC-32C (Castagnoli), as in iSCSI (RFC 3720 §12.1): the checksum of all that is on disk.

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_implementation_agrees() {
        let bytes: Vec<u8> = (0..9000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for len in (0..300).chain([1000, 4096, 4097, 9000]) {
            assert_eq!(crc32c(&bytes[..len]), ::crc32c::crc32c(&bytes[..len]), "of {len} bytes");
        }
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }
}
