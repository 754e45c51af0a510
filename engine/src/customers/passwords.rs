//! Passwords of SMPP customers: how they are kept, and how one that is shown is looked at.
//!
//! Customers' programs send at most eight characters, which a machine guesses in hours from a fast hash. So a file keeps them
//! as Argon2id (RFC 9106), whose looking-at takes tens of milliseconds; that is done by a thread of the node that is no shard
//! ([`Check`]), and what was found right is known from then on by a keyed hash that is in memory only (docs/adr/0014).

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use sha2::{Digest, Sha256};
use wire::time::Instant;

use super::credentials::KeyDigest;
use super::limits::{
    PASSWORD_LANES_MAX, PASSWORD_MEMORY_KIB, PASSWORD_MEMORY_KIB_MAX, PASSWORD_PASSES, PASSWORD_PASSES_MAX,
};
use super::smpp::exchange::Place;

/// How a password's hash begins in a configuration.
pub const PASSWORD_HASH_PREFIX: &str = "$argon2id$";

/// The bytes of a salt that is made here (RFC 9106 §3.1 asks for 16).
pub const SALT_BYTES: usize = 16;

/// A slow hash of a password, as the configuration has it: `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`.
#[derive(Clone, PartialEq, Eq)]
pub struct SlowHash(Arc<str>);

impl SlowHash {
    /// Reads one. `None`: it is another algorithm's, is cut, or would take longer or more memory than a node spends on a stranger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let is_ours = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version.is_none_or(|version| version == u32::from(Version::V0x13))
            && hash.salt.is_some()
            && hash.hash.is_some()
            && params.m_cost() <= PASSWORD_MEMORY_KIB_MAX
            && params.t_cost() <= PASSWORD_PASSES_MAX
            && params.p_cost() <= PASSWORD_LANES_MAX;
        is_ours.then(|| Self(text.into()))
    }

    /// The hash of a password with a salt that nobody else has. Takes tens of milliseconds.
    #[must_use]
    pub fn make(password: &[u8], salt: [u8; SALT_BYTES]) -> Self {
        Self::with_cost(password, salt, PASSWORD_MEMORY_KIB, PASSWORD_PASSES)
    }

    /// The same at another price.
    pub(crate) fn with_cost(password: &[u8], salt: [u8; SALT_BYTES], memory_kib: u32, passes: u32) -> Self {
        let params = Params::new(memory_kib, passes, 1, None).expect("within Argon2's bounds");
        let salt = SaltString::encode_b64(&salt).expect("16 bytes are a salt");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = argon2.hash_password(password, &salt).expect("a password is short");
        Self(hash.to_string().into())
    }

    /// Whether it is this password's, in a time that does not depend on where it differs. Takes tens of milliseconds.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        let hash = PasswordHash::new(&self.0).expect("it was read before");
        Argon2::default().verify_password(password, &hash).is_ok()
    }

    /// Whether guessing costs less than what `switchyard password` makes it cost.
    #[must_use]
    pub fn is_cheap(&self) -> bool {
        let hash = PasswordHash::new(&self.0).expect("it was read before");
        let cost = Params::try_from(&hash)
            .map_or(0, |params| u64::from(params.m_cost()) * u64::from(params.t_cost()));
        cost < u64::from(PASSWORD_MEMORY_KIB) * u64::from(PASSWORD_PASSES)
    }
}

impl fmt::Display for SlowHash {
    /// As a configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SlowHash {
    /// Nothing of it: whoever has the hash can try passwords against it at leisure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlowHash(…)")
    }
}

/// One of an account's passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The file has it in plain text; here is its hash, so that comparing takes the same time whatever is shown.
    Plain(KeyDigest),
    /// The file has a slow hash of it.
    Hashed(SlowHash),
}

/// What makes keyed hashes of passwords that were found right: random, and gone with the process.
#[derive(Clone)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// One of four random words.
    #[must_use]
    pub fn new(words: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        for (eight, word) in bytes.chunks_exact_mut(8).zip(words) {
            eight.copy_from_slice(&word.to_le_bytes());
        }
        Self(bytes)
    }

    /// What a password that fits a slow hash is known by.
    pub(super) fn tag(&self, hash: &SlowHash, password: &[u8]) -> KeyDigest {
        let mut keyed = Sha256::new();
        keyed.update(self.0);
        keyed.update(hash.0.as_bytes());
        // No password and no hash has a NUL.
        keyed.update([0]);
        keyed.update(password);
        // Hashed again, so that nothing can be added to the end of what was hashed.
        KeyDigest::of(&keyed.finalize())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// A password that was shown and has to be looked at slowly, on its way to the thread that does that and back.
pub struct Check {
    /// The connection that waits.
    pub connection: u64,
    /// Whose password it should be.
    pub place: Place,
    /// What was shown.
    pub password: Box<[u8]>,
    /// What it may fit.
    pub hashes: Vec<SlowHash>,
    /// Since when the connection waits.
    pub since: Instant,
}

impl Check {
    /// Looks at it: tens of milliseconds for each hash that it does not fit.
    #[must_use]
    pub fn look(&self) -> Verdict {
        let found = self.hashes.iter().find(|hash| hash.is_of(&self.password));
        found.map_or(Verdict::Wrong, |hash| Verdict::Right(hash.clone()))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// What came of a [`Check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits this.
    Right(SlowHash),
    /// It fits nothing.
    Wrong,
    /// Too many wait to be looked at.
    Busy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_password_and_no_other() {
        let hash = SlowHash::with_cost(b"secret12", [7; SALT_BYTES], 8, 1);
        assert!(hash.is_of(b"secret12") && !hash.is_of(b"secret1") && !hash.is_of(b""));
        let text = hash.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{text}");
        assert_eq!(SlowHash::parse(&text), Some(hash.clone()));
        assert_ne!(SlowHash::with_cost(b"secret12", [8; SALT_BYTES], 8, 1), hash, "each has its own salt");
        assert!(hash.is_cheap());
        assert!(!format!("{hash:?}").contains(&text[30..]));
        let pepper = Pepper::new([1, 2, 3, 4]);
        assert_ne!(pepper.tag(&hash, b"secret12"), pepper.tag(&hash, b"secret13"));
        assert_ne!(pepper.tag(&hash, b"secret12"), Pepper::new([1, 2, 3, 5]).tag(&hash, b"secret12"));
    }

    #[test]
    fn a_hash_of_another_program_is_taken_and_what_is_none_is_not() {
        // Of the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 -e`.
        let foreign =
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(SlowHash::parse(foreign).is_some_and(|hash| hash.is_of(b"password") && !hash.is_cheap()));
        for wrong in [
            "",
            "secret12",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
            &foreign.replace("argon2id", "argon2i"),
            &foreign.replace("v=19", "v=16"),
            &foreign.replace("m=65536", "m=1048576"),
            &foreign.replace("t=2", "t=100"),
            &foreign.replace("p=1", "p=64"),
        ] {
            assert_eq!(SlowHash::parse(wrong), None, "{wrong}");
        }
    }
}
