//! TLS of the built daemon: customers of each protocol, carriers, certificates that change, and whoever speaks the wrong language.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bound::Customer;
use crate::carrier::Carrier;
use crate::customer::Lasting;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http;
use crate::operator::{asked, complaint, printed, text_of};
use crate::pdu::BIND_TRANSCEIVER;
use crate::tunnel::{Asks, HOST, Papers, Shown, guarded, into_tls, out_of_tls, port, ports};

/// A daemon that says nothing for so long is broken.
const SILENCE: Duration = Duration::from_secs(30);
const TO: &str = "+4915112345678";

/// What curl says: its exit status, and what it printed.
fn curl(papers: &Papers, url: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(papers.path("ca.pem"));
    let output = command.args(more).arg(url).output().expect("curl is there");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let metrics = http::get(daemon.http, "/metrics", None).expect("it takes requests").body;
    let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Shards show their numbers now and then.
fn until_counted(daemon: &mut Daemon, name: &str, count: u64) {
    let http = daemon.http;
    daemon.until(&format!("{name} is {count} or more"), || {
        let metrics = http::get(http, "/metrics", None).expect("it takes requests").body;
        let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let all: u64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        (all >= count).then_some(())
    });
}

/// Every protocol once, over TLS.
fn customers_are_served(setup: &Setup, daemon: &mut Daemon, papers: &Papers) {
    // First, so that it is told of its own message alone.
    let mut customer = Customer::bind(into_tls(port(setup, "smpp_tls"), papers.client()), BIND_TRANSCEIVER);
    let id = customer.submit("over SMPP", 1);
    assert_eq!(customer.receipt(), id);
    customer.unbind();

    let https = port(setup, "https");
    let body = json!({"to": TO, "text": "over HTTPS"}).to_string();
    let bearer = format!("Authorization: Bearer {KEY}");
    let (status, said) = curl(papers, &format!("https://{https}/v1/messages"), &["-H", &bearer, "-d", &body]);
    assert_eq!(status, Some(0), "{said}");
    let answer: Value = serde_json::from_str(&said).expect("an answer");
    daemon.delivered(answer["id"].as_str().expect("an id"));

    let native = into_tls(port(setup, "native_tls"), papers.client());
    let mut session = Lasting::open(native, &Setup::credentials()).expect("the key lets us in");
    assert!(session.is_answered());
    let told: Vec<u16> = session.ports().to_vec();
    let shards = ports(setup, "native_tls_shards");
    assert_eq!(told, shards.iter().map(SocketAddr::port).collect::<Vec<_>>(), "those of TLS");
    for shard in shards {
        let mut session = Lasting::open(into_tls(shard, papers.client()), &Setup::credentials());
        assert!(session.as_mut().is_some_and(Lasting::is_answered), "{shard}");
    }
}

#[test]
fn customers_of_each_protocol_are_served_over_tls_and_by_a_carrier_over_tls() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(dir.path());
    papers.issue("carrier", "smpp.carrier.example", |_| {});
    papers.issue("us", "us.example", |_| {});
    let shown: Shown = Arc::new(Mutex::new(papers.server("carrier", Asks::Certificate)));
    let address = out_of_tls(carrier.address(), &shown);
    let file = |name: &str| papers.path(name).display().to_string();
    let setup = guarded(Setup::new(dir.path(), address), &papers).with_line(
        &format!(
            "tls = true\ntls_name = \"smpp.carrier.example\"\ntls_ca = {:?}\ntls_certificate = {:?}\ntls_key = {:?}",
            file("ca.pem"),
            file("us.pem"),
            file("us.key")
        ),
        "system_id = ",
    );
    let mut daemon = setup.start();
    customers_are_served(&setup, &mut daemon, &papers);
    assert_eq!(carrier.seen().len(), 2);
    let metrics = http::get(daemon.http, "/metrics", None).expect("it takes requests").body;
    for of in ["listen", "carrier reliable"] {
        let line = format!("switchyard_tls_certificate_expires_seconds{{certificate=\"{of}\"}} ");
        assert!(metrics.contains(&line), "no {line:?} in\n{metrics}");
    }
    until_counted(&mut daemon, "switchyard_tls_handshakes_total", 5);
    assert_eq!(metric(&daemon, "switchyard_tls_handshakes_failed_total"), 0);
    assert_eq!(metric(&daemon, "switchyard_tls_broken_total"), 0);
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

#[test]
fn bytes_that_come_in_pieces_and_late_are_the_same_over_tls() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(dir.path());
    papers.issue("carrier", HOST, |_| {});
    let shown: Shown = Arc::new(Mutex::new(papers.server("carrier", Asks::Nothing)));
    let address = out_of_tls(carrier.address(), &shown);
    let ca = papers.path("ca.pem").display().to_string();
    let setup = guarded(Setup::new(dir.path(), address), &papers)
        .with_line(&format!("tls = true\ntls_ca = {ca:?}"), "system_id = ")
        .with_faults("seed = 11\n[sockets]\nsplit = 40\nstall_every = 20\nstall_ms = 2\n");
    let mut daemon = setup.start();
    customers_are_served(&setup, &mut daemon, &papers);
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

#[test]
fn a_certificate_is_changed_while_a_session_goes_on_and_a_wrong_one_is_not_taken() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(dir.path());
    let setup = guarded(Setup::new(dir.path(), carrier.address()), &papers);
    let mut daemon = setup.start();
    let native = port(&setup, "native_tls");
    let mut session =
        Lasting::open(into_tls(native, papers.client()), &Setup::credentials()).expect("let in");
    let health = format!("https://{}/healthz", port(&setup, "https"));
    assert_eq!(curl(&papers, &health, &[]).0, Some(0));

    // Another CA, whose certificate the old clients do not take.
    let other_dir = dir.path().join("other");
    std::fs::create_dir(&other_dir).expect("a directory of ours");
    let other = Papers::new(&other_dir);
    let year = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2068, 2, 3);
    other.issue("node", HOST, year);
    std::fs::copy(other.path("node.pem"), papers.path("node.pem")).expect("a file of ours");
    let data = setup.data();
    let reload = || complaint(&["ctl", "--data", text_of(&data), "reload"], 1);
    let words = reload();
    assert!(words.contains("tls.key: ") && words.contains("is not that of the certificate"), "{words}");
    assert_eq!(curl(&papers, &health, &[]).0, Some(0), "the old one goes on");
    std::fs::copy(other.path("node.key"), papers.path("node.key")).expect("a file of ours");
    let told = asked(&setup, &["reload"]);
    let expected = json!(["tls: another certificate of listen, good until 2068-02-03T00:00:00Z"]);
    assert_eq!((&told["applied"], &told["needs_restart"]), (&expected, &json!([])), "{told}");
    assert_eq!(curl(&papers, &health, &[]).0, Some(60), "curl does not take the new one");
    assert_eq!(curl(&other, &health, &[]).0, Some(0));
    assert!(session.is_answered(), "a session that was there goes on");
    std::fs::remove_file(papers.path("node.pem")).expect("a file of ours");
    assert!(reload().contains("node.pem: cannot be read"));
    assert_eq!(curl(&other, &health, &[]).0, Some(0));
    let metrics = http::get(daemon.http, "/metrics", None).expect("it takes requests").body;
    // 2068-02-03, in seconds since 1970.
    let line = "switchyard_tls_certificate_expires_seconds{certificate=\"listen\"} 3095452800.0\n";
    assert!(metrics.contains(line), "{metrics}");
    until_counted(&mut daemon, "switchyard_tls_handshakes_failed_total", 1);
}

