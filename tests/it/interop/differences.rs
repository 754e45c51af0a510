//! The known differences between other people's programs and the specification, or us: `docs/interop.md` has one row for each,
//! with its reason, and each test that meets a program says which of them it saw.
//!
//! A difference that is seen and has no row fails, and so does a row whose difference is gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::programs::root;

/// The rows of the table, by the program: `| id | program | what differs | … |`.
fn rows() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(root().join("docs/interop.md")).expect("the page is there");
    let (_, page) = page.split_once("\n## Known differences\n").expect("it has this chapter");
    let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "a row has an id, a program, what differs, and why: {line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "an empty cell: {line}");
        let id = cells[0].trim_matches('`').to_owned();
        assert!(rows.entry(cells[1].to_owned()).or_default().insert(id), "twice: {line}");
    }
    rows
}

/// Compares what a test saw of a program with the table.
pub(crate) fn agree(program: &str, seen: &[(&str, bool)]) {
    let known = rows().remove(program).unwrap_or_default();
    let looked_for: BTreeSet<String> = seen.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(looked_for, known, "what is looked for in {program}, and the rows of docs/interop.md");
    for (id, is_there) in seen {
        assert!(is_there, "{id}: the difference is gone; take its row out of docs/interop.md");
    }
}

#[test]
fn every_program_of_the_table_is_met_by_a_test() {
    let programs: Vec<String> = rows().into_keys().collect();
    let met = ["`smpplib`, customer", "`tshark`", "npm `smpp`, carrier", "npm `smpp`, customer"];
    assert_eq!(programs, met);
}
