//! Customers whose octets are no PDUs, or none that they may send.

use super::*;

#[test]
fn one_that_speaks_another_protocol_is_let_go_before_its_bind_and_after() {
    let request = b"GET / HTTP/1.1\r\nHost: switchyard\r\n\r\n";
    for is_bound in [false, true] {
        let mut probe = Probe::new();
        let mut neighbour = Neighbour::bound(&mut probe);
        let mut rude = if is_bound { Rude::bound(&mut probe) } else { Rude::connected(&mut probe) };
        probe.send(request);
        // What stands where a number would.
        let number = u32::from_be_bytes(*b".1\r\n");
        let too_long = (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, number);
        assert_eq!(rude.hears(&mut probe), [too_long]);
        assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
        probe.send(&submits(2));
        assert_eq!((rude.hears(&mut probe), asked_by_it(&probe)), (vec![], vec![]), "nothing more is read");
        neighbour.is_undisturbed(&mut probe);
    }
}

#[test]
fn one_whose_lengths_cannot_be_is_let_go_and_what_it_submitted_before_is_taken_once() {
    for length in [0, 1, 15, u32::try_from(PDU_BYTES_MAX).unwrap() + 1, 0x8000_0000, u32::MAX] {
        let mut probe = Probe::new();
        let mut neighbour = Neighbour::bound(&mut probe);
        let mut rude = Rude::bound(&mut probe);
        let mut wrong = bare(CommandId::ENQUIRE_LINK, OK, 3);
        wrong[..4].copy_from_slice(&length.to_be_bytes());
        probe.send(&[submits(2), wrong, submits(4)].concat());
        let nack = (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, 3);
        assert_eq!(rude.hears(&mut probe), [nack], "{length}");
        assert_eq!(end_of(&mut probe), Some(Ending::AfterOutput));
        let asked = asked_by_it(&probe);
        assert_eq!(asked.len(), 1, "what comes behind it cannot be found");
        probe.accept_message(asked[0], 1);
        probe.settle();
        assert_eq!(rude.hears(&mut probe), [], "its bind has ended; it asks again with its key");
        neighbour.is_undisturbed(&mut probe);
    }
}

#[test]
fn one_that_stops_in_the_middle_of_a_pdu_has_not_sent_it() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let whole = submits(2);
    for cut in 1..whole.len() {
        probe.send(&whole[..cut]);
        assert_eq!((rude.hears(&mut probe), asked_by_it(&probe)), (vec![], vec![]), "cut at {cut}");
        probe.close();
        assert_eq!(probe.customers.connections_count(), 1);
        rude = Rude::bound(&mut probe);
    }
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_whose_commands_nobody_knows_is_refused_each_and_goes_on() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    // 0x0111 to 0x0113 are of SMPP 5.0; the others are nobody's.
    let unknown = [0, 0x0A, 0x0C, 0x22, 0x0111, 0x0112, 0x0113, 0x0001_0200, 0x7FFF_FFFF];
    for (number, command) in (10..).zip(unknown) {
        probe.send(&raw(CommandId(command), number, b"whatever"));
        let nack = (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, number);
        assert_eq!(rude.hears(&mut probe), [nack], "{command:#x}");
    }
    for command in [0x8000_0111, 0x8000_0022, 0xFFFF_FFFF] {
        probe.send(&raw(CommandId(command), 77, b"whatever"));
        assert_eq!(rude.hears(&mut probe), [], "{command:#x} answers something, so nothing answers it");
    }
    probe.send(&submits(99));
    assert_eq!((asked_by_it(&probe).len(), end_of(&mut probe)), (1, None));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_takes_itself_for_the_message_centre_is_refused_and_goes_on() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let mut deliver = Vec::new();
    hello().encode(CommandId::DELIVER_SM, Sequence(5), &mut deliver).unwrap();
    probe.send(&deliver);
    let nack = (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID, 5);
    assert_eq!(rude.hears(&mut probe), [nack]);
    for command in [CommandId::OUTBIND, CommandId::ALERT_NOTIFICATION] {
        probe.send(&raw(command, 6, b"\0\0\0\0\0\0"));
        assert_eq!(rude.hears(&mut probe), [], "{command} has no response");
    }
    probe.send(&submits(7));
    assert_eq!((asked_by_it(&probe).len(), end_of(&mut probe)), (1, None));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_whose_bodies_cannot_be_read_is_refused_each_and_goes_on() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let requests = [
        CommandId::SUBMIT_SM,
        CommandId::DATA_SM,
        CommandId::QUERY_SM,
        CommandId::CANCEL_SM,
        CommandId::REPLACE_SM,
    ];
    // Nothing, no NUL anywhere, and NULs where a length says that more is to come.
    let bodies = [&b""[..], &[b'x'; 300], &[0, 0, 0]];
    for (number, (command, body)) in
        (10..).zip(requests.into_iter().flat_map(|command| bodies.map(|body| (command, body))))
    {
        probe.send(&raw(command, number, body));
        let nack = (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN, number);
        assert_eq!(rude.hears(&mut probe), [nack], "{command} of {} octets", body.len());
    }
    // A parameter that ends behind its PDU.
    let mut cut = submits(50);
    cut.extend_from_slice(&[0x02, 0x04, 0, 9, 1]);
    let body = cut.split_off(16);
    probe.send(&raw(CommandId::SUBMIT_SM, 50, &body));
    let nack = (CommandId::GENERIC_NACK, CommandStatus::ESME_RINVOPTPARSTREAM, 50);
    assert_eq!(rude.hears(&mut probe), [nack]);
    probe.send(&submits(99));
    assert_eq!((asked_by_it(&probe).len(), end_of(&mut probe)), (1, None));
    neighbour.is_undisturbed(&mut probe);
}

#[test]
fn one_that_uses_numbers_as_it_likes_has_each_back_as_it_came() {
    let mut probe = Probe::new();
    let mut neighbour = Neighbour::bound(&mut probe);
    let mut rude = Rude::bound(&mut probe);
    let numbers = [7, 7, 0, u32::MAX];
    probe.send(&numbers.map(submits).concat());
    let asked = asked_by_it(&probe);
    assert_eq!(asked.len(), 4, "each is a message of its own");
    for (n, origin) in (1..).zip(asked) {
        probe.accept_message(origin, n);
    }
    probe.settle();
    assert_eq!(rude.hears(&mut probe), numbers.map(|number| (CommandId::SUBMIT_SM_RESP, OK, number)));
    neighbour.is_undisturbed(&mut probe);
}
