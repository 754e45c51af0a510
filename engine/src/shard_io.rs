//! All IO of one shard behind one door: its sockets, its log, its sleep.
//!
//! ```text
//!   loop {
//!       io.turn()?;                                  one enter: sends and an append go in, completions come out
//!       while let Some(event) = io.poll() { … }      no call
//!       …                                            the brain decides; bytes go into send buffers and an append
//!       io.rest(busy, deadline, || queues_hold()).await?;
//!   }
//! ```
//!
//! The sockets and the log's appends share the shard's ring; what is slow goes through the executor, which runs while
//! the shard rests. Nothing here knows what the bytes mean.

use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use rustls::pki_types::ServerName;

use crate::faults::{Dice, Faults};
use crate::files::{Appended, Appender, LogError};
use crate::net::tls::{ClientTls, Guard, ServerTls};
use crate::net::{ConnId, How, ListenerTag, NetError, SocketEvent, Sockets, TlsCounts};
use crate::ring::{Notify, Ring, RingError, Tag, What};
use crate::runtime::{
    AgedFile, LogDir, PASS_EVERY, Parker, SegmentFile, ShardSeat, SnapshotDir, SnapshotWrite, WakeHandle,
    Worker, read_snapshot,
};

/// What a shard's IO is made of.
#[derive(Clone, Debug)]
pub struct IoOptions {
    /// The directory of this shard's log.
    pub log_dir: PathBuf,
    /// The directory of the node's snapshots.
    pub snapshot_dir: PathBuf,
    /// Bytes of one segment; whole blocks of 4096.
    pub segment_bytes: u64,
    /// How long to look for work before sleeping. Zero sleeps at once.
    pub spin: Duration,
    /// What breaks on purpose.
    pub faults: Option<Faults>,
}

/// A shard's IO cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum IoError {
    /// No ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// No log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No sleep.
    #[error("no event to sleep on: {0}; look at `ulimit -n`")]
    Event(io::Error),
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// To a socket.
    Socket(SocketEvent<'a>),
    /// An append is on the disk.
    Appended(Appended),
    /// A segment that was asked for is ready.
    SegmentReady {
        /// Its number.
        segment: u64,
    },
    /// A segment that was asked for could not be prepared: no room, mostly. Ask again later.
    SegmentFailed(LogError),
    /// A segment is aged.
    SegmentRetired(AgedFile),
    /// A segment could not be made an aged one, or an aged one not be removed. Ask again later.
    SegmentKept(LogError),
    /// An aged segment that was to be removed is gone.
    SegmentRemoved,
    /// A piece of a snapshot is written; the last one has made it durable.
    SnapshotWritten {
        /// Whether it was the last.
        is_last: bool,
    },
    /// A snapshot could not be written, and is given up.
    SnapshotFailed(LogError),
    /// The log cannot go on: the shard stops.
    LogFailed(LogError),
}

/// What is done about a segment while the shard works.
#[derive(Debug)]
enum SegmentRequest {
    Prepare { segment: u64, header: Vec<u8>, out_of: Option<u64> },
    Retire(u64),
    Remove(u64),
}

/// What was done.
#[derive(Debug)]
enum SegmentDone {
    Prepared(u64),
    Retired(AgedFile),
    Removed,
    /// Not what was asked for: the segment is where it was.
    Kept(LogError),
}

/// One shard's IO. It lives on the shard's thread.
#[derive(Debug)]
pub struct ShardIo {
    ring: Ring,
    sockets: Sockets,
    appender: Appender,
    /// An append that failed before the ring had it.
    failed: Option<LogError>,
    log_dir: LogDir,
    snapshot_dir: PathBuf,
    segments: SegmentWorker,
    snapshots: SnapshotWorker,
    parker: Parker,
    wake: WakeHandle,
    /// The ring reads the wake-up event.
    listens_for_wake: bool,
    spin: Duration,
    passed: Instant,
}

impl ShardIo {
    /// Opens a shard's IO, on its thread.
    ///
    /// # Errors
    ///
    /// What is not to be had, and what to do.
    pub async fn open(seat: &ShardSeat, options: IoOptions) -> Result<Self, IoError> {
        let IoOptions { log_dir, snapshot_dir, segment_bytes, spin, faults } = options;
        let parker = Parker::new().map_err(IoError::Event)?;
        let mut ring = Ring::new()?;
        ring.register_event(parker.event())?;
        let log_dir = LogDir::open(&log_dir, segment_bytes).await?;
        let faults = faults.unwrap_or_default();
        let dice = Dice::new(faults.seed, u64::from(seat.shard));
        let sockets =
            faults.sockets.map_or_else(Sockets::default, |faults| Sockets::with_faults(faults, dice));
        let appender = Appender::new(log_dir.path(), log_dir.is_direct(), faults.files);
        let snapshots = SnapshotDir::open(&snapshot_dir, log_dir.is_direct())?;
        let (segments, snapshots) = workers(log_dir.clone(), snapshots, &parker);
        Ok(Self {
            ring,
            sockets,
            appender,
            failed: None,
            log_dir,
            snapshot_dir,
            segments,
            snapshots,
            parker,
            wake: seat.waker().clone(),
            listens_for_wake: false,
            spin,
            passed: Instant::now(),
        })
    }

