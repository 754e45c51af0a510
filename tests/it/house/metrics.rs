//! Every metric that is defined is also counted: a line of zeroes in `/metrics` tells an operator that nothing happens.
//!
//! A metric is a number in a `metrics.rs` or a `counters.rs`: a field, or a line `name: Counter …` of a macro's table. It is
//! counted if a line somewhere adds to it or sets it.

use super::source::Finding;
use super::source::Source;
use super::source::expect_none;
use super::source::names;
use super::source::repository;

#[test]
fn every_metric_is_counted() {
    expect_none(&uncounted(&repository()));
}

fn uncounted(sources: &[Source]) -> Vec<Finding> {
    let codes: Vec<String> = sources.iter().filter(|s| s.is_rust()).map(Source::code).collect();
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| s.is_rust() && is_metrics(&s.path)) {
        for (line, name) in fields(&source.code()) {
            if !codes.iter().any(|code| code.lines().any(|l| counts(l, &name))) {
                findings.push(source.finding(line, format!("{name} is defined and never counted")));
            }
        }
    }
    findings
}

fn is_metrics(path: &str) -> bool {
    !path.starts_with("tests/") && (path.ends_with("/metrics.rs") || path.ends_with("/counters.rs"))
}

/// Fields with the type of a counter or a gauge.
fn fields(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let item = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let Some((name, kind)) = item.split_once(": ") else { continue };
        let plain = ["u64,", "u32,", "i64,", "AtomicU64,", "Cell<u64>,"].contains(&kind);
        let number = plain || kind.starts_with("Counter ") || kind.starts_with("Gauge ");
        if number && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            found.push((index + 1, name.to_owned()));
        }
    }
    found
}

/// Whether a line changes the field: `x.name += 1`, `x.name = y`, `x.name.fetch_add(1)`, `x.name.set(y)`, `&mut x.name`.
fn counts(line: &str, name: &str) -> bool {
    let Some(at) = line.find(&format!(".{name}")) else { return false };
    let after = line[at + 1 + name.len()..].trim_start();
    let changes = ["+=", "-=", "= ", ".fetch_add(", ".store(", ".set(", ".add(", ".inc("];
    names(line, name) && (changes.iter().any(|c| after.starts_with(c)) || line[..at].contains("&mut "))
}

#[test]
fn a_metric_that_nobody_counts_is_found() {
    let defined = Source::new(
        "engine/src/metrics.rs",
        "struct M {\n    pub syncs: u64,\n    pub lost: u64,\n    name: String,\n}\n",
    );
    let found = |line: &str| -> Vec<String> {
        let sources = [defined.clone(), Source::new("engine/src/a.rs", line)];
        uncounted(&sources).iter().map(|f| format!("{}: {}", f.line, f.what)).collect()
    };
    assert_eq!(found("m.syncs += 1;\nm.lost = x;"), Vec::<String>::new());
    assert_eq!(found("m.syncs.fetch_add(1);\nprint(m.lost);"), ["3: lost is defined and never counted"]);
    assert_eq!(found("m.syncs == 1;\nm.lost_total += 1;").len(), 2);
    let table =
        Source::new("shards/src/counters.rs", "counters! {\n    syncs: Counter \"a_syncs\" \"Syncs.\";\n}\n");
    assert_eq!(
        uncounted(&[table])[0].to_string(),
        "shards/src/counters.rs:2: syncs is defined and never counted"
    );
}
