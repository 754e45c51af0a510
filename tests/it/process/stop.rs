//! A stop in order: both sides are unbound, and what a slow carrier still answers leaves no doubt behind.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bound::Customer;
use crate::daemon::{Daemon, KEY, Setup, temporary_dir};
use crate::http;
use crate::pdu::{BIND_TRANSCEIVER, ENQUIRE_LINK, Pdu, SUBMIT_SM, Submitted, UNBIND};

/// How long the carrier takes to answer a message before the stop: longer than a session's `unbind` may take.
const SLOW: Duration = Duration::from_millis(6_500);
/// The window of a bind.
const WINDOW: usize = 4;
const MESSAGES: usize = 24;

#[test]
fn a_stop_unbinds_both_sides_and_waits_for_what_a_slow_carrier_answers() {
    let (place, carrier) = (temporary_dir(), SlowCarrier::start());
    let window = format!("window = {WINDOW}");
    let setup =
        Setup::new(place.path(), carrier.address).with_line(&window, "system_id = \"judge\"").with_smpp();
    let mut daemon = setup.start();
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSCEIVER);
    let ids: Vec<String> = (0..MESSAGES).map(|n| customer.submit(&format!("message {n}"), 0)).collect();
    daemon.until("a window is full", || (carrier.books().seen.len() >= WINDOW).then_some(()));

    daemon.signal("-TERM");
    daemon.until_said("stopping");
    customer.until_unbound();
    let (status, words) = daemon.end();
    assert!(status.success() && words.contains("drained"), "{words}");
    let (owed, ends) = {
        let books = carrier.books();
        (books.owed, books.ends.clone())
    };
    assert!(!ends.is_empty() && ends.iter().all(|end| *end == End::Unbound), "{ends:?}");
    assert_eq!(owed, 0, "each attempt was answered before the unbind");

    // What was answered is sent and what was not is queued: nothing is left to be settled.
    carrier.answers_at_once();
    let mut daemon = setup.start();
    for id in &ids {
        let message = sent(&mut daemon, id);
        assert!(!message.to_string().contains("doubt"), "{message}");
    }
    let seen = carrier.books().seen.clone();
    assert!(seen.len() == MESSAGES && seen.values().all(|count| *count == 1), "{seen:?}");
    daemon.kill();
}

/// Waits until a message was taken by the carrier, and gives what a query says of it.
fn sent(daemon: &mut Daemon, id: &str) -> Value {
    let (http, path) = (daemon.http, format!("/v1/messages/{id}"));
    daemon.until(&format!("{id} is sent"), || {
        let message = http::get(http, &path, Some(KEY)).expect("the daemon takes requests").json();
        let is_sent = message["trace"].as_array().is_some_and(|trace| trace.iter().any(is_taken));
        is_sent.then_some(message)
    })
}

fn is_taken(step: &Value) -> bool {
    step["what"] == "sent"
}

/// A carrier that takes its time to answer messages, and answers everything else at once: also an `unbind`.
struct SlowCarrier {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    /// How often each text was submitted.
    seen: BTreeMap<String, u32>,
    /// Messages that are not answered.
    owed: usize,
    answered: usize,
    /// How connections ended.
    ends: Vec<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Unbound,
    Cut,
}

impl SlowCarrier {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let delay_ms = Arc::new(AtomicU64::new(u64::try_from(SLOW.as_millis()).expect("a few seconds")));
        let books = Arc::new(Mutex::new(Books::default()));
        let shared = (Arc::clone(&delay_ms), Arc::clone(&books));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (delay_ms, books) = shared.clone();
                thread::spawn(move || {
                    let end = serve(stream, &delay_ms, &books).unwrap_or(End::Cut);
                    books.lock().expect("no thread of the carrier panics").ends.push(end);
                });
            }
        });
        Self { address, delay_ms, books }
    }

    fn answers_at_once(&self) {
        self.delay_ms.store(0, Ordering::Relaxed);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no thread of the carrier panics while it holds its books")
    }
}

/// Serves a bind to its end.
fn serve(mut stream: TcpStream, delay_ms: &AtomicU64, books: &Mutex<Books>) -> io::Result<End> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(5)))?;
    let (mut input, mut bytes) = (Vec::new(), [0; 4096]);
    let mut late: VecDeque<(Instant, Pdu)> = VecDeque::new();
    let mut end = End::Cut;
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(end),
            Ok(count) => input.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        let mut out = Vec::new();
        while let Some(pdu) = Pdu::take(&mut input) {
            match pdu.command {
                BIND_TRANSCEIVER => pdu.response(0, b"slow\0".to_vec()).write(&mut out),
                SUBMIT_SM => {
                    let text = Submitted::read(&pdu.body).expect("its submit_sm is whole").short_message;
                    let text = String::from_utf8(text).expect("our texts are ASCII");
                    let mut books = books.lock().expect("no thread of the carrier panics");
                    *books.seen.entry(text).or_insert(0) += 1;
                    books.owed += 1;
                    let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
                    late.push_back((Instant::now() + delay, pdu));
                }
                UNBIND => {
                    end = End::Unbound;
                    pdu.response(0, Vec::new()).write(&mut out);
                }
                ENQUIRE_LINK => pdu.response(0, Vec::new()).write(&mut out),
                _ => {}
            }
        }
        while let Some((_, pdu)) = late.pop_front_if(|(due, _)| *due <= Instant::now()) {
            let mut books = books.lock().expect("no thread of the carrier panics");
            books.owed -= 1;
            books.answered += 1;
            let id = format!("s{:08}", books.answered);
            pdu.response(0, [id.as_bytes(), b"\0"].concat()).write(&mut out);
        }
        stream.write_all(&out)?;
    }
}
