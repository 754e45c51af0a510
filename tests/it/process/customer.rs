//! A customer over the native protocol that never gives up: after each break it comes back and repeats, with the same key,
//! whatever was not answered.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use wire::id::{Class, MessageId};
use wire::native::{
    Answers, Fates, Frame, Hello, Kind, Position, Positions, Reject, SubmitItem, SubmitWriter, TraceAnswer,
    Welcome,
};

use crate::daemon::Credentials;
use crate::ledger::{Ledger, nonce};
use crate::verdict::Trace;

/// Submissions that are unanswered at a time: enough to keep every sync busy.
const WINDOW: usize = 256;
/// Recipients; each gets several messages, so that receipts must be matched by more than the number.
const RECIPIENTS: u64 = 5000;
/// Fates that may be told ahead of an acknowledgement.
const FATE_CREDITS: u32 = 1000;
/// Queries in flight on one connection: fewer than a daemon takes.
const QUERIES: usize = 250;
/// Connections for queries.
const QUERIERS: usize = 8;
/// How long a customer asks again when it is told nothing else; then the message is not known.
const PUT_OFF: Duration = Duration::from_secs(5);
/// The state of an answer that says to ask again.
const ASK_AGAIN: u8 = 5;
/// How long a read waits before the customer looks whether it wants to submit more.
const TICK: Duration = Duration::from_millis(5);
/// A daemon that says nothing for so long is broken.
const SILENCE: Duration = Duration::from_secs(30);

/// Starts a customer whose thread lives as long as the test's process.
pub(crate) fn start(credentials: Credentials, ledger: Arc<Ledger>) {
    thread::spawn(move || {
        let _witness = Witness(&ledger);
        let mut unanswered = BTreeMap::new();
        loop {
            let address = ledger.wait_for_daemon();
            let ended = converse(address, &credentials, &ledger, &mut unanswered);
            println!("customer: {} unanswered when {address} went: {ended:?}", unanswered.len());
        }
    });
}

/// Tells the test when the customer's thread panics, which would otherwise be a wait for nothing.
struct Witness<'a>(&'a Ledger);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        self.0.write(|pages| pages.customer_gone = true);
    }
}

/// Which class an intent has: each in turn.
pub(crate) fn class_of(intent: u64) -> Class {
    Class::ALL[usize::try_from(intent % 4).expect("below four")]
}

fn converse(
    address: SocketAddr,
    credentials: &Credentials,
    ledger: &Ledger,
    unanswered: &mut BTreeMap<u64, ()>,
) -> io::Result<()> {
    let mut session = Session::open(address, credentials, TICK)?;
    let mut out = Vec::new();
    Positions::write_subscribe(FATE_CREDITS, &[], &mut out);
    session.stream.write_all(&out)?;
    // What was not answered before the break is repeated first, under the same numbers and keys.
    let mut to_send: VecDeque<u64> = unanswered.keys().copied().collect();
    // What the daemon put off is tried again when it has been quiet for a moment, not in the same breath.
    let mut later = Vec::new();
    // Until the test names another.
    while ledger.pages().daemon == Some(address) {
        let room = WINDOW.min(session.credits) - (unanswered.len() - to_send.len() - later.len());
        ledger.write(|pages| {
            // What is put off keeps its place: a customer who is told to wait does not come with others instead.
            while unanswered.len() < WINDOW && to_send.len() < room && pages.begun < pages.intents_end {
                unanswered.insert(pages.begun, ());
                to_send.push_back(pages.begun);
                pages.begun += 1;
            }
        });
        let batch: Vec<u64> = to_send.drain(..room.min(to_send.len())).collect();
        session.submit(&batch)?;
        let (mut acks, mut said) = (Vec::new(), Vec::new());
        let said_something = session.read(|frame| match frame.kind {
            Kind::Answer => take_answers(frame, ledger, unanswered, &mut later),
            Kind::Fate => take_fates(frame, ledger, &mut acks),
            Kind::Ping => Frame::write(Kind::Pong, frame.number, &[], &mut said),
            Kind::Goodbye => {}
            other => panic!("the daemon sent a customer a {other:?}"),
        })?;
        if !said_something {
            to_send.extend(later.drain(..));
        }
        if !acks.is_empty() {
            Positions::write_ack(&acks, &mut said);
        }
        session.stream.write_all(&said)?;
    }
    Ok(())
}

