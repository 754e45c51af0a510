//! A disk that is slower than its customers: they wait in their sockets, nobody is refused, and operators see it.

use std::net::SocketAddr;
use std::thread;

use serde_json::json;

use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http;

/// Connections that submit at once, …
const CUSTOMERS: usize = 16;
/// … so many requests each, …
const REQUESTS: usize = 3;
/// … of so many long messages: together more than all partitions of a shard gather before they refuse.
const BATCH: usize = 500;
/// The same to one number: a batch that fits into what one partition gathers, and many of them.
const BATCH_TO_ONE: usize = 50;

#[test]
fn customers_wait_for_a_slow_disk_and_are_not_refused() {
    none_is_refused(BATCH, |customer, n| format!("+4915{customer:02}{n:06}"));
}

#[test]
fn customers_of_one_partition_wait_too() {
    none_is_refused(BATCH_TO_ONE, |_, _| "+4915112345678".to_owned());
}

fn none_is_refused(batch: usize, to: fn(usize, usize) -> String) {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(place.path(), carrier.address());
    let setup = setup.with_cores("0").with_faults("[files]\nslow_sync_ms = 300\n");
    let mut daemon = setup.start();
    let http = daemon.http;
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|customer| thread::spawn(move || submit(http, batch, |n| to(customer, n))))
        .collect();
    daemon.until("customers are held back, which the numbers show meanwhile", || {
        (number(http, "switchyard_customers_held_back_total{") > 0).then_some(())
    });
    let taken: usize = customers.into_iter().map(|customer| customer.join().expect("it ends")).sum();
    assert_eq!(taken, CUSTOMERS * REQUESTS * batch, "some were refused");
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

/// How many messages of a customer were taken.
fn submit(http: SocketAddr, batch: usize, to: impl Fn(usize) -> String) -> usize {
    let text = "long ".repeat(60);
    let message = |n: usize| json!({"to": to(n), "text": text});
    let mut taken = 0;
    for request in 0..REQUESTS {
        let all: Vec<_> = (0..batch).map(|n| message(request * batch + n)).collect();
        let answer = http::post(http, "/v1/messages", KEY, &json!(all)).expect("the daemon takes requests");
        let items = answer.json();
        let items = items.as_array().unwrap_or_else(|| panic!("{answer:?}"));
        taken += items.iter().filter(|item| item["id"].is_string()).count();
    }
    taken
}

fn number(http: SocketAddr, name: &str) -> u64 {
    let metrics = http::get(http, "/metrics", None).expect("the daemon shows its numbers").body;
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}
