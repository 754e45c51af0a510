//! A run from its start to its report: carriers listen, the daemon starts, customers submit, fates come, all is judged.
//!
//! ```text
//!   disk alone → daemon ready → binds → prefill → measured → fates → late sends → verdict → daemon stops
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use wire::time::Instant;

use crate::args::{Options, Protocol, Spacing};
use crate::carrier::Carriers;
use crate::clock::Clock;
use crate::customer::{Credentials, Customers, Habit, Stage};
use crate::daemon::{DaemonError, find_program};
use crate::feed::{Arrivals, Feed};
use crate::fleet::{self, Fleet};
use crate::latencies::Percentiles;
use crate::ledger::Ledger;
use crate::limits::{
    LINGER, LINGER_MAX, PROGRESS_EVERY, READY_PATIENCE, READY_PAUSE, STALL_PATIENCE, STOP_PATIENCE,
};
use crate::message::{Run, Shape};
use crate::os::{self, Cores};
use crate::probe::{self, Memory};
use crate::random::Random;
use crate::report::Report;
use crate::turn::{CARRIERS, CUSTOMERS, TurnError, Waiter, World};
use crate::verdict;
use crate::wheel::Wheel;

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("--protocol {protocol} without {option}")]
    Missing { protocol: &'static str, option: &'static str },
    #[error(
        "--protocol smpp with --class: over SMPP a message has its account's class, which a daemon of our own is given"
    )]
    SmppClass,
    #[error("--protocol smpp with --window {0}: an SMPP window has at most {max}", max = wire::smpp::limits::WINDOW_PDUS_MAX)]
    SmppWindow(u16),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error(transparent)]
    Turn(#[from] TurnError),
    #[error("{what}, within {patience:?}")]
    Patience { what: String, patience: Duration },
    #[error("the run: {source}; the end of the daemon's log:\n{log}")]
    Broke { source: TurnError, log: String },
}

/// What was measured of the phase that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// From the first submission to the last fate.
    pub(crate) duration: Duration,
    /// From the first submission to the last answer.
    pub(crate) answering: Duration,
    pub(crate) engine_cpu: Option<Duration>,
    pub(crate) engine_memory: Option<Memory>,
    pub(crate) own_cpu: Duration,
    pub(crate) fdatasync: Option<Percentiles>,
    /// Whether the daemon stopped as it should when it was asked to.
    pub(crate) stopped: bool,
}

/// A run that goes on.
pub(crate) struct Session<'a> {
    pub(crate) options: &'a Options,
    pub(crate) world: World,
    daemon: Option<Fleet>,
    pub(crate) credentials: Credentials,
    pub(crate) native: Option<SocketAddr>,
    /// The daemon's connections to our carriers when the measurement began.
    pub(crate) binds: usize,
    /// Of the daemon: seconds since the start, and MiB.
    pub(crate) memory_series: Vec<(f64, f64)>,
    next_progress: Instant,
    /// Removed at the end.
    _directory: Option<TempDir>,
}

/// Drives the messages and judges what became of them.
///
/// # Errors
/// When there was no run: nothing is said about the daemon then.
pub(crate) fn run(options: &Options) -> Result<Report, RunError> {
    check_smpp(options)?;
    let all_cores = Cores::allowed().map_err(|source| io_error("the cores of this process", source))?;
    let program =
        if options.spawned.spawn { Some(find_program(options.spawned.engine.clone())?) } else { None };
    leave_cores_to_engine(options, &all_cores)?;
    let (directory, path) = directory(options)?;
    let fdatasync = match &path {
        Some(path) => {
            Some(probe::fdatasync_alone(path).map_err(|source| io_error("measuring fdatasync", source))?)
        }
        None => None,
    };
    let mut session = Session::new(options, directory)?;
    let mut addresses = session.running_addresses();
    if let (Some(program), Some(directory)) = (program, path) {
        addresses = session.start_daemon(&program, &directory)?;
    }
    let report = session.complete(addresses, fdatasync, all_cores.len())?;
    if let Some(path) = &options.json {
        let json = serde_json::to_vec_pretty(&report).map_err(|error| io_error("the JSON", error.into()))?;
        std::fs::write(path, json)
            .map_err(|source| io_error(&format!("writing {}", path.display()), source))?;
    }
    Ok(report)
}

