//! What reads octets, and what writes texts.

use core::time::Duration;

use bolero::check;
use rusmpp_core::command::borrowed::Command;
use rusmpp_core::decode::borrowed::DecodeWithLength;
use rusmpp_core::pdus::borrowed::Pdu;
use wire::msisdn::Msisdn;
use wire::smpp::bind::{BindResp, Outbind};
use wire::smpp::header::split_pdu;
use wire::smpp::profile::{Segment, SegmentBuffers};
use wire::smpp::query::{AlertNotification, CancelSm, DataSm, QuerySm, QuerySmResp};
use wire::smpp::sm::SmResp;
use wire::smpp::unserved::{ReplaceSm, SubmitMulti, SubmitMultiResp};
use wire::smpp::{
    Bind, BindKind, CarrierMessageId, CommandId, DecodeError, EsmClass, IdForm, Profile, Receipt,
    ReceiptDialect, ReceiptSign, ReceiptSource, Scratch, Sequence, Sm, Tag, Tlvs,
};
use wire::text::{Alphabet, Concatenation, Narrow, PartHeader, Plan, Style, decode, read, read_packed};
use wire::time::WallMs;

use super::{Change, bend, pdus, receipts};

/// What an ordinary test run takes of each.
const INPUTS: usize = 20_000;

/// Golden PDUs with a few octets changed: each is a value or an error to every decoder, what is read is written again, and what
/// another codec reads we read, and the same.
#[test]
fn smpp_pdus() {
    let (golden, plan) = (pdus(), bolero::produce::<(u16, Vec<Change>)>());
    check!().with_iterations(INPUTS).with_generator(plan).for_each(move |(which, changes)| {
        let mut pdu = golden[usize::from(*which) % golden.len()].clone();
        bend(&mut pdu, &changes[..changes.len().min(6)]);
        // A length that fits, so that most of them get behind it; the other ones are the session's.
        if let (Ok(length), true) = (u32::try_from(pdu.len()), pdu.len() >= 16) {
            pdu[..4].copy_from_slice(&length.to_be_bytes());
        }
        if let Ok(Some((header, body))) = split_pdu(&pdu, 4096) {
            read_all(body);
            compare(&pdu, header.command, body);
        }
    });
}

/// What another codec makes of it, if it can.
fn compare(pdu: &[u8], command: CommandId, body: &[u8]) {
    let rest = &pdu[4..];
    let Ok((other, size)) = Command::<'_, 16>::decode(rest, rest.len()) else { return };
    // It lets octets pass that are no whole TLV; to us they are an error.
    if size != rest.len() || Sm::decode(body) == Err(DecodeError::TlvCut) {
        return;
    }
    // Optional parameters are not compared: behind the NUL of one that is longer than its string it reads on as if another began.
    match other.pdu() {
        Some(Pdu::SubmitSm(other)) => {
            assert_eq!(command, CommandId::SUBMIT_SM);
            let sm = Sm::decode(body).unwrap_or_else(|error| panic!("{error}: {other:?}"));
            assert_eq!(sm.source.octets, other.source_addr.as_str().as_bytes());
            assert_eq!(sm.destination.octets, other.destination_addr.as_str().as_bytes());
            assert_eq!(sm.validity_period, other.validity_period.as_str().as_bytes());
            assert_eq!(
                (sm.esm_class.0, sm.data_coding.0),
                (u8::from(other.esm_class), u8::from(other.data_coding))
            );
            assert_eq!(sm.registered_delivery.0, u8::from(other.registered_delivery));
            assert_eq!(sm.short_message.len(), usize::from(other.sm_length()));
        }
        Some(Pdu::DeliverSm(other)) => {
            assert_eq!(command, CommandId::DELIVER_SM);
            let sm = Sm::decode(body).unwrap_or_else(|error| panic!("{error}: {other:?}"));
            assert_eq!(sm.source.octets, other.source_addr.as_str().as_bytes());
            assert_eq!(sm.destination.octets, other.destination_addr.as_str().as_bytes());
            assert_eq!(
                (sm.esm_class.0, sm.data_coding.0),
                (u8::from(other.esm_class), u8::from(other.data_coding))
            );
            assert_eq!(sm.short_message.len(), usize::from(other.sm_length()));
        }
        Some(Pdu::SubmitSmResp(other)) => {
            assert_eq!(SmResp::decode(body).message_id, other.message_id().as_str().as_bytes());
        }
        Some(Pdu::BindTransceiver(other)) => {
            let bind = Bind::decode(BindKind::Transceiver, body);
            let bind = bind.unwrap_or_else(|error| panic!("{error}: {other:?}"));
            assert_eq!(bind.system_id, other.system_id.as_str().as_bytes());
            assert_eq!(bind.password, other.password.as_str().as_bytes());
        }
        Some(Pdu::QuerySm(other)) => {
            let query = QuerySm::decode(body).unwrap_or_else(|error| panic!("{error}: {other:?}"));
            assert_eq!(query.message_id, other.message_id.as_str().as_bytes());
        }
        _ => {}
    }
}

