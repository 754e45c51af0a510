//! The daemon's life: start, run, stop.
//!
//! ```text
//!   configuration ─▶ directory ─▶ ports ─▶ shards (one thread to a core) ─▶ a signal ─▶ drain ─▶ end
//! ```
//!
//! The main thread is the control thread: it starts the shards together and stops them together, and between the two it
//! waits. Everything on the hot path is in [`shard`], a turn of one core.

mod acts;
mod addresses;
mod answers;
mod archive;
mod board;
pub(crate) mod clock;
mod control;
mod desk;
pub(crate) mod directory;
mod doorkeeper;
mod error;
mod held;
pub(crate) mod limits;
mod lines;
mod log;
mod lookups;
mod members;
mod metrics;
mod newcomer;
mod nodes;
mod parties;
mod ports;
mod redeal;
mod reload;
mod remake;
mod retained;
mod rings;
pub(crate) mod secure;
mod shard;
mod strangers;
mod taps;
mod view;
mod webhooks;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crossbeam::channel::{Receiver, bounded};
use wal::{Layout, LogConfig};
use wire::id::ShardId;

use crate::admin::{self, server::AdminSocket};
use crate::config::{Config, Host, Node};
use crate::customers::credentials::{Credential, Credentials};
use crate::customers::passwords::Pepper;
use crate::customers::smpp::exchange::{Exchange, SmppAccount};
use crate::customers::smpp::lobby::Lobby;
use crate::faults::Faults;
use crate::files::DirLock;
use crate::host::{self, Finding, Weight};
use crate::logging::{self, LogFormat};
use crate::net::ListenerTag;
use crate::net::tls::Guard;
use crate::runtime::{self, Shards};
use crate::sandbox::Sandbox;

use addresses::Reserved;
use answers::Overseer;
use archive::{Archive, Inquirer};
use board::Board;
use control::{Command, Control, Notice, Wait};
use desk::Dial;
use directory::{Belonging, Claimed};
use doorkeeper::Doorkeeper;
use limits::{COMMANDS_MAX, NOTICES_PER_SHARD, SIGNALS_MAX};
use ports::Ports;
use retained::Retention;
use secure::Secure;
use shard::{Common, Given};
use webhooks::Webhooks;

pub use error::{DaemonError, ShardError};
pub(crate) use newcomer::{DevKey, curl, dev_key, random_u64};

/// What `switchyard serve` was told.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// The configuration file; `None`: one account and the sandbox.
    pub config: Option<PathBuf>,
    /// The data directory, over the configuration's.
    pub data: Option<PathBuf>,
    /// Faults for tests.
    pub faults: Option<PathBuf>,
    /// How log lines look, over the configuration's.
    pub log_format: Option<LogFormat>,
}

