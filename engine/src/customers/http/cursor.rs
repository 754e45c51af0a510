//! How far a reader of `GET /v1/events` has come: one text that holds the position of each partition.
//!
//! ```text
//!   base64url( version=1 · { partition gap · sequence }* · check of 4 bytes )
//! ```
//!
//! Gap and sequence are LEB128, partitions ascend and the gap counts from the one before. The check is the low half of an
//! XXH3 over account and positions: it tells a cursor that was cut, mixed up with another account's or made up by
//! hand from one of ours. It keeps nobody out, and need not: an account can only move its own positions.

use wire::id::{AccountId, Partition, PartitionCount};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const VERSION: u8 = 1;
const CHECK_BYTES: usize = 4;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The positions of an account's reader, ascending by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    positions: Vec<(Partition, u64)>,
}

impl Cursor {
    /// Reads the text; `None` when it is not a cursor of this account.
    pub(crate) fn parse(text: &[u8], account: AccountId) -> Option<Self> {
        let bytes = from_base64(text)?;
        let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        let (&version, mut rest) = body.split_first()?;
        if version != VERSION || *check != check_of(body, account) {
            return None;
        }
        let mut positions: Vec<(Partition, u64)> = Vec::new();
        while !rest.is_empty() {
            let (gap, sequence) = (take_varint(&mut rest)?, take_varint(&mut rest)?);
            let first = positions.last().map_or(0, |(last, _)| u64::from(last.0) + 1);
            let partition =
                u16::try_from(first.checked_add(gap)?).ok().filter(|&p| p < PartitionCount::MAX)?;
            positions.push((Partition(partition), sequence));
        }
        Some(Self { positions })
    }

    /// Appends the text.
    pub(crate) fn write(&self, account: AccountId, out: &mut Vec<u8>) {
        let mut bytes = vec![VERSION];
        let mut first = 0;
        for &(partition, sequence) in &self.positions {
            let place = u64::from(partition.0);
            assert!(place >= first, "positions ascend");
            put_varint(place - first, &mut bytes);
            put_varint(sequence, &mut bytes);
            first = place + 1;
        }
        let check = check_of(&bytes, account);
        bytes.extend_from_slice(&check);
        to_base64(&bytes, out);
    }

    /// The positions.
    pub(crate) fn positions(&self) -> &[(Partition, u64)] {
        &self.positions
    }

    /// Moves a partition's position on; `false` when it is there already, since fates may be told more than once.
    pub(crate) fn advance(&mut self, partition: Partition, sequence: u64) -> bool {
        match self.positions.binary_search_by_key(&partition, |(partition, _)| *partition) {
            Ok(place) if self.positions[place].1 >= sequence => return false,
            Ok(place) => self.positions[place].1 = sequence,
            Err(place) => self.positions.insert(place, (partition, sequence)),
        }
        true
    }
}

fn check_of(body: &[u8], account: AccountId) -> [u8; CHECK_BYTES] {
    let [a, b, c, d, ..] = xxh3_64_with_seed(body, u64::from(account.0)).to_le_bytes();
    [a, b, c, d]
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7F).expect("seven bits fit a byte") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits fit a byte"));
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7F);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Base 64 with the URL-safe alphabet and no padding (RFC 4648 §5).
fn to_base64(bytes: &[u8], out: &mut Vec<u8>) {
    for part in bytes.chunks(3) {
        let word =
            part.iter().fold(0_usize, |word, &byte| word << 8 | usize::from(byte)) << (8 * (3 - part.len()));
        for place in 0..=part.len() {
            out.push(ALPHABET[word >> (18 - 6 * place) & 63]);
        }
    }
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for part in text.chunks(4) {
        let mut word = 0_u32;
        for &char in part {
            word = word << 6 | u32::from(sextet(char)?);
        }
        word <<= 6 * (4 - part.len());
        let [_, three @ ..] = word.to_be_bytes();
        let count = part.len() * 6 / 8;
        // One character alone holds no byte, and bits beyond the last byte would make two texts of one cursor.
        if part.len() == 1 || three[count..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&three[..count]);
    }
    Some(bytes)
}

const fn sextet(char: u8) -> Option<u8> {
    Some(match char {
        b'A'..=b'Z' => char - b'A',
        b'a'..=b'z' => char - b'a' + 26,
        b'0'..=b'9' => char - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountId = AccountId(7);

    fn text(cursor: &Cursor) -> String {
        let mut out = Vec::new();
        cursor.write(ACCOUNT, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_cursor_goes_there_and_back() {
        let mut cursor = Cursor::default();
        assert_eq!(Cursor::parse(text(&cursor).as_bytes(), ACCOUNT), Some(cursor.clone()));
        for (partition, sequence) in [(511, u64::MAX), (0, 1), (13, 127), (14, 128), (300, 1 << 40)] {
            assert!(cursor.advance(Partition(partition), sequence));
            assert!(!cursor.advance(Partition(partition), sequence));
            assert_eq!(Cursor::parse(text(&cursor).as_bytes(), ACCOUNT), Some(cursor.clone()));
        }
        assert!(cursor.positions().is_sorted());
        assert!(text(&cursor).bytes().all(|char| ALPHABET.contains(&char)));
    }

    #[test]
    fn a_changed_cursor_or_another_accounts_is_none() {
        let mut cursor = Cursor::default();
        cursor.advance(Partition(3), 1000);
        let good = text(&cursor);
        assert_eq!(Cursor::parse(good.as_bytes(), AccountId(8)), None);
        for place in 0..good.len() {
            for wrong in [b'A', b'7', b'!', b'='] {
                let mut bytes = good.clone().into_bytes();
                bytes[place] = wrong;
                assert!(bytes == good.as_bytes() || Cursor::parse(&bytes, ACCOUNT).is_none());
            }
            assert_eq!(Cursor::parse(&good.as_bytes()[..place], ACCOUNT), None);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        bolero::check!().with_iterations(10_000).for_each(|bytes: &[u8]| {
            _ = Cursor::parse(bytes, ACCOUNT);
            let mut body = vec![VERSION];
            body.extend_from_slice(bytes);
            let check = check_of(&body, ACCOUNT);
            body.extend_from_slice(&check);
            let mut sealed = Vec::new();
            to_base64(&body, &mut sealed);
            assert_eq!(from_base64(&sealed), Some(body));
            if let Some(cursor) = Cursor::parse(&sealed, ACCOUNT) {
                assert!(cursor.positions().is_sorted());
            }
        });
    }
}
