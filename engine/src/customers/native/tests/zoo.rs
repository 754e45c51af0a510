//! The zoo: each way in which a client of this protocol misbehaves, alone and always, and what becomes of it and of its neighbour.

use super::super::super::limits::{OUTPUT_BYTES_MAX, STALL_WAIT};
use super::*;

/// The connection of a client that behaves.
const NEIGHBOUR: u64 = 99;

/// A side with a client that misbehaves, whose session is open, and its neighbour's.
fn both_open() -> Probe {
    let mut probe = open();
    probe.accept(NEIGHBOUR, Protocol::Native);
    probe.send_on(NEIGHBOUR, &hello());
    assert_eq!(only(&probe.output_of(NEIGHBOUR)).kind, Kind::Welcome);
    probe
}

/// The neighbour submits and is answered, as if nobody else were there.
fn is_undisturbed(probe: &mut Probe) {
    probe.send_on(NEIGHBOUR, &submit(70, &[ITEM]));
    let origin = *probe.submissions().last().unwrap();
    assert_eq!(origin.connection, NEIGHBOUR);
    probe.accept_message(origin, 9);
    probe.settle();
    let out = probe.output_of(NEIGHBOUR);
    let answers = Answers::read(only(&out)).unwrap();
    assert_eq!((answers[0].number.get(), answers[0].id.get()), (70, id(9).0));
}

/// How the other's connection ends, if it does.
fn end_of(probe: &mut Probe) -> Option<Ending> {
    let mut ends = std::iter::from_fn(|| probe.customers.poll_close());
    let end = ends.find(|(connection, _)| *connection == CONNECTION).map(|(_, ending)| ending);
    assert!(ends.all(|(connection, _)| connection == CONNECTION), "only it ends");
    end
}

/// Time passes, in which the neighbour says that it is there.
fn wait(probe: &mut Probe, time: Duration) {
    let end = probe.now.mono.plus(time);
    while probe.now.mono < end {
        probe.wait(Duration::from_secs(1));
        let mut pong = Vec::new();
        Frame::write(Kind::Pong, 0, &[], &mut pong);
        probe.send_on(NEIGHBOUR, &pong);
    }
}

#[test]
fn one_that_asks_without_end_and_takes_nothing_is_read_no_more_and_then_let_go() {
    let mut probe = both_open();
    let mut pings = Vec::new();
    (0..1000).for_each(|number| Frame::write(Kind::Ping, number, &[], &mut pings));
    let mut said = 0;
    while probe.customers.wants_reading(CONNECTION) {
        probe.send(&pings);
        said += pings.len();
        assert!(said <= OUTPUT_BYTES_MAX + pings.len(), "{said} bytes were read, and none were taken");
    }
    wait(&mut probe, STALL_WAIT - Duration::from_secs(1));
    assert_eq!(end_of(&mut probe), None);
    wait(&mut probe, Duration::from_secs(1));
    assert_eq!((end_of(&mut probe), probe.customers.counts().timeouts), (Some(Ending::AtOnce), 1));
    probe.close();
    is_undisturbed(&mut probe);
}

#[test]
fn one_that_takes_no_answers_is_let_go_and_its_messages_are_taken() {
    let mut probe = both_open();
    probe.send(&submit(0, &[ITEM; 4]));
    let asked = probe.submissions();
    for (n, &origin) in (1..).zip(&asked) {
        probe.accept_message(origin, n);
    }
    probe.settle();
    // It has no credits back that it knows of; it submits all the same, and the brain takes what it is given.
    probe.send(&submit(4, &[ITEM; 4]));
    assert_eq!(probe.submissions().len(), 8);
    wait(&mut probe, STALL_WAIT);
    assert_eq!(end_of(&mut probe), Some(Ending::AtOnce));
    probe.close();
    for &origin in &probe.submissions()[4..] {
        probe.accept_message(origin, 5);
    }
    probe.settle();
    assert_eq!(probe.customers.connections_count(), 1, "answers to nobody are let go");
    is_undisturbed(&mut probe);
}

#[test]
fn one_that_goes_in_the_middle_of_a_frame_has_not_sent_it() {
    let whole = submit(7, &[ITEM]);
    for cut in 1..whole.len() {
        let mut probe = both_open();
        probe.send(&submit(1, &[ITEM]));
        probe.send(&whole[..cut]);
        probe.close();
        assert_eq!(probe.submissions().len(), 1, "cut at {cut}");
        let origin = probe.submissions()[0];
        probe.accept_message(origin, 1);
        probe.settle();
        assert_eq!(probe.customers.connections_count(), 1);
        is_undisturbed(&mut probe);
    }
}

#[test]
fn one_that_sends_its_hello_octet_by_octet_has_no_longer_than_others() {
    let mut probe = both_open();
    probe.close();
    probe.accept(CONNECTION, Protocol::Native);
    let whole = hello();
    let mut octets = whole.chunks(1);
    let end = probe.now.mono.plus(HELLO_WAIT);
    while probe.now.mono < end {
        assert_eq!(end_of(&mut probe), None);
        probe.send(octets.next().unwrap());
        wait(&mut probe, Duration::from_secs(1));
    }
    let out = probe.output();
    let reject = Reject::read(only(&out)).unwrap();
    assert_eq!((reject.code, reject.reason), (Reject::FRAME, "expected a Hello within 5 s"));
    assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
    is_undisturbed(&mut probe);
}

#[test]
fn one_that_guesses_keys_has_one_try_on_a_connection() {
    let mut probe = both_open();
    for n in 1..100 {
        probe.close();
        probe.accept(CONNECTION, Protocol::Native);
        let mut guess = Vec::new();
        Hello { version_min: 1, version_max: 3, account: "dev", key: "a guess" }.write(&mut guess);
        probe.send(&[guess, hello(), submit(0, &[ITEM])].concat());
        let out = probe.output();
        assert_eq!(Reject::read(only(&out)).unwrap().code, Reject::CREDENTIALS);
        assert_eq!((end_of(&mut probe), probe.submissions()), (Some(Ending::AfterOutput), vec![]));
        assert_eq!(probe.customers.counts().unauthorized, n);
    }
    is_undisturbed(&mut probe);
}
