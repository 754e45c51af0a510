//! One shard's thread: from its log to its last byte.
//!
//! ```text
//!   recover ─▶ (all shards have) ─▶ listen ─▶ turn, turn, turn … ─▶ drained ─▶ (all shards are) ─▶ end
//!
//!   a turn:  sockets and disk ─▶ brain ◀─ other shards
//!                     customers ◀─┴─▶ links
//!                     log: what was decided goes out as one batch
//! ```
//!
//! Each part has a file of its own; what happens in which order is told by [`ShardLoop::turn`] and nowhere else. A turn
//! takes what is there and does not wait; a shard that found nothing to do rests until something comes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};
use replication::stream::Hello;
use shards::histogram::{FAST_US, Histogram};
use shards::plan::Plan;
use shards::{Shard, ShardConfig, SnapshotPiece};
use wal::{Layout, LogConfig, Lsn, Start};
use wire::id::ShardId;
use wire::time::{Instant, Now};

use crate::config::Member;
use crate::customers::credentials::Credentials;
use crate::customers::limits::CREDITS_DEFAULT;
use crate::customers::smpp::exchange::Exchange;
use crate::customers::{Customers, Readiness, Settings};
use crate::faults::Faults;
use crate::net::ListenerTag;
use crate::net::tls::Guard;
use crate::runtime::{ShardSeat, SnapshotWrite, WakeHandle};
use crate::shard_io::{Event, IoOptions, ShardIo};

use super::archive::Client;
use super::board::Board;
use super::clock;
use super::control::{Command, Notice};
use super::desk::{Desk, Dial, Then};
use super::doorkeeper;
use super::error::ShardError;
use super::limits::{PUBLISH_EVERY, SPIN};
use super::lines::Source;
use super::log::{self, LogWriter};
use super::members;
use super::metrics::ShellCounts;
use super::nodes::Nodes;
use super::remake::Remaker;
use super::retained::Retention;
use super::rings::Rings;
use super::secure::Secure;
use super::taps::Taps;
use super::view;
use super::webhooks;

/// What all shards of a node are given.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// What the operator decided.
    pub(super) plan: Arc<Plan>,
    /// Who may come in.
    pub(super) credentials: Arc<Credentials>,
    /// The same over SMPP.
    pub(super) smpp: Arc<Exchange>,
    /// In the order of the plan's carriers.
    pub(super) carriers: Arc<[Dial]>,
    /// The other members of the cluster.
    pub(super) others: Arc<[Member]>,
    /// The number of the data directory.
    pub(super) directory: u64,
    /// Where the shards show their numbers.
    pub(super) board: Arc<Board>,
    /// When the process started, in milliseconds since 1970.
    pub(super) process: u64,
    /// Faults for tests.
    pub(super) faults: Option<Faults>,
    /// Certificates and keys.
    pub(super) secure: Arc<Secure>,
    /// The native port of each shard.
    pub(super) native_ports: Vec<u16>,
    /// The same with TLS; empty when there are none.
    pub(super) native_tls_ports: Vec<u16>,
    /// To the control thread.
    pub(super) notices: Sender<Notice>,
}

impl Common {
    /// The customers' side of a shard, without a customer yet.
    fn customers(&self, shard: ShardId) -> Customers {
        Customers::new(Settings {
            shard,
            native_ports: self.native_ports.clone(),
            native_tls_ports: self.native_tls_ports.clone(),
            credits: CREDITS_DEFAULT,
            plan: Arc::clone(&self.plan),
            credentials: Arc::clone(&self.credentials),
            smpp: Arc::clone(&self.smpp),
        })
    }

    /// A shard's end of the stream between the nodes of a cluster, which speaks with nobody yet.
    fn nodes(&self, shard: ShardId, cluster: u128, waker: WakeHandle) -> Nodes {
        let hello = self.plan.is_clustered.then_some(Hello {
            cluster,
            node: self.plan.node,
            shard,
            shards: self.plan.shards,
            partitions: self.plan.partitions,
            process: self.process,
            directory: self.directory,
        });
        let is_founder = self.plan.founding().contains(self.plan.node);
        Nodes::new(hello, is_founder, &self.others, Arc::clone(&self.secure), waker)
    }
}

