//! A daemon of our own: built if cargo runs us, configured for our carriers, started, watched, stopped, always reaped.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use serde::Deserialize;

use crate::limits::REQUEST_PATIENCE;
use crate::os::{self, Cores};
use crate::probe::Memory;

/// What a daemon is started with.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The program.
    pub(crate) program: PathBuf,
    /// Where its configuration, its log file and its data are.
    pub(crate) directory: PathBuf,
    /// The cores that it may use.
    pub(crate) cores: Vec<usize>,
    /// Its configuration file's text.
    pub(crate) configuration: String,
}

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("building the daemon: {0}")]
    Build(ExitStatus),
    #[error("the daemon ended ({status}); the end of its log:\n{log}")]
    Ended { status: ExitStatus, log: String },
    #[error("the daemon is not ready after {0:?}; the end of its log:\n{1}")]
    NotReady(Duration, String),
}

/// Where a daemon listens, as it wrote it into its data directory.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Ports {
    pub(crate) http: SocketAddr,
    pub(crate) native: SocketAddr,
    #[serde(default)]
    pub(crate) smpp: Option<SocketAddr>,
    pid: u32,
}

/// A child that is a daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    launch: Launch,
    child: Child,
    /// CPU time of those that were killed before.
    spent: Duration,
}

impl Daemon {
    /// Starts it; it is not ready yet.
    ///
    /// # Errors
    /// When its files cannot be written or it cannot be started.
    pub(crate) fn start(launch: Launch) -> Result<Self, DaemonError> {
        let path = launch.directory.join("loadgen.toml");
        fs::write(&path, &launch.configuration).map_err(|source| io_error("writing", &path, source))?;
        let child = spawn(&launch)?;
        Ok(Self { launch, child, spent: Duration::ZERO })
    }

    /// Whether it is ready, and where. Call it again until it is.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn poll_ready(&mut self) -> Result<Option<Ports>, DaemonError> {
        if let Some(status) = self.poll_end()? {
            return Err(DaemonError::Ended { status, log: self.log_tail() });
        }
        let text = fs::read_to_string(self.launch.directory.join("data/ports")).unwrap_or_default();
        let ports = toml::from_str::<Ports>(&text).ok().filter(|ports| ports.pid == self.child.id());
        Ok(ports.filter(|ports| is_ready(ports.http)))
    }

    /// Its end, if it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn poll_end(&mut self) -> Result<Option<ExitStatus>, DaemonError> {
        self.child
            .try_wait()
            .map_err(|source| DaemonError::Io { what: "waiting for the daemon".into(), source })
    }

    /// Kills it as a power cut would, and starts it again on the same data.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub(crate) fn kill_and_restart(&mut self) -> Result<(), DaemonError> {
        self.spent = self.cpu_time()?;
        self.reap();
        self.child = spawn(&self.launch)?;
        Ok(())
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(crate) fn terminate(&self) -> Result<(), DaemonError> {
        os::terminate(self.child.id()).map_err(|source| DaemonError::Io { what: "SIGTERM".into(), source })
    }

    /// The CPU time that it has used, and those that were killed before it.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn cpu_time(&self) -> Result<Duration, DaemonError> {
        let own = os::cpu_time(self.child.id());
        let own = own.map_err(|source| DaemonError::Io { what: "the daemon's CPU clock".into(), source })?;
        Ok(self.spent + own)
    }

    /// Its memory.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn memory(&self) -> Result<Memory, DaemonError> {
        Memory::of(self.child.id())
            .map_err(|source| DaemonError::Io { what: "the daemon's memory".into(), source })
    }

    /// The last lines that it wrote.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(log_path(&self.launch)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn reap(&mut self) {
        // Both fail only for a child that is gone already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.reap();
    }
}

/// The daemon's program: the one that was named, else the one beside our own, which cargo builds first if it runs us.
///
/// # Errors
/// When it cannot be built, or is not there.
pub(crate) fn find_program(named: Option<PathBuf>) -> Result<PathBuf, DaemonError> {
    if let Some(path) = named {
        return Ok(path);
    }
    let own = std::env::current_exe()
        .map_err(|source| DaemonError::Io { what: "where this program is".into(), source })?;
    let beside = own.parent().unwrap_or_else(|| Path::new("."));
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "-p", "engine", "--profile", profile_of(beside)]);
        if let Some(manifest) = std::env::var_os("CARGO_MANIFEST_DIR") {
            command.current_dir(manifest);
        }
        let status =
            command.status().map_err(|source| DaemonError::Io { what: "starting cargo".into(), source })?;
        if !status.success() {
            return Err(DaemonError::Build(status));
        }
    }
    let path = beside.join("switchyard");
    fs::metadata(&path).map_err(|source| io_error("the daemon's program", &path, source))?;
    Ok(path)
}

/// Cargo puts each profile's programs into a directory of its name, but for `dev`.
pub(crate) fn profile_of(directory: &Path) -> &str {
    match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    }
}

fn spawn(launch: &Launch) -> Result<Child, DaemonError> {
    let data = launch.directory.join("data");
    fs::create_dir_all(&data).map_err(|source| io_error("creating", &data, source))?;
    let path = log_path(launch);
    let log = File::options().create(true).append(true).open(&path);
    let log = log.map_err(|source| io_error("opening", &path, source))?;
    let copy = log.try_clone().map_err(|source| io_error("opening", &path, source))?;
    let mut command = Command::new(&launch.program);
    command.args(["serve", "--config"]).arg(launch.directory.join("loadgen.toml")).arg("--data").arg(data);
    command.stdin(std::process::Stdio::null()).stdout(copy).stderr(log);
    if let Some(cores) = Cores::of(&launch.cores) {
        os::tie_child(&mut command, cores);
    }
    command.spawn().map_err(|source| io_error("starting", &launch.program, source))
}

fn log_path(launch: &Launch) -> PathBuf {
    launch.directory.join("switchyard.log")
}

/// Asks `/readyz` over a connection of its own.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, REQUEST_PATIENCE)?;
        stream.set_read_timeout(Some(REQUEST_PATIENCE))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn io_error(what: &str, path: &Path, source: io::Error) -> DaemonError {
    DaemonError::Io { what: format!("{what} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_built_as_we_were() {
        let check = |directory, profile| assert_eq!(profile_of(Path::new(directory)), profile);
        check("/x/target/release", "release");
        check("/x/target/debug", "dev");
        check("/x/target/sim", "sim");
    }

    #[test]
    fn a_daemon_that_ends_at_once_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("daemon");
        fs::write(&program, "#!/bin/sh\necho 'switchyard: no such luck' >&2\nexit 2\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&program, mode).unwrap();
        let cores = Cores::allowed().unwrap();
        let launch =
            Launch { program, directory: directory.path().into(), cores, configuration: String::new() };
        let mut daemon = Daemon::start(launch).unwrap();
        let error = loop {
            match daemon.poll_ready() {
                Ok(_) => std::thread::yield_now(),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("exit status: 2") && error.ends_with("switchyard: no such luck"), "{error}");
    }
}