/// Everything that reads a body, on these octets.
fn read_all(octets: &[u8]) {
    let mut out = Vec::new();
    if let Ok(sm) = Sm::decode(octets) {
        sm.encode(CommandId::SUBMIT_SM, Sequence(1), &mut out).expect("it was short enough once");
        assert_eq!(&out[16..], octets, "what is read is written again");
        for dialect in dialects() {
            let _ = Receipt::read_as(&sm, dialect, &mut Scratch::default());
        }
    }
    for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
        let _ = Bind::decode(kind, octets);
    }
    let _ = (BindResp::decode(octets), Outbind::decode(octets), SmResp::decode(octets));
    let _ = (QuerySm::decode(octets), QuerySmResp::decode(octets), CancelSm::decode(octets));
    let _ = (AlertNotification::decode(octets), Tlvs::new(octets));
    if let Ok(data) = DataSm::decode(octets) {
        out.clear();
        data.encode(Sequence(1), &mut out);
        assert_eq!(&out[16..], octets, "what is read is written again");
    }
    if let Ok(multi) = SubmitMulti::decode(octets) {
        assert_eq!(multi.destinations.into_iter().count(), usize::from(multi.destinations.count()));
        out.clear();
        multi.encode(Sequence(1), &mut out).expect("it was short enough once");
        assert_eq!(&out[16..], octets, "what is read is written again");
    }
    if let Ok(replace) = ReplaceSm::decode(octets) {
        out.clear();
        replace.encode(Sequence(1), &mut out).expect("it was short enough once");
        assert_eq!(&out[16..], octets, "what is read is written again");
    }
    if let Ok(response) = SubmitMultiResp::decode(octets) {
        let _ = response.unsuccessful().count();
    }
}

fn dialects() -> impl Iterator<Item = ReceiptDialect> {
    let signs = [ReceiptSign::EsmClass, ReceiptSign::EsmClassOrBody];
    let sources =
        [ReceiptSource::TlvsThenText, ReceiptSource::TextThenTlvs, ReceiptSource::Tlvs, ReceiptSource::Text];
    signs.into_iter().flat_map(move |sign| sources.map(|source| ReceiptDialect { sign, source }))
}

/// Golden receipts with a few octets changed, in every dialect, as ASCII and as UCS-2: the same is read of both.
#[test]
fn smpp_receipts() {
    let (golden, plan) = (receipts(), bolero::produce::<(u16, Vec<Change>, u8)>());
    check!().with_iterations(INPUTS).with_generator(plan).for_each(move |(which, changes, state)| {
        let mut text = golden[usize::from(*which) % golden.len()].clone();
        bend(&mut text, &changes[..changes.len().min(6)]);
        text.truncate(127);
        let tlv = [&[0x04, 0x27, 0, 1][..], &[*state]].concat();
        for tlvs in [&[][..], &tlv] {
            let tlvs = Tlvs::new(tlvs).expect("one, whole");
            for dialect in dialects() {
                let sm = Sm { esm_class: EsmClass::RECEIPT, short_message: &text, tlvs, ..Sm::default() };
                let mut scratch = Scratch::default();
                let Some(receipt) = Receipt::read_as(&sm, dialect, &mut scratch) else { continue };
                let forms = [IdForm::Exact, IdForm::Folded, IdForm::Decimal, IdForm::Hexadecimal];
                for form in forms {
                    let id = CarrierMessageId::of(receipt.id, form);
                    assert_eq!(id, CarrierMessageId::of(receipt.id, form), "an id is one id");
                }
                if text.is_ascii() && !text.contains(&0) {
                    let wide: Vec<u8> = text.iter().flat_map(|octet| [0, *octet]).collect();
                    let wide = Sm { short_message: &wide, ..sm };
                    let mut scratch = Scratch::default();
                    let wide = Receipt::read_as(&wide, dialect, &mut scratch);
                    let said = wide.map(|wide| (wide.id.to_vec(), wide.state));
                    assert_eq!(said, Some((receipt.id.to_vec(), receipt.state)));
                }
            }
        }
    });
}

fn styles() -> impl Iterator<Item = Style> {
    let narrow = [Narrow::Gsm7, Narrow::Gsm7Packed, Narrow::Latin1];
    let ways = [Concatenation::Udh8, Concatenation::Udh16, Concatenation::Sar, Concatenation::Payload];
    narrow.into_iter().flat_map(move |narrow| ways.map(|concatenation| Style { narrow, concatenation }))
}

