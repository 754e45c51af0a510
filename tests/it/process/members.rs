//! Members come and go, real processes under load: one loses its disk and is not believed, is removed, and another takes its place.

use std::fs;

use serde_json::Value;

use crate::carrier::Carrier;
use crate::cluster::{free_ports, member_lines, node_setup, start_all, turn_to};
use crate::daemon::{Daemon, Setup, temporary_dir};
use crate::kill::{PATIENCE, call_customer, drain_and_judge};
use crate::operator::{asked, complaint, printed, text_of};

/// Messages between two things that happen.
const MESSAGES: u64 = 1_000;

/// A node's row, as another node sees it.
fn row_of(seen: &Value, node: u16) -> Value {
    let rows = seen["members"].as_array().expect("members");
    rows.iter().find(|row| row["node"] == node).cloned().unwrap_or(Value::Null)
}

/// Does something about the members, as an operator at a node.
fn act(at: &Setup, what: &[&str]) -> String {
    printed(&[&["ctl", "--data", text_of(&at.data()), "cluster"][..], what].concat())
}

/// Until a node votes in all partitions, as another one sees it.
fn until_it_votes(at: &Setup, daemon: &mut Daemon, node: u16) {
    daemon.until("it votes everywhere", || {
        let row = row_of(&asked(at, &["cluster"]), node);
        (row["votes"] == 16 && row["learns"] == 0).then_some(())
    });
}

#[test]
fn a_node_that_lost_its_disk_is_not_believed_and_a_new_one_takes_its_place() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let ports = free_ports(4);
    let founders: String = (1..4).map(|node| member_lines(node, ports[usize::from(node) - 1])).collect();
    let founder =
        |node: u16| node_setup((place.path(), &carrier), (node, ports[usize::from(node) - 1]), &founders);
    let setups: Vec<Setup> = (1..4).map(founder).collect();
    let mut daemons = start_all(&setups);
    let ledger = call_customer();
    ledger.write(|pages| pages.intents_end = 0);
    turn_to(&ledger, &daemons, 0);
    // So many messages at a time: a state that grows all the while takes long to copy.
    let more = |what: &str| {
        ledger.write(|pages| pages.intents_end = pages.begun + MESSAGES);
        ledger.wait_for(what, PATIENCE, |pages| {
            pages.begun == pages.intents_end && pages.acknowledged.len() as u64 == pages.begun
        });
    };
    more("acknowledgements of three nodes");
    for place in [0, 2] {
        let daemon = daemons[place].as_mut().expect("it is there");
        daemon.until("it knows the second's data directory", || {
            (row_of(&asked(&setups[place], &["cluster"]), 2)["is_known"] == true).then_some(())
        });
    }

    // Its disk is lost, and it comes back under its number with an empty one.
    daemons[1].take().expect("it is there").kill();
    turn_to(&ledger, &daemons, 1);
    fs::remove_dir_all(setups[1].data()).expect("its data can be removed");
    let mut lost = setups[1].spawn();
    lost.until("it is told why nobody speaks with it", |log| {
        log.contains("has data directory").then_some(())
    });
    more("acknowledgements of two nodes");
    assert!(act(&setups[0], &["remove", "2"]).starts_with("node 2: done"));
    lost.until("it is told that it was removed", |log| {
        log.contains("was removed from this cluster").then_some(())
    });
    lost.terminate();

    // Its number is gone for ever, and another node takes its place.
    let address = format!("127.0.0.1:{}", ports[3]);
    let join = ["join", "--region", "r4", "--address", &address];
    assert!(act(&setups[2], &join).starts_with("node 4: done"));
    assert!(act(&setups[0], &join).starts_with("node 4: done"), "said twice");
    let refused = complaint(&["ctl", "--data", text_of(&setups[0].data()), "cluster", "drain", "2"], 1);
    assert!(refused.contains("node 2 was removed"), "{refused}");
    let members = format!("{founders}{}joins = true\n", member_lines(4, ports[3]));
    let fourth = node_setup((place.path(), &carrier), (4, ports[3]), &members);
    let mut fourth_daemon = fourth.start();
    until_it_votes(&setups[0], daemons[0].as_mut().expect("it is there"), 4);
    more("acknowledgements of three nodes again");
    let seen = asked(&setups[2], &["cluster"]);
    assert_eq!(
        (&row_of(&seen, 2)["standing"], &row_of(&seen, 2)["votes"]),
        (&"removed".into(), &0.into()),
        "{seen}"
    );

    // The new one is a majority with any of the others, and takes over from them.
    daemons[0].take().expect("it is there").kill();
    ledger.write(|pages| pages.daemon = Some(fourth_daemon.native));
    more("acknowledgements of the new node and one of the first");
    assert!(act(&fourth, &["drain", "3"]).starts_with("node 3: done"));
    fourth_daemon.until("it is home of all", || (asked(&fourth, &["cluster"])["homes"] == 16).then_some(()));
    let found = drain_and_judge(&ledger, &carrier, &fourth_daemon);
    assert!(found.is_empty(), "{} broken promises, first {:?}", found.len(), &found[..found.len().min(20)]);
}
