//! Asking the daemon what it did with a message, after the run: a native connection that waits for each answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use wire::id::MessageId;
use wire::native::{self, Frame, Hello, Kind, TraceAnswer};

use crate::customer::Credentials;
use crate::limits::REQUEST_PATIENCE;

/// A connection for queries.
#[derive(Debug)]
pub(crate) struct Inquiry {
    stream: TcpStream,
    received: Vec<u8>,
    number: u64,
}

/// What a trace says about attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// Attempts that were handed to a link.
    pub(crate) made: usize,
    /// Of these, the ones that were doubted: may have left, and nobody knows.
    pub(crate) doubted: usize,
}

/// `StepKind` of the trace, as `docs/formats.md` lists it: handed to a link.
const ATTEMPTED: u8 = 2;
/// It may have left.
const DOUBTED: u8 = 7;

impl Attempts {
    /// Whether the trace permits that carriers took the message so often: each time but one was doubted, and all were
    /// attempts that it shows.
    pub(crate) const fn permit(self, taken: usize) -> bool {
        self.doubted + 1 >= taken && self.made >= taken
    }
}

impl Inquiry {
    /// Says hello.
    ///
    /// # Errors
    /// When the daemon is not there, or does not welcome us.
    pub(crate) fn open(address: SocketAddr, credentials: &Credentials) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, REQUEST_PATIENCE)?;
        stream.set_read_timeout(Some(REQUEST_PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut inquiry = Self { stream, received: Vec::new(), number: 0 };
        let mut hello = Vec::new();
        let Credentials { account, key } = credentials;
        Hello { version_min: native::VERSION, version_max: native::VERSION, account, key }.write(&mut hello);
        inquiry.stream.write_all(&hello)?;
        inquiry.next_of(Kind::Welcome, |_| Ok(()))?;
        Ok(inquiry)
    }

    /// The attempts of a message; none when the daemon does not know it.
    ///
    /// # Errors
    /// When the connection broke, or what came is no answer.
    pub(crate) fn attempts(&mut self, id: MessageId) -> io::Result<Attempts> {
        let mut query = Vec::new();
        self.number += 1;
        TraceAnswer::write_query(self.number, id, &mut query);
        self.stream.write_all(&query)?;
        self.next_of(Kind::QueryAnswer, |frame| {
            let trace = TraceAnswer::read(frame).map_err(io::Error::other)?;
            let count = |kind| trace.steps.iter().filter(|step| step.kind == kind).count();
            Ok(Attempts { made: count(ATTEMPTED), doubted: count(DOUBTED) })
        })
    }

    /// Reads on to the next frame of a kind; others are passed over, but for a rejection.
    fn next_of<T>(&mut self, kind: Kind, take: impl Fn(Frame<'_>) -> io::Result<T>) -> io::Result<T> {
        loop {
            if let Some((frame, used)) = Frame::split(&self.received).map_err(io::Error::other)? {
                let found = if frame.kind == kind { Some(take(frame)?) } else { None };
                let rejected = frame.kind == Kind::Reject;
                self.received.drain(..used);
                match found {
                    Some(found) => return Ok(found),
                    None if rejected => return Err(io::ErrorKind::PermissionDenied.into()),
                    None => continue,
                }
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&bytes[..count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_doubt_permits_a_second_time() {
        let permits = |made, doubted, taken| Attempts { made, doubted }.permit(taken);
        assert!(permits(2, 1, 2) && permits(3, 2, 3) && permits(1, 0, 1));
        assert!(!permits(2, 0, 2), "no doubt");
        assert!(!permits(3, 1, 3), "doubted once, sent three times");
        assert!(!permits(1, 1, 2), "the trace does not show the second");
        assert!(!permits(0, 0, 2), "not known");
    }
}
