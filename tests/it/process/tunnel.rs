//! TLS for those of the judge's customers and carriers that speak plainly: a tunnel on loopback, with rustls at its guarded end; and the
//! papers that both sides show.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};

use crate::daemon::Setup;

/// How long one direction is listened to before the other has its turn.
const TURN: Duration = Duration::from_millis(1);

/// Where everybody in these tests is.
pub(crate) const HOST: &str = "127.0.0.1";

/// A CA and what it has signed, as files in a test's directory.
pub(crate) struct Papers {
    dir: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Papers {
    /// A CA in `DIR/ca.pem`.
    pub(crate) fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        let name = format!("The CA of {}", dir.display());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        let papers = Self { dir: dir.to_owned(), ca: ca.expect("a CA") };
        papers.write("ca.pem", &papers.ca.pem());
        papers
    }

    /// `NAME.pem` and `NAME.key` for a host.
    pub(crate) fn issue(&self, name: &str, host: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a host's name");
        params.distinguished_name.push(DnType::CommonName, host);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.ca).expect("a certificate");
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a temporary directory can be written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// For those who show `NAME.pem`; `client_ca`: and ask callers for a certificate of this CA.
    pub(crate) fn server(&self, name: &str, asks: Asks) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("both versions");
        let builder = match asks {
            Asks::Nothing => builder.with_no_client_auth(),
            Asks::Certificate => {
                let provider = Arc::new(ring::default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a CA"))
            }
        };
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).expect("its key");
        Arc::new(builder.with_single_cert(self.chain(name), key).expect("they fit"))
    }

    /// For those who trust this CA alone.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("both versions");
        Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.chain("ca"));
        roots
    }

    fn chain(&self, name: &str) -> Vec<CertificateDer<'static>> {
        let file = self.path(&format!("{name}.pem"));
        CertificateDer::pem_file_iter(file).expect("it was issued").map(|der| der.expect("PEM")).collect()
    }
}

/// Listeners of TLS beside the plain ones, with the papers of `node`.
pub(crate) fn guarded(setup: Setup, papers: &Papers) -> Setup {
    papers.issue("node", HOST, |_| {});
    let file = |name: &str| papers.path(name).display().to_string();
    setup
        .with_smpp()
        .with_line(
            "https = \"127.0.0.1:0\"\nnative_tls = \"127.0.0.1:0\"\nsmpp_tls = \"127.0.0.1:0\"",
            "native =",
        )
        .with(
            "[classes.transactional]",
            &format!(
                "[tls]\ncertificate = {:?}\nkey = {:?}\n[classes.transactional]",
                file("node.pem"),
                file("node.key")
            ),
        )
}

/// A line of `DIR/ports`.
pub(crate) fn ports(setup: &Setup, name: &str) -> Vec<SocketAddr> {
    let text = fs::read_to_string(setup.data().join("ports")).expect("it serves");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}")).trim();
    let addresses = line.trim_matches(['[', ']']).split(", ");
    addresses.map(|address| address.trim_matches('"').parse().expect("an address")).collect()
}

/// The first address of that line.
pub(crate) fn port(setup: &Setup, name: &str) -> SocketAddr {
    ports(setup, name)[0]
}

/// What a server asks of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Nothing,
    Certificate,
}

/// A plain address whose callers arrive at `guarded` over TLS.
pub(crate) fn into_tls(guarded: SocketAddr, config: Arc<ClientConfig>) -> SocketAddr {
    listen(move |plain| {
        let name = ServerName::try_from(HOST).expect("an address");
        let tls = TcpStream::connect(guarded)?;
        let session = ClientConnection::new(Arc::clone(&config), name).map_err(io::Error::other)?;
        pump(plain, tls, session.into())
    })
}

/// What a guarded end shows; it may be changed, for callers from then on.
pub(crate) type Shown = Arc<Mutex<Arc<ServerConfig>>>;

/// An address with TLS whose callers arrive at `plain`.
pub(crate) fn out_of_tls(plain: SocketAddr, shown: &Shown) -> SocketAddr {
    let shown = Arc::clone(shown);
    listen(move |tls| {
        let config = Arc::clone(&shown.lock().expect("nobody panics while it is changed"));
        let mut session: Connection = ServerConnection::new(config).map_err(io::Error::other)?.into();
        // Nobody arrives whose hand-shake was not done.
        let mut tls = tls;
        while session.is_handshaking() {
            session.complete_io(&mut tls)?;
        }
        pump(TcpStream::connect(plain)?, tls, session)
    })
}

fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((HOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || {
                if let Err(error) = serve(stream) {
                    println!("tunnel: {error}");
                }
            });
        }
    });
    address
}

/// Carries bytes both ways until both sides have ended or one is gone.
fn pump(mut plain: TcpStream, mut tls: TcpStream, mut session: Connection) -> io::Result<()> {
    for socket in [&plain, &tls] {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TURN))?;
    }
    let mut bytes = vec![0; 64 << 10];
    let (mut plain_ended, mut tls_ended) = (false, false);
    while !(plain_ended && tls_ended) {
        if !tls_ended {
            match session.read_tls(&mut tls) {
                Err(error) if is_silence(&error) => {}
                count => tls_ended = count? == 0,
            }
            let state = session.process_new_packets().map_err(|error| {
                // The peer learns why.
                let _ = session.write_tls(&mut tls);
                io::Error::other(error)
            })?;
            tls_ended |= state.peer_has_closed();
            let mut opened = vec![0; state.plaintext_bytes_to_read()];
            session.reader().read_exact(&mut opened)?;
            plain.write_all(&opened)?;
            if tls_ended {
                plain.shutdown(Shutdown::Write)?;
            }
        }
        if !plain_ended {
            match plain.read(&mut bytes) {
                Err(error) if is_silence(&error) => {}
                Ok(0) => {
                    plain_ended = true;
                    session.send_close_notify();
                }
                count => session.writer().write_all(&bytes[..count?])?,
            }
        }
        while session.wants_write() {
            session.write_tls(&mut tls)?;
        }
        if plain_ended {
            let _ = tls.shutdown(Shutdown::Write);
        }
    }
    Ok(())
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
