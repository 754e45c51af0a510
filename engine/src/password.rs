//! `switchyard password`: a new password for an SMPP customer, or one that there is, and the hash under which the configuration
//! keeps it.

use std::io;

use crate::config::PASSWORD_BYTES_MAX;
use crate::customers::passwords::{SALT_BYTES, SlowHash};
use crate::daemon::random_u64;

/// Characters of a password that is made here: what SMPP 3.4 §5.2.2 has room for, and what every client sends.
const CHARS: usize = 8;

/// What it is made of: letters and digits that nobody takes for one another.
const ALPHABET: &[u8; 54] = b"ABCDEFGHJKLMNPQRTUVWXYZabcdefghijkmnpqrstuvwxyz2346789";

/// A password that was made or hashed just now.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// The password, when it was made here.
    pub password: Option<String>,
    /// Its hash, for the configuration.
    pub hash: SlowHash,
}

impl NewPassword {
    /// Makes one of the system's randomness.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn make() -> io::Result<Self> {
        let mut password = String::new();
        while password.len() < CHARS {
            // Eight characters of each word; those beyond a multiple of the alphabet are left out, or the first would come oftener.
            for byte in random_u64()?.to_le_bytes() {
                let most = 256 / ALPHABET.len() * ALPHABET.len();
                if usize::from(byte) < most && password.len() < CHARS {
                    password.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
                }
            }
        }
        let hash = Self::of(&password)?.hash;
        Ok(Self { password: Some(password), hash })
    }

    /// Hashes one that there is.
    ///
    /// # Errors
    /// When it is none that a configuration takes, or the system has no randomness to give.
    pub fn of(password: &str) -> io::Result<Self> {
        let is_one = (1..=PASSWORD_BYTES_MAX).contains(&password.len())
            && password.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_one {
            let what = format!(
                "expected a password of 1 to {PASSWORD_BYTES_MAX} characters of ASCII without spaces"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let mut salt = [0; SALT_BYTES];
        for eight in salt.chunks_exact_mut(8) {
            eight.copy_from_slice(&random_u64()?.to_le_bytes());
        }
        Ok(Self { password: None, hash: SlowHash::make(password.as_bytes(), salt) })
    }

    /// What is printed: the password, if it is new, and the line for the configuration.
    #[must_use]
    pub fn to_text(&self) -> String {
        let password =
            self.password.as_ref().map_or_else(String::new, |password| format!("password: {password}\n"));
        format!("{password}smpp_password_hash = \"{}\"\n", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_password_is_one_that_clients_send_and_fits_its_hash() {
        let (one, two) = (NewPassword::make().unwrap(), NewPassword::make().unwrap());
        assert_ne!(one.password, two.password);
        let password = one.password.clone().unwrap();
        assert!(password.len() == CHARS && password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(one.hash.is_of(password.as_bytes()) && !one.hash.is_cheap());
        let text = one.to_text();
        assert!(
            text.starts_with(&format!("password: {password}\nsmpp_password_hash = \"$argon2id$")),
            "{text}"
        );
        let given = NewPassword::of("secret12").unwrap();
        assert!(given.hash.is_of(b"secret12") && !given.to_text().contains("secret12"));
        assert!(NewPassword::of("").is_err() && NewPassword::of("two words").is_err());
    }
}
