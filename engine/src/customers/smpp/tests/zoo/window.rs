//! Customers that send more than they may, take less than they are sent, or go in between.

use super::super::super::super::limits::{OUTPUT_BYTES_MAX, STALL_WAIT};
use super::*;

/// Octets that a customer that takes nothing can have us keep: what it is sent, in two places, and what it sent.
const KEPT_MAX: usize =
    OUTPUT_BYTES_MAX + wire::smpp::limits::OUTPUT_BYTES_MAX + wire::smpp::limits::INPUT_BYTES_HIGH;

#[test]
fn one_that_bursts_far_beyond_its_window_is_answered_for_each() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let burst: Vec<u8> = (1..=1000).flat_map(submits).collect();
    probe.send(&burst);
    assert_eq!((asked_by_it(&probe).len(), probe.customers.counts().smpp_throttled), (4, 996));
    let throttled = |number| (CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RTHROTTLED, number);
    assert_eq!(rude.hears(&mut probe), (5..=1000).map(throttled).collect::<Vec<_>>());
    neighbour.is_undisturbed(&mut probe);
    for (n, origin) in (1..).zip(asked_by_it(&probe)) {
        probe.accept_message(origin, n);
    }
    probe.settle();
    assert_eq!(rude.hears(&mut probe), [1, 2, 3, 4].map(|number| (CommandId::SUBMIT_SM_RESP, OK, number)));
    probe.send(&submits(1001));
    assert_eq!(asked_by_it(&probe).len(), 5, "there is room again");
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_asks_without_end_whether_we_are_there_is_told_each_time() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let asked = probe.asked.len();
    for first in (0..100_000).step_by(1000) {
        let questions: Vec<u8> =
            (first..first + 1000).flat_map(|number| bare(CommandId::ENQUIRE_LINK, OK, number)).collect();
        probe.send(&questions);
        let answers = (first..first + 1000).map(|number| (CommandId::ENQUIRE_LINK_RESP, OK, number));
        assert_eq!(rude.hears(&mut probe), answers.collect::<Vec<_>>());
    }
    assert_eq!(probe.asked.len(), asked, "the brain has heard nothing of it");
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_never_takes_its_answers_is_read_no_more_and_then_let_go() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    Rude::bound(&mut probe);
    probe.send(&submits(2));
    let questions = bare(CommandId::ENQUIRE_LINK, OK, 3).repeat(1000);
    let mut said = 0;
    while probe.customers.wants_reading(CONNECTION) {
        probe.send(&questions);
        said += questions.len();
        assert!(said <= KEPT_MAX, "{said} octets were read, and none were taken");
    }
    let origin = asked_by_it(&probe)[0];
    probe.accept_message(origin, 1);
    neighbour.lives_for(&mut probe, STALL_WAIT - Duration::from_secs(1));
    assert_eq!(end_of(&mut probe), None);
    neighbour.lives_for(&mut probe, Duration::from_secs(1));
    assert_eq!((end_of(&mut probe), probe.customers.counts().timeouts), (Some(Ending::AtOnce), 1));
    probe.close();
    assert_eq!(probe.customers.connections_count(), 1);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_goes_in_mid_window_is_known_by_its_keys_when_it_is_back() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut stream = Vec::new();
    for number in 2..6_u32 {
        let mut tlvs = Vec::new();
        put_tlv(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, &number.to_be_bytes()[2..]);
        let sm = Sm { tlvs: Tlvs::new(&tlvs).unwrap(), ..hello() };
        sm.encode(CommandId::SUBMIT_SM, Sequence(number), &mut stream).unwrap();
    }
    let keys = |probe: &Probe| {
        let key = |asked: &Asked| match asked {
            Asked::Submit { key, .. } => Some(key.clone()),
            _ => None,
        };
        probe.asked.iter().filter_map(key).collect::<Vec<_>>()
    };
    Rude::bound(&mut probe);
    // The last octet of the fourth does not come.
    probe.send(&stream[..stream.len() - 1]);
    probe.close();
    let first = asked_by_it(&probe);
    assert_eq!(keys(&probe), ["smpp:0002:Acme", "smpp:0003:Acme", "smpp:0004:Acme"]);
    for (n, origin) in (1..).zip(first) {
        probe.accept_message(origin, n);
    }
    probe.settle();
    assert_eq!(probe.customers.connections_count(), 1, "answers to nobody are let go");
    let mut rude = Rude::bound(&mut probe);
    probe.send(&stream);
    assert_eq!(keys(&probe)[3..], ["smpp:0002:Acme", "smpp:0003:Acme", "smpp:0004:Acme", "smpp:0005:Acme"]);
    for (n, origin) in (1..).zip(asked_by_it(&probe).split_off(3)) {
        probe.accept_message(origin, n);
    }
    probe.settle();
    assert_eq!(rude.hears(&mut probe).len(), 4);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_sends_the_parts_of_a_text_over_two_binds_has_sent_no_text() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let half = |number| part(7, 2, number, b"hello");
    let sm = Sm { esm_class: EsmClass::UDHI, ..hello() };
    let (one, other) = (half(1), half(2));
    let mut first = Vec::new();
    Sm { short_message: &one, ..sm }.encode(CommandId::SUBMIT_SM, Sequence(2), &mut first).unwrap();
    probe.send(&first);
    neighbour.0.submit(&mut probe, 3, &Sm { short_message: &other, ..sm });
    neighbour.lives_for(&mut probe, SMPP_WHOLE_WAIT);
    let refused = (CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RSUBMITFAIL, 2);
    assert_eq!(rude.hears(&mut probe), [refused]);
    assert_eq!(neighbour.0.told(), ["3: ESME_RSUBMITFAIL (0x45) "]);
    assert_eq!(probe.submissions(), []);
    // What was begun goes with its bind: the other half completes nothing.
    probe.send(&first);
    probe.close();
    let mut rude = Rude::bound(&mut probe);
    let mut second = Vec::new();
    Sm { short_message: &other, ..sm }.encode(CommandId::SUBMIT_SM, Sequence(4), &mut second).unwrap();
    probe.send(&second);
    assert_eq!((rude.hears(&mut probe), probe.submissions()), (vec![], vec![]));
    neighbour.is_undisturbed(&mut probe);
}
