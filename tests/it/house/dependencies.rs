//! Dependencies are chosen: each line of `[workspace.dependencies]` says what for, some crate takes it, and whoever takes it
//! uses it.

use super::source::Finding;
use super::source::Source;
use super::source::expect_none;
use super::source::names;
use super::source::repository;

#[test]
fn every_dependency_says_what_for_and_is_used() {
    let sources = repository();
    let root = sources.iter().find(|s| s.path == "Cargo.toml").expect("the workspace has a manifest");
    let manifests: Vec<&Source> = sources.iter().filter(|s| s.path.ends_with("/Cargo.toml")).collect();
    let mut findings = check(root, &manifests);
    for manifest in manifests {
        findings.extend(taken_in_vain(manifest, &sources));
    }
    expect_none(&findings);
}

fn check(root: &Source, manifests: &[&Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let declared = dependencies(root, &["[workspace.dependencies]"]);
    assert!(!declared.is_empty(), "no [workspace.dependencies]: the rule looks at nothing");
    for (line, name, rest) in declared {
        // A room of ours is described by the architecture.
        let ours = rest.contains("path = ");
        if !ours && !rest.contains("# ") {
            findings.push(root.finding(line, format!("{name} does not say what for")));
        }
        if !ours && !manifests.iter().any(|m| takes(m).iter().any(|(_, taken, _)| *taken == name)) {
            findings.push(root.finding(line, format!("no crate takes {name}")));
        }
    }
    for manifest in manifests {
        for (line, name, rest) in takes(manifest) {
            if !format!("{name}{rest}").contains("workspace = true") {
                findings.push(
                    manifest.finding(line, format!("{name} is not chosen in the workspace's manifest")),
                );
            }
        }
    }
    findings
}

fn takes(manifest: &Source) -> Vec<(usize, &str, &str)> {
    dependencies(manifest, &["[dependencies]", "[dev-dependencies]", "[build-dependencies]"])
}

/// (line, name, what stands after the name) of each line in the sections.
fn dependencies<'a>(manifest: &'a Source, sections: &[&str]) -> Vec<(usize, &'a str, &'a str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (index, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = sections.contains(&line.trim());
        } else if inside && line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let end =
                line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(line.len());
            found.push((index + 1, &line[..end], &line[end..]));
        }
    }
    found
}

/// Dependencies of a crate that none of its files names.
fn taken_in_vain(manifest: &Source, sources: &[Source]) -> Vec<Finding> {
    let room = manifest.room();
    let codes: Vec<String> =
        sources.iter().filter(|s| s.is_rust() && s.room() == room).map(Source::code).collect();
    let named = |name: &str| {
        let name = name.replace('-', "_");
        codes.iter().any(|code| code.lines().any(|line| names(line, &name)))
    };
    let vain = takes(manifest).into_iter().filter(|(_, name, _)| !named(name));
    vain.map(|(line, name, _)| manifest.finding(line, format!("{room} takes {name} and does not use it")))
        .collect()
}

#[test]
fn unexplained_unused_and_unchosen_dependencies_are_found() {
    let root = Source::new(
        "Cargo.toml",
        "[workspace.dependencies]\nwire = { path = \"wire\" }\na = \"1\" # letters\nb = \"2\"\nc-d = \"3\" # both\n",
    );
    let wal = Source::new(
        "wal/Cargo.toml",
        "[dependencies]\na.workspace = true\nb = { workspace = true }\n[dev-dependencies]\ne = \"1\"\n[lints]\nworkspace = true\n",
    );
    let found: Vec<String> = check(&root, &[&wal]).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "Cargo.toml:4: b does not say what for",
            "Cargo.toml:5: no crate takes c-d",
            "wal/Cargo.toml:5: e is not chosen in the workspace's manifest"
        ]
    );
    let code = Source::new("wal/src/lib.rs", "use a::x; // b\n");
    let found: Vec<String> = taken_in_vain(&wal, &[code]).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "wal/Cargo.toml:3: wal takes b and does not use it",
            "wal/Cargo.toml:5: wal takes e and does not use it"
        ]
    );
}
