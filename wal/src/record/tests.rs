//! Records: golden bytes for every kind, and anything at all as input.

use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId};
use wire::msisdn::Msisdn;

use super::*;
use crate::golden;

const TIME: WallMs = WallMs(1_795_402_975_120);
const ID: MessageId = MessageId(0x01A2_055A_3BC4_000D_0000_0700_0000_0063);

fn recipient() -> Msisdn {
    Msisdn::parse(b"+4915112345678").unwrap()
}

fn attempted(carrier: CarrierId) -> Attempted {
    Attempted {
        id: ID,
        attempt: 2,
        parts: 0b101,
        carrier,
        link: 4,
        node: NodeId(1),
        process: 0x9876_5432_10AB_CDEF,
        bind: 17,
        why: 5,
        skipped: 6,
        segments: 7,
        cut: 8,
    }
}

/// One record of each kind, with the name of its golden file. No two neighbouring fields have the same bytes.
fn samples() -> [(&'static str, Record<'static>); 16] {
    let (id, recipient) = (ID, recipient());
    let (source, destination) = (recipient, Msisdn::parse(b"12345").unwrap());
    let carrier = CarrierId(0xC0FF_EE01);
    let accepted = Accepted {
        id,
        account: AccountId(0xACC0_0001),
        tenant: 0x7E,
        recipient,
        channel: 1,
        class: Class::Notification,
        key: KeyHash(0x0123_4567_89AB_CDEF_0011_2233_4455_6677),
        body: 0xB0D7_B0D7_B0D7_B0D8,
        send_until_ms: TIME.0 + 1,
        deadline_ms: TIME.0 + 2,
        not_before_ms: TIME.0 + 3,
        key_id: 0x4E1D,
        alphabet: 2,
        segments: 3,
        sender: b"Switchyard",
        text: "Größe: 6 €".as_bytes(),
    };
    let attempted = attempted(carrier);
    let answered = Answered {
        id,
        attempt: 2,
        part: 1,
        outcome: 3,
        status: 0x58,
        retry_at_ms: 9,
        receipt: 0x0102_0304_0506_0708,
        carrier_id: b"7A-00f1",
    };
    [
        ("01-accepted-1", Record::Accepted(accepted)),
        ("02-attempted-2", Record::Attempted(attempted)),
        ("03-answered-1", Record::Answered(answered)),
        ("04-withdrawn-1", Record::Withdrawn(Withdrawn { id, attempt: 2, parts: 3, retry_at_ms: 4 })),
        ("05-doubted-1", Record::Doubted(Doubted { id, attempt: 2, parts: 3, why: 4, settle_at_ms: 5 })),
        ("06-requeued-1", Record::Requeued(Requeued { id, attempt: 2, retry_at_ms: 3 })),
        (
            "07-reported-2",
            Record::Reported(Reported {
                id,
                attempt: 2,
                part: 3,
                state: 4,
                error: 5,
                carrier,
                fate: 6,
                why: 7,
            }),
        ),
        (
            "08-parked-1",
            Record::Parked(Parked { carrier, receipt: 2, recipient, state: 3, error: 4, until_ms: 5 }),
        ),
        ("09-strayed-1", Record::Strayed(Strayed { carrier, receipt: 2, recipient, state: 3, why: 4 })),
        ("10-fated-1", Record::Fated(Fated { id, fate: 2, why: 3, code: 4 })),
        ("11-acknowledged-1", Record::Acknowledged(Acknowledged { account: AccountId(1), sequence: 2 })),
        ("12-cancelled-1", Record::Cancelled(Cancelled { id })),
        ("13-collected-1", Record::Collected(collected(source, destination))),
        ("14-received-1", Record::Received(received(source, destination))),
        ("15-discarded-1", Record::Discarded(discarded(source, destination))),
        ("16-member-1", Record::Member(member())),
    ]
}

fn member() -> Member<'static> {
    Member {
        node: NodeId(70_000),
        standing: Member::DRAINED,
        votes_only: 1,
        directory: 0x0102_0304_0506_0708,
        region: b"fra",
        address: b"10.7.0.2:7900",
        tls_name: b"node-2",
    }
}

fn discarded(source: Msisdn, destination: Msisdn) -> Discarded {
    let carrier = CarrierId(0xC0FF_EE01);
    Discarded { carrier, source, destination, reference: 0x0102, total: 3, fingerprint: 4, known_until_ms: 5 }
}

fn collected(source: Msisdn, destination: Msisdn) -> Collected<'static> {
    Collected {
        carrier: CarrierId(0xC0FF_EE01),
        source,
        destination,
        reference: 0x0102,
        total: 3,
        number: 2,
        alphabet: 1,
        fingerprint: 0x0102_0304_0506_0708,
        known_until_ms: TIME.0 + 4,
        until_ms: TIME.0 + 5,
        octets: b"part \x1be",
    }
}

fn received(source: Msisdn, destination: Msisdn) -> Received<'static> {
    Received {
        id: ID,
        account: AccountId(0xACC0_0001),
        carrier: CarrierId(0xC0FF_EE01),
        source,
        destination,
        reference: 0x0102,
        parts: 3,
        missing: 0b100,
        fingerprint: 0x0102_0304_0506_0708,
        session: 9,
        known_until_ms: TIME.0 + 6,
        text: "STOP Größe".as_bytes(),
    }
}

fn encoded(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(TIME, &mut bytes);
    bytes
}

