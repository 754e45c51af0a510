//! `switchyard key`: a new key for an account, and the hash under which the configuration keeps it.

use std::io;

use crate::customers::credentials::KeyDigest;
use crate::daemon::random_u64;

/// Words of randomness in a key: 192 bits, which nobody guesses even with the hash at hand.
const WORDS: usize = 3;

/// A key that was made just now.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The key, for the customer alone.
    pub key: String,
    /// Its hash, for the configuration.
    pub digest: KeyDigest,
}

impl NewKey {
    /// Makes one of the system's randomness. It begins with `sy_`, by which programs that look for leaked secrets know it.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn make() -> io::Result<Self> {
        let mut key = "sy_".to_owned();
        for _ in 0..WORDS {
            key += &format!("{:016x}", random_u64()?);
        }
        let digest = KeyDigest::from(key.as_str());
        Ok(Self { key, digest })
    }

    /// What is printed: the key and the line for the configuration.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("key: {}\nkey_hash = \"{}\"\n", self.key, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApiKey;

    #[test]
    fn a_new_key_is_one_that_the_configuration_takes_and_never_the_same() {
        let (one, two) = (NewKey::make().unwrap(), NewKey::make().unwrap());
        assert!(ApiKey::new(&one.key).is_some());
        assert_ne!(one.key, two.key);
        assert_eq!(KeyDigest::from(one.key.as_str()), one.digest);
        assert!(one.to_text().ends_with(&format!("key_hash = \"{}\"\n", one.digest)));
    }
}
