//! Sessions beside the main road: the rarer requests, peers of other versions, connections that the MC makes.

use super::super::bind::INTERFACE_VERSION_3_3;
use super::super::fields::Address;
use super::super::header::{Header, split_pdu};
use super::super::query::{AlertNotification, QuerySmResp};
use super::super::state::MessageState;
use super::super::status::CommandStatus;
use super::super::tlv::{Tag, put_tlv};
use super::super::unserved::{ReplaceSm, SubmitMulti};
use super::tests::{ROK, START, bind, bound_pair, carry, closes, message, sent};
use super::*;

/// Two sessions of which the ESME asks for `version`.
fn bound_with(kind: BindKind, version: u8) -> (Session, Session) {
    let bind = Bind { kind, interface_version: version, ..bind() };
    let mut esme = Session::esme(&bind, &Options::default(), START);
    let mut mc = Session::mc(b"carrier", &Options::default(), START);
    carry(&mut esme, &mut mc, START);
    assert_eq!(mc.poll_event(START), Some(Event::BindRequested { bind }));
    mc.accept_bind();
    carry(&mut mc, &mut esme, START);
    assert!(matches!(esme.poll_event(START), Some(Event::Bound { .. })));
    (esme, mc)
}

#[test]
fn queries_cancels_and_data_go_and_are_answered() {
    let (mut esme, mut mc) = bound_pair(&Options::default());
    let mut payload = Vec::new();
    put_tlv(&mut payload, Tag::MESSAGE_PAYLOAD, b"hello");
    let data = DataSm {
        destination: Address::international(b"4915112345678"),
        tlvs: Tlvs::new(&payload).unwrap(),
        ..DataSm::default()
    };
    let query = QuerySm { message_id: b"17", source: Address::alphanumeric(b"Shop") };
    let cancel = CancelSm { message_id: b"17", ..CancelSm::default() };
    esme.query(START, 1, &query).unwrap();
    esme.cancel(START, 2, &cancel).unwrap();
    esme.data(START, 3, &data).unwrap();
    carry(&mut esme, &mut mc, START);

    let Some(Event::QueryRequest { sequence: first, query: asked }) = mc.poll_event(START) else { panic!() };
    assert_eq!(asked, query);
    let Some(Event::CancelRequest { sequence: second, cancel: asked }) = mc.poll_event(START) else {
        panic!()
    };
    assert_eq!(asked, cancel);
    let Some(Event::DataRequest { sequence: third, data: asked }) = mc.poll_event(START) else { panic!() };
    assert_eq!((asked, asked.text()), (data, &b"hello"[..]));
    let state = QuerySmResp {
        message_id: b"17",
        final_date: b"",
        message_state: MessageState::Enroute,
        error_code: 0,
    };
    mc.answer_data(third, ROK, b"18");
    mc.answer_cancel(second, CommandStatus::ESME_RCANCELFAIL);
    mc.answer_query(first, ROK, &state);
    carry(&mut mc, &mut esme, START);
    let told = Event::DataAnswer { token: 3, status: ROK, message_id: b"18", tlvs: Tlvs::NONE };
    assert_eq!(esme.poll_event(START), Some(told));
    let told = Event::CancelAnswer { token: 2, status: CommandStatus::ESME_RCANCELFAIL };
    assert_eq!(esme.poll_event(START), Some(told));
    let told = Event::QueryAnswer { token: 1, status: ROK, answer: Some(state) };
    assert_eq!(esme.poll_event(START), Some(told));

    // The other way, as receipts may come.
    mc.data(START, 9, &data).unwrap();
    carry(&mut mc, &mut esme, START);
    let Some(Event::DataRequest { sequence, .. }) = esme.poll_event(START) else { panic!() };
    esme.answer_data(sequence, ROK, b"");
    carry(&mut esme, &mut mc, START);
    let told = Event::DataAnswer { token: 9, status: ROK, message_id: b"", tlvs: Tlvs::NONE };
    assert_eq!(mc.poll_event(START), Some(told));
    assert_eq!((esme.in_flight(), mc.in_flight()), (0, 0));
}

#[test]
fn each_role_asks_only_what_is_its_own() {
    let (mut esme, mut mc) = bound_pair(&Options::default());
    let (query, cancel) = (QuerySm::default(), CancelSm::default());
    assert_eq!(mc.query(START, 1, &query), Err(Refused::NotBound));
    assert_eq!(mc.cancel(START, 1, &cancel), Err(Refused::NotBound));
    assert_eq!(mc.submit(START, 1, &message()), Err(Refused::NotBound));
    assert_eq!(esme.deliver(START, 1, &message()), Err(Refused::NotBound));
    let (mut receiver, mut mc) = bound_with(BindKind::Receiver, 0x34);
    assert_eq!(receiver.query(START, 1, &query), Err(Refused::NotBound));
    assert!(mc.data(START, 1, &DataSm::default()).is_ok());
    let (_, mut mc) = bound_with(BindKind::Transmitter, 0x34);
    assert_eq!(mc.data(START, 1, &DataSm::default()), Err(Refused::NotBound));
}

