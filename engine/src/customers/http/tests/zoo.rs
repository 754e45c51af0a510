//! The zoo: each way in which a client of HTTP misbehaves, alone and always, and what becomes of it and of its neighbour.

use super::super::super::limits::{HEAD_BYTES_MAX, REQUEST_WAIT};
use super::*;

/// The connection of a client that behaves.
const NEIGHBOUR: u64 = 99;

/// A side with a client that misbehaves, and its neighbour.
fn both() -> Probe {
    let mut probe = probe();
    probe.accept(NEIGHBOUR, Protocol::Http);
    probe
}

/// The neighbour submits and is answered, as if nobody else were there.
fn is_undisturbed(probe: &mut Probe) {
    probe.send_on(NEIGHBOUR, post(LEAST).as_bytes());
    let origin = *probe.submissions().last().unwrap();
    assert_eq!(origin.connection, NEIGHBOUR);
    probe.accept_message(origin, 9);
    probe.settle();
    let answer = String::from_utf8(probe.output_of(NEIGHBOUR)).unwrap();
    assert_eq!(split(&answer).0, 202);
    assert!(answer.contains(&id(9).to_string()), "{answer}");
}

#[test]
fn one_that_goes_in_the_middle_of_a_request_has_not_sent_it() {
    let whole = post(LEAST);
    for cut in 0..whole.len() {
        let mut probe = both();
        probe.send(&whole.as_bytes()[..cut]);
        probe.close();
        assert_eq!((probe.submissions(), probe.customers.connections_count()), (vec![], 1), "cut at {cut}");
        is_undisturbed(&mut probe);
    }
}

#[test]
fn one_that_goes_before_its_answers_has_been_taken_at_its_word() {
    let mut probe = both();
    let keyed = r#"{"to":"+4915112345678","text":"hello","key":"order-7"}"#;
    probe.send(post(keyed).repeat(3).as_bytes());
    let asked = probe.submissions();
    assert_eq!(asked.len(), 3, "its repetitions are the brain's to know");
    probe.accept_message(asked[0], 1);
    probe.settle();
    probe.close();
    for &origin in &asked[1..] {
        probe.accept_message(origin, 1);
    }
    probe.settle();
    assert_eq!(
        (probe.ending(), probe.customers.connections_count()),
        (None, 1),
        "answers to nobody are let go"
    );
    is_undisturbed(&mut probe);
}

#[test]
fn one_that_writes_a_request_octet_by_octet_has_no_longer_than_others() {
    let mut probe = both();
    let whole = post(LEAST);
    let mut octets = whole.as_bytes().chunks(1);
    let end = probe.now.mono.plus(REQUEST_WAIT);
    while probe.now.mono < end {
        assert_eq!(probe.ending(), None);
        probe.send(octets.next().unwrap());
        probe.wait(Duration::from_secs(1));
    }
    assert_eq!((statuses(&probe.text()), probe.ending()), (vec![408], Some(Ending::AfterOutput)));
    is_undisturbed(&mut probe);
}

#[test]
fn one_whose_head_has_no_end_is_refused_before_it_is_kept() {
    let mut probe = both();
    probe.send(b"GET /healthz HTTP/1.1\r\n");
    let mut said = 0;
    while said <= HEAD_BYTES_MAX && probe.customers.wants_reading(CONNECTION) {
        let field = b"X-Junk: whatever it is that nobody wants to know\r\n";
        probe.send(field);
        said += field.len();
    }
    assert_eq!((statuses(&probe.text()), probe.ending()), (vec![431], Some(Ending::AfterOutput)));
    is_undisturbed(&mut probe);
}

#[test]
fn one_that_guesses_keys_is_refused_each_and_asks_nothing() {
    let mut probe = both();
    let guess = post(LEAST).replace(KEY, "a-guess");
    for n in 1..=100 {
        probe.send(guess.as_bytes());
        assert_eq!(statuses(&probe.text()), [401]);
        assert_eq!((probe.customers.counts().unauthorized, probe.submissions()), (n, vec![]));
        if probe.ending().is_some() {
            probe.close();
            probe.accept(CONNECTION, Protocol::Http);
        }
    }
    is_undisturbed(&mut probe);
}
