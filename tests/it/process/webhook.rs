//! Webhooks of a whole daemon: a customer's server gets every event, signed, whatever it answers and whoever is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wire::id::MessageId;

use crate::carrier::Carrier;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http;
use crate::operator::{asked, printed, text_of};
use crate::pdu::from_handset;
use crate::receiver::{Answers, Receiver, SECRET};
use crate::tunnel::{Asks, HOST, Papers, Shown, out_of_tls};

const TO: &str = "+4915112345678";
const HANDSET: &str = "4915112345678";
const RULE: &str = "[[inbound]]\nto = \"12345\"\naccount = \"judge\"\n";

/// The account has a webhook at this URL, and a number that handsets send to.
fn setup(place: &Path, carrier: &Carrier, url: &str) -> Setup {
    let lines = format!("webhook = {url:?}\nwebhook_secret = {SECRET:?}");
    Setup::new(place, carrier.address())
        .with_line(&lines, "sender = ")
        .with("[[route]]", &format!("{RULE}[[route]]"))
}

fn submit(daemon: &Daemon, key: &str, text: &str) -> String {
    let answer = http::post(daemon.http, "/v1/messages", key, &json!({"to": TO, "text": text}));
    answer.expect("it takes requests").json()["id"].as_str().expect("an id").to_owned()
}

fn until_all_is_acknowledged(daemon: &mut Daemon) {
    let http = daemon.http;
    daemon.until("all is acknowledged", || {
        let page = http::get(http, "/v1/events?wait_ms=0", Some(KEY)).expect("it takes requests").json();
        (page["events"] == json!([])).then_some(())
    });
}

#[test]
fn fates_and_messages_are_posted_signed_again_and_again_until_they_are_taken() {
    let (place, carrier, receiver) = (temporary_dir(), Carrier::start(), Receiver::start());
    receiver.answers(Answers::With(503));
    let setup = setup(place.path(), &carrier, &receiver.url());
    let mut daemon = setup.start();
    let id = submit(&daemon, KEY, "a message");
    daemon.until("it is posted twice", || (receiver.posts().len() >= 2).then_some(()));
    let posts = receiver.posts();
    assert!(posts.iter().all(|post| post.is_signed), "{posts:?}");
    assert_eq!((&posts[0].id, &posts[0].body), (&posts[1].id, &posts[1].body), "it is repeated as it was");
    let body: Value = serde_json::from_str(&posts[0].body).expect("JSON");
    assert_eq!(body["account"], "judge");
    let event = &body["events"][0];
    let said = (&event["type"], &event["id"], &event["fate"]);
    assert_eq!(said, (&json!("fate"), &json!(id), &json!("delivered")));
    let told = &asked(&setup, &["webhooks"])[0];
    assert_eq!((&told["account"], &told["posts_taken"]), (&json!("judge"), &json!(0)), "{told}");
    assert!(told["trouble"].as_str().is_some_and(|trouble| trouble.contains("503")), "{told}");
    daemon.until_said("webhook-failed");

    receiver.answers(Answers::With(204));
    carrier.say(from_handset(HANDSET, "12345", 0, b"STOP now"));
    let texts = || receiver.taken().values().filter(|event| event["text"] == "STOP now").count();
    daemon.until("the handset's message is taken", || (texts() == 1).then_some(()));
    assert!(receiver.taken().contains_key(&id));
    daemon.until_said("webhook-recovered");
    until_all_is_acknowledged(&mut daemon);
    let metrics = http::get(daemon.http, "/metrics", None).expect("it takes requests").body;
    for line in [
        "switchyard_webhook_events_total{account=\"judge\"} 2\n",
        "switchyard_webhook_events_waiting{account=\"judge\"} 0\n",
    ] {
        assert!(metrics.contains(line), "no {line:?} in {metrics}");
    }
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
    for secret in ["MfKQ9r8", "token=1"] {
        assert!(!words.contains(secret), "{secret} is in {words}");
    }
}

#[test]
fn what_was_not_taken_is_posted_by_the_process_after_a_kill() {
    let (place, carrier, receiver) = (temporary_dir(), Carrier::start(), Receiver::start());
    // Writes stay in the process until their sync: what was told before it was durable would be told of nothing.
    let setup = setup(place.path(), &carrier, &receiver.url()).with_faults("[files]\nhold_writes = true\n");
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        // Whatever was under way when the process was killed.
        receiver.answers(if round % 2 == 0 { Answers::With(503) } else { Answers::Never });
        let mut daemon = setup.start();
        let before = receiver.posts().len();
        for number in 0..40 {
            expected.insert(submit(&daemon, KEY, &format!("message {number} of {round}")));
        }
        let text = format!("text of {round}");
        carrier.say(from_handset(HANDSET, "12345", 0, text.as_bytes()));
        daemon.until("the carrier is rid of all", || carrier.is_rid_of_all().then_some(()));
        for id in &expected {
            daemon.delivered(id);
        }
        daemon.until("something is posted", || (receiver.posts().len() > before).then_some(()));
        daemon.kill();

        receiver.answers(Answers::With(200));
        let mut daemon = setup.start();
        let is_told = || {
            let taken = receiver.taken();
            let has_text = taken.values().any(|event| event["text"] == text.as_str());
            (has_text && expected.iter().all(|id| taken.contains_key(id))).then_some(())
        };
        daemon.until("all is taken", is_told);
        until_all_is_acknowledged(&mut daemon);
        daemon.kill();
    }
    assert!(receiver.posts().iter().all(|post| post.is_signed));
    let fates: BTreeMap<String, Value> =
        receiver.taken().into_iter().filter(|(_, event)| event["type"] == "fate").collect();
    assert!(fates.values().all(|event| event["fate"] == "delivered"), "{fates:?}");
    assert_eq!(fates.into_keys().collect::<BTreeSet<_>>(), expected, "and nothing that is not ours");
}

