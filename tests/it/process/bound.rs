//! Customers over SMPP: a bound one is told what became of its message, and one that was away is told when it comes back,
//! whatever happened to the daemon meanwhile.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http;
use crate::pdu::{
    BIND_RECEIVER, BIND_TRANSCEIVER, BIND_TRANSMITTER, CANCEL_SM, DELIVER_SM, ENQUIRE_LINK, Pdu, RESPONSE,
    SUBMIT_SM, Submitted, UNBIND, from_handset,
};

/// A daemon that says nothing for so long is broken.
const SILENCE: Duration = Duration::from_secs(30);
const TO: &str = "4915112345678";

#[test]
fn a_bound_customer_is_told_what_became_of_its_message() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let daemon = Setup::new(place.path(), carrier.address()).with_smpp().start();
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSCEIVER);
    let ids = ["first", "second"].map(|text| customer.submit(text, 1));
    let silent = customer.submit("nobody wants to know", 0);
    let long = customer.submit_parts(&["one half of it, ", "and the other"]);
    let mut told: Vec<String> = (0..3).map(|_| customer.receipt()).collect();
    told.sort();
    let mut expected = [&ids[0], &ids[1], &long].map(Clone::clone);
    expected.sort();
    assert_eq!(told, expected, "each once, and {silent} not at all");
    assert_eq!(carrier.seen().get("one half of it, and the other"), Some(&1));
    customer.unbind();
    let (status, words) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{words}");
}

#[test]
fn a_customer_that_was_away_is_told_when_it_comes_back_after_a_kill() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let setup = Setup::new(place.path(), carrier.address()).with_smpp();
    let mut daemon = setup.start();
    // A transmitter has no receipts: nobody is there when the fate comes.
    let mut transmitter = Customer::bind(daemon.smpp(), BIND_TRANSMITTER);
    let id = transmitter.submit("tell me later", 1);
    daemon.delivered(&id);
    daemon.kill();

    let mut daemon = setup.start();
    let mut receiver = Customer::bind(daemon.smpp(), BIND_RECEIVER);
    // It goes without an answer, and so it is told again.
    receiver.next_receipt(&id);
    drop(receiver);
    let mut receiver = Customer::bind(daemon.smpp(), BIND_RECEIVER);
    assert_eq!(receiver.receipt(), id);
    let http = daemon.http;
    daemon.until("the acknowledgement is on disk", || {
        let answer = http::get(http, "/v1/events?wait_ms=0", Some(KEY)).expect("the daemon takes requests");
        (answer.json()["events"] == json!([])).then_some(())
    });
    // It is decided; an answer about the message waits until that is on disk.
    let seen = http::get(http, &format!("/v1/messages/{id}"), Some(KEY)).expect("the daemon answers");
    assert_eq!(seen.status, 200, "{seen:?}");
    daemon.kill();

    let daemon = setup.start();
    let mut customer = Customer::bind(daemon.smpp(), BIND_TRANSCEIVER);
    let next = customer.submit("and now", 1);
    assert_eq!(customer.receipt(), next, "what was acknowledged is not told again");
    daemon.kill();
}

#[test]
fn a_bound_customer_is_told_what_a_handset_sent_until_it_has_answered() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let rules = "[[inbound]]\nto = \"12345\"\nkeyword = \"join\"\naccount = \"judge\"\n[[route]]";
    let setup = Setup::new(place.path(), carrier.address()).with_smpp().with("[[route]]", rules);
    let mut daemon = setup.start();
    carrier.say(from_handset(TO, "12345", 0, b"Join us"));
    daemon.until("the carrier has its answer", || carrier.is_rid_of_all().then_some(()));
    for answered in [false, true] {
        let mut customer = Customer::bind(daemon.smpp(), BIND_RECEIVER);
        let pdu = loop {
            let pdu = customer.read();
            if pdu.command == DELIVER_SM {
                break pdu;
            }
        };
        let told = Submitted::read(&pdu.body).expect("its deliver_sm is whole");
        assert_eq!((told.source.as_str(), told.destination.as_str()), (TO, "12345"));
        assert_eq!(told.short_message, b"Join us");
        // service_type, the two addresses with their types, and then esm_class: no receipt.
        assert_eq!(pdu.body[1 + 2 + TO.len() + 1 + 2 + 5 + 1], 0, "{:?}", pdu.body);
        if answered {
            let mut bytes = Vec::new();
            pdu.response(0, vec![0]).write(&mut bytes);
            customer.stream.write_all(&bytes).expect("the daemon takes bytes");
            customer.enquire();
        }
    }
    let http = daemon.http;
    daemon.until("the acknowledgement is there", || {
        let answer = http::get(http, "/v1/events?wait_ms=0", Some(KEY)).expect("the daemon takes requests");
        (answer.json()["events"] == json!([])).then_some(())
    });
    daemon.kill();
}

