//! Messages that their customers take back: over HTTP and SMPP, before any carrier is there, and across a kill. What was taken back
//! never leaves.

use std::net::TcpListener;

use serde_json::json;

use crate::bound::Customer;
use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http;
use crate::pdu::BIND_TRANSMITTER;

/// `command_status` of answers to `cancel_sm` (SMPP 3.4 §5.1.3).
const ROK: u32 = 0;
const RCANCELFAIL: u32 = 0x11;

#[test]
fn what_was_taken_back_never_leaves() {
    // A carrier that has not come to its desk yet: connections are made, and nobody answers.
    let desk = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let place = temporary_dir();
    let setup = Setup::new(place.path(), desk.local_addr().expect("it listens")).with_smpp();
    let daemon = setup.start();
    // A transmitter has no receipts: nothing comes between its requests and their answers.
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSMITTER);
    let [by_smpp, by_http, kept] = ["by SMPP", "by HTTP", "kept"].map(|text| customer.submit(text, 1));
    assert_eq!(customer.cancel(&by_smpp), ROK);
    assert_eq!(customer.cancel(&by_smpp), ROK, "to repeat it is harmless");
    assert_eq!(customer.cancel("00000000000000000000000000"), RCANCELFAIL);
    let delete = |daemon_http, id: &str| {
        http::delete(daemon_http, &format!("/v1/messages/{id}"), KEY).expect("the daemon takes requests")
    };
    let answer = delete(daemon.http, &by_http);
    assert_eq!((answer.status, answer.json()), (200, json!({"id": by_http, "state": "cancelled"})));
    drop(customer);
    // What was answered is on disk.
    daemon.kill();

    let mut daemon = setup.start();
    for id in [&by_smpp, &by_http] {
        let path = format!("/v1/messages/{id}");
        let answer = http::get(daemon.http, &path, Some(KEY)).expect("the daemon takes requests");
        assert_eq!(answer.json()["state"], "cancelled", "{answer:?}");
    }
    let carrier = Carrier::at(desk);
    daemon.delivered(&kept);
    assert_eq!(carrier.seen().keys().collect::<Vec<_>>(), ["kept"]);
    let answer = delete(daemon.http, &kept);
    assert_eq!((answer.status, &answer.json()["type"]), (409, &json!("/problems/too-late")));
    assert_eq!(delete(daemon.http, &by_http).status, 200);
}
