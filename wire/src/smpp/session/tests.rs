//! Sessions of both roles, back to back.

use core::time::Duration;

use super::super::fields::Address;
use super::super::header::split_pdu;
use super::super::status::CommandStatus;
use super::*;

const START: Instant = Instant(1_000_000_000);

fn bind() -> Bind<'static> {
    Bind {
        kind: BindKind::Transceiver,
        system_id: b"customer",
        password: b"secret",
        system_type: b"",
        interface_version: 0x34,
        address_range: Address::default(),
    }
}

fn message() -> Sm<'static> {
    Sm {
        source: Address::alphanumeric(b"Shop"),
        destination: Address::international(b"4915112345678"),
        short_message: b"Your code is 123456",
        ..Sm::default()
    }
}

/// Moves all that is pending from one session to the other.
fn carry(from: &mut Session, to: &mut Session, now: Instant) {
    to.handle_bytes(now, from.pending());
    from.consume(from.pending().len());
}

fn bound_pair(options: &Options) -> (Session, Session) {
    let mut esme = Session::esme(&bind(), options, START);
    let mut mc = Session::mc(b"carrier", options, START);
    carry(&mut esme, &mut mc, START);
    assert_eq!(mc.poll_event(START), Some(Event::BindRequested { bind: bind() }));
    mc.accept_bind();
    carry(&mut mc, &mut esme, START);
    let bound =
        Event::Bound { kind: BindKind::Transceiver, system_id: b"carrier", sc_interface_version: Some(0x34) };
    assert_eq!(esme.poll_event(START), Some(bound));
    (esme, mc)
}

#[test]
fn a_message_goes_and_its_answer_brings_the_token_back() {
    let (mut esme, mut mc) = bound_pair(&Options::default());
    let start = esme.stream_end();
    let end = esme.submit(START, 77, &message()).unwrap();
    assert_eq!(end - start, esme.pending().len() as u64);
    carry(&mut esme, &mut mc, START);
    let Some(Event::SubmitRequest { sequence, sm }) = mc.poll_event(START) else { panic!("a submit_sm") };
    assert_eq!(sm, message());
    mc.answer_submit(sequence, CommandStatus::ESME_ROK, b"abc1");
    carry(&mut mc, &mut esme, START);
    let answer = Event::SubmitAnswer {
        token: 77,
        status: CommandStatus::ESME_ROK,
        message_id: b"abc1",
        tlvs: super::super::tlv::Tlvs::NONE,
    };
    assert_eq!(esme.poll_event(START), Some(answer));
    assert_eq!((esme.in_flight(), esme.poll_event(START)), (0, None));
}

#[test]
fn silence_asks_and_then_ends_the_session() {
    let (mut esme, _mc) = bound_pair(&Options::default());
    let asked = esme.timeout().unwrap();
    assert_eq!(asked, START.plus(Duration::from_secs(30)));
    esme.handle_timeout(asked);
    let (header, _) = split_pdu(esme.pending(), 64).unwrap().unwrap();
    assert_eq!(header.command, CommandId::ENQUIRE_LINK);
    let dead = esme.timeout().unwrap();
    esme.handle_timeout(dead);
    assert_eq!(esme.poll_event(dead), Some(Event::Closed { reason: CloseReason::Dead }));
    assert_eq!(esme.poll_event(dead), None);
}
