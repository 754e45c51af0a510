//! `switchyard dev`: a cluster on one machine, for trying things out.
//!
//! ```text
//!   dev ─┬─ the sandbox carrier, in this process
//!        ├─ switchyard serve --config DIR/sin.toml --data DIR/sin    a process of its own: it can be killed
//!        └─ …                                                        one for each region
//! ```
//!
//! Each node is the daemon as everybody runs it, with a file that an operator could have written. A node that ends is said
//! and not started again: that is for whoever tries things out. What was started here ends with this process, however that ends.

mod files;
pub(crate) mod limits;
mod os;
mod words;

use core::time::Duration;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::{Cores, parse_duration, show_duration};
use crate::customers::credentials::KeyDigest;
use crate::daemon::{DaemonError, DevKey, dev_key};
use crate::files::{DirError, DirLock};
use crate::host;
use crate::sandbox::Sandbox;

use files::{Node, Nodes};
use limits::{
    HTTP_PORTS_FROM, LOOK_EVERY, PEER_PORTS_FROM, PORTS_TRIED, RUN_MAX, SIGNALS_MAX, START_WAIT, STOP_WAIT,
};

/// The account of all nodes.
const ACCOUNT: &str = "dev";

/// What `switchyard dev` was told.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// The regions, each of which gets a node.
    pub regions: Vec<String>,
    /// The directory with the nodes' files and data.
    pub data: PathBuf,
    /// How long it runs once all nodes listen; `None`: until it is told to stop.
    pub run_for: Option<Duration>,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// What a daemon would say.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// A file of it.
    #[error("{}: {doing}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The machine.
    #[error("{doing}: {error}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A node has ended instead of listening.
    #[error("the node of {region} did not start ({how}): {said}; all of it is in {}", log.display())]
    Ended {
        /// Its region.
        region: String,
        /// How it ended.
        how: String,
        /// The last line of its log.
        said: String,
        /// Its log.
        log: PathBuf,
    },
    /// A node does not listen in time.
    #[error("the node of {region} does not listen after {}; look at {}", show_duration(START_WAIT), log.display())]
    Silent {
        /// Its region.
        region: String,
        /// Its log.
        log: PathBuf,
    },
}

/// Reads `sin,fra,iad`.
///
/// # Errors
/// What was expected.
pub fn parse_regions(list: &str) -> Result<Regions, String> {
    files::regions(list).map(Regions)
}

/// Regions that can be those of a cluster.
#[derive(Clone, Debug)]
pub struct Regions(pub Vec<String>);

/// Reads how long to run, as `30s` or `5m`.
///
/// # Errors
/// What was expected.
pub fn parse_run(text: &str) -> Result<Duration, String> {
    let run = parse_duration(text).filter(|run| !run.is_zero() && *run <= RUN_MAX);
    run.ok_or_else(|| {
        format!("expected a duration of at most {}, as \"30s\" or \"5m\"", show_duration(RUN_MAX))
    })
}

/// Runs a cluster until it is told to stop.
///
/// # Errors
/// [`DevError`], whose text is for whoever tries things out. Nothing of it runs any more then.
pub fn run(options: &DevOptions) -> Result<(), DevError> {
    let data = &options.data;
    let _lock = DirLock::take(data)?;
    let key = dev_key(data)?;
    let sandbox = Sandbox::start().map_err(|error| system("starting the sandbox", error))?;
    let nodes = nodes(&options.regions, &key, sandbox.address())?;
    let told = signals().map_err(|error| system("watching for signals", error))?;
    let program = std::env::current_exe().map_err(|error| system("finding this program", error))?;
    // Whatever happens from here on, no node outlives this value.
    let mut running = Running { nodes: Vec::new() };
    for (place, node) in nodes.all.iter().enumerate() {
        let started = Started::of(&program, data, node, &nodes.file(place, ACCOUNT))?;
        running.nodes.push(started);
    }
    if running.listen(&told)? == Told::Nothing {
        say(&words::greeting(&program, data, &running.nodes, &key));
        running.watch(&told, options.run_for);
    }
    running.stop();
    Ok(())
}

/// The nodes with ports that are free now, each on a core.
fn nodes(regions: &[String], key: &DevKey, sandbox: SocketAddr) -> Result<Nodes, DevError> {
    let cores = host::cores(&Cores::All)?;
    // Held until all are chosen, so that each is chosen once.
    let mut held = Vec::new();
    let mut free = |from: u16| {
        let mut ports = from..from + PORTS_TRIED;
        let listener = ports.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        let listener =
            listener.ok_or_else(|| system("looking for a free port", io::ErrorKind::AddrInUse.into()))?;
        let address = listener.local_addr().map_err(|error| system("looking for a free port", error))?;
        held.push(listener);
        Ok::<_, DevError>(address)
    };
    let mut all = Vec::new();
    for (place, region) in regions.iter().enumerate() {
        let (http, peers) = (free(HTTP_PORTS_FROM)?, free(PEER_PORTS_FROM)?);
        all.push(Node { region: region.clone(), core: cores[place % cores.len()], http, peers });
    }
    Ok(Nodes { all, key: KeyDigest::from(key.key.expose()), sandbox })
}

