//! What goes wrong with TLS: on a connection, and in the files that it is made of.

use core::time::Duration;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, Error};

/// Why a hand-shake did not succeed, or a session broke.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// The peer speaks something else.
    #[error("what came is not TLS: one side speaks plainly, the other does not")]
    NotTls,
    /// The certificate, the alert, the version, the cipher: rustls knows.
    #[error("{error}{}", hint(error))]
    Refused {
        /// What it said.
        error: Error,
    },
    /// The hand-shake took too long.
    #[error("the TLS hand-shake was not done within {0:?}")]
    TimedOut(Duration),
    /// The peer left.
    #[error("the peer closed the connection during the TLS hand-shake")]
    Closed,
    /// As many as may be are under way.
    #[error("{most} TLS hand-shakes are under way on this shard, the most that it allows")]
    Crowded {
        /// The bound.
        most: usize,
    },
    /// A message of the hand-shake has no end.
    #[error("{bytes} bytes of a TLS hand-shake or record came, and it has no end")]
    TooMuch {
        /// How many came.
        bytes: usize,
    },
    /// TLS 1.2 has no way to change its keys, and these have sealed as much as they may.
    #[error("the keys of this TLS 1.2 session are used up: it begins anew")]
    Exhausted,
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        Self::Refused { error }
    }
}

impl TlsError {
    /// What the peer said in its alert, when that is what is wrong.
    #[must_use]
    pub const fn alert(&self) -> Option<AlertDescription> {
        match self {
            Self::Refused { error: Error::AlertReceived(alert) } => Some(*alert),
            _ => None,
        }
    }
}

/// What a peer has said in its alert, with what can be done about it.
#[must_use]
pub fn alert_words(alert: AlertDescription) -> String {
    TlsError::from(Error::AlertReceived(alert)).to_string()
}

/// What an operator can do about it.
const fn hint(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            ": nobody that is trusted here has signed it; name its CA in tls_ca, or a node's in cluster.ca"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "; if that is whom you want, name it in tls_name",
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            ": it wants a certificate of ours; name one in tls_certificate and tls_key, or for nodes in [cluster]"
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => ": it does not know who signed our certificate",
        _ => "",
    }
}

/// A file of certificates or keys is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {what}", path.display())]
pub struct MaterialError {
    /// The key of the configuration, as `tls.certificate` or `carrier alpha: tls_ca`.
    pub key: String,
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub what: String,
}
