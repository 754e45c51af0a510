//! Sessions of both roles, back to back.

use core::time::Duration;

use super::super::fields::Address;
use super::super::header::{Header, encode_header_only, split_pdu};
use super::super::status::CommandStatus;
use super::super::tlv::Tlvs;
use super::*;

pub(super) const START: Instant = Instant(1_000_000_000);

pub(super) fn bind() -> Bind<'static> {
    Bind {
        kind: BindKind::Transceiver,
        system_id: b"customer",
        password: b"secret",
        system_type: b"",
        interface_version: 0x34,
        address_range: Address::default(),
    }
}

pub(super) fn message() -> Sm<'static> {
    Sm {
        source: Address::alphanumeric(b"Shop"),
        destination: Address::international(b"4915112345678"),
        short_message: b"Your code is 123456",
        ..Sm::default()
    }
}

/// Moves all that is pending from one session to the other.
pub(super) fn carry(from: &mut Session, to: &mut Session, now: Instant) {
    to.handle_bytes(now, from.pending());
    from.consume(from.pending().len());
}

pub(super) fn bound_pair(options: &Options) -> (Session, Session) {
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
        tlvs: Tlvs::NONE,
    };
    assert_eq!(esme.poll_event(START), Some(answer));
    assert_eq!(esme.poll_event(START), None);
    assert_eq!(esme.in_flight(), 0);
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

/// The headers of all that is pending, which is consumed.
pub(super) fn sent(session: &mut Session) -> Vec<(CommandId, CommandStatus, u32)> {
    let (mut headers, mut rest) = (Vec::new(), session.pending());
    while let Some((header, body)) = split_pdu(rest, 1 << 16).unwrap() {
        headers.push((header.command, header.status, header.sequence.0));
        rest = &rest[16 + body.len()..];
    }
    session.consume(session.pending().len());
    headers
}

/// The session gets a PDU without a body.
pub(super) fn give(session: &mut Session, command: CommandId, status: CommandStatus, sequence: u32) {
    let mut pdu = Vec::new();
    encode_header_only(Header { command, status, sequence: Sequence(sequence) }, &mut pdu);
    session.handle_bytes(START, &pdu);
}

#[track_caller]
pub(super) fn closes(session: &mut Session, reason: CloseReason) {
    assert_eq!(session.poll_event(START), Some(Event::Closed { reason }));
    assert_eq!(session.poll_event(START), None);
    assert!(session.is_closed() && session.timeout().is_none());
}

pub(super) const ROK: CommandStatus = CommandStatus::ESME_ROK;

#[test]
fn a_bind_that_is_refused_ends_both_sides() {
    let mut esme = Session::esme(&bind(), &Options::default(), START);
    let mut mc = Session::mc(b"carrier", &Options::default(), START);
    carry(&mut esme, &mut mc, START);
    assert!(mc.poll_event(START).is_some());
    // Nothing is read before the decision.
    give(&mut mc, CommandId::ENQUIRE_LINK, ROK, 2);
    assert_eq!(mc.poll_event(START), None);
    assert_eq!(mc.pending().len(), 0);
    mc.refuse_bind(CommandStatus::ESME_RINVPASWD);
    closes(&mut mc, CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD));
    carry(&mut mc, &mut esme, START);
    closes(&mut esme, CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD));
    assert_eq!(esme.submit(START, 1, &message()), Err(Refused::NotBound));
}

#[test]
fn nobody_waits_for_a_bind_for_ever() {
    for mut session in [
        Session::esme(&bind(), &Options::default(), START),
        Session::mc(b"carrier", &Options::default(), START),
    ] {
        let due = session.timeout().unwrap();
        assert_eq!(due, START.plus(limits::SESSION_INIT));
        session.handle_timeout(due);
        closes(&mut session, CloseReason::SessionInitTimeout);
    }
}

#[test]
fn a_bind_response_may_lack_its_body() {
    let mut esme = Session::esme(&bind(), &Options::default(), START);
    give(&mut esme, CommandId::BIND_TRANSCEIVER_RESP, ROK, 1);
    let bound = Event::Bound { kind: BindKind::Transceiver, system_id: b"", sc_interface_version: None };
    assert_eq!(esme.poll_event(START), Some(bound));
}

