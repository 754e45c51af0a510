//! `switchyard key`: a new key for an account, and the hash under which the configuration keeps it; `switchyard webhook-secret`: what
//! an account's webhook is signed with.

use std::io;

use crate::customers::credentials::KeyDigest;
use crate::daemon::random_u64;
use crate::webhooks::Secret;

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

/// Words of randomness in a secret: 256 bits, as many as the signature has.
const SECRET_WORDS: usize = 4;

/// A secret that was made just now. Both sides need it as it is, so there is no hash of it.
#[derive(Clone, Debug)]
pub struct NewWebhookSecret(String);

impl NewWebhookSecret {
    /// Makes one of the system's randomness.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn make() -> io::Result<Self> {
        let mut bytes = Vec::new();
        for _ in 0..SECRET_WORDS {
            bytes.extend_from_slice(&random_u64()?.to_le_bytes());
        }
        Ok(Self(Secret::text_of(&bytes)))
    }

    /// What is printed: the line for the configuration.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("webhook_secret = \"{}\"\n", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApiKey;

    #[test]
    fn a_new_secret_is_one_that_the_configuration_takes_and_never_the_same() {
        let (one, two) = (NewWebhookSecret::make().unwrap(), NewWebhookSecret::make().unwrap());
        assert!(Secret::parse(&one.0).is_some());
        assert_ne!(one.0, two.0);
    }

    #[test]
    fn a_new_key_is_one_that_the_configuration_takes_and_never_the_same() {
        let (one, two) = (NewKey::make().unwrap(), NewKey::make().unwrap());
        assert!(ApiKey::new(&one.key).is_some());
        assert_ne!(one.key, two.key);
        assert_eq!(KeyDigest::from(one.key.as_str()), one.digest);
        assert!(one.to_text().ends_with(&format!("key_hash = \"{}\"\n", one.digest)));
    }
}
