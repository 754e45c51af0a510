//! Sequences of operations on sessions.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use bolero::check;
use wire::smpp::bind::{Bind, BindKind};
use wire::smpp::header::split_pdu;
use wire::smpp::query::QuerySmResp;
use wire::smpp::{
    Address, CommandId, CommandStatus, Event, MessageState, Options, Refused, Sequence, Session, Sm, Timers,
};
use wire::time::Instant;

/// What an ordinary test run takes of each.
const INPUTS: usize = 20_000;

/// A session of each role gets any octets, in any pieces, with any headers, while its caller does what callers do.
#[test]
fn smpp_session() {
    let plan = bolero::produce::<Vec<(u8, u8, u8, Vec<u8>)>>();
    check!().with_iterations(INPUTS).with_generator(plan).for_each(|steps| {
        for is_esme in [true, false] {
            let now = Instant(1);
            let options = Options {
                window_pdus_max: 3,
                pdu_bytes_max: 300,
                timers: Timers { response: Duration::from_secs(2), ..Timers::default() },
                ..Options::default()
            };
            let mut session = if is_esme {
                Session::esme(&bind(), &options, now)
            } else {
                Session::mc(b"carrier", &options, now)
            };
            drive(&mut session, is_esme, steps, now);
        }
    });
}

fn bind() -> Bind<'static> {
    Bind {
        kind: BindKind::Transceiver,
        system_id: b"a",
        password: b"b",
        system_type: b"",
        interface_version: 0x34,
        address_range: Address::default(),
    }
}

/// A PDU with a header that the session can take, so that inputs get behind it.
fn framed(command: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    const COMMANDS: [CommandId; 14] = [
        CommandId::BIND_TRANSCEIVER,
        CommandId::BIND_TRANSCEIVER_RESP,
        CommandId::SUBMIT_SM,
        CommandId::SUBMIT_SM_RESP,
        CommandId::DELIVER_SM,
        CommandId::DELIVER_SM_RESP,
        CommandId::ENQUIRE_LINK,
        CommandId::ENQUIRE_LINK_RESP,
        CommandId::GENERIC_NACK,
        CommandId::QUERY_SM,
        CommandId::QUERY_SM_RESP,
        CommandId::DATA_SM,
        CommandId::UNBIND,
        CommandId::ALERT_NOTIFICATION,
    ];
    let command = COMMANDS[usize::from(command) % COMMANDS.len()];
    let length = u32::try_from(16 + body.len()).expect("short");
    let words = [length, command.0, 0, u32::from(sequence % 8)];
    words.iter().flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect()
}

fn drive(session: &mut Session, is_esme: bool, steps: &[(u8, u8, u8, Vec<u8>)], mut now: Instant) {
    let (mut told_end, mut token) = (false, 0);
    session.tap();
    let mut sent = session.pending().to_vec();
    let (mut queued, mut read) = (Vec::new(), 0);
    for (what, command, sequence, octets) in steps {
        match what % 8 {
            0 => session.handle_bytes(now, octets),
            1..=4 => {
                let pdu = framed(*command, *sequence, octets);
                let (first, second) = pdu.split_at(usize::from(*sequence) % pdu.len());
                session.handle_bytes(now, first);
                session.handle_bytes(now, second);
            }
            5 => {
                now = now.plus(Duration::from_millis(u64::from(*command) * 50));
                session.handle_timeout(now);
            }
            6 => {
                token += 1;
                let text = &octets[..octets.len().min(300)];
                let sm = Sm { short_message: text, ..Sm::default() };
                let before = session.stream_end();
                let sent =
                    if is_esme { session.submit(now, token, &sm) } else { session.deliver(now, token, &sm) };
                assert_eq!(sent.unwrap_or(before), session.stream_end());
            }
            _ => session.unbind(now),
        }
        note_down(session, &mut sent);
        let half = session.pending().len() / 2;
        session.consume(half);
        while let Some(answer) = session.poll_event(now).map(|event| answer(&event, &mut told_end)) {
            answer(session);
        }
        note_down(session, &mut sent);
        if let Some(tapped) = session.take_tapped() {
            assert_eq!(tapped.dropped, 0, "inputs are short");
            queued.extend_from_slice(&tapped.outbound);
            read += count(&tapped.inbound);
        }
    }
    let last = session.take_tapped().unwrap_or_default();
    queued.extend_from_slice(&last.outbound);
    read += count(&last.inbound);
    // Whoever looks on sees every PDU, each once and whole.
    assert_eq!(queued, sent);
    assert_eq!(read, session.counters().pdus_in);
    assert!(session.in_flight() <= 3);
    assert!(session.drain_in_flight().count() <= 3);
}

/// What was queued since the last time, behind all that was queued before.
fn note_down(session: &Session, sent: &mut Vec<u8>) {
    let new = usize::try_from(session.stream_end()).expect("short") - sent.len();
    let pending = session.pending();
    sent.extend_from_slice(&pending[pending.len() - new..]);
}

/// How many PDUs there are; they are whole.
fn count(mut pdus: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((_, body)) = split_pdu(pdus, usize::MAX).expect("a PDU that was framed once") {
        pdus = &pdus[16 + body.len()..];
        count += 1;
    }
    assert!(pdus.is_empty(), "a PDU is cut");
    count
}