#[test]
fn many_fates_come_in_few_posts_and_in_the_order_of_their_recipients() {
    let (place, carrier, receiver) = (temporary_dir(), Carrier::start(), Receiver::start());
    let mut daemon = setup(place.path(), &carrier, &receiver.url()).start();
    let mut ids = Vec::new();
    for batch in 0..4 {
        let message = |number: usize| json!({"to": format!("+49151{:07}", number % 97), "text": format!("{batch} {number}")});
        let body = Value::Array((0..1000).map(message).collect());
        let answer = http::post(daemon.http, "/v1/messages", KEY, &body).expect("it takes requests").json();
        let results = answer.as_array().expect("a result for each");
        ids.extend(results.iter().map(|result| result["id"].as_str().expect("an id").to_owned()));
    }
    daemon.until("all are taken", || {
        let taken = receiver.taken();
        ids.iter().all(|id| taken.contains_key(id)).then_some(())
    });
    until_all_is_acknowledged(&mut daemon);
    let posts = receiver.posts();
    let events: Vec<Value> = posts.iter().flat_map(|post| events_of(&post.body)).collect();
    assert_eq!(events.len(), ids.len(), "each once, since nobody was killed and every post was taken");
    assert!(posts.iter().all(|post| post.is_signed && events_of(&post.body).len() <= 256));
    assert!(posts.len() <= ids.len() / 8, "{} posts", posts.len());
    // Fates of a partition are numbered in the order of their times.
    let mut last: BTreeMap<u16, String> = BTreeMap::new();
    for event in &events {
        let (id, at) = (event["id"].as_str().expect("an id"), event["at"].as_str().expect("a time"));
        let before = last.insert(partition_of(id), at.to_owned());
        assert!(before.is_none_or(|before| *before <= *at), "{id} at {at}");
    }
    daemon.kill();
}

fn events_of(body: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(body).expect("JSON");
    body["events"].as_array().expect("a post has events").clone()
}

/// The partition of a message, from its id.
fn partition_of(id: &str) -> u16 {
    id.parse::<MessageId>().expect("an id").partition().0
}

#[test]
fn a_server_that_never_answers_delays_no_other_account() {
    let (place, carrier, receiver) = (temporary_dir(), Carrier::start(), Receiver::start());
    // The kernel takes connections for it, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}/", silent.local_addr().expect("it listens"));
    let other = format!(
        "[[account]]\nname = \"other\"\nkey = \"another-key-of-the-judge\"\nsender = \"Other\"\n\
         webhook = {url:?}\nwebhook_secret = {SECRET:?}\n"
    );
    let setup =
        setup(place.path(), &carrier, &receiver.url()).with("[[carrier]]", &format!("{other}[[carrier]]"));
    let mut daemon = setup.start();
    let held = submit(&daemon, "another-key-of-the-judge", "nobody hears of this");
    let http = daemon.http;
    daemon.until("it is on its way to nobody", || {
        let metrics = http::get(http, "/metrics", None).expect("it takes requests").body;
        metrics.contains("switchyard_webhook_events_waiting{account=\"other\"} 1\n").then_some(())
    });
    let ids: Vec<String> = (0..20).map(|number| submit(&daemon, KEY, &format!("message {number}"))).collect();
    daemon.until("all are taken", || {
        let taken = receiver.taken();
        ids.iter().all(|id| taken.contains_key(id)).then_some(())
    });
    assert!(!receiver.taken().contains_key(&held), "it is another's");
    // It still waits for its first answer: had the others waited for it, they would have waited in vain.
    let webhooks = asked(&setup, &["webhooks"]);
    let other = webhooks.as_array().expect("two").iter().find(|webhook| webhook["account"] == "other");
    let other = other.expect("it has one");
    assert_eq!((&other["posts_taken"], &other["posts_failed"]), (&json!(0), &json!(0)), "{other}");
    // A stop does not wait for it as long as it may take.
    let (status, words) = daemon.terminate();
    assert!(status.success() && words.contains("drained"), "{words}");
}

