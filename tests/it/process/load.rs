//! The load generator against a daemon that it starts itself: every message is accounted for, and its figures say so.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::daemon::{Process, temporary_dir};
use crate::programs::programs;

#[test]
fn the_load_generator_accounts_for_every_message_over_the_native_protocol() {
    check("native", 20_000, "1");
}

#[test]
fn the_load_generator_accounts_for_every_message_of_a_cluster() {
    check("native", 10_000, "3");
}

#[test]
fn the_load_generator_accounts_for_every_message_over_http() {
    check("http", 5_000, "1");
}

#[test]
fn the_load_generator_accounts_for_every_message_over_smpp() {
    check("smpp", 20_000, "1");
}

fn check(protocol: &str, messages: u64, nodes: &str) {
    let dir = temporary_dir();
    let figures = dir.path().join("figures.json");
    let mut command = Command::new(&programs().loadgen);
    command.current_dir(dir.path()).args(["run", "--spawn", "--protocol", protocol, "--nodes", nodes]);
    // Named, or it has cargo build one: with other features, for half a minute.
    command.arg("--engine").arg(&programs().switchyard);
    command.args(["--messages", &messages.to_string(), "--json"]).arg(&figures);
    let mut process = Process::spawn(command);
    let status = process.wait();
    assert!(status.success(), "{status}: {}", process.log());
    let figures: Value = serde_json::from_str(&fs::read_to_string(&figures).expect("it writes its figures"))
        .unwrap_or_else(|e| panic!("{e}: {}", process.log()));
    for (name, expected) in [
        ("accepted", messages),
        ("submitted", messages),
        ("delivered", messages),
        ("lost", 0),
        ("duplicates", 0),
    ] {
        assert_eq!(figures[name], expected, "{name} in {figures}");
    }
    for name in ["throughput_per_s", "engine_cpu_us_per_message", "engine_rss_mib"] {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name} in {figures}");
    }
    let groups = [&figures["fdatasync_us"], &figures["latency_us"]["answer"], &figures["latency_us"]["fate"]];
    for group in groups {
        let at =
            |name: &str| group[name].as_f64().unwrap_or_else(|| panic!("no {name} in {group} of {figures}"));
        assert!(at("p50") <= at("p99") && at("p99") <= at("p999"), "{group}");
    }
}
