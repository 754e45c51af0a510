//! TLS of the hot sockets: what a connection's session is, what it is made of, and what can go wrong.
//!
//! It lies between the ring and whoever owns a connection ([`super::Sockets`] holds a [`session::Session`] where there is one), so that
//! customers and links see plain bytes. The material (certificates, keys, roots) is read by the control thread and handed
//! to the shards as a whole; a session keeps what it began with. Why it is as it is: docs/adr/0012-tls.md.

mod certificate;
mod error;
mod material;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;

use rustls::pki_types::ServerName;

pub use certificate::Certificate;
pub use error::{MaterialError, TlsError, alert_words};
pub use material::{ClientTls, ServerTls};
pub(crate) use material::{SYSTEM_ROOTS, roots_of};

pub(super) use session::Session;

/// What is spoken on a listener below its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Nothing.
    Plain,
    /// TLS.
    Tls,
    /// TLS, and HTTP/1.1 is agreed on in its hand-shake (RFC 7301).
    TlsHttp,
    /// TLS between the nodes of a cluster: the caller shows a certificate too.
    TlsPeer,
}

/// The files by which this node shows who it is to those who call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// PEM: the certificate, and those that lead to its root.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: who may have signed the certificate of a caller, which every caller then needs.
    pub client_ca: Option<PathBuf>,
}

/// The files by which the nodes of a cluster know each other: each shows its own certificate, as caller and as called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFiles {
    /// PEM: this node's certificate, and those that lead to its root.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: who may have signed the certificates of the other nodes.
    pub ca: PathBuf,
}

/// How a carrier is known, and this node by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The name that must be in the carrier's certificate.
    pub name: ServerName<'static>,
    /// PEM: who may have signed it; `None`: whom the system trusts.
    pub ca: Option<PathBuf>,
    /// PEM: the certificate and the key by which this node shows who it is, to a carrier that asks.
    pub identity: Option<(PathBuf, PathBuf)>,
}
