//! What a customer is told: fates as receipts and handsets' messages, on which bind, how often, and when it is acknowledged.

use super::*;

#[test]
fn what_a_handset_sent_stands_among_the_fates_and_is_told_until_it_is_answered() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.reply(handset(1, "STOP @"));
    probe.reply(fate(2, 2, Fate::Delivered));
    probe.reply(handset(3, "ж"));
    esme.exchange(&mut probe);
    let between = "from 1/1 4915112345678 to 0/0 12345";
    let told = esme.told();
    assert_eq!(
        (&told[0], &told[2]),
        (&format!("STOP \\x00 as 0 {between}"), &format!("\\x046 as 8 {between}"))
    );
    esme.answer(&mut probe, 1, CommandStatus::ESME_ROK);
    esme.answer(&mut probe, 1, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [0; 0], "the first is not answered");
    esme.answer(&mut probe, 0, CommandStatus::ESME_RX_T_APPN);
    assert_eq!(esme.told(), [""; 0]);
    probe.wait(SMPP_RECEIPT_AGAIN);
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [format!("STOP \\x00 as 0 {between}")]);
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [3]);
    let long = "0123456789".repeat(30);
    probe.reply(handset(4, &long));
    esme.exchange(&mut probe);
    assert_eq!(esme.told(), [format!("{long} as 0 {between}")], "in message_payload");
}

#[test]
fn a_fate_is_a_receipt_and_is_acknowledged_when_the_customer_has_it() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let subscribed = probe.asked.iter().any(|asked| {
        matches!(asked, Asked::Subscribe(origin, wanted) if origin.connection == OUTLETS && wanted.account == account())
    });
    assert!(subscribed, "{:?}", probe.asked);
    for (sequence, n, what) in [(1, 1, Fate::Delivered), (2, 2, Fate::Failed), (3, 3, Fate::Expired)] {
        probe.reply(fate(sequence, n, what));
    }
    esme.exchange(&mut probe);
    let words = |word: &str, n| format!("{word} {} from 1/1 4915112345678 to 1/1 4930123456", id(n));
    assert_eq!(esme.told(), [words("DELIVRD", 1), words("UNDELIV", 2), words("EXPIRED", 3)]);
    assert_eq!(acknowledged(&probe), [0; 0]);
    // The last is answered first: nothing before it may be lost.
    esme.answer(&mut probe, 2, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [0; 0]);
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [1]);
    esme.answer(&mut probe, 0, CommandStatus::ESME_RX_P_APPN);
    assert_eq!(acknowledged(&probe), [1, 3]);
    assert_eq!(probe.customers.counts().smpp_receipts_refused, 1);
}

#[test]
fn a_receipt_that_is_refused_for_now_or_not_answered_is_sent_again() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.reply(fate(1, 1, Fate::Delivered));
    esme.exchange(&mut probe);
    esme.told();
    esme.answer(&mut probe, 0, CommandStatus::ESME_RX_T_APPN);
    probe.wait(SMPP_RECEIPT_AGAIN);
    esme.exchange(&mut probe);
    assert_eq!(esme.told().len(), 1, "again");
    esme.owed.clear();
    probe.wait(wire::smpp::limits::RESPONSE);
    esme.exchange(&mut probe);
    assert_eq!((esme.told().len(), acknowledged(&probe)), (1, vec![]));
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [1]);
    assert_eq!(probe.customers.counts().smpp_receipts_again, 2);
}

#[test]
fn a_receipt_that_is_never_taken_is_given_up_and_holds_nobody_up_for_ever() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    probe.reply(fate(1, 1, Fate::Delivered));
    for _ in 0..SMPP_RECEIPT_TRIES_MAX {
        assert_eq!(acknowledged(&probe), [0; 0]);
        esme.exchange(&mut probe);
        esme.answer(&mut probe, 0, CommandStatus::ESME_RX_T_APPN);
        probe.wait(SMPP_RECEIPT_AGAIN);
    }
    assert_eq!((acknowledged(&probe), probe.customers.counts().smpp_receipts_refused), (vec![1], 1));
}

