//! Snapshots: round trip, every flipped bit, every cut, golden bytes.

use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId, Partition};
use wire::msisdn::Msisdn;
use wire::time::WallMs;

use super::{
    AccountImage, CollectedImage, GenerationImage, Head, KeyImage, KnownImage, MessageImage, PartImage,
    Piece, Pieces, ShareImage, SnapshotError, Writer,
};
use crate::frame::HardState;
use crate::place::Lsn;
use crate::record::Parked;

const PARTITION: Partition = Partition(3);

fn recipient() -> Msisdn {
    Msisdn::parse(b"4915112345678").unwrap()
}

fn head() -> Head {
    let carrier = CarrierId(9);
    Head {
        cluster: 7 << 100,
        node: NodeId(1),
        partitions: 16,
        group: HardState { partition: PARTITION, term: 2, vote: 1, commit: 41 },
        term: 2,
        index: 40,
        time: WallMs(1_795_402_975_120),
        last_id: MessageId(1 << 90),
        strayed: 5,
        finished_first: 6,
        finished_count: 1,
        accounts: vec![AccountImage {
            account: AccountId(8),
            first: 3,
            count: 1,
            acknowledged: 2,
            forgotten: 1,
        }],
        generations: vec![GenerationImage {
            number: 4,
            opened_at: WallMs(10),
            expires_at: WallMs(20),
            capacity: 1024,
            count: 2,
        }],
        parked: vec![Parked {
            carrier,
            receipt: 11,
            recipient: recipient(),
            state: 2,
            error: 0,
            until_ms: 30,
        }],
        shares: vec![ShareImage { generation: 4, account: AccountId(8), count: 2 }],
        collected: vec![
            CollectedImage {
                carrier,
                source: recipient(),
                destination: Msisdn::parse(b"12345").unwrap(),
                reference: 0x0102,
                total: 3,
                number: 2,
                alphabet: 1,
                until: WallMs(31),
                octets: b"odd".as_slice().into(),
            };
            2
        ],
        known: vec![KnownImage { fingerprint: 13, session: 14, until: WallMs(32) }],
        log_from: Lsn(1 << 20),
        voters: vec![NodeId(1), NodeId(3)],
        learners: vec![NodeId(4)],
        members: b"records".to_vec(),
    }
}

fn message(number: u128) -> MessageImage<'static> {
    MessageImage {
        id: MessageId(number),
        recipient: recipient(),
        send_until: WallMs(1),
        deadline: WallMs(2),
        due: WallMs(3),
        fate_sequence: 4,
        finished: 5,
        account: AccountId(6),
        carrier: CarrierId(7),
        code: 8,
        attempt: 9,
        class: Class::Otp,
        alphabet: 1,
        why: 2,
        state: 3,
        may_have_left: true,
        is_received: number == 2,
        sender: b"Acme",
        text: b"hello",
        trace: &[1, 2, 3],
    }
}

fn part(receipt: u64) -> PartImage {
    PartImage { state: 3, receipt, named_by: CarrierId(9) }
}

fn key(number: u128) -> KeyImage {
    KeyImage { key: KeyHash(number), message: MessageId(number + 1), body: 12 }
}

fn snapshot() -> Vec<u8> {
    let mut writer = Writer::new(&head());
    let mut bytes = writer.take_piece().unwrap();
    writer.push_message(&message(1), [part(1)].into_iter());
    writer.push_message(&message(2), [part(2), part(3)].into_iter());
    writer.push_key(4, &key(1));
    writer.push_key(4, &key(2));
    while let Some(piece) = writer.take_piece() {
        bytes.extend(piece);
    }
    bytes.extend(writer.end());
    bytes
}

fn read(bytes: &[u8]) -> Result<(usize, usize), SnapshotError> {
    let (mut messages_count, mut keys_count) = (0, 0);
    for piece in Pieces::new(PARTITION, bytes) {
        match piece? {
            Piece::Head(_) => {}
            Piece::Messages(images) => messages_count += images.count(),
            Piece::Keys { keys, .. } => keys_count += keys.count(),
        }
    }
    Ok((messages_count, keys_count))
}

#[test]
fn what_was_written_is_read() {
    let bytes = snapshot();
    let pieces: Vec<_> = Pieces::new(PARTITION, &bytes).map(Result::unwrap).collect();
    let [Piece::Head(found), Piece::Keys { generation: 4, keys }, Piece::Messages(images)] = &pieces[..]
    else {
        panic!("{pieces:?}")
    };
    assert_eq!(**found, head());
    assert_eq!(keys.clone().collect::<Vec<_>>(), [key(1), key(2)]);
    let images: Vec<_> = images.clone().map(|(image, parts)| (image, parts.collect::<Vec<_>>())).collect();
    assert_eq!(images, [(message(1), vec![part(1)]), (message(2), vec![part(2), part(3)])]);
}

#[test]
fn every_flipped_bit_and_every_cut_is_seen() {
    let bytes = snapshot();
    assert_eq!(read(&bytes), Ok((2, 2)));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&flipped).is_err(), "bit {bit}");
    }
    for len in (0..bytes.len()).step_by(512) {
        assert!(read(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn pieces_of_another_snapshot_or_in_another_order_are_refused() {
    let bytes = snapshot();
    assert!(Pieces::new(Partition(4), &bytes).next().unwrap().is_err());
    let pieces: Vec<_> = bytes.chunks(4096).collect();
    assert_eq!(pieces.len(), 4);
    let refused = read(&[pieces[0], pieces[2], pieces[1], pieces[3]].concat()).unwrap_err().to_string();
    assert!(refused.contains("expected piece 1 of partition 3, found piece 2"), "{refused}");
    let lost = read(&[pieces[0], pieces[3]].concat()).unwrap_err().to_string();
    assert!(lost.contains("piece 3"), "{lost}");
}

#[test]
fn the_layout_stays() {
    let golden = crate::golden::check("snapshot-5", &snapshot());
    assert_eq!(read(&golden), Ok((2, 2)));
}

#[test]
fn earlier_versions_are_still_read() {
    let nobody = Vec::new();
    let fourth = Head { voters: nobody.clone(), learners: nobody, members: Vec::new(), ..head() };
    let third = Head { log_from: Lsn(0), ..fourth.clone() };
    let second = Head { collected: Vec::new(), known: Vec::new(), ..third.clone() };
    let first = Head { shares: Vec::new(), ..second.clone() };
    let versions = [
        (include_str!("../../testdata/snapshot-1.hex"), first),
        (include_str!("../../testdata/snapshot-2.hex"), second),
        (include_str!("../../testdata/snapshot-3.hex"), third),
        (include_str!("../../testdata/snapshot-4.hex"), fourth),
    ];
    for (golden, head) in versions {
        let golden = crate::golden::bytes(golden);
        assert_eq!(read(&golden), Ok((2, 2)));
        let mut pieces = Pieces::new(PARTITION, &golden).map(Result::unwrap);
        let Some(Piece::Head(found)) = pieces.next() else { panic!("a head") };
        assert_eq!(*found, head);
        let Some(Piece::Messages(mut images)) = pieces.nth(1) else { panic!("messages") };
        let knows_handsets = !head.known.is_empty();
        assert_eq!(images.any(|(image, _)| image.is_received), knows_handsets);
    }
}

#[test]
fn any_bytes_are_a_snapshot_or_an_error() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = read(bytes);
    });
}
