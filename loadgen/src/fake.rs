//! A daemon that is none, to see whether the judge sees: it keeps everything in memory, speaks native to customers and
//! SMPP to one carrier, and breaks one promise at a time.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wire::id::{MessageId, NodeId, Partition, PartitionCount};
use wire::native::{
    AnswerItem, Answers, FateItem, Fates, Frame, Kind, Submit, TraceAnswer, TraceStep, TraceWriter, Welcome,
};
use wire::smpp::{Address, Bind, BindKind, CommandStatus, Event, Options, RegisteredDelivery, Session, Sm};
use wire::time::{Instant, WallMs};

use crate::clock::Clock;

/// What the fake does wrong, to every tenth message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sin {
    None,
    /// Accepts and never sends.
    Loses,
    /// Sends twice, and says nothing of a doubt.
    SendsTwice,
    /// Sends twice, and its trace shows why it may.
    Doubts,
    /// Tells another fate than the carrier reported.
    Lies,
    /// Never tells a fate.
    Forgets,
    /// Sends to another recipient.
    Misdirects,
    /// Closes all connections of customers once, after it took messages and before it answered. No sin, a misfortune.
    HangsUp,
}

struct Message {
    to: String,
    text: String,
    sent: u32,
    sinful: bool,
}

struct Fake {
    sin: Sin,
    clock: Clock,
    customers: Vec<(TcpStream, Vec<u8>, Vec<u8>)>,
    carrier: TcpStream,
    session: Session,
    messages: Vec<Message>,
    /// By recipient: in these tests each message has its own.
    by_recipient: HashMap<Vec<u8>, usize>,
    to_send: VecDeque<usize>,
    hung_up: bool,
    /// The customer that subscribed.
    subscriber: Option<usize>,
    told: u64,
    /// Fates that nobody was there to be told.
    untold: Vec<FateItem>,
}

/// Runs until `stop`; its customers come to `listener`, its carrier is at `carrier`.
pub(crate) fn serve(
    sin: Sin,
    listener: &TcpListener,
    carrier: SocketAddr,
    stop: &Arc<AtomicBool>,
) -> io::Result<()> {
    let clock = Clock::start();
    let carrier = TcpStream::connect(carrier)?;
    carrier.set_nonblocking(true)?;
    listener.set_nonblocking(true)?;
    let bind = Bind {
        kind: BindKind::Transceiver,
        system_id: b"fake",
        password: b"",
        system_type: b"",
        interface_version: 0x34,
        address_range: Address::default(),
    };
    let options = Options { window_pdus_max: 64, ..Options::default() };
    let mut fake = Fake {
        sin,
        clock,
        customers: Vec::new(),
        carrier,
        session: Session::esme(&bind, &options, clock.now()),
        messages: Vec::new(),
        by_recipient: HashMap::new(),
        to_send: VecDeque::new(),
        hung_up: false,
        subscriber: None,
        told: 0,
        untold: Vec::new(),
    };
    while !stop.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            fake.customers.push((stream, Vec::new(), Vec::new()));
        }
        fake.turn()?;
        std::thread::yield_now();
    }
    Ok(())
}

impl Fake {
    fn turn(&mut self) -> io::Result<()> {
        for place in 0..self.customers.len() {
            let (stream, input, _) = &mut self.customers[place];
            read(stream, input)?;
            let input = std::mem::take(input);
            let used = self.frames(place, &input);
            self.customers[place].1 = input[used..].to_vec();
        }
        self.smpp()?;
        for (stream, _, output) in &mut self.customers {
            write(stream, output)?;
        }
        Ok(())
    }

    fn frames(&mut self, customer: usize, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some((frame, length)) = Frame::split(&bytes[used..]).unwrap() {
            used += length;
            let mut out = std::mem::take(&mut self.customers[customer].2);
            match frame.kind {
                Kind::Hello => {
                    let partitions = PartitionCount::new(16).unwrap();
                    Welcome { credits: 100, node: NodeId(1), partitions, ports: Vec::new() }.write(&mut out);
                }
                Kind::Subscribe => {
                    self.subscriber = Some(customer);
                    if !self.untold.is_empty() {
                        Fates::write(&self.untold, &mut out);
                    }
                    self.untold.clear();
                }
                Kind::Submit => self.submit(frame, &mut out),
                Kind::Query => self.query(frame, &mut out),
                _ => {}
            }
            self.customers[customer].2 = out;
        }
        used
    }