#[test]
fn every_kind_has_the_bytes_that_are_on_disks_already() {
    for (name, record) in samples() {
        let bytes = golden::check(&format!("records/{name}"), &encoded(&record));
        let read: Vec<_> = Records::new(&bytes).collect();
        assert_eq!(read, [Ok((TIME, record))], "{name}");
    }
}

#[test]
fn kinds_of_an_earlier_version_are_read_as_what_they_meant() {
    let carrier = CarrierId(0xC0FF_EE01);
    let mut earlier = samples().map(|(_, record)| record).into_iter().filter_map(|record| match record {
        Record::Attempted(body) => Some(Record::Attempted(Attempted { segments: 0, cut: 0, ..body })),
        Record::Reported(body) => {
            Some(Record::Reported(Reported { carrier, fate: Reported::BY_STATE, why: 5, ..body }))
        }
        _ => None,
    });
    let bytes = [
        include_str!("../../testdata/records/02-attempted-1.hex"),
        include_str!("../../testdata/records/07-reported-1.hex"),
    ];
    for text in bytes {
        let bytes = golden::bytes(text);
        let record = earlier.next().unwrap();
        assert_eq!(Records::new(&bytes).collect::<Vec<_>>(), [Ok((TIME, record))]);
        let mut found = Vec::new();
        messages(&bytes, |at, id| found.push((at, id))).unwrap();
        assert_eq!(found, [(TIME, Some(ID))]);
    }
}

#[test]
fn kinds_are_numbered_in_order_and_all_have_a_golden_file() {
    let kinds: Vec<u8> = samples().iter().map(|(_, record)| record.kind()).collect();
    assert_eq!(kinds, (1..=16).collect::<Vec<u8>>());
}

#[test]
fn a_run_of_records_reads_in_order() {
    let mut bytes = Vec::new();
    for (at, (_, record)) in (0..).zip(samples()) {
        record.encode(WallMs(at), &mut bytes);
    }
    assert_eq!(count(&bytes), Ok(16));
    let read: Vec<_> = Records::new(&bytes).map(Result::unwrap).collect();
    let written: Vec<_> = (0..).map(WallMs).zip(samples().map(|(_, record)| record)).collect();
    assert_eq!(read, written);
}

#[test]
fn an_encoding_is_the_same_wherever_it_lands_in_the_buffer() {
    for (name, record) in samples() {
        let alone = encoded(&record);
        let mut behind = vec![0xEE; 13];
        record.encode(TIME, &mut behind);
        assert_eq!(behind[13..], alone, "{name}");
    }
}

#[test]
fn a_run_that_is_cut_anywhere_is_noticed() {
    let bytes: Vec<u8> = samples().iter().flat_map(|(_, record)| encoded(record)).collect();
    let ends: Vec<usize> = samples()
        .iter()
        .scan(0, |end, (_, record)| {
            *end += encoded(record).len();
            Some(*end)
        })
        .collect();
    for len in 1..bytes.len() {
        let whole = ends.contains(&len);
        assert_eq!(count(&bytes[..len]).is_ok(), whole, "{len} bytes");
        assert_eq!(Records::new(&bytes[..len]).all(|record| record.is_ok()), whole, "{len} bytes");
    }
}

#[test]
fn what_a_newer_program_wrote_is_told_from_damage() {
    let bytes = encoded(&samples()[9].1);
    for (place, unknown) in [(0, 200), (1, 2), (2, 1)] {
        let mut newer = bytes.clone();
        newer[place] = unknown;
        let error = Records::new(&newer).next().unwrap().unwrap_err();
        assert!(matches!(error, RecordError::Unknown { offset: 0, .. }), "{error}");
    }
    let mut large = bytes;
    large[7] = 1;
    assert!(matches!(Records::new(&large).next(), Some(Err(RecordError::Large { .. }))));
}

#[test]
fn a_class_or_recipient_that_is_none_is_an_error() {
    let bytes = encoded(&samples()[0].1);
    let broken = (RECORD_HEADER_BYTES..bytes.len()).filter(|&place| {
        let mut other = bytes.clone();
        other[place] ^= 0xFF;
        Records::new(&other).any(|record| record.is_err())
    });
    // The class, the recipient's word, and the two slices' places and lengths.
    assert!((10..=33).contains(&broken.count()));
}

#[test]
fn any_bytes_are_records_or_an_error() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let counted = count(bytes);
        let read = Records::new(bytes).try_fold(0, |count, record| record.map(|_| count + 1));
        if let Ok(read) = read {
            assert_eq!(counted, Ok(read));
        }
    });
}

#[test]
fn any_body_is_a_record_or_an_error() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let (kind, body) = bytes.split_first().map_or((1, bytes), |(first, rest)| (first % 16, rest));
        for version in 1..=version_of(kind) {
            let raw = Raw { kind, version, flags: U16::ZERO, body_bytes: U32::ZERO, time_ms: U64::ZERO };
            if let Ok(record) = decode::body(&raw, body, 0) {
                assert_eq!(record.kind(), kind);
            }
        }
    });
}

#[test]
fn the_message_of_a_record_is_found_without_reading_its_body() {
    for (name, record) in samples() {
        let mut bytes = Vec::new();
        record.encode(TIME, &mut bytes);
        record.encode(WallMs(TIME.0 + 1), &mut bytes);
        let mut found = Vec::new();
        messages(&bytes, |at, id| found.push((at, id))).unwrap();
        assert_eq!(found, [(TIME, record.message()), (WallMs(TIME.0 + 1), record.message())], "{name}");
        assert!(record.message().is_none_or(|id| id == ID), "{name}");
    }
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = messages(bytes, |_, _| {});
    });
}