/// What the caller does about an event.
fn answer(event: &Event<'_>, told_end: &mut bool) -> Box<dyn FnOnce(&mut Session)> {
    assert!(!*told_end, "nothing is told after the end");
    let refuse = CommandStatus::ESME_RX_T_APPN;
    match *event {
        Event::BindRequested { .. } => Box::new(Session::accept_bind),
        Event::SubmitRequest { sequence, .. } => {
            Box::new(move |session| session.answer_submit(sequence, CommandStatus::ESME_ROK, b"1"))
        }
        Event::DeliverRequest { sequence: Sequence(number), .. } if number % 2 == 0 => Box::new(|_| {}),
        Event::DeliverRequest { sequence, .. } => {
            Box::new(move |session| session.answer_deliver(sequence, refuse))
        }
        Event::DataRequest { sequence, .. } => {
            Box::new(move |session| session.answer_data(sequence, refuse, b""))
        }
        Event::QueryRequest { sequence, .. } => Box::new(move |session| {
            let message_state = MessageState::Enroute;
            let response = QuerySmResp { message_id: b"1", final_date: b"", message_state, error_code: 0 };
            session.answer_query(sequence, CommandStatus::ESME_ROK, &response);
        }),
        Event::Closed { .. } => {
            *told_end = true;
            Box::new(|_| {})
        }
        _ => Box::new(|_| {}),
    }
}

/// Two sessions talk over a connection that cuts their bytes anywhere, and each answers what it is asked, sometimes late or
/// never: every request has one end, and nothing is told that was not asked.
#[test]
fn smpp_pair() {
    let plan = bolero::produce::<Vec<(u8, u8)>>();
    check!().with_iterations(INPUTS).with_generator(plan).for_each(|steps| {
        let mut now = Instant(1);
        let timers = Timers { response: Duration::from_secs(2), ..Timers::default() };
        let options = Options { window_pdus_max: 4, timers, ..Options::default() };
        let mut esme = End::new(Session::esme(&bind(), &options, now));
        let mut mc = End::new(Session::mc(b"carrier", &options, now));
        for (what, how) in steps {
            match what % 8 {
                0 | 1 => esme.ask(now, |session, token, sm| session.submit(now, token, sm)),
                2 => mc.ask(now, |session, token, sm| session.deliver(now, token, sm)),
                3 => carry(&mut esme, &mut mc, usize::from(*how), now),
                4 => carry(&mut mc, &mut esme, usize::from(*how), now),
                5 => {
                    now = now.plus(Duration::from_millis(u64::from(*how) * 10));
                    esme.session.handle_timeout(now);
                    mc.session.handle_timeout(now);
                }
                6 if *how == 0 => esme.session.unbind(now),
                6 if *how == 1 => mc.session.unbind(now),
                _ => {
                    esme.answer_some(usize::from(*how));
                    mc.answer_some(usize::from(*how));
                }
            }
            esme.hear(now);
            mc.hear(now);
        }
        for end in [&mut esme, &mut mc] {
            let lost: Vec<u64> = end.session.drain_in_flight().map(|request| request.token).collect();
            for token in lost {
                assert!(end.open.remove(&token), "{token} was over already");
            }
            assert!(end.open.is_empty(), "never told: {:?}", end.open);
        }
    });
}

/// One of the two.
struct End {
    session: Session,
    token: u64,
    /// Asked, and not over.
    open: BTreeSet<u64>,
    /// Told as timed out; a late answer may follow.
    late: BTreeSet<u64>,
    /// What the other has asked.
    owes: VecDeque<(Sequence, bool)>,
}

impl End {
    fn new(session: Session) -> Self {
        Self { session, token: 0, open: BTreeSet::new(), late: BTreeSet::new(), owes: VecDeque::new() }
    }

    fn ask(&mut self, _now: Instant, ask: impl FnOnce(&mut Session, u64, &Sm<'_>) -> Result<u64, Refused>) {
        let sm = Sm { short_message: b"text", ..Sm::default() };
        if ask(&mut self.session, self.token, &sm).is_ok() {
            assert!(self.open.insert(self.token));
            self.token += 1;
        }
    }

    fn answer_some(&mut self, count: usize) {
        for (sequence, is_submit) in self.owes.drain(..count.min(self.owes.len())) {
            match is_submit {
                true => self.session.answer_submit(sequence, CommandStatus::ESME_ROK, b"1"),
                false => self.session.answer_deliver(sequence, CommandStatus::ESME_ROK),
            }
        }
    }

    fn hear(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event(now) {
            match event {
                Event::SubmitAnswer { token, .. } | Event::DeliverAnswer { token, .. } => {
                    assert!(self.open.remove(&token), "{token} was over, or never asked");
                }
                Event::Timeout { token, .. } => {
                    assert!(self.open.remove(&token) && self.late.insert(token), "{token} timed out twice");
                }
                Event::LateAnswer { token, .. } => {
                    assert!(self.late.remove(&token), "{token} was not late");
                }
                Event::SubmitRequest { sequence, .. } => self.owes.push_back((sequence, true)),
                Event::DeliverRequest { sequence, .. } => self.owes.push_back((sequence, false)),
                Event::BindRequested { .. } => self.session.accept_bind(),
                Event::Malformed { .. } | Event::Unserved { .. } => panic!("nothing was bent: {event:?}"),
                _ => {}
            }
        }
    }
}

/// So many octets go over.
fn carry(from: &mut End, to: &mut End, octets: usize, now: Instant) {
    let count = from.session.pending().len().min(octets * 4);
    to.session.handle_bytes(now, &from.session.pending()[..count]);
    from.session.consume(count);
}
