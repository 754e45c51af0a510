//! The HTTP interface as a customer's program meets it: one test to a promise of `docs/http.md`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http::{self, Response};

const TO: &str = "+4915112345678";

#[test]
fn http_answers_as_it_is_documented() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(place.path(), carrier.address());
    // One daemon for all of them: a start costs more than the checks.
    let daemon = setup.start();
    a_key_gives_the_first_answer_again_and_never_another_message(daemon.http);
    a_batch_is_answered_in_its_order(daemon.http);
    pipelined_requests_are_answered_in_their_order(daemon.http);
    a_problem_says_what_is_wrong(daemon.http);
    fates_are_told_once_to_a_cursor_that_moves(daemon.http);
    metrics_are_openmetrics(daemon.http);
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

fn submit(http: SocketAddr, body: &Value) -> Response {
    http::post(http, "/v1/messages", KEY, body).expect("the daemon takes requests")
}

fn a_key_gives_the_first_answer_again_and_never_another_message(http: SocketAddr) {
    let message = json!({"to": TO, "text": "once", "key": "order-7"});
    let (first, again) = (submit(http, &message).json(), submit(http, &message).json());
    assert_eq!((&first["known"], &again["known"]), (&json!(false), &json!(true)));
    assert_eq!(first["id"], again["id"]);
    let conflict = submit(http, &json!({"to": TO, "text": "another text", "key": "order-7"}));
    assert_eq!((conflict.status, &conflict.json()["status"]), (409, &json!(409)));
    // The same key for another recipient is another message.
    let other = submit(http, &json!({"to": "+4915112345679", "text": "once", "key": "order-7"})).json();
    assert_ne!(other["id"], first["id"]);
}

fn a_batch_is_answered_in_its_order(http: SocketAddr) {
    let good = |text: &str| json!({"to": TO, "text": text});
    let batch = json!([good("first"), {"to": "not a number", "text": "second"}, good("third")]);
    let answer = submit(http, &batch);
    assert_eq!(answer.status, 202, "{answer:?}");
    let items = answer.json();
    assert!(items[0]["id"].is_string() && items[2]["id"].is_string(), "{items}");
    assert_eq!(items[1]["error"]["status"], 422, "{items}");
    let thousand = Value::Array((0..1000).map(|n| good(&format!("bulk {n}"))).collect());
    assert_eq!(submit(http, &thousand).json().as_array().map(Vec::len), Some(1000));
}

fn pipelined_requests_are_answered_in_their_order(http: SocketAddr) {
    let requests: String = (0..20)
        .map(|n| {
            let body = json!({"to": TO, "text": format!("pipelined {n}"), "key": format!("p-{}", n % 10)});
            // The second ten repeat the keys of the first: were the order lost, the ids would not fit.
            let body = if n < 10 { body } else { json!({"to": TO, "text": format!("pipelined {}", n - 10), "key": format!("p-{}", n - 10)}) };
            let body = body.to_string();
            let length = body.len();
            format!("POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n{body}")
        })
        .collect();
    let answers = http::pipeline(http, &requests, 20).expect("a pipeline is answered");
    let ids: Vec<Value> = answers.iter().map(|answer| answer.json()["id"].clone()).collect();
    assert!(ids[..10].iter().all(Value::is_string), "{answers:?}");
    assert_eq!(ids[..10], ids[10..]);
}

fn a_problem_says_what_is_wrong(http: SocketAddr) {
    let get = |path: &str, key: Option<&str>| http::get(http, path, key).expect("the daemon takes requests");
    let problems = [
        (get("/v1/nothing", Some(KEY)), 404),
        (get("/v1/messages/00000000000000000000000000", Some(KEY)), 404),
        (get("/v1/messages/x", Some(KEY)), 400),
        (get("/v1/events?limit=0", Some(KEY)), 400),
        (get("/v1/events", None), 401),
        (get("/v1/events", Some("not-the-key-at-all")), 401),
        (submit(http, &json!({"to": TO})), 400),
        (submit(http, &json!({"to": TO, "text": "x", "txet": "y"})), 400),
        (submit(http, &json!({"to": TO, "text": ""})), 422),
        (submit(http, &json!([])), 422),
    ];
    for (answer, status) in problems {
        assert_eq!(answer.status, status, "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no {field} in {problem}");
        }
    }
}

/// All fates of what the tests above submitted, page by page, and nothing twice.
fn fates_are_told_once_to_a_cursor_that_moves(http: SocketAddr) {
    let marker = submit(http, &json!({"to": TO, "text": "the last one"})).json()["id"].clone();
    let mut cursor = String::new();
    let mut told: BTreeMap<String, u32> = BTreeMap::new();
    // Each poll waits in the daemon; sixty of a second each are enough for anything.
    for _ in 0..60 {
        let path = format!("/v1/events?limit=200&wait_ms=1000&after={cursor}");
        let answer = http::get(http, &path, Some(KEY)).expect("the daemon takes requests");
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        cursor = page["cursor"].as_str().expect("a page has a cursor").to_owned();
        let events = page["events"].as_array().expect("and events");
        assert!(events.len() <= 200);
        for event in events {
            assert_eq!(event["fate"], "delivered", "{event}");
            *told.entry(event["id"].as_str().expect("an event names its message").to_owned()).or_insert(0) +=
                1;
        }
        if events.is_empty() && told.contains_key(marker.as_str().expect("an id")) {
            break;
        }
    }
    assert!(
        told.contains_key(marker.as_str().expect("an id")),
        "the last message has no fate; {} have",
        told.len()
    );
    assert!(told.len() > 1000, "only {} fates were told", told.len());
    assert_eq!(told.values().find(|times| **times > 1), None, "a fate was told twice to a cursor that moved");
}

fn metrics_are_openmetrics(http: SocketAddr) {
    let answer = http::get(http, "/metrics", None).expect("the daemon takes requests");
    assert_eq!(answer.status, 200);
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    let accepted: u64 = answer
        .body
        .lines()
        .filter(|line| line.starts_with("switchyard_messages_accepted_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(accepted > 1000, "{accepted} accepted in\n{}", answer.body);
    let healthy = http::get(http, "/healthz", None).expect("the daemon takes requests");
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok\n"));
}