#[test]
fn what_is_not_served_is_refused_in_its_own_words() {
    let (_, mut mc) = bound_pair(&Options::default());
    let mut pdus = Vec::new();
    ReplaceSm { message_id: b"17", short_message: b"hi", ..ReplaceSm::default() }
        .encode(Sequence(8), &mut pdus)
        .unwrap();
    SubmitMulti { short_message: b"hi", ..SubmitMulti::default() }.encode(Sequence(9), &mut pdus).unwrap();
    // A replace_sm whose text is longer than the PDU.
    let start = pdus.len();
    ReplaceSm::default().encode(Sequence(10), &mut pdus).unwrap();
    *pdus.last_mut().unwrap() = 7;
    assert_eq!(pdus.len() - start, 25);
    mc.handle_bytes(START, &pdus);
    let replaced = CommandStatus::ESME_RREPLACEFAIL;
    let many = CommandStatus::ESME_RINVCMDID;
    let unserved =
        |command, sequence, status| Some(Event::Unserved { command, sequence: Sequence(sequence), status });
    assert_eq!(mc.poll_event(START), unserved(CommandId::REPLACE_SM, 8, replaced));
    assert_eq!(mc.poll_event(START), unserved(CommandId::SUBMIT_MULTI, 9, many));
    let error = super::super::reader::DecodeError::Cut;
    let told = Event::Malformed { command: CommandId::REPLACE_SM, sequence: Sequence(10), error };
    assert_eq!(mc.poll_event(START), Some(told));
    assert_eq!(
        sent(&mut mc),
        [
            (CommandId::REPLACE_SM_RESP, replaced, 8),
            (CommandId::SUBMIT_MULTI_RESP, many, 9),
            (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 10),
        ]
    );
}

#[test]
fn a_peer_of_3_3_is_sent_no_optional_parameters() {
    let (mut esme, mut mc) = bound_with(BindKind::Transceiver, INTERFACE_VERSION_3_3);
    assert_eq!((esme.version(), mc.version()), (0x33, 0x33));
    let mut tlvs = Vec::new();
    put_tlv(&mut tlvs, Tag::MESSAGE_STATE, &[2]);
    let sm = Sm { tlvs: Tlvs::new(&tlvs).unwrap(), ..message() };
    mc.deliver(START, 1, &sm).unwrap();
    esme.submit(START, 2, &sm).unwrap();
    for session in [&mc, &esme] {
        let (_, body) = split_pdu(session.pending(), 1024).unwrap().unwrap();
        assert_eq!(Sm::decode(body), Ok(message()), "the parameter is left out, the rest is as it was");
    }
    put_tlv(&mut tlvs, Tag::SAR_TOTAL_SEGMENTS, &[2]);
    let part = Sm { tlvs: Tlvs::new(&tlvs).unwrap(), ..message() };
    let before = mc.stream_end();
    assert_eq!(mc.deliver(START, 3, &part), Err(Refused::NeedsTlvs));
    assert_eq!(mc.data(START, 3, &DataSm::default()), Err(Refused::NeedsTlvs));
    assert_eq!(mc.stream_end(), before, "nothing is queued");
    assert_eq!(mc.in_flight(), 1);
}

#[test]
fn a_bind_response_of_3_3_has_no_version() {
    let check = |version, expected: Option<u8>| {
        let mut esme =
            Session::esme(&Bind { interface_version: version, ..bind() }, &Options::default(), START);
        let mut mc = Session::mc(b"carrier", &Options::default(), START);
        carry(&mut esme, &mut mc, START);
        assert!(mc.poll_event(START).is_some());
        mc.accept_bind();
        carry(&mut mc, &mut esme, START);
        let Some(Event::Bound { sc_interface_version, .. }) = esme.poll_event(START) else { panic!() };
        assert_eq!(sc_interface_version, expected, "{version:#x}");
    };
    check(0x00, None);
    check(0x33, None);
    check(0x34, Some(0x34));
    check(0x40, Some(0x34));
    check(0x50, Some(0x50));
    check(0xFF, Some(0x50));
}