/// A text of pieces that are hard to cut.
fn text_of(pieces: &[(u8, u8)]) -> String {
    const PIECES: [&str; 12] = ["a", "@", "€", "ü", "[", "ж", "🙂", "\u{300}", "\n", "“", "0", "\u{1b}"];
    let piece = |&(which, times): &(u8, u8)| PIECES[usize::from(which) % 12].repeat(usize::from(times) % 80);
    pieces.iter().map(piece).collect()
}

/// What a text is cut into and written as is read as the same text, in every style, and every octet of a segment has its place.
#[test]
fn texts() {
    let plan = bolero::produce::<(Vec<(u8, u8)>, Vec<u8>, u16)>();
    check!().with_iterations(INPUTS).with_generator(plan).for_each(|(pieces, octets, reference)| {
        let text = text_of(pieces);
        for style in styles() {
            let Ok(plan) = Plan::new(&text, style) else { continue };
            written_and_read(&text, style, &plan, *reference);
        }
        let (mut scratch, mut shown) = (String::new(), String::new());
        for alphabet in [Alphabet::Gsm7, Alphabet::Latin1, Alphabet::Ucs2] {
            shown.clear();
            read(alphabet, octets, &mut shown);
            if let Ok(text) = decode(alphabet, octets, &mut scratch) {
                assert_eq!(text, shown, "what is read word for word is what a handset shows");
            }
        }
        for header_bytes in [0, 6, 7] {
            read_packed(octets, header_bytes, &mut shown);
        }
        if let Some((part, rest)) = PartHeader::read_udh(octets) {
            assert!(rest.len() < octets.len());
            assert!(part.is_none_or(|part| part.number >= 1 && part.number <= part.total));
        }
    });
}

fn written_and_read(text: &str, style: Style, plan: &Plan, reference: u16) {
    let (mut whole, mut octets, mut count) = (String::new(), Vec::new(), 0);
    for segment in plan.cut(text) {
        count += 1;
        octets.clear();
        let header =
            (plan.segments > 1).then_some(PartHeader { reference, total: plan.segments, number: count });
        let has_udh = plan.put(segment, header, &mut octets);
        let header_bytes = if has_udh { usize::from(octets[0]) + 1 } else { 0 };
        let is_packed = plan.alphabet == Alphabet::Gsm7 && style.narrow == Narrow::Gsm7Packed;
        // Septets, unpacked, are as many octets.
        let most = if plan.alphabet == Alphabet::Gsm7 && !is_packed { 160 } else { 140 };
        assert!(
            octets.len() <= most || style.concatenation == Concatenation::Payload,
            "{} octets of {text:?} in {style:?}",
            octets.len()
        );
        let mut found = String::new();
        if is_packed {
            read_packed(&octets[header_bytes..], header_bytes, &mut found);
            // Seven bits of padding are an '@' too, and without a length nobody can tell.
            let is_same = |one: &str, other: &str| one.strip_suffix('@') == Some(other);
            if is_same(&found, segment) || is_same(segment, &found) {
                segment.clone_into(&mut found);
            }
        } else {
            read(plan.alphabet, &octets[header_bytes..], &mut found);
        }
        assert_eq!(found, segment, "{style:?}");
        whole += segment;
    }
    assert_eq!((whole.as_str(), count.max(1)), (text, plan.segments), "{style:?}");
}

/// Every shipped profile makes PDUs that are read back, of any text and any sender, or says why not.
#[test]
fn profiles() {
    let profiles = Profile::SHIPPED.map(|(_, profile)| profile());
    let plan = bolero::produce::<(Vec<(u8, u8)>, String, u64, u32, u16)>();
    check!().with_iterations(INPUTS / 4).with_generator(plan).for_each(
        move |(pieces, sender, number, valid_s, reference)| {
            let digits = format!("{}", 10_000_000 + number % 100_000_000_000_000);
            let Ok(recipient) = Msisdn::parse(digits.as_bytes()) else { return };
            for profile in &profiles {
                let (mut scratch, mut buffers) = (String::new(), SegmentBuffers::default());
                let text = text_of(pieces);
                let text = profile.text(&text, &mut scratch);
                let Ok(plan) = profile.plan(text) else { continue };
                for part in 0..profile.pdus(&plan) {
                    let segment = Segment {
                        sender,
                        recipient,
                        text,
                        plan: &plan,
                        part,
                        reference: *reference,
                        valid_for: Duration::from_secs(u64::from(*valid_s)),
                        now: WallMs(1_795_402_975_000),
                    };
                    let Ok(sm) = profile.segment(&segment, &mut buffers) else { break };
                    let mut pdu = Vec::new();
                    sm.encode(CommandId::SUBMIT_SM, Sequence(1), &mut pdu).expect("a segment fits");
                    assert_eq!(Sm::decode(&pdu[16..]), Ok(sm));
                    let is_whole =
                        sm.short_message.is_empty() || sm.tlvs.find(Tag::MESSAGE_PAYLOAD).is_none();
                    assert!(is_whole, "a text in both places");
                }
            }
        },
    );
}
