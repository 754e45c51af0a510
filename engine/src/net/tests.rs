//! The sockets against real peers on the loopback, through the shard's door.

mod peers;

use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::limits::{CONNECTIONS_MAX, LINGER, SEND_QUEUE_BYTES_HARD};
use super::tls::Guard;
use super::{CloseReason, ConnId, How, ListenerTag, SocketEvent};
use crate::faults::{Dice, Faults, SocketFaults};
use crate::runtime::{ShardSeat, spawn_shards};
use crate::shard_io::{Event, IoOptions, ShardIo};

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const TAG: ListenerTag = ListenerTag(3);

/// Runs `main` as a shard with its IO in a directory of its own.
fn on_shard<T, F>(sockets: Option<SocketFaults>, main: impl Fn(ShardIo) -> F + Clone + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let directory = tempfile::tempdir().unwrap();
    let options = IoOptions {
        log_dir: directory.path().join("shard-0"),
        snapshot_dir: directory.path().join("snapshots"),
        segment_bytes: 1 << 20,
        spin: Duration::ZERO,
        faults: Some(Faults { seed: 11, sockets, files: None }),
    };
    let shards = spawn_shards(&[0], move |seat: ShardSeat| {
        let (main, options) = (main.clone(), options.clone());
        async move { main(ShardIo::open(&seat, options).await.unwrap()).await }
    });
    shards.unwrap().join().unwrap().pop().unwrap()
}

/// What a test's shard does with each event; it answers whether the test goes on.
async fn run(io: &mut ShardIo, mut on_event: impl FnMut(&mut ShardIo, Told) -> bool) {
    loop {
        io.turn().unwrap();
        while let Some(event) = io.poll() {
            let Some(told) = told(event) else { continue };
            if !on_event(io, told) {
                return;
            }
        }
        io.park(Some(Duration::from_secs(20)), || false).await.unwrap();
    }
}

/// An event that a test may keep.
#[derive(Debug, PartialEq)]
enum Told {
    Accepted(ConnId),
    Connected(u64),
    Failed(u64, std::io::ErrorKind),
    Received(ConnId, Vec<u8>),
    Finished(ConnId),
    Sent(ConnId, u64),
    Closed(ConnId, CloseReason),
}

fn told(event: Event<'_>) -> Option<Told> {
    let Event::Socket(event) = event else { return None };
    Some(match event {
        SocketEvent::Accepted { listener, conn, peer } => {
            assert!(listener == TAG && peer.ip().is_loopback());
            Told::Accepted(conn)
        }
        SocketEvent::Connected { tag, .. } => Told::Connected(tag),
        SocketEvent::ConnectFailed { tag, error, .. } => Told::Failed(tag, error.kind()),
        SocketEvent::Received { conn, bytes } => Told::Received(conn, bytes.to_vec()),
        SocketEvent::Finished { conn } => Told::Finished(conn),
        SocketEvent::Sent { conn, total } => Told::Sent(conn, total),
        SocketEvent::Closed { conn, reason } => Told::Closed(conn, reason),
        SocketEvent::HandshakeFailed { error, .. } => panic!("no TLS was asked for: {error}"),
        SocketEvent::SpeaksTls { .. } => return None,
    })
}

/// Serves until `closes` connections are closed: sends back what it receives, and ends when the peer ends.
async fn echo(mut io: ShardIo, address: mpsc::Sender<SocketAddr>, closes: usize) -> Vec<CloseReason> {
    address.send(io.listen(ANYWHERE, TAG, Guard::Plain).unwrap()).unwrap();
    let (mut reasons, mut received, mut sent) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    run(&mut io, |io, told| {
        match told {
            Told::Accepted(conn) => assert!(received.insert(conn, 0u64).is_none(), "a new connection is new"),
            Told::Received(conn, bytes) => {
                *received.get_mut(&conn).unwrap() += bytes.len() as u64;
                io.send_buffer(conn).unwrap().extend_from_slice(&bytes);
            }
            Told::Sent(conn, total) => assert!(sent.insert(conn, total).unwrap_or(0) < total),
            Told::Finished(conn) => io.close(conn, How::AfterSending),
            Told::Closed(conn, reason) => {
                assert!(io.send_buffer(conn).is_none(), "a closed connection takes nothing");
                assert!(sent.get(&conn).unwrap_or(&0) <= &received[&conn]);
                reasons.push(reason);
            }
            other => panic!("{other:?}"),
        }
        reasons.len() < closes
    })
    .await;
    reasons
}

