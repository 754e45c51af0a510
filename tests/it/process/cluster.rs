//! Three nodes of one cluster, real processes on loopback, under load: one after the other is killed and comes back, and all that was
//! acknowledged is known, told and sent as its class allows.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::time::Instant;
use std::{env, fs, thread};

use serde_json::{Value, json};

use crate::carrier::Carrier;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http;
use crate::kill::{PATIENCE, call_customer, drain_and_judge, kills};
use crate::ledger::Ledger;
use crate::tunnel::Papers;

/// How often a node is killed, unless `SWITCHYARD_KILLS` says otherwise.
const KILLS: u64 = 4;
/// Acknowledgements before each kill, and while a node is away.
const ACKNOWLEDGED: usize = 700;
/// How many keys are used at all nodes at once, unless `SWITCHYARD_KEYS` says otherwise.
const KEYS: usize = 3000;
/// The most messages of one request.
const BATCH: usize = 1000;
/// Ports from which free ones are taken for what nodes say to each other: below those that the system hands out.
const PORTS: Range<u16> = 21_000..29_000;

/// So many nodes, each with a directory of its own, one core, and the same carrier.
fn setups(place: &Path, carrier: &Carrier, count: u16) -> Vec<Setup> {
    setups_with(place, carrier, count, |_| String::new())
}

/// The same, each with more lines in its `[cluster]`.
fn setups_with(place: &Path, carrier: &Carrier, count: u16, more: impl Fn(usize) -> String) -> Vec<Setup> {
    let ports = free_ports(count);
    let member = |(node, port): (u16, &u16)| {
        let tls = if more(usize::from(node)).is_empty() {
            String::new()
        } else {
            format!("tls_name = \"node-{node}\"\n")
        };
        format!("{}{tls}", member_lines(node, *port))
    };
    let members: String = (1..).zip(&ports).map(member).collect();
    let node = |(node, port): (u16, &u16)| {
        node_setup((place, carrier), (node, *port), &format!("{}{members}", more(usize::from(node))))
    };
    (1..).zip(&ports).map(node).collect()
}

/// Ports on which nobody listens now.
pub(crate) fn free_ports(count: u16) -> Vec<u16> {
    let first = u16::try_from(std::process::id() % 7_000).expect("few") + PORTS.start;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..PORTS.end).chain(PORTS.start..first).filter(is_free).take(usize::from(count)).collect()
}

/// A node as the others have it in their configurations.
pub(crate) fn member_lines(node: u16, port: u16) -> String {
    format!("[[cluster.member]]\nnode = {node}\nregion = \"r{node}\"\naddress = \"127.0.0.1:{port}\"\n")
}

/// A node of the cluster, which hears the others at a port, with a directory of its own.
pub(crate) fn node_setup(
    (place, carrier): (&Path, &Carrier),
    (node, port): (u16, u16),
    members: &str,
) -> Setup {
    let dir = place.join(format!("node-{node}"));
    fs::create_dir(&dir).expect("a temporary directory can be written");
    let cluster = format!("[cluster]\nname = \"judged\"\nlisten = \"127.0.0.1:{port}\"\n{members}");
    Setup::new(&dir, carrier.address())
        .with_cores(&format!("{}", (node - 1) % 2))
        .with_line(&format!("id = {node}\nregion = \"r{node}\""), "[node]")
        .with("[[account]]", &format!("{cluster}[[account]]"))
}

pub(crate) fn start_all(setups: &[Setup]) -> Vec<Option<Daemon>> {
    let started: Vec<_> = setups.iter().map(Setup::spawn).collect();
    setups.iter().zip(started).map(|(setup, process)| Some(setup.serves(process))).collect()
}

/// Lets the customer talk to a node that is there, the one after another.
pub(crate) fn turn_to(ledger: &Ledger, daemons: &[Option<Daemon>], after: usize) {
    let count = daemons.len();
    let there = (1..count).filter_map(|step| daemons[(after + step) % count].as_ref()).next();
    let native = there.expect("a node is there").native;
    ledger.write(|pages| pages.daemon = Some(native));
}

#[test]
fn nodes_that_are_killed_in_turn_under_load_lose_nothing_and_send_nothing_twice() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setups = setups(place.path(), &carrier, 3);
    let mut daemons = start_all(&setups);
    let ledger = call_customer();
    turn_to(&ledger, &daemons, 2);
    let more = |what: &str| {
        let enough = ledger.pages().acknowledged.len() + ACKNOWLEDGED;
        ledger.wait_for(what, PATIENCE, |pages| pages.acknowledged.len() >= enough);
    };
    for kill in 0..kills(KILLS) {
        // The customer is connected to the first node that is killed, to another than the next, and so on.
        let node = usize::try_from(kill % 3).expect("a place");
        more("acknowledgements before a kill");
        daemons[node].take().expect("it is back").kill();
        turn_to(&ledger, &daemons, node);
        more("acknowledgements while a node is away");
        daemons[node] = Some(setups[node].start());
        turn_to(&ledger, &daemons, if kill % 2 == 0 { node } else { (node + 2) % 3 });
    }
    more("acknowledgements of all nodes");
    let daemons: Vec<Daemon> = daemons.into_iter().flatten().collect();
    let found = drain_and_judge(&ledger, &carrier, &daemons[0]);
    assert!(found.is_empty(), "{} broken promises, first {:?}", found.len(), &found[..found.len().min(20)]);
}