/// Whether somebody wants an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Stop,
}

fn signals() -> io::Result<Receiver<i32>> {
    let (sender, told) = bounded(SIGNALS_MAX);
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            // A full queue has one in it already.
            let _ = sender.try_send(signal);
        }
    })?;
    Ok(told)
}

/// A node that was started here.
#[derive(Debug)]
struct Started {
    region: String,
    http: SocketAddr,
    config: PathBuf,
    data: PathBuf,
    log: PathBuf,
    child: Child,
    /// Its end is known and was said.
    has_ended: bool,
}

impl Started {
    fn of(program: &Path, data: &Path, node: &Node, file: &str) -> Result<Self, DevError> {
        let region = node.region.clone();
        let of = |end: &str| data.join(format!("{region}{end}"));
        let (config, log, own) = (of(".toml"), of(".log"), data.join(&region));
        let failed = |path: &Path, doing| {
            let path = path.to_owned();
            move |error| DevError::File { path, doing, error }
        };
        fs::write(&config, file).map_err(failed(&config, "writing the configuration"))?;
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let output = output.map_err(failed(&log, "opening the log"))?;
        let errors = output.try_clone().map_err(failed(&log, "opening the log"))?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&config).arg("--data").arg(&own);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        os::tie(&mut command);
        let child = command.spawn().map_err(|error| system("starting a node", error))?;
        Ok(Self { region, http: node.http, config, data: own, log, child, has_ended: false })
    }

    /// How it has ended, when that is news.
    fn end(&mut self) -> Option<String> {
        if self.has_ended {
            return None;
        }
        let how = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.has_ended = true;
        Some(how)
    }

    /// Whether it says where it listens. The file may be that of an earlier process.
    fn listens(&self) -> bool {
        let ports = fs::read_to_string(self.data.join("ports")).unwrap_or_default();
        ports.lines().any(|line| line == format!("pid = {}", self.child.id()))
    }

    /// The last line of its log.
    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().last().unwrap_or("it has said nothing").to_owned()
    }
}

/// All nodes that were started here. When it goes, they do.
#[derive(Debug)]
struct Running {
    nodes: Vec<Started>,
}

impl Running {
    /// Waits until all listen, or somebody wants an end.
    fn listen(&mut self, told: &Receiver<i32>) -> Result<Told, DevError> {
        let until = Instant::now() + START_WAIT;
        loop {
            for node in &mut self.nodes {
                if let Some(how) = node.end() {
                    let (region, said, log) = (node.region.clone(), node.last_words(), node.log.clone());
                    return Err(DevError::Ended { region, how, said, log });
                }
            }
            let Some(silent) = self.nodes.iter().find(|node| !node.listens()) else {
                return Ok(Told::Nothing);
            };
            if Instant::now() >= until {
                return Err(DevError::Silent { region: silent.region.clone(), log: silent.log.clone() });
            }
            if told.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
                return Ok(Told::Stop);
            }
        }
    }

    /// Says which nodes end, until somebody wants an end or the time is over.
    fn watch(&mut self, told: &Receiver<i32>, run_for: Option<Duration>) {
        let until = run_for.map(|run_for| Instant::now() + run_for);
        while told.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            for node in &mut self.nodes {
                if let Some(how) = node.end() {
                    say(&words::ended(&node.region, node.child.id(), &how));
                }
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
        }
    }

    /// Asks all to stop, waits, and kills those that do not. A second call finds none.
    fn stop(&mut self) {
        let alive =
            |nodes: &mut Vec<Started>| nodes.iter_mut().any(|node| node.end().is_none() && !node.has_ended);
        if !alive(&mut self.nodes) {
            return;
        }
        for node in self.nodes.iter().filter(|node| !node.has_ended) {
            // It may have ended by itself just now.
            let _ = os::terminate(&node.child);
        }
        let until = Instant::now() + STOP_WAIT;
        while alive(&mut self.nodes) && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
        for node in self.nodes.iter_mut().filter(|node| !node.has_ended) {
            say(&words::killed(&node.region, node.child.id()));
            let _ = node.child.kill();
            let _ = node.child.wait();
            node.has_ended = true;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

const fn system(doing: &'static str, error: io::Error) -> DevError {
    DevError::System { doing, error }
}

/// Prints for a person. Whoever started us may have closed our standard output.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_each_chosen_once_and_a_run_has_an_end() {
        let regions = ["sin", "fra", "iad"].map(str::to_owned);
        let data = tempfile::tempdir().unwrap();
        let key = dev_key(data.path()).unwrap();
        let nodes = nodes(&regions, &key, "127.0.0.1:1".parse().unwrap()).unwrap();
        let mut ports: Vec<u16> =
            nodes.all.iter().flat_map(|node| [node.http.port(), node.peers.port()]).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6, "{nodes:?}");
        assert_eq!(parse_run("30s"), Ok(Duration::from_secs(30)));
        for wrong in ["0s", "2d", "30"] {
            assert!(parse_run(wrong).unwrap_err().starts_with("expected a duration of at most 1d"));
        }
    }
}
