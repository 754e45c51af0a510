#![expect(clippy::print_stdout, reason = "printing is what this program is for")]
//! What the shard's IO costs by itself: `cargo run --release -p engine --example io_cost [SECONDS]`.
//!
//! No message, no logic: frames that are echoed, appends that mean nothing, and a thread that wakes a sleeping shard. The
//! sockets are measured beside a plain epoll loop in the same run, since only the ratio means something on another
//! machine; the CPU time is that of the serving thread (for appends, of the process, whose kernel workers sync).

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use engine::net::tls::Guard;
use engine::net::{How, ListenerTag, SocketEvent};
use engine::runtime::{ShardSeat, spawn_shards};
use engine::shard_io::{Event, IoOptions, ShardIo};
use mio::{Events, Interest, Poll, Token};

const FRAME_BYTES: usize = 200;
const SEGMENT_BYTES: u64 = 64 << 20;
const WAKES: u64 = 500;

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2);
    let time = Duration::from_secs(seconds);
    println!("echo of {FRAME_BYTES}-octet frames, CPU of the serving thread to a frame");
    for (connections, window) in [(4, 256), (64, 16), (64, 1), (1, 1)] {
        let run = Echo { connections, window, time };
        let (ring, epoll) = (run.measure(ring_server), run.measure(epoll_server));
        println!(
            "{connections:>4} × {window:<4} ring {ring}   epoll {epoll}   ratio {:.2}",
            ring.cpu_us / epoll.cpu_us
        );
    }
    for kib in [4, 16, 64, 256] {
        append(kib, time);
    }
    wake();
}

/// A closed loop of customers that keep a window of frames in flight each.
#[derive(Clone, Copy)]
struct Echo {
    connections: usize,
    window: usize,
    time: Duration,
}

struct Cost {
    cpu_us: f64,
    frames_per_s: f64,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>7.3} µs ({:>5.0} k/s)", self.cpu_us, self.frames_per_s / 1000.0)
    }
}

impl Echo {
    fn measure(self, server: fn(Arc<AtomicBool>, Sender<SocketAddr>) -> io::Result<u64>) -> Cost {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = channel();
        let ends = Arc::clone(&stop);
        let serving = std::thread::spawn(move || server(ends, tell));
        let address = told.recv().expect("the server tells where it listens");
        let (frames, took) = self.drive(address);
        stop.store(true, Ordering::Relaxed);
        // A last connection ends its sleep.
        drop(TcpStream::connect(address));
        let cpu_ns = serving.join().expect("the server does not panic").expect("the server serves");
        Cost { cpu_us: cpu_ns as f64 / 1000.0 / frames, frames_per_s: frames / took.as_secs_f64() }
    }

    fn drive(self, address: SocketAddr) -> (f64, Duration) {
        pin(1);
        let mut customers: Vec<_> =
            (0..self.connections).map(|_| Customer::new(address, self.window * FRAME_BYTES)).collect();
        let since = Instant::now();
        while since.elapsed() < self.time {
            customers.iter_mut().for_each(|customer| customer.turn().expect("the server stays"));
        }
        let bytes: usize = customers.iter().map(|customer| customer.got).sum();
        ((bytes / FRAME_BYTES) as f64, since.elapsed())
    }
}

struct Customer {
    socket: TcpStream,
    credit: usize,
    got: usize,
    buffer: Vec<u8>,
}

impl Customer {
    fn new(address: SocketAddr, credit: usize) -> Self {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_nonblocking(true).expect("a socket can be non-blocking");
        socket.set_nodelay(true).expect("a socket can do without delay");
        Self { socket, credit, got: 0, buffer: vec![0; 1 << 16] }
    }

    fn turn(&mut self) -> io::Result<()> {
        if self.credit > 0 {
            let len = self.credit.min(self.buffer.len());
            self.credit -= or_zero(self.socket.write(&self.buffer[..len]))?;
        }
        let count = or_zero(self.socket.read(&mut self.buffer))?;
        self.credit += count;
        self.got += count;
        Ok(())
    }
}

fn or_zero(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

fn ring_server(stop: Arc<AtomicBool>, tell: Sender<SocketAddr>) -> io::Result<u64> {
    on_shard(move |mut io| {
        let (stop, tell) = (Arc::clone(&stop), tell.clone());
        async move {
            let address = "127.0.0.1:0".parse().expect("an address");
            tell.send(io.listen(address, ListenerTag(0), Guard::Plain).expect("a port"))
                .expect("somebody asked");
            let before = thread_cpu_ns();
            let mut received = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                io.turn()?;
                while let Some(event) = io.poll() {
                    match event {
                        Event::Socket(SocketEvent::Received { conn, bytes }) => {
                            received.clear();
                            received.extend_from_slice(bytes);
                            if let Some(buffer) = io.send_buffer(conn) {
                                buffer.extend_from_slice(&received);
                            }
                        }
                        Event::Socket(SocketEvent::Finished { conn }) => io.close(conn, How::Now),
                        _ => {}
                    }
                }
                io.park(None, || false).await?;
            }
            Ok(thread_cpu_ns() - before)
        }
    })
}