#[test]
fn two_customers_of_an_account_are_told_each_fate_once() {
    let (place, carrier) = (temporary_dir(), Carrier::start());
    let daemon = Setup::new(place.path(), carrier.address()).with_smpp().start();
    // So many that both shards of the daemon have some.
    let mut customers: Vec<Customer> =
        (0..8).map(|_| Customer::bind(daemon.smpp(), BIND_TRANSCEIVER)).collect();
    let mut ids: Vec<String> = Vec::new();
    for round in 0..4 {
        for customer in &mut customers {
            ids.push(customer.submit(&format!("message {round}"), 1));
        }
    }
    let mut told = Vec::new();
    for customer in &mut customers {
        customer.gather();
    }
    while told.len() < ids.len() {
        for customer in &mut customers {
            told.extend(customer.try_receipt());
        }
    }
    // Whatever would be told twice is told before the answer to this.
    for customer in &mut customers {
        customer.enquire();
        told.extend(customer.told.drain(..));
    }
    told.sort();
    ids.sort();
    assert_eq!(told, ids);
}

/// One bind, which answers what it is asked and each receipt that it takes.
pub(crate) struct Customer {
    stream: TcpStream,
    input: Vec<u8>,
    sequence: u32,
    /// Receipts that came while something else was awaited, and were answered.
    told: VecDeque<String>,
}

impl Customer {
    pub(crate) fn bind(address: SocketAddr, command: u32) -> Self {
        Self::bind_as(address, command, "secret12")
            .unwrap_or_else(|status| panic!("refused with {status:#x}"))
    }

    /// Binds with a password, or gives the status that refuses it.
    pub(crate) fn bind_as(address: SocketAddr, command: u32, password: &str) -> Result<Self, u32> {
        let stream = TcpStream::connect(address).expect("the daemon listens for SMPP");
        stream.set_nodelay(true).expect("a socket of ours");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket of ours");
        let mut customer = Self { stream, input: Vec::new(), sequence: 0, told: VecDeque::new() };
        let body = [b"judge\0", password.as_bytes(), b"\0\0\x34\0\0\0"].concat();
        let answer = customer.ask(command, body);
        assert_eq!(answer.command, command | RESPONSE, "{answer:?}");
        if answer.status == 0 { Ok(customer) } else { Err(answer.status) }
    }

    /// Submits a text and gives its id.
    pub(crate) fn submit(&mut self, text: &str, registered_delivery: u8) -> String {
        let answer = self.ask(SUBMIT_SM, submission(0, registered_delivery, text.as_bytes()));
        id_of(&answer)
    }

    /// Submits to a number of no country, and gives the status that refuses it.
    pub(crate) fn refused(&mut self) -> u32 {
        let mut body = submission(0, 1, b"to nobody");
        let at = body.windows(TO.len()).position(|octets| octets == TO.as_bytes()).expect("the recipient");
        body[at] = b'0';
        self.ask(SUBMIT_SM, body).status
    }

    /// Submits as a sender of four characters, and gives the status.
    pub(crate) fn submit_as(&mut self, sender: [u8; 4]) -> u32 {
        let mut body = submission(0, 0, b"by somebody");
        let at = body.windows(4).position(|octets| octets == b"Acme").expect("the sender");
        body[at..at + 4].copy_from_slice(&sender);
        self.ask(SUBMIT_SM, body).status
    }

    /// Submits a text in parts and gives the id that all have.
    fn submit_parts(&mut self, parts: &[&str]) -> String {
        let total = u8::try_from(parts.len()).expect("a few parts");
        let first = self.sequence + 1;
        for (number, text) in (1..).zip(parts) {
            let user_data = [&[5, 0, 3, 9, total, number], text.as_bytes()].concat();
            self.send(SUBMIT_SM, submission(0x40, 1, &user_data));
        }
        let ids: Vec<String> =
            (first..).take(parts.len()).map(|sequence| id_of(&self.answer_to(sequence))).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        ids[0].clone()
    }

    /// Takes a message back, and gives the status of the answer.
    pub(crate) fn cancel(&mut self, id: &str) -> u32 {
        let body = format!("\0{id}\0\x05\0Acme\0\x01\x01{TO}\0").into_bytes();
        let answer = self.ask(CANCEL_SM, body);
        assert_eq!(answer.command, CANCEL_SM | RESPONSE, "{answer:?}");
        answer.status
    }

    /// Waits for a receipt, answers it, and gives its id.
    pub(crate) fn receipt(&mut self) -> String {
        loop {
            if let Some(id) = self.told.pop_front() {
                return id;
            }
            let pdu = self.read();
            self.take(&pdu);
        }
    }

    /// Waits for the receipt of this message, and does not answer it.
    fn next_receipt(&mut self, id: &str) {
        loop {
            let pdu = self.read();
            if pdu.command == DELIVER_SM {
                assert_eq!(receipt_of(&pdu), id);
                return;
            }
        }
    }