impl<'a> Session<'a> {
    /// Carriers that listen; no daemon and no customers yet.
    pub(crate) fn new(options: &'a Options, directory: Option<TempDir>) -> Result<Self, RunError> {
        Ok(Self {
            options,
            world: world(options)?,
            daemon: None,
            credentials: credentials(options),
            native: options.running.native,
            binds: 0,
            memory_series: Vec::new(),
            next_progress: Instant::default().plus(PROGRESS_EVERY),
            _directory: directory,
        })
    }

    /// Everything from the customers' hello to the verdict.
    pub(crate) fn complete(
        &mut self,
        addresses: Option<Vec<SocketAddr>>,
        fdatasync: Option<Percentiles>,
        cores: usize,
    ) -> Result<Report, RunError> {
        self.connect_customers(addresses)?;
        let driven = self.drive(fdatasync).and_then(|measured| self.linger().map(|()| measured));
        let mut measured = driven.map_err(|error| self.explain(error))?;
        let evidence = verdict::gather(self);
        measured.stopped = self.stop()?;
        Ok(verdict::report(self, &evidence, &measured, cores))
    }

    fn start_daemon(
        &mut self,
        program: &Path,
        directory: &Path,
    ) -> Result<Option<Vec<SocketAddr>>, RunError> {
        let carriers = self.world.carriers.addresses();
        let carriers = carriers.map_err(|source| io_error("where the carriers listen", source))?;
        let fleet = Fleet::start(self.options, program, directory, &self.credentials, &carriers)?;
        self.daemon = Some(fleet);
        self.wait_ready()
    }

    /// Where a daemon that runs already has customers of the protocol.
    pub(crate) fn running_addresses(&self) -> Option<Vec<SocketAddr>> {
        let running = &self.options.running;
        let address = match self.options.protocol {
            Protocol::Native => running.native,
            Protocol::Http => running.http,
            Protocol::Smpp => running.smpp,
        };
        address.map(|address| vec![address])
    }

    /// Serves the carriers until the daemon is ready and bound.
    fn wait_ready(&mut self) -> Result<Option<Vec<SocketAddr>>, RunError> {
        let end = self.world.stage.clock.now().plus(READY_PATIENCE);
        let shards = match usize::from(self.options.spawned.nodes) {
            1 => self.options.spawned.engine_cores.len(),
            nodes => nodes,
        };
        let binds =
            usize::from(self.options.carriers.binds) * usize::from(self.options.carriers.carriers) * shards;
        let mut next_question = Instant::default();
        loop {
            self.world.turn()?;
            let now = self.world.stage.clock.now();
            let Some(daemon) = self.daemon.as_mut().filter(|_| now >= next_question) else { continue };
            next_question = now.plus(READY_PAUSE);
            if let Some(ports) = daemon.poll_ready()?
                && self.world.carriers.bound() >= binds
            {
                self.native = ports.first().map(|ports| ports.native);
                return Ok(fleet::addresses(&ports, self.options.protocol));
            }
            if now > end {
                return Err(DaemonError::NotReady(READY_PATIENCE, daemon.log_tail()).into());
            }
        }
    }

