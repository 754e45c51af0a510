//! What is wrong with a configuration, for whoever has to change it: the file, the line, the key, what was expected
//! there and what stood there.

use std::io;

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: the configuration cannot be read: {error}; name another one with --config")]
    Unreadable {
        /// As it was named.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not TOML.
    #[error("{file}:{line}: expected TOML, but: {message}")]
    Syntax {
        /// As it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What the TOML reader said.
        message: String,
    },
    /// A key has a value that it cannot have, is missing, or is not known.
    #[error("{file}:{line}: {key}: expected {expected}, found {found}")]
    Value {
        /// As it was named.
        file: String,
        /// The line, from 1; of the section's head when the key is missing.
        line: usize,
        /// The key with its section, as `carrier.window`.
        key: String,
        /// What may stand there.
        expected: String,
        /// What stood there; never a secret.
        found: String,
    },
}
