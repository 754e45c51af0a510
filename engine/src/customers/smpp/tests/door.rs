//! Binds at the door: who is looked at, held off, throttled, asked whether it is there.

use super::super::super::limits::{
    SMPP_BAD_BINDS_FREE, SMPP_HOLD_OFF_FIRST, SMPP_PASSWORD_WAIT, SMPP_PROBE_WAIT, SMPP_SILENT_AFTER,
};
use super::super::super::passwords::{Password, SlowHash, Verdict};
use super::super::binds::BindLimits;
use super::*;

/// The account of the tests with a slow hash of its password.
fn hashed_account() -> SmppAccount {
    let hash = SlowHash::with_cost(b"secret", [9; 16], 8, 1);
    SmppAccount { passwords: vec![Password::Hashed(hash)], ..smpp_account() }
}

#[test]
fn a_password_is_looked_at_elsewhere_once_and_known_from_then_on() {
    let mut probe = Probe::with_account(hashed_account());
    let transceiver = bind(BindKind::Transceiver, b"dev", b"secret");
    let mut first = Esme::connect(&mut probe, 1, &transceiver);
    assert_eq!(first.told(), [""; 0], "nobody is let in before it was looked at");
    let check = probe.check().unwrap();
    let verdict = check.look();
    assert!(matches!(verdict, Verdict::Right(_)));
    probe.checked(&check, verdict);
    first.exchange(&mut probe);
    assert_eq!(first.told(), ["bound to switchyard"]);
    Esme::bound(&mut probe, 2);
    assert!(probe.check().is_none(), "it is known");
    let mut wrong = Esme::connect(&mut probe, 3, &bind(BindKind::Receiver, b"dev", b"Secret"));
    let check = probe.check().unwrap();
    assert_eq!(check.look(), Verdict::Wrong);
    probe.checked(&check, Verdict::Wrong);
    wrong.exchange(&mut probe);
    assert_eq!(wrong.told(), ["closed: the bind was refused with ESME_RINVPASWD (0x0E)"]);
}

#[test]
fn a_bind_whose_password_nobody_looks_at_is_told_to_come_again() {
    let mut probe = Probe::with_account(hashed_account());
    let mut busy = Esme::connect(&mut probe, 1, &bind(BindKind::Transceiver, b"dev", b"secret"));
    let check = probe.check().unwrap();
    probe.checked(&check, Verdict::Busy);
    busy.exchange(&mut probe);
    assert_eq!(busy.told(), ["closed: the bind was refused with ESME_RTHROTTLED (0x58)"]);
    let mut late = Esme::connect(&mut probe, 2, &bind(BindKind::Transceiver, b"dev", b"secret"));
    let check = probe.check().unwrap();
    probe.wait(SMPP_PASSWORD_WAIT);
    late.exchange(&mut probe);
    assert_eq!(late.told(), ["closed: the bind was refused with ESME_RTHROTTLED (0x58)"]);
    let verdict = check.look();
    probe.checked(&check, verdict);
    assert_eq!(probe.customers.counts().smpp_binds, 0, "a verdict that comes too late lets nobody in");
}

#[test]
fn a_bind_that_was_let_in_stays_when_its_password_is_changed() {
    let mut probe = Probe::new();
    let mut esme = Esme::bound(&mut probe, 1);
    let other = SmppAccount { passwords: vec![Password::Plain("other".into())], ..smpp_account() };
    let renewed = Arc::new(probe.exchange().renewed(vec![other]));
    probe.renew(renewed);
    esme.submit(&mut probe, 1, &hello());
    assert_eq!(probe.submissions().len(), 1);
    let mut old = Esme::connect(&mut probe, 2, &bind(BindKind::Transceiver, b"dev", b"secret"));
    assert_eq!(old.told(), ["closed: the bind was refused with ESME_RINVPASWD (0x0E)"]);
    assert_eq!(
        Esme::connect(&mut probe, 3, &bind(BindKind::Transceiver, b"dev", b"other")).told(),
        ["bound to switchyard"]
    );
    probe.close_on(1);
}

