//! Customers that do not answer what they are told as they should.

use wire::smpp::limits::RESPONSE;

use super::super::super::super::limits::STALL_WAIT;
use super::*;

/// The answer to the receipt with this number.
fn answers(number: u32) -> Vec<u8> {
    raw(CommandId::DELIVER_SM_RESP, number, &[0])
}

#[test]
fn one_that_answers_late_was_told_again_and_what_it_answered_is_acknowledged_once() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    probe.reply(fate(1, 1, Fate::Delivered));
    let first = rude.receipts(&mut probe);
    neighbour.lives_for(&mut probe, RESPONSE);
    let second = rude.receipts(&mut probe);
    assert_eq!((first.len(), second.len(), acknowledged(&probe)), (1, 1, vec![]));
    probe.send(&answers(first[0]));
    assert_eq!(acknowledged(&probe), [1]);
    probe.send(&answers(second[0]));
    neighbour.lives_for(&mut probe, RESPONSE);
    assert_eq!((rude.receipts(&mut probe), acknowledged(&probe)), (vec![], vec![1]), "it is told no more");
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_answers_twice_has_answered_once() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    (1..=2).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    let [one, other] = rude.receipts(&mut probe)[..] else { panic!() };
    probe.send(&[answers(one), answers(one), answers(one)].concat());
    assert_eq!(acknowledged(&probe), [1], "the other is not answered");
    probe.send(&answers(other));
    assert_eq!((acknowledged(&probe), rude.hears(&mut probe)), (vec![1, 2], vec![]));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_answers_what_it_was_not_told_has_answered_nothing() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    probe.reply(fate(1, 1, Fate::Delivered));
    let [number] = rude.receipts(&mut probe)[..] else { panic!() };
    // Unknown numbers, and answers of another type with the right one.
    probe.send(&[answers(number + 1), answers(0), answers(u32::MAX)].concat());
    let others = [CommandId::SUBMIT_SM_RESP, CommandId::DATA_SM_RESP, CommandId::QUERY_SM_RESP];
    probe.send(&others.map(|command| raw(command, number, &[0])).concat());
    assert_eq!((rude.hears(&mut probe), acknowledged(&probe), end_of(&mut probe)), (vec![], vec![], None));
    neighbour.lives_for(&mut probe, RESPONSE);
    let [again] = rude.receipts(&mut probe)[..] else { panic!("it is not told again") };
    probe.send(&answers(again));
    assert_eq!(acknowledged(&probe), [1]);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_knows_no_receipts_is_rid_of_them_by_a_nack() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    (1..=2).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    let [one, other] = rude.receipts(&mut probe)[..] else { panic!() };
    probe.send(&bare(CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, one));
    assert_eq!((acknowledged(&probe), probe.customers.counts().smpp_receipts_refused), (vec![1], 1));
    // A nack that says that all is well says nothing: it is told again.
    probe.send(&bare(CommandId::GENERIC_NACK, OK, other));
    neighbour.lives_for(&mut probe, SMPP_RECEIPT_AGAIN);
    let [again] = rude.receipts(&mut probe)[..] else { panic!("it is not told again") };
    probe.send(&answers(again));
    assert_eq!(acknowledged(&probe), [1, 2]);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_whose_nack_has_no_number_is_let_go_and_another_bind_is_told() {
    let mut probe = Probe::new();
    let mut rude = Rude::bound(&mut probe);
    let mut neighbour = Neighbour::that_receives(&mut probe);
    (1..=8).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    let its_own = rude.receipts(&mut probe).len();
    assert_eq!((its_own, neighbour.receipts(&mut probe)), (4, 4), "a window has four");
    probe.send(&bare(CommandId::GENERIC_NACK, CommandStatus::ESME_RUNKNOWNERR, 0));
    assert_eq!((rude.hears(&mut probe), end_of(&mut probe)), (vec![], Some(Ending::AfterOutput)));
    assert_eq!(neighbour.receipts(&mut probe), its_own);
    assert_eq!(acknowledged(&probe).last(), Some(&8));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_never_answers_is_passed_over_until_it_does() {
    let mut probe = Probe::new();
    let mut rude = Rude::bound(&mut probe);
    let mut neighbour = Neighbour::that_receives(&mut probe);
    (1..=20).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    let its_own = rude.receipts(&mut probe);
    assert_eq!((its_own.len(), neighbour.receipts(&mut probe)), (4, 16), "its window, and all else");
    neighbour.lives_for(&mut probe, RESPONSE);
    assert_eq!((rude.receipts(&mut probe), neighbour.receipts(&mut probe)), (vec![], 4));
    assert_eq!(acknowledged(&probe).last(), Some(&20));
    // It says that it is there all the while, and is told nothing that might get stuck with it.
    (21..=30).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    assert_eq!((rude.receipts(&mut probe), neighbour.receipts(&mut probe)), (vec![], 10));
    // It answers at last; of those that are late a session remembers half a window.
    probe.send(&its_own.into_iter().flat_map(answers).collect::<Vec<_>>());
    (31..=38).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    assert_eq!((rude.receipts(&mut probe).len(), neighbour.receipts(&mut probe)), (4, 4), "it has answered");
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_never_answers_is_told_all_again_when_nobody_else_is_there() {
    let mut probe = Probe::new();
    let mut rude = Rude::bound(&mut probe);
    let mut neighbour = Neighbour::that_receives(&mut probe);
    (1..=8).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    assert_eq!(rude.receipts(&mut probe).len(), 4);
    neighbour.lives_for(&mut probe, RESPONSE);
    assert_eq!((neighbour.receipts(&mut probe), acknowledged(&probe).last()), (8, Some(&8)));
    probe.reply(fate(9, 9, Fate::Delivered));
    neighbour.0.exchange(&mut probe);
    assert_eq!((rude.receipts(&mut probe), neighbour.0.owed.len()), (vec![], 1));
    probe.close_on(NEIGHBOUR);
    let told = rude.receipts(&mut probe);
    assert_eq!(told.len(), 1);
    probe.send(&answers(told[0]));
    assert_eq!(acknowledged(&probe).last(), Some(&9));
}

#[test]
fn one_that_does_not_read_what_it_is_told_is_let_go_and_another_bind_is_told() {
    let mut probe = Probe::new();
    Rude::bound(&mut probe);
    (1..=10).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    probe.settle();
    let mut neighbour = Neighbour::that_receives(&mut probe);
    let others = neighbour.receipts(&mut probe);
    assert_eq!(others, 6, "all but those of its window");
    neighbour.lives_for(&mut probe, STALL_WAIT);
    assert_eq!(end_of(&mut probe), Some(Ending::AtOnce));
    probe.close();
    neighbour.takes_receipts(&mut probe);
    assert_eq!(acknowledged(&probe).last(), Some(&10));
    neighbour.is_undisturbed(&mut probe);
}
