//! What the machine gives: the cores that this process may use, and its memory. Read from the kernel's own text files.

use std::fs;

use crate::config::Cores;

use crate::daemon::DaemonError;

/// Where the kernel says on which cores this process may run.
const STATUS: &str = "/proc/self/status";
/// Where the kernel says how much memory there is.
const MEMINFO: &str = "/proc/meminfo";

/// The cores of the shards, in their order.
///
/// # Errors
/// When the kernel does not say which there are, or a core is configured that this process may not use.
pub(crate) fn cores(wanted: &Cores) -> Result<Vec<usize>, DaemonError> {
    let unknown = |error: String| DaemonError::Host { what: format!("{STATUS}: {error}") };
    let status = fs::read_to_string(STATUS).map_err(|error| unknown(error.to_string()))?;
    let allowed = field(&status, "Cpus_allowed_list:").and_then(parse_list);
    let allowed = allowed.ok_or_else(|| unknown("expected a line Cpus_allowed_list".to_owned()))?;
    match wanted {
        Cores::All => Ok(allowed),
        Cores::Listed(listed) => {
            let listed: Vec<usize> = listed.iter().map(|&core| usize::from(core)).collect();
            match listed.iter().find(|core| !allowed.contains(core)) {
                Some(&core) => Err(DaemonError::Core { core, allowed }),
                None => Ok(listed),
            }
        }
    }
}

/// Memory of the machine, in bytes; 4 GiB when the kernel does not say.
pub(crate) fn memory_bytes() -> u64 {
    let kib = fs::read_to_string(MEMINFO).ok().and_then(|text| {
        field(&text, "MemTotal:")
            .and_then(|rest| rest.split_whitespace().next().and_then(|kib| kib.parse().ok()))
    });
    kib.unwrap_or(4_u64 << 20) << 10
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Reads the kernel's `0-3,8`.
fn parse_list(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cores.extend(first..=last);
    }
    (!cores.is_empty()).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_cores_is_read() {
        assert_eq!(parse_list("0-2,8"), Some(vec![0, 1, 2, 8]));
        assert_eq!(parse_list("5"), Some(vec![5]));
        assert_eq!(parse_list(""), None);
        assert_eq!(parse_list("a"), None);
    }

    #[test]
    fn this_machine_has_a_core_and_memory_and_refuses_a_core_that_it_has_not() {
        let cores_here = cores(&Cores::All).unwrap();
        assert!(!cores_here.is_empty() && memory_bytes() > 1 << 26);
        let said = cores(&Cores::Listed(vec![1023])).unwrap_err().to_string();
        assert!(said.starts_with("node.cores names core 1023"), "{said}");
    }
}