/// A daemon whose threads have not started.
struct Prepared {
    config: Config,
    file: Option<PathBuf>,
    host: Host,
    data: PathBuf,
    cores: Vec<usize>,
    belonging: Belonging,
    /// Certificates and keys.
    secure: Arc<Secure>,
    /// Without a configuration file: the account's key.
    dev_key: Option<DevKey>,
    faults: Option<Faults>,
    _lock: DirLock,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// [`DaemonError`], whose text is for the operator.
pub fn serve(options: &ServeOptions) -> Result<(), DaemonError> {
    let prepared = prepare(options)?;
    let shards = prepared.belonging.shards;
    let peers = prepared.config.cluster.as_ref().map(|cluster| cluster.listen);
    let reserved = addresses::reserve(prepared.config.listen, peers, shards)?;
    Ports::remove(&prepared.data)?;
    let (notices, heard) = bounded(usize::from(shards) * NOTICES_PER_SHARD + SIGNALS_MAX);
    control::watch_signals(notices.clone())
        .map_err(|error| DaemonError::System { doing: "watching for signals".to_owned(), error })?;
    let Parts { commands, given, archive, doorkeeper, inquirer, webhooks } =
        give(&prepared, &reserved.ports, notices)?;
    let board = Arc::clone(&given[0].common.board);
    let smpp = Arc::clone(&given[0].common.smpp);
    // Each shard takes its own part, on its own thread.
    let given: Arc<[Mutex<Option<Given>>]> = given.into_iter().map(|given| Mutex::new(Some(given))).collect();
    let threads = runtime::spawn_shards(&prepared.cores, move |seat| {
        let place = usize::from(seat.shard);
        let own = given[place].lock().map(|mut own| own.take()).ok().flatten();
        shard::run(seat, own.expect("each shard starts once"))
    })?;
    let control = Control::new(commands, threads.wakers(), heard);
    let overseer = Overseer::new(&control, &prepared, (board, smpp), (inquirer, webhooks));
    oversee(overseer, &threads, &prepared, reserved)?;
    let ended = threads.join()?;
    archive.join();
    doorkeeper.join();
    Ports::remove(&prepared.data)?;
    for (shard, result) in (0_u16..).zip(ended) {
        result.map_err(|error| DaemonError::Shard { shard, error })?;
    }
    tracing::info!(event = "stopped");
    Ok(())
}

/// Everything that can be refused before a thread starts, in the order in which an operator would look.
fn prepare(options: &ServeOptions) -> Result<Prepared, DaemonError> {
    let config = options.config.as_deref().map(Config::load).transpose()?;
    let log_output = config.as_ref().map(|config| config.log_output.clone()).unwrap_or_default();
    logging::start(options.log_format.unwrap_or(log_output.format), &log_output.filter);
    let faults = options.faults.as_deref().map(Faults::read).transpose()?;
    if let Some(faults) = &faults {
        faults.announce();
    }
    for warning in config.iter().flat_map(Config::warnings) {
        tracing::warn!(event = "config", warning);
    }
    let node = config.as_ref().map_or_else(Node::default, |config| config.node.clone());
    let data = options.data.clone().unwrap_or_else(|| node.data.clone());
    let cores = host::cores(&node.cores)?;
    let shards = u16::try_from(cores.len()).unwrap_or(u16::MAX);
    heed(&host::examine(shards))?;
    let lock = DirLock::take(&data)?;
    heed(&host::examine_data(&data))?;
    let cluster = config.as_ref().and_then(|config| config.cluster.as_ref());
    let mut belonging = Belonging::establish(&data, Claimed { node: node.id, cluster, shards })?;
    let (config, dev_key) = match config {
        Some(config) => (config, None),
        None => {
            let key = dev_key(&data)?;
            let sandbox = Sandbox::start()
                .map_err(|error| DaemonError::System { doing: "starting the sandbox".to_owned(), error })?;
            (newcomer::config(node, key.key.clone(), sandbox.address()), Some(key))
        }
    };
    let secure = Arc::new(Secure::load(&config)?);
    for warning in secure.warnings(secure::today()) {
        tracing::warn!(event = "certificate", warning);
    }
    redeal::redeal(&data, &mut belonging, &config)?;
    let host = Host { shards, partitions: belonging.partitions, memory_bytes: host::memory_bytes() };
    let file = options.config.clone();
    Ok(Prepared { config, file, host, data, cores, belonging, secure, dev_key, faults, _lock: lock })
}

/// Warns of what is not as it should be on this machine, and refuses what the daemon cannot work with.
fn heed(findings: &[Finding]) -> Result<(), DaemonError> {
    for finding in findings.iter().filter(|finding| finding.weight == Weight::Warning) {
        tracing::warn!(event = "host", what = finding.what, found = finding.found, advice = finding.advice);
    }
    host::refusal(findings).map_or(Ok(()), |what| Err(DaemonError::Unfit { what }))
}

/// What each shard is given, and the queues by which it is told; and the thread that reads all their logs.
struct Parts {
    commands: Vec<crossbeam::channel::Sender<Command>>,
    given: Vec<Given>,
    archive: Archive,
    /// Who looks at passwords.
    doorkeeper: Doorkeeper,
    /// By which the control thread asks it.
    inquirer: Inquirer,
    /// By which it has webhooks told.
    webhooks: Webhooks,
}

fn give(
    prepared: &Prepared,
    ports: &Ports,
    notices: crossbeam::channel::Sender<Notice>,
) -> Result<Parts, DaemonError> {
    let Prepared { config, data, belonging, faults, .. } = prepared;
    let shards = belonging.shards;
    let layout = Layout::new(config.log.segment_bytes)?;
    let process = clock::now().wall.0;
    let plan = Arc::new(config.plan(prepared.host));
    let others = nodes::others(config);
    let common = Common {
        board: Arc::new(Board::new(&plan, &others, &prepared.secure, process)),
        plan,
        credentials: Arc::new(credentials(config)),
        smpp: Arc::new(Exchange::new(smpp_accounts(config), Arc::new(lobby(shards)?))),
        carriers: dials(config)?,
        others,
        directory: belonging.directory(),
        process,
        faults: faults.clone(),
        secure: Arc::clone(&prepared.secure),
        native_ports: ports.native_shards.iter().map(SocketAddr::port).collect(),
        native_tls_ports: ports.native_tls_shards.iter().map(SocketAddr::port).collect(),
        notices,
    };
    let log_of = |shard| LogConfig { identity: belonging.log_of(ShardId(shard)), layout };
    let logs = (0..shards).map(|shard| (belonging.log_dir(data, ShardId(shard)), log_of(shard))).collect();
    let (time, bytes) = (config.log.retention, config.log.retained_bytes);
    let retention = Retention { time, bytes, calls: Arc::default() };
    let (archive, clients, inquirer) = Archive::start(logs, belonging.partitions, !retention.time.is_zero())
        .map_err(|error| DaemonError::System { doing: "starting the archive".to_owned(), error })?;
    let (doorkeeper, doors) = Doorkeeper::start(shards)
        .map_err(|error| DaemonError::System { doing: "starting the doorkeeper".to_owned(), error })?;
    let mut commands = Vec::new();
    let mut given = Vec::new();
    let (webhooks, hooks) = Webhooks::new(shards);
    let ends = rings::mesh(shards).into_iter().zip(clients).zip(doors).zip(hooks);
    for (shard, (((rings, client), door), hooks)) in (0..shards).zip(ends) {
        let (sender, receiver): (_, Receiver<Command>) = bounded(COMMANDS_MAX);
        commands.push(sender);
        given.push(Given {
            common: common.clone(),
            listen: listeners(ports, shard, &prepared.secure),
            log: log_of(shard),
            log_dir: belonging.log_dir(data, ShardId(shard)),
            snapshot_dir: data.join("snapshots"),
            snapshot_every_bytes: config.log.snapshot_every_bytes,
            retention: retention.clone(),
            archive: client,
            doorkeeper: door,
            webhooks: hooks,
            random: random_u64()
                .map_err(|error| DaemonError::System { doing: "asking for randomness".to_owned(), error })?,
            rings,
            commands: receiver,
        });
    }
    Ok(Parts { commands, given, archive, doorkeeper, inquirer, webhooks })
}

/// What lets the accounts in.
fn credentials(config: &Config) -> Credentials {
    let credentials = config.accounts.iter().flat_map(|account| {
        let (id, name) = (account.id(), &account.name);
        account.keys.iter().map(move |key| Credential { account: id, name: name.clone(), key: key.digest() })
    });
    Credentials::new(credentials.collect())
}

/// What the node's callers over SMPP have in common.
fn lobby(shards: u16) -> Result<Lobby, DaemonError> {
    let failed = |error| DaemonError::System { doing: "asking for randomness".to_owned(), error };
    let mut words = [0; 4];
    for word in &mut words {
        *word = random_u64().map_err(failed)?;
    }
    Ok(Lobby::new(shards, Pepper::new(words)))
}

/// What lets the accounts bind.
fn smpp_accounts(config: &Config) -> Vec<SmppAccount> {
    config.accounts.iter().filter_map(smpp_account).collect()
}

fn smpp_account(account: &crate::config::Account) -> Option<SmppAccount> {
    let access = account.smpp.as_ref()?;
    Some(SmppAccount {
        account: account.id(),
        name: account.name.clone(),
        system_id: access.system_id.clone(),
        passwords: access.passwords.clone(),
        addresses: access.addresses.clone(),
        system_types: access.system_types.clone(),
        binds_max: access.binds_max,
        window_pdus_max: access.window_pdus,
        bind_rate_per_s: access.bind_rate_per_s,
        receipts: access.receipts,
        keys: access.keys,
        default_alphabet: access.default_alphabet,
        priorities: access.priorities,
    })
}

/// Where a shard listens, for what, and behind which guard.
fn listeners(ports: &Ports, shard: u16, secure: &Secure) -> Vec<(SocketAddr, ListenerTag, Guard)> {
    let place = usize::from(shard);
    let own = ports.native_shards[place];
    let peers = ports.peers.get(place).copied();
    let mut all = vec![
        (ports.http, desk::HTTP, Guard::Plain),
        (ports.native, desk::NATIVE, Guard::Plain),
        (own, desk::NATIVE, Guard::Plain),
    ];
    all.extend(peers.map(|address| (address, nodes::PEERS, nodes::guard(secure))));
    all.extend(ports.smpp.map(|address| (address, desk::SMPP, Guard::Plain)));
    all.extend(ports.https.map(|address| (address, desk::HTTP, Guard::TlsHttp)));
    let native_tls = ports.native_tls.into_iter().chain(ports.native_tls_shards.get(place).copied());
    all.extend(native_tls.map(|address| (address, desk::NATIVE_TLS, Guard::Tls)));
    all.extend(ports.smpp_tls.map(|address| (address, desk::SMPP, Guard::Tls)));
    all
}

/// Where the carriers listen: names are looked up once, here, since a look-up may take seconds.
fn dials(config: &Config) -> Result<Arc<[Dial]>, DaemonError> {
    let dial = |carrier: &crate::config::Carrier| {
        let host = &carrier.address.host;
        let failed =
            |error| DaemonError::Carrier { carrier: carrier.name.clone(), host: host.clone(), error };
        let mut addresses = (host.as_str(), carrier.address.port).to_socket_addrs().map_err(failed)?;
        let none = || io::Error::from(io::ErrorKind::NotFound);
        let address = addresses.next().ok_or_else(|| failed(none()))?;
        Ok(Dial { name: carrier.name.clone(), address })
    };
    config.carriers.iter().map(dial).collect()
}

/// Starts the shards together, waits, and stops them together. Always ends with every shard told to stop.
fn oversee(
    mut overseer: Overseer<'_>,
    threads: &Shards<Result<(), ShardError>>,
    prepared: &Prepared,
    reserved: Reserved,
) -> Result<(), DaemonError> {
    let control = overseer.control;
    let is_alive = || !threads.any_has_ended();
    let recovered = control.wait_for_all(|notice| matches!(notice, Notice::Recovered(_)), is_alive);
    if recovered != Wait::All {
        control.order(Command::Stop);
        return Ok(());
    }
    control.order(Command::Begin);
    let listening = control.wait_for_all(|notice| matches!(notice, Notice::Listening(_)), is_alive);
    if listening != Wait::All {
        control.order(Command::Stop);
        return Ok(());
    }
    let Reserved { ports, .. } = reserved;
    // Before anybody can know where to ask: whoever reads the metrics finds those of the webhooks.
    overseer.open_webhooks();
    let admin = admin_socket(&prepared.data);
    if let Err(error) = ports.write(&prepared.data) {
        control.order(Command::Stop);
        return Err(error);
    }
    welcome(prepared, &ports);
    let shards = prepared.cores.len();
    let never = crossbeam::channel::never();
    let asked = admin.as_ref().map_or(&never, |admin| &admin.asked);
    let ended = control.serve(asked, &mut overseer, is_alive);
    drop(admin);
    match ended {
        Wait::Signal(signal) => {
            tracing::info!(event = "stopping", signal);
            control.drain_and_stop(shards);
        }
        _ => {
            tracing::error!(event = "shard-ended", then = "the others are drained, and the daemon stops");
            control.drain_and_stop(shards - 1);
        }
    }
    Ok(())
}

/// The admin socket. Without it the node works, and nobody can ask it.
fn admin_socket(data: &Path) -> Option<AdminSocket> {
    match AdminSocket::open(data) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let path = admin::socket_path(data);
            tracing::error!(event = "no-admin-socket", path = %path.display(), %error);
            None
        }
    }
}

/// Says where the daemon listens, and to a newcomer what to do.
fn welcome(prepared: &Prepared, ports: &Ports) {
    let Prepared { config, data, cores, dev_key, .. } = prepared;
    tracing::info!(
        event = "listening",
        node = config.node.id.0,
        region = config.node.region,
        shards = cores.len(),
        data = %data.display(),
        http = %ports.http,
        native = %ports.native,
        smpp = ports.smpp.map(tracing::field::display),
        https = ports.https.map(tracing::field::display),
        native_tls = ports.native_tls.map(tracing::field::display),
        smpp_tls = ports.smpp_tls.map(tracing::field::display),
    );
    if let Some(key) = dev_key {
        say(&newcomer::invitation(ports.http, data, key));
    }
}

/// Prints for a person. Whoever started us may have closed our standard output.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