#[test]
fn the_lower_version_of_the_two_holds() {
    let check = |ours, theirs: Option<u8>, expected| {
        let mut esme = Session::esme(&Bind { interface_version: ours, ..bind() }, &Options::default(), START);
        let mut pdu = Vec::new();
        let header = Header { command: CommandId::BIND_TRANSCEIVER_RESP, status: ROK, sequence: Sequence(1) };
        super::super::bind::BindResp { system_id: b"", sc_interface_version: theirs }
            .encode(header, &mut pdu);
        esme.handle_bytes(START, &pdu);
        assert!(matches!(esme.poll_event(START), Some(Event::Bound { .. })));
        assert_eq!(esme.version(), expected, "{ours:#x} and {theirs:x?}");
    };
    check(0x34, None, 0x34);
    check(0x34, Some(0x33), 0x33);
    check(0x34, Some(0x50), 0x34);
    check(0x50, Some(0x34), 0x34);
    check(0x50, Some(0x50), 0x50);
    check(0x33, Some(0x34), 0x33);
}

#[test]
fn customers_of_5_0_are_told_of_congestion() {
    for (version, told) in [(0x50, Some(80)), (0x34, None)] {
        let (mut esme, mut mc) = bound_with(BindKind::Transceiver, version);
        mc.set_congestion_state(Some(80));
        esme.submit(START, 7, &message()).unwrap();
        carry(&mut esme, &mut mc, START);
        let Some(Event::SubmitRequest { sequence, .. }) = mc.poll_event(START) else { panic!() };
        mc.answer_submit(sequence, ROK, b"1");
        // A refusal has no body but this.
        esme.submit(START, 8, &message()).unwrap();
        mc.answer_submit(Sequence(sequence.0 + 1), CommandStatus::ESME_RTHROTTLED, b"");
        carry(&mut mc, &mut esme, START);
        for (token, id) in [(7, &b"1"[..]), (8, b"")] {
            let Some(Event::SubmitAnswer { token: of, tlvs, message_id, .. }) = esme.poll_event(START) else {
                panic!()
            };
            assert_eq!((of, message_id, tlvs.congestion_state()), (token, id, told));
        }
    }
}

#[test]
fn an_mc_that_calls_is_bound_to() {
    let mut esme = Session::esme_called(&Options::default(), START);
    let mut mc = Session::mc(b"carrier", &Options::default(), START);
    assert!(esme.pending().is_empty());
    mc.outbind(&Outbind { system_id: b"carrier", password: b"secret" });
    carry(&mut mc, &mut esme, START);
    let Some(Event::OutbindRequested { outbind }) = esme.poll_event(START) else { panic!() };
    assert_eq!((outbind.system_id, outbind.password), (&b"carrier"[..], &b"secret"[..]));
    let receiver = Bind { kind: BindKind::Receiver, ..bind() };
    esme.bind(&receiver);
    esme.bind(&receiver);
    assert_eq!(sent(&mut esme), [(CommandId::BIND_RECEIVER, ROK, 1)], "once");
    let mut pdu = Vec::new();
    receiver.encode(Sequence(1), &mut pdu);
    mc.handle_bytes(START, &pdu);
    assert!(matches!(mc.poll_event(START), Some(Event::BindRequested { .. })));
    mc.accept_bind();
    carry(&mut mc, &mut esme, START);
    assert!(matches!(esme.poll_event(START), Some(Event::Bound { kind: BindKind::Receiver, .. })));
    assert!(mc.deliver(START, 1, &message()).is_ok());

    // Who does not know the caller hangs up, and nobody waits for ever.
    let mut esme = Session::esme_called(&Options::default(), START);
    esme.unbind(START);
    closes(&mut esme, CloseReason::Unbound);
    let mut esme = Session::esme_called(&Options::default(), START);
    esme.handle_timeout(START.plus(limits::SESSION_INIT));
    closes(&mut esme, CloseReason::SessionInitTimeout);
}

#[test]
fn what_has_no_response_gets_none() {
    let mut pdus = Vec::new();
    let alert =
        AlertNotification { source: Address::international(b"49151"), ..AlertNotification::default() };
    alert.encode(Sequence(5), &mut pdus);
    let alert_bytes = pdus.len();
    Outbind { system_id: b"carrier", password: b"secret" }.encode(Sequence(6), &mut pdus);
    let (mut esme, mut mc) = bound_pair(&Options::default());
    for session in [&mut esme, &mut mc] {
        session.handle_bytes(START, &pdus);
    }
    assert_eq!(esme.poll_event(START), Some(Event::Alert { alert }));
    assert_eq!(esme.poll_event(START), None, "an outbind comes too late");
    assert_eq!(mc.poll_event(START), None);
    assert_eq!((esme.counters().refused, mc.counters().refused), (1, 2));
    assert!(esme.pending().is_empty() && mc.pending().is_empty());
    // One that cannot be read is told, and not answered either.
    pdus.truncate(alert_bytes - 1);
    pdus[3] -= 1;
    esme.handle_bytes(START, &pdus);
    assert!(matches!(esme.poll_event(START), Some(Event::Malformed { .. })));
    assert!(esme.pending().is_empty());
}
