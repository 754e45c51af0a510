//! The programs under test. A test never trusts a binary that it finds: cargo is asked first, and says where it is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The daemon and the load generator, as this test's profile builds them.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) switchyard: PathBuf,
    pub(crate) loadgen: PathBuf,
}

/// Builds both, once for each process that asks.
pub(crate) fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(build)
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate `tests` is a folder of the root")
}

fn build() -> Programs {
    let (target_dir, profile) = own_target_and_profile();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Both in one call: cargo would choose other features of shared dependencies for each alone, and build them twice.
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(["--package", "engine", "--package", "loadgen", "--bins", "--profile", &profile])
        .arg("--target-dir")
        .arg(target_dir)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "the programs under test do not build");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let executable = |name: &str| {
        let artifact = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut paths =
            artifact.filter(|m| m["target"]["name"] == name).filter_map(|m| path(&m["executable"]));
        paths.next_back().unwrap_or_else(|| panic!("cargo built no {name}:\n{messages}"))
    };
    Programs { switchyard: executable("switchyard"), loadgen: executable("loadgen") }
}

fn path(executable: &Value) -> Option<PathBuf> {
    executable.as_str().map(PathBuf::from)
}

/// This test is `TARGET/PROFILE/deps/name-hash`, where the profile `dev` lives in `debug`.
fn own_target_and_profile() -> (PathBuf, String) {
    let exe = env::current_exe().expect("a process knows its program");
    let folder = exe.ancestors().nth(2).expect("deps is in a profile's folder");
    let name = folder.file_name().expect("which has a name").to_string_lossy().into_owned();
    let target = folder.parent().expect("and is in the target directory").to_owned();
    (target, if name == "debug" { "dev".to_owned() } else { name })
}
