//! Other people's programs as customers over SMPP: Python's `smpplib`, and Debian's Kannel with its receipts.
//!
//! The carrier is npm's, so that what it decodes was encoded by nobody of ours on either side.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use wire::smpp::Sm;

use crate::analyser::analyse;
use crate::daemon::{Process, Setup, temporary_dir};
use crate::differences::agree;
use crate::http;
use crate::programs::root;
use crate::recorder::{Recorder, Side};
use crate::{events_of, received, start_peer, texts};

#[test]
fn pythons_smpplib_submits_and_is_told_and_the_analyser_finds_nothing_wrong() {
    let dir = temporary_dir();
    let (mut carrier, address) = start_peer(&[]);
    let daemon = Setup::new(dir.path(), address).with_smpp().start();
    let recorder = Recorder::start(daemon.smpp());
    let texts = texts();
    let mut command = Command::new(root().join("target/peers/python/bin/python"));
    let port = recorder.address().port().to_string();
    command.arg(root().join("tests/peers/customer.py")).args(["127.0.0.1", &port, "judge", "secret12"]);
    command.args(&texts);
    let mut customer = Process::spawn(command);
    let status = customer.wait();
    let said = customer.log();
    assert!(status.success(), "`tests/run peers` installs smpplib; it ended with {status}:\n{said}");
    let events = events_of(&said);
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!(of("bound")[0]["to"], "switchyard");
    let answers = of("answer");
    assert!(answers.len() > texts.len(), "long texts have parts: {said}");
    // Each text has one id, whatever its parts, and each id has one receipt.
    let ids: BTreeMap<u64, &str> = answers
        .iter()
        .map(|answer| (answer["number"].as_u64().expect("a number"), answer["id"].as_str().expect("an id")))
        .collect();
    for answer in &answers {
        assert_eq!(answer["status"], 0, "{answer}");
        assert_eq!(answer["id"], ids[&answer["number"].as_u64().expect("a number")], "{answer}");
    }
    let mut told: Vec<&str> = of("receipt").iter().filter_map(|receipt| receipt["id"].as_str()).collect();
    told.sort_unstable();
    let mut expected: Vec<&str> = ids.values().copied().collect();
    expected.sort_unstable();
    assert_eq!(told, expected, "{said}");
    for receipt in of("receipt") {
        let about = ["state", "esm_class", "source", "destination"].map(|field| receipt[field].to_string());
        assert_eq!(about, ["2", "4", "\"4915112345678\"", "\"Python\""], "{receipt}");
        let text = receipt["text"].as_str().expect("a text");
        assert!(text.contains(" stat:DELIVRD err:000 "), "{text}");
    }
    assert_eq!(of("unbound").len(), 1, "{said}");

    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    assert_eq!(delivered(&mut carrier), texts.iter().cloned().map(|text| (text, 1)).collect());
    let analysis = analyse(dir.path(), &recorder.capture());
    assert_eq!(analysis.complaints, Vec::<String>::new());
    for command in [0x09, 0x8000_0009, 0x04, 0x8000_0004, 0x05, 0x8000_0005, 0x06, 0x8000_0006] {
        assert!(analysis.pdus.contains_key(&command), "no PDU {command:#x} passed: {:?}", analysis.pdus);
    }
    assert_eq!(analysis.pdus[&0x04], analysis.pdus[&0x8000_0004], "each part is answered");
    let ends = |coding: u8, is_cut: fn(&[u8]) -> bool| {
        let pdus = recorder.pdus();
        let sent = pdus.iter().filter(|(side, pdu)| *side == Side::Daemon && pdu[4..8] == [0, 0, 0, 4]);
        let texts = sent.map(|(_, pdu)| Sm::decode(&pdu[16..]).expect("a message"));
        texts.into_iter().any(|sm| sm.data_coding.0 == coding && is_cut(sm.short_message))
    };
    let surrogate = |text: &[u8]| matches!(text, [.., high, _] if high & 0xFC == 0xD8);
    agree(
        "`smpplib`, customer",
        &[
            ("smpplib-cuts-escapes", ends(0, |text| text.ends_with(&[0x1B]))),
            ("smpplib-cuts-surrogates", ends(8, surrogate)),
        ],
    );
}

