//! `docs/ARCHITECTURE.md` is true: it names every room, no file that is not there, and fits a reading of ten minutes.

use super::source::Finding;
use super::source::Source;
use super::source::expect_none;
use super::source::repository;
use super::source::root;

const LINES_MAX: usize = 200;

#[test]
fn the_page_of_the_architecture_is_true() {
    let sources = repository();
    let page = sources.iter().find(|s| s.path == "docs/ARCHITECTURE.md").expect("the page is there");
    let mut findings = rooms_without_a_word(page, &members(&sources));
    findings.extend(files_that_are_not_there(page, &|path| is_there(path, &sources)));
    let lines = page.text.lines().count();
    assert!(lines <= LINES_MAX, "docs/ARCHITECTURE.md:{LINES_MAX}: {lines} lines; at most {LINES_MAX}");
    expect_none(&findings);
}

/// A path from the root, or the bare name of some file.
fn is_there(path: &str, sources: &[Source]) -> bool {
    let bare = !path.contains('/') && sources.iter().any(|s| s.path.ends_with(&format!("/{path}")));
    bare || root().join(path).exists()
}

fn members(sources: &[Source]) -> Vec<String> {
    let manifests = sources.iter().filter_map(|s| s.path.strip_suffix("/Cargo.toml"));
    manifests.filter(|folder| !folder.contains('/')).map(str::to_owned).collect()
}

fn rooms_without_a_word(page: &Source, rooms: &[String]) -> Vec<Finding> {
    let missing = rooms.iter().filter(|room| !page.text.contains(&format!("`{room}/`")));
    missing.map(|room| page.finding(1, format!("does not name `{room}/`"))).collect()
}

fn files_that_are_not_there(page: &Source, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2).filter(|q| is_path(q)) {
            if !exists(quoted) {
                findings.push(page.finding(index + 1, format!("names {quoted}, which is not there")));
            }
        }
    }
    findings
}

/// Whether a quoted word is a path of the repository: not an HTTP path, an operator's `DIR/…`, a pattern or a command.
fn is_path(quoted: &str) -> bool {
    let ends_like_a_file = [".rs", ".md", ".toml", ".sh"].iter().any(|end| quoted.ends_with(end));
    let foreign = quoted.starts_with('/')
        || quoted.starts_with("DIR")
        || quoted.contains(['*', ' ', '<', '(', '…', ':']);
    (quoted.contains('/') || ends_like_a_file) && !foreign
}

#[test]
fn a_missing_room_and_a_missing_file_are_found() {
    let page =
        Source::new("A.md", "`wire/` and\n`wire/src/gone.rs`, `DIR/identity`, `/v1/x`, `cargo sim`, `kind`");
    assert_eq!(
        rooms_without_a_word(&page, &["wire".to_owned(), "wal".to_owned()])[0].what,
        "does not name `wal/`"
    );
    let found = files_that_are_not_there(&page, &|path| path == "wire/");
    assert_eq!(found, [page.finding(2, "names wire/src/gone.rs, which is not there")]);
}
