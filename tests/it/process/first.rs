//! A newcomer's first minute: no configuration, one request, a delivered message with its trace.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;

use crate::daemon::{Process, temporary_dir};
use crate::http;
use crate::programs::programs;

/// Where the daemon listens when nobody says otherwise.
const HTTP: u16 = 8080;
const NATIVE: u16 = 7700;

#[test]
fn without_a_configuration_the_first_request_ends_in_a_delivered_message() {
    for port in [HTTP, NATIVE] {
        let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
        assert!(
            free,
            "another program has port {port}, where the daemon listens without a configuration: stop it"
        );
    }
    let dir = temporary_dir();
    let mut command = Command::new(&programs().switchyard);
    command.current_dir(dir.path()).arg("serve");
    let mut process = Process::spawn(command);
    let address = SocketAddr::from(([127, 0, 0, 1], HTTP));
    process.until("the daemon is ready", |_| {
        http::get(address, "/readyz", None).is_ok_and(|answer| answer.status == 200).then_some(())
    });
    let key_file = dir.path().join("data/dev-key");
    let mode = fs::metadata(&key_file).expect("the key is kept in a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its owner reads the key");
    let key = fs::read_to_string(&key_file).expect("which we can read").trim().to_owned();
    assert!(process.log().contains(&key), "the key is printed when it is made:\n{}", process.log());

    let least = json!({"to": "+4915112345678", "text": "hello"});
    let answer = http::post(address, "/v1/messages", &key, &least).expect("the daemon takes requests");
    let id = answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id in {answer:?}")).to_owned();
    let message = process.until("the message is delivered", |_| {
        let answer = http::get(address, &format!("/v1/messages/{id}"), Some(&key)).expect("and queries");
        let message = answer.json();
        (message["state"] == "delivered").then_some(message)
    });
    let trace = message["trace"].as_array().unwrap_or_else(|| panic!("no trace in {message}"));
    assert!(trace.len() >= 3, "accepted, attempted, sent, delivered: {message}");
    assert!(message["trace"].to_string().contains("sandbox"), "the trace names the carrier: {message}");

    let nobody =
        http::post(address, "/v1/messages", "not-the-key", &least).expect("the daemon takes requests");
    assert_eq!(nobody.status, 401, "{nobody:?}");
}
