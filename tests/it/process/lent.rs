//! A carrier with fewer binds than the node has cores: every shard's messages go by the link that there is.

use serde_json::json;

use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http;

const MESSAGES: usize = 60;

#[test]
fn one_bind_with_a_small_window_serves_all_shards() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(place.path(), carrier.address());
    let mut daemon = setup.with_line("binds = 1\nwindow = 2", "system_id").start();
    let text = |number: usize| format!("message {number}");
    let batch: Vec<_> = (0..MESSAGES)
        .map(|number| json!({"to": format!("+49151{number:08}"), "text": text(number)}))
        .collect();
    let answer =
        http::post(daemon.http, "/v1/messages", KEY, &json!(batch)).expect("the daemon takes requests");
    let results = answer.json();
    let results = results.as_array().unwrap_or_else(|| panic!("no results in {answer:?}"));
    assert_eq!(results.len(), MESSAGES);
    for result in results {
        daemon.delivered(result["id"].as_str().unwrap_or_else(|| panic!("no id in {result}")));
    }
    let seen = carrier.seen();
    assert!((0..MESSAGES).all(|number| seen.get(&text(number)) == Some(&1)), "each once: {seen:?}");
    let http = daemon.http;
    daemon.until("the numbers show it", || {
        let metrics = http::get(http, "/metrics", None).expect("the daemon shows its numbers").body;
        let values = |name: &str| -> Vec<u64> {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
        };
        let shards = values("switchyard_shard_ready{").len();
        let lent = values("switchyard_segments_lent_total{").iter().sum::<u64>();
        let links = values("switchyard_links{").iter().sum::<u64>();
        (links == 1 && (shards == 1 || lent > 0)).then_some(())
    });
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}
