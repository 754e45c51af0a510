//! What is taken in another PDU than `submit_sm`, taken back, asked about, and how full we say that we are.

use shards::api::{Cancellation, NotCancelled};

use super::super::exchange::Keys;
use super::*;

fn cancel(id: &[u8]) -> CancelSm<'_> {
    CancelSm {
        message_id: id,
        source: Address::alphanumeric(b"Acme"),
        destination: Address::international(b"4915112345678"),
        ..CancelSm::default()
    }
}

#[test]
fn a_message_is_taken_back_when_the_brain_has_done_so() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let chars = id(5).to_chars();
    let bare = CancelSm { source: Address::default(), destination: Address::default(), ..cancel(&chars) };
    for asked in [cancel(&chars), bare] {
        esme.session.cancel(probe.now.mono, 1, &asked).unwrap();
        esme.exchange(&mut probe);
    }
    assert_eq!(esme.told(), [""; 0]);
    let asked: Vec<(Origin, Cancellation)> = probe
        .asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Cancel(origin, cancellation) => Some((*origin, *cancellation)),
            _ => None,
        })
        .collect();
    let whole = Cancellation {
        account: account(),
        id: id(5),
        sender: Sender::new(b"Acme"),
        recipient: Some("+4915112345678".parse().unwrap()),
    };
    assert_eq!(asked[0].1, whole);
    assert_eq!(asked[1].1, Cancellation { sender: Sender::default(), recipient: None, ..whole });
    let mut answer = |outcome| {
        probe.reply(Reply::Cancelled { origin: asked[0].0, id: id(5), outcome });
        esme.exchange(&mut probe);
        esme.told()
    };
    assert_eq!(answer(Ok(())), ["cancel: ESME_ROK (0x00)"]);
    esme.session.cancel(probe.now.mono, 1, &cancel(&chars)).unwrap();
    esme.exchange(&mut probe);
    let Some(Asked::Cancel(origin, _)) = probe.asked.last().cloned() else { panic!() };
    let outcome = Err(NotCancelled::TooLate(State::Attempting));
    probe.reply(Reply::Cancelled { origin, id: id(5), outcome });
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), ["cancel: ESME_RCANCELFAIL (0x11)"]);
}

#[test]
fn a_data_sm_is_a_submission_whose_text_is_in_its_payload() {
    let mut probe = Probe::with_account(SmppAccount { keys: Keys::Tlv(0x1501), ..smpp_account() });
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let mut tlvs = Vec::new();
    put_tlv(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"hello");
    put_tlv(&mut tlvs, Tag::QOS_TIME_TO_LIVE, &[0, 0, 0, 90]);
    put_tlv(&mut tlvs, Tag(0x1501), b"0a1b-2c");
    let data = DataSm {
        source: Address::alphanumeric(b"Acme"),
        destination: Address::international(b"4915112345678"),
        tlvs: Tlvs::new(&tlvs).unwrap(),
        ..DataSm::default()
    };
    esme.session.data(probe.now.mono, 1, &data).unwrap();
    esme.exchange(&mut probe);
    let Some(Asked::Submit { to, text, key, validity, .. }) = probe.asked.last() else { panic!() };
    assert_eq!((&**to, &**text, &**key), ("+4915112345678", "hello", "tlv1501:0a1b-2c"));
    assert_eq!(*validity, Some(Duration::from_secs(90)));
    let origin = probe.submissions()[0];
    probe.accept_message(origin, 1);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), ["data: ESME_ROK (0x00)"]);
    let part = [&[5, 0, 3, 1, 2, 1][..], b"one half"].concat();
    let mut tlvs = Vec::new();
    put_tlv(&mut tlvs, Tag::MESSAGE_PAYLOAD, &part);
    let half = DataSm { esm_class: EsmClass::UDHI, tlvs: Tlvs::new(&tlvs).unwrap(), ..data };
    esme.session.data(probe.now.mono, 2, &half).unwrap();
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), ["data: ESME_RINVESMCLASS (0x43)"]);
}