#[test]
fn kannel_submits_and_hands_the_receipts_on_and_the_analyser_finds_nothing_wrong() {
    let dir = temporary_dir();
    let (mut carrier, address) = start_peer(&[]);
    let daemon = Setup::new(dir.path(), address).with_smpp().start();
    let recorder = Recorder::start(daemon.smpp());
    let reports = Reports::start();
    let [admin, boxes, sendsms] = free_ports();
    let configuration = dir.path().join("kannel.conf");
    let text = kannel(recorder.address().port(), admin, boxes, sendsms);
    fs::write(&configuration, text).expect("a temporary directory can be written");
    let mut bearerbox = kannel_box("/usr/sbin/bearerbox", &configuration);
    bearerbox.until("Kannel's bearerbox is bound", |_| {
        let status = http::get(at(admin), "/status.txt?password=secret", None).ok()?;
        status.body.contains("(online").then_some(())
    });
    let mut smsbox = kannel_box("/usr/sbin/smsbox", &configuration);
    // It takes requests before it can serve them, and crashes over one.
    smsbox.until("the smsbox has its bearerbox", |log| log.contains("Connected to bearerbox").then_some(()));
    let texts = texts();
    for (number, text) in texts.iter().enumerate() {
        let url = escaped(&format!("http://{}/{number}?%d", reports.address));
        let target = format!(
            "/cgi-bin/sendsms?username=judge&password=secret&from=Kannel&to=4915112345678&dlr-mask=3&\
             charset=UTF-8&coding={}&text={}&dlr-url={}",
            if text.chars().all(|char| u32::from(char) < 0x250 || char == '€') { 0 } else { 2 },
            escaped(text),
            url,
        );
        smsbox.until("Kannel's smsbox takes a message", |_| {
            let answer = http::get(at(sendsms), &target, None).ok()?;
            assert_eq!(answer.status, 202, "{answer:?}");
            Some(())
        });
    }
    // 1: delivered, in Kannel's words.
    bearerbox.until("a report for each message", |_| {
        let told = reports.told();
        texts.iter().enumerate().all(|(number, _)| told.contains(&format!("/{number}?1"))).then_some(())
    });
    assert_eq!(delivered(&mut carrier), texts.iter().cloned().map(|text| (text, 1)).collect());
    drop(smsbox);
    bearerbox.terminate();
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    let analysis = analyse(dir.path(), &recorder.capture());
    assert_eq!(analysis.complaints, Vec::<String>::new());
    for command in [0x09, 0x8000_0009, 0x04, 0x8000_0004, 0x05, 0x8000_0005] {
        assert!(analysis.pdus.contains_key(&command), "no PDU {command:#x} passed: {:?}", analysis.pdus);
    }
}

/// What npm's carrier received, when it has received something.
pub(crate) fn delivered(carrier: &mut Process) -> BTreeMap<String, u32> {
    let events = events_of(&carrier.log());
    let foul = |event: &&Value| event["event"] == "error" || event["event"] == "unknown";
    assert_eq!(events.iter().find(foul), None, "the peer complains");
    received(&events)
}

/// The configuration of Kannel: one SMPP bind, one user.
fn kannel(smpp: u16, admin: u16, boxes: u16, sendsms: u16) -> String {
    format!(
        r#"group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = secret
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = switchyard
host = 127.0.0.1
port = {smpp}
transceiver-mode = true
smsc-username = judge
smsc-password = secret12
system-type = ""
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {boxes}
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1

group = sendsms-user
username = judge
password = secret
max-messages = 5
concatenation = true
"#
    )
}

fn kannel_box(program: &str, configuration: &Path) -> Process {
    assert!(Path::new(program).is_file(), "{program} is missing; `tests/run peers` installs it");
    let mut command = Command::new(program);
    command.args(["-v", "1"]).arg(configuration);
    Process::spawn(command)
}

/// Ports of which each was free a moment ago.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    listeners.map(|listener| listener.local_addr().expect("a listener has an address").port())
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A text for a URL.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes all");
        }
        out
    })
}

/// Where Kannel reports to: what it asked for.
struct Reports {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
}

impl Reports {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let told = Arc::default();
        let shared = Arc::clone(&told);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || answer(&stream, &shared));
            }
        });
        Self { address, told }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().expect("no thread panics while it writes down").clone()
    }
}

/// Answers requests until there are no more.
fn answer(stream: &TcpStream, told: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        // The head's other lines, up to the empty one.
        let _ = lines.by_ref().take_while(|line| !line.is_empty()).count();
        let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
        told.lock().expect("no thread panics while it writes down").push(target);
        let mut stream = stream;
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
