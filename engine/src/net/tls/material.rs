//! From files to what sessions are made of. Read by the control thread, at start and by a reload, whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::{Certificate, ClientFiles, Guard, MaterialError, PeerFiles, ServerFiles, Session, TlsError};

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

/// What sessions to one carrier or member begin with from now on.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// Our certificate, when we have one to show there.
    pub certificate: Option<Certificate>,
}

impl ServerTls {
    /// Reads the files of a node's listeners.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load(files: &ServerFiles) -> Result<Self, MaterialError> {
        let ca = files.client_ca.as_deref().map(|path| ("tls.client_ca", path));
        let own = (files.certificate.as_path(), files.key.as_path());
        let (mut other, certificate) = server(["tls.certificate", "tls.key"], own, ca)?;
        other.ticketer = ring::Ticketer::new()
            .map_err(|error| wrong("tls.key", &files.key, format!("no keys for tickets: {error}")))?;
        let mut http = other.clone();
        http.alpn_protocols = vec![ALPN_HTTP.to_vec()];
        Ok(Self { http: Arc::new(http), other: Arc::new(other), certificate })
    }

    /// Reads the files of a node's listener for the other nodes of its cluster, all of which must show a certificate.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load_peers(files: &PeerFiles) -> Result<Self, MaterialError> {
        let ca = Some(("cluster.ca", files.ca.as_path()));
        let own = (files.certificate.as_path(), files.key.as_path());
        let (mut config, certificate) = server(["cluster.certificate", "cluster.key"], own, ca)?;
        // They call seldom, and each time they show again who they are.
        config.send_tls13_tickets = 0;
        let config = Arc::new(config);
        Ok(Self { http: Arc::clone(&config), other: config, certificate })
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
        Self::load_with([key("tls_ca"), key("tls_certificate"), key("tls_key")], files)
    }

    /// Reads the files for one member of a cluster, whose certificate must carry this name.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load_member(files: &PeerFiles, name: &ServerName<'static>) -> Result<Self, MaterialError> {
        let words = ["cluster.ca", "cluster.certificate", "cluster.key"].map(str::to_owned);
        let identity = Some((files.certificate.clone(), files.key.clone()));
        Self::load_with(words, &ClientFiles { name: name.clone(), ca: Some(files.ca.clone()), identity })
    }

    /// The same for a server with another name.
    #[must_use]
    pub fn named(&self, name: ServerName<'static>) -> Self {
        Self { config: Arc::clone(&self.config), name, certificate: self.certificate.clone() }
    }

    /// The same, with the words for the three files.
    fn load_with(
        [ca_word, certificate_word, key_word]: [String; 3],
        files: &ClientFiles,
    ) -> Result<Self, MaterialError> {
        let roots = roots(&ca_word, files.ca.as_deref().unwrap_or_else(|| Path::new(SYSTEM_ROOTS)))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has ciphers of both versions")
            .with_root_certificates(roots);
        let mut own = None;
        let mut config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, private)) => {
                let identity = Identity::load(&certificate_word, &key_word, certificate, private)?;
                own = Some(identity.certificate);
                builder
                    .with_client_auth_cert(identity.chain, identity.key)
                    .map_err(|error| key_error(&key_word, private, certificate, &error))?
            }
        };
        // Whoever dials does it seldom, and each time it is shown again who answers.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name: files.name.clone(), certificate: own })
    }

    /// The name that must be in the certificate of whoever answers.
    #[must_use]
    pub const fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// A session of the side that dials.
    pub(in crate::net) fn session(&self) -> Result<Session, TlsError> {
        Session::client(&self.config, &self.name)
    }
}

/// What shows a certificate to those who call, and asks them for theirs where a CA is named.
fn server(
    [certificate_word, key_word]: [&str; 2],
    (certificate, key): (&Path, &Path),
    ca: Option<(&str, &Path)>,
) -> Result<(ServerConfig, Certificate), MaterialError> {
    let identity = Identity::load(certificate_word, key_word, certificate, key)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers of both versions");
    let builder = match ca {
        None => builder.with_no_client_auth(),
        Some((word, path)) => {
            let roots = Arc::new(roots(word, path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            let failed = |error: &dyn std::error::Error| wrong(word, path, error.to_string());
            builder.with_client_cert_verifier(verifier.map_err(|error| failed(&error))?)
        }
    };
    let mut config = builder
        .with_single_cert(identity.chain, identity.key)
        .map_err(|error| key_error(key_word, key, certificate, &error))?;
    // Shards share nothing by sessions that they keep, and a caller may come back to any shard.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok((config, identity.certificate))
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