    /// Submits what was asked since the last turn and lets completions come: one call, or none. Never blocks.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the ring altogether (no memory): the shard cannot go on.
    pub fn turn(&mut self) -> io::Result<()> {
        self.sockets.flush(&mut self.ring);
        self.ring.turn()
    }

    /// The next thing that happened. What an event lends is given back by the next call.
    pub fn poll(&mut self) -> Option<Event<'_>> {
        self.sockets.take_back(&mut self.ring);
        Some(match self.next()? {
            Event::Socket(event) => Event::Socket(self.sockets.lend(&self.ring, event)),
            other => other,
        })
    }

    fn next(&mut self) -> Option<Event<'static>> {
        if let Some(error) = self.failed.take() {
            return Some(Event::LogFailed(error));
        }
        if let Some(event) = self.sockets.next(&mut self.ring) {
            return Some(Event::Socket(event));
        }
        while let Some(done) = self.ring.next() {
            match done.tag.what {
                What::Nobody => {}
                What::Wake => self.listens_for_wake = false,
                What::LogWrite | What::LogSync | What::LogPause => {
                    if let Some(result) = self.appender.handle(&mut self.ring, done) {
                        return Some(result.map_or_else(Event::LogFailed, Event::Appended));
                    }
                }
                _ => {
                    let event = self.sockets.handle(&mut self.ring, done);
                    let event = event.or_else(|| self.sockets.next(&mut self.ring));
                    if let Some(event) = event {
                        return Some(Event::Socket(event));
                    }
                }
            }
        }
        if let Some(done) = self.segments.take() {
            return Some(match done {
                Ok(SegmentDone::Prepared(segment)) => Event::SegmentReady { segment },
                Ok(SegmentDone::Retired(aged)) => Event::SegmentRetired(aged),
                Ok(SegmentDone::Removed) => Event::SegmentRemoved,
                Ok(SegmentDone::Kept(error)) => Event::SegmentKept(error),
                Err(error) => Event::SegmentFailed(error),
            });
        }
        let written = self.snapshots.take()?;
        Some(written.map_or_else(Event::SnapshotFailed, |is_last| Event::SnapshotWritten { is_last }))
    }

    /// Whether the executor has something to do for us.
    fn executor_works(&self) -> bool {
        self.segments.is_working() || self.snapshots.is_working()
    }

    /// Lets the executor go on with what is slow, if there is anything; otherwise it returns at once. For a shard that
    /// has more to do.
    ///
    /// # Errors
    ///
    /// As [`ShardIo::turn`].
    pub async fn yield_now(&mut self) -> io::Result<()> {
        if self.executor_works() && self.passed.elapsed() >= PASS_EVERY {
            self.parker.pass().await?;
            self.passed = Instant::now();
        }
        Ok(())
    }

    /// Sleeps, once everything was polled, until something happens: to a socket or the log, a
    /// [`crate::runtime::WakeHandle`] of this shard, or `at_most` passes. Looks around for [`IoOptions::spin`] first. It
    /// may return for no reason.
    ///
    /// `has_work` says whether the shard's own queues hold anything; it is asked again when no wake-up can be missed
    /// any more.
    ///
    /// # Errors
    ///
    /// As [`ShardIo::turn`].
    pub async fn park(
        &mut self,
        at_most: Option<Duration>,
        mut has_work: impl FnMut() -> bool,
    ) -> io::Result<()> {
        let since = Instant::now();
        let spin = at_most.map_or(self.spin, |at_most| at_most.min(self.spin));
        loop {
            if self.looks()? || has_work() {
                return self.yield_now().await;
            }
            if since.elapsed() >= spin {
                break;
            }
            core::hint::spin_loop();
        }
        self.sleep(at_most.map(|at_most| at_most.saturating_sub(since.elapsed())), has_work).await
    }

    async fn sleep(
        &mut self,
        at_most: Option<Duration>,
        mut has_work: impl FnMut() -> bool,
    ) -> io::Result<()> {
        if !self.listens_for_wake {
            self.ring.read_event(self.wake.raw_fd(), Tag { what: What::Wake, id: 0 });
            self.listens_for_wake = true;
        }
        self.wake.falls_asleep();
        let slept = if has_work() {
            Ok(())
        } else if self.executor_works() {
            self.sleep_in_executor(at_most).await
        } else {
            self.ring.wait(at_most)
        };
        self.wake.awakes();
        slept
    }

    async fn sleep_in_executor(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        self.ring.notify(Notify::On);
        if !self.looks()? {
            self.parker.sleep(at_most).await?;
            self.passed = Instant::now();
        }
        self.ring.notify(Notify::Off);
        Ok(())
    }

    /// A turn, and whether [`ShardIo::poll`] has something.
    fn looks(&mut self) -> io::Result<bool> {
        self.turn()?;
        Ok(self.ring.has_completions()
            || self.sockets.has_events()
            || self.failed.is_some()
            || self.segments.is_done()
            || self.snapshots.is_done())
    }
}