#[test]
fn another_url_another_secret_and_another_ca_are_in_force_at_once() {
    let (place, carrier, receiver) = (temporary_dir(), Carrier::start(), Receiver::start());
    let papers = Papers::new(place.path());
    papers.issue("hook", HOST, |_| {});
    let stranger_dir = place.path().join("stranger");
    std::fs::create_dir(&stranger_dir).expect("a directory of ours");
    Papers::new(&stranger_dir);
    let shown: Shown = Arc::new(Mutex::new(papers.server("hook", Asks::Nothing)));
    let guarded = out_of_tls(receiver.address(), &shown);
    let url = format!("https://{guarded}/in?token=1");
    let ca = |path: &Path| format!("webhook_ca = {:?}", text_of(path));
    let (right, wrong) = (papers.path("ca.pem"), stranger_dir.join("ca.pem"));
    let setup = setup(place.path(), &carrier, &url).with_line(&ca(&wrong), "webhook_secret");
    let mut daemon = setup.start();
    let first = submit(&daemon, KEY, "to whom it may concern");
    daemon.until("the certificate is not trusted", || {
        let told = asked(&setup, &["webhooks"]).to_string();
        (told.contains("invalid peer certificate") && !told.contains("token=1")).then_some(())
    });
    assert!(receiver.posts().is_empty());

    let setup = setup.with(&ca(&wrong), &ca(&right));
    let told = asked(&setup, &["reload"]);
    assert_eq!(told["applied"], json!(["account judge: another webhook"]), "{told}");
    daemon.until("it is taken over TLS", || receiver.taken().contains_key(&first).then_some(()));

    // The server shows a certificate of another CA, which the file then has.
    let other_dir = place.path().join("other");
    std::fs::create_dir(&other_dir).expect("a directory of ours");
    let other = Papers::new(&other_dir);
    other.issue("hook", HOST, |_| {});
    std::fs::copy(other.path("ca.pem"), &right).expect("a file of ours");
    *shown.lock().expect("nobody panics") = other.server("hook", Asks::Nothing);
    let told = asked(&setup, &["reload"]);
    assert_eq!(told["applied"], json!(["account judge: webhook_ca has other certificates in it"]), "{told}");

    // The next secret beside the old one, and then the next alone.
    let next = "whsec_bmV4dCBzZWNyZXQgb2YgdGhlIGp1ZGdlIQ==";
    let both = format!("webhook_secrets = [{SECRET:?}, {next:?}]");
    let setup = setup.with(&format!("webhook_secret = {SECRET:?}"), &both);
    asked(&setup, &["reload"]);
    let second = submit(&daemon, KEY, "signed by both");
    daemon.until("it is taken", || receiver.taken().contains_key(&second).then_some(()));
    assert!(receiver.posts().iter().all(|post| post.is_signed));
    let setup = setup.with(&both, &format!("webhook_secret = {next:?}"));
    asked(&setup, &["reload"]);
    let third = submit(&daemon, KEY, "signed by the next alone");
    daemon.until("it is taken", || receiver.taken().contains_key(&third).then_some(()));
    assert!(receiver.posts().last().is_some_and(|post| !post.is_signed), "the old secret is out of use");
    let check = printed(&["check", text_of(&setup.file())]);
    assert!(check.contains(&format!("https://{guarded}/in?…")) && !check.contains("token=1"), "{check}");

    // One that is taken out is called no more.
    let webhook = format!("webhook = {url:?}");
    let setup =
        setup.with(&webhook, "").with(&format!("webhook_secret = {next:?}"), "").with(&ca(&right), "");
    let told = asked(&setup, &["reload"]);
    assert_eq!(told["applied"], json!(["account judge: webhook removed"]), "{told}");
    assert_eq!(asked(&setup, &["webhooks"]), json!([]));
    let fourth = submit(&daemon, KEY, "nobody is called");
    daemon.delivered(&fourth);
    let http = daemon.http;
    daemon.until("it is left to whoever asks", || {
        let page = http::get(http, "/v1/events?wait_ms=200", Some(KEY)).expect("it takes requests").body;
        page.contains(&fourth).then_some(())
    });
    assert!(!receiver.taken().contains_key(&fourth));
}

#[test]
fn a_stop_waits_for_the_post_that_is_under_way() {
    let (place, carrier, receiver) = (temporary_dir(), Carrier::start(), Receiver::start());
    // On one core: an acknowledgement that crosses to another shard may come too late for a stop, and then its event is told again.
    let setup = setup(place.path(), &carrier, &receiver.url()).with_cores("0");
    let mut daemon = setup.start();
    receiver.answers(Answers::Held);
    let id = submit(&daemon, KEY, "a message");
    daemon.until("it is posted", || (receiver.posts().len() == 1).then_some(()));
    daemon.signal("-TERM");
    daemon.until_said("stopping");
    receiver.answers(Answers::With(200));
    let (status, words) = daemon.end();
    assert!(status.success() && words.contains("drained"), "{words}");
    assert!(receiver.taken().contains_key(&id));
    let mut daemon = setup.start();
    until_all_is_acknowledged(&mut daemon);
    assert_eq!(receiver.posts().len(), 1, "it is not told again");
    daemon.kill();
}
