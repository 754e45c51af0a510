//! A carrier in the test's own process: it takes every message, remembers what it saw, and reports each as delivered.
//!
//! It outlives the daemon, as a carrier does: a receipt that was not acknowledged goes out again on the next bind. Responses
//! lag a read behind their requests, so that a kill always finds attempts without an outcome, and some receipts overtake
//! their response.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::pdu::{self, Pdu, Submitted};

/// How long a read waits before the lagging responses go out anyway.
const LAG: Duration = Duration::from_millis(5);
/// Receipts that may be unacknowledged on a connection.
const RECEIPTS_MAX: usize = 50;
/// One in so many receipts is sent before the response to its message.
const EARLY_EVERY: u64 = 8;

/// The carrier; its threads end with the test's process.
#[derive(Debug)]
pub(crate) struct Carrier {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    /// How often each text was submitted, at each door.
    seen: Vec<BTreeMap<String, u32>>,
    /// Receipts that no connection has taken.
    due: VecDeque<Vec<u8>>,
    /// Texts of handsets that the daemon has not answered for.
    owed: usize,
    /// The last id that was given to a message.
    last_id: u64,
}

impl Carrier {
    /// Listens on a free port of loopback.
    pub(crate) fn start() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
    }

    /// Takes those who come, and those who have come already.
    pub(crate) fn at(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("a listener has an address");
        let carrier = Self { address, books: Arc::default() };
        carrier.open(listener);
        carrier
    }

    /// Opens another door of the same carrier, and says where it is. Doors are numbered from 0 in the order in which they were opened.
    pub(crate) fn open(&self, listener: TcpListener) -> SocketAddr {
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::clone(&self.books);
        let mut books = lock(&shared);
        let door = books.seen.len();
        books.seen.push(BTreeMap::new());
        drop(books);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let books = Arc::clone(&shared);
                thread::spawn(move || Bind::new(stream, books, door).serve());
            }
        });
        address
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handset writes: the body of a `deliver_sm`, which goes out until the daemon has answered for it.
    pub(crate) fn say(&self, body: Vec<u8>) {
        let mut books = lock(&self.books);
        books.due.push_back(body);
        books.owed += 1;
    }

    /// Whether the daemon has answered for all that handsets wrote.
    pub(crate) fn is_rid_of_all(&self) -> bool {
        lock(&self.books).owed == 0
    }

    /// How often each text was submitted to this carrier.
    pub(crate) fn seen(&self) -> BTreeMap<String, u32> {
        let mut all = BTreeMap::new();
        for (text, times) in lock(&self.books).seen.iter().flatten() {
            *all.entry(text.clone()).or_default() += times;
        }
        all
    }

    /// How many different texts were submitted to this carrier, when it has one door.
    pub(crate) fn texts(&self) -> usize {
        lock(&self.books).seen.iter().map(BTreeMap::len).sum()
    }

    /// How often each text was submitted at one door.
    pub(crate) fn seen_at(&self, door: usize) -> BTreeMap<String, u32> {
        lock(&self.books).seen[door].clone()
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().expect("no thread of the carrier panics while it holds its books")
}

/// One connection.
struct Bind {
    stream: TcpStream,
    books: Arc<Mutex<Books>>,
    door: usize,
    input: Vec<u8>,
    /// Goes out at the next read.
    lagging: Vec<u8>,
    /// Receipts for the messages whose responses lag.
    lagging_receipts: Vec<Vec<u8>>,
    /// Receipts that were sent and not acknowledged, by sequence number.
    unacknowledged: HashMap<u32, Vec<u8>>,
    sequence: u32,
    receives: bool,
}

impl Bind {
    fn new(stream: TcpStream, books: Arc<Mutex<Books>>, door: usize) -> Self {
        Self {
            stream,
            books,
            door,
            input: Vec::new(),
            lagging: Vec::new(),
            lagging_receipts: Vec::new(),
            unacknowledged: HashMap::new(),
            sequence: 0,
            receives: false,
        }
    }

    /// Until the connection ends; then what was not acknowledged is due again.
    fn serve(mut self) {
        let ended = self.exchange();
        let mut books = lock(&self.books);
        books.due.extend(self.unacknowledged.into_values());
        books.due.extend(self.lagging_receipts);
        drop(books);
        if let Err(error) = ended {
            println!("carrier: a bind ended: {error}");
        }
    }

    fn exchange(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(LAG))?;
        let mut bytes = [0; 64 << 10];
        loop {
            let count = match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    0
                }
                Err(error) => return Err(error),
            };
            self.send_what_lagged()?;
            self.input.extend_from_slice(&bytes[..count]);
            let mut now = Vec::new();
            while let Some(pdu) = Pdu::take(&mut self.input) {
                self.handle(&pdu, &mut now);
            }
            self.stream.write_all(&now)?;
        }
    }

    fn send_what_lagged(&mut self) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.lagging);
        let mut books = lock(&self.books);
        books.due.extend(self.lagging_receipts.drain(..));
        while self.receives && self.unacknowledged.len() < RECEIPTS_MAX {
            let Some(body) = books.due.pop_front() else { break };
            self.sequence += 1;
            let receipt = Pdu { command: pdu::DELIVER_SM, status: 0, sequence: self.sequence, body };
            receipt.write(&mut out);
            self.unacknowledged.insert(self.sequence, receipt.body);
        }
        drop(books);
        self.stream.write_all(&out)
    }

    /// Answers a PDU, at once or at the next read.
    fn handle(&mut self, pdu: &Pdu, now: &mut Vec<u8>) {
        match pdu.command {
            pdu::BIND_RECEIVER | pdu::BIND_TRANSMITTER | pdu::BIND_TRANSCEIVER => {
                self.receives |= pdu.command != pdu::BIND_TRANSMITTER;
                pdu.response(0, b"judge\0".to_vec()).write(now);
            }
            pdu::SUBMIT_SM => self.take_message(pdu),
            pdu::ENQUIRE_LINK | pdu::UNBIND => pdu.response(0, Vec::new()).write(now),
            response if response == pdu::DELIVER_SM | pdu::RESPONSE => {
                let body = self.unacknowledged.remove(&pdu.sequence);
                // A temporary refusal asks for the receipt again (§5.1.3).
                let mut books = lock(&self.books);
                match body {
                    Some(body) if pdu.status != 0 => books.due.push_back(body),
                    Some(body) if !pdu::is_receipt(&body) => books.owed -= 1,
                    _ => {}
                }
            }
            response if response & pdu::RESPONSE != 0 => {}
            other => panic!("the daemon sent the carrier a command {other:#x}"),
        }
    }

    fn take_message(&mut self, pdu: &Pdu) {
        let submitted = Submitted::read(&pdu.body).expect("the daemon's submit_sm is whole");
        assert_eq!(submitted.registered_delivery & 3, 1, "the daemon asks for a final receipt");
        let text =
            String::from_utf8(submitted.short_message.clone()).expect("the texts of the test are ASCII");
        let mut books = lock(&self.books);
        books.last_id += 1;
        let id = books.last_id;
        *books.seen[self.door].entry(text).or_insert(0) += 1;
        drop(books);
        let carrier_id = format!("j{id:08}");
        let receipt = pdu::delivered_receipt(&submitted, &carrier_id);
        if id.is_multiple_of(EARLY_EVERY) {
            lock(&self.books).due.push_back(receipt);
        } else {
            self.lagging_receipts.push(receipt);
        }
        pdu.response(0, [carrier_id.as_bytes(), b"\0"].concat()).write(&mut self.lagging);
    }
}
