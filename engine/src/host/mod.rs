//! What this machine gives, looked at once before anything starts, so that a refusal comes with what to change and not as
//! a riddle later.
//!
//! Each look ends in a [`Finding`]: what was looked at, what was found, and, where that is not good, what to do.
//! `switchyard serve` refuses to start over what it cannot work without and warns of the rest; `switchyard check --host`
//! shows all of it. Nothing is changed here.

pub(crate) mod limits;
mod machine;
mod system;

use std::fmt;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ring;

use limits::{CLOCK_BACK_MAX, FREE_BYTES_WANTED, KERNEL_WANTED, OPEN_FILES_WANTED, WALL_LEAST};
use system::ClockState;

pub(crate) use machine::{cores, memory_bytes};
pub(crate) use system::free_bytes;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// As it should be.
    Good,
    /// The daemon starts, and something is worse than it could be.
    Warning,
    /// The daemon cannot work like this.
    Fatal,
}

impl Weight {
    /// Its word in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Fatal => "fatal",
        }
    }
}

/// What one look at the machine found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in two or three words.
    pub what: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// What is there.
    pub found: String,
    /// What to do about it; empty when there is nothing to do.
    pub advice: String,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, weight: Weight::Good, found: found.into(), advice: String::new() }
    }

    fn warning(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, weight: Weight::Warning, found: found.into(), advice: advice.into() }
    }

    fn fatal(what: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, weight: Weight::Fatal, found: found.into(), advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.found)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "; {}", self.advice) }
    }
}

/// Looks at the machine for what `shards` shards need.
#[must_use]
pub fn examine(shards: u16) -> Vec<Finding> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    vec![
        kernel(release.trim()),
        switch(disabled.as_deref().map(str::trim)),
        operations(),
        memlock(limit(&limits, "Max locked memory"), shards),
        open_files(limit(&limits, "Max open files")),
        wall(SystemTime::now()),
        synchronised(system::clock_state()),
    ]
}

/// Looks at a data directory: direct IO, room, and whether the clock is behind what was written there.
#[must_use]
pub fn examine_data(data: &Path) -> Vec<Finding> {
    if !data.is_dir() {
        return vec![Finding::good(
            "data directory",
            format!("{} is not there yet; it is made at start", data.display()),
        )];
    }
    vec![direct_io(data), room(data, free_bytes(data)), behind(data, SystemTime::now())]
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (major, minor) = KERNEL_WANTED;
    match (numbers.next(), numbers.next()) {
        (Some(found), Some(second)) if (found, second) >= KERNEL_WANTED => Finding::good("kernel", release),
        _ => Finding::warning(
            "kernel",
            release,
            format!("use Linux {major}.{minor} or newer, on which this is tested"),
        ),
    }
}

fn switch(disabled: Option<&str>) -> Finding {
    const WHAT: &str = "io_uring switch";
    match disabled {
        None => Finding::good(WHAT, "this kernel has none"),
        Some("0") => Finding::good(WHAT, "kernel.io_uring_disabled = 0"),
        Some(other) => Finding::warning(
            WHAT,
            format!("kernel.io_uring_disabled = {other}"),
            "set `sysctl kernel.io_uring_disabled=0`, or, when it is 1, put the daemon's user into kernel.io_uring_group",
        ),
    }
}

fn operations() -> Finding {
    const WHAT: &str = "io_uring";
    match ring::probe() {
        Ok(()) => Finding::good(WHAT, "has all operations that are needed"),
        Err(error) => Finding::fatal(WHAT, error.to_string(), ""),
    }
}

fn memlock(bytes: Option<u64>, shards: u16) -> Finding {
    const WHAT: &str = "locked memory";
    let wanted = crate::runtime::MEMLOCK_BYTES_MIN * u64::from(shards.max(1));
    match bytes {
        Some(found) if found < wanted => Finding::fatal(
            WHAT,
            format!("this process may lock {found} bytes, and {shards} shards need {wanted}"),
            "raise `ulimit -l`, or `LimitMEMLOCK=` in the systemd unit",
        ),
        Some(found) => Finding::good(WHAT, format!("{found} bytes")),
        None => Finding::good(WHAT, "unlimited"),
    }
}

fn open_files(files: Option<u64>) -> Finding {
    const WHAT: &str = "open files";
    match files {
        Some(few) if few < OPEN_FILES_WANTED => Finding::warning(
            WHAT,
            format!("{few}, and each connection is one"),
            format!(
                "raise `ulimit -n` to {OPEN_FILES_WANTED} or more, or `LimitNOFILE=` in the systemd unit"
            ),
        ),
        Some(found) => Finding::good(WHAT, found.to_string()),
        None => Finding::good(WHAT, "unlimited"),
    }
}

fn wall(now: SystemTime) -> Finding {
    const WHAT: &str = "wall clock";
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if since < WALL_LEAST {
        let found = format!("it says {} s after 1970, before this program was written", since.as_secs());
        return Finding::fatal(
            WHAT,
            found,
            "set the clock (`timedatectl`); ids and deadlines are made of it",
        );
    }
    Finding::good(WHAT, format!("{} s after 1970", since.as_secs()))
}

fn synchronised(state: Option<ClockState>) -> Finding {
    const WHAT: &str = "clock discipline";
    match state {
        Some(ClockState::Synchronised) => Finding::good(WHAT, "synchronised"),
        Some(ClockState::Free) => Finding::warning(
            WHAT,
            "the kernel does not know of anything that sets the clock",
            "run chrony or systemd-timesyncd: deadlines and the times of traces are as good as this clock",
        ),
        None => Finding::warning(WHAT, "the kernel does not say", "make sure that something sets the clock"),
    }
}

