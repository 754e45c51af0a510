//! npm's `smpp` in both roles: as a customer in every way that it submits, and as a carrier; each plainly and over TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use wire::smpp::header::split_pdu;
use wire::smpp::{Bind, BindKind, CommandId};

use crate::analyser::{Analysis, analyse, analyse_guarded};
use crate::customers::delivered;
use crate::daemon::{Daemon, Process, Setup, temporary_dir};
use crate::differences::agree;
use crate::programs::root;
use crate::recorder::{Recorder, Side};
use crate::tunnel::{HOST, Papers, guarded, port};
use crate::{deliver, events_of, received, start_peer, submit, texts};

/// A text for which the library chooses `data_coding` itself, and what a phone shows of it.
const DETECTED: [&str; 2] = ["für", "f~r"];
/// What goes as a `data_sm`.
const DATA: &str = "by data_sm";

#[test]
fn npm_smpp_as_a_customer_submits_in_every_way_and_is_told_and_the_analyser_finds_nothing_wrong() {
    let dir = temporary_dir();
    let (mut carrier, address) = start_peer(&[]);
    let daemon = Setup::new(dir.path(), address).with_smpp().start();
    let recorder = Recorder::start(daemon.smpp());
    let customer = json!({"url": format!("smpp://{}", recorder.address())});
    converse(customer, None);
    let got = taken(daemon, &mut carrier);
    let analysis = analyse(dir.path(), &recorder.capture());
    assert_sound(&analysis);
    let bind = recorder.pdus().into_iter().find(|(side, _)| *side == Side::Daemon).expect("a bind").1;
    let (header, body) = split_pdu(&bind, bind.len()).expect("a PDU").expect("a whole one");
    assert_eq!(header.command, CommandId::BIND_TRANSCEIVER);
    let bind = Bind::decode(BindKind::Transceiver, body).expect("a bind");
    agree(
        "npm `smpp`, customer",
        &[
            ("npm-binds-as-5.0", bind.interface_version == 0x50),
            ("npm-gsm-as-ascii", got.contains_key(DETECTED[1])),
        ],
    );
}

#[test]
fn npm_smpp_as_a_customer_over_tls() {
    let dir = temporary_dir();
    let papers = Papers::new(dir.path());
    let (mut carrier, address) = start_peer(&[]);
    let setup = guarded(Setup::new(dir.path(), address), &papers);
    let daemon = setup.start();
    let recorder = Recorder::start(port(&setup, "smpp_tls"));
    let keys = dir.path().join("customer.keys");
    let ca = papers.path("ca.pem");
    converse(json!({"url": format!("ssmpp://{}", recorder.address()), "ca": ca}), Some(&keys));
    taken(daemon, &mut carrier);
    assert_sound(&analyse_guarded(dir.path(), &recorder.capture(), &keys));
}

#[test]
fn npm_smpp_as_a_carrier_over_tls() {
    let dir = temporary_dir();
    let papers = Papers::new(dir.path());
    papers.issue("carrier", HOST, |_| {});
    let keys = dir.path().join("carrier.keys");
    let (key, certificate) = (papers.path("carrier.key"), papers.path("carrier.pem"));
    let keylog = format!("--tls-keylog={}", keys.display());
    let (mut peer, carrier) = start_peer(&[keylog.as_ref(), key.as_ref(), certificate.as_ref()]);
    let recorder = Recorder::start(carrier);
    let ca = papers.path("ca.pem");
    let setup = Setup::new(dir.path(), recorder.address())
        .with_line(&format!("tls = true\ntls_ca = {:?}", ca.display().to_string()), "system_id = ");
    deliver(&setup, &mut peer, |_| {});
    let analysis = analyse_guarded(dir.path(), &recorder.capture(), &keys);
    assert_eq!(analysis.complaints, Vec::<String>::new());
    assert_eq!(analysis.pdus[&0x05], analysis.pdus[&0x8000_0005], "each receipt is answered");
}

#[test]
fn npm_smpp_refuses_without_a_body_and_the_message_fails() {
    let dir = temporary_dir();
    let (_peer, carrier) = start_peer(&[]);
    let recorder = Recorder::start(carrier);
    let mut daemon = Setup::new(dir.path(), recorder.address()).start();
    let id = submit(daemon.http, "refuse me");
    daemon.reaches(&id, "failed");
    let said = recorder.pdus();
    let of = |command: CommandId| {
        let from_it = said.iter().filter(|(side, _)| *side == Side::Carrier);
        from_it.filter(move |(_, pdu)| pdu[4..8] == command.0.to_be_bytes()).map(|(_, pdu)| pdu.clone())
    };
    let refusal = of(CommandId::SUBMIT_SM_RESP).next().expect("an answer");
    assert_eq!(refusal[8..12], [0, 0, 0, 0x0B], "ESME_RINVDSTADR");
    let bound = of(CommandId::BIND_TRANSCEIVER_RESP).next().expect("an answer");
    let knows_version = bound.windows(4).any(|tlv| tlv == [0x02, 0x10, 0, 1]);
    agree(
        "npm `smpp`, carrier",
        &[("npm-refuses-without-a-body", refusal.len() == 16), ("npm-says-no-version", !knows_version)],
    );
    assert_eq!(analyse(dir.path(), &recorder.capture()).complaints, Vec::<String>::new());
}

