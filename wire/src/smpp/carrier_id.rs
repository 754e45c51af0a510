//! A carrier's message ids, in a form in which the response's and the receipt's are equal.
//!
//! The same id comes as `0A1B2C` in `submit_sm_resp` and as `662316` in the receipt, or with leading zeros, or in
//! another case. A profile names the form of each; both are brought to one value, which is what tables are keyed by.

use xxhash_rust::xxh3::xxh3_128;

/// How a carrier writes ids, in responses or in receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdForm {
    /// Octets without a meaning. Case counts.
    Exact,
    /// Letters in any case, leading zeros or none.
    #[default]
    Folded,
    /// A decimal number.
    Decimal,
    /// A hexadecimal number, with or without `0x`.
    Hexadecimal,
}

/// An id in its canonical form: the number that it is, if its form says that it is one and it has at most 127 bits, else
/// a hash of its folded octets with the top bit set. Unique only within a carrier's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarrierMessageId(pub u128);

const HASHED: u128 = 1 << 127;

impl CarrierMessageId {
    /// The canonical form of `id`.
    #[must_use]
    pub fn of(id: &[u8], form: IdForm) -> Self {
        let number = match form {
            IdForm::Exact => return Self(xxh3_128(id) | HASHED),
            IdForm::Folded => None,
            IdForm::Decimal => number::<10>(id),
            IdForm::Hexadecimal => number::<16>(strip_0x(id)),
        };
        number.map_or_else(|| Self(hash_folded(id)), Self)
    }
}

/// The number that `digits` are, if they are nothing else and it is below 2^127.
#[inline]
fn number<const RADIX: u32>(digits: &[u8]) -> Option<u128> {
    if digits.is_empty() {
        return None;
    }
    // Fifteen digits fit in 60 bits; a multiplication of 128 bits is only paid for longer ids.
    let (head, tail) = digits.split_at(digits.len().min(15));
    let mut short = 0_u64;
    for digit in head {
        short = short * u64::from(RADIX) + u64::from(char::from(*digit).to_digit(RADIX)?);
    }
    let mut number = u128::from(short);
    for digit in tail {
        number = number.checked_mul(u128::from(RADIX))?;
        number = number.checked_add(u128::from(char::from(*digit).to_digit(RADIX)?))?;
    }
    (number < HASHED).then_some(number)
}

fn strip_0x(id: &[u8]) -> &[u8] {
    match id {
        [b'0', b'x' | b'X', rest @ ..] => rest,
        _ => id,
    }
}

/// Ids longer than this are hashed as they are: the specification ends at 64.
const FOLDED_BYTES_MAX: usize = super::limits::MESSAGE_ID_BYTES_MAX;

fn hash_folded(id: &[u8]) -> u128 {
    let zeros = id.iter().take_while(|byte| **byte == b'0').count();
    let id = &id[zeros..];
    let mut folded = [0; FOLDED_BYTES_MAX];
    let Some(folded) = folded.get_mut(..id.len()) else { return xxh3_128(id) | HASHED };
    folded.copy_from_slice(id);
    folded.make_ascii_lowercase();
    xxh3_128(folded) | HASHED
}

#[cfg(test)]
mod tests {
    use super::*;
    use IdForm::{Decimal, Exact, Folded, Hexadecimal};

    fn check(response: (&str, IdForm), receipt: (&str, IdForm), equal: bool) {
        let of = |(id, form): (&str, IdForm)| CarrierMessageId::of(id.as_bytes(), form);
        assert_eq!(of(response) == of(receipt), equal, "{response:?} and {receipt:?}");
    }

    #[test]
    fn ids_are_equal_across_radix_zeros_and_case() {
        check(("0A1B2C", Hexadecimal), ("662316", Decimal), true);
        check(("0a1b2c", Hexadecimal), ("0000662316", Decimal), true);
        check(("0x0A1B2C", Hexadecimal), ("662316", Decimal), true);
        check(("662316", Decimal), ("A1B2C", Hexadecimal), true);
        check(("ABCDEF", Folded), ("00abcdef", Folded), true);
        check(("ABCDEF", Exact), ("abcdef", Exact), false);
        check(("17", Decimal), ("17", Hexadecimal), false);
        check(
            ("9F86D081884C7D659A2FEAA0C55AD015", Folded),
            ("9f86d081884c7d659a2feaa0c55ad015", Folded),
            true,
        );
    }

    #[test]
    fn ids_longer_than_64_bits_keep_all_their_digits() {
        check(
            ("1F86D081884C7D659A2FEAA0C55AD015", Hexadecimal),
            ("41906064652189014717824344068380610581", Decimal),
            true,
        );
        check(("123456789012345678901", Decimal), ("123456789012345678902", Decimal), false);
        // More than 127 bits, and something else than digits: folded octets.
        let long = "9".repeat(60);
        check((&long, Decimal), (&long, Folded), true);
        check(("3f2a-11", Decimal), ("3F2A-11", Folded), true);
        check(("", Decimal), ("0", Folded), true);
        let longest = "a".repeat(200);
        check((&longest, Folded), (&longest, Folded), true);
    }
}
