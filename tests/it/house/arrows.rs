//! The arrows between the rooms: who may use whom. `docs/ARCHITECTURE.md` holds the table, cargo says what is true.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::source::Finding;
use super::source::Source;
use super::source::expect_none;
use super::source::repository;
use super::source::root;

/// Which rooms a room uses, or may use, with the line that says so.
type Arrows = BTreeMap<String, (usize, BTreeSet<String>)>;

#[test]
fn every_arrow_between_rooms_is_in_the_table() {
    let page =
        repository().into_iter().find(|s| s.path == "docs/ARCHITECTURE.md").expect("the page is there");
    expect_none(&check(&page, &actual()));
}

fn check(page: &Source, actual: &BTreeMap<String, BTreeSet<String>>) -> Vec<Finding> {
    let permitted = table(page);
    let mut findings = Vec::new();
    for (room, used) in actual {
        let Some((line, may)) = permitted.get(room) else {
            findings.push(page.finding(1, format!("the table of rooms has no row for `{room}/`")));
            continue;
        };
        for other in used.difference(may) {
            findings
                .push(page.finding(*line, format!("`{room}` uses `{other}`, which its row does not permit")));
        }
    }
    for (room, (line, _)) in &permitted {
        if !actual.contains_key(room) {
            findings.push(page.finding(*line, format!("`{room}/` is no member of the workspace")));
        }
    }
    findings
}

/// The rows `| room/ (in backticks) | … | what it may use, in backticks |` of the page. A row's last cell is the permission.
fn table(page: &Source) -> Arrows {
    let mut arrows = Arrows::new();
    for (index, line) in page.text.lines().enumerate() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let room = cells[0].strip_prefix('`').and_then(|c| c.strip_suffix("/`"));
        if let (Some(room), true, Some(last)) = (room, cells.len() > 1, cells.last()) {
            let may = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            arrows.insert(room.to_owned(), (index + 1, may));
        }
    }
    arrows
}

/// What each member of the workspace uses of the others, also for its tests and its build.
fn actual() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .expect("cargo describes this workspace");
    let rooms: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    let used = |package: &cargo_metadata::Package| {
        package.dependencies.iter().map(|d| d.name.clone()).filter(|name| rooms.contains(name)).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), used(package))).collect()
}

#[test]
fn a_new_arrow_and_a_new_room_are_found() {
    let page =
        Source::new("A.md", "# Rooms\n| room | may use |\n|---|---|\n| `wire/` | – |\n| `wal/` | `wire` |\n");
    let used =
        |room: &str, others: &[&str]| (room.to_owned(), others.iter().map(|o| (*o).to_owned()).collect());
    let found = |actual: &[(String, BTreeSet<String>)]| -> Vec<String> {
        check(&page, &actual.iter().cloned().collect()).iter().map(ToString::to_string).collect()
    };
    assert_eq!(found(&[used("wire", &[]), used("wal", &["wire"])]), Vec::<String>::new());
    assert_eq!(
        found(&[used("wire", &["wal"]), used("wal", &[])]),
        ["A.md:4: `wire` uses `wal`, which its row does not permit"]
    );
    assert_eq!(
        found(&[used("wire", &[]), used("wal", &[]), used("core", &[])]),
        ["A.md:1: the table of rooms has no row for `core/`"]
    );
    assert_eq!(found(&[used("wire", &[])]), ["A.md:5: `wal/` is no member of the workspace"]);
}