/// Lets the library be a customer, and looks at all that it heard.
fn converse(mut asked: Value, keylog: Option<&PathBuf>) {
    let texts = texts();
    let more = json!({"name": "judge", "password": "secret12", "texts": &texts, "detected": DETECTED[0], "data": DATA});
    let asked_of = asked.as_object_mut().expect("an object");
    asked_of.extend(more.as_object().expect("an object").clone());
    let mut command = Command::new("node");
    command.args(keylog.map(|file| format!("--tls-keylog={}", file.display())));
    command.env("NODE_PATH", modules()).arg(root().join("tests/peers/customer.js")).arg(asked.to_string());
    let mut customer = Process::spawn(command);
    let status = customer.wait();
    let said = customer.log();
    assert!(status.success(), "it ended with {status}:\n{said}");
    let events = events_of(&said);
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!((of("error").len(), of("unknown").len()), (0, 0), "{said}");
    assert_eq!(
        (&of("bound")[0]["status"], &of("bound")[0]["to"]),
        (&json!(0), &json!("switchyard")),
        "{said}"
    );
    // A text that is sent in one way has one id, whatever its parts, and each id has one receipt.
    let mut ids: BTreeMap<String, &str> = BTreeMap::new();
    for answer in of("answer") {
        assert_eq!(answer["status"], 0, "{answer}");
        let id = answer["id"].as_str().expect("an id");
        let way = format!("{} {}", answer["number"], answer["way"]);
        assert_eq!(*ids.entry(way).or_insert(id), id, "{answer}");
    }
    assert_eq!(ids.len(), 2 + texts.iter().map(|text| ways(text)).sum::<usize>(), "{said}");
    let told: Vec<&str> = of("receipt").iter().filter_map(|receipt| receipt["id"].as_str()).collect();
    assert_eq!(told.len(), ids.len(), "{said}");
    assert_eq!(told.iter().collect::<BTreeSet<_>>(), ids.values().collect(), "{said}");
    for receipt in of("receipt") {
        let about = ["state", "esm_class", "source", "destination"].map(|field| receipt[field].to_string());
        assert_eq!(about, ["2", "4", "\"4915112345678\"", "\"Node\""], "{receipt}");
        assert!(
            receipt["text"].as_str().is_some_and(|text| text.contains(" stat:DELIVRD err:000 ")),
            "{receipt}"
        );
    }
    assert_eq!(of("query")[0]["status"], 0, "{said}");
    assert!([1, 2].contains(&of("query")[0]["state"].as_u64().unwrap_or(0)), "{said}");
    let refused = of("refused").into_iter().map(|event| {
        let [asked, with] = ["asked", "with"].map(|field| event[field].as_str().expect("a command"));
        (asked, with, event["status"].as_u64().expect("a status"))
    });
    let expected = [
        ("cancel_sm", "cancel_sm_resp", 0x11),
        ("replace_sm", "replace_sm_resp", 0x13),
        ("submit_multi", "submit_multi_resp", 0x03),
        ("broadcast_sm", "generic_nack", 0x03),
    ];
    assert_eq!(refused.collect::<Vec<_>>(), expected);
    assert_eq!(of("unbound").iter().map(|event| &event["status"]).collect::<Vec<_>>(), [&json!(0)], "{said}");
}

/// In how many ways a text is sent: in `message_payload` and whole; or that, in parts with a header and in parts by `sar_*`.
fn ways(text: &str) -> usize {
    if text.chars().count() > 70 { 3 } else { 2 }
}

/// Each text arrived at the carrier once for each way.
fn taken(daemon: Daemon, carrier: &mut Process) -> BTreeMap<String, u32> {
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    let mut expected: BTreeMap<String, u32> =
        texts().into_iter().map(|text| (text.clone(), u32::try_from(ways(&text)).expect("three"))).collect();
    expected.insert(DETECTED[1].to_owned(), 1);
    expected.insert(DATA.to_owned(), 1);
    let got = delivered(carrier);
    assert_eq!(got, expected);
    assert_eq!(received(&events_of(&carrier.log())), got);
    got
}

fn assert_sound(analysis: &Analysis) {
    assert_eq!(analysis.complaints, Vec::<String>::new());
    for command in [0x09, 0x04, 0x05, 0x03, 0x08, 0x07, 0x103, 0x21, 0x15, 0x06] {
        let count = |command: u32| analysis.pdus.get(&command).copied().unwrap_or(0);
        assert!(count(command) > 0, "no PDU {command:#x} passed: {:?}", analysis.pdus);
        assert_eq!(count(command), count(command | 0x8000_0000), "each {command:#x} is answered");
    }
}

fn modules() -> PathBuf {
    let modules = root().join("target/peers/node_modules");
    assert!(modules.is_dir(), "the peers are missing; `tests/run peers` installs them");
    modules
}

/// Where the library is, for [`start_peer`].
pub(crate) fn node(script: &str, options: &[&Path]) -> Command {
    let mut command = Command::new("node");
    let (flags, files): (Vec<&Path>, Vec<&Path>) =
        options.iter().partition(|option| option.to_string_lossy().starts_with("--"));
    command.args(flags).arg(root().join("tests/peers").join(script)).args(files);
    command.env("NODE_PATH", modules());
    command
}

/// A port for a carrier that says where it listens.
pub(crate) fn listening(log: &str) -> Option<SocketAddr> {
    let event: Value = serde_json::from_str(log.lines().next()?).ok()?;
    let port = u16::try_from(event["port"].as_u64()?).ok()?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}
