//! The life of a bind: its first bytes, its silence, and its end.

use super::*;

#[test]
fn a_node_that_stops_answers_what_it_was_asked_and_unbinds() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    esme.submit(&mut probe, 1, &hello());
    let half = part(7, 2, 1, b"hello");
    esme.submit(&mut probe, 2, &Sm { esm_class: EsmClass::UDHI, short_message: &half, ..hello() });
    probe.customers.handle_readiness(Readiness::Stopping);
    probe.settle();
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), ["2: ESME_RSYSERR (0x08) "]);
    let origin = probe.submissions()[0];
    probe.accept_message(origin, 1);
    esme.exchange(&mut probe);
    assert_eq!(esme.told()[..2], [format!("1: ESME_ROK (0x00) {}", id(1)), "unbind".to_owned()]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
    assert!(probe.customers.is_drained());
}

#[test]
fn a_customer_unbinds_when_it_has_its_answers_and_one_that_is_silent_is_asked() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.wait(wire::smpp::limits::ENQUIRE_LINK_IDLE);
    esme.exchange(&mut probe);
    probe.wait(wire::smpp::limits::RESPONSE - Duration::from_secs(1));
    assert_eq!(probe.ending(), None, "it answered");
    esme.submit(&mut probe, 1, &hello());
    probe.send(&[0, 0, 0, 16, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 77]);
    assert!(probe.output().is_empty(), "the answer is owed");
    let origin = probe.submissions()[0];
    probe.accept_message(origin, 1);
    probe.settle();
    let out = probe.output();
    assert_eq!(out[4..8], CommandId::SUBMIT_SM_RESP.0.to_be_bytes());
    assert_eq!(out[out.len() - 16..], [0, 0, 0, 16, 0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 77]);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
}

#[test]
fn a_bind_split_at_every_byte_is_the_same_bind() {
    let mut stream = Vec::new();
    bind(BindKind::Transceiver, b"dev", b"secret").encode(Sequence(1), &mut stream);
    hello().encode(CommandId::SUBMIT_SM, Sequence(2), &mut stream).unwrap();
    for split in 0..=stream.len() {
        let mut probe = Probe::connected(Protocol::Smpp);
        probe.send(&stream[..split]);
        probe.send(&stream[split..]);
        assert_eq!(probe.submissions().len(), 1, "split at {split}");
    }
}

#[test]
fn whatever_a_customer_sends_is_answered_or_ends_its_own_bind() {
    let mut stream = Vec::new();
    bind(BindKind::Transceiver, b"dev", b"secret").encode(Sequence(1), &mut stream);
    let bound = stream.len();
    for sequence in 2..6 {
        let text = part(7, 3, u8::try_from(sequence).unwrap(), b"hello");
        let sm = Sm { esm_class: EsmClass::UDHI, short_message: &text, ..hello() };
        sm.encode(CommandId::SUBMIT_SM, Sequence(sequence), &mut stream).unwrap();
    }
    // A generator of Marsaglia's, so that each run is the same.
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..2000 {
        let mut bytes = stream.clone();
        for _ in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = bound + usize::try_from(random >> 8).unwrap() % (bytes.len() - bound);
            bytes[at] = random.to_le_bytes()[0];
        }
        let mut probe = Probe::connected(Protocol::Smpp);
        let (there, later) = bytes.split_at(bytes.len() / 2);
        probe.send(there);
        probe.send(later);
        for (n, origin) in (1..).zip(probe.submissions()) {
            probe.accept_message(origin, n);
        }
        probe.settle();
        assert!(!probe.output().is_empty());
        probe.wait(Duration::from_secs(60));
        probe.close();
        assert_eq!(probe.customers.connections_count(), 0);
        let mut esmes = (2..5).map(|connection| Esme::bound(&mut probe, connection));
        assert!(esmes.all(|esme| esme.owed.is_empty()), "its place is free again");
    }
}