#[test]
fn receipts_go_to_a_bind_with_room_and_to_another_when_that_goes() {
    let mut probe = Probe::new();
    let mut transmitter = Esme::connect(&mut probe, 1, &bind(BindKind::Transmitter, b"dev", b"secret"));
    assert!(probe.asked.is_empty(), "a transmitter is told nothing");
    let mut first = Esme::connect(&mut probe, 2, &bind(BindKind::Receiver, b"dev", b"secret"));
    let mut second = Esme::bound(&mut probe, 3);
    (1..=6).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    first.exchange(&mut probe);
    second.exchange(&mut probe);
    transmitter.exchange(&mut probe);
    assert_eq!((first.owed.len() + second.owed.len(), transmitter.owed.len()), (6, 0));
    assert!(first.owed.len() == 4 || second.owed.len() == 4, "a window has four");
    while !second.owed.is_empty() {
        second.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    }
    let before = second.told().len();
    probe.close_on(2);
    second.exchange(&mut probe);
    assert!(second.owed.len() >= 2 && before >= 2, "what the first did not answer");
    while !second.owed.is_empty() {
        second.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    }
    assert_eq!(acknowledged(&probe).last(), Some(&6));
    let subscriptions = probe.asked.iter().filter(|asked| matches!(asked, Asked::Subscribe(..))).count();
    assert_eq!(subscriptions, 1);
    probe.close_on(3);
    assert!(matches!(probe.asked.last(), Some(Asked::Unsubscribe(_))));
    probe.reply(fate(7, 7, Fate::Delivered));
    let again = Esme::bound(&mut probe, 4);
    assert!(matches!(probe.asked.last(), Some(Asked::Subscribe(..))));
    assert!(again.owed.is_empty(), "what came for the earlier subscription is told again by the brain");
}

#[test]
fn one_shard_tells_an_account_and_another_takes_over() {
    let exchange = Arc::new(exchange(smpp_account()));
    let (mut zero, mut one) = (Probe::of_shard(0, exchange.clone()), Probe::of_shard(1, exchange));
    let is_subscribed = |probe: &Probe| probe.asked.iter().any(|a| matches!(a, Asked::Subscribe(..)));
    Esme::bound(&mut zero, CONNECTION);
    Esme::bound(&mut one, CONNECTION);
    one.wait(SMPP_CLAIM_EVERY * 3);
    assert!(is_subscribed(&zero) && !is_subscribed(&one));
    zero.close();
    assert!(matches!(zero.asked.last(), Some(Asked::Unsubscribe(_))));
    one.wait(SMPP_CLAIM_EVERY);
    assert!(is_subscribed(&one));
}

#[test]
fn a_receipt_that_was_not_asked_for_is_acknowledged_in_silence() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    for (n, registered) in [(1, 0), (2, 2), (3, 1)] {
        let registered_delivery = RegisteredDelivery(registered);
        esme.submit(&mut probe, n, &Sm { registered_delivery, ..hello() });
        let origin = *probe.submissions().last().unwrap();
        probe.accept_message(origin, n);
    }
    esme.exchange(&mut probe);
    esme.told();
    (1..=3).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    esme.exchange(&mut probe);
    assert_eq!((esme.told().len(), acknowledged(&probe)), (1, vec![2]));
    esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    assert_eq!(acknowledged(&probe), [2, 3]);
}

#[test]
fn a_text_of_which_one_part_asks_for_a_receipt_has_one() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    for (n, asks) in [(1, [1, 0]), (2, [0, 1]), (3, [2, 1]), (4, [0, 0])] {
        for (number, registered) in (1..).zip(asks) {
            let text = part(7, 2, number, b"hello");
            let registered_delivery = RegisteredDelivery(registered);
            let sm = Sm { esm_class: EsmClass::UDHI, short_message: &text, registered_delivery, ..hello() };
            esme.submit(&mut probe, 1, &sm);
        }
        let origin = *probe.submissions().last().unwrap();
        probe.accept_message(origin, n);
        esme.exchange(&mut probe);
        esme.told();
        probe.reply(fate(n, n, Fate::Delivered));
        esme.exchange(&mut probe);
        assert_eq!(esme.told().len(), usize::from(n < 4), "{asks:?}");
    }
}

#[test]
fn receipts_come_on_a_bind_in_the_order_of_their_fates() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    // More than its window has room for: four at a time.
    (1..=10).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    let mut told = Vec::new();
    while told.len() < 10 {
        esme.exchange(&mut probe);
        told.append(&mut esme.told());
        assert!(esme.owed.len() <= 4, "no more than its window");
        esme.answer(&mut probe, 0, CommandStatus::ESME_ROK);
    }
    let expected: Vec<String> = (1..=10).map(|n| id(n).to_string()).collect();
    let ids: Vec<&str> = told.iter().map(|words| words.split(' ').nth(1).unwrap()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_customer_that_does_not_answer_its_receipts_holds_no_more_than_was_lent_to_it() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, CONNECTION);
    let lent = probe.asked.iter().find_map(|asked| match asked {
        Asked::Subscribe(_, subscription) => Some(subscription.credits),
        _ => None,
    });
    let lent = u64::from(lent.unwrap());
    assert_eq!(lent, u64::from(SMPP_FATE_CREDITS), "the brain tells no more than this unacknowledged");
    (1..=lent).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    esme.exchange(&mut probe);
    assert_eq!(esme.owed.len(), 4, "and its bind is sent what its window has room for");
    assert_eq!(acknowledged(&probe), [0; 0]);
}
