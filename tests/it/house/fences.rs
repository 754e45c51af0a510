//! Names that stay in one place: runtimes and rings behind one folder each, clocks out of the pure rooms.
//!
//! A fence makes a change of runtime a change of one folder. Only code is read: a comment may name what it is about.

use std::collections::BTreeSet;

use super::source::Finding;
use super::source::Source;
use super::source::expect_none;
use super::source::lines_naming;
use super::source::repository;

/// A name, and the folders or files (by the beginning of their paths) in which code may say it.
struct Fence {
    name: &'static str,
    inside: &'static [&'static str],
}

const FENCES: [Fence; 5] = [
    // The executor (docs/ARCHITECTURE.md, Threads): another one, or a successor, changes one folder.
    Fence { name: "glommio", inside: &["engine/src/runtime"] },
    // The second ring of a shard, for sockets and the log; the runtime probes at start whether the kernel permits one.
    Fence { name: "io_uring", inside: &["engine/src/ring", "engine/src/runtime"] },
    // One thread for one shard: what is shared, is shared through the rings.
    Fence { name: "rtrb", inside: &["engine/src", "benches"] },
    // The judge's simulated world has virtual time only; its program may say how long it took.
    Fence { name: "SystemTime", inside: &["engine", "loadgen", "benches", "tests/src/bin", "tests/it"] },
    // The bodies of records are one crate's business: its format features are global.
    Fence { name: "rkyv", inside: &["wal", "shards", "benches"] },
];

#[test]
fn fenced_names_stay_inside() {
    let sources = repository();
    expect_none(&FENCES.iter().flat_map(|fence| outside(fence, &sources)).collect::<Vec<_>>());
}

#[test]
fn tokio_is_named_in_one_folder_of_the_engine_at_most() {
    expect_none(&tokio_folders(&repository()));
}

#[test]
fn the_simulated_world_reads_no_clock() {
    expect_none(&repository().iter().flat_map(clocks_of_the_judge).collect::<Vec<_>>());
}

fn outside(fence: &Fence, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in
        sources.iter().filter(|s| s.is_rust() && !fence.inside.iter().any(|i| s.path.starts_with(i)))
    {
        for line in lines_naming(&source.code(), fence.name) {
            let what = format!("names {}, which belongs to {} only", fence.name, fence.inside.join(", "));
            findings.push(source.finding(line, what));
        }
    }
    findings
}

fn tokio_folders(sources: &[Source]) -> Vec<Finding> {
    let mut folders = BTreeSet::new();
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| s.is_rust()) {
        for line in lines_naming(&source.code(), "tokio") {
            let folder = source.path.strip_prefix("engine/src/").and_then(|p| p.split('/').next());
            folders.extend(folder.map(|f| f.trim_end_matches(".rs").to_owned()));
            if folder.is_none() || folders.len() > 1 {
                findings.push(
                    source.finding(line, "names tokio, which belongs to one folder of engine/src only"),
                );
            }
        }
    }
    findings
}

fn clocks_of_the_judge(source: &Source) -> Vec<Finding> {
    // The programs may say how long they took: the command line, and what builds and runs mutants.
    let program = source.path.starts_with("tests/src/bin/") || source.path == "tests/src/mutants.rs";
    let simulated = source.is_rust() && source.path.starts_with("tests/src/") && !program;
    let code = if simulated { source.code() } else { String::new() };
    let reads = code.lines().enumerate().filter(|(_, line)| line.contains("Instant::now"));
    reads.map(|(index, _)| source.finding(index + 1, "reads a clock in the simulated world")).collect()
}

#[test]
fn a_name_outside_its_fence_is_found() {
    let fence = Fence { name: "glommio", inside: &["engine/src/runtime"] };
    let found = |path: &str, text: &str| outside(&fence, &[Source::new(path, text)]).len();
    assert_eq!(found("engine/src/runtime/mod.rs", "use glommio::Task;"), 0);
    assert_eq!(found("engine/src/runtime.rs", "use glommio::Task;"), 0);
    assert_eq!(found("engine/src/net.rs", "// glommio\nlet s = \"glommio\";"), 0);
    assert_eq!(found("engine/src/net.rs", "use glommio::Task;\nlet x = glommio::y();"), 2);
    assert_eq!(found("Cargo.toml", "glommio = 1"), 0);
}

#[test]
fn a_second_tokio_folder_is_found() {
    let found = |paths: &[&str]| {
        let sources: Vec<Source> = paths.iter().map(|p| Source::new(p, "use tokio::net;")).collect();
        tokio_folders(&sources).iter().map(|f| f.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["engine/src/control/a.rs", "engine/src/control/b.rs"]), Vec::<String>::new());
    assert_eq!(found(&["engine/src/control/a.rs", "engine/src/http.rs"]), ["engine/src/http.rs"]);
    assert_eq!(found(&["shards/src/a.rs"]), ["shards/src/a.rs"]);
}

#[test]
fn a_clock_in_the_simulated_world_is_found() {
    let found = |path: &str| clocks_of_the_judge(&Source::new(path, "let t = Instant::now();")).len();
    assert_eq!(found("tests/src/world.rs"), 1);
    assert_eq!(found("tests/src/bin/sim.rs"), 0);
    assert_eq!(found("tests/it/process.rs"), 0);
}