#[test]
fn an_mc_takes_only_what_the_bind_allows() {
    let mut mc = Session::mc(b"carrier", &Options::default(), START);
    give(&mut mc, CommandId::SUBMIT_SM, ROK, 1);
    assert_eq!(mc.poll_event(START), None);
    assert_eq!(sent(&mut mc), [(CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 1)]);
    let mut pdu = Vec::new();
    Bind { kind: BindKind::Receiver, ..bind() }.encode(Sequence(2), &mut pdu);
    mc.handle_bytes(START, &pdu);
    assert!(mc.poll_event(START).is_some());
    mc.accept_bind();
    mc.handle_bytes(START, &pdu);
    give(&mut mc, CommandId::SUBMIT_SM, ROK, 3);
    give(&mut mc, CommandId::DELIVER_SM, ROK, 4);
    give(&mut mc, CommandId::SUBMIT_MULTI, ROK, 5);
    give(&mut mc, CommandId(0x1234), ROK, 6);
    assert_eq!(mc.poll_event(START), None);
    let nack = |sequence| (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, sequence);
    assert_eq!(
        sent(&mut mc),
        [
            (CommandId::BIND_RECEIVER_RESP, ROK, 2),
            (CommandId::BIND_RECEIVER_RESP, CommandStatus::ESME_RALYBND, 2),
            (CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 3),
            nack(4),
            (CommandId::SUBMIT_MULTI_RESP, CommandStatus::ESME_RINVBNDSTS, 5),
            nack(6),
        ]
    );
    assert!(mc.deliver(START, 1, &message()).is_ok());
    assert_eq!((mc.counters().refused, mc.counters().nacks_out), (4, 2));
}

#[test]
fn what_cannot_be_read_is_nacked_and_told() {
    let (_, mut mc) = bound_pair(&Options::default());
    let mut pdu = Vec::new();
    message().encode(CommandId::SUBMIT_SM, Sequence(9), &mut pdu).unwrap();
    pdu.push(7);
    pdu[3] += 1;
    mc.handle_bytes(START, &pdu);
    let error = super::super::reader::DecodeError::TlvCut;
    let told = Event::Malformed { command: CommandId::SUBMIT_SM, sequence: Sequence(9), error };
    assert_eq!(mc.poll_event(START), Some(told));
    assert_eq!(sent(&mut mc), [(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVOPTPARSTREAM, 9)]);
}

#[test]
fn a_length_out_of_bounds_ends_the_session() {
    let (_, mut mc) = bound_pair(&Options { pdu_bytes_max: 64, ..Options::default() });
    mc.handle_bytes(START, &[0, 0, 0, 65, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8]);
    closes(&mut mc, CloseReason::CommandLength(65));
    assert_eq!(sent(&mut mc), [(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 8)]);
}

#[test]
fn answers_that_fit_nothing_are_counted_and_ignored() {
    let (mut esme, _mc) = bound_pair(&Options::default());
    esme.submit(START, 77, &message()).unwrap();
    let sequence = sent(&mut esme)[0].2;
    for (command, sequence) in [
        (CommandId::SUBMIT_SM_RESP, sequence + 1),
        (CommandId::SUBMIT_SM_RESP, 0),
        (CommandId::QUERY_SM_RESP, sequence),
        (CommandId::ENQUIRE_LINK_RESP, sequence),
        (CommandId::UNBIND_RESP, sequence),
        (CommandId::BIND_TRANSCEIVER_RESP, sequence),
        (CommandId(0x8000_4321), sequence),
    ] {
        give(&mut esme, command, ROK, sequence);
    }
    assert_eq!(esme.poll_event(START), None);
    assert_eq!(esme.in_flight(), 1);
    assert_eq!((esme.counters().answers_unknown, esme.counters().answers_mistyped), (6, 1));
    // Its own answer, twice.
    give(&mut esme, CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RTHROTTLED, sequence);
    give(&mut esme, CommandId::SUBMIT_SM_RESP, ROK, sequence);
    let status = CommandStatus::ESME_RTHROTTLED;
    let answer = Event::SubmitAnswer { token: 77, status, message_id: b"", tlvs: Tlvs::NONE };
    assert_eq!(esme.poll_event(START), Some(answer));
    assert_eq!(esme.poll_event(START), None);
    assert_eq!(esme.counters().answers_unknown, 7);
}

#[test]
fn a_nack_answers_its_request_and_one_without_a_number_ends_the_session() {
    let (mut esme, _mc) = bound_pair(&Options::default());
    esme.submit(START, 5, &message()).unwrap();
    esme.submit(START, 6, &message()).unwrap();
    let sequence = sent(&mut esme)[0].2;
    give(&mut esme, CommandId::GENERIC_NACK, ROK, sequence);
    let status = CommandStatus::ESME_RUNKNOWNERR;
    let answer = Event::SubmitAnswer { token: 5, status, message_id: b"", tlvs: Tlvs::NONE };
    assert_eq!(esme.poll_event(START), Some(answer), "a refusal, whatever its status");
    give(&mut esme, CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 0);
    closes(&mut esme, CloseReason::NackWithoutSequence(CommandStatus::ESME_RINVCMDLEN));
    let drained: Vec<_> = esme.drain_in_flight().collect();
    assert_eq!(drained, [InFlight { token: 6, kind: RequestKind::Submit, delivery: Handed::Written }]);
}

