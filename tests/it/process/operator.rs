//! What an operator does to a daemon that runs: asks it, changes its configuration, reads its log; and what it never says.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::carrier::Carrier;
use crate::clustered;
use crate::customer::Lasting;
use crate::daemon::{Credentials, Daemon, KEY, Setup, temporary_dir};
use crate::http;
use crate::programs::{programs, root};
use crate::receiver::SECRET;
use crate::tunnel::{Papers, guarded};

const TO: &str = "+4915112345678";
const TEXT: &str = "nobody else reads this text";
const NEW_KEY: &str = "another-key-of-the-judge";

/// Runs the program to its end.
fn run(args: &[&str]) -> Output {
    Command::new(&programs().switchyard).args(args).output().expect("the program can be started")
}

/// What it printed, when it succeeded.
pub(crate) fn printed(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// Why it failed, when it did with this status.
pub(crate) fn complaint(args: &[&str], status: i32) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).expect("it prints UTF-8")
}

pub(crate) fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path of ours is UTF-8")
}

/// The answer of `ctl --json` under the request's own name.
pub(crate) fn asked(setup: &Setup, what: &[&str]) -> Value {
    let data = setup.data();
    let told = printed(&[&["ctl", "--json", "--data", text_of(&data)][..], what].concat());
    let answer: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error} in {told}"));
    assert_eq!(answer["version"], 1, "{answer}");
    answer[what[0]].clone()
}

fn submit(http: SocketAddr, key: &str) -> String {
    let answer = http::post(http, "/v1/messages", key, &json!({"to": TO, "text": TEXT}));
    let answer = answer.expect("the daemon takes requests");
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id in {answer:?}")).to_owned()
}

fn status_with(http: SocketAddr, key: &str) -> u16 {
    http::get(http, "/v1/messages/00000000000000000000000000", Some(key)).expect("it takes requests").status
}

fn delivered(setup: &Setup, daemon: &mut Daemon, id: &str) -> Value {
    daemon.until("the message is delivered", || {
        let message = asked(setup, &["message", id]);
        (message["state"] == "delivered").then_some(message)
    })
}

#[test]
fn a_node_that_runs_says_how_it_is_and_what_became_of_a_message() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address())
        .with("[classes.transactional]", "[log_output]\nfilter = \"trace\"\n[classes.transactional]");
    let mut daemon = setup.start();
    let id = submit(daemon.http, KEY);
    let message = delivered(&setup, &mut daemon, &id);
    assert_eq!((&message["account"], &message["to"]), (&json!("judge"), &json!("+491********78")));
    let steps = message["trace"].as_array().expect("a trace").iter().map(|step| step["what"].clone());
    assert!(steps.eq(["accepted", "attempted", "sent", "reported", "fated"].map(Value::from)), "{message}");
    assert_eq!(asked(&setup, &["message", &id, "--show-numbers"])["to"], TO);
    assert_eq!(asked(&setup, &["message", "00000000000000000000000000"]), Value::Null);

    let status = asked(&setup, &["status"]);
    assert_eq!((&status["ready"], &status["pid"]), (&json!(true), &json!(daemon.id())), "{status}");
    let shards = status["shards"].as_array().expect("shards");
    assert_eq!(shards.iter().map(|shard| shard["kept"].as_u64().unwrap_or(0)).sum::<u64>(), 1, "{status}");
    assert!(shards.iter().all(|shard| shard["syncs"].as_u64() > Some(0)), "{status}");
    let links = asked(&setup, &["links"]);
    let up = links.as_array().expect("links").iter().filter(|link| link["state"] == "up").count();
    assert_eq!(up, shards.len(), "{links}");
    assert!(links.to_string().contains("\"carrier\":\"reliable\""), "{links}");
    let queue = asked(&setup, &["queue"]);
    assert!(queue.as_array().is_some_and(|queues| queues.len() == 4), "{queue}");
    for what in [&["status"][..], &["links"], &["queue"], &["message", &id]] {
        let data = setup.data();
        let table = printed(&[&["ctl", "--data", text_of(&data)][..], what].concat());
        assert!(table.lines().count() > 1 && !table.contains(TO), "{table}");
    }

    let (ended, words) = daemon.terminate();
    assert!(ended.success(), "{words}");
    // At the finest filter there is, no line has a text or a whole number.
    assert!(words.contains("listening") && !words.contains(TEXT) && !words.contains(&TO[1..]), "{words}");
    let data = setup.data();
    assert!(complaint(&["ctl", "--data", text_of(&data), "status"], 1).contains("no daemon answers here"));
}

