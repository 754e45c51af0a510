//! Who may come in: the accounts' keys.
//!
//! A key is looked up by a hash of 64 bits and then compared byte by byte in a time that does not depend on where it
//! differs. The hash is not a cryptographic one and need not be: it chooses which key to compare with, and whoever finds a
//! collision is still compared.

use std::fmt;

use wire::id::AccountId;
use xxhash_rust::xxh3::xxh3_64;

/// One account's way in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The account.
    pub account: AccountId,
    /// Its name, which a native client says too.
    pub name: String,
    /// Its key.
    pub key: String,
}

impl fmt::Debug for Credential {
    /// Without the key: a debug print ends in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All accounts' keys, made once from the configuration and shared by the shards.
#[derive(Debug)]
pub struct Credentials {
    /// By the hash of the key.
    sorted: Vec<(u64, Credential)>,
}

impl Credentials {
    /// A table of these. An account may have several keys; empty keys let nobody in.
    #[must_use]
    pub fn new(credentials: Vec<Credential>) -> Self {
        let with_key = credentials.into_iter().filter(|credential| !credential.key.is_empty());
        let mut sorted: Vec<_> = with_key.map(|c| (xxh3_64(c.key.as_bytes()), c)).collect();
        sorted.sort_by_key(|(hash, _)| *hash);
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
        let hash = xxh3_64(key);
        let first = self.sorted.partition_point(|(other, _)| *other < hash);
        let same_hash = self.sorted[first..].iter().take_while(|(other, _)| *other == hash);
        same_hash.map(|(_, credential)| credential).find(|credential| equal(credential.key.as_bytes(), key))
    }
}

/// Whether two keys are the same, looking at every byte whatever the first ones say.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let difference = one.iter().zip(other).fold(0, |sum, (a, b)| sum | std::hint::black_box(a ^ b));
    difference == 0
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
}
