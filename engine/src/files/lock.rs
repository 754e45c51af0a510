//! One daemon to a data directory: a lock that the kernel releases with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::DirError;

/// The right to use a data directory, as long as the value lives.
///
/// It locks `DIR/lock`, which also holds the process id for whoever comes second. The file stays when the lock goes:
/// removing it would let two daemons lock two files of the same name.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes the directory if it is missing and takes its lock.
    ///
    /// # Errors
    ///
    /// [`DirError::InUse`] when another process has it; [`DirError::Io`] when the file cannot be had.
    pub fn take(dir: &Path) -> Result<Self, DirError> {
        std::fs::create_dir_all(dir).map_err(|source| DirError::io(dir, "creating the directory", source))?;
        let path = dir.join("lock");
        let failed = |what| {
            let path = path.clone();
            move |source| DirError::io(path, what, source)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("opening the lock"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Unreadable text is still a lock that somebody holds.
                let _ = file.read_to_string(&mut pid);
                return Err(DirError::InUse { dir: dir.to_owned(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed("locking")(source)),
        }
        file.set_len(0).map_err(failed("writing the lock"))?;
        file.rewind().map_err(failed("writing the lock"))?;
        writeln!(file, "{}", std::process::id()).map_err(failed("writing the lock"))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_who_has_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirLock::take(directory.path()).unwrap();
        let refused = DirLock::take(directory.path()).unwrap_err();
        let pid = std::process::id().to_string();
        assert!(matches!(&refused, DirError::InUse { pid: found, .. } if *found == pid));
        assert!(refused.to_string().contains(&format!("process id {pid};")), "{refused}");
        drop(first);
        DirLock::take(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_a_file_is_an_error_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        std::fs::write(&path, "").unwrap();
        let refused = DirLock::take(&path).unwrap_err().to_string();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
    }
}
