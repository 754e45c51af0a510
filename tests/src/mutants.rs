//! Engines that break one promise each: the judge must see it, or it is blind.
//!
//! Each patch in `tests/mutants/` is applied to a copy of the pure rooms and of the judge, under the target directory;
//! the copy is built and must fail within [`SEEDS`] seeds, by the promise that the patch names. The copies share one
//! build, so that a mutant costs its own room and the judge.
//!
//! ```text
//!   promise: 4                      the first line of a patch
//!   What is broken, in a sentence.  then what `patch` reads
//! ```

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;
use std::{env, fs};

/// Within so many seeds a mutant must be caught: about two thirds of them are worlds of one node.
const SEEDS: &str = "1000";

/// What the copy holds: the pure rooms, and the judge.
const ROOMS: [&str; 5] = ["wire", "wal", "replication", "shards", "tests"];

/// What became of a mutant.
enum Verdict {
    Caught(String),
    Survived,
    /// The patch or the build is broken.
    Unfit(String),
}

/// Builds and runs the mutants, all or those whose name contains `only`; succeeds when each was caught.
///
/// # Errors
/// When the copy cannot be made.
pub fn run(only: Option<&str>) -> io::Result<ExitCode> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a room of the workspace").to_owned();
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copy = target.join("mutants").join("workspace");
    let mut patches: Vec<PathBuf> = fs::read_dir(root.join("tests/mutants"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .filter(|path| only.is_none_or(|only| name_of(path).contains(only)))
        .collect();
    patches.sort();
    let mut survivors = 0;
    let mut out = io::stdout();
    for patch in &patches {
        let started = Instant::now();
        let verdict = try_one(&root, &copy, patch)?;
        let (word, what) = match &verdict {
            Verdict::Caught(how) => ("caught", how.as_str()),
            Verdict::Survived => ("SURVIVED", "no seed showed it"),
            Verdict::Unfit(why) => ("UNFIT", why.as_str()),
        };
        survivors += usize::from(!matches!(verdict, Verdict::Caught(_)));
        let took = started.elapsed().as_secs();
        writeln!(out, "{word:<9}{:<44}{took:>4} s  {what}", name_of(patch))?;
    }
    writeln!(out, "{} mutants, {survivors} not caught", patches.len())?;
    Ok(if survivors == 0 && !patches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn name_of(patch: &Path) -> String {
    patch.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn try_one(root: &Path, copy: &Path, patch: &Path) -> io::Result<Verdict> {
    mirror(root, copy)?;
    let text = fs::read_to_string(patch)?;
    let Some(promise) = text.lines().find_map(|line| line.strip_prefix("promise: ")) else {
        return Ok(Verdict::Unfit("it names no promise".into()));
    };
    let applied = Command::new("patch")
        .args(["-p1", "--forward", "--batch", "--input"])
        .arg(patch)
        .current_dir(copy)
        .output()?;
    if !applied.status.success() {
        return Ok(Verdict::Unfit(format!("it does not apply: {}", last_line(&applied.stdout))));
    }
    let build = copy.with_file_name("build");
    // Quick to build, since a few seeds are enough.
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--offline", "--profile", "sim", "-p", "tests", "--bin", "sim"])
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_SIM_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_SIM_DEBUG", "0")
        .current_dir(copy)
        .output()?;
    if !built.status.success() {
        let error = String::from_utf8_lossy(&built.stderr).into_owned();
        let error = error.lines().find(|line| line.starts_with("error")).unwrap_or("").to_owned();
        return Ok(Verdict::Unfit(format!("it does not build: {error}")));
    }
    let judged = Command::new(build.join("sim").join("sim"))
        .args(["--seeds", SEEDS, "--promise", promise.trim()])
        .env_remove("RUST_BACKTRACE")
        .output()?;
    Ok(verdict_of(&judged))
}

fn verdict_of(judged: &Output) -> Verdict {
    let shown = String::from_utf8_lossy(&judged.stdout);
    match shown.lines().next().filter(|line| line.contains("broke promise")) {
        _ if judged.status.success() => Verdict::Survived,
        Some(line) => Verdict::Caught(line.chars().take(150).collect()),
        // The engine's own assertions are judges, too.
        None => {
            let told = String::from_utf8_lossy(&judged.stderr).into_owned();
            let panic =
                told.lines().skip_while(|line| !line.contains("panicked at")).nth(1).unwrap_or("").to_owned();
            Verdict::Caught(format!("by an assertion: {panic}"))
        }
    }
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().last().unwrap_or_default().to_owned()
}

/// Makes the copy the same as the workspace. A file that is the same already is not touched, so that builds are short.
fn mirror(root: &Path, copy: &Path) -> io::Result<()> {
    for room in ROOMS {
        mirror_folder(&root.join(room), &copy.join(room))?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = format!("members = {ROOMS:?}");
    let lines = manifest.lines().filter(|line| !line.starts_with("default-members"));
    let lines = lines.map(|line| if line.starts_with("members = ") { members.as_str() } else { line });
    put(&copy.join("Cargo.toml"), lines.collect::<Vec<_>>().join("\n").as_bytes())?;
    // Cargo drops from the lock file what the copy does not need.
    if !copy.join("Cargo.lock").exists() {
        fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock"))?;
    }
    Ok(())
}

fn mirror_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            mirror_folder(&path, &place)?;
        } else {
            put(&place, &fs::read(&path)?)?;
        }
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) { Ok(()) } else { fs::write(path, bytes) }
}
