//! Rude customers at every port of a daemon, many at once: junk, bursts that nobody reads the answers to, requests that are cut or
//! altered anywhere, connections that say nothing or are gone at once. Beside them one customer of each protocol behaves, and is
//! served as if it were alone. Each way by itself, and what becomes of it, is in `engine/src/customers`.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;
use wire::native::{Hello, SubmitItem, SubmitWriter};

use crate::bound::Customer;
use crate::carrier::Carrier;
use crate::customer::Lasting;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::dice::Dice;
use crate::http;
use crate::pdu::{BIND_TRANSCEIVER, ENQUIRE_LINK, Pdu, SUBMIT_SM};
use crate::tunnel::{Papers, guarded};

/// Who is rude at a time, and how often each is.
const RUDE: usize = 4;
const ROUNDS: usize = 200;
/// Connections that one of them leaves open.
const HELD: usize = 24;
/// Requests of one burst: more than the window of a bind and the pipeline of a connection have room for.
const BURST: u32 = 300;
/// How long a rude customer waits for anything.
const PATIENCE: Duration = Duration::from_millis(20);
/// What a customer that behaves submits over each protocol, at least.
const POLITE: usize = 50;
const TO: &str = "4915112345678";
const RUDE_KEY: &str = "a-key-of-the-rude";

#[test]
fn rude_customers_at_every_port_cost_those_that_behave_nothing() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(place.path());
    let rude = format!(
        "[[account]]\nname = \"rude\"\nkey = \"{RUDE_KEY}\"\nsender = \"Rude\"\nopen_messages = 200\n\
         smpp_password = \"rude1234\"\nsmpp_binds_max = 64\n[[carrier]]"
    );
    let setup = guarded(Setup::new(place.path(), carrier.address()), &papers).with("[[carrier]]", &rude);
    let daemon = setup.start();
    let ports = fs::read_to_string(setup.data().join("ports")).expect("it serves");
    let doors = doors(&ports);
    assert!(doors.len() >= 8, "three protocols, plain and over TLS, and each shard's own: {ports}");
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSCEIVER);
    let mut session = Lasting::open(daemon.native, &Setup::credentials()).expect("its key lets it in");

    let mut dice = Dice::from_environment("rude_customers_at_every_port");
    let rude: Vec<_> = (0..RUDE)
        .map(|_| {
            let (doors, mut dice) = (doors.clone(), dice.another());
            thread::spawn(move || {
                let mut held = VecDeque::new();
                for _ in 0..ROUNDS {
                    misbehave(&doors, &mut dice, &mut held);
                }
            })
        })
        .collect();
    let (mut ids, mut texts) = (Vec::new(), Vec::new());
    while ids.len() < 2 * POLITE || rude.iter().any(|rude| !rude.is_finished()) {
        let [by_smpp, by_http] = ["SMPP", "HTTP"].map(|by| format!("polite {} by {by}", ids.len()));
        ids.push(customer.submit(&by_smpp, 1));
        let message = json!({"to": format!("+{TO}"), "from": "Acme", "text": by_http});
        let answer =
            http::post(daemon.http, "/v1/messages", KEY, &message).expect("the daemon takes requests");
        assert_eq!(answer.status, 202, "{answer:?}");
        ids.push(answer.json()["id"].as_str().expect("an id").to_owned());
        assert!(session.is_answered(), "over the native protocol");
        texts.extend([by_smpp, by_http]);
    }
    for rude in rude {
        rude.join().expect("the daemon is there");
    }
    let mut told: Vec<String> = ids.iter().map(|_| customer.receipt()).collect();
    told.sort();
    ids.sort();
    assert_eq!(told, ids, "each is told once");
    let seen = carrier.seen();
    let wrong: Vec<_> = texts.iter().filter(|text| seen.get(*text) != Some(&1)).collect();
    assert!(wrong.is_empty(), "not once at the carrier: {wrong:?}");
    customer.unbind();
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

/// A port of the daemon.
#[derive(Debug, Clone)]
struct Door {
    /// Its name in the file of ports, which begins with what is spoken there.
    name: String,
    address: SocketAddr,
}

/// All that the file names.
fn doors(ports: &str) -> Vec<Door> {
    let of_line = |line: &str| {
        let (name, addresses) = line.split_once('=')?;
        let name = name.trim().to_owned();
        let parsed = addresses.split('"').filter_map(|text| text.parse().ok());
        Some(parsed.map(|address| Door { name: name.clone(), address }).collect::<Vec<_>>())
    };
    ports.lines().filter_map(of_line).flatten().collect()
}

/// One connection of a rude customer, which may be left open.
fn misbehave(doors: &[Door], dice: &mut Dice, held: &mut VecDeque<TcpStream>) {
    let door = &doors[pick(dice, doors.len())];
    let mut stream = TcpStream::connect(door.address).expect("the daemon listens");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket of ours");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
    let mut bytes = if dice.within(0..4) == 0 { junk(dice) } else { burst(&door.name, dice) };
    match dice.within(0..3) {
        0 => {}
        1 => bytes.truncate(pick(dice, bytes.len())),
        _ => {
            for _ in 0..8 {
                let at = pick(dice, bytes.len());
                bytes[at] = dice.next().to_le_bytes()[0];
            }
        }
    }
    // The daemon may close at any byte, and need not take any; whatever comes of it is right.
    let _ = stream.write_all(&bytes);
    match dice.within(0..4) {
        0 => return,
        1 => _ = stream.read(&mut [0; 1000]),
        2 => _ = stream.shutdown(Shutdown::Write),
        _ => {}
    }
    held.push_back(stream);
    if held.len() > HELD {
        held.pop_front();
    }
}

fn pick(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.within(0..count.max(1) as u64)).expect("few")
}

fn junk(dice: &mut Dice) -> Vec<u8> {
    let count = pick(dice, 4096) + 8;
    (0..count).map(|_| dice.next().to_le_bytes()[0]).collect()
}

/// What is spoken at a door, properly and far too much of it. Over TLS it is nonsense.
fn burst(name: &str, dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    if name.starts_with("http") {
        let body = json!({"to": format!("+{TO}"), "text": "rude"}).to_string();
        let length = body.len();
        let request = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {RUDE_KEY}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        (0..BURST).for_each(|_| out.extend_from_slice(request.as_bytes()));
    } else if name.starts_with("native") {
        Hello { version_min: 1, version_max: 3, account: "rude", key: RUDE_KEY }.write(&mut out);
        let item = SubmitItem { class: None, validity_s: 0, to: TO, from: "", key: b"", text: "rude" };
        let mut writer = SubmitWriter::begin(dice.next(), &mut out);
        (0..BURST).for_each(|_| assert!(writer.push(&item, &mut out), "a frame has room"));
        writer.close(&mut out);
    } else {
        let mut put = |command, sequence, body| Pdu { command, status: 0, sequence, body }.write(&mut out);
        put(BIND_TRANSCEIVER, 1, b"rude\0rude1234\0\0\x34\0\0\0".to_vec());
        let mut body = format!("\0\x05\0Rude\0\x01\x01{TO}\0").into_bytes();
        body.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 4]);
        body.extend_from_slice(b"rude");
        for sequence in 2..BURST {
            // Numbers are used again as often as not.
            put(SUBMIT_SM, sequence / 2, body.clone());
            put(ENQUIRE_LINK, sequence, Vec::new());
        }
    }
    out
}