#[test]
fn a_late_answer_still_brings_its_token() {
    let (mut esme, _mc) = bound_pair(&Options { window_pdus_max: 4, ..Options::default() });
    for token in 0..4 {
        esme.submit(START, token, &message()).unwrap();
    }
    assert_eq!(esme.submit(START, 4, &message()), Err(Refused::WindowFull));
    let sequences: Vec<u32> = sent(&mut esme).iter().map(|header| header.2).collect();
    let due = START.plus(limits::RESPONSE);
    assert_eq!(esme.timeout(), Some(due));
    esme.handle_timeout(due);
    for token in 0..4 {
        assert_eq!(esme.poll_event(due), Some(Event::Timeout { token, kind: RequestKind::Submit }));
    }
    assert_eq!(esme.poll_event(due), None);
    assert_eq!(esme.window_room(), 4);
    // Half a window is remembered: the last two.
    for sequence in sequences {
        give(&mut esme, CommandId::SUBMIT_SM_RESP, ROK, sequence);
    }
    for token in 2..4 {
        let kind = RequestKind::Submit;
        let late = Event::LateAnswer { token, kind, status: ROK, message_id: b"" };
        assert_eq!(esme.poll_event(due), Some(late));
    }
    assert_eq!(esme.poll_event(due), None);
    assert_eq!(esme.counters().answers_late, 2);
}

#[test]
fn unbind_waits_for_the_window() {
    let (mut esme, mut mc) = bound_pair(&Options::default());
    esme.submit(START, 1, &message()).unwrap();
    esme.unbind(START);
    assert_eq!(esme.submit(START, 2, &message()), Err(Refused::NotBound));
    carry(&mut esme, &mut mc, START);
    let Some(Event::SubmitRequest { sequence, .. }) = mc.poll_event(START) else { panic!("a submit_sm") };
    mc.answer_submit(sequence, ROK, b"1");
    carry(&mut mc, &mut esme, START);
    assert!(matches!(esme.poll_event(START), Some(Event::SubmitAnswer { token: 1, .. })));
    carry(&mut esme, &mut mc, START);
    assert_eq!(mc.poll_event(START), Some(Event::UnbindRequested));
    closes(&mut mc, CloseReason::UnboundByPeer);
    carry(&mut mc, &mut esme, START);
    closes(&mut esme, CloseReason::Unbound);
}

#[test]
fn a_peer_that_unbinds_in_mid_window_gets_and_gives_its_answers_first() {
    let (mut esme, mut mc) = bound_pair(&Options::default());
    mc.deliver(START, 8, &message()).unwrap();
    esme.submit(START, 1, &message()).unwrap();
    carry(&mut esme, &mut mc, START);
    carry(&mut mc, &mut esme, START);
    let Some(Event::DeliverRequest { sequence, .. }) = esme.poll_event(START) else { panic!("a deliver_sm") };
    give(&mut esme, CommandId::UNBIND, ROK, 99);
    assert_eq!(esme.poll_event(START), Some(Event::UnbindRequested));
    esme.answer_deliver(sequence, ROK);
    assert_eq!(sent(&mut esme), [(CommandId::DELIVER_SM_RESP, ROK, sequence.0)]);
    assert!(mc.poll_event(START).is_some());
    mc.answer_submit(Sequence(2), ROK, b"1");
    carry(&mut mc, &mut esme, START);
    assert!(matches!(esme.poll_event(START), Some(Event::SubmitAnswer { token: 1, .. })));
    assert_eq!(sent(&mut esme), [(CommandId::UNBIND_RESP, ROK, 99)]);
    closes(&mut esme, CloseReason::UnboundByPeer);
}

#[test]
fn answers_and_enquire_link_pass_a_full_window_and_a_full_output() {
    let (mut esme, _mc) = bound_pair(&Options { window_pdus_max: 4096, ..Options::default() });
    let text = [b'a'; 255];
    let sm = Sm { short_message: &text, ..message() };
    let mut token = 0;
    let refused = loop {
        match esme.submit(START, token, &sm) {
            Ok(_) => token += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refused::OutputFull);
    let before = esme.stream_end();
    give(&mut esme, CommandId::ENQUIRE_LINK, ROK, 3);
    assert_eq!(esme.poll_event(START), None);
    esme.answer_deliver(Sequence(4), ROK);
    assert_eq!(esme.stream_end(), before + 16 + 17);
}

#[test]
fn a_peer_that_never_reads_is_not_read_either() {
    let (mut esme, _mc) = bound_pair(&Options::default());
    let mut questions = Vec::new();
    for sequence in 0..10_000 {
        let header = Header::request(CommandId::ENQUIRE_LINK, Sequence(sequence));
        encode_header_only(header, &mut questions);
    }
    while esme.wants_bytes() {
        esme.handle_bytes(START, &questions);
        assert_eq!(esme.poll_event(START), None);
    }
    assert!(esme.pending().len() < limits::OUTPUT_BYTES_MAX + 32);
}

#[test]
fn any_sign_of_life_counts() {
    let (mut esme, _mc) = bound_pair(&Options::default());
    let asked = esme.timeout().unwrap();
    esme.handle_timeout(asked);
    // The answer does not come, but a byte does.
    let later = asked.plus(Duration::from_secs(1));
    esme.handle_bytes(later, &[0]);
    esme.handle_timeout(esme.timeout().unwrap());
    assert!(!esme.is_closed());
    assert_eq!(esme.timeout(), Some(later.plus(limits::ENQUIRE_LINK_IDLE)));
}
