//! From files to what sessions are made of. Read by the control thread, at start and by a reload, whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::{Certificate, ClientFiles, Guard, MaterialError, ServerFiles, Session, TlsError};

/// Where Debian and most others keep the roots that the system trusts.
pub(crate) const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What is agreed on for HTTP.
const ALPN_HTTP: &[u8] = b"http/1.1";

/// What the listeners' sessions begin with from now on.
#[derive(Clone, Debug)]
pub struct ServerTls {
    http: Arc<ServerConfig>,
    other: Arc<ServerConfig>,
    /// Our certificate.
    pub certificate: Certificate,
}

/// What the links' sessions to one carrier begin with from now on.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// Our certificate, when we have one for this carrier.
    pub certificate: Option<Certificate>,
}

impl ServerTls {
    /// Reads the files of a node's listeners.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load(files: &ServerFiles) -> Result<Self, MaterialError> {
        let identity = Identity::load("tls.certificate", "tls.key", &files.certificate, &files.key)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has ciphers of both versions");
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots("tls.client_ca", path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
                let failed = |error: &dyn std::error::Error| wrong("tls.client_ca", path, error.to_string());
                builder.with_client_cert_verifier(verifier.map_err(|error| failed(&error))?)
            }
        };
        let (chain, key, certificate) = (identity.chain, identity.key, identity.certificate);
        let mut other = builder
            .with_single_cert(chain, key)
            .map_err(|error| key_error("tls.key", &files.key, &files.certificate, &error))?;
        // Tickets alone: shards share nothing by them, and a caller may come back to any shard.
        other.session_storage = Arc::new(NoServerSessionStorage {});
        other.ticketer = ring::Ticketer::new()
            .map_err(|error| wrong("tls.key", &files.key, format!("no keys for tickets: {error}")))?;
        let mut http = other.clone();
        http.alpn_protocols = vec![ALPN_HTTP.to_vec()];
        Ok(Self { http: Arc::new(http), other: Arc::new(other), certificate })
    }

    /// A session for a caller of a guarded listener.
    pub(in crate::net) fn session(&self, guard: Guard) -> Result<Session, TlsError> {
        Session::server(if guard == Guard::TlsHttp { &self.http } else { &self.other })
    }
}

impl ClientTls {
    /// Reads the files for one carrier.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load(carrier: &str, files: &ClientFiles) -> Result<Self, MaterialError> {
        let key = |name: &str| format!("carrier {carrier}: {name}");
        let roots = match &files.ca {
            Some(path) => roots(&key("tls_ca"), path)?,
            None => roots(&key("tls_ca"), Path::new(SYSTEM_ROOTS))?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has ciphers of both versions")
            .with_root_certificates(roots);
        let mut own = None;
        let mut config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, private)) => {
                let keys = (key("tls_certificate"), key("tls_key"));
                let identity = Identity::load(&keys.0, &keys.1, certificate, private)?;
                own = Some(identity.certificate);
                builder
                    .with_client_auth_cert(identity.chain, identity.key)
                    .map_err(|error| key_error(&keys.1, private, certificate, &error))?
            }
        };
        // A link dials seldom, and each time the carrier shows again who it is.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name: files.name.clone(), certificate: own })
    }

    /// A session of a link that dials.
    pub(in crate::net) fn session(&self) -> Result<Session, TlsError> {
        Session::client(&self.config, &self.name)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A certificate with its chain and its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    certificate: Certificate,
}

impl Identity {
    fn load(
        certificate_word: &str,
        key_word: &str,
        certificate: &Path,
        key: &Path,
    ) -> Result<Self, MaterialError> {
        let chain = certificates(certificate_word, certificate)?;
        let first = Certificate::read(&chain[0]).map_err(|what| {
            wrong(certificate_word, certificate, format!("its first certificate cannot be read: {what}"))
        })?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
            let none = "no private key in it that can be read; expected PEM with PKCS#8, PKCS#1 or SEC1, without a passphrase";
            wrong(key_word, key, pem_words(&error, none))
        })?;
        Ok(Self { chain, key, certificate: first })
    }
}

/// At least one certificate.
fn certificates(word: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let none = "no certificate in it; expected PEM, -----BEGIN CERTIFICATE-----";
    let failed = |error: &pem::Error| wrong(word, path, pem_words(error, none));
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?.collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong(word, path, none.to_owned())),
        Ok(all) => Ok(all),
        Err(error) => Err(failed(&error)),
    }
}

/// Those who may have signed a peer's certificate. Of a system's file, what rustls cannot use is left out.
fn roots(word: &str, path: &Path) -> Result<RootCertStore, MaterialError> {
    let mut roots = RootCertStore::empty();
    let (taken, left_out) = roots.add_parsable_certificates(certificates(word, path)?);
    match taken {
        0 => Err(wrong(word, path, format!("none of its {left_out} certificates can be a root"))),
        _ => Ok(roots),
    }
}

/// The certificates of those who may have signed a server's certificate: at least one that can be a root.
///
/// # Errors
/// Which file is wrong, and how.
pub(crate) fn roots_of(word: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    roots(word, path)?;
    certificates(word, path)
}

fn key_error(word: &str, key: &Path, certificate: &Path, error: &Error) -> MaterialError {
    let what = match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            format!("this key is not that of the certificate in {}", certificate.display())
        }
        other => other.to_string(),
    };
    wrong(word, key, what)
}

fn pem_words(error: &pem::Error, none: &str) -> String {
    match error {
        pem::Error::NoItemsFound => none.to_owned(),
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        other => format!("is not PEM: {other}"),
    }
}

fn wrong(key: &str, path: &Path, what: String) -> MaterialError {
    MaterialError { key: key.to_owned(), path: PathBuf::from(path), what }
}
