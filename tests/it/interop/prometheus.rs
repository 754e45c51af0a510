//! Prometheus's own checker reads our metrics and our alert rules, and has nothing to say.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::{Setup, http, submit, temporary_dir};
use crate::programs::root;

/// The checker that `tests/run peers` put there, or the machine's own.
fn promtool() -> PathBuf {
    let peer = root().join("target/peers/prometheus/usr/bin/promtool");
    if peer.is_file() { peer } else { PathBuf::from("promtool") }
}

fn checked(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(promtool())
        .args(args)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be started; `tests/run peers` installs it");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// OpenMetrics names a counter's family without `_total`; the checker reads the older format, where both have it.
fn in_the_older_format(metrics: &str) -> String {
    let is_counter = |family: &str| metrics.contains(&format!("# TYPE {family} counter\n"));
    let line = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["#", what @ ("TYPE" | "HELP"), family, ..] if is_counter(family) => {
            let head = format!("# {what} {family}");
            line.replacen(&head, &format!("{head}_total"), 1) + "\n"
        }
        ["#", "EOF"] => String::new(),
        _ => line.to_owned() + "\n",
    };
    metrics.lines().map(line).collect()
}

#[test]
fn promtool_has_nothing_to_say_about_our_metrics_and_rules() {
    let dir = temporary_dir();
    // A carrier that lets nobody in: what is checked is names, kinds and help.
    let carrier = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = carrier.local_addr().expect("a listener has an address");
    let daemon = Setup::new(dir.path(), address).start();
    submit(daemon.http, "for the metrics");
    let metrics = http::get(daemon.http, "/metrics", None).expect("the daemon takes requests").body;
    let output = checked(&["check", "metrics"], &in_the_older_format(&metrics));
    let said = [output.stdout, output.stderr].concat();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&said).as_ref()), (Some(0), ""));
    let output = checked(&["check", "rules", "docs/observability/alerts.yml"], "");
    assert!(output.status.success(), "{output:?}");
}