#[test]
fn an_address_with_too_many_bad_binds_is_held_off_and_others_are_not() {
    let mut probe = Probe::new();
    let guess = bind(BindKind::Transceiver, b"dev", b"guess");
    let right = bind(BindKind::Transceiver, b"dev", b"secret");
    for connection in 0..=u64::from(SMPP_BAD_BINDS_FREE) {
        let mut esme = Esme::connect(&mut probe, connection, &guess);
        assert_eq!(esme.told(), ["closed: the bind was refused with ESME_RINVPASWD (0x0E)"]);
    }
    let refused = ["closed: the bind was refused with ESME_RBINDFAIL (0x0D)"];
    assert_eq!(Esme::connect(&mut probe, 100, &right).told(), refused, "whatever it shows");
    assert_eq!(probe.customers.counts().smpp_binds_held_off, 1);
    probe.from = "192.0.2.1".parse().unwrap();
    Esme::bound(&mut probe, 101);
    probe.from = "127.0.0.1".parse().unwrap();
    probe.wait(SMPP_HOLD_OFF_FIRST);
    Esme::bound(&mut probe, 102);
}

#[test]
fn a_bind_that_submits_faster_than_it_may_is_throttled() {
    let account = SmppAccount { bind_rate_per_s: Some(2), window_pdus_max: 100, ..smpp_account() };
    let mut probe = Probe::with_account(account);
    let mut esme = Esme::bound(&mut probe, 1);
    let mut submit = |probe: &mut Probe| {
        esme.submit(probe, 1, &hello());
        esme.told().len()
    };
    assert_eq!([0; 3].map(|_| submit(&mut probe)), [0, 0, 1], "two at once, and the third is told to wait");
    probe.wait(Duration::from_millis(499));
    assert_eq!(submit(&mut probe), 1);
    probe.wait(Duration::from_millis(1));
    assert_eq!([0; 2].map(|_| submit(&mut probe)), [0, 1]);
    probe.wait(Duration::from_secs(9));
    assert_eq!([0; 3].map(|_| submit(&mut probe)), [0, 0, 1], "no more than a second is saved up");
    assert_eq!(probe.customers.counts().smpp_throttled, 4);
}

#[test]
fn a_bind_that_is_gone_makes_room_and_one_that_lives_does_not() {
    let mut probe = Probe::new();
    let mut esmes: Vec<_> = (1..=3).map(|connection| Esme::bound(&mut probe, connection)).collect();
    probe.wait(SMPP_SILENT_AFTER);
    esmes[0].submit(&mut probe, 1, &hello());
    let transceiver = bind(BindKind::Transceiver, b"dev", b"secret");
    // The second and the third are silent, and there.
    let mut fourth = Esme::connect(&mut probe, 4, &transceiver);
    assert_eq!(fourth.told(), [""; 0]);
    esmes[1].exchange(&mut probe);
    fourth.exchange(&mut probe);
    assert_eq!(fourth.told(), [""; 0], "the next is asked");
    esmes[2].exchange(&mut probe);
    fourth.exchange(&mut probe);
    assert_eq!(fourth.told(), ["closed: the bind was refused with ESME_RALYBND (0x05)"]);
    // Now the third never answers.
    probe.wait(SMPP_SILENT_AFTER);
    esmes[0].submit(&mut probe, 1, &hello());
    let mut fifth = Esme::connect(&mut probe, 5, &transceiver);
    esmes[1].exchange(&mut probe);
    assert_eq!(fifth.told(), [""; 0]);
    probe.wait(SMPP_PROBE_WAIT);
    fifth.exchange(&mut probe);
    assert_eq!(fifth.told(), ["bound to switchyard"]);
    assert_eq!(probe.customers.counts().smpp_binds_taken_over, 1);
    let ended = std::iter::from_fn(|| probe.customers.poll_close()).find(|(connection, _)| *connection == 3);
    assert_eq!(ended, Some((3, Ending::AtOnce)));
    probe.close_on(3);
    esmes[1].submit(&mut probe, 2, &hello());
    assert_eq!(probe.submissions().len(), 3, "the others go on");
}

#[test]
fn a_bind_that_was_not_listened_to_is_not_taken_for_gone() {
    let one = BindLimits { all: 1, transmitters: 1, receivers: 1, transceivers: 1 };
    let mut probe = Probe::with_account(SmppAccount { binds_max: one, ..smpp_account() });
    Esme::bound(&mut probe, 1);
    probe.wait(SMPP_SILENT_AFTER);
    let transceiver = bind(BindKind::Transceiver, b"dev", b"secret");
    let refused = ["closed: the bind was refused with ESME_RALYBND (0x05)"];
    // The node does not listen when it would ask.
    probe.customers.handle_hearing(probe.now, Hearing::Later);
    assert_eq!(Esme::connect(&mut probe, 2, &transceiver).told(), refused);
    // It stops listening while it waits for the answer.
    probe.customers.handle_hearing(probe.now, Hearing::Now);
    probe.wait(SMPP_SILENT_AFTER);
    let mut third = Esme::connect(&mut probe, 3, &transceiver);
    probe.wait(SMPP_PROBE_WAIT / 2);
    probe.customers.handle_hearing(probe.now, Hearing::Later);
    probe.customers.handle_hearing(probe.now, Hearing::Now);
    probe.wait(SMPP_PROBE_WAIT / 2);
    third.exchange(&mut probe);
    assert_eq!(third.told(), [""; 0], "it is given the whole time again");
    probe.wait(SMPP_PROBE_WAIT / 2);
    third.exchange(&mut probe);
    assert_eq!(third.told(), ["bound to switchyard"]);
}

