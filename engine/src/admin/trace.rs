//! What passes over the sessions of one carrier or one account, live, for one operator.
//!
//! ```text
//!   shards ──PDUs──▶ feed (bounded; what has no room is counted) ──▶ a thread of the trace ──lines──▶ switchyard ctl trace
//! ```
//!
//! Shards copy PDUs while somebody looks on and do nothing for it otherwise; they are made into lines here, on a thread that no
//! shard waits for. It ends when its reader goes, or reads nothing for [`TRACE_STALL_MAX`].

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use wire::smpp::header::split_pdu;
use wire::smpp::session::Tapped;

use super::limits::{TRACE_LOOK_EVERY, TRACE_PIECES_MAX, TRACE_STALL_MAX};
use super::pdu::{self, Reveal};
use super::words::{Answer, Response, Traced, VERSION};

/// Whose sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A carrier's links, by its place in the plan.
    Carrier(u16),
    /// An account's binds, by its name.
    Account(String),
}

/// What passed over one session, at one moment.
#[derive(Debug)]
pub(crate) struct Piece {
    /// When it was seen, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Whose session: `link 3`, `connection 17`.
    pub(crate) session: String,
    /// The shard.
    pub(crate) shard: u16,
    /// The PDUs.
    pub(crate) tapped: Tapped,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    dropped: AtomicU64,
}

/// A shard's end of a trace.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    subject: Subject,
    pieces: Sender<Piece>,
    shared: Arc<Shared>,
}

/// The operator's end.
#[derive(Debug)]
pub(crate) struct Reader {
    pieces: Receiver<Piece>,
    shared: Arc<Shared>,
}

/// A trace that nobody feeds yet.
pub(crate) fn trace(subject: Subject) -> (Feed, Reader) {
    let (to, from) = bounded(TRACE_PIECES_MAX);
    let shared = Arc::<Shared>::default();
    (Feed { subject, pieces: to, shared: Arc::clone(&shared) }, Reader { pieces: from, shared })
}

impl Feed {
    /// Whose sessions are looked at.
    pub(crate) const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether the reader has gone.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Relaxed)
    }

    /// Hands PDUs over, if there is room. Never waits.
    pub(crate) fn tell(&self, piece: Piece) {
        if let Err(TrySendError::Full(piece)) = self.pieces.try_send(piece) {
            let Tapped { inbound, outbound, dropped } = &piece.tapped;
            let lost = *dropped + pdus(inbound).count() as u64 + pdus(outbound).count() as u64;
            self.shared.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

/// PDUs that lie one after the other.
fn pdus(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (_, body) = split_pdu(bytes, usize::MAX).ok()??;
        let (pdu, rest) = bytes.split_at(wire::smpp::limits::HEADER_BYTES + body.len());
        bytes = rest;
        Some(pdu)
    })
}

impl Reader {
    /// Writes a line for each PDU until the operator goes or the shards do.
    ///
    /// # Errors
    /// When the operator cannot be written to any more.
    pub(crate) fn serve(self, mut stream: &UnixStream, reveal: Reveal) -> io::Result<()> {
        stream.set_read_timeout(Some(TRACE_LOOK_EVERY))?;
        stream.set_write_timeout(Some(TRACE_STALL_MAX))?;
        loop {
            let mut lines = Vec::new();
            let ended = loop {
                match self.pieces.try_recv() {
                    Ok(piece) => put_lines(&piece, reveal, &mut lines)?,
                    Err(TryRecvError::Empty) => break false,
                    Err(TryRecvError::Disconnected) => break true,
                }
                if lines.len() > LINES_BYTES {
                    break false;
                }
            };
            let lost = self.shared.dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                put_line(Response::Dropped(lost), &mut lines)?;
            }
            stream.write_all(&lines)?;
            if ended || (lines.is_empty() && is_gone(stream)?) {
                return Ok(());
            }
        }
    }
}

/// Lines that are written at once.
const LINES_BYTES: usize = 64 << 10;

/// Waits a moment for the end of the operator, who has nothing to say.
fn is_gone(mut stream: &UnixStream) -> io::Result<bool> {
    match stream.read(&mut [0; 64]) {
        Ok(count) => Ok(count == 0),
        Err(error) if is_silence(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn put_lines(piece: &Piece, reveal: Reveal, lines: &mut Vec<u8>) -> io::Result<()> {
    let Tapped { inbound, outbound, dropped } = &piece.tapped;
    for (bytes, is_ours) in [(inbound, false), (outbound, true)] {
        for pdu in pdus(bytes) {
            let (at_ms, shard, session) = (piece.at_ms, piece.shard, piece.session.clone());
            let traced = Traced { at_ms, shard, session, is_ours, pdu: pdu::line(pdu, reveal) };
            put_line(Response::Traced(traced), lines)?;
        }
    }
    if *dropped > 0 {
        put_line(Response::Dropped(*dropped), lines)?;
    }
    Ok(())
}

fn put_line(response: Response, lines: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, &Answer { version: VERSION, response })?;
    lines.push(b'\n');
    Ok(())
}

const _: () = assert!(TRACE_LOOK_EVERY.as_millis() < Duration::from_secs(1).as_millis());

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(count: usize) -> Piece {
        let enquire = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1];
        let tapped = Tapped { inbound: enquire.repeat(count), outbound: enquire.to_vec(), dropped: 0 };
        Piece { at_ms: 1, session: "link 0".to_owned(), shard: 0, tapped }
    }

    #[test]
    fn what_has_no_room_is_counted_and_a_reader_that_goes_ends_it() {
        let (feed, reader) = trace(Subject::Carrier(0));
        for _ in 0..TRACE_PIECES_MAX + 2 {
            feed.tell(piece(3));
        }
        assert_eq!(reader.shared.dropped.load(Ordering::Relaxed), 8);
        assert!(!feed.is_over());
        drop(reader);
        assert!(feed.is_over());
        feed.tell(piece(1));
    }

    #[test]
    fn lines_come_until_the_shards_go() {
        let (feed, reader) = trace(Subject::Account("a".to_owned()));
        let (ours, theirs) = UnixStream::pair().unwrap();
        feed.tell(piece(2));
        drop(feed);
        reader.serve(&ours, Reveal::default()).unwrap();
        drop(ours);
        let mut said = String::new();
        (&theirs).read_to_string(&mut said).unwrap();
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(said.contains("\"traced\"") && said.contains("enquire_link #1"), "{said}");
    }

    #[test]
    fn it_ends_when_the_reader_goes() {
        let (feed, reader) = trace(Subject::Carrier(0));
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        reader.serve(&ours, Reveal::default()).unwrap();
        assert!(feed.is_over());
    }
}
