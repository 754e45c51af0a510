//! What is measured beside the daemon: the disk alone, the machine, a process's memory.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::latencies::{Percentiles, histogram, record};
use crate::limits::{SYNCS_MAX, SYNCS_PATIENCE};

/// The machine that a figure belongs to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The processor's model.
    pub(crate) cpu: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// The kernel's release.
    pub(crate) kernel: String,
}

/// The memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident_mib: f64,
    pub(crate) peak_mib: f64,
}

impl Machine {
    /// Asks the kernel.
    pub(crate) fn read(cores: usize) -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cpu = model.map_or("unknown", |(_, model)| model);
        Self { cpu: cpu.to_owned(), cores, kernel: kernel.trim().to_owned() }
    }
}

impl Memory {
    /// Of a process that lives.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? / 1024.0)
        };
        let mib =
            |name| mib(name).ok_or_else(|| io::Error::other(format!("no {name} in /proc/{pid}/status")));
        Ok(Self { resident_mib: mib("VmRSS:")?, peak_mib: mib("VmHWM:")? })
    }
}

/// A block of the log: what the smallest group commit writes.
const BLOCK: usize = 4096;
const FILE_BLOCKS: u64 = 2048;

/// Writes blocks of 4 KiB into a file that was written before, past the page cache where the file system allows it, each
/// with an `fdatasync`: what a daemon on this disk cannot be faster than.
///
/// # Errors
/// When the directory cannot be written.
pub(crate) fn fdatasync_alone(directory: &Path) -> io::Result<Percentiles> {
    let path = directory.join("fdatasync-alone");
    let result = measure(&path);
    _ = fs::remove_file(&path);
    result
}

fn measure(path: &Path) -> io::Result<Percentiles> {
    // One buffer, twice as long as a block and cut where a block begins: direct IO wants it aligned.
    let buffer = vec![0xA5_u8; 2 * BLOCK];
    let block = &buffer[buffer.as_ptr().align_offset(BLOCK)..][..BLOCK];
    let open =
        |flags| OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path);
    let file = open(libc::O_DIRECT).or_else(|_| open(0))?;
    for place in 0..FILE_BLOCKS {
        file.write_all_at(block, place * BLOCK as u64)?;
    }
    file.sync_all()?;
    let mut taken = histogram();
    let start = Instant::now();
    for write in 0..SYNCS_MAX {
        let before = Instant::now();
        file.write_all_at(block, u64::from(write) % FILE_BLOCKS * BLOCK as u64)?;
        file.sync_data()?;
        record(&mut taken, before.elapsed());
        if start.elapsed() > SYNCS_PATIENCE {
            break;
        }
    }
    Ok(Percentiles::of(&taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_alone_takes_some_time() {
        let directory = tempfile::tempdir().unwrap();
        let alone = fdatasync_alone(directory.path()).unwrap();
        assert!(alone.p50 > 0.0 && alone.p50 <= alone.p99 && alone.p99 <= alone.p999);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn this_process_has_memory_and_this_machine_a_kernel() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.resident_mib > 0.5 && memory.resident_mib <= memory.peak_mib);
        assert!(!Machine::read(1).kernel.is_empty());
        assert!(Memory::of(u32::MAX).is_err());
    }
}