#[test]
fn a_bind_of_another_shard_is_asked_there() {
    let exchange = Arc::new(exchange(SmppAccount {
        binds_max: BindLimits { all: 1, transmitters: 1, receivers: 1, transceivers: 1 },
        ..smpp_account()
    }));
    let mut here = Probe::of_shard(0, Arc::clone(&exchange));
    let mut there = Probe::of_shard(1, exchange);
    Esme::bound(&mut there, 7);
    there.wait(SMPP_SILENT_AFTER);
    here.wait(SMPP_SILENT_AFTER);
    let mut newcomer = Esme::connect(&mut here, 7, &bind(BindKind::Transceiver, b"dev", b"secret"));
    assert_eq!(here.customers.poll_nudge(), Some(ShardId(1)));
    assert!(there.customers.has_calls() && there.customers.timeout() == Some(Instant(0)));
    there.settle();
    assert!(!there.output_of(7).is_empty(), "it is asked whether it is there");
    there.wait(SMPP_PROBE_WAIT);
    assert_eq!(there.customers.poll_nudge(), Some(ShardId(0)));
    newcomer.exchange(&mut here);
    assert_eq!(newcomer.told(), ["bound to switchyard"]);
}

#[test]
fn each_bind_that_is_refused_is_told_why() {
    let check = |system_id, password, status: CommandStatus| {
        let mut probe = Probe::new();
        let asked = bind(BindKind::Transmitter, system_id, password);
        let mut esme = Esme::connect(&mut probe, CONNECTION, &asked);
        assert_eq!(esme.told(), [format!("closed: the bind was refused with {status}")]);
        assert_eq!(probe.ending(), Some(Ending::AfterOutput));
        assert_eq!(probe.customers.counts().smpp_binds_refused, 1);
    };
    check(b"Dev", b"secret", CommandStatus::ESME_RINVSYSID);
    check(b"dev", b"Secret", CommandStatus::ESME_RINVPASWD);
    let mut probe = Probe::new();
    let mut esmes: Vec<_> = (1..=3).map(|connection| Esme::bound(&mut probe, connection)).collect();
    let fourth = &bind(BindKind::Receiver, b"dev", b"secret");
    let mut refused = Esme::connect(&mut probe, 4, fourth);
    assert_eq!(refused.told(), ["closed: the bind was refused with ESME_RALYBND (0x05)"]);
    esmes.pop();
    probe.close_on(3);
    assert_eq!(Esme::connect(&mut probe, 5, fourth).told(), ["bound to switchyard"]);
    probe.customers.handle_readiness(Readiness::Stopping);
    let mut late = Esme::connect(&mut probe, 6, fourth);
    assert!(late.told()[0].starts_with("closed"), "a node that stops lets nobody in");
}

#[test]
fn who_says_nothing_in_time_is_let_go() {
    let mut probe = Probe::connected(Protocol::Smpp);
    probe.wait(wire::smpp::limits::SESSION_INIT);
    assert_eq!(probe.ending(), Some(Ending::AfterOutput));
    assert_eq!(probe.customers.counts().timeouts, 1);
}

#[test]
fn an_address_range_narrows_nothing() {
    let mut probe = Probe::new();
    let address_range = Address { octets: b"^49177", ..Address::default() };
    let mut ranged: Vec<_> = [1, 2]
        .map(|connection| {
            let asked = Bind { address_range, ..bind(BindKind::Receiver, b"dev", b"secret") };
            Esme::connect(&mut probe, connection, &asked)
        })
        .into();
    for esme in &mut ranged {
        assert_eq!(esme.told(), ["bound to switchyard"]);
    }
    // To a sender that the range has not.
    (1..=8).for_each(|n| probe.reply(fate(n, n, Fate::Delivered)));
    let told = ranged.iter_mut().map(|esme| {
        esme.exchange(&mut probe);
        esme.told().len()
    });
    assert_eq!(told.collect::<Vec<_>>(), [4, 4]);
}