#[test]
fn a_start_and_a_check_read_the_files() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(dir.path());
    let setup = guarded(Setup::new(dir.path(), carrier.address()), &papers);
    let file = setup.file();
    let told = printed(&["check", text_of(&file)]);
    assert!(told.contains("listen       127.0.0.1") && told.contains("4096-01-01T00:00:00Z"), "{told}");
    papers.issue("node", HOST, |params| params.not_after = rcgen::date_time_ymd(2020, 2, 3));
    let told = printed(&["check", text_of(&file)]);
    assert!(told.contains("the certificate of listen is expired since 2020-02-03T00:00:00Z"), "{told}");
    std::fs::copy(papers.path("ca.pem"), papers.path("node.pem")).expect("a file of ours");
    assert!(complaint(&["check", text_of(&file)], 2).contains("is not that of the certificate"));
    let (status, words) = setup.refusal();
    assert_eq!(status.code(), Some(2), "{words}");
    assert!(words.contains("switchyard: tls.key: "), "{words}");
}

#[test]
fn whoever_speaks_the_wrong_language_is_told_or_closed_at_once_and_counted() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(dir.path());
    let setup = guarded(Setup::new(dir.path(), carrier.address()), &papers);
    let mut daemon = setup.start();
    let answer = http::get(port(&setup, "https"), "/healthz", None).expect("an answer in plain words");
    assert_eq!((answer.status, answer.body.trim()), (400, "This port speaks HTTPS: use https://"));
    for listener in ["native_tls", "smpp_tls"] {
        let mut stream = TcpStream::connect(port(&setup, listener)).expect("it listens");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket of ours");
        stream.write_all(&[0; 16]).expect("it reads");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).expect("it closes");
        assert!(said.is_empty(), "{said:?}");
    }
    until_counted(&mut daemon, "switchyard_tls_plain_total", 3);
    until_counted(&mut daemon, "switchyard_tls_handshakes_failed_total", 3);
    daemon.until_said("handshake-failed");
    let (status, said) = curl(&papers, &format!("https://{}/healthz", daemon.http), &[]);
    assert_eq!(status, Some(35), "{said}");
    for plain in [daemon.native, daemon.smpp()] {
        assert_ne!(curl(&papers, &format!("https://{plain}/"), &[]).0, Some(0));
    }
    until_counted(&mut daemon, "switchyard_tls_unexpected_total", 3);
    daemon.until_said("unexpected-tls");
    // Who says nothing at all is not waited for by others, and who goes in the middle of a hand-shake is gone.
    let silent = TcpStream::connect(port(&setup, "https")).expect("it listens");
    let mut cut = TcpStream::connect(port(&setup, "https")).expect("it listens");
    cut.write_all(&[22, 3, 1, 2, 0, 1]).expect("it reads");
    drop(cut);
    until_counted(&mut daemon, "switchyard_tls_handshakes_failed_total", 4);
    customers_are_served(&setup, &mut daemon, &papers);
    drop(silent);
}