/// Sockets.
impl ShardIo {
    /// Listens on an address. Each shard may listen on the same one; the kernel deals connections among them.
    ///
    /// # Errors
    ///
    /// When the address is not to be had. Port 0 takes any; the answer says which.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        tag: ListenerTag,
        guard: Guard,
    ) -> Result<SocketAddr, NetError> {
        self.sockets.listen(&mut self.ring, address, tag, guard)
    }

    /// What the sessions of guarded listeners begin with from now on; without it, their callers are closed at once.
    pub fn secure(&mut self, tls: Option<ServerTls>) {
        self.sockets.secure(tls);
    }

    /// The same, for listeners behind [`Guard::TlsPeer`].
    pub fn secure_peers(&mut self, tls: Option<ServerTls>) {
        self.sockets.secure_peers(tls);
    }

    /// Whether a connection is open, has TLS, and its peer has shown a certificate that carries a name. The hand-shake has
    /// looked who signed it; a caller's name is nobody's business until its owner asks. `false` for a plain connection.
    #[must_use]
    pub fn peer_is_named(&self, conn: ConnId, name: &ServerName<'_>) -> bool {
        self.sockets.peer_is_named(conn, name)
    }

    /// What was counted about TLS.
    #[must_use]
    pub const fn tls_counts(&self) -> &TlsCounts {
        self.sockets.tls_counts()
    }

    /// Takes no more connections, on any address.
    pub fn stop_listening(&mut self) {
        self.sockets.stop_listening(&mut self.ring);
    }

    /// Begins a connection, with TLS or without; [`SocketEvent::Connected`] or [`SocketEvent::ConnectFailed`] follow, with `tag`.
    ///
    /// # Errors
    ///
    /// When no socket is to be had, or the shard has all the connections that it takes.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        tag: u64,
        tls: Option<&ClientTls>,
    ) -> Result<ConnId, NetError> {
        self.sockets.connect(&mut self.ring, address, tag, tls)
    }

    /// Where to append bytes for a connection; they leave with the next turn. `None` when it is gone or closing.
    pub fn send_buffer(&mut self, conn: ConnId) -> Option<&mut Vec<u8>> {
        self.sockets.send_buffer(conn)
    }

    /// Bytes that the kernel has not taken yet. Beyond [`crate::net::limits::SEND_QUEUE_BYTES_MAX`] its owner stops
    /// reading it.
    #[must_use]
    pub fn queued_bytes(&self, conn: ConnId) -> usize {
        self.sockets.queued_bytes(conn)
    }

    /// Connections that are not gone yet.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sockets.len()
    }

    /// Stops receiving; what the kernel has taken from the socket already still comes.
    pub fn pause_reading(&mut self, conn: ConnId) {
        self.sockets.pause_reading(&mut self.ring, conn);
    }

    /// Receives again.
    pub fn resume_reading(&mut self, conn: ConnId) {
        self.sockets.resume_reading(conn);
    }

    /// Closes a connection; [`SocketEvent::Closed`] follows, and nothing is received before it.
    pub fn close(&mut self, conn: ConnId, how: How) {
        self.sockets.close(&mut self.ring, conn, how);
    }
}