/// Bytes that show when they are lost, doubled or swapped.
fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed, 0);
    (0..len).map(|_| u8::try_from(dice.draw(256) - 1).unwrap()).collect()
}

/// Sends in random pieces, reads all of it back, and closes its side when told.
fn customer(address: SocketAddr, seed: u64, len: usize) {
    let bytes = pattern(seed, len);
    let mut socket = TcpStream::connect(address).unwrap();
    let mut reader = socket.try_clone().unwrap();
    let expected = bytes.clone();
    let back = thread::spawn(move || {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        assert!(got == expected, "{} of {} bytes came back", got.len(), expected.len());
    });
    let (mut dice, mut rest) = (Dice::new(seed, 1), bytes.as_slice());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(usize::try_from(dice.draw(100_000)).unwrap()));
        socket.write_all(now).unwrap();
        rest = later;
    }
    socket.shutdown(Shutdown::Write).unwrap();
    back.join().unwrap();
}

fn echo_with_customers(faults: Option<SocketFaults>, customers: u64, len: usize) {
    let (tell, told) = mpsc::channel();
    let closes = usize::try_from(customers).unwrap();
    let server = thread::spawn(move || on_shard(faults, move |io| echo(io, tell.clone(), closes)));
    let address = told.recv().unwrap();
    let threads: Vec<_> =
        (0..customers).map(|seed| thread::spawn(move || customer(address, seed, len))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(server.join().unwrap(), vec![CloseReason::Local; closes]);
}

#[test]
fn megabytes_come_back_as_they_were_sent() {
    echo_with_customers(None, 4, 5_000_000);
}

#[test]
fn many_connections_are_kept_apart() {
    echo_with_customers(None, 200, 10_000);
}

#[test]
fn splits_and_stalls_change_nothing_but_the_timing() {
    let faults = SocketFaults { split: 700, stall_every: 100, stall_ms: 3, ..SocketFaults::default() };
    echo_with_customers(Some(faults), 5, 300_000);
}

#[test]
fn a_fault_resets_a_connection_in_its_middle() {
    let faults = SocketFaults { reset_after_bytes: 50_000, ..SocketFaults::default() };
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || on_shard(Some(faults.clone()), move |io| echo(io, tell.clone(), 1)));
    let mut socket = TcpStream::connect(told.recv().unwrap()).unwrap();
    while socket.write_all(&[1; 1000]).is_ok() && socket.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
    assert_eq!(server.join().unwrap(), [CloseReason::Fault]);
}

#[test]
fn a_connection_is_made_and_one_that_is_refused_says_so() {
    let listener = TcpListener::bind(ANYWHERE).unwrap();
    let there = listener.local_addr().unwrap();
    let gone = TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap();
    let peer = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut got = [0; 5];
        socket.read_exact(&mut got).unwrap();
        got
    });
    let (conn, heard) = on_shard(None, move |mut io| async move {
        io.connect(gone, 8, None).unwrap();
        let conn = io.connect(there, 9, None).unwrap();
        // What is written before the connection stands leaves when it does.
        io.send_buffer(conn).unwrap().extend_from_slice(b"hello");
        let mut heard = Vec::new();
        run(&mut io, |io, told| {
            match told {
                Told::Sent(_, total) => assert_eq!(total, 5),
                Told::Finished(conn) => io.close(conn, How::AfterSending),
                told => heard.push(told),
            }
            heard.len() < 3
        })
        .await;
        (conn, heard)
    });
    assert_eq!(&peer.join().unwrap(), b"hello");
    assert!(heard.contains(&Told::Connected(9)));
    assert!(heard.contains(&Told::Failed(8, std::io::ErrorKind::ConnectionRefused)));
    assert!(heard.contains(&Told::Closed(conn, CloseReason::Local)));
}

