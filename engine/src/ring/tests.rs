//! The ring against real sockets and files: what is lent comes back, and nothing is answered twice.

use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use super::{Blocks, Completion, Held, Ring, Tag, What};

fn tag(what: What) -> Tag {
    Tag { what, id: 7 }
}

fn wait(ring: &mut Ring) -> Completion {
    loop {
        ring.turn().unwrap();
        match ring.next() {
            Some(completion) if completion.tag.what == What::Nobody => {}
            Some(completion) => return completion,
            None => std::thread::yield_now(),
        }
    }
}

#[test]
fn a_buffer_that_was_given_back_is_received_into_again() {
    let mut ring = Ring::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    ring.receive(socket.as_raw_fd(), tag(What::Receive));
    let rounds = 3 * u32::from(super::limits::BUFFERS);
    for round in 0..rounds {
        peer.write_all(&round.to_le_bytes()).unwrap();
        let completion = wait(&mut ring);
        let chunk = completion.chunk.unwrap();
        assert_eq!(ring.bytes(&chunk), round.to_le_bytes());
        ring.give_back(chunk);
        if !completion.more {
            ring.receive(socket.as_raw_fd(), tag(What::Receive));
        }
    }
}

#[test]
fn a_kernel_that_runs_out_of_buffers_gets_more() {
    let mut ring = Ring::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    ring.receive(socket.as_raw_fd(), tag(What::Receive));
    let (mut kept, mut ends) = (Vec::new(), 0);
    while kept.len() < usize::from(super::limits::BUFFERS) {
        peer.write_all(b"x").unwrap();
        let completion = wait(&mut ring);
        match completion.chunk {
            Some(chunk) => kept.push(chunk),
            None => {
                assert_eq!(completion.result.unwrap_err().raw_os_error(), Some(libc::ENOBUFS));
                ends += 1;
            }
        }
        if !completion.more {
            ring.receive(socket.as_raw_fd(), tag(What::Receive));
        }
    }
    assert!((1..=8).contains(&ends), "more are offered each time, and then no more than there are: {ends}");
    kept.into_iter().for_each(|chunk| ring.give_back(chunk));
}

#[test]
fn a_send_gives_its_memory_back() {
    let mut ring = Ring::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    ring.send(socket.as_raw_fd(), b"..hello".to_vec(), 2..7, tag(What::Send));
    let completion = wait(&mut ring);
    assert_eq!(completion.result.unwrap(), 5);
    assert!(matches!(completion.held, Held::Bytes(bytes) if bytes == b"..hello"));
    let mut got = [0; 5];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
}

#[test]
fn a_write_that_fails_takes_its_sync_with_it() {
    let mut ring = Ring::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, b"old").unwrap();
    let read_only = std::fs::File::open(&path).unwrap();
    let mut blocks = Blocks::default();
    blocks.fill(b"new");
    ring.write_and_sync(read_only.as_raw_fd(), blocks, 0);
    let (write, sync) = (wait(&mut ring), wait(&mut ring));
    assert_eq!(write.tag.what, What::LogWrite);
    assert_eq!(write.result.unwrap_err().raw_os_error(), Some(libc::EBADF));
    assert_eq!(sync.result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
}

#[test]
fn a_write_fills_its_last_block_with_zeros() {
    let mut ring = Ring::new().unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut blocks = Blocks::default();
    blocks.fill(&[7; 5000]);
    blocks.fill(b"new");
    ring.write_and_sync(file.as_raw_fd(), blocks, 4096);
    let (write, sync) = (wait(&mut ring), wait(&mut ring));
    assert_eq!((write.result.unwrap(), sync.result.unwrap()), (4096, 0));
    let mut got = vec![1; 4096];
    file.read_exact_at(&mut got, 4096).unwrap();
    assert_eq!(&got[..4], b"new\0");
    assert!(got[3..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_ring_that_is_dropped_lets_the_kernel_finish_first() {
    let mut ring = Ring::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    ring.receive(socket.as_raw_fd(), tag(What::Receive));
    ring.accept(listener.as_raw_fd(), tag(What::Accept));
    ring.timer(Duration::from_secs(3600), tag(What::Linger));
    ring.turn().unwrap();
    drop(ring);
    drop(socket);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the ring holds the socket no more");
}