fn take_answers(frame: Frame<'_>, ledger: &Ledger, unanswered: &mut BTreeMap<u64, ()>, later: &mut Vec<u64>) {
    let answers = Answers::read(frame).expect("the daemon's answers can be read");
    ledger.write(|pages| {
        for answer in answers {
            let intent = answer.number.get();
            match (answer.status, answer.retry) {
                (0 | 1, _) => {
                    unanswered.remove(&intent);
                    pages.acknowledged.entry(intent).or_default().insert(MessageId(answer.id.get()));
                }
                (_, 0) => {
                    unanswered.remove(&intent);
                    pages.refused.insert(intent, answer.status);
                }
                _ => {
                    pages.put_off += 1;
                    later.push(intent);
                }
            }
        }
    });
}

fn take_fates(frame: Frame<'_>, ledger: &Ledger, acks: &mut Vec<Position>) {
    let fates = Fates::read(frame).expect("the daemon's fates can be read");
    ledger.write(|pages| {
        for fate in fates {
            pages.fates.entry(MessageId(fate.id.get())).or_default().insert(fate.fate);
        }
    });
    for fate in fates {
        acks.retain(|ack| ack.partition != fate.partition);
        acks.push(Position { partition: fate.partition, sequence: fate.sequence });
    }
}

/// Asks what became of each message, over several connections when there are many; one that breaks is opened again.
pub(crate) fn query(
    address: SocketAddr,
    credentials: &Credentials,
    ids: &[MessageId],
) -> BTreeMap<MessageId, Trace> {
    let share = ids.len().div_ceil(QUERIERS).max(QUERIES);
    let ask = |ids| query_until_all_is_known(address, credentials, ids);
    thread::scope(|scope| {
        let asked: Vec<_> = ids.chunks(share).map(|ids| scope.spawn(move || ask(ids))).collect();
        asked.into_iter().flat_map(|asked| asked.join().expect("the daemon answers queries")).collect()
    })
}

fn query_until_all_is_known(
    address: SocketAddr,
    credentials: &Credentials,
    ids: &[MessageId],
) -> BTreeMap<MessageId, Trace> {
    let mut asking = Asking { traces: BTreeMap::new(), heard: Instant::now() };
    while ids.iter().any(|id| !asking.traces.contains_key(id)) {
        let ended = asking.on_one_connection(address, credentials, ids);
        assert!(asking.heard.elapsed() < SILENCE, "the daemon does not answer queries: {ended:?}");
    }
    asking.traces
}

/// What is known, and when something of it was last told.
struct Asking {
    traces: BTreeMap<MessageId, Trace>,
    heard: Instant,
}

impl Asking {
    fn on_one_connection(
        &mut self,
        address: SocketAddr,
        credentials: &Credentials,
        ids: &[MessageId],
    ) -> io::Result<()> {
        let mut session = Session::open(address, credentials, SILENCE)?;
        let open: Vec<MessageId> = ids.iter().filter(|id| !self.traces.contains_key(id)).copied().collect();
        for part in open.chunks(QUERIES) {
            let mut out = Vec::new();
            for (number, id) in (0..).zip(part) {
                TraceAnswer::write_query(number, *id, &mut out);
            }
            session.stream.write_all(&out)?;
            let mut left = part.len();
            while left > 0 {
                let said_something = session.read(|frame| {
                    let asked = part[usize::try_from(frame.number).expect("a number of ours")];
                    self.take(asked, frame);
                    left -= 1;
                })?;
                assert!(said_something, "the daemon said nothing for {SILENCE:?}");
            }
        }
        Ok(())
    }

    fn take(&mut self, asked: MessageId, frame: Frame<'_>) {
        let answer = TraceAnswer::read(frame).expect("the daemon's answer to a query can be read");
        let steps = answer.steps.iter().map(|step| step.kind).collect();
        if answer.state != ASK_AGAIN {
            self.heard = Instant::now();
            self.traces.insert(asked, Trace { state: answer.state, steps });
        } else if self.heard.elapsed() >= PUT_OFF {
            self.traces.insert(asked, Trace { state: 0, steps });
        }
    }
}

