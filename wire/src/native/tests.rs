//! The frames there and back, and what happens to bytes that are none.

use super::*;
use crate::id::{Class, MessageId, NodeId, Partition, PartitionCount};

fn frame(bytes: &[u8]) -> Frame<'_> {
    let (frame, used) = Frame::split(bytes).unwrap().unwrap();
    assert_eq!(used, bytes.len());
    frame
}

#[test]
fn a_hand_shake_goes_there_and_back() {
    let mut out = Vec::new();
    let hello = Hello { version_min: 1, version_max: 1, account: "dev", key: "secret" };
    hello.write(&mut out);
    let octets: String = out.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(octets, "1d00000001010000000000000000000001010364657606736563726574");
    assert_eq!(Hello::read(frame(&out)), Ok(hello));

    let welcome = Welcome {
        credits: 512,
        node: NodeId(1),
        partitions: PartitionCount::new(16).unwrap(),
        ports: vec![7701, 7702],
    };
    out.clear();
    welcome.write(&mut out);
    assert_eq!(Welcome::read(frame(&out)), Ok(welcome.clone()));
    assert_eq!(welcome.port_of(Partition(5)), Some(7702));

    out.clear();
    let reject = Reject { code: Reject::CREDENTIALS, reason: "no such account, or not its key" };
    reject.write(&mut out);
    assert_eq!(Reject::read(frame(&out)), Ok(reject));
}

#[test]
fn submissions_go_in_batches() {
    let item = SubmitItem {
        class: Some(Class::Otp),
        validity_s: 300,
        to: "+4915112345678",
        from: "Bank",
        key: b"login-7",
        text: "Your code is 123456",
    };
    let mut out = Vec::new();
    let mut writer = SubmitWriter::begin(40, &mut out);
    assert!(writer.push(&item, &mut out));
    assert!(writer.push(&SubmitItem { class: None, from: "", key: b"", ..item }, &mut out));
    writer.close(&mut out);
    let frame = frame(&out);
    assert_eq!((frame.kind, frame.number), (Kind::Submit, 40));
    let mut batch = Submit::read(frame).unwrap();
    assert_eq!(batch.next_item(), Ok(Some(item)));
    assert_eq!(batch.next_item().unwrap().unwrap().class, None);
    assert_eq!(batch.next_item(), Ok(None));
}

#[test]
fn a_full_frame_takes_no_more() {
    let text = "x".repeat(1500);
    let item = SubmitItem { class: None, validity_s: 0, to: "+49151", from: "", key: b"", text: &text };
    let mut out = Vec::new();
    let mut writer = SubmitWriter::begin(0, &mut out);
    let pushed = (0..ITEMS_MAX).filter(|_| writer.push(&item, &mut out)).count();
    writer.close(&mut out);
    assert!(pushed < ITEMS_MAX && out.len() <= FRAME_BYTES_MAX);
    let mut batch = Submit::read(frame(&out)).unwrap();
    let mut read = 0;
    while batch.next_item().unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, pushed);
}

#[test]
fn answers_fates_and_positions_have_fixed_sizes() {
    assert_eq!((size_of::<AnswerItem>(), size_of::<FateItem>(), size_of::<Position>()), (32, 40, 10));
    let answer = AnswerItem {
        number: 7.into(),
        id: 9.into(),
        status: 0,
        retry: 0,
        reserved: 0.into(),
        retry_after_ms: 0.into(),
    };
    let mut out = Vec::new();
    Answers::write(&[answer, answer], &mut out);
    assert_eq!(Answers::read(frame(&out)), Ok(&[answer, answer][..]));

    let position = Position { partition: 3.into(), sequence: 17.into() };
    out.clear();
    Positions::write_subscribe(100, &[], &mut out);
    assert_eq!(Positions::read_subscribe(frame(&out)), Ok((100, &[][..])));
    out.clear();
    Positions::write_ack(&[position], &mut out);
    assert_eq!(Positions::read_ack(frame(&out)), Ok(&[position][..]));
}

#[test]
fn a_trace_goes_there_and_back() {
    let step = TraceStep {
        at_ms: 5,
        kind: 2,
        part: 0,
        why: 1,
        attempt: 1,
        code: 0x58,
        carrier: "sandbox",
        carrier_id: b"17",
    };
    let mut out = Vec::new();
    let mut writer = TraceWriter::begin(3, MessageId(77), 4, &mut out);
    writer.push(&step, &mut out);
    writer.close(&mut out);
    let answer = TraceAnswer::read(frame(&out)).unwrap();
    assert_eq!(answer, TraceAnswer { state: 4, id: MessageId(77), steps: vec![step] });
    out.clear();
    TraceAnswer::write_query(8, MessageId(77), &mut out);
    assert_eq!(TraceAnswer::read_query(frame(&out)), Ok(MessageId(77)));
}

#[test]
fn what_is_no_frame_is_refused_in_words() {
    let check = |bytes: &[u8], expected: &str| {
        assert_eq!(Frame::split(bytes).unwrap_err().to_string(), expected);
    };
    let mut out = Vec::new();
    Frame::write(Kind::Ping, 1, &[], &mut out);
    check(&[&[15, 0, 0, 0], &out[4..]].concat(), "frame length 15 is not within 16 to 1048576 bytes");
    check(&[&out[..4], &[99], &out[5..]].concat(), "frame kind 99 is not known to version 1");
    check(&[&out[..5], &[2], &out[6..]].concat(), "frame version 2, expected 1");
    assert!(Frame::split(&out[..15]).unwrap().is_none());
    let empty = Frame { kind: Kind::Submit, number: 0, body: &[0, 0] };
    assert_eq!(Submit::read(empty).unwrap_err(), FrameError::Count(Kind::Submit, 0));
}

#[test]
fn no_bytes_make_a_reader_panic() {
    bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
        for kind in Kind::ALL {
            let frame = Frame { kind, number: 0, body: bytes };
            _ = Hello::read(frame);
            _ = Welcome::read(frame);
            _ = Reject::read(frame);
            _ = Answers::read(frame);
            _ = Fates::read(frame);
            _ = Positions::read_ack(frame);
            _ = Positions::read_subscribe(frame);
            _ = TraceAnswer::read(frame);
            _ = TraceAnswer::read_query(frame);
            if let Ok(mut batch) = Submit::read(frame) {
                while let Ok(Some(_)) = batch.next_item() {}
            }
        }
        _ = Frame::split(bytes);
    });
}