    fn submit(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let mut hung_up = self.hung_up;
        let mut batch = Submit::read(frame).unwrap();
        let mut number = frame.number;
        while let Some(item) = batch.next_item().unwrap() {
            if let Some(&place) = self.by_recipient.get(&item.to.as_bytes()[1..]) {
                Answers::write(&[answer(number, place, 1)], out);
                number += 1;
                continue;
            }
            let place = self.messages.len();
            hung_up |= self.sin == Sin::HangsUp && place == 50;
            let sinful = place % 10 == 3;
            let to = if sinful && self.sin == Sin::Misdirects { "+4915199999999" } else { item.to };
            self.by_recipient.insert(to.as_bytes()[1..].to_vec(), place);
            self.messages.push(Message { to: to.into(), text: item.text.into(), sent: 0, sinful });
            let sendings = match self.sin {
                Sin::Loses if sinful => 0,
                Sin::SendsTwice | Sin::Doubts if sinful => 2,
                _ => 1,
            };
            (0..sendings).for_each(|_| self.to_send.push_back(place));
            if hung_up == self.hung_up {
                Answers::write(&[answer(number, place, 0)], out);
            }
            number += 1;
        }
        if hung_up != self.hung_up {
            self.hung_up = true;
            self.subscriber = None;
            self.customers.iter().for_each(|(stream, ..)| _ = stream.shutdown(std::net::Shutdown::Both));
        }
    }

    fn query(&self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let id = TraceAnswer::read_query(frame).unwrap();
        let message = &self.messages[usize::try_from(id.counter()).unwrap()];
        let mut writer = TraceWriter::begin(frame.number, id, 3, out);
        let mut put = |kind, attempt| {
            let step = TraceStep {
                at_ms: 0,
                kind,
                part: 0,
                why: 0,
                attempt,
                code: 0,
                carrier: "c",
                carrier_id: b"",
            };
            writer.push(&step, out);
        };
        for attempt in 0..message.sent {
            put(2, u16::try_from(attempt).unwrap() + 1);
        }
        if message.sinful && self.sin == Sin::Doubts {
            put(7, 1);
        }
        writer.close(out);
    }

    fn smpp(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        let mut bytes = Vec::new();
        read(&mut self.carrier, &mut bytes)?;
        self.session.handle_bytes(now, &bytes);
        let mut reports = Vec::new();
        loop {
            let taken = match self.session.poll_event(now) {
                None => break,
                Some(Event::DeliverRequest { sequence, sm }) => {
                    let text = String::from_utf8_lossy(sm.text()).into_owned();
                    reports.push((sm.source.octets.to_vec(), text));
                    Some(sequence)
                }
                Some(_) => None,
            };
            if let Some(sequence) = taken {
                self.session.answer_deliver(sequence, CommandStatus::ESME_ROK);
            }
        }
        reports.iter().for_each(|(from, text)| self.report(from, text));
        self.send(now);
        let mut pending = self.session.pending().to_vec();
        let before = pending.len();
        write(&mut self.carrier, &mut pending)?;
        self.session.consume(before - pending.len());
        Ok(())
    }

    fn send(&mut self, now: Instant) {
        while let Some(&place) = self.to_send.front() {
            let message = &mut self.messages[place];
            let sm = Sm {
                source: Address::alphanumeric(b"Fake"),
                destination: Address::international(&message.to.as_bytes()[1..]),
                registered_delivery: RegisteredDelivery::FINAL,
                short_message: message.text.as_bytes(),
                ..Sm::default()
            };
            if self.session.submit(now, 0, &sm).is_err() {
                return;
            }
            message.sent += 1;
            self.to_send.pop_front();
        }
    }

    fn report(&mut self, from: &[u8], text: &str) {
        let Some(&place) = self.by_recipient.get(from) else { return };
        let message = &self.messages[place];
        let delivered = text.contains("stat:DELIVRD");
        let fate = match (self.sin, message.sinful) {
            (Sin::Forgets, true) => return,
            (Sin::Lies, true) => 3 - (2 - u8::from(delivered)),
            _ => 2 - u8::from(delivered),
        };
        self.told += 1;
        let item = FateItem {
            sequence: self.told.into(),
            id: id(place).0.into(),
            at_ms: 0.into(),
            code: 0.into(),
            partition: 0.into(),
            fate,
            why: 0,
        };
        match self.subscriber {
            Some(subscriber) => Fates::write(&[item], &mut self.customers[subscriber].2),
            None => self.untold.push(item),
        }
    }
}