/// What one shard is given.
#[derive(Debug)]
pub(super) struct Given {
    /// The same for all.
    pub(super) common: Common,
    /// Where to listen, and for what.
    pub(super) listen: Vec<(SocketAddr, ListenerTag, Guard)>,
    /// Its log.
    pub(super) log: LogConfig,
    /// The log's directory.
    pub(super) log_dir: PathBuf,
    /// The directory of the node's snapshots.
    pub(super) snapshot_dir: PathBuf,
    /// The log after which a snapshot is due, in bytes.
    pub(super) snapshot_every_bytes: u64,
    /// How long the log is kept behind that.
    pub(super) retention: Retention,
    /// Its end of the archive.
    pub(super) archive: Client,
    /// Its end of the doorkeeper.
    pub(super) doorkeeper: doorkeeper::Client,
    /// Its end of the webhooks.
    pub(super) webhooks: webhooks::Client,
    /// 64 bits of randomness, for its jitter and for a new log's salt.
    pub(super) random: u64,
    /// Its ends of the rings.
    pub(super) rings: Rings,
    /// From the control thread.
    pub(super) commands: Receiver<Command>,
}

/// A shard at work.
struct ShardLoop {
    seat: ShardSeat,
    common: Common,
    commands: Receiver<Command>,
    io: ShardIo,
    log: LogWriter,
    brain: Shard,
    desk: Desk,
    rings: Rings,
    remaker: Remaker,
    taps: Taps,
    counts: ShellCounts,
    syncs: Histogram,
    /// The end of what is durable.
    durable: Lsn,
    log_dir: PathBuf,
    layout: Layout,
    phase: Phase,
    deadline: Instant,
    publish_at: Instant,
}

/// What a shard is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Starting,
    Ready,
    Draining,
    Drained,
}

/// Whether a turn found anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Busy,
    Idle,
    /// The control thread said so.
    Over,
}

