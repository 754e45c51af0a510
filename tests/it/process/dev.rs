//! A cluster on one machine, as whoever tries it out sees it: its nodes are real, one can be killed and started again, and
//! all of them go when it does.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::daemon::{Process, temporary_dir};
use crate::http;
use crate::programs::programs;

/// `switchyard dev` on this directory.
pub(crate) fn dev(data: &Path, arguments: &[&str]) -> Process {
    let mut command = Command::new(&programs().switchyard);
    command.arg("dev").arg("--data").arg(data).args(arguments);
    Process::spawn(command)
}

/// Where a region's node takes requests, and its process id, as the table has them.
pub(crate) fn node_of(region: &str, said: &str) -> Option<(SocketAddr, String)> {
    let row = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.into_iter().find(|row| row.len() == 4 && row[0] == region)?;
    Some((row[1].strip_prefix("http://")?.parse().ok()?, row[2].to_owned()))
}

#[test]
fn a_node_of_a_cluster_on_one_machine_can_be_killed_and_started_again_and_all_end_together() {
    let place = temporary_dir();
    let data = place.path().join("cluster");
    let mut cluster = dev(&data, &["--regions", "sin,fra"]);
    let said =
        cluster.until("the nodes listen", |said| said.contains("serve --config").then(|| said.to_owned()));
    let [(sin, _), (_, fra)] = ["sin", "fra"]
        .map(|region| node_of(region, &said).unwrap_or_else(|| panic!("no {region} in {said}")));
    assert_eq!(http::get(sin, "/healthz", None).expect("it takes requests").status, 200);
    let text = fs::read_to_string(data.join("sin/ports")).expect("a node says where it listens");
    assert!(text.contains("\npeers = [\"127.0.0.1:"), "{text}");

    let killed = Command::new("kill").args(["-KILL", &fra]).status().expect("`kill` is there");
    assert!(killed.success());
    let ended = format!("The node of fra, process {fra}, has ended: signal: 9");
    cluster.until("its end is said", |said| said.contains(&ended).then_some(()));
    let mut again = Command::new(&programs().switchyard);
    again.args(["serve", "--config"]).arg(data.join("fra.toml")).arg("--data").arg(data.join("fra"));
    let mut again = Process::spawn(again);
    again.until("it is back", |said| said.contains("event=\"listening\" node=2").then_some(()));
    assert!(again.terminate().success(), "{}", again.log());

    assert!(cluster.terminate().success(), "{}", cluster.log());
    assert!(!data.join("sin/ports").exists(), "the others have stopped in order");

    let mut once_more = dev(&data, &["--regions", "sin,fra", "--for", "100ms"]);
    assert!(once_more.wait().success(), "{}", once_more.log());
    assert!(once_more.log().contains("$(cat "), "a key is shown once:\n{}", once_more.log());

    let mut others = dev(&data, &["--regions", "sin,fra,iad"]);
    assert_eq!(others.wait().code(), Some(1));
    let said = others.log();
    assert!(said.contains("did not start (exit status: 1): switchyard: "), "{said}");
    assert!(said.contains("members = 1, 2 in this directory, and 1, 2, 3 in this start"), "{said}");
}