#[test]
fn a_peer_that_resets_is_reported_once() {
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || on_shard(None, move |io| echo(io, tell.clone(), 1)));
    let mut socket = TcpStream::connect(told.recv().unwrap()).unwrap();
    socket.write_all(b"some").unwrap();
    // Its echo shows that it was accepted: one that resets before is nobody's connection.
    socket.read_exact(&mut [0; 4]).unwrap();
    let socket = socket2::Socket::from(socket);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    assert_eq!(server.join().unwrap(), [CloseReason::Reset]);
}

#[test]
fn every_byte_that_the_kernel_took_is_told_before_the_end() {
    const BYTES: usize = 3 << 20;
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        on_shard(None, move |mut io| {
            let tell = tell.clone();
            async move {
                tell.send(io.listen(ANYWHERE, TAG, Guard::Plain).unwrap()).unwrap();
                let mut counted = 0;
                run(&mut io, |io, told| {
                    match told {
                        Told::Accepted(conn) => {
                            io.send_buffer(conn).unwrap().resize(BYTES, 7);
                            io.close(conn, How::AfterSending);
                        }
                        Told::Sent(_, total) => counted = total,
                        Told::Closed(..) => return false,
                        other => panic!("{other:?}"),
                    }
                    true
                })
                .await;
                counted
            }
        })
    });
    let mut got = Vec::new();
    TcpStream::connect(told.recv().unwrap()).unwrap().read_to_end(&mut got).unwrap();
    assert_eq!((got.len(), server.join().unwrap()), (BYTES, BYTES as u64));
}

#[test]
fn a_paused_connection_pushes_back_and_a_resumed_one_has_lost_nothing() {
    let (tell, told) = mpsc::channel();
    let (resume, resumed) = mpsc::channel::<()>();
    let resumed = std::sync::Arc::new(std::sync::Mutex::new(resumed));
    let server = thread::spawn(move || {
        on_shard(None, move |mut io| {
            let (tell, resumed) = (tell.clone(), std::sync::Arc::clone(&resumed));
            async move {
                tell.send(io.listen(ANYWHERE, TAG, Guard::Plain).unwrap()).unwrap();
                let (mut conn, mut got, mut paused) = (None, Vec::new(), false);
                loop {
                    io.turn().unwrap();
                    while let Some(event) = io.poll() {
                        match told_all(event) {
                            Told::Accepted(accepted) => conn = Some(accepted),
                            Told::Received(_, bytes) => got.extend_from_slice(&bytes),
                            Told::Finished(_) => return got,
                            other => panic!("{other:?}"),
                        }
                    }
                    if !got.is_empty() && !paused {
                        paused = true;
                        io.pause_reading(conn.unwrap());
                    }
                    if paused && resumed.lock().unwrap().try_recv().is_ok() {
                        assert!(got.len() < 20_000_000, "the rest waits at the sender");
                        io.resume_reading(conn.unwrap());
                    }
                    io.park(Some(Duration::from_millis(1)), || false).await.unwrap();
                }
            }
        })
    });
    let mut socket = TcpStream::connect(told.recv().unwrap()).unwrap();
    let bytes = pattern(5, 40_000_000);
    // Writes until the kernel's buffers are full, which a paused reader does not empty.
    socket.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let mut stuck = 0;
    while stuck < 20 {
        match socket.write(&bytes[sent..]) {
            Ok(count) => (sent, stuck) = (sent + count, 0),
            Err(_) => {
                stuck += 1;
                thread::yield_now();
                thread::park_timeout(Duration::from_millis(5));
            }
        }
        assert!(sent < bytes.len(), "a paused reader pushes back");
    }
    resume.send(()).unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.write_all(&bytes[sent..]).unwrap();
    drop(socket);
    assert!(server.join().unwrap() == bytes);
}

fn told_all(event: Event<'_>) -> Told {
    told(event).expect("only sockets are used here")
}

