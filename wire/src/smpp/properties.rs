//! What holds for any PDU and any octets: round trips, two opinions, and never a panic.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rusmpp_core::command::borrowed::Command;
use rusmpp_core::decode::borrowed::DecodeWithLength;
use rusmpp_core::encode::Encode;
use rusmpp_core::pdus::borrowed::Pdu;

use super::bind::{BindResp, Outbind};
use super::header::split_pdu;
use super::query::{AlertNotification, CancelSm, DataSm, QuerySm, QuerySmResp};
use super::receipt_text::TextFields;
use super::sm::SmResp;
use super::unserved::{ReplaceSm, SubmitMulti, SubmitMultiResp};
use super::validity::SmppTime;
use super::*;

/// An [`Sm`] that owns its octets.
#[derive(Clone, Debug)]
struct Owned {
    strings: [Vec<u8>; 5],
    octets: [u8; 12],
    text: Vec<u8>,
    tlvs: Vec<(u16, Vec<u8>)>,
}

/// Octets of a C-octet string that other codecs take too: ASCII.
fn ascii(bytes: core::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(1..128_u8, bytes)
}

fn owned() -> impl Strategy<Value = Owned> {
    let time = || prop_oneof![Just(Vec::new()), Just(b"000000000500000R".to_vec())];
    let strings = (ascii(0..6), ascii(0..21), ascii(0..21), time(), time());
    let tlv = (0x1400..0x2000_u16, proptest::collection::vec(any::<u8>(), 0..20));
    (
        strings,
        any::<[u8; 12]>(),
        proptest::collection::vec(any::<u8>(), 0..=255),
        proptest::collection::vec(tlv, 0..4),
    )
        .prop_map(|((a, b, c, d, e), octets, text, tlvs)| Owned {
            strings: [a, b, c, d, e],
            octets,
            text,
            tlvs,
        })
}

impl Owned {
    /// The PDU, and the value that it says.
    fn check<R>(&self, command: CommandId, check: impl FnOnce(&Sm<'_>, &[u8]) -> R) -> R {
        let [service_type, source, destination, schedule, validity] = &self.strings;
        let octet = self.octets;
        let mut tlvs = Vec::new();
        for (tag, value) in &self.tlvs {
            put_tlv(&mut tlvs, Tag(*tag), value);
        }
        let sm = Sm {
            service_type,
            source: Address { ton: Ton(octet[0]), npi: Npi(octet[1]), octets: source },
            destination: Address { ton: Ton(octet[2]), npi: Npi(octet[3]), octets: destination },
            esm_class: EsmClass(octet[4]),
            protocol_id: octet[5],
            priority_flag: octet[6],
            schedule_delivery_time: schedule,
            validity_period: validity,
            registered_delivery: RegisteredDelivery(octet[7]),
            replace_if_present_flag: octet[8],
            data_coding: DataCoding(octet[9]),
            sm_default_msg_id: octet[10],
            short_message: &self.text,
            tlvs: Tlvs::new(&tlvs).unwrap(),
        };
        let mut pdu = Vec::new();
        sm.encode(command, Sequence(u32::from(octet[11]) + 1), &mut pdu).unwrap();
        check(&sm, &pdu)
    }
}

/// Everything that reads octets, on these.
fn read_all(octets: &[u8]) {
    let _ = split_pdu(octets, 1024);
    let mut out = Vec::new();
    if let Ok(sm) = Sm::decode(octets) {
        sm.encode(CommandId::SUBMIT_SM, Sequence(1), &mut out).unwrap();
        assert_eq!(&out[16..], octets, "what is read is written again");
        for sign in [ReceiptSign::EsmClass, ReceiptSign::EsmClassOrBody] {
            let _ = Receipt::read(&sm, sign, &mut Scratch::default());
        }
        let _ = sm.tlvs.congestion_state();
    }
    for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
        let _ = Bind::decode(kind, octets);
    }
    let _ =
        (BindResp::decode(octets), Outbind::decode(octets), SmResp::decode(octets), DataSm::decode(octets));
    let _ = (QuerySm::decode(octets), QuerySmResp::decode(octets), CancelSm::decode(octets));
    let _ = (AlertNotification::decode(octets), Tlvs::new(octets), SmppTime::read(octets));
    if let Ok(multi) = SubmitMulti::decode(octets) {
        assert_eq!(multi.destinations.into_iter().count(), usize::from(multi.destinations.count()));
        out.clear();
        multi.encode(Sequence(1), &mut out).unwrap();
        assert_eq!(&out[16..], octets, "what is read is written again");
    }
    if let Ok(replace) = ReplaceSm::decode(octets) {
        out.clear();
        replace.encode(Sequence(1), &mut out).unwrap();
        assert_eq!(&out[16..], octets, "what is read is written again");
    }
    if let Ok(response) = SubmitMultiResp::decode(octets) {
        let _ = response.unsuccessful().count();
    }
    for form in [IdForm::Exact, IdForm::Folded, IdForm::Decimal, IdForm::Hexadecimal] {
        let _ = CarrierMessageId::of(octets, form);
    }
    let sm = Sm { short_message: octets, ..Sm::default() };
    let _ = Receipt::read(&sm, ReceiptSign::EsmClassOrBody, &mut Scratch::default());
}

