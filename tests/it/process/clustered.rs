//! What an operator sees of a cluster: `ctl cluster` and the metrics of its nodes, while all are there and when one is killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::carrier::Carrier;
use crate::daemon::{Process, Setup, temporary_dir};
use crate::dev::{dev, node_of};
use crate::http;
use crate::operator::{asked, printed, text_of};

/// Two nodes on one machine, and where each keeps its data.
fn cluster_of_two(dir: &Path) -> (Process, String, [PathBuf; 2]) {
    let data = dir.join("cluster");
    let mut cluster = dev(&data, &["--regions", "sin,fra"]);
    let said =
        cluster.until("the nodes listen", |said| said.contains("serve --config").then(|| said.to_owned()));
    (cluster, said, [data.join("sin"), data.join("fra")])
}

/// Two nodes, and where the first takes requests.
pub(crate) fn first_of_two(dir: &Path) -> (Process, SocketAddr) {
    let (cluster, said, _) = cluster_of_two(dir);
    (cluster, node_of("sin", &said).expect("sin's row").0)
}

/// What a node says of its cluster.
fn seen_by(data: &Path) -> Value {
    let told = printed(&["ctl", "--json", "--data", text_of(data), "cluster"]);
    let answer: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error} in {told}"));
    answer["cluster"].clone()
}

/// Both members, this node first.
fn members(seen: &Value) -> [&Value; 2] {
    let members = seen["members"].as_array().expect("members");
    let is_this = |member: &&Value| member["is_this"] == true;
    let find = |wanted| members.iter().find(|member| is_this(member) == wanted).expect("two members");
    [find(true), find(false)]
}

/// Whether the other node is spoken to, and all partitions have a home that is one of the two, with nothing missing on either.
fn is_whole(seen: &Value) -> bool {
    let [this, other] = members(seen);
    let homes = [this, other].map(|member| member["homes"].as_u64().expect("a number"));
    assert_eq!(seen["homes"], homes[0], "{seen}");
    let all = homes.iter().sum::<u64>() + seen["without_home"].as_u64().expect("a number");
    assert_eq!(json!(all), seen["partitions"], "{seen}");
    let is_up = other["shards_up"] == 1 && other["shards_wanted"] == 1;
    let has_all = |entries: &Value| entries.is_null() || *entries == 0;
    let is_level = has_all(&other["lag_entries"]) && has_all(&other["behind_entries"]);
    is_up && is_level && seen["without_home"] == 0 && other["unheard"] == 0
}

fn shows(http: SocketAddr, lines: &[String]) -> bool {
    let shown = http::get(http, "/metrics", None).expect("it takes requests").body;
    lines.iter().all(|line| shown.lines().any(|shown| shown == line))
}

/// The metrics' labels of the other node.
const OF_FRA: &str = "{shard=\"0\",node=\"2\",region=\"fra\"}";

#[test]
fn each_node_of_a_cluster_says_who_is_there_and_when_one_is_gone() {
    let dir = temporary_dir();
    let (mut cluster, said, [sin, fra]) = cluster_of_two(dir.path());
    let (http, _) = node_of("sin", &said).expect("sin's row");
    let (_, victim) = node_of("fra", &said).expect("fra's row");
    // Both are looked at until they agree: homes may still move between the two looks.
    let (by_sin, by_fra) = cluster.until("the cluster is whole, and both nodes say so", |_| {
        let (by_sin, by_fra) = (seen_by(&sin), seen_by(&fra));
        let ([sin_1, fra_1], [fra_2, sin_2]) = (members(&by_sin), members(&by_fra));
        let agree = sin_1["homes"] == sin_2["homes"] && fra_1["homes"] == fra_2["homes"];
        let mut lines = vec![
            format!("switchyard_peer_shards_up{OF_FRA} 1"),
            format!("switchyard_peer_shards{OF_FRA} 1"),
            format!("switchyard_replication_lag_entries{OF_FRA} 0"),
            format!("switchyard_replication_unheard_partitions{OF_FRA} 0"),
        ];
        lines.push(format!("switchyard_partitions_home{{shard=\"0\"}} {}", sin_1["homes"]));
        lines.push("switchyard_partitions_without_home{shard=\"0\"} 0".to_owned());
        let is_whole = agree && is_whole(&by_sin) && is_whole(&by_fra) && shows(http, &lines);
        is_whole.then_some((by_sin, by_fra))
    });
    for (seen, node, region) in [(&by_sin, 1, "sin"), (&by_fra, 2, "fra")] {
        assert_eq!((&seen["name"], &seen["partitions"]), (&json!("dev"), &json!(16)), "{seen}");
        assert_eq!((&seen["node"], &seen["region"]), (&json!(node), &json!(region)), "{seen}");
        let [this, other] = members(seen);
        assert_eq!((&this["node"], &this["region"]), (&json!(node), &json!(region)), "{seen}");
        assert_eq!(other["node"], json!(3 - node), "{seen}");
    }
    let table = printed(&["ctl", "--data", text_of(&sin), "cluster", "status"]);
    for words in ["cluster dev, seen by node 1 in sin", "1 (this node)  sin", "2              fra"] {
        assert!(table.contains(words), "no {words:?} in\n{table}");
    }

    let killed = Command::new("kill").args(["-KILL", &victim]).status().expect("`kill` is there");
    assert!(killed.success());
    // One of two is no majority: it is home of nothing.
    let seen = cluster.until("the other is missed", |_| {
        let is_missed =
            |seen: &Value| seen["without_home"] == seen["partitions"] && members(seen)[1]["shards_up"] == 0;
        Some(seen_by(&sin)).filter(is_missed)
    });
    let [this, other] = members(&seen);
    assert_eq!((&this["homes"], &other["homes"]), (&json!(0), &json!(0)), "{seen}");
    assert_eq!(other["shards_wanted"], Value::Null, "its next process may have another number: {seen}");
    let table = printed(&["ctl", "--data", text_of(&sin), "cluster"]);
    assert!(table.contains("without a home") && table.contains("0 of ?"), "{table}");
    let missed = [
        format!("switchyard_peer_shards_up{OF_FRA} 0"),
        format!("switchyard_peer_shards{OF_FRA} 1"),
        "switchyard_partitions_without_home{shard=\"0\"} 16".to_owned(),
    ];
    cluster.until("the metrics say so", |_| shows(http, &missed).then_some(()));
    assert!(cluster.terminate().success(), "{}", cluster.log());
}

#[test]
fn a_node_alone_says_that_it_is() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let _daemon = setup.start();
    let seen = asked(&setup, &["cluster"]);
    assert_eq!((&seen["name"], &seen["members"]), (&Value::Null, &json!([])), "{seen}");
    assert_eq!((&seen["homes"], &seen["without_home"]), (&seen["partitions"], &json!(0)), "{seen}");
    let told = printed(&["ctl", "--data", text_of(&setup.data()), "cluster"]);
    assert!(told.starts_with("node 1 in local is alone"), "{told}");
}