    fn connect_customers(&mut self, addresses: Option<Vec<SocketAddr>>) -> Result<(), RunError> {
        let Options { customers, window, pipeline, batch, .. } = self.options;
        let mut credentials = self.credentials.clone();
        let (protocol, option, habit) = match self.options.protocol {
            Protocol::Native => ("native", "--native ADDR", Habit::Native { window: usize::from(*window) }),
            Protocol::Http => {
                let habit = Habit::Http { pipeline: usize::from(*pipeline), batch: usize::from(*batch) };
                ("http", "--http ADDR", habit)
            }
            Protocol::Smpp => {
                // A daemon of our own is given the key as its password.
                if let Some(password) = &self.options.running.smpp_password {
                    credentials.key.clone_from(password);
                }
                ("smpp", "--smpp ADDR", Habit::Smpp { window: usize::from(*window) })
            }
        };
        let addresses = addresses.ok_or(RunError::Missing { protocol, option })?;
        let all = Customers::new(*customers, &habit, &credentials, addresses, CUSTOMERS);
        self.world.customers = Some(all);
        let ready = |session: &Self| session.world.customers.as_ref().is_some_and(Customers::ready);
        self.turn_until(READY_PATIENCE, "customers are not welcome", ready)?;
        let outage = if self.options.spawned.kills > 0 {
            READY_PATIENCE
        } else {
            Duration::from_secs(self.options.running.outage_seconds.into())
        };
        if let Some(customers) = &mut self.world.customers {
            customers.allow_outage(outage);
        }
        Ok(())
    }

    /// Prefills, then measures.
    fn drive(&mut self, fdatasync: Option<Percentiles>) -> Result<Measured, RunError> {
        let Options { messages, prefill, open_max, .. } = *self.options;
        let closed = Arrivals::Closed { open_max };
        if prefill > 0 {
            self.phase(0..prefill, closed.clone(), 0)?;
        }
        self.binds = self.world.carriers.bound();
        self.world.stage.ledger.measure(prefill..prefill + messages);
        let engine_before = self.engine_cpu()?;
        let own_before = own_cpu()?;
        let start = self.world.stage.clock.now();
        let arrivals = match (self.options.rate, self.options.arrivals) {
            (None, _) => closed,
            (Some(rate), Spacing::Even) => Arrivals::even(rate),
            (Some(rate), Spacing::Poisson) => Arrivals::poisson(rate, Random::of_seed(self.options.seed, 1)),
        };
        let (answered, fated) =
            self.phase(prefill..prefill + messages, arrivals, self.options.spawned.kills)?;
        let engine_after = self.engine_cpu()?;
        let own_cpu = own_cpu()?.saturating_sub(own_before);
        let engine_cpu = engine_after.zip(engine_before).map(|(after, before)| after.saturating_sub(before));
        let engine_memory = self.daemon.as_ref().map(Fleet::memory).transpose()?;
        let (duration, answering) = (fated.since(start), answered.since(start));
        Ok(Measured { duration, answering, engine_cpu, engine_memory, own_cpu, fdatasync, stopped: true })
    }

    /// Submits a run of messages and waits for their fates; when the last answer and the last fate came.
    fn phase(&mut self, run: Run, arrivals: Arrivals, kills: u32) -> Result<(Instant, Instant), RunError> {
        let first = u64::from(run.start);
        let goal = u64::from(run.end);
        let start = self.world.stage.clock.now();
        self.world.stage.feed = Feed::new(run, arrivals, start);
        let mut killed = 0;
        let mut last = (first, start);
        while self.world.stage.ledger.counts().answered < goal {
            self.turn()?;
            last = self.progress(last, self.world.stage.ledger.counts().answered)?;
            let due = first + (goal - first) * u64::from(killed + 1) / u64::from(kills + 1);
            if killed < kills && self.world.stage.ledger.counts().answered >= due {
                killed += 1;
                self.kill()?;
            }
        }
        let answered = self.world.stage.clock.now();
        let end = answered.plus(Duration::from_secs(self.options.drain_seconds.into()));
        last = (self.world.stage.ledger.counts().fated, answered);
        while last.0 < self.world.stage.ledger.counts().accepted && self.world.stage.clock.now() < end {
            self.turn()?;
            let fated = self.world.stage.ledger.counts().fated;
            if fated > last.0 {
                last = (fated, self.world.stage.clock.now());
            }
        }
        Ok((answered, last.1))
    }