/// The log.
impl ShardIo {
    /// The log's segments, by number.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn log_segments(&self) -> Result<Vec<SegmentFile>, LogError> {
        self.log_dir.segments()
    }

    /// All bytes of a segment, for recovery.
    ///
    /// # Errors
    ///
    /// When a read fails, or the segment has another size than the configured one.
    pub async fn read_segment(&self, segment: u64) -> Result<Vec<u8>, LogError> {
        self.log_dir.read(segment).await
    }

    /// Prepares a segment and waits for it: at start, when there is nothing else to do.
    ///
    /// # Errors
    ///
    /// When a file operation fails.
    pub async fn prepare_segment(&mut self, segment: u64, header: &[u8]) -> Result<(), LogError> {
        self.log_dir.prepare(segment, header).await
    }

    /// Prepares a segment while the shard works, of zeros or out of an aged one;
    /// [`Event::SegmentReady`] or [`Event::SegmentFailed`] follows.
    ///
    /// # Panics
    ///
    /// While [`ShardIo::works_on_segments`].
    pub fn prepare_in_background(&mut self, segment: u64, header: &[u8], out_of: Option<u64>) {
        self.segments.ask(SegmentRequest::Prepare { segment, header: header.to_owned(), out_of });
    }

    /// The log's aged segments, by number.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn aged_segments(&self) -> Result<Vec<AgedFile>, LogError> {
        self.log_dir.aged()
    }

    /// Makes the log's oldest segment an aged one while the shard works; [`Event::SegmentRetired`] or
    /// [`Event::SegmentKept`] follows.
    ///
    /// # Panics
    ///
    /// While [`ShardIo::works_on_segments`].
    pub fn retire_in_background(&mut self, segment: u64) {
        self.segments.ask(SegmentRequest::Retire(segment));
    }

    /// Removes an aged segment while the shard works; [`Event::SegmentRemoved`] or [`Event::SegmentKept`] follows.
    ///
    /// # Panics
    ///
    /// While [`ShardIo::works_on_segments`].
    pub fn remove_in_background(&mut self, segment: u64) {
        self.segments.ask(SegmentRequest::Remove(segment));
    }

    /// Whether something is done about a segment and its event has not been heard.
    #[must_use]
    pub fn works_on_segments(&self) -> bool {
        self.segments.is_busy()
    }

    /// The snapshot of a partition, for recovery; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read_snapshot(&self, partition: u16) -> Result<Option<Vec<u8>>, LogError> {
        read_snapshot(&self.snapshot_dir, partition)
    }

    /// Writes a piece of a snapshot while the shard works; [`Event::SnapshotWritten`] or [`Event::SnapshotFailed`] follows.
    ///
    /// # Panics
    ///
    /// While [`ShardIo::writes_snapshot`].
    pub fn write_snapshot(&mut self, piece: SnapshotWrite) {
        self.snapshots.ask(piece);
    }

    /// Whether a piece of a snapshot is written and its event has not been heard.
    #[must_use]
    pub fn writes_snapshot(&self) -> bool {
        self.snapshots.is_busy()
    }

    /// Appends whole blocks to a prepared segment: copies them, writes, then syncs. [`Event::Appended`] follows when
    /// they are durable, or [`Event::LogFailed`].
    ///
    /// # Panics
    ///
    /// While [`ShardIo::appending`], and when place or length are not whole blocks of 4096 bytes.
    pub fn append(&mut self, segment: u64, offset: u64, bytes: &[u8]) {
        if let Err(error) = self.appender.begin(&mut self.ring, segment, offset, bytes) {
            self.failed = Some(error);
        }
    }

    /// Whether an append is in flight.
    #[must_use]
    pub fn appending(&self) -> bool {
        self.appender.busy()
    }
}

impl Drop for ShardIo {
    fn drop(&mut self) {
        self.segments.end();
        self.snapshots.end();
    }
}

type SegmentWorker = Rc<Worker<SegmentRequest, Result<SegmentDone, LogError>>>;
type SnapshotWorker = Rc<Worker<SnapshotWrite, Result<bool, LogError>>>;

/// The tasks for what is slow: one for segments, one for snapshots, since the log must not wait for those.
fn workers(
    log_dir: LogDir,
    mut snapshot_dir: SnapshotDir,
    parker: &Parker,
) -> (SegmentWorker, SnapshotWorker) {
    let segments = async move |request| match request {
        SegmentRequest::Prepare { segment, header, out_of: None } => {
            log_dir.prepare(segment, &header).await.map(|()| SegmentDone::Prepared(segment))
        }
        SegmentRequest::Prepare { segment, header, out_of: Some(old) } => {
            log_dir.recycle(old, segment, &header).await.map(|()| SegmentDone::Prepared(segment))
        }
        SegmentRequest::Retire(segment) => {
            Ok(log_dir.retire(segment).await.map_or_else(SegmentDone::Kept, SegmentDone::Retired))
        }
        SegmentRequest::Remove(segment) => {
            Ok(log_dir.remove(segment).await.map_or_else(SegmentDone::Kept, |()| SegmentDone::Removed))
        }
    };
    let snapshots =
        async move |piece: SnapshotWrite| snapshot_dir.write(&piece).await.map(|()| piece.is_last);
    (Worker::start(segments, parker.signal()), Worker::start(snapshots, parker.signal()))
}