#[test]
fn a_carrier_whose_certificate_is_wrong_is_not_bound_to_and_links_say_why() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(dir.path());
    papers.issue("other", "other.example", |_| {});
    papers.issue("expired", HOST, |params| params.not_after = rcgen::date_time_ymd(2020, 2, 3));
    papers.issue("good", HOST, |_| {});
    let stranger_dir = dir.path().join("stranger");
    std::fs::create_dir(&stranger_dir).expect("a directory of ours");
    let stranger = Papers::new(&stranger_dir);
    stranger.issue("good", HOST, |_| {});
    let shown: Shown = Arc::new(Mutex::new(papers.server("other", Asks::Nothing)));
    let address = out_of_tls(carrier.address(), &shown);
    let ca = papers.path("ca.pem").display().to_string();
    let setup =
        Setup::new(dir.path(), address).with_line(&format!("tls = true\ntls_ca = {ca:?}"), "system_id = ");
    let mut daemon = setup.start();
    let mut until = |words: &str| {
        daemon.until(words, || asked(&setup, &["links"]).to_string().contains(words).then_some(()));
    };
    until("the connection could not be made: invalid peer certificate: certificate not valid for name");
    let show = |config| *shown.lock().expect("nobody panics") = config;
    show(papers.server("expired", Asks::Nothing));
    until("certificate expired");
    show(stranger.server("good", Asks::Nothing));
    until("invalid peer certificate: ");
    show(papers.server("good", Asks::Certificate));
    // That it wants one of ours comes behind the hand-shake in TLS 1.3, and may be lost with the connection.
    until("lost");
    show(papers.server("good", Asks::Nothing));
    until("\"state\":\"up\"");
    daemon.until_said("name it in tls_name");
    let id = http::post(daemon.http, "/v1/messages", KEY, &json!({"to": TO, "text": "at last"}));
    let id = id.expect("it takes requests").json()["id"].as_str().expect("an id").to_owned();
    daemon.delivered(&id);
}