    /// When a count last grew, and to what.
    fn progress(&self, last: (u64, Instant), count: u64) -> Result<(u64, Instant), RunError> {
        let now = self.world.stage.clock.now();
        if count > last.0 {
            return Ok((count, now));
        }
        if now.since(last.1) > STALL_PATIENCE && self.world.stage.feed.timeout().is_none() {
            return Err(RunError::Patience {
                what: format!("{count} answers, and no more"),
                patience: STALL_PATIENCE,
            });
        }
        Ok(last)
    }

    /// A power cut in the middle of the work.
    fn kill(&mut self) -> Result<(), RunError> {
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        daemon.kill_and_restart()?;
        let addresses = self.wait_ready()?;
        if let (Some(customers), Some(addresses)) = (&mut self.world.customers, addresses) {
            customers.move_to(addresses);
        }
        Ok(())
    }

    /// What is yet to be sent twice is sent now, and receipts that are on their way arrive.
    fn linger(&mut self) -> Result<(), RunError> {
        let start = self.world.stage.clock.now();
        loop {
            self.turn()?;
            let passed = self.world.stage.clock.now().since(start);
            if passed >= LINGER_MAX || (passed >= LINGER && self.world.carriers.timeout().is_none()) {
                return Ok(());
            }
        }
    }

    /// Asks the daemon to stop, and serves its links until it has. Whether it ended well.
    fn stop(&mut self) -> Result<bool, RunError> {
        self.world.customers = None;
        let Some(mut daemon) = self.daemon.take() else { return Ok(true) };
        daemon.terminate()?;
        let end = self.world.stage.clock.now().plus(STOP_PATIENCE);
        while self.world.stage.clock.now() < end {
            self.world.turn()?;
            if let Some(status) = daemon.poll_end()? {
                return Ok(status.success());
            }
        }
        Ok(false)
    }

    fn engine_cpu(&self) -> Result<Option<Duration>, RunError> {
        Ok(self.daemon.as_ref().map(Fleet::cpu_time).transpose()?)
    }

    fn turn(&mut self) -> Result<(), RunError> {
        self.world.turn()?;
        let now = self.world.stage.clock.now();
        if now >= self.next_progress {
            self.next_progress = now.plus(PROGRESS_EVERY);
            self.note_progress(now.since(Instant::default()).as_secs_f64());
        }
        Ok(())
    }

    fn note_progress(&mut self, passed_s: f64) {
        let counts = self.world.stage.ledger.counts();
        // A daemon that was just killed has no memory; the next line has it again.
        let memory = self.daemon.as_ref().and_then(|daemon| daemon.memory().ok()).unwrap_or_default();
        if self.daemon.is_some() {
            self.memory_series.push((passed_s, memory.resident_mib));
        }
        if !self.options.quiet {
            let (answered, fated, resident) = (counts.answered, counts.fated, memory.resident_mib);
            eprintln!("{passed_s:>6.0} s  {answered} answered, {fated} fates, {resident:.0} MiB");
        }
    }

    fn turn_until(
        &mut self,
        patience: Duration,
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), RunError> {
        let end = self.world.stage.clock.now().plus(patience);
        while !done(self) {
            if self.world.stage.clock.now() > end {
                return Err(RunError::Patience { what: what.to_owned(), patience });
            }
            self.turn()?;
        }
        Ok(())
    }

    /// An error of the loop is explained by what the daemon said last.
    fn explain(&self, error: RunError) -> RunError {
        match (error, &self.daemon) {
            (RunError::Turn(source), Some(daemon)) => RunError::Broke { source, log: daemon.log_tail() },
            (error, _) => error,
        }
    }
}