#[test]
fn a_key_that_is_used_at_all_nodes_at_once_makes_one_message() {
    let keys = env::var("SWITCHYARD_KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(KEYS);
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setups = setups(place.path(), &carrier, 3);
    let mut daemons = start_all(&setups).into_iter().flatten().collect::<Vec<_>>();
    let (mut ids, begun) = (Vec::new(), Instant::now());
    let mut news = [0; 3];
    for first in (0..keys).step_by(BATCH) {
        let numbers = first..keys.min(first + BATCH);
        let answers: Vec<_> = thread::scope(|scope| {
            let ask = |daemon: &Daemon| (daemon.http, numbers.clone());
            let asked =
                daemons.iter().map(ask).map(|(http, numbers)| scope.spawn(move || hand_over(http, numbers)));
            let asked: Vec<_> = asked.collect();
            asked.into_iter().map(|asked| asked.join().expect("it answers")).collect()
        });
        for (place, number) in numbers.enumerate() {
            let at: Vec<_> = answers.iter().map(|answer| &answer[place]).collect();
            assert!(at.iter().all(|(id, _)| *id == at[0].0), "key {number}: {at:?}");
            let is_new: Vec<_> = at.iter().map(|(_, is_known)| !is_known).collect();
            assert!(is_new.iter().filter(|is_new| **is_new).count() <= 1, "key {number}: {at:?}");
            news.iter_mut().zip(is_new).for_each(|(count, is_new)| *count += usize::from(is_new));
            ids.push(at[0].0.clone());
        }
    }
    println!("{keys} keys at three nodes at once, new at {news:?} of them: {:?}", begun.elapsed());
    for number in (0..keys).step_by(keys.div_ceil(20)).chain([keys - 1]) {
        daemons[number % 3].delivered(&ids[number]);
    }
    let is_distinct = ids.iter().collect::<BTreeSet<_>>().len() == keys;
    assert!(is_distinct, "two keys made one message");
    daemons[0].until("all are with the carrier", || (carrier.texts() == keys).then_some(()));
    let twice: Vec<_> = carrier.seen().into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// Hands messages over until all are acknowledged, and gives their ids and whether they were known.
fn hand_over(http: SocketAddr, numbers: Range<usize>) -> Vec<(String, bool)> {
    let message = |number: usize| {
        let to = format!("+49151{:07}", number % 97);
        json!({"to": to, "text": format!("once {number}"), "key": format!("key {number}")})
    };
    let batch = json!(numbers.map(message).collect::<Vec<_>>());
    let answer = http::post(http, "/v1/messages", KEY, &batch).expect("the daemon takes requests").json();
    let results = answer.as_array().unwrap_or_else(|| panic!("a batch is answered with {answer}"));
    let result = |result: &Value| {
        let id = result["id"].as_str().unwrap_or_else(|| panic!("no id in {result}"));
        (id.to_owned(), result["known"] == true)
    };
    results.iter().map(result).collect()
}

#[test]
fn nodes_speak_over_tls_with_those_alone_whose_certificate_is_the_members() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let papers = Papers::new(place.path());
    for node in 1..4 {
        papers.issue(&format!("node-{node}"), &format!("node-{node}"), |_| {});
    }
    // Signed by the same CA, and for another name.
    papers.issue("stranger", "stranger", |_| {});
    let files = |name: &str| {
        let path = |file: &str| papers.path(file).display().to_string();
        let (certificate, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
        format!("certificate = {certificate:?}\nkey = {key:?}\nca = {:?}\n", path("ca.pem"))
    };
    let shown = |node: usize| if node == 3 { "stranger".to_owned() } else { format!("node-{node}") };
    let setups = setups_with(place.path(), &carrier, 3, |node| files(&shown(node)));
    let started: Vec<_> = setups.iter().map(Setup::spawn).collect();
    let mut started = started.into_iter();
    let [mut one, mut two] = [0, 1].map(|node| setups[node].serves(started.next().expect("three nodes")));
    let message = json!({"to": "+4915112345678", "text": "over TLS", "key": "once"});
    let submit = |http| http::post(http, "/v1/messages", KEY, &message).expect("it takes requests").json();
    let id = submit(one.http)["id"].as_str().expect("it is taken").to_owned();
    two.delivered(&id);
    assert_eq!(submit(two.http)["id"], id.as_str());
    // The third dials nobody, since it has the highest number; it hears the others, who do not take its certificate.
    one.until_said("event=\"peer-trouble\" node=3");
    let mut stranger = started.next().expect("three nodes");
    stranger.until("its fellows' hand-shakes fail", |log| log.contains("handshake-failed").then_some(()));
    let up = "event=\"peer-up\" node=3";
    assert!(!one.terminate().1.contains(up) && !two.terminate().1.contains(up));
}