/// Texts near those of receipts: pieces of them in any order.
fn receipt_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("id:"),
        Just("id:123"),
        Just(" sub:001"),
        Just(" dlvrd:001"),
        Just(" submit date:2611230302"),
        Just(" done date:261123030255"),
        Just(" stat:DELIVRD"),
        Just(" stat:UNDELIV"),
        Just(" err:"),
        Just("000"),
        Just("012"),
        Just(" text:"),
        Just(" Text:id:9"),
        Just(" "),
        Just(":"),
        Just(","),
        Just("stat:"),
        Just("x"),
    ];
    let any_order = proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat());
    let as_printed = "id:[0-9A-F:,]{0,12} sub:[0-9:]{3} dlvrd:[0-9]{3} submit date:[0-9]{10}([0-9]{2})? done date:[0-9]{9}[0-9 ] \
                      stat:[A-Z,]{7} err:[0-9;]{0,4}( [tT]ext:[a-z: ]{0,9}| err:7)?";
    prop_oneof![any_order, as_printed]
}

proptest! {
    // A fixed seed: a failure repeats with the same command.
    #![proptest_config(ProptestConfig {
        cases: 512,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_message_is_read_back(owned in owned()) {
        owned.check(CommandId::DELIVER_SM, |sm, pdu| {
            let (header, body) = split_pdu(pdu, 4096).unwrap().unwrap();
            prop_assert_eq!(header.command, CommandId::DELIVER_SM);
            prop_assert_eq!(Sm::decode(body), Ok(*sm));
            // Every cut within the fields and TLVs is an error; behind a whole TLV it is a shorter message.
            for end in 0..body.len() {
                if let Ok(shorter) = Sm::decode(&body[..end]) {
                    prop_assert!(shorter.tlvs.as_bytes().len() < sm.tlvs.as_bytes().len());
                    prop_assert_eq!(shorter.short_message, sm.short_message);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn another_codec_reads_the_same(owned in owned()) {
        owned.check(CommandId::SUBMIT_SM, |sm, pdu| {
            let (other, size) = Command::<'_, 8>::decode(&pdu[4..], pdu.len() - 4).unwrap();
            prop_assert_eq!(size, pdu.len() - 4);
            let mut again = vec![0; pdu.len()];
            let written = other.encode(&mut again);
            prop_assert_eq!(&again[..written], &pdu[4..]);
            let Some(Pdu::SubmitSm(other)) = other.pdu() else { panic!("{other:?}") };
            prop_assert_eq!(other.source_addr.as_str().as_bytes(), sm.source.octets);
            prop_assert_eq!(other.destination_addr.as_str().as_bytes(), sm.destination.octets);
            prop_assert_eq!(u8::from(other.data_coding), sm.data_coding.0);
            prop_assert_eq!(u8::from(other.registered_delivery), sm.registered_delivery.0);
            prop_assert_eq!(u8::from(other.esm_class), sm.esm_class.0);
            prop_assert_eq!(usize::from(other.sm_length()), sm.short_message.len());
            prop_assert_eq!(other.tlvs().len(), sm.tlvs.into_iter().count());
            Ok(())
        })?;
    }

    #[test]
    fn what_another_codec_reads_we_read(owned in owned(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        owned.check(CommandId::DELIVER_SM, |_, pdu| {
            let mut bent = pdu.to_vec();
            let at = 16 + at.index(bent.len() - 16);
            bent[at] = octet;
            if let Ok((other, size)) = Command::<'_, 8>::decode(&bent[4..], bent.len() - 4)
                && size == bent.len() - 4
            {
                prop_assert!(Sm::decode(&bent[16..]).is_ok(), "{other:?}");
            }
            read_all(&bent[16..]);
            Ok(())
        })?;
    }

    #[test]
    fn any_octets_are_a_value_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&octets);
    }

    #[test]
    fn the_printed_line_is_read_as_its_words_are(text in receipt_like()) {
        if let Some(printed) = TextFields::read_as_printed(text.as_bytes()) {
            prop_assert_eq!(printed, TextFields::read_words(text.as_bytes()));
        }
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let read = |text: &[u8]| {
            let sm = Sm { short_message: text, ..Sm::default() };
            Receipt::read(&sm, ReceiptSign::EsmClassOrBody, &mut Scratch::default())
                .map(|receipt| (receipt.id.to_vec(), receipt.state))
        };
        prop_assert_eq!(read(&wide), read(text.as_bytes()));
    }

    #[test]
    fn our_receipts_are_read(
        id in "[0-9A-Za-z-]{1,26}",
        state in 0..10_u8,
        error in 0..1000_u16,
        text in "[ -~]{0,40}",
        tlvs in any::<bool>(),
    ) {
        let state = MessageState::from_octet(state);
        let at = crate::time::WallMs(1_795_402_975_000);
        let out = ReceiptOut { id: id.as_bytes(), state, error, submitted: at, done: at, text: text.as_bytes() };
        let (mut text, mut optional) = (Vec::new(), Vec::new());
        out.put_text(&mut text);
        if tlvs {
            out.put_tlvs(&mut optional);
        }
        let tlvs = Tlvs::new(&optional).unwrap();
        let sm = Sm { esm_class: EsmClass::RECEIPT, short_message: &text, tlvs, ..Sm::default() };
        let mut scratch = Scratch::default();
        let receipt = Receipt::read(&sm, ReceiptSign::EsmClass, &mut scratch).unwrap();
        if !tlvs.as_bytes().is_empty() {
            let mut scratch = Scratch::default();
            let data = DataSm { esm_class: EsmClass::RECEIPT, tlvs, ..DataSm::default() };
            let read = Receipt::read_data(&data, ReceiptDialect::default(), &mut scratch);
            prop_assert_eq!(read.map(|read| (read.id, read.state)), Some((receipt.id, receipt.state)));
        }
        prop_assert_eq!((receipt.id, receipt.state), (id.as_bytes(), state));
        prop_assert_eq!(receipt.error.is_some(), error != 0);
    }
}
