//! Every limit is used: a bound in a `limits.rs` that nothing obeys is a promise that nobody keeps.

use super::source::Finding;
use super::source::Source;
use super::source::expect_none;
use super::source::names;
use super::source::repository;

#[test]
fn every_limit_is_obeyed_somewhere() {
    let sources = repository();
    assert!(sources.iter().any(is_limits), "no limits.rs at all: the rule looks at nothing");
    expect_none(&unused(&sources));
}

fn is_limits(source: &Source) -> bool {
    source.path.ends_with("/limits.rs")
}

fn unused(sources: &[Source]) -> Vec<Finding> {
    let codes: Vec<(&Source, String)> =
        sources.iter().filter(|s| s.is_rust()).map(|s| (s, s.code())).collect();
    let mut findings = Vec::new();
    for (limits, code) in codes.iter().filter(|(source, _)| is_limits(source)) {
        for (line, name) in constants(code) {
            let used = codes.iter().any(|(other, text)| match other.path == limits.path {
                true => used_by_another_item(text, name),
                false => reaches(limits, other, text) && text.lines().any(|l| names(l, name)),
            });
            if !used {
                findings.push(limits.finding(line, format!("nothing obeys {name}")));
            }
        }
    }
    findings
}

/// `const NAME` of a file, but for `const _`, which are assertions.
fn constants(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let item = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let name = item.strip_prefix("const ").and_then(|rest| rest.split(':').next()).map(str::trim);
        found.extend(name.filter(|n| *n != "_" && !n.starts_with("fn ")).map(|name| (index + 1, name)));
    }
    found
}

/// Whether a file may mean this limits.rs: one of the same crate, or one that names that crate (two crates may use one name).
fn reaches(limits: &Source, other: &Source, text: &str) -> bool {
    limits.room() == other.room() || text.lines().any(|line| names(line, limits.room()))
}

/// Whether another limit or a function of the same file is computed from `name`. An assertion alone obeys nothing.
fn used_by_another_item(code: &str, name: &str) -> bool {
    let items = code.split(';').filter(|item| !item.contains("const _:"));
    items.filter(|item| names(item, name)).any(|item| !item.contains(&format!("const {name}:")))
}

#[test]
fn an_idle_limit_is_found() {
    let limits = "/// Doc.\npub const WINDOW_MAX: usize = 1;\npub const IDLE_MAX: usize = WINDOW_MAX * 2;\n\
                  const _: () = assert!(IDLE_MAX > 1);\n";
    let found = |path: &str, text: &str| -> Vec<String> {
        let sources = [Source::new("wal/src/limits.rs", limits), Source::new(path, text)];
        unused(&sources).iter().map(ToString::to_string).collect()
    };
    assert_eq!(found("wal/src/a.rs", "x(limits::IDLE_MAX)"), Vec::<String>::new());
    assert_eq!(found("engine/src/a.rs", "x(wal::limits::IDLE_MAX)"), Vec::<String>::new());
    let idle = ["wal/src/limits.rs:3: nothing obeys IDLE_MAX"];
    assert_eq!(found("wal/src/a.rs", "// IDLE_MAX"), idle);
    assert_eq!(found("wal/src/a.rs", "x(IDLE_MAX_BYTES)"), idle);
    assert_eq!(found("wire/src/a.rs", "x(limits::IDLE_MAX)"), idle, "another crate's limit of the same name");
}
