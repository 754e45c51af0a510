//! Customers that do not bind as they should.

use super::super::super::super::limits::SMPP_BAD_BINDS_FREE;
use super::*;

#[test]
fn one_that_submits_before_it_binds_is_told_so_and_may_still_bind() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::connected(&mut probe);
    probe.send(&[submits(5), bare(CommandId::ENQUIRE_LINK, OK, 6)].concat());
    assert_eq!(
        rude.hears(&mut probe),
        [
            (CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 5),
            (CommandId::ENQUIRE_LINK_RESP, OK, 6)
        ]
    );
    probe.send(&[binds(BindKind::Transceiver, 7), submits(8)].concat());
    assert_eq!(rude.hears(&mut probe), [(CommandId::BIND_TRANSCEIVER_RESP, OK, 7)]);
    assert_eq!(asked_by_it(&probe).len(), 1, "the second");
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_binds_twice_keeps_its_first_bind() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let mut wrong = Vec::new();
    bind(BindKind::Transceiver, b"dev", b"guess").encode(Sequence(9), &mut wrong);
    probe.send(&[wrong, binds(BindKind::Receiver, 10)].concat());
    let already = CommandStatus::ESME_RALYBND;
    assert_eq!(
        rude.hears(&mut probe),
        [(CommandId::BIND_TRANSCEIVER_RESP, already, 9), (CommandId::BIND_RECEIVER_RESP, already, 10)]
    );
    assert_eq!((probe.customers.counts().smpp_binds, probe.customers.counts().unauthorized), (2, 0));
    probe.send(&submits(11));
    assert_eq!(asked_by_it(&probe).len(), 1, "it may go on");
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_whose_bind_was_refused_has_no_second_try_on_its_connection() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::connected(&mut probe);
    let mut wrong = Vec::new();
    bind(BindKind::Transceiver, b"dev", b"guess").encode(Sequence(1), &mut wrong);
    // All in one breath.
    probe.send(&[wrong, binds(BindKind::Transceiver, 2), submits(3)].concat());
    let refused = (CommandId::BIND_TRANSCEIVER_RESP, CommandStatus::ESME_RINVPASWD, 1);
    assert_eq!(rude.hears(&mut probe), [refused]);
    assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
    probe.send(&[binds(BindKind::Transceiver, 4), submits(5)].concat());
    assert_eq!(rude.hears(&mut probe), []);
    assert_eq!((probe.customers.counts().smpp_binds, asked_by_it(&probe).len()), (1, 0));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_guesses_over_and_over_ends_no_bind_that_stands() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::that_receives(&mut probe);
    for _ in 0..10 * SMPP_BAD_BINDS_FREE {
        let mut rude = Rude::connected(&mut probe);
        let mut wrong = Vec::new();
        bind(BindKind::Transceiver, b"dev", b"guess").encode(Sequence(1), &mut wrong);
        probe.send(&wrong);
        let (command, status, _) = rude.hears(&mut probe)[0];
        assert!(command == CommandId::BIND_TRANSCEIVER_RESP && status != OK);
        assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
        probe.close();
    }
    assert_eq!(probe.customers.counts().smpp_binds_refused, u64::from(10 * SMPP_BAD_BINDS_FREE));
    probe.reply(fate(1, 1, Fate::Delivered));
    assert_eq!(neighbour.receipts(&mut probe), 1);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_submits_on_a_receivers_bind_is_told_so() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::connected(&mut probe);
    probe.send(&[binds(BindKind::Receiver, 1), submits(2)].concat());
    assert_eq!(
        rude.hears(&mut probe),
        [
            (CommandId::BIND_RECEIVER_RESP, OK, 1),
            (CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 2)
        ]
    );
    probe.reply(fate(1, 1, Fate::Delivered));
    assert_eq!(rude.receipts(&mut probe).len(), 1, "it is told what it bound for");
    assert_eq!(asked_by_it(&probe), []);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_binds_octet_by_octet_has_no_longer_than_others() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::connected(&mut probe);
    let whole = binds(BindKind::Transceiver, 1);
    let mut octets = whole.chunks(1);
    let end = probe.now.mono.plus(wire::smpp::limits::SESSION_INIT);
    while probe.now.mono < end {
        assert_eq!(end_of(&mut probe), None);
        probe.send(octets.next().unwrap());
        neighbour.lives_for(&mut probe, Duration::from_secs(1));
    }
    assert_eq!((rude.hears(&mut probe), end_of(&mut probe)), (vec![], Some(Ending::AfterOutput)));
    assert_eq!(probe.customers.counts().timeouts, 1);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_comes_and_goes_leaves_nothing_behind() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    for n in 1..=100 {
        Rude::bound(&mut probe);
        probe.send(&submits(2));
        probe.reply(fate(n, n, Fate::Delivered));
        probe.settle();
        probe.close();
    }
    let count = |is_it: fn(&Asked) -> bool| probe.asked.iter().filter(|asked| is_it(asked)).count();
    let subscribed = count(|asked| matches!(asked, Asked::Subscribe(..)));
    let unsubscribed = count(|asked| matches!(asked, Asked::Unsubscribe(_)));
    assert_eq!((subscribed, unsubscribed, asked_by_it(&probe).len()), (100, 100, 100));
    assert_eq!((probe.customers.connections_count(), acknowledged(&probe).len()), (1, 0));
    Esme::bound(&mut probe, 5);
    Esme::bound(&mut probe, 6);
    neighbour.is_undisturbed(&mut probe);
}