fn epoll_server(stop: Arc<AtomicBool>, tell: Sender<SocketAddr>) -> io::Result<u64> {
    pin(0);
    let mut poll = Poll::new()?;
    let mut listener = mio::net::TcpListener::bind("127.0.0.1:0".parse().expect("an address"))?;
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
    tell.send(listener.local_addr()?).expect("somebody asked");
    let before = thread_cpu_ns();
    let (mut sockets, mut events, mut buffer) = (Vec::new(), Events::with_capacity(1024), vec![0; 1 << 16]);
    while !stop.load(Ordering::Relaxed) {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == Token(0) {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    poll.registry().register(&mut socket, Token(sockets.len() + 1), Interest::READABLE)?;
                    sockets.push(socket);
                }
                continue;
            }
            echo(&mut sockets[event.token().0 - 1], &mut buffer);
        }
    }
    Ok(thread_cpu_ns() - before)
}

fn echo(socket: &mut mio::net::TcpStream, buffer: &mut [u8]) {
    while let Ok(count @ 1..) = socket.read(buffer) {
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            // A customer that is gone takes nothing more.
            let Ok(sent) = or_zero(socket.write(rest)) else { return };
            rest = &rest[sent..];
        }
        if count < buffer.len() {
            return;
        }
    }
}

fn append(kib: usize, time: Duration) {
    let line = on_shard(move |mut io| async move {
        io.prepare_segment(0, b"").await.expect("room for a segment");
        let bytes = vec![7; kib << 10];
        let len = u64::try_from(bytes.len()).expect("a length fits");
        let (mut offset, mut took) = (4096, Vec::new());
        let (before, since) = (process_cpu_ns(), Instant::now());
        while since.elapsed() < time {
            if !io.appending() {
                offset = if offset + len > SEGMENT_BYTES { 4096 } else { offset };
                io.append(0, offset, &bytes);
                offset += len;
            }
            io.turn().expect("a ring");
            while let Some(event) = io.poll() {
                match event {
                    Event::Appended(appended) => took.push(appended.took),
                    other => panic!("{other:?}"),
                }
            }
            if io.appending() {
                io.park(None, || false).await.expect("a ring");
            }
        }
        let cpu_us = (process_cpu_ns() - before) as f64 / 1000.0 / took.len() as f64;
        let rate = took.len() as f64 / since.elapsed().as_secs_f64();
        format!("append {kib:>3} KiB   {cpu_us:>6.1} µs of CPU   {rate:>5.0}/s   {}", percentiles(took))
    });
    println!("{line}");
}

fn wake() {
    let asked_ns = Arc::new(AtomicU64::new(0));
    let (started, asked) = (Instant::now(), Arc::clone(&asked_ns));
    let now_ns = move || u64::try_from(started.elapsed().as_nanos()).expect("a run is short");
    let shards = spawn_shards(&[0], move |seat: ShardSeat| {
        let asked = Arc::clone(&asked);
        async move {
            let directory = Directory::new();
            let mut io = ShardIo::open(&seat, directory.options()).await.expect("a shard's IO");
            let mut took = Vec::new();
            while took.len() < usize::try_from(WAKES).expect("few") {
                io.park(None, || asked.load(Ordering::Acquire) > 0).await.expect("a ring");
                assert!(io.poll().is_none(), "there are no sockets");
                let at = asked.swap(0, Ordering::AcqRel);
                if at > 0 {
                    took.push(Duration::from_nanos(now_ns() - at));
                }
            }
            percentiles(took)
        }
    });
    let shards = shards.expect("a shard");
    let waker = shards.wakers()[0].clone();
    for _ in 0..WAKES {
        while asked_ns.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(500));
        asked_ns.store(now_ns(), Ordering::Release);
        waker.wake();
    }
    let lines = shards.join().expect("it began");
    println!("wake of a sleeping shard   {}", lines[0]);
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    format!("p50 {:?}   p99 {:?}", at(50), at(99))
}

/// A log's directory that goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("io-cost-{}", std::process::id())))
    }

    fn options(&self) -> IoOptions {
        IoOptions {
            log_dir: self.0.clone(),
            snapshot_dir: self.0.join("snapshots"),
            segment_bytes: SEGMENT_BYTES,
            spin: Duration::from_micros(20),
            faults: None,
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left is in the system's directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn on_shard<T, F>(main: impl Fn(ShardIo) -> F + Clone + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let shards = spawn_shards(&[0], move |seat: ShardSeat| {
        let main = main.clone();
        async move {
            let directory = Directory::new();
            main(ShardIo::open(&seat, directory.options()).await.expect("a shard's IO")).await
        }
    });
    shards.expect("a shard").join().expect("it began").pop().expect("one shard")
}

fn thread_cpu_ns() -> u64 {
    cpu_ns("/proc/thread-self/schedstat".into())
}

fn process_cpu_ns() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("proc is mounted");
    threads.map(|thread| cpu_ns(thread.expect("proc is readable").path().join("schedstat"))).sum()
}

/// The first field: nanoseconds on a core (Linux, Documentation/scheduler/sched-stats.rst).
fn cpu_ns(path: PathBuf) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Keeps this thread on a core, if the host has `taskset`; without it the figures are only rougher.
fn pin(core: usize) {
    let thread = std::fs::read_link("/proc/thread-self").expect("proc is mounted");
    let id = thread.file_name().expect("a number").to_owned();
    let _ = std::process::Command::new("taskset").args(["-cp", &core.to_string()]).arg(id).output();
}