#[test]
fn a_key_is_rotated_while_a_session_goes_on() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let mut daemon = setup.start();
    let mut session = Lasting::open(daemon.native, &Setup::credentials()).expect("the key lets us in");
    let pair = format!("keys = [\"{KEY}\", \"{NEW_KEY}\"]");
    let setup = setup.with(&format!("key = \"{KEY}\""), &pair);
    let told = asked(&setup, &["reload"]);
    assert_eq!(told["applied"], json!(["account judge: keys changed, 1 before and 2 now"]), "{told}");
    assert_eq!((status_with(daemon.http, KEY), status_with(daemon.http, NEW_KEY)), (404, 404));

    let made = printed(&["key"]);
    let made: Vec<&str> = made.lines().collect();
    let key = made[0].strip_prefix("key: ").expect("the key comes first");
    let setup = setup.with(&pair, made[1]);
    daemon.signal("-HUP");
    daemon.until("the new key is the only one", || {
        (status_with(daemon_http(&setup), key) == 404).then_some(())
    });
    assert_eq!((status_with(daemon.http, KEY), status_with(daemon.http, NEW_KEY)), (401, 401));
    let with_key = |key: &str| Credentials { account: "judge".to_owned(), key: key.to_owned() };
    assert!(Lasting::open(daemon.native, &with_key(KEY)).is_none(), "the old key opens no session");
    assert!(Lasting::open(daemon.native, &with_key(key)).is_some(), "the new one does");
    assert!(session.is_answered(), "a session that was there goes on");
    let id = submit(daemon.http, key);
    delivered(&setup, &mut daemon, &id);
}

/// The HTTP address of the daemon that serves.
fn daemon_http(setup: &Setup) -> SocketAddr {
    let ports = std::fs::read_to_string(setup.data().join("ports")).expect("it serves");
    let line = ports.lines().find_map(|line| line.strip_prefix("http = ")).expect("HTTP's line");
    line.trim_matches('"').parse().expect("an address")
}

#[test]
fn a_wrong_file_changes_nothing_and_says_where() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let mut daemon = setup.start();
    let setup = setup.with(KEY, NEW_KEY).with_line("window = 0", "system_id = ");
    daemon.signal("-HUP");
    let line = setup.line_of("window = 0");
    let place = format!("switchyard.toml:{line}: carrier.window: expected");
    daemon.until_said(&place);
    let data = setup.data();
    assert!(complaint(&["ctl", "--data", text_of(&data), "reload"], 1).contains(&place));
    assert_eq!((status_with(daemon.http, KEY), status_with(daemon.http, NEW_KEY)), (404, 401));
    let metrics = http::get(daemon.http, "/metrics", None).expect("it takes requests").body;
    assert!(metrics.contains("switchyard_config_refused_total 2\n"), "{metrics}");
    let id = submit(daemon.http, KEY);
    delivered(&setup, &mut daemon, &id);
}