#[test]
fn a_peer_that_does_not_read_is_closed_as_too_slow() {
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        on_shard(None, move |mut io| {
            let tell = tell.clone();
            async move {
                tell.send(io.listen(ANYWHERE, TAG, Guard::Plain).unwrap()).unwrap();
                let mut closed = None;
                run(&mut io, |io, told| {
                    match told {
                        Told::Accepted(conn) | Told::Sent(conn, _) => {
                            if let Some(buffer) = io.send_buffer(conn) {
                                buffer.resize(buffer.len() + SEND_QUEUE_BYTES_HARD / 2, 1);
                            }
                        }
                        Told::Closed(_, reason) => closed = Some(reason),
                        other => panic!("{other:?}"),
                    }
                    closed.is_none()
                })
                .await;
                closed
            }
        })
    });
    let socket = TcpStream::connect(told.recv().unwrap()).unwrap();
    assert_eq!(server.join().unwrap(), Some(CloseReason::TooSlow));
    drop(socket);
}

#[test]
fn a_peer_that_never_reads_does_not_keep_a_closing_connection() {
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        on_shard(None, move |mut io| {
            let tell = tell.clone();
            async move {
                tell.send(io.listen(ANYWHERE, TAG, Guard::Plain).unwrap()).unwrap();
                let (mut closed, since) = (None, Instant::now());
                run(&mut io, |io, told| {
                    match told {
                        Told::Accepted(conn) => {
                            io.send_buffer(conn).unwrap().resize(12 << 20, 1);
                            io.close(conn, How::AfterSending);
                            assert!(
                                io.send_buffer(conn).is_none(),
                                "a closing connection takes nothing more"
                            );
                        }
                        Told::Closed(_, reason) => closed = Some(reason),
                        other => assert!(matches!(other, Told::Sent(..))),
                    }
                    closed.is_none()
                })
                .await;
                assert!(since.elapsed() >= LINGER, "it was given its time");
                closed
            }
        })
    });
    let socket = TcpStream::connect(told.recv().unwrap()).unwrap();
    assert_eq!(server.join().unwrap(), Some(CloseReason::Local));
    drop(socket);
}

#[test]
fn a_listener_that_stopped_turns_callers_away_and_keeps_its_connections() {
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        on_shard(None, move |mut io| {
            let tell = tell.clone();
            async move {
                tell.send(io.listen(ANYWHERE, TAG, Guard::Plain).unwrap()).unwrap();
                let mut closed = 0;
                run(&mut io, |io, told| {
                    match told {
                        Told::Accepted(_) => io.stop_listening(),
                        Told::Received(conn, bytes) => {
                            io.send_buffer(conn).unwrap().extend_from_slice(&bytes)
                        }
                        Told::Finished(conn) => io.close(conn, How::AfterSending),
                        Told::Closed(..) => closed += 1,
                        other => assert!(matches!(other, Told::Sent(..))),
                    }
                    closed == 0
                })
                .await;
            }
        })
    });
    let address = told.recv().unwrap();
    let mut first = TcpStream::connect(address).unwrap();
    // Its echo shows that the listener was told to stop, and one turn later it has.
    for _ in 0..2 {
        first.write_all(b"here").unwrap();
        first.read_exact(&mut [0; 4]).unwrap();
    }
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    drop(first);
    server.join().unwrap();
}

#[test]
fn connections_beyond_the_bound_are_turned_away_and_places_are_used_again() {
    // Real ones would need as many descriptors: the bound itself is what is tested.
    let refused = on_shard(None, |mut io| async move {
        let gone = TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap();
        let mut failed = 0;
        for round in 0..3 {
            for tag in 0..100 {
                io.connect(gone, round * 100 + tag, None).unwrap();
            }
            run(&mut io, |_, told| {
                assert!(matches!(told, Told::Failed(..)));
                failed += 1;
                failed % 100 != 0
            })
            .await;
        }
        assert_eq!(io.connections(), 0);
        failed
    });
    assert_eq!(refused, 300);
    const { assert!(CONNECTIONS_MAX >= 300) };
}