/// A session that a test keeps open.
pub(crate) struct Lasting(Session);

impl Lasting {
    /// Says hello; `None` when the daemon does not let it in.
    pub(crate) fn open(address: SocketAddr, credentials: &Credentials) -> Option<Self> {
        Session::greet(address, credentials, SILENCE).expect("the daemon listens").map(Self)
    }

    /// The port of each shard, as it was told.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.0.ports
    }

    /// Whether the daemon still answers on it.
    pub(crate) fn is_answered(&mut self) -> bool {
        let mut out = Vec::new();
        Frame::write(Kind::Ping, 7, &[], &mut out);
        let mut pong = false;
        let heard = self
            .0
            .stream
            .write_all(&out)
            .and_then(|()| self.0.read(|frame| pong |= frame.kind == Kind::Pong && frame.number == 7));
        heard.is_ok() && pong
    }
}

/// One connection after its hand-shake.
struct Session {
    stream: TcpStream,
    credits: usize,
    /// The port of each shard.
    ports: Vec<u16>,
    input: Vec<u8>,
}

impl Session {
    fn open(address: SocketAddr, credentials: &Credentials, tick: Duration) -> io::Result<Self> {
        let session = Self::greet(address, credentials, tick)?;
        Ok(session.expect("the daemon lets us in"))
    }

    /// Says hello; `None` when the daemon rejects us.
    fn greet(address: SocketAddr, credentials: &Credentials, tick: Duration) -> io::Result<Option<Self>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut hello = Vec::new();
        Hello { version_min: 1, version_max: 1, account: &credentials.account, key: &credentials.key }
            .write(&mut hello);
        stream.write_all(&hello)?;
        let mut session = Self { stream, credits: 0, ports: Vec::new(), input: Vec::new() };
        let mut rejected = false;
        while session.credits == 0 && !rejected {
            let (mut credits, mut ports) = (0, Vec::new());
            session.read(|frame| match frame.kind {
                Kind::Welcome => {
                    let welcome = Welcome::read(frame).expect("the daemon's welcome can be read");
                    credits = usize::try_from(welcome.credits).expect("a u32");
                    ports = welcome.ports;
                }
                Kind::Reject => {
                    println!("customer: rejected: {:?}", Reject::read(frame));
                    rejected = true;
                }
                other => panic!("the daemon greets with a {other:?}"),
            })?;
            (session.credits, session.ports) = (credits, ports);
        }
        session.stream.set_read_timeout(Some(tick))?;
        Ok((!rejected).then_some(session))
    }

    /// Sends intents; consecutive numbers share a frame.
    fn submit(&mut self, intents: &[u64]) -> io::Result<()> {
        let mut out = Vec::new();
        for run in intents.chunk_by(|a, b| a + 1 == *b) {
            let mut writer = SubmitWriter::begin(run[0], &mut out);
            for intent in run {
                let (text, to) = (nonce(*intent), format!("+491511{:06}", intent % RECIPIENTS));
                let key = format!("key-{intent}");
                let class = Some(class_of(*intent));
                let item = SubmitItem {
                    class,
                    validity_s: 0,
                    to: &to,
                    from: "Judge",
                    key: key.as_bytes(),
                    text: &text,
                };
                assert!(writer.push(&item, &mut out), "a window fits into a frame");
            }
            writer.close(&mut out);
        }
        self.stream.write_all(&out)
    }

    /// Reads once and hands over every whole frame; `false` if nothing came in time.
    fn read(&mut self, mut take: impl FnMut(Frame<'_>)) -> io::Result<bool> {
        let mut bytes = [0; 64 << 10];
        let count = match self.stream.read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.input.extend_from_slice(&bytes[..count]);
        let mut taken = 0;
        while let Some((frame, frame_bytes)) =
            Frame::split(&self.input[taken..]).expect("the daemon sends frames")
        {
            take(frame);
            taken += frame_bytes;
        }
        self.input.drain(..taken);
        Ok(true)
    }
}
