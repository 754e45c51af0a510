//! What SMPP costs: PDUs, receipts, texts, and a session's way from `submit` to its answer.
//!
//! ```text
//! cargo bench -p benches --bench smpp
//! ```
//!
//! A public codec does the same beside ours, so that a machine that is busy shows in both.
//!
//! Budgets: `submit_sm` decode 60 ns and encode 40 ns, receipt decode 100 ns (from the body of its `deliver_sm`).

use core::time::Duration;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rusmpp_core::command::borrowed::Command;
use rusmpp_core::decode::borrowed::DecodeWithLength;
use rusmpp_core::encode::Encode;
use wire::smpp::bind::{Bind, BindKind};
use wire::smpp::header::split_pdu;
use wire::smpp::{
    Address, CarrierMessageId, CommandId, CommandStatus, EsmClass, Event, IdForm, MessageState, Options,
    Receipt, ReceiptOut, ReceiptSign, RegisteredDelivery, Scratch, Sequence, Session, Sm, Tlvs,
};
use wire::text::{Plan, Style};
use wire::time::{Instant, WallMs};

const TEXT: &str =
    "Your code is 123456. It is good for five minutes; do not tell it to anyone who calls you. Shop";

fn message() -> Sm<'static> {
    Sm {
        source: Address::alphanumeric(b"Shop"),
        destination: Address::international(b"4915112345678"),
        validity_period: b"000000000500000R",
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: TEXT.as_bytes(),
        ..Sm::default()
    }
}

fn pdus(c: &mut Criterion) {
    let mut out = Vec::with_capacity(4096);
    c.bench_function("submit_sm/encode", |b| {
        b.iter(|| {
            out.clear();
            black_box(&message()).encode(CommandId::SUBMIT_SM, Sequence(7), &mut out)
        });
    });
    let (_, body) = split_pdu(&out, 4096).expect("a PDU").expect("a whole one");
    assert_eq!(Sm::decode(body), Ok(message()));
    c.bench_function("submit_sm/decode", |b| b.iter(|| Sm::decode(black_box(body))));
    // The other codec takes a PDU behind its length.
    another_codec(c, "submit_sm", &out[4..]);
}

/// The same PDU by a public codec, so that a machine's speed cancels out.
fn another_codec(c: &mut Criterion, name: &str, pdu: &[u8]) {
    let decode = |pdu| Command::<'_, 8>::decode(pdu, pdu.len()).expect("it reads what we write").0;
    let command = decode(pdu);
    let mut out = vec![0; 2 * pdu.len()];
    c.bench_function(&format!("rusmpp-core/{name}/decode"), |b| {
        b.iter(|| black_box(decode(black_box(pdu))).sequence_number());
    });
    c.bench_function(&format!("rusmpp-core/{name}/encode"), |b| {
        b.iter(|| black_box(&command).encode(black_box(&mut out)));
    });
    let written = command.encode(&mut out);
    assert_eq!(out[..written], *pdu, "both say the same");
}