fn answer(number: u64, place: usize, status: u8) -> AnswerItem {
    AnswerItem {
        number: number.into(),
        id: id(place).0.into(),
        status,
        retry: 0,
        reserved: 0.into(),
        retry_after_ms: 0.into(),
    }
}

fn id(place: usize) -> MessageId {
    MessageId::mint(WallMs(1_795_402_975_120), Partition(0), 1, place as u64)
}

fn read(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; 65_536];
    match stream.read(&mut bytes) {
        Ok(count) => into.extend_from_slice(&bytes[..count]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        // The judge has gone: it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn write(stream: &mut TcpStream, from: &mut Vec<u8>) -> io::Result<()> {
    match stream.write(from) {
        Ok(count) => drop(from.drain(..count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            from.clear();
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

mod tests {
    use super::*;
    use crate::args::{Action, Cli};
    use crate::report::Report;
    use crate::run;
    use clap::Parser;

    /// Drives 200 messages through a fake with a sin.
    fn judge(sin: Sin, more: &str) -> Report {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let native = listener.local_addr().unwrap();
        let line = format!(
            "loadgen run --native {native} --key fakefakefakefake --listen-carrier 127.0.0.1:0 --messages 200 \
             --customers 2 --drain-seconds 1 --quiet {more}"
        );
        let Action::Run(options) = Cli::try_parse_from(line.split_whitespace()).unwrap().command;
        let mut session = run::Session::new(&options, None).unwrap();
        let carrier = session.world.carriers.addresses().unwrap()[0];
        let stop = Arc::new(AtomicBool::new(false));
        let fake = std::thread::spawn({
            let stop = stop.clone();
            move || serve(sin, &listener, carrier, &stop)
        });
        let report = session.complete(session.running_addresses(), None, 1);
        stop.store(true, Ordering::Relaxed);
        fake.join().unwrap().unwrap();
        report.unwrap()
    }

    #[test]
    fn an_honest_daemon_is_acquitted() {
        let report = judge(Sin::None, "");
        assert_eq!((report.ok, report.wrong), (true, vec![]));
        assert_eq!((report.accepted, report.submitted, report.delivered), (200, 200, 200));
        assert!(
            report.latency_us.answer.p50 > 0.0 && report.latency_us.fate.p50 > report.latency_us.submit.p50
        );
        let report = judge(Sin::None, "--receipt-failed 0.5 --carrier-latency 1 --receipt-delay uniform:0-5");
        assert!(report.ok && report.failed > 50 && report.delivered > 50, "{:?}", report.wrong);
        let report =
            judge(Sin::None, "--rate 2000 --arrivals poisson --receipt-early 0.5 --receipt-twice 0.5");
        assert_eq!((report.ok, report.wrong), (true, vec![]));
        let report = judge(Sin::None, "--prefill 100");
        assert_eq!((report.ok, report.accepted), (true, 300));
    }

    #[test]
    fn a_daemon_that_loses_messages_is_convicted() {
        let report = judge(Sin::Loses, "");
        assert_eq!((report.ok, report.lost, report.fateless), (false, 20, 20));
    }

    #[test]
    fn a_daemon_that_sends_twice_is_convicted_unless_it_had_to_doubt() {
        let report = judge(Sin::SendsTwice, "");
        assert_eq!((report.ok, report.duplicates, report.doubtful), (false, 20, 0));
        let report = judge(Sin::Doubts, "");
        assert_eq!((report.ok, report.duplicates, report.doubtful), (true, 0, 20));
        let report = judge(Sin::Doubts, "--class marketing");
        assert_eq!((report.ok, report.duplicates), (false, 20), "a campaign's message is never sent again");
    }

    #[test]
    fn customers_come_back_and_repeat_what_was_not_answered() {
        let report = judge(Sin::HangsUp, "--outage-seconds 5");
        assert_eq!((report.ok, report.wrong), (true, vec![]));
        assert!(report.resubmitted > 0 && report.accepted == 200, "{} resubmitted", report.resubmitted);
    }

    #[test]
    fn a_daemon_that_lies_forgets_or_misdirects_is_convicted() {
        let report = judge(Sin::Lies, "");
        assert_eq!((report.ok, report.contradicted), (false, 20));
        let report = judge(Sin::Forgets, "");
        assert_eq!((report.ok, report.fateless, report.lost), (false, 20, 0));
        let report = judge(Sin::Misdirects, "");
        assert_eq!((report.ok, report.carriers.mangled), (false, 20));
    }
}