    /// From now on [`Customer::try_receipt`] does not wait long.
    pub(crate) fn gather(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket of ours");
    }

    /// A receipt, if one is there.
    pub(crate) fn try_receipt(&mut self) -> Option<String> {
        while let Some(pdu) = self.try_read() {
            self.take(&pdu);
        }
        self.told.pop_front()
    }

    /// Asks whether the daemon is there, and waits for its answer.
    fn enquire(&mut self) {
        self.stream.set_read_timeout(Some(SILENCE)).expect("a socket of ours");
        self.ask(ENQUIRE_LINK, Vec::new());
    }

    pub(crate) fn unbind(mut self) {
        let answer = self.ask(UNBIND, Vec::new());
        assert_eq!(answer.command, UNBIND | RESPONSE);
        assert_eq!(self.stream.read(&mut [0]).ok(), Some(0), "the daemon closes what is unbound");
    }

    /// Waits until the daemon unbinds, answers that, and waits until it closes.
    pub(crate) fn until_unbound(mut self) {
        loop {
            let pdu = self.read();
            if pdu.command == UNBIND {
                let mut bytes = Vec::new();
                pdu.response(0, Vec::new()).write(&mut bytes);
                self.stream.write_all(&bytes).expect("the daemon takes bytes");
                break;
            }
            self.take(&pdu);
        }
        assert_eq!(self.stream.read(&mut [0]).ok(), Some(0), "the daemon closes what is unbound");
    }

    fn ask(&mut self, command: u32, body: Vec<u8>) -> Pdu {
        let sequence = self.send(command, body);
        self.answer_to(sequence)
    }

    fn send(&mut self, command: u32, body: Vec<u8>) -> u32 {
        self.sequence += 1;
        let mut bytes = Vec::new();
        Pdu { command, status: 0, sequence: self.sequence, body }.write(&mut bytes);
        self.stream.write_all(&bytes).expect("the daemon takes bytes");
        self.sequence
    }

    fn answer_to(&mut self, sequence: u32) -> Pdu {
        loop {
            let pdu = self.read();
            if pdu.command & RESPONSE != 0 && pdu.sequence == sequence {
                return pdu;
            }
            self.take(&pdu);
        }
    }

    /// Answers a receipt or a question.
    fn take(&mut self, pdu: &Pdu) {
        let body = if pdu.command == DELIVER_SM {
            self.told.push_back(receipt_of(pdu));
            vec![0]
        } else {
            assert_eq!(pdu.command, ENQUIRE_LINK, "{pdu:?}");
            Vec::new()
        };
        let mut bytes = Vec::new();
        pdu.response(0, body).write(&mut bytes);
        self.stream.write_all(&bytes).expect("the daemon takes bytes");
    }

    fn read(&mut self) -> Pdu {
        self.try_read().unwrap_or_else(|| panic!("the daemon said nothing for {SILENCE:?}"))
    }

    fn try_read(&mut self) -> Option<Pdu> {
        loop {
            if let Some(pdu) = Pdu::take(&mut self.input) {
                return Some(pdu);
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).ok()?;
            assert!(count > 0, "the daemon closed the connection");
            self.input.extend_from_slice(&bytes[..count]);
        }
    }
}

/// The body of a `submit_sm` (§4.4.1).
fn submission(esm_class: u8, registered_delivery: u8, short_message: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x05\0Acme\0\x01\x01".to_vec();
    body.extend_from_slice(TO.as_bytes());
    body.extend_from_slice(&[0, esm_class, 0, 0, 0, 0, registered_delivery, 0, 0, 0]);
    body.push(u8::try_from(short_message.len()).expect("our texts are short"));
    body.extend_from_slice(short_message);
    body
}

fn id_of(answer: &Pdu) -> String {
    assert_eq!((answer.command, answer.status), (SUBMIT_SM | RESPONSE, 0), "{answer:?}");
    let id = answer.body.strip_suffix(b"\0").expect("an id ends with a NUL");
    String::from_utf8(id.to_vec()).expect("our ids are ASCII")
}

/// The id of the message that a `deliver_sm` reports as delivered, as its text and its TLVs say it.
fn receipt_of(pdu: &Pdu) -> String {
    let told = Submitted::read(&pdu.body).expect("its deliver_sm is whole");
    assert_eq!((told.source.as_str(), told.destination.as_str()), (TO, "Acme"));
    let text = String::from_utf8(told.short_message).expect("a receipt is ASCII");
    let (id, rest) = text.strip_prefix("id:").and_then(|text| text.split_once(' ')).expect("an id first");
    assert!(rest.contains("stat:DELIVRD err:000"), "{text}");
    let named = [&[0, 0x1E, 0, 27], id.as_bytes(), &[0], b"\x04\x27\0\x01\x02"].concat();
    assert!(pdu.body.ends_with(&named), "receipted_message_id and message_state: {:?}", pdu.body);
    id.to_owned()
}