/// What SMPP cannot carry, or a running daemon must be told of.
fn check_smpp(options: &Options) -> Result<(), RunError> {
    let Options { protocol, class, window, spawned, running, .. } = options;
    if *protocol != Protocol::Smpp {
        return Ok(());
    }
    if u32::from(*window) > wire::smpp::limits::WINDOW_PDUS_MAX {
        return Err(RunError::SmppWindow(*window));
    }
    if spawned.spawn {
        return Ok(());
    }
    if class.is_some() {
        return Err(RunError::SmppClass);
    }
    let missing = |option| Err(RunError::Missing { protocol: "smpp", option });
    match (running.smpp, &running.smpp_password) {
        (None, _) => missing("--smpp ADDR"),
        (_, None) => missing("--smpp-password PASSWORD"),
        _ => Ok(()),
    }
}

/// This program takes the cores that the daemon does not have, if there are any.
fn leave_cores_to_engine(options: &Options, all: &[usize]) -> Result<(), RunError> {
    let engine = &options.spawned.engine_cores;
    let rest: Vec<usize> = all.iter().copied().filter(|core| !engine.contains(core)).collect();
    if !options.spawned.spawn || rest.is_empty() {
        return Ok(());
    }
    let pin = Cores::of(&rest).map_or(Ok(()), |cores| cores.pin_this_thread());
    pin.map_err(|source| io_error("pinning this program", source))
}

/// Where the daemon lives: the directory that was named, or one that goes with us.
fn directory(options: &Options) -> Result<(Option<TempDir>, Option<PathBuf>), RunError> {
    if !options.spawned.spawn {
        return Ok((None, None));
    }
    if let Some(path) = &options.spawned.data {
        let made = std::fs::create_dir_all(path).and_then(|()| path.canonicalize());
        return Ok((None, Some(made.map_err(|source| io_error("the data directory", source))?)));
    }
    let directory = tempfile::Builder::new().prefix("loadgen-").tempdir();
    let directory = directory.map_err(|source| io_error("a temporary directory", source))?;
    let path = directory.path().to_owned();
    Ok((Some(directory), Some(path)))
}

fn world(options: &Options) -> Result<World, RunError> {
    let failed = |source| io_error("the event loop", source);
    let waiter = Waiter::new().map_err(failed)?;
    let addresses = if options.spawned.spawn {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        vec![any; usize::from(options.carriers.carriers)]
    } else {
        options.running.listen_carrier.clone()
    };
    let carriers = Carriers::listen(
        &addresses,
        options.carriers.behaviour(),
        options.carriers.receipt_window,
        options.seed,
        waiter.poll.registry(),
        CARRIERS,
    );
    let carriers = carriers.map_err(|source| io_error("listening as a carrier", source))?;
    let mut tag = Random::of_seed(Clock::wall().0, u64::from(std::process::id()));
    let shape = Shape::new(options.class, usize::from(options.text_bytes), options.recipients, &mut tag);
    let stage = Stage {
        clock: Clock::start(),
        feed: Feed::new(0..0, Arrivals::Closed { open_max: 0 }, Instant::default()),
        ledger: Ledger::new(options.messages.saturating_add(options.prefill)),
        shape,
        later: Wheel::new(),
    };
    Ok(World::new(waiter, stage, carriers))
}

/// The account of the command line, or one with a key that nobody else knows.
fn credentials(options: &Options) -> Credentials {
    let mut random = Random::of_seed(Clock::wall().0, u64::from(std::process::id()) << 1);
    let key = options
        .running
        .key
        .clone()
        .unwrap_or_else(|| format!("{:016x}{:016x}", random.bits(), random.bits()));
    Credentials { account: options.running.account.clone(), key }
}

fn own_cpu() -> Result<Duration, RunError> {
    os::cpu_time(std::process::id()).map_err(|source| io_error("this program's CPU clock", source))
}

fn io_error(what: &str, source: std::io::Error) -> RunError {
    RunError::Io { what: what.to_owned(), source }
}
