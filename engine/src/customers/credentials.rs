//! Who may come in: the accounts' keys.
//!
//! Only the SHA-256 of a key is kept, so that neither the configuration nor a core dump need hold what opens a door
//! (docs/adr/0009). What a customer shows is hashed, found by the first bytes of its hash and compared with all of it in
//! a time that does not depend on where the two differ.

use std::fmt;

use sha2::{Digest, Sha256};
use wire::id::AccountId;

/// The bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// How a hash is written in a configuration: this, and 64 hexadecimal digits.
pub const HASH_PREFIX: &str = "sha256:";

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyDigest([u8; DIGEST_BYTES]);

impl KeyDigest {
    /// The hash of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(HASH_PREFIX)?.as_bytes();
        if digits.len() != 2 * DIGEST_BYTES {
            return None;
        }
        let mut digest = [0; DIGEST_BYTES];
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |char: u8| char::from(char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(digest))
    }

    /// All of it, for a table.
    pub(super) const fn bytes(&self) -> [u8; DIGEST_BYTES] {
        self.0
    }

    /// The first eight bytes, by which a table is sorted.
    fn head(&self) -> u64 {
        self.0.iter().take(8).fold(0, |head, &byte| head << 8 | u64::from(byte))
    }

    /// Whether two are the same, looking at every byte whatever the first ones say.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(0, |sum, (a, b)| sum | std::hint::black_box(a ^ b)) == 0
    }
}

impl From<&str> for KeyDigest {
    fn from(key: &str) -> Self {
        Self::of(key.as_bytes())
    }
}

impl fmt::Display for KeyDigest {
    /// As a configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyDigest {
    /// Nothing of it: whoever knows the hash can try keys against it at leisure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

/// One account's way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The account.
    pub account: AccountId,
    /// Its name, which a native client says too.
    pub name: String,
    /// Its key.
    pub key: KeyDigest,
}

/// All accounts' keys, made once from the configuration and shared by the shards.
#[derive(Debug)]
pub struct Credentials {
    /// By the head of the key's hash.
    sorted: Vec<(u64, Credential)>,
}

impl Credentials {
    /// A table of these. An account may have several keys; empty keys let nobody in.
    #[must_use]
    pub fn new(credentials: Vec<Credential>) -> Self {
        let empty = KeyDigest::of(b"");
        let with_key = credentials.into_iter().filter(|credential| credential.key != empty);
        let mut sorted: Vec<_> = with_key.map(|credential| (credential.key.head(), credential)).collect();
        sorted.sort_by_key(|(head, _)| *head);
        Self { sorted }
    }

    /// The account of a key.
    #[must_use]
    pub fn account_of(&self, key: &[u8]) -> Option<AccountId> {
        self.find(key).map(|credential| credential.account)
    }

    /// The account of a key, if it has this name.
    #[must_use]
    pub fn account_of_named(&self, name: &str, key: &[u8]) -> Option<AccountId> {
        self.find(key).filter(|credential| credential.name == name).map(|credential| credential.account)
    }

    fn find(&self, key: &[u8]) -> Option<&Credential> {
        let digest = KeyDigest::of(key);
        let first = self.sorted.partition_point(|(head, _)| *head < digest.head());
        let same_head = self.sorted[first..].iter().take_while(|(head, _)| *head == digest.head());
        same_head.map(|(_, credential)| credential).find(|credential| credential.key.equals(&digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_own_account_and_no_other() {
        let credential = |name: &str, key: &str| Credential {
            account: AccountId::of_name(name),
            name: name.into(),
            key: key.into(),
        };
        let table = Credentials::new(vec![
            credential("bank", "one"),
            credential("bank", "two"),
            credential("shop", "three"),
            credential("open", ""),
        ]);
        let bank = Some(AccountId::of_name("bank"));
        assert_eq!((table.account_of(b"one"), table.account_of(b"two")), (bank, bank));
        assert_eq!(table.account_of_named("bank", b"two"), bank);
        for (name, key) in [("shop", "one"), ("bank", "three"), ("bank", "on"), ("bank", "onE"), ("open", "")]
        {
            assert_eq!(table.account_of_named(name, key.as_bytes()), None, "{name} {key}");
        }
        assert_eq!(table.account_of(b""), None);
        assert!(!format!("{table:?}").contains("three"));
    }
    #[test]
    fn a_hash_is_written_and_read_in_one_form() {
        // FIPS 180-2, appendix B.1.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyDigest::of(b"abc").to_string(), abc);
        assert_eq!(KeyDigest::parse(abc), Some(KeyDigest::of(b"abc")));
        assert_eq!(KeyDigest::parse(&abc.to_uppercase().replace("SHA", "sha")), Some(KeyDigest::of(b"abc")));
        for wrong in ["", "sha256:", &abc[7..], &abc[..70], &format!("{abc}0"), &abc.replace("ba78", "xy78")]
        {
            assert_eq!(KeyDigest::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{:?}", KeyDigest::of(b"abc")).contains("ba78"));
    }
}
