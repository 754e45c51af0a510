//! Connections between nodes: each side shows a certificate, and the other can ask whose it is.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::*;
use crate::net::tls::tests::Papers;
use crate::net::tls::{ClientTls, ServerTls, TlsError};

/// The owner's number of the only connection that a test dials.
const DIALLED: u64 = 9;

fn name(host: &str) -> ServerName<'static> {
    ServerName::try_from(host.to_owned()).unwrap()
}

/// What came of a call at a listener for nodes.
#[derive(Debug, Default)]
struct Met {
    /// Who was heard by the side that was called, and who by the side that has dialled.
    heard: Vec<(ConnId, bool)>,
    /// Why the side that was called knows of nobody.
    refused: Option<TlsError>,
    /// Why the side that has dialled knows of nobody, or heard an end.
    failed: Option<String>,
}

/// Dials a listener for nodes on the same shard, and lets `ask` look at the connections once both sides have theirs or
/// one is refused.
fn meet<T: Send + 'static>(
    server: Option<ServerTls>,
    client: ClientTls,
    ask: impl Fn(&mut ShardIo, Met) -> T + Send + Sync + 'static,
) -> T {
    let ask = Arc::new(ask);
    on_shard(None, move |mut io| {
        let (server, client, ask) = (server.clone(), client.clone(), Arc::clone(&ask));
        async move {
            io.secure_peers(server);
            let address = io.listen(ANYWHERE, TAG, Guard::TlsPeer).unwrap();
            io.connect(address, DIALLED, Some(&client)).unwrap();
            let mut met = Met::default();
            while met.heard.len() < 2 && (met.refused.is_none() || met.failed.is_none()) {
                io.turn().unwrap();
                while let Some(event) = io.poll() {
                    match event {
                        Event::Socket(SocketEvent::Accepted { conn, .. }) => met.heard.push((conn, true)),
                        Event::Socket(SocketEvent::Connected { conn, tag }) => {
                            assert_eq!(tag, DIALLED);
                            met.heard.push((conn, false));
                        }
                        Event::Socket(SocketEvent::HandshakeFailed { error, .. }) => {
                            met.refused = Some(error)
                        }
                        Event::Socket(SocketEvent::ConnectFailed { error, .. }) => {
                            met.failed = Some(error.to_string());
                        }
                        // With TLS 1.3 who dials is through before the other has looked at its certificate.
                        Event::Socket(SocketEvent::Closed { reason, .. }) => {
                            met.failed = Some(format!("{reason:?}"));
                        }
                        _ => {}
                    }
                }
                io.park(Some(Duration::from_secs(20)), || false).await.unwrap();
            }
            ask(&mut io, met)
        }
    })
}

/// Papers of two nodes, `sin` and `fra`.
fn papers() -> Papers {
    let papers = Papers::new();
    papers.issue("sin", "sin.example", |_| {});
    papers.issue("fra", "fra.example", |_| {});
    papers
}

#[test]
fn each_side_of_a_connection_between_nodes_can_be_asked_whose_certificate_it_has_shown() {
    let papers = papers();
    let server = ServerTls::load_peers(&papers.peer_files("fra")).unwrap();
    let client = ClientTls::load_member(&papers.peer_files("sin"), &name("fra.example")).unwrap();
    let gone = meet(Some(server), client, |io, met| {
        assert_eq!(met.heard.len(), 2, "{met:?}");
        for (conn, was_called) in met.heard {
            let (other, own) = ("sin.example", "fra.example");
            let (other, own) = if was_called { (other, own) } else { (own, other) };
            assert!(io.peer_is_named(conn, &name(other)) && !io.peer_is_named(conn, &name(own)));
            assert!(!io.peer_is_named(conn, &name("example")));
            io.close(conn, How::Now);
            assert!(!io.peer_is_named(conn, &name(other)), "what is closed has no peer");
        }
        io.tls_counts().handshakes
    });
    assert_eq!(gone, 2);
}

#[test]
fn who_shows_no_certificate_or_a_strangers_is_refused_by_the_node_that_it_calls() {
    let papers = papers();
    let server = || Some(ServerTls::load_peers(&papers.peer_files("fra")).unwrap());
    let none = ClientTls::load("c", &papers.client_files("fra.example")).unwrap();
    let refused = meet(server(), none, |_, met| met.refused);
    assert!(refused.is_some_and(|error| error.to_string().contains("no certificates")));
    let strangers = Papers::of("Somebody else's CA");
    strangers.issue("sin", "sin.example", |_| {});
    let mut files = strangers.peer_files("sin");
    files.ca = papers.path("ca.pem");
    let stranger = ClientTls::load_member(&files, &name("fra.example")).unwrap();
    let refused = meet(server(), stranger, |_, met| met.refused);
    assert!(refused.is_some_and(|error| error.to_string().contains("UnknownIssuer")));
}

#[test]
fn a_node_that_is_not_the_one_that_was_dialled_is_refused_by_its_caller() {
    let papers = papers();
    let server = ServerTls::load_peers(&papers.peer_files("fra")).unwrap();
    let client = ClientTls::load_member(&papers.peer_files("sin"), &name("iad.example")).unwrap();
    let failed = meet(Some(server), client, |_, met| met.failed);
    assert!(failed.is_some_and(|error| error.contains("not valid for name \"iad.example\"")));
}

#[test]
fn customers_material_serves_no_node_and_a_plain_connection_has_no_name() {
    let papers = papers();
    let client = ClientTls::load_member(&papers.peer_files("sin"), &name("fra.example")).unwrap();
    let refused = meet(None, client, |_, met| met.refused);
    assert_eq!(refused, Some(TlsError::Closed));
    on_shard(None, |mut io| async move {
        let address = io.listen(ANYWHERE, TAG, Guard::Plain).unwrap();
        io.connect(address, DIALLED, None).unwrap();
        run(&mut io, |io, told| match told {
            Told::Accepted(conn) => {
                assert!(!io.peer_is_named(conn, &name("sin.example")));
                false
            }
            _ => true,
        })
        .await;
    });
}
