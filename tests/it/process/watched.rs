//! What an operator sees of sessions: `ctl links` and `ctl trace` of the built daemon.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::bound::Customer;
use crate::carrier::Carrier;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http;
use crate::operator::{complaint, printed, text_of};
use crate::pdu::BIND_TRANSCEIVER;
use crate::programs::programs;

const NUMBER: &str = "4915112345678";
const TEXT: &str = "nobody else reads this";

/// `switchyard ctl trace`, and what it prints.
struct Trace {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Trace {
    fn start(setup: &Setup, options: &[&str]) -> Self {
        let mut command = Command::new(&programs().switchyard);
        command.args(["ctl", "--data", text_of(&setup.data()), "trace"]).args(options);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program can be started");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut trace = Self { child, lines };
        assert!(trace.line().starts_with("looking at "), "it says when it begins");
        trace
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("the trace goes on").expect("it prints UTF-8")
    }

    /// Reads on until a line has these words.
    fn until(&mut self, words: &str) -> String {
        // Links ask whether they live once a second, so there is always a next line.
        let mut lines = (0..500).map(|_| self.line());
        lines.find(|line| line.contains(words)).unwrap_or_else(|| panic!("no line has {words:?}"))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn submit(daemon: &mut Daemon) -> String {
    let body = json!({"to": format!("+{NUMBER}"), "text": TEXT});
    let answer = http::post(daemon.http, "/v1/messages", KEY, &body).expect("it takes requests");
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    daemon.delivered(&id);
    id
}

#[test]
fn a_trace_shows_what_passes_over_a_carriers_links_and_hides_texts_and_numbers() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address());
    let mut daemon = setup.start();
    let mut trace = Trace::start(&setup, &["--carrier", "reliable"]);
    let mut open = Trace::start(&setup, &["--carrier", "reliable", "--texts", "--numbers"]);
    submit(&mut daemon);
    let sent = trace.until(" we  submit_sm #");
    assert!(sent.contains("to 1/1 4915*******78") && sent.contains(" text of 22 octets"), "{sent}");
    let answer = trace.until(" they submit_sm_resp #");
    assert!(answer.contains(" ESME_ROK"), "{answer}");
    let receipt = trace.until(" they deliver_sm #");
    assert!(receipt.contains(" Delivered ") && !receipt.contains(NUMBER), "{receipt}");
    trace.until(" we  deliver_sm_resp #");
    let sent = open.until(" we  submit_sm #");
    assert!(sent.contains(NUMBER) && sent.contains(&format!("text {TEXT:?}")), "{sent}");

    // Both readers go; others can look on as soon as the daemon has seen that.
    drop((trace, open));
    let mut several: Vec<Trace> = Vec::new();
    daemon.until("there is room for four traces", || {
        let data = setup.data();
        let mut probe = Command::new(&programs().switchyard);
        probe.args(["ctl", "--data", text_of(&data), "trace", "--carrier", "reliable"]);
        let mut child =
            probe.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        match lines.next() {
            Some(Ok(_)) => several.push(Trace { child, lines }),
            _ => drop(child.wait()),
        }
        (several.len() == 4).then_some(())
    });
    let fifth = complaint(&["ctl", "--data", text_of(&setup.data()), "trace", "--carrier", "reliable"], 1);
    assert!(fifth.contains("there are 4 traces already"), "{fifth}");
    submit(&mut daemon);
    several.iter_mut().for_each(|trace| drop(trace.until(" we  submit_sm #")));
    for (option, name) in [("--carrier", "nobody"), ("--account", "no-one")] {
        drop(several.pop());
        let mut said = String::new();
        daemon.until("a place is free", || {
            said = complaint(&["ctl", "--data", text_of(&setup.data()), "trace", option, name], 1);
            said.contains(name).then_some(())
        });
        assert!(said.contains("there is no "), "{said}");
    }
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    // The daemon's end is the trace's.
    while let Some(Ok(_)) = several[0].lines.next() {}
}

#[test]
fn links_show_every_session_and_a_trace_of_an_account_its_binds() {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(dir.path(), carrier.address()).with_smpp();
    let daemon = setup.start();
    let mut trace = Trace::start(&setup, &["--account", "judge"]);
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSCEIVER);
    let bind = trace.until("bind_transceiver #");
    assert!(
        bind.contains(" they ") && bind.contains("system_id 'judge'") && !bind.contains("secret12"),
        "{bind}"
    );
    let id = customer.submit(TEXT, 1);
    assert_eq!(customer.receipt(), id);
    let answer = trace.until(" we  submit_sm_resp #");
    assert!(answer.ends_with(&format!(" ESME_ROK (0x00) id '{id}'")), "{answer}");
    assert!(trace.until(" we  deliver_sm #").contains(" receipt of "), "of {id}");
    // One that is refused: its recipient is none.
    assert_eq!(customer.refused(), 0x0B);
    trace.until(" we  submit_sm_resp #");

    let data = setup.data();
    let told = printed(&["ctl", "--json", "--data", text_of(&data), "links"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let sessions = told["customers"].as_array().expect("customers");
    assert_eq!(sessions.len(), 1, "{told}");
    let session = &sessions[0];
    assert_eq!((&session["account"], &session["state"]), (&json!("judge"), &json!("transceiver")), "{told}");
    assert_eq!((&session["window"], &session["version"]), (&json!(256), &json!(0x34)), "{told}");
    assert_eq!(session["errors"][0]["code"], 0x0B, "{told}");
    assert_eq!(session["last_pdu"], "submit_sm", "{told}");
    let link = told["links"].as_array().expect("links").iter().find(|link| link["segments"] == 1);
    let link = link.unwrap_or_else(|| panic!("no link has sent it: {told}"));
    assert!(link["response_us"][1].as_u64() > Some(0) && link["last_pdu_ms"].as_u64() > Some(0), "{told}");
    let table = printed(&["ctl", "--data", text_of(&data), "links"]);
    assert!(table.contains("half / 99 of 100") && table.contains("submit_sm, 0s ago"), "{table}");
    assert!(table.contains("ESME_RINVDSTADR (0x0B) 1x"), "{table}");
    customer.unbind();
    trace.until(" we  unbind_resp #");
}