#[test]
fn a_message_that_waits_for_a_dead_carrier_goes_by_the_route_of_a_reload() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let dead = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = dead.local_addr().expect("a listener has an address");
    drop(dead);
    let section =
        format!("[[carrier]]\nname = \"dead\"\naddress = \"{address}\"\nsystem_id = \"judge\"\n[[route]]");
    let setup = Setup::new(dir.path(), carrier.address())
        .with("[[route]]", &section)
        .with("carriers = [\"reliable\"]", "carriers = [\"dead\"]");
    let mut daemon = setup.start();
    let id = submit(daemon.http, KEY);
    let queue = asked(&setup, &["queue"]);
    let waiting = |queue: &Value, carrier: &str| {
        let queues = queue.as_array().expect("queues").iter().filter(|q| q["carrier"] == carrier);
        queues.map(|queue| queue["waiting"].as_u64().unwrap_or(0)).sum::<u64>()
    };
    assert_eq!((waiting(&queue, "dead"), waiting(&queue, "reliable")), (1, 0), "{queue}");

    // A route that is gone takes nothing away: what waits, waits on.
    let setup = setup
        .with("prefix = \"\"", "prefix = \"+1\"")
        .with("enquire_after = \"1s\"", "enquire_after = \"2s\"");
    let told = asked(&setup, &["reload"]);
    assert_eq!(told["applied"], json!(["routes: 1 in force; what waits was dealt again"]));
    assert_eq!(told["needs_restart"], json!(["carrier reliable"]));
    assert_eq!(asked(&setup, &["message", &id])["state"], "queued");
    assert_eq!(waiting(&asked(&setup, &["queue"]), "dead"), 0);

    let setup = setup
        .with("prefix = \"+1\"", "prefix = \"\"")
        .with("carriers = [\"dead\"]", "carriers = [\"reliable\"]");
    asked(&setup, &["reload"]);
    let message = delivered(&setup, &mut daemon, &id);
    assert!(message["trace"].to_string().contains("reliable"), "{message}");
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_one_that_the_daemon_shows() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    // A daemon without TLS has no certificate that expires, and one without a webhook has none that waits.
    let webhook = format!("webhook = \"http://127.0.0.1:9/\"\nwebhook_secret = {SECRET:?}");
    let setup = Setup::new(dir.path(), carrier.address()).with_line(&webhook, "sender = ");
    let daemon = guarded(setup, &Papers::new(dir.path())).start();
    let mut metrics = http::get(daemon.http, "/metrics", None).expect("it takes requests").body;
    // Nor does one alone have peers.
    let (cluster, member) = clustered::first_of_two(dir.path());
    metrics += &http::get(member, "/metrics", None).expect("it takes requests").body;
    drop(cluster);
    let is_shown = |name: &str| {
        metrics.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
    };
    for page in ["alerts.yml", "dashboard.json"] {
        let path = root().join("docs/observability").join(page);
        let text = std::fs::read_to_string(path).expect("the page is there");
        let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let names: BTreeSet<&str> = words.filter(|word| word.starts_with("switchyard_")).collect();
        assert!(names.len() > 15, "{page} names only {names:?}");
        let unknown: Vec<&&str> = names.iter().filter(|name| !is_shown(name)).collect();
        assert!(unknown.is_empty(), "{page} names {unknown:?}, which are not in\n{metrics}");
    }
    // Whoever is woken finds the alert's name on the page that says what to do.
    let rules = std::fs::read_to_string(root().join("docs/observability/alerts.yml")).expect("the rules");
    let page = std::fs::read_to_string(root().join("docs/operations.md")).expect("the page");
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let missing: Vec<&str> = alerts.filter(|alert| !page.contains(&format!("`{alert}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md says nothing about {missing:?}");
}

#[test]
fn a_configuration_is_checked_without_being_started() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let (file, data) = (setup.file(), setup.data());
    let told = printed(&["check", text_of(&file), "--host", "--data", text_of(&data)]);
    for words in [": good", "reliable", "all others", "1 in plain text", "has all operations that are needed"]
    {
        assert!(told.contains(words), "no {words:?} in\n{told}");
    }
    assert!(!told.contains(KEY) && !data.exists(), "{told}");
    let setup = setup.with_line("window = 0", "system_id = ");
    let place = format!("switchyard.toml:{}: carrier.window: expected", setup.line_of("window = 0"));
    assert!(complaint(&["check", text_of(&file)], 2).contains(&place));
    assert!(complaint(&["check"], 2).contains("FILE"));
}

#[test]
fn a_log_is_read_from_its_files_and_damage_is_named() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let mut daemon = setup.start();
    let id = submit(daemon.http, KEY);
    delivered(&setup, &mut daemon, &id);
    let shards = asked(&setup, &["status"])["shards"].as_array().expect("shards").len();
    let logs: Vec<_> = (0..shards).map(|shard| setup.data().join(format!("shard-{shard}"))).collect();
    assert!(
        printed(&["ctl", "log", "verify", text_of(&logs[0])])
            .starts_with(&format!("note: process {} holds", daemon.id()))
    );
    daemon.kill();
    let dump: String = logs.iter().map(|log| printed(&["ctl", "log", "dump", text_of(log)])).collect();
    for words in [&format!("accepted id={id}"), "fated", "start node=1", "to=+491********78"] {
        assert!(dump.contains(words), "no {words:?} in\n{dump}");
    }
    assert!(!dump.contains(TEXT) && !dump.contains(TO), "{dump}");
    let whole: String = logs
        .iter()
        .map(|log| printed(&["ctl", "log", "dump", text_of(log), "--show-texts", "--show-numbers"]))
        .collect();
    assert!(whole.contains(TEXT) && whole.contains(TO), "{whole}");

    assert!(printed(&["ctl", "log", "verify", text_of(&logs[0])]).starts_with("whole up to 0x"));
    // The log of the message: behind its second block lie others, so it was synced once.
    let holds_it = |log: &&PathBuf| printed(&["ctl", "log", "dump", text_of(log)]).contains("accepted");
    let log = logs.iter().find(holds_it).expect("a shard has the message");
    let segment = log.join(format!("{:016x}.seg", 0));
    let mut bytes = std::fs::read(&segment).expect("a segment can be read");
    bytes[4096 + 200] ^= 1;
    std::fs::write(&segment, bytes).expect("and written");
    let said = complaint(&["ctl", "log", "verify", text_of(log)], 1);
    assert!(said.contains("the log is damaged at segment 0000000000000000.seg, byte 4096"), "{said}");
}
