//! What is submitted: when it is answered, with what, and how parts become one message.

use super::*;

#[test]
fn an_id_is_told_when_the_message_is_durable_and_not_before() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let mut tlvs = Vec::new();
    put_tlv(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, &[0, 7]);
    let sm = Sm { tlvs: Tlvs::new(&tlvs).unwrap(), validity_period: b"000000000130000R", ..hello() };
    esme.submit(&mut probe, 9, &sm);
    assert_eq!(esme.told(), [""; 0]);
    let Some(Asked::Submit { to, text, key, class, validity, .. }) = probe.asked.last() else { panic!() };
    assert_eq!((&**to, &**text, &**key), ("+4915112345678", "hello", "smpp:0007:Acme"));
    assert_eq!((*class, *validity), (None, Some(Duration::from_secs(90))));
    let origin = probe.submissions()[0];
    probe.accept_message(origin, 1);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [format!("9: ESME_ROK (0x00) {}", id(1))]);
}

#[test]
fn each_refusal_has_its_status_and_a_full_window_is_throttled() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let statuses = Refusal::ALL.map(|refusal| {
        esme.submit(&mut probe, 1, &hello());
        let origin = *probe.submissions().last().unwrap();
        probe.answer(origin, Err(refusal));
        esme.exchange(&mut probe);
        let told = esme.told().remove(0);
        u32::from_str_radix(told.split("0x").nth(1).unwrap().split(')').next().unwrap(), 16).unwrap()
    });
    let for_good = [0xC4, 0x0B, 0x01, 0x0A, 0x0A, 0xC4, 0x62, 0x45];
    let for_now = [0x14, 0x14, 0x14, 0x14, 0x58, 0x14, 0x58, 0x08, 0x08, 0x08];
    assert_eq!(statuses[..8], for_good);
    assert_eq!(statuses[8..], for_now);
    (0..5).for_each(|token| esme.submit(&mut probe, token, &hello()));
    assert_eq!(esme.told(), ["4: ESME_RTHROTTLED (0x58) "]);
    assert_eq!(probe.customers.counts().smpp_throttled, 1);
    let origin = *probe.submissions().last().unwrap();
    probe.accept_message(origin, 1);
    esme.submit(&mut probe, 5, &hello());
    assert_eq!(esme.told().len(), 1, "there was room again");
}

#[test]
fn what_cannot_be_kept_is_refused_and_never_asked() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    esme.submit(&mut probe, 1, &Sm { data_coding: DataCoding::BINARY, ..hello() });
    esme.submit(&mut probe, 2, &Sm { destination: Address::international(b"x"), ..hello() });
    esme.session.data(probe.now.mono, 3, &DataSm::default()).unwrap();
    // A group of messages, which are not taken back.
    esme.session.cancel(probe.now.mono, 4, &CancelSm::default()).unwrap();
    let nonsense = CancelSm { message_id: b"17", ..CancelSm::default() };
    esme.session.cancel(probe.now.mono, 5, &nonsense).unwrap();
    esme.exchange(&mut probe);
    assert_eq!(
        esme.told(),
        [
            "1: ESME_RINVDCS (0x104) ",
            "2: ESME_RINVDSTADR (0x0B) ",
            "data: ESME_RINVDSTADR (0x0B)",
            "cancel: ESME_RCANCELFAIL (0x11)",
            "cancel: ESME_RINVMSGID (0x0C)"
        ]
    );
    assert_eq!((probe.submissions().len(), probe.customers.counts().messages_malformed), (0, 3));
    // submit_multi: refused in its own words, and one without a body by a generic_nack.
    let mut multi = Vec::new();
    SubmitMulti::default().encode(Sequence(98), &mut multi).unwrap();
    probe.send(&multi);
    let out = probe.output();
    assert_eq!(out[4..16], [0x80, 0, 0, 0x21, 0, 0, 0, 3, 0, 0, 0, 98]);
    probe.send(&[0, 0, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 99]);
    let out = probe.output();
    assert_eq!(out[4..16], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 99]);
}

#[test]
fn parts_become_one_message_and_each_is_answered_when_that_is_durable() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    // The second part comes first, and an escape pair is split between the two.
    let (first, second) = (part(7, 2, 1, b"hello \x1B"), part(7, 2, 2, b"\x65 world"));
    let sm = Sm { esm_class: EsmClass::UDHI, ..hello() };
    esme.submit(&mut probe, 2, &Sm { short_message: &second, ..sm });
    assert_eq!(probe.submissions(), []);
    esme.submit(&mut probe, 1, &Sm { short_message: &first, ..sm });
    let Some(Asked::Submit { text, origin, .. }) = probe.asked.last().cloned() else { panic!() };
    assert_eq!((&*text, esme.told().len()), ("hello € world", 0));
    probe.accept_message(origin, 1);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [2, 1].map(|token| format!("{token}: ESME_ROK (0x00) {}", id(1))));
}

#[test]
fn parts_that_wait_in_vain_are_refused() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let sm = Sm { esm_class: EsmClass::UDHI, ..hello() };
    let first = part(7, 2, 1, b"hello");
    esme.submit(&mut probe, 1, &Sm { short_message: &first, ..sm });
    // Sent again it is the same part; another text in its place is not.
    esme.submit(&mut probe, 2, &Sm { short_message: &first, ..sm });
    esme.submit(&mut probe, 3, &Sm { short_message: &part(7, 2, 1, b"other"), ..sm });
    assert_eq!(esme.told(), ["3: ESME_RSUBMITFAIL (0x45) "]);
    probe.wait(SMPP_WHOLE_WAIT);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), ["1: ESME_RSUBMITFAIL (0x45) ", "2: ESME_RSUBMITFAIL (0x45) "]);
    assert_eq!(probe.customers.counts().smpp_parts_expired, 2);
    // A whole text that is none in its alphabet: both parts are refused.
    esme.submit(&mut probe, 4, &Sm { short_message: &part(8, 2, 1, b"hello\x1B"), ..sm });
    esme.submit(&mut probe, 5, &Sm { short_message: &part(8, 2, 2, b"world"), ..sm });
    assert_eq!(esme.told(), ["4: ESME_RINVDCS (0x104) ", "5: ESME_RINVDCS (0x104) "]);
    esme.submit(&mut probe, 6, &Sm { short_message: &part(9, 33, 1, b"hello"), ..sm });
    assert_eq!(esme.told(), ["6: ESME_RINVMSGLEN (0x01) "]);
    assert_eq!(probe.submissions(), []);
    assert!(!probe.customers.is_drained(), "the bind stands");
}

#[test]
fn a_bind_holds_so_many_texts_and_no_more() {
    let mut account = smpp_account();
    account.window_pdus_max = 200;
    let mut probe = Probe::with_account(account);
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    for reference in 0..=u8::try_from(SMPP_TEXTS_MAX).unwrap() {
        let first = part(reference, 2, 1, b"hello");
        esme.submit(
            &mut probe,
            u64::from(reference),
            &Sm { esm_class: EsmClass::UDHI, short_message: &first, ..hello() },
        );
    }
    assert_eq!(esme.told(), [format!("{SMPP_TEXTS_MAX}: ESME_RSUBMITFAIL (0x45) ")]);
}
