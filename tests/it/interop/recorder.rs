//! A proxy on loopback that writes what passes into a capture file, as if it had been seen on the wire.
//!
//! Capturing from an interface needs privileges that not everyone who runs tests has; a proxy needs none. The TCP around the
//! bytes is made up here, one packet for each PDU (the analyser does not recognise one that is cut within its header), and the
//! bytes are what passed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The port under which the carrier's side appears in the capture: SMPP's.
const CARRIER_PORT: u16 = 2775;
/// The longest PDU that gets a packet of its own; a longer one is no PDU, and goes into the capture as it came.
const PDU_BYTES_MAX: usize = 60_000;
const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const PUSH: u8 = 0x08;
const FIN: u8 = 0x01;

/// A proxy in front of a carrier.
#[derive(Debug)]
pub(crate) struct Recorder {
    address: SocketAddr,
    capture: Arc<Mutex<Capture>>,
}

impl Recorder {
    /// Listens on a free port; each connection is passed on to the carrier.
    pub(crate) fn start(carrier: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let capture = Arc::new(Mutex::new(Capture::new()));
        let shared = Arc::clone(&capture);
        thread::spawn(move || {
            for customer in listener.incoming().flatten() {
                pass_on(customer, carrier, &shared).unwrap_or_else(|e| println!("recorder: {e}"));
            }
        });
        Self { address, capture }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The PDUs that have passed, in their order.
    pub(crate) fn pdus(&self) -> Vec<(Side, Vec<u8>)> {
        lock(&self.capture).pdus.clone()
    }

    /// All that has passed, as the bytes of a capture file.
    pub(crate) fn capture(&self) -> Vec<u8> {
        lock(&self.capture).bytes.clone()
    }
}

fn lock(capture: &Mutex<Capture>) -> std::sync::MutexGuard<'_, Capture> {
    capture.lock().expect("no thread panics while it records")
}

fn pass_on(customer: TcpStream, carrier: SocketAddr, capture: &Arc<Mutex<Capture>>) -> io::Result<()> {
    let carrier = TcpStream::connect(carrier)?;
    let conversation = Arc::new(Mutex::new(lock(capture).begin()));
    let ways =
        [(customer.try_clone()?, carrier.try_clone()?, Side::Daemon), (carrier, customer, Side::Carrier)];
    for (from, to, side) in ways {
        let (capture, conversation) = (Arc::clone(capture), Arc::clone(&conversation));
        thread::spawn(move || {
            copy(from, to, |bytes| {
                let mut conversation = conversation.lock().expect("no thread panics while it records");
                lock(&capture).record(&mut conversation, side, bytes);
            })
        });
    }
    Ok(())
}

/// Copies until one side ends, and then ends the other. The bytes are recorded before they are passed on.
fn copy(mut from: TcpStream, mut to: TcpStream, mut record: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes) {
        record(&bytes[..count]);
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The peer may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Daemon,
    Carrier,
}

/// One connection: the daemon's made-up port, and both sides of it.
#[derive(Debug)]
pub(crate) struct Conversation {
    port: u16,
    daemon: Stream,
    carrier: Stream,
}

/// One side: its next sequence number, and the beginning of a PDU that is not whole yet.
#[derive(Debug, Default)]
struct Stream {
    next: u32,
    begun: Vec<u8>,
}

impl Conversation {
    const fn stream(&mut self, side: Side) -> &mut Stream {
        match side {
            Side::Daemon => &mut self.daemon,
            Side::Carrier => &mut self.carrier,
        }
    }
}

/// A capture file in the classic format, its packets raw IPv4.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
    pdus: Vec<(Side, Vec<u8>)>,
    conversations: u16,
    packets: u32,
}

impl Capture {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        // Magic of microsecond captures, version 2.4, no time zone, no accuracy, whole packets, link type 101 (raw IP).
        bytes.extend_from_slice(&0xA1B2_C3D4_u32.to_le_bytes());
        bytes.extend_from_slice(&[2, 0, 4, 0]);
        for word in [0_u32, 0, 65_535, 101] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        Self { bytes, pdus: Vec::new(), conversations: 0, packets: 0 }
    }

    /// A connection begins with its hand-shake.
    pub(crate) fn begin(&mut self) -> Conversation {
        self.conversations += 1;
        let port = 40_000 + self.conversations;
        let mut conversation = Conversation { port, daemon: Stream::default(), carrier: Stream::default() };
        self.packet(&mut conversation, Side::Daemon, SYN, &[]);
        self.packet(&mut conversation, Side::Carrier, SYN | ACK, &[]);
        self.packet(&mut conversation, Side::Daemon, ACK, &[]);
        conversation
    }

    /// One side said something; nothing means that it has ended.
    pub(crate) fn record(&mut self, conversation: &mut Conversation, side: Side, bytes: &[u8]) {
        conversation.stream(side).begun.extend_from_slice(bytes);
        while let Some(pdu) = take_pdu(&mut conversation.stream(side).begun) {
            self.packet(conversation, side, PUSH | ACK, &pdu);
            self.pdus.push((side, pdu));
        }
        if bytes.is_empty() {
            let rest = std::mem::take(&mut conversation.stream(side).begun);
            if !rest.is_empty() {
                self.packet(conversation, side, PUSH | ACK, &rest);
            }
            self.packet(conversation, side, FIN | ACK, &[]);
        }
    }

    pub(crate) fn packet(&mut self, conversation: &mut Conversation, side: Side, flags: u8, payload: &[u8]) {
        let (port, daemon, carrier) =
            (conversation.port, conversation.daemon.next, conversation.carrier.next);
        let (from, to, sequence, acknowledged) = match side {
            Side::Daemon => (port, CARRIER_PORT, daemon, carrier),
            Side::Carrier => (CARRIER_PORT, port, carrier, daemon),
        };
        // SYN and FIN take a place in the sequence too.
        let places = payload.len() + usize::from(flags & (SYN | FIN) != 0);
        conversation.stream(side).next += u32::try_from(places).expect("a packet is short");
        let bytes = u16::try_from(40 + payload.len()).expect("a packet is short");
        self.packets += 1;
        // Times only need to grow: a microsecond a packet.
        for word in [1, self.packets, u32::from(bytes), u32::from(bytes)] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        // IPv4 without options: no fragments, 64 hops, TCP, no checksum; then loopback to loopback.
        self.bytes.extend_from_slice(&[0x45, 0]);
        self.bytes.extend_from_slice(&bytes.to_be_bytes());
        self.bytes.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        self.bytes.extend_from_slice(&from.to_be_bytes());
        self.bytes.extend_from_slice(&to.to_be_bytes());
        self.bytes.extend_from_slice(&sequence.to_be_bytes());
        self.bytes.extend_from_slice(&if flags == SYN { 0 } else { acknowledged }.to_be_bytes());
        // Five words of header, the flags, a full window, no checksum, nothing urgent.
        self.bytes.extend_from_slice(&[0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
        self.bytes.extend_from_slice(payload);
    }
}

/// Takes the first PDU off the bytes if it is whole; all of them, if they begin with no PDU.
fn take_pdu(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).expect("a u32");
    let is_pdu = (16..=PDU_BYTES_MAX).contains(&length);
    if is_pdu && bytes.len() < length {
        return None;
    }
    let end = if is_pdu { length } else { bytes.len().min(PDU_BYTES_MAX) };
    Some(bytes.drain(..end).collect())
}
