//! Fuzz targets, which run on stable as ordinary tests for a bounded number of inputs, and for as long as one likes with
//!
//! ```text
//! cargo bolero test -p wire smpp_session
//! ```
//!
//! A failure prints its seed; `BOLERO_RANDOM_SEED` repeats it.

use core::time::Duration;

use bolero::check;
use wire::smpp::bind::{Bind, BindKind};
use wire::smpp::query::QuerySmResp;
use wire::smpp::{
    Address, CommandId, CommandStatus, Event, MessageState, Options, Sequence, Session, Sm, Timers,
};
use wire::time::Instant;

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
        session.consume(session.pending().len() / 2);
        while let Some(answer) = session.poll_event(now).map(|event| answer(&event, &mut told_end)) {
            answer(session);
        }
    }
    assert!(session.in_flight() <= 3);
    assert!(session.drain_in_flight().count() <= 3);
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