fn receipts(c: &mut Criterion) {
    let receipt = ReceiptOut {
        id: b"0123456789abcdef",
        state: MessageState::Delivered,
        error: 0,
        submitted: WallMs(1_795_402_975_000),
        done: WallMs(1_795_402_981_000),
        text: b"Your code is 123456",
    };
    let (mut text, mut tlvs, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
    receipt.put_text(&mut text);
    receipt.put_tlvs(&mut tlvs);
    for (name, tlvs) in [("text", &[][..]), ("tlvs", &tlvs)] {
        let sm = Sm {
            esm_class: EsmClass::RECEIPT,
            source: Address::international(b"4915112345678"),
            destination: Address::alphanumeric(b"Shop"),
            short_message: &text,
            tlvs: Tlvs::new(tlvs).expect("our own"),
            ..Sm::default()
        };
        let mut pdu = Vec::new();
        sm.encode(CommandId::DELIVER_SM, Sequence(1), &mut pdu).expect("short enough");
        let body = &pdu[16..];
        // It reads the fields and TLVs; what a receipt's text says it does not.
        another_codec(c, &format!("deliver_sm with {name}"), &pdu[4..]);
        c.bench_function(&format!("receipt/decode/{name}"), |b| {
            b.iter(|| {
                let sm = Sm::decode(black_box(body)).expect("well formed");
                let receipt = Receipt::read(&sm, ReceiptSign::EsmClass, &mut scratch).expect("a receipt");
                (receipt.id.len(), receipt.state, receipt.is_final())
            });
        });
    }
    c.bench_function("receipt/write", |b| {
        b.iter(|| {
            text.clear();
            black_box(&receipt).put_text(&mut text);
        });
    });
    for (name, id, form) in [
        ("hexadecimal", "0123456789abcdef", IdForm::Hexadecimal),
        ("decimal", "81985529216486895", IdForm::Decimal),
        ("folded", "0123456789abcdef", IdForm::Folded),
    ] {
        c.bench_function(&format!("carrier id/{name}"), |b| {
            b.iter(|| CarrierMessageId::of(black_box(id.as_bytes()), form));
        });
    }
}

fn texts(c: &mut Criterion) {
    let mut out = Vec::with_capacity(200);
    let accented = TEXT.replace("code", "c\u{f6}de");
    let wide = TEXT.replace("code", "\u{43a}\u{43e}\u{434}");
    for (name, text) in [("identity", TEXT), ("gsm7", &accented), ("ucs2", &wide[..70])] {
        c.bench_function(&format!("text/{name}"), |b| {
            b.iter(|| {
                out.clear();
                let plan = Plan::new(black_box(text), Style::default()).expect("one segment");
                plan.put(text, None, &mut out)
            });
        });
    }
}

/// A window of 256 goes over, is answered, and the answers are taken.
fn session(c: &mut Criterion) {
    const WINDOW: u32 = 256;
    let options = Options { window_pdus_max: WINDOW, ..Options::default() };
    let bind = Bind {
        kind: BindKind::Transceiver,
        system_id: b"shop",
        password: b"secret",
        system_type: b"",
        interface_version: 0x34,
        address_range: Address::default(),
    };
    let mut now = Instant(0);
    let mut esme = Session::esme(&bind, &options, now);
    let mut mc = Session::mc(b"carrier", &options, now);
    carry(&mut esme, &mut mc, now);
    assert!(matches!(mc.poll_event(now), Some(Event::BindRequested { .. })));
    mc.accept_bind();
    carry(&mut mc, &mut esme, now);
    assert!(matches!(esme.poll_event(now), Some(Event::Bound { .. })));

    let mut group = c.benchmark_group("session");
    group.throughput(Throughput::Elements(u64::from(WINDOW)));
    group.bench_function("both ends of 256 submits and answers", |b| {
        b.iter(|| {
            now = now.plus(Duration::from_millis(1));
            for token in 0..u64::from(WINDOW) {
                esme.submit(now, token, &message()).expect("the window has room");
            }
            carry(&mut esme, &mut mc, now);
            while let Some(event) = mc.poll_event(now) {
                let Event::SubmitRequest { sequence, sm } = event else { panic!("{event:?}") };
                black_box(sm);
                mc.answer_submit(sequence, CommandStatus::ESME_ROK, b"0123456789abcdef");
            }
            carry(&mut mc, &mut esme, now);
            let mut expected = 0;
            while let Some(event) = esme.poll_event(now) {
                let Event::SubmitAnswer { token, status, .. } = event else { panic!("{event:?}") };
                assert!(token == expected && status.is_ok());
                expected += 1;
            }
            assert_eq!(expected, u64::from(WINDOW));
        });
    });
    group.finish();
}

fn carry(from: &mut Session, to: &mut Session, now: Instant) {
    let pending = from.pending();
    to.handle_bytes(now, pending);
    let bytes = pending.len();
    from.consume(bytes);
}

criterion_group!(benches, pdus, receipts, texts, session);
criterion_main!(benches);