fn direct_io(data: &Path) -> Finding {
    const WHAT: &str = "direct IO";
    let path = data.join(".direct-io");
    let opened = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path);
    // Whatever the answer, nothing is left behind.
    let _ = fs::remove_file(&path);
    match opened {
        Ok(_) => Finding::good(WHAT, format!("{} takes it", data.display())),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Finding::warning(
            WHAT,
            format!("{} does not take it", data.display()),
            "put the data on ext4 or XFS on a local disk; a file system in memory loses it all with the machine",
        ),
        Err(error) => Finding::fatal(
            WHAT,
            format!("no file can be made in {}: {error}", data.display()),
            "the daemon's user needs to write there",
        ),
    }
}

fn room(data: &Path, free: Option<u64>) -> Finding {
    const WHAT: &str = "free space";
    match free {
        Some(few) if few < FREE_BYTES_WANTED => Finding::warning(
            WHAT,
            format!("{} MiB at {}", few >> 20, data.display()),
            format!("make room, at least {} GiB: a full disk stops the node", FREE_BYTES_WANTED >> 30),
        ),
        Some(free) => Finding::good(WHAT, format!("{} GiB at {}", free >> 30, data.display())),
        None => Finding::warning(WHAT, "the file system does not say", "look at it with `df`"),
    }
}

/// A clock that is behind the directory's own files was set back, or the machine's battery is empty.
fn behind(data: &Path, now: SystemTime) -> Finding {
    const WHAT: &str = "clock and data";
    let files = fs::read_dir(data).into_iter().flatten().flatten();
    let last = files.filter_map(|file| file.metadata().ok()?.modified().ok()).max();
    match last.and_then(|last| last.duration_since(now).ok()).filter(|ahead| *ahead > CLOCK_BACK_MAX) {
        Some(ahead) => Finding::warning(
            WHAT,
            format!("{} was written {} s after now", data.display(), ahead.as_secs()),
            "the clock was set back: set it right before the start, or deadlines come late by as much",
        ),
        None => Finding::good(WHAT, "nothing was written after now"),
    }
}

/// The soft limit on a line of `/proc/self/limits` (proc_pid_limits(5)); `None` for unlimited or unknown.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Those of some findings that the daemon cannot start with, one a line; `None` when there are none.
#[must_use]
pub fn refusal(findings: &[Finding]) -> Option<String> {
    let fatal: Vec<String> =
        findings.iter().filter(|finding| finding.weight == Weight::Fatal).map(ToString::to_string).collect();
    (!fatal.is_empty()).then(|| fatal.join("\n"))
}

/// A time so long after 1970, for [`limits`].
const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n\
                    Max locked memory         unlimited            unlimited            bytes     \n";
        assert_eq!(limit(text, "Max open files"), Some(1024));
        assert_eq!(limit(text, "Max locked memory"), None);
    }

    #[test]
    fn this_host_runs_a_shard() {
        let findings = examine(1);
        assert_eq!(refusal(&findings), None, "{findings:?}");
        assert_eq!(findings.len(), 7);
    }

    #[test]
    fn each_finding_says_what_is_there_and_what_to_do() {
        let weight = |finding: Finding| {
            assert!(finding.weight == Weight::Good || !finding.to_string().ends_with("; "), "{finding}");
            finding.weight
        };
        assert_eq!(weight(kernel("6.18.5-cloud-amd64")), Weight::Good);
        assert_eq!(weight(kernel("6.1.0")), Weight::Good);
        assert_eq!(weight(kernel("5.15.0-91-generic")), Weight::Warning);
        assert_eq!(weight(kernel("")), Weight::Warning);
        assert_eq!(weight(switch(Some("0"))), Weight::Good);
        assert_eq!(weight(switch(Some("2"))), Weight::Warning);
        assert_eq!(weight(memlock(Some(65_536), 2)), Weight::Fatal);
        assert_eq!(weight(memlock(None, 64)), Weight::Good);
        assert_eq!(weight(open_files(Some(1024))), Weight::Warning);
        assert_eq!(weight(wall(UNIX_EPOCH + days(20))), Weight::Fatal);
        assert_eq!(weight(wall(UNIX_EPOCH + days(21_000))), Weight::Good);
        assert_eq!(weight(synchronised(Some(ClockState::Free))), Weight::Warning);
        assert_eq!(weight(room(Path::new("x"), Some(1 << 20))), Weight::Warning);
    }

    #[test]
    fn a_data_directory_is_looked_at_and_left_as_it_was() {
        let data = tempfile::tempdir().unwrap();
        let findings = examine_data(data.path());
        assert_eq!((findings.len(), refusal(&findings)), (3, None), "{findings:?}");
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
        let gone = examine_data(&data.path().join("gone"));
        assert_eq!((gone.len(), gone[0].weight), (1, Weight::Good));
    }

    #[test]
    fn a_clock_that_is_behind_the_data_is_seen() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("lock"), "1").unwrap();
        assert_eq!(behind(data.path(), SystemTime::now()).weight, Weight::Good);
        let early = behind(data.path(), SystemTime::now() - Duration::from_secs(3600));
        assert_eq!(early.weight, Weight::Warning);
    }
}