#[test]
fn a_query_with_another_sender_finds_nothing() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let chars = id(1).to_chars();
    for (source, expected) in [(&b"Acme"[..], "ESME_ROK"), (b"", "ESME_ROK"), (b"Other", "ESME_RQUERYFAIL")] {
        let query = QuerySm { message_id: &chars, source: Address::alphanumeric(source) };
        esme.session.query(probe.now.mono, 1, &query).unwrap();
        esme.exchange(&mut probe);
        let Some(Asked::Query(origin, _)) = probe.asked.last().cloned() else { panic!() };
        let view = MessageView {
            id: id(1),
            state: State::Queued,
            recipient: "+4915112345678".parse().unwrap(),
            sender: Sender::new(b"Acme"),
            class: Class::Otp,
            segments: 1,
            send_until: WallMs(1_795_402_999_000),
            trace: Vec::new(),
        };
        probe.reply(Reply::Message { origin, account: account(), id: id(1), view: Some(Box::new(view)) });
        esme.exchange(&mut probe);
        let told = esme.told();
        assert!(told[0].starts_with(&format!("query: {expected} ")), "{told:?}");
    }
}

#[test]
fn a_customer_of_version_5_is_told_how_full_we_are() {
    let heard = |interface_version: u8| {
        let mut probe = Probe::new();
        let asked = Bind { interface_version, ..bind(BindKind::Transceiver, b"dev", b"secret") };
        let mut esme = Esme::connect(&mut probe, CONNECTION, &asked);
        probe.customers.handle_fullness(83);
        esme.submit(&mut probe, 1, &hello());
        let origin = probe.submissions()[0];
        probe.accept_message(origin, 1);
        probe.settle();
        let bytes = probe.output_of(CONNECTION);
        bytes.windows(5).any(|window| window == [0x04, 0x28, 0, 1, 83])
    };
    assert!(heard(0x50) && !heard(0x34));
}

#[test]
fn a_query_that_cannot_be_answered_now_is_to_be_repeated() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let text = id(1).to_string();
    let query = QuerySm { message_id: text.as_bytes(), source: Address::default() };
    esme.session.query(probe.now.mono, 1, &query).unwrap();
    esme.exchange(&mut probe);
    let Some(Asked::Query(origin, _)) = probe.asked.last().cloned() else { panic!() };
    probe.refuse_query(origin);
    esme.exchange(&mut probe);
    let told = esme.told().remove(0);
    assert!(told.starts_with("query: ESME_RTHROTTLED (0x58)"), "{told}");
}

#[test]
fn a_query_is_answered_with_the_state_and_when_it_was_reached() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let mut ask = |probe: &mut Probe, state: Option<State>| {
        let text = id(1).to_string();
        let query = QuerySm { message_id: text.as_bytes(), source: Address::default() };
        esme.session.query(probe.now.mono, 1, &query).unwrap();
        esme.exchange(probe);
        let Some(Asked::Query(origin, asked)) = probe.asked.last().cloned() else { panic!() };
        assert_eq!(asked, id(1));
        let step = Step {
            at: WallMs(1_795_402_975_300),
            kind: StepKind::Fated,
            attempt: 1,
            part: 0,
            why: Why::Receipt,
            carrier: None,
            code: 0,
            carrier_message_id: Box::default(),
        };
        let view = state.map(|state| MessageView {
            id: id(1),
            state,
            recipient: "+4915112345678".parse().unwrap(),
            sender: Sender::new(b"Acme"),
            class: Class::Otp,
            segments: 1,
            send_until: WallMs(0),
            trace: vec![step],
        });
        probe.reply(Reply::Message {
            origin,
            account: account(),
            id: wire::id::MessageId(4),
            view: view.map(Box::new),
        });
        esme.exchange(probe);
        esme.told().remove(0)
    };
    assert_eq!(ask(&mut probe, Some(State::Sent)), "query: ESME_ROK (0x00) Some((Enroute, \"\"))");
    assert_eq!(
        ask(&mut probe, Some(State::Final(Fate::Failed))),
        "query: ESME_ROK (0x00) Some((Undeliverable, \"261123030255300+\"))"
    );
    assert!(ask(&mut probe, None).starts_with("query: ESME_RQUERYFAIL (0x67)"));
    let mut other = Esme::bound(&mut probe, 2);
    let unknown = QuerySm { message_id: b"17", source: Address::default() };
    other.session.query(probe.now.mono, 1, &unknown).unwrap();
    other.exchange(&mut probe);
    assert!(other.told()[0].starts_with("query: ESME_RINVMSGID (0x0C)"));
}
