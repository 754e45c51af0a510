//! Sessions that talk to each other over bytes, split in every place; and files that are wrong in every way.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};

use super::{
    Certificate, ClientFiles, ClientTls, Guard, PeerFiles, ServerFiles, ServerTls, Session, TlsError,
};
use crate::net::limits::{TLS_INCOMING_BYTES_MAX, TLS_RECORD_BYTES};

/// A directory with a CA, and certificates that it has signed.
pub(crate) struct Papers {
    dir: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Papers {
    pub(crate) fn new() -> Self {
        Self::of("The judge's CA")
    }

    pub(crate) fn of(ca: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, ca);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let papers = Self { dir: tempfile::tempdir().unwrap(), ca };
        fs::write(papers.path("ca.pem"), papers.ca.pem()).unwrap();
        papers
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `NAME.pem` and `NAME.key` for this host.
    pub(crate) fn issue(&self, name: &str, host: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    pub(crate) fn server_files(&self, name: &str) -> ServerFiles {
        let file = |end: &str| self.path(&format!("{name}.{end}"));
        ServerFiles { certificate: file("pem"), key: file("key"), client_ca: None }
    }

    pub(crate) fn peer_files(&self, name: &str) -> PeerFiles {
        let file = |end: &str| self.path(&format!("{name}.{end}"));
        PeerFiles { certificate: file("pem"), key: file("key"), ca: self.path("ca.pem") }
    }

    pub(crate) fn client_files(&self, host: &str) -> ClientFiles {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        ClientFiles { name, ca: Some(self.path("ca.pem")), identity: None }
    }
}

/// Papers for `node.example`, and both sides' sessions.
fn pair() -> (Session, Session) {
    let papers = Papers::new();
    papers.issue("node", "node.example", |_| {});
    sessions(&papers, &papers.server_files("node"), &papers.client_files("node.example"))
}

fn sessions(_: &Papers, server: &ServerFiles, client: &ClientFiles) -> (Session, Session) {
    let server = ServerTls::load(server).unwrap().session(Guard::Tls).unwrap();
    (ClientTls::load("c", client).unwrap().session().unwrap(), server)
}

/// What a session sends now, with these bytes of its owner.
fn sealed(session: &mut Session, plain: &[u8]) -> Vec<u8> {
    let (mut plain, mut out) = (plain.to_vec(), Vec::new());
    session.seal(&mut plain, &mut out);
    let _ = session.sent(out.len());
    out
}

/// Carries bytes both ways, in pieces, until neither has more.
fn settle(one: &mut Session, other: &mut Session, piece: usize) -> Result<(), TlsError> {
    loop {
        let (there, back) = (sealed(one, b""), sealed(other, b""));
        if there.is_empty() && back.is_empty() {
            return Ok(());
        }
        there.chunks(piece).try_for_each(|piece| other.receive(piece))?;
        back.chunks(piece).try_for_each(|piece| one.receive(piece))?;
    }
}

fn shaken() -> (Session, Session) {
    let (mut client, mut server) = pair();
    settle(&mut client, &mut server, usize::MAX).unwrap();
    assert!(client.is_established() && server.is_established());
    (client, server)
}

#[test]
fn a_hand_shake_in_pieces_of_any_size_opens_both_sides() {
    for piece in [1, 2, 3, 5, 64, 1000, usize::MAX] {
        let (mut client, mut server) = pair();
        assert!(server.awaits_hello() && !client.awaits_hello());
        settle(&mut client, &mut server, piece).unwrap();
        assert!(client.is_established() && server.is_established() && !server.awaits_hello());
    }
}

#[test]
fn bytes_come_through_whole_wherever_their_records_are_cut() {
    let text = b"the first, and the second";
    let (mut client, mut server) = shaken();
    let length = sealed(&mut client, text).len();
    for cut in 0..=length {
        // Each time anew: records are numbered.
        let (mut client, mut server) = shaken();
        let bytes = sealed(&mut client, text);
        server.receive(&bytes[..cut]).unwrap();
        assert_eq!(server.has_opened(), cut == length);
        server.receive(&bytes[cut..]).unwrap();
        assert_eq!(server.take_opened(), text);
        let bytes = sealed(&mut server, text);
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        client.receive(first).unwrap();
        client.receive(second).unwrap();
        assert_eq!(client.take_opened(), text);
    }
    let _ = server.take_opened();
}

#[test]
fn many_records_in_one_receive_and_a_record_in_many_are_the_same_bytes() {
    let (mut client, mut server) = shaken();
    let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut bytes = sealed(&mut client, &text);
    bytes.extend(sealed(&mut client, b"end"));
    for piece in [1 << 20, 32 << 10, 16_408, 1000] {
        let (mut client, mut server) = shaken();
        let bytes = sealed(&mut client, &text);
        let mut got = Vec::new();
        for piece in bytes.chunks(piece) {
            server.receive(piece).unwrap();
            got.extend(server.take_opened());
        }
        assert!(got == text, "{} of {} bytes in pieces of {piece}", got.len(), text.len());
    }
    server.receive(&bytes).unwrap();
    assert!(server.take_opened().ends_with(b"end"));
}

#[test]
fn what_is_said_before_the_hand_shake_is_done_waits_for_it() {
    let (mut client, mut server) = pair();
    let (mut plain, mut out) = (b"early".to_vec(), Vec::new());
    client.seal(&mut plain, &mut out);
    assert_eq!(plain, b"early");
    server.receive(&out).unwrap();
    settle(&mut client, &mut server, usize::MAX).unwrap();
    let bytes = sealed(&mut client, &plain);
    server.receive(&bytes).unwrap();
    assert_eq!(server.take_opened(), b"early");
}

#[test]
fn plaintext_has_left_when_the_whole_of_its_record_has() {
    let (mut client, _server) = shaken();
    let (mut plain, mut out) = (vec![7; 2 * TLS_RECORD_BYTES + 10], Vec::new());
    client.seal(&mut plain, &mut out);
    let record = (out.len() - 2 * TLS_RECORD_BYTES - 10) / 3 + TLS_RECORD_BYTES;
    assert_eq!(client.sent(0), None);
    assert_eq!(client.sent(record - 1), None);
    assert_eq!(client.sent(record), Some(TLS_RECORD_BYTES as u64));
    assert_eq!(client.sent(2 * record - 1), None);
    assert_eq!(client.sent(out.len()), Some(2 * TLS_RECORD_BYTES as u64 + 10));
    let _ = sealed(&mut client, b"");
    assert_eq!(client.sent(0), None, "nothing more was in flight");
}

#[test]
fn an_end_is_said_behind_the_last_byte_and_nothing_is_read_behind_it() {
    let (mut client, mut server) = shaken();
    client.say_goodbye();
    assert!(client.outgoing_bytes() > 0);
    let bytes = sealed(&mut client, b"last words");
    assert_eq!(client.outgoing_bytes(), 0);
    server.receive(&bytes).unwrap();
    assert_eq!(server.take_opened(), b"last words");
    assert!(server.peer_has_ended() && server.take_peer_end() && !server.take_peer_end());
    server.receive(b"rubbish that nobody reads").unwrap();
    // The other direction goes on.
    let bytes = sealed(&mut server, b"I am still here");
    client.receive(&bytes).unwrap();
    assert_eq!(client.take_opened(), b"I am still here");
    assert!(!client.peer_has_ended());
}

#[test]
fn a_changed_record_ends_the_session_and_the_peer_is_told() {
    let (mut client, mut server) = shaken();
    let mut bytes = sealed(&mut client, b"true words");
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(server.receive(&bytes), Err(Error::DecryptError.into()));
    assert!(!server.has_opened());
    let alert = sealed(&mut server, b"");
    let error = client.receive(&alert).unwrap_err();
    assert_eq!(error.alert(), Some(AlertDescription::BadRecordMac));
}

#[test]
fn who_does_not_speak_tls_is_told_so_at_once() {
    let (mut client, mut server) = pair();
    assert_eq!(server.receive(b"GET / HTTP/1.1\r\n"), Err(TlsError::NotTls));
    assert_eq!(client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Err(TlsError::NotTls));
}

#[test]
fn a_hand_shake_without_end_is_bounded() {
    let (_, mut server) = pair();
    let mut result = Ok(());
    for _ in 0..TLS_INCOMING_BYTES_MAX / 1000 + 1 {
        result = result.and_then(|()| server.keep(&[22; 1000]));
    }
    assert!(matches!(result, Err(TlsError::TooMuch { .. })), "{result:?}");
}

#[test]
fn random_bytes_never_panic() {
    bolero::check!().with_iterations(300).for_each(|bytes: &[u8]| {
        let (mut client, mut server) = pair_of(&LASTING);
        let (_, _) = (client.receive(bytes), server.receive(bytes));
        let (_, _) = (sealed(&mut client, b"x"), sealed(&mut server, b"x"));
        let mut hello = sealed(&mut pair_of(&LASTING).0, b"");
        hello.extend_from_slice(bytes);
        let _ = server.receive(&hello);
        let _ = sealed(&mut server, b"y");
    });
}

static LASTING: std::sync::LazyLock<(ServerTls, ClientTls)> = std::sync::LazyLock::new(|| {
    let papers = Papers::new();
    papers.issue("node", "node.example", |_| {});
    let client = ClientTls::load("c", &papers.client_files("node.example")).unwrap();
    (ServerTls::load(&papers.server_files("node")).unwrap(), client)
});

fn pair_of(material: &(ServerTls, ClientTls)) -> (Session, Session) {
    (material.1.session().unwrap(), material.0.session(Guard::Tls).unwrap())
}

fn refused(change: impl FnOnce(&Papers, &mut ServerFiles, &mut ClientFiles)) -> (TlsError, Option<TlsError>) {
    let papers = Papers::new();
    papers.issue("node", "node.example", |_| {});
    let (mut server, mut client) = (papers.server_files("node"), papers.client_files("node.example"));
    change(&papers, &mut server, &mut client);
    let (mut client, mut server) = sessions(&papers, &server, &client);
    let error = settle(&mut client, &mut server, usize::MAX).unwrap_err();
    // Whoever has not failed hears why the other has.
    let (there, back) = (sealed(&mut client, b""), sealed(&mut server, b""));
    let heard = client.receive(&back).err().or_else(|| server.receive(&there).err());
    (error, heard)
}

#[test]
fn a_carrier_is_refused_for_its_name_its_date_and_its_signer() {
    let (error, heard) = refused(|_, _, client| {
        client.name = ServerName::try_from("other.example").unwrap();
    });
    assert!(
        error.to_string().contains("not valid for name \"other.example\"")
            && error.to_string().ends_with("tls_name"),
        "{error}"
    );
    assert_eq!(heard.and_then(|heard| heard.alert()), Some(AlertDescription::BadCertificate));
    let (error, _) = refused(|papers, _, _| {
        papers.issue("node", "node.example", |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        });
    });
    assert!(error.to_string().contains("certificate expired"), "{error}");
    let strangers = Papers::of("Somebody else's CA");
    let (error, _) = refused(|_, _, client| client.ca = Some(strangers.path("ca.pem")));
    assert_eq!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer).into());
    assert!(error.to_string().ends_with("name its CA in tls_ca, or a node's in cluster.ca"), "{error}");
}

