//! What every file owes its reader: a chapter head, a length that can be read, no address of the machine it was
//! written on, and tests that are neither skipped nor asleep.

use super::source::Finding;
use super::source::Source;
use super::source::expect_none;
use super::source::lines_naming;
use super::source::repository;

/// Past this, a file is several things. 300 is the aim, and 500 asks a question in review.
const LINES_MAX: usize = 800;

/// Folders in which someone's machine keeps its things. Written in halves, so that this file may be read by its own rule.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/tm", "p/")];

#[test]
fn every_rust_file_is_a_chapter() {
    expect_none(&repository().iter().filter_map(without_head).collect::<Vec<_>>());
}

#[test]
fn no_file_is_a_book() {
    expect_none(&repository().iter().filter_map(too_long).collect::<Vec<_>>());
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    expect_none(&repository().iter().flat_map(machine_paths).collect::<Vec<_>>());
}

#[test]
fn no_test_is_skipped_or_sleeps_or_hopes_for_a_panic() {
    expect_none(&repository().iter().flat_map(weak_tests).collect::<Vec<_>>());
}

fn without_head(source: &Source) -> Option<Finding> {
    // What a file is permitted (`#![expect(unsafe_code, …)]`) may stand above its head, on one line or several.
    let mut attribute = false;
    let first = source.text.lines().enumerate().find(|(_, line)| {
        let inside = attribute || line.starts_with("#![");
        attribute = inside && !line.ends_with(']');
        !inside
    });
    let (index, first) = first.unwrap_or_default();
    let wrong = source.is_rust() && !first.starts_with("//! ");
    wrong.then(|| source.finding(index + 1, "no `//!` at the beginning that says what this file is"))
}

fn too_long(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    let wrong = source.is_rust() && lines > LINES_MAX;
    wrong.then(|| source.finding(LINES_MAX + 1, format!("{lines} lines; at most {LINES_MAX}")))
}

fn machine_paths(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for folder in MACHINE_FOLDERS {
            // `target/home/x` and `$HOME/tmp/` are not the machine's; an absolute path has nothing before its slash.
            let absolute = |at: usize| {
                !line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "._-/}".contains(c))
            };
            if line.match_indices(folder).any(|(at, _)| absolute(at)) {
                findings.push(source.finding(index + 1, format!("names {folder}, a folder of one machine")));
            }
        }
    }
    findings
}

fn weak_tests(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let code = source.code();
    let tests_begin = match source.room() {
        "tests" => 1,
        _ => code.lines().position(|l| l.contains("#[cfg(test)]")).map_or(usize::MAX, |index| index + 1),
    };
    let mut findings = Vec::new();
    for (word, why) in [
        ("should_panic", "says too little about what went wrong: check a Result"),
        ("ignore", "a test that does not run judges nothing"),
    ] {
        let lines = lines_naming(&code, word).into_iter();
        let attribute =
            |line: &usize| code.lines().nth(line - 1).is_some_and(|l| l.trim_start().starts_with("#["));
        findings.extend(lines.filter(attribute).map(|line| source.finding(line, format!("`{word}`: {why}"))));
    }
    for (index, line) in code.lines().enumerate() {
        if index + 1 >= tests_begin && line.contains("thread::sleep") {
            findings.push(source.finding(index + 1, "a test waits for what it needs, it does not sleep"));
        }
    }
    findings
}

#[test]
fn files_without_head_or_end_are_found() {
    assert_eq!(without_head(&Source::new("a.rs", "//! What this is.\n")), None);
    assert_eq!(
        without_head(&Source::new(
            "a.rs",
            "#![expect(\n    unsafe_code\n)]\n#![allow(x)]\n//! What this is.\n"
        )),
        None
    );
    assert_eq!(without_head(&Source::new("a.md", "text")), None);
    for bad in ["", "use std::fmt;\n", "// no\n", "//!\n", "#![allow(x)]\nuse y;"] {
        assert!(without_head(&Source::new("a.rs", bad)).is_some(), "{bad:?}");
    }
    assert_eq!(too_long(&Source::new("a.rs", &"x\n".repeat(800))), None);
    assert_eq!(too_long(&Source::new("a.rs", &"x\n".repeat(801))).map(|f| f.line), Some(801));
}

#[test]
fn machine_folders_are_found() {
    let lines =
        |text: &str| machine_paths(&Source::new("a", text)).iter().map(|f| f.line).collect::<Vec<_>>();
    let [root, home, work, tmp] = MACHINE_FOLDERS;
    assert_eq!(lines(&format!("x\n{root}a\n`{home}b`\nsee {work}c\n\"{tmp}d\"")), [2, 3, 4, 5]);
    assert_eq!(lines(&format!("target{tmp}x\n${{DIR}}{tmp}y\n..{work}z")), Vec::<usize>::new());
}

#[test]
fn weak_tests_are_found() {
    let lines = |path: &str, text: &str| {
        weak_tests(&Source::new(path, text)).iter().map(|f| f.line).collect::<Vec<_>>()
    };
    let (skip, hope) = (concat!("#[", "ignore]"), concat!("#[should", "_panic]"));
    assert_eq!(lines("wal/src/a.rs", &format!("{skip}\n{hope}\n")), [2, 1]);
    assert_eq!(lines("wal/src/a.rs", "thread::sleep(d);\n#[cfg(test)]\nthread::sleep(d);"), [3]);
    assert_eq!(lines("tests/it/a.rs", "std::thread::sleep(d);\n// thread::sleep\n"), [1]);
    assert_eq!(lines("tests/it/a.rs", "let ignore = 1;"), Vec::<usize>::new());
}
