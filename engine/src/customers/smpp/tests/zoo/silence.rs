//! Customers that fall silent, and those that leave as they should not.

use wire::smpp::limits::{ENQUIRE_LINK_IDLE, RESPONSE};

use super::super::super::super::limits::{LAST_WORDS_WAIT, SMPP_UNBIND_WAIT};
use super::*;

#[test]
fn one_that_never_says_whether_it_is_there_is_let_go_and_another_bind_is_told() {
    let mut probe = Probe::new();
    let mut rude = Rude::bound(&mut probe);
    probe.reply(fate(1, 1, Fate::Delivered));
    probe.settle();
    assert_eq!(rude.hears(&mut probe).len(), 1);
    let mut neighbour = Neighbour::that_receives(&mut probe);
    // Its receipt is free to go elsewhere when its answer is late, and goes at last when its bind ends.
    neighbour.lives_for(&mut probe, ENQUIRE_LINK_IDLE);
    let asked = rude.hears(&mut probe);
    assert!(asked.iter().any(|(command, ..)| *command == CommandId::ENQUIRE_LINK), "{asked:?}");
    neighbour.lives_for(&mut probe, RESPONSE - Duration::from_secs(1));
    assert_eq!(end_of(&mut probe), None);
    neighbour.lives_for(&mut probe, Duration::from_secs(1));
    assert_eq!((end_of(&mut probe), probe.customers.counts().timeouts), (Some(Ending::AfterOutput), 1));
    neighbour.lives_for(&mut probe, LAST_WORDS_WAIT);
    assert_eq!((end_of(&mut probe), acknowledged(&probe)), (Some(Ending::AtOnce), vec![1]));
    probe.close();
    Esme::bound(&mut probe, 5);
    Esme::bound(&mut probe, 6);
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_unbinds_in_mid_window_and_answers_nothing_is_waited_for_no_longer_than_said() {
    let mut probe = Probe::new();
    let mut rude = Rude::bound(&mut probe);
    probe.reply(fate(1, 1, Fate::Delivered));
    assert_eq!(rude.receipts(&mut probe).len(), 1);
    let mut neighbour = Neighbour::that_receives(&mut probe);
    probe.send(&[submits(2), bare(CommandId::UNBIND, OK, 3)].concat());
    assert_eq!(rude.hears(&mut probe), []);
    let origin = asked_by_it(&probe)[0];
    probe.accept_message(origin, 1);
    probe.settle();
    assert_eq!(rude.hears(&mut probe), [(CommandId::SUBMIT_SM_RESP, OK, 2)], "its receipt is not answered");
    neighbour.lives_for(&mut probe, SMPP_UNBIND_WAIT);
    assert_eq!(rude.hears(&mut probe), [(CommandId::UNBIND_RESP, OK, 3)]);
    assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
    assert_eq!((neighbour.receipts(&mut probe), acknowledged(&probe)), (1, vec![1]));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_goes_on_submitting_after_its_unbind_is_told_so() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    probe.send(
        &[submits(2), bare(CommandId::UNBIND, OK, 3), submits(4), bare(CommandId::UNBIND, OK, 5)].concat(),
    );
    let refused = (CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RINVBNDSTS, 4);
    assert_eq!(rude.hears(&mut probe), [refused]);
    let asked = asked_by_it(&probe);
    assert_eq!(asked.len(), 1);
    probe.accept_message(asked[0], 1);
    probe.settle();
    assert_eq!(rude.hears(&mut probe), [(CommandId::SUBMIT_SM_RESP, OK, 2), (CommandId::UNBIND_RESP, OK, 3)]);
    assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_closes_its_side_has_its_answers_and_is_told_nothing_more() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::that_receives(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    probe.send(&submits(2));
    probe.end_input();
    (1..=8).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    probe.settle();
    assert_eq!((rude.hears(&mut probe), end_of(&mut probe)), (vec![], None), "it could not answer them");
    assert_eq!(neighbour.receipts(&mut probe), 8);
    let origin = asked_by_it(&probe)[0];
    probe.accept_message(origin, 1);
    probe.settle();
    assert_eq!(rude.hears(&mut probe), [(CommandId::SUBMIT_SM_RESP, OK, 2)]);
    assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
    neighbour.is_undisturbed(&mut probe);
}