/// Runs a shard until it is told to stop.
///
/// # Errors
/// What stops a shard: its log, its IO, its ports.
pub(super) async fn run(seat: ShardSeat, given: Given) -> Result<(), ShardError> {
    let notices = given.common.notices.clone();
    let shard = seat.shard;
    let ended = match ShardLoop::start(seat, given).await {
        Ok(Some(shard)) => shard.run().await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    // The control thread stops the others; it may have gone already.
    let _ = notices.send(Notice::Ended(shard));
    ended
}

impl ShardLoop {
    /// Reads the log, waits for the other shards to have read theirs, and listens. `None`: it was told to stop meanwhile.
    async fn start(seat: ShardSeat, given: Given) -> Result<Option<Self>, ShardError> {
        let Given { common, listen, log: config, log_dir, snapshot_dir, archive, .. } = given;
        let (random, rings, commands) = (given.random, given.rings, given.commands);
        let options = IoOptions {
            log_dir: log_dir.clone(),
            snapshot_dir: snapshot_dir.clone(),
            segment_bytes: config.layout.segment_bytes(),
            spin: SPIN,
            faults: common.faults.clone(),
        };
        let mut io = ShardIo::open(&seat, options).await?;
        let id = ShardId(seat.shard);
        let shard_config = ShardConfig {
            id,
            process: common.process,
            seed: random,
            records_bytes_max: config.layout.records_bytes_max(),
            cluster: config.identity.cluster,
            directory: common.directory,
            snapshot_every_bytes: given.snapshot_every_bytes,
            snapshot_piece_bytes: shards::limits::SNAPSHOT_PIECE_BYTES,
        };
        let mut brain = Shard::new(shard_config, Arc::clone(&common.plan));
        let recovered = log::recover(&io, (&log_dir, &snapshot_dir), config, &mut brain).await?;
        // Nothing is written before all logs are read: a damaged one must leave the directory as it was found.
        common.notices.send(Notice::Recovered(seat.shard))?;
        if !matches!(wait_for_command(&mut io, &commands).await?, Command::Begin) {
            return Ok(None);
        }
        let durable = recovered.as_ref().map_or(Lsn::ZERO, |recovered| recovered.tail.lsn);
        let now = clock::now();
        let first_frame =
            Start { node: common.plan.node, shard: id, process: common.process, wall: now.wall };
        let kept = (config, given.retention);
        let log = LogWriter::open(&mut io, kept, recovered.as_ref(), random, first_frame).await?;
        archive.durable(log.end());
        brain
            .handle_start(now)
            .map_err(|error| ShardError::Recovery { file: log_dir.clone(), error: Box::new(error) })?;
        let remaker = Remaker::new((log_dir.clone(), snapshot_dir), config, seat.waker().clone());
        open_listeners(&mut io, &common.secure, listen)?;
        common.notices.send(Notice::Listening(seat.shard))?;
        let customers = common.customers(id);
        let dials = (Arc::clone(&common.carriers), Arc::clone(&common.secure));
        let wakers = (seat.waker().clone(), Arc::clone(&seat.wakers));
        let nodes = common.nodes(id, config.identity.cluster, seat.waker().clone());
        let desk = Desk::new(customers, (archive, given.doorkeeper, given.webhooks), wakers, dials, nodes);
        Ok(Some(Self {
            seat,
            common,
            commands,
            io,
            log,
            brain,
            desk,
            rings,
            remaker,
            taps: Taps::default(),
            counts: ShellCounts::default(),
            syncs: Histogram::new(&FAST_US),
            durable,
            log_dir,
            layout: config.layout,
            phase: Phase::Starting,
            deadline: now.mono,
            publish_at: now.mono,
        }))
    }

    async fn run(mut self) -> Result<(), ShardError> {
        loop {
            match self.turn()? {
                Turn::Busy => self.io.yield_now().await.map_err(ShardError::Ring)?,
                Turn::Idle => self.rest().await?,
                Turn::Over => return Ok(()),
            }
        }
    }

    /// One round: everything that is there, in the order in which it matters. Never waits.
    fn turn(&mut self) -> Result<Turn, ShardError> {
        self.io.turn().map_err(ShardError::Ring)?;
        let now = clock::now();
        self.counts.turns += 1;
        if self.obey(now) == Turn::Over {
            return Ok(Turn::Over);
        }
        self.watch_readiness();
        let mut busy = self.hear(now)?;
        busy |= self.desk.hear_nodes(&mut self.brain, now);
        busy |= self.rings.receive(&mut self.brain, now, &self.seat.wakers);
        if self.deadline <= now.mono {
            self.brain.handle_timeout(now);
            self.desk.handle_timeout(&mut self.brain, now);
        }
        self.desk.serve_customers(&mut self.brain, &mut self.io, now);
        busy |= self.log.gather(&mut self.io, &mut self.brain, now);
        self.desk.serve_links(&mut self.brain, &mut self.io, now);
        self.remake(now)?;
        self.desk.serve_nodes(&mut self.brain, &mut self.io, now);
        self.rings.send(&mut self.brain, &self.seat.wakers);
        let may_age = !self.remaker.is_working();
        self.log.tend(&mut self.io, &mut self.brain, may_age, now);
        self.snapshot();
        self.taps.carry(self.seat.shard, now, &mut self.brain, self.desk.customers_mut());
        self.show(now);
        self.say_when_drained(now)?;
        let timeouts =
            self.brain.timeout().into_iter().chain(self.desk.timeout(now)).chain(self.log.timeout());
        self.deadline = timeouts.min().unwrap_or(Instant::FAR_FUTURE);
        busy |= self.deadline <= now.mono;
        Ok(if busy { Turn::Busy } else { Turn::Idle })
    }

    /// What the control thread wants.
    fn obey(&mut self, now: Now) -> Turn {
        match self.commands.try_recv() {
            Ok(Command::Drain) if self.phase < Phase::Draining => {
                self.phase = Phase::Draining;
                self.io.stop_listening();
                self.brain.handle_drain(now);
                self.desk.handle_readiness(Readiness::Stopping);
                self.desk.drain_webhooks(&mut self.brain, now);
                Turn::Busy
            }
            Ok(Command::Begin | Command::Drain) => Turn::Busy,
            Ok(Command::Stop) => Turn::Over,
            Ok(Command::Show(to)) => {
                // Whoever asked may have waited long enough.
                let _ = to.try_send(view::of_shard(self.parts()));
                Turn::Busy
            }
            Ok(Command::Find(id, numbers, to)) => {
                let found = self.brain.message_view(id);
                let shown =
                    found.map(|(account, view)| view::message(account, &view, &self.common.plan, numbers));
                let _ = to.try_send(shown.map(Box::new));
                Turn::Busy
            }
            Ok(Command::Trace(feed, to)) => {
                self.taps.begin(feed, &mut self.brain, self.desk.customers_mut());
                let _ = to.try_send(());
                Turn::Busy
            }
            Ok(Command::Plan(plan, to)) => {
                self.brain.handle_plan(now, Arc::clone(&plan));
                self.desk.handle_plan(Arc::clone(&plan));
                self.common.plan = plan;
                let _ = to.try_send(());
                Turn::Busy
            }
            Ok(Command::Secure(secure, to)) => {
                secure_io(&mut self.io, &secure);
                self.desk.handle_secure(secure);
                let _ = to.try_send(());
                Turn::Busy
            }
            Ok(Command::Admit(credentials, smpp, to)) => {
                self.desk.handle_credentials(credentials, smpp);
                let _ = to.try_send(());
                Turn::Busy
            }
            Ok(Command::Act(act, to)) => {
                self.desk.act(&mut self.brain, now, *act, to);
                Turn::Busy
            }
            Ok(Command::Webhooks(orders, to)) => {
                self.desk.handle_webhooks(&mut self.brain, now, orders);
                let _ = to.try_send(());
                Turn::Busy
            }
            Err(_) => Turn::Idle,
        }
    }

    /// What the sockets and the disk have to say.
    fn hear(&mut self, now: Now) -> Result<bool, ShardError> {
        let mut any = false;
        while let Some(event) = self.io.poll() {
            any = true;
            match event {
                Event::Socket(event) => match self.desk.hear(&mut self.brain, now, event) {
                    Then::Nothing => {}
                    Then::Pause(conn) => self.io.pause_reading(conn),
                    Then::Close(conn, how) => self.io.close(conn, how),
                    Then::Offer(number) => self.desk.offer(&mut self.io, now, number),
                    Then::Greet(conn) => self.desk.greet(&mut self.io, now, conn),
                },
                Event::Appended(appended) => {
                    self.counts.syncs += 1;
                    self.counts.sync_bytes += u64::try_from(appended.bytes).unwrap_or(u64::MAX);
                    self.syncs.record(appended.took);
                    self.durable = self.log.appended();
                    self.desk.archive().durable(self.durable);
                    self.brain.handle_durable(now, self.durable);
                    self.log.release(self.brain.log_needed_from());
                }
                Event::SegmentReady { segment } => self.log.prepared(segment),
                Event::SegmentRetired(segment) => self.log.retired(segment),
                Event::SegmentRemoved => {}
                Event::SegmentKept(error) => self.log.segment_kept(&error, now),
                Event::SegmentFailed(error) => self.log.segment_failed(&error, now),
                Event::SnapshotWritten { is_last } => {
                    if is_last {
                        self.brain.handle_snapshot_published();
                    }
                }
                Event::SnapshotFailed(error) => {
                    tracing::warn!(event = "snapshot.failed", %error, "it is tried again; the log grows meanwhile");
                    self.log.snapshot_failed(&error);
                    self.brain.handle_snapshot_failed();
                }
                Event::LogFailed(error) => {
                    self.brain.handle_log_failed();
                    return Err(ShardError::Log(error));
                }
            }
        }
        Ok(any)
    }

    fn watch_readiness(&mut self) {
        if self.phase == Phase::Starting {
            if self.brain.is_ready() {
                self.common.board.shard_is_ready(self.seat.shard);
            }
            if self.common.board.all_are_ready() {
                self.phase = Phase::Ready;
                self.desk.handle_readiness(Readiness::Ready);
            }
        }
    }

    /// Shows the shard's numbers from time to time, and to whoever asks now.
    fn show(&mut self, now: Now) {
        if self.publish_at <= now.mono {
            self.publish_at = now.mono.plus(PUBLISH_EVERY);
            self.counts.connections = u64::try_from(self.io.connections()).unwrap_or(u64::MAX);
            self.counts.dials_failed = self.desk.dials_failed();
            self.counts.tls = *self.io.tls_counts();
            let asked = self.desk.archive().counts();
            self.counts.aged_queries = asked.asked;
            self.counts.aged_found = asked.found;
            self.counts.aged_put_off = asked.put_off;
            self.counts.indexes_built = self.desk.archive().indexes_built();
            self.counts.retained_segments = self.log.retained().count();
            self.counts.retained_bytes = self.log.retained().bytes();
            let own = self.common.plan.node;
            let cluster = members::of_shard(own, self.desk.nodes().standings(), &self.brain);
            let others = cluster.of(&self.common.others);
            let source = Source {
                brain: &mut self.brain,
                members: &others,
                customers: self.desk.customers().counts(),
                shell: &self.counts,
                syncs: &self.syncs,
                now: now.wall,
            };
            self.common.board.publish(self.seat.shard, &self.common.plan, source);
        }
        self.desk.answer_scrapes(now, &self.common.board);
    }

    /// What a view of this shard is made of.
    fn parts(&mut self) -> view::Parts<'_> {
        view::Parts {
            shard: self.seat.shard,
            core: self.seat.core,
            brain: &mut self.brain,
            plan: &self.common.plan,
            carriers: &self.common.carriers,
            troubles: self.desk.troubles(),
            customers: self.desk.customers(),
            nodes: self.desk.nodes(),
            now: clock::now(),
            counts: &self.counts,
            syncs: &self.syncs,
            durable: self.durable,
            layout: self.layout,
        }
    }

    /// A drained shard goes on: others may still need its answers.
    fn say_when_drained(&mut self, now: Now) -> Result<(), ShardError> {
        let is_drained = self.phase == Phase::Draining
            && self.brain.is_drained()
            && self.log.is_idle()
            && self.rings.all_sent()
            && self.desk.is_drained(now);
        if is_drained {
            self.phase = Phase::Drained;
            self.common.notices.send(Notice::Drained(self.seat.shard))?;
        }
        Ok(())
    }

    /// Has the next state made anew that is to be, one at a time.
    fn remake(&mut self, now: Now) -> Result<(), ShardError> {
        if let Some(made) = self.remaker.poll() {
            let refused = |error| ShardError::Recovery { file: self.log_dir.clone(), error: Box::new(error) };
            self.brain.handle_rebuilt(now, made?).map_err(refused)?;
        }
        if !self.remaker.is_working()
            && let Some(rebuild) = self.brain.poll_rebuild()
        {
            tracing::info!(event = "partition-made-anew", partition = rebuild.partition().0);
            self.remaker.begin(rebuild)?;
        }
        Ok(())
    }

    /// Has the next piece of a snapshot written, one at a time.
    fn snapshot(&mut self) {
        if self.io.writes_snapshot() {
            return;
        }
        if let Some(piece) = self.brain.poll_snapshot() {
            let SnapshotPiece { partition, bytes, is_first, is_last } = piece;
            self.io.write_snapshot(SnapshotWrite { partition: partition.0, bytes, is_first, is_last });
        }
    }

    /// Sleeps until something comes or the next timer is due.
    async fn rest(&mut self) -> Result<(), ShardError> {
        self.counts.rests += 1;
        let now = clock::now();
        let at_most = (self.deadline != Instant::FAR_FUTURE).then(|| self.deadline.since(now.mono));
        let (rings, commands, desk, remaker) = (&self.rings, &self.commands, &self.desk, &self.remaker);
        let has_work =
            || rings.hold_something() || !commands.is_empty() || desk.has_answers() || remaker.is_done();
        self.io.park(at_most, has_work).await.map_err(ShardError::Ring)
    }
}

/// Listens, with certificates for those who call with TLS.
fn open_listeners(
    io: &mut ShardIo,
    secure: &Secure,
    listen: Vec<(SocketAddr, ListenerTag, Guard)>,
) -> Result<(), ShardError> {
    secure_io(io, secure);
    for (address, tag, guard) in listen {
        io.listen(address, tag, guard)?;
    }
    Ok(())
}

/// What sessions of those who call begin with from now on.
fn secure_io(io: &mut ShardIo, secure: &Secure) {
    io.secure(secure.server.clone());
    io.secure_peers(secure.peers.as_ref().map(|peers| peers.server.clone()));
}

/// Sleeps until the control thread says something.
async fn wait_for_command(io: &mut ShardIo, commands: &Receiver<Command>) -> Result<Command, ShardError> {
    loop {
        if let Ok(command) = commands.try_recv() {
            return Ok(command);
        }
        io.park(None, || !commands.is_empty()).await.map_err(ShardError::Ring)?;
        while io.poll().is_some() {}
    }
}
