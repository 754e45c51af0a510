//! One TCP connection of the event loop: bytes in, bytes out, nothing of what they mean.
//!
//! The epoll is edge-triggered: after a read that did not fill the buffer the kernel will say when there is more, so a
//! readable event costs one read in the ordinary case.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::limits::{INPUT_BYTES, REQUEST_PATIENCE};

/// A connection with its buffers.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    input: Box<[u8]>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    sent: usize,
    /// The kernel took no more; it will say when it does.
    blocked: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// All that there was.
    All,
    /// The buffer is full: read again after taking what is in it.
    More,
    /// All that there was, and the end of the stream.
    Closed,
}

impl Socket {
    /// Connects, and registers for reading and writing.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) fn connect(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&address, REQUEST_PATIENCE)?;
        stream.set_nonblocking(true)?;
        Self::register(TcpStream::from_std(stream), registry, token)
    }

    /// Takes a connection that was accepted.
    ///
    /// # Errors
    /// When it cannot be registered.
    pub(crate) fn register(mut stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let input = vec![0; INPUT_BYTES].into_boxed_slice();
        Ok(Self { stream, input, start: 0, end: 0, output: Vec::new(), sent: 0, blocked: false })
    }

    /// Reads once, behind what is already there.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn fill(&mut self) -> io::Result<Filled> {
        self.make_room();
        match (&self.stream).read(&mut self.input[self.end..]) {
            Ok(0) => Ok(Filled::Closed),
            Ok(bytes) => {
                self.end += bytes;
                Ok(if self.end == self.input.len() { Filled::More } else { Filled::All })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::All),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Filled::More),
            Err(error) => Err(error),
        }
    }

    /// What was read and not yet used.
    pub(crate) fn received(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Takes bytes off the front of [`Socket::received`].
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        assert!(self.start <= self.end, "more was used than had been read");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where to append what is to be sent.
    pub(crate) const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Bytes that wait to be sent.
    pub(crate) const fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Sends what the kernel takes; the rest goes when the connection is writable again.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.blocked {
            return Ok(());
        }
        while self.sent < self.output.len() {
            match (&self.stream).write(&self.output[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }

    /// Sends bytes that are kept elsewhere; how many the kernel took, 0 when it takes no more.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.blocked {
            return Ok(0);
        }
        match (&self.stream).write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            result => result,
        }
    }

    /// The kernel takes bytes again.
    pub(crate) const fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Moves what is left to the front, and grows for a frame that is longer than the buffer.
    fn make_room(&mut self) {
        if self.end < self.input.len() {
            return;
        }
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            let mut longer = vec![0; 2 * self.input.len()];
            longer[..self.end].copy_from_slice(&self.input);
            self.input = longer.into_boxed_slice();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_longer_than_the_buffer_arrives_whole() {
        let poll = mio::Poll::new().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = Socket::connect(listener.local_addr().unwrap(), poll.registry(), Token(1)).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let sent: Vec<u8> = (0..3 * INPUT_BYTES).map(|place| u8::try_from(place % 251).unwrap()).collect();
        let writer = std::thread::spawn({
            let sent = sent.clone();
            move || peer.write_all(&sent)
        });
        while socket.fill().unwrap() != Filled::Closed {}
        writer.join().unwrap().unwrap();
        assert_eq!(socket.received(), sent);
        socket.consume(sent.len());
        assert!(socket.received().is_empty());
    }
}