#[test]
fn a_caller_needs_a_certificate_where_one_is_asked_for() {
    let with_ca = |papers: &Papers, server: &mut ServerFiles| server.client_ca = Some(papers.path("ca.pem"));
    let (error, heard) = refused(|papers, server, _| with_ca(papers, server));
    assert_eq!(error, Error::NoCertificatesPresented.into());
    let heard = heard.expect("the caller hears it");
    assert_eq!(heard.alert(), Some(AlertDescription::CertificateRequired));
    assert!(heard.to_string().contains("tls_certificate"), "{heard}");

    let papers = Papers::new();
    papers.issue("node", "node.example", |_| {});
    papers.issue("caller", "caller.example", |_| {});
    let (mut server, mut client) = (papers.server_files("node"), papers.client_files("node.example"));
    with_ca(&papers, &mut server);
    client.identity = Some((papers.path("caller.pem"), papers.path("caller.key")));
    let (mut client, mut server) = sessions(&papers, &server, &client);
    settle(&mut client, &mut server, usize::MAX).unwrap();
    assert!(server.is_established());
}

#[test]
fn a_wrong_file_is_named_with_what_is_wrong_in_it() {
    let papers = Papers::new();
    papers.issue("node", "node.example", |_| {});
    papers.issue("other", "other.example", |_| {});
    let said = |certificate: &str, key: &str| {
        let files =
            ServerFiles { certificate: papers.path(certificate), key: papers.path(key), client_ca: None };
        let said = ServerTls::load(&files).map(|_| ()).unwrap_err().to_string();
        said.replace(&format!("{}/", papers.path("").display()).replace("//", "/"), "")
    };
    assert_eq!(
        said("node.pem", "other.key"),
        "tls.key: other.key: this key is not that of the certificate in node.pem"
    );
    assert!(said("gone.pem", "node.key").starts_with("tls.certificate: gone.pem: cannot be read: "));
    assert!(said("node.key", "node.key").starts_with("tls.certificate: node.key: no certificate in it"));
    assert!(said("node.pem", "node.pem").starts_with("tls.key: node.pem: no private key in it"));
    fs::write(papers.path("cut.pem"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    assert!(said("cut.pem", "node.key").starts_with("tls.certificate: cut.pem: is not PEM"));
    let client =
        ClientFiles { ca: Some(Path::new("/nowhere").to_owned()), ..papers.client_files("a.example") };
    let said = ClientTls::load("alpha", &client).map(|_| ()).unwrap_err().to_string();
    assert!(said.starts_with("carrier alpha: tls_ca: /nowhere: cannot be read: "), "{said}");
}

#[test]
fn a_wrong_file_of_a_cluster_is_named_by_its_key() {
    let papers = Papers::new();
    papers.issue("node", "node.example", |_| {});
    let said = |change: &dyn Fn(&mut PeerFiles)| {
        let mut files = papers.peer_files("node");
        change(&mut files);
        let name = ServerName::try_from("node.example").unwrap();
        let member = ClientTls::load_member(&files, &name).map(|_| ()).unwrap_err().to_string();
        assert_eq!(ServerTls::load_peers(&files).map(|_| ()).unwrap_err().to_string(), member);
        member
    };
    let gone = || papers.path("gone.pem");
    assert!(said(&|files| files.certificate = gone()).starts_with("cluster.certificate: "));
    assert!(said(&|files| files.key = gone()).starts_with("cluster.key: "));
    assert!(said(&|files| files.ca = gone()).starts_with("cluster.ca: "));
}

#[test]
fn a_certificate_says_for_whom_and_until_when_it_is() {
    let papers = Papers::new();
    papers.issue("node", "node.example", |params| {
        params.subject_alt_names.push(rcgen::SanType::IpAddress("192.0.2.1".parse().unwrap()));
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
    });
    let certificate = ServerTls::load(&papers.server_files("node")).unwrap().certificate;
    assert_eq!(certificate.names, ["node.example", "192.0.2.1"]);
    assert_eq!(certificate.valid_until_text(), "2031-02-03T00:00:00Z");
    assert_eq!(certificate.valid_from_text(), "2020-01-01T00:00:00Z");
    let left = certificate.left(certificate.valid_until - core::time::Duration::from_secs(5));
    assert_eq!(left.as_secs(), 5);
    assert!(Certificate::read(&b"rubbish"[..].into()).is_err());
}
