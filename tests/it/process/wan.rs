//! A wide area network in the test's process: every byte between two regions is as late as light would make it, and on command it does not
//! arrive at all.
//!
//! ```text
//!  region 1 ── listener of (1, 2) ── reader ── bytes with the time when they are due ── writer ── region 2
//! ```
//!
//! It limits no throughput: as much is on its way as the ends send. What is on its way when a way is stalled arrives when it is open again, as
//! TCP would have it, however late; and a connection that was closed meanwhile says so no sooner.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The most reads that are on their way on one connection and in one direction; each is [`READ_BYTES`] or less. A gigabyte: what the ends
/// may send each other without an answer is less.
const ON_THE_WAY_MAX: usize = 16 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// From one region to another, by their places.
pub(crate) type Way = (usize, usize);

/// The network; its threads end with its connections.
#[derive(Debug, Clone)]
pub(crate) struct Wan {
    one_way: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stalled: BTreeSet<Way>,
    /// Both ends of every connection there was, for who breaks them.
    lines: Vec<TcpStream>,
}

impl Wan {
    /// A network in which a byte takes so long from any region to any other.
    pub(crate) fn new(one_way: Duration) -> Self {
        Self { one_way, shared: Arc::default() }
    }

    /// Who calls here, from the first region of the way, is connected to `target` in the second.
    pub(crate) fn listen(&self, listener: TcpListener, way: Way, target: SocketAddr) {
        let wan = self.clone();
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                // A node that is down refuses, and the caller is refused.
                if let Ok(called) = TcpStream::connect(target) {
                    wan.join(&caller, &called, way);
                }
            }
        });
    }

    fn join(&self, caller: &TcpStream, called: &TcpStream, (from, to): Way) {
        let copy = |stream: &TcpStream| stream.try_clone().expect("a socket can be had twice");
        for stream in [caller, called] {
            stream.set_nodelay(true).expect("a socket of TCP");
        }
        self.state().lines.extend([copy(caller), copy(called)]);
        for (way, source, target) in
            [((from, to), copy(caller), copy(called)), ((to, from), copy(called), copy(caller))]
        {
            let (due, later) = sync_channel(ON_THE_WAY_MAX);
            let (one_way, shared) = (self.one_way, Arc::clone(&self.shared));
            thread::spawn(move || read(source, &due, one_way));
            thread::spawn(move || shared.write(&later, target, way));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Nothing arrives any more on these ways.
    pub(crate) fn stall(&self, ways: impl IntoIterator<Item = Way>) {
        self.state().stalled.extend(ways);
    }

    /// All arrives again, also what was on its way.
    pub(crate) fn heal(&self) {
        self.state().stalled.clear();
        self.shared.changed.notify_all();
    }

    /// Ends every connection, and says how many there were.
    pub(crate) fn break_all(&self) -> usize {
        let lines = std::mem::take(&mut self.state().lines);
        // Those that have ended cannot be ended again.
        lines.iter().filter(|line| line.shutdown(Shutdown::Both).is_ok()).count() / 2
    }
}

/// What is on its way, and when it is due; nothing is the end of the stream.
type Late = (Instant, Vec<u8>);

fn read(mut source: TcpStream, due: &SyncSender<Late>, one_way: Duration) {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let count = source.read(&mut bytes).unwrap_or(0);
        let is_taken = due.send((Instant::now() + one_way, bytes[..count].to_vec())).is_ok();
        if count == 0 || !is_taken {
            return;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the network's state")
    }

    fn write(&self, later: &Receiver<Late>, mut target: TcpStream, way: Way) {
        while let Ok((due, bytes)) = later.recv() {
            self.wait(due, way);
            if bytes.is_empty() || target.write_all(&bytes).is_err() {
                break;
            }
        }
        // The other direction ends by itself, when its own end has come through.
        let _ = target.shutdown(Shutdown::Write);
    }

    /// Until it is due and the way is open.
    fn wait(&self, due: Instant, way: Way) {
        let mut state = self.state();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let is_stalled = state.stalled.contains(&way);
            state = match (is_stalled, left.is_zero()) {
                (false, true) => return,
                (true, _) => self.changed.wait(state).expect("as above"),
                (false, false) => self.changed.wait_timeout(state, left).expect("as above").0,
            };
        }
    }
}

/// A network with one way, and both ends of a connection over it.
#[cfg(test)]
fn both_ends(wan: &Wan) -> (TcpStream, TcpStream) {
    let [inner, outer] = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"));
    let address = outer.local_addr().expect("a listener has an address");
    wan.listen(outer, (0, 1), inner.local_addr().expect("a listener has an address"));
    let caller = TcpStream::connect(address).expect("it listens");
    let (called, _) = inner.accept().expect("it is connected");
    (caller, called)
}

#[test]
fn bytes_are_late_by_the_way_in_both_directions_and_arrive_whole() {
    let one_way = Duration::from_millis(30);
    let wan = Wan::new(one_way);
    let (mut caller, mut called) = both_ends(&wan);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let begun = Instant::now();
    let mut echoed = vec![0; sent.len()];
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut bytes = vec![0; sent.len()];
            called.read_exact(&mut bytes).expect("it arrives");
            called.write_all(&bytes).expect("it is taken");
        });
        caller.write_all(&sent).expect("it is taken");
        caller.read_exact(&mut echoed).expect("it comes back");
    });
    assert!(echoed == sent && begun.elapsed() >= 2 * one_way);
    drop(caller);
    assert_eq!(called.read(&mut [0; 8]).expect("an orderly end"), 0);
}

#[test]
fn a_stalled_way_holds_its_bytes_until_it_is_healed_and_lets_the_other_through() {
    let wan = Wan::new(Duration::from_millis(1));
    let (mut caller, mut called) = both_ends(&wan);
    wan.stall([(0, 1)]);
    caller.write_all(b"out").expect("the network takes it");
    called.write_all(b"back").expect("the network takes it");
    let mut bytes = [0; 4];
    caller.read_exact(&mut bytes).expect("the other way is open");
    assert_eq!(&bytes, b"back");
    called.set_nonblocking(true).expect("a socket");
    assert!(called.read(&mut bytes).is_err(), "nothing arrives");
    called.set_nonblocking(false).expect("a socket");
    wan.heal();
    called.read_exact(&mut bytes[..3]).expect("it arrives at last");
    assert_eq!(&bytes[..3], b"out");
    assert_eq!((wan.break_all(), wan.break_all()), (1, 0));
    assert!(matches!(caller.read(&mut bytes), Ok(0) | Err(_)));
}
