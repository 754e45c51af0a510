//! The daemons of our own: one alone, or as many nodes as make one cluster, started together and counted together.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::args::{Options, Protocol};
use crate::configuration::{self, Member};
use crate::customer::Credentials;
use crate::daemon::{Daemon, DaemonError, Launch, Ports};
use crate::probe::Memory;

/// All nodes, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Fleet {
    nodes: Vec<Daemon>,
}

impl Fleet {
    /// Starts all of them; they are not ready yet.
    ///
    /// # Errors
    /// When there are no free ports, files cannot be written, or a node cannot be started.
    pub(crate) fn start(
        options: &Options,
        program: &Path,
        directory: &Path,
        credentials: &Credentials,
        carriers: &[SocketAddr],
    ) -> Result<Self, DaemonError> {
        let count = usize::from(options.spawned.nodes);
        let members = members(count)
            .map_err(|source| DaemonError::Io { what: "free ports between nodes".into(), source })?;
        let node = |place: usize| {
            let (directory, cores) = place_of(options, directory, place);
            let member = members.get(place).map(|own| Member { node: place + 1, own: *own, all: &members });
            let configuration = configuration::text(options, credentials, carriers, &cores, member);
            std::fs::create_dir_all(&directory)
                .map_err(|source| DaemonError::Io { what: "a node's directory".into(), source })?;
            Daemon::start(Launch { program: program.to_owned(), directory, cores, configuration })
        };
        Ok(Self { nodes: (0..count).map(node).collect::<Result<_, _>>()? })
    }

    /// Whether all are ready, and where. Call it again until they are.
    ///
    /// # Errors
    /// When one has ended.
    pub(crate) fn poll_ready(&mut self) -> Result<Option<Vec<Ports>>, DaemonError> {
        self.nodes.iter_mut().map(Daemon::poll_ready).collect()
    }

    /// The end of all, once all have ended: a bad one, if there is one.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn poll_end(&mut self) -> Result<Option<ExitStatus>, DaemonError> {
        let ends: Option<Vec<ExitStatus>> =
            self.nodes.iter_mut().map(Daemon::poll_end).collect::<Result<_, _>>()?;
        Ok(ends.and_then(|ends| ends.iter().find(|end| !end.success()).or_else(|| ends.first()).copied()))
    }

    /// Kills the first as a power cut would, and starts it again on the same data.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub(crate) fn kill_and_restart(&mut self) -> Result<(), DaemonError> {
        self.nodes[0].kill_and_restart()
    }

    /// Asks all to stop.
    ///
    /// # Errors
    /// When one cannot be asked.
    pub(crate) fn terminate(&self) -> Result<(), DaemonError> {
        self.nodes.iter().try_for_each(Daemon::terminate)
    }

    /// The CPU time of all.
    ///
    /// # Errors
    /// When one has ended.
    pub(crate) fn cpu_time(&self) -> Result<Duration, DaemonError> {
        self.nodes.iter().map(Daemon::cpu_time).sum()
    }

    /// The memory of all.
    ///
    /// # Errors
    /// When one has ended.
    pub(crate) fn memory(&self) -> Result<Memory, DaemonError> {
        self.nodes.iter().map(Daemon::memory).try_fold(Memory::default(), |sum, memory| {
            let Memory { resident_mib, peak_mib } = memory?;
            Ok(Memory { resident_mib: sum.resident_mib + resident_mib, peak_mib: sum.peak_mib + peak_mib })
        })
    }

    /// The last lines that each wrote.
    pub(crate) fn log_tail(&self) -> String {
        self.nodes.iter().map(Daemon::log_tail).collect::<Vec<_>>().join("\n\n")
    }
}

/// Where customers of a protocol find each node; `None`: one does not listen for it.
pub(crate) fn addresses(ports: &[Ports], protocol: Protocol) -> Option<Vec<SocketAddr>> {
    let address = |ports: &Ports| match protocol {
        Protocol::Native => Some(ports.native),
        Protocol::Http => Some(ports.http),
        Protocol::Smpp => ports.smpp,
    };
    ports.iter().map(address).collect()
}

/// A node alone has the directory and the cores; of several each has a directory in it, and one of the cores.
fn place_of(options: &Options, directory: &Path, place: usize) -> (PathBuf, Vec<usize>) {
    let cores = &options.spawned.engine_cores;
    match options.spawned.nodes {
        1 => (directory.to_owned(), cores.clone()),
        _ => (directory.join(format!("node-{}", place + 1)), vec![cores[place % cores.len()]]),
    }
}

/// Where each node hears the others: ports that are free now. None of a node alone.
fn members(count: usize) -> io::Result<Vec<SocketAddr>> {
    if count == 1 {
        return Ok(Vec::new());
    }
    // All are held until all are known, or one would be given out twice.
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}
