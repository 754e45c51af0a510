//! What this host gives, asked once at start, so that a refusal comes with what to change and not as a riddle later.

use super::limits::{MEMLOCK_BYTES_MIN, OPEN_FILES_WANTED};
use crate::ring::{self, RingError};

/// What this host gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostReport {
    /// The kernel's release, as `6.1.0`.
    pub kernel: String,
    /// Bytes of memory that this process may lock; `None` is unlimited.
    pub memlock_bytes: Option<u64>,
    /// Files that this process may open; `None` is unlimited.
    pub open_files: Option<u64>,
    /// What an operator should look at although the daemon starts.
    pub warnings: Vec<String>,
}

/// The host does not give what the daemon needs.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The ring of the sockets.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Too little memory may be locked.
    #[error(
        "this process may lock {found} bytes of memory, and each shard needs {wanted}: raise `ulimit -l`, or \
         `LimitMEMLOCK=` in the systemd unit"
    )]
    Memlock {
        /// Bytes that it may lock.
        found: u64,
        /// Bytes that all shards need.
        wanted: u64,
    },
}

/// Asks the kernel for what `shards` shards need.
///
/// # Errors
///
/// What is missing, and how to get it.
pub fn probe(shards: u16) -> Result<HostReport, HostError> {
    ring::probe()?;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let memlock_bytes = limit(&limits, "Max locked memory");
    let open_files = limit(&limits, "Max open files");
    let wanted = MEMLOCK_BYTES_MIN * u64::from(shards.max(1));
    if let Some(found) = memlock_bytes.filter(|found| *found < wanted) {
        return Err(HostError::Memlock { found, wanted });
    }
    let mut warnings = Vec::new();
    if let Some(few) = open_files.filter(|files| *files < OPEN_FILES_WANTED) {
        warnings.push(format!("only {few} files may be open, so few connections: raise `ulimit -n`"));
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    Ok(HostReport { kernel, memlock_bytes, open_files, warnings })
}

/// The soft limit on a line of `/proc/self/limits` (proc_pid_limits(5)); `None` for unlimited or unknown.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
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
        let report = probe(1).unwrap();
        assert!(!report.kernel.is_empty());
    }
}
