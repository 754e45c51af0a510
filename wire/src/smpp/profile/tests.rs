//! What the shipped profiles make of messages, answers and receipts, against golden lines.

use super::super::command::CommandId;
use super::super::fields::EsmClass;
use super::super::header::split_pdu;
use super::super::tlv::{Tag, put_tlv};
use super::super::{Sequence, Session};
use super::*;
use crate::msisdn::Msisdn;
use crate::text::Narrow;
use crate::time::{Instant, WallMs};

const NOW: WallMs = WallMs(1_795_402_975_000);

fn recipient() -> Msisdn {
    "+4915112345678".parse().unwrap()
}

/// The PDUs of a message, as hex.
fn submit(profile: &Profile, sender: &str, text: &str) -> Result<Vec<Vec<u8>>, SenderError> {
    let (mut scratch, mut buffers) = (String::new(), SegmentBuffers::default());
    let text = profile.text(text, &mut scratch);
    let plan = profile.plan(text).unwrap();
    let segment = |part| Segment {
        sender,
        recipient: recipient(),
        text,
        plan: &plan,
        part,
        reference: 0x0142,
        valid_for: Duration::from_secs(300),
        now: NOW,
    };
    (0..profile.pdus(&plan))
        .map(|part| {
            let mut pdu = Vec::new();
            let sm = profile.segment(&segment(part), &mut buffers)?;
            sm.encode(CommandId::SUBMIT_SM, Sequence(7), &mut pdu).unwrap();
            Ok(pdu)
        })
        .collect()
}

/// A line for each PDU of a message: addresses, class, coding, validity, octets, parameters.
fn show(profile: &Profile, sender: &str, text: &str) -> String {
    let pdus = match submit(profile, sender, text) {
        Ok(pdus) => pdus,
        Err(error) => return format!("refused: {error}"),
    };
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let lines = pdus.iter().map(|pdu| {
        let (_, body) = split_pdu(pdu, 1 << 16).unwrap().unwrap();
        let sm = Sm::decode(body).unwrap();
        let parameters: String =
            sm.tlvs.into_iter().map(|tlv| format!(" {:04x}={}", tlv.tag.0, hex(tlv.value))).collect();
        format!(
            "{:?} > {:?} class {:02x} coding {:02x} '{}' {}{parameters}",
            sm.source,
            sm.destination,
            sm.esm_class.0,
            sm.data_coding.0,
            sm.validity_period.escape_ascii(),
            hex(sm.short_message),
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn shipped_profiles_send_what_their_carriers_take() {
    let file = include_str!("../../../testdata/smpp/profiles.golden");
    let (mut wrong, mut blocks) = (String::new(), 0);
    for block in file.split("\n\n") {
        let lines: Vec<_> = block.lines().filter(|line| !line.starts_with('#')).collect();
        let [head, expected @ ..] = &lines[..] else { continue };
        let [name, sender, text] = head.split('|').collect::<Vec<_>>()[..] else { panic!("{head}") };
        blocks += 1;
        let text = text.replace("x*", &"x".repeat(160));
        let found = show(&Profile::named(name).unwrap(), sender, &text);
        if found != expected.join("\n") {
            wrong += &format!("{head}\n{found}\n\n");
        }
    }
    assert!(blocks >= 20, "{blocks}");
    assert!(wrong.is_empty(), "these blocks are sent otherwise:\n\n{wrong}");
}

#[test]
fn every_shipped_profile_is_consistent_and_documented() {
    let page = include_str!("../../../../docs/smpp.md");
    for (name, make) in Profile::SHIPPED {
        let profile = make();
        assert_eq!(profile.name, name);
        assert_eq!(profile.check(), Ok(()), "{name}");
        assert!(page.contains(&format!("| `{name}` |")), "docs/smpp.md does not have {name}");
        assert_eq!(Profile::named(name), Some(profile));
    }
    assert_eq!(Profile::named("no such"), None);
}

#[test]
fn a_profile_that_contradicts_itself_is_refused_with_the_reason() {
    let check = |change: fn(&mut Profile), expected: ProfileError| {
        let mut profile = Profile::GENERIC;
        change(&mut profile);
        assert_eq!(profile.check(), Err(expected));
    };
    check(|p| p.window_pdus = 0, ProfileError::Window(0));
    check(|p| p.window_pdus = 4097, ProfileError::Window(4097));
    check(|p| p.rate_per_s = Some(0), ProfileError::Rate);
    check(|p| p.timers.response = Duration::ZERO, ProfileError::Timer("response"));
    check(|p| p.tlvs = Cow::Borrowed(&[0x14, 0, 0, 9, 1]), ProfileError::Tlvs);
    check(|p| p.interface_version = 0x33, ProfileError::Transceiver);
    check(|p| p.sender.letters.as_mut().unwrap().chars_max = 21, ProfileError::Letters(21));
    check(|p| (p.queries, p.ids.scope) = (true, IdScope::Bind), ProfileError::Queries);
    check(|p| p.sender.short_codes.as_mut().unwrap().digits_max = 0, ProfileError::ShortCodes(0));
    let old = |change: fn(&mut Profile)| {
        let mut profile = Profile::v33();
        change(&mut profile);
        profile.check().unwrap_err().to_string()
    };
    assert!(old(|p| p.texts.style.concatenation = Concatenation::Sar).contains("sar_*"));
    assert!(old(|p| p.texts.style.concatenation = Concatenation::Payload).contains("message_payload"));
    assert!(old(|p| p.receipts.source = ReceiptSource::Tlvs).contains("receipts"));
    assert!(old(|p| p.tlvs = Cow::Borrowed(&[0x14, 0, 0, 0])).contains("adding"));
}

/// Ids as they were seen together: in a response, and in the receipt of the same message.
#[test]
fn receipts_find_their_responses() {
    let check = |name: &str, response: &str, text: &str, tlv: Option<&str>, equal: bool| {
        let profile = Profile::named(name).unwrap();
        let mut tlvs = Vec::new();
        if let Some(id) = tlv {
            put_tlv(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, id.as_bytes());
            put_tlv(&mut tlvs, Tag::MESSAGE_STATE, &[2]);
        }
        let text = format!("id:{text} sub:001 dlvrd:001 stat:DELIVRD err:000 text:");
        let sm = Sm {
            esm_class: EsmClass::RECEIPT,
            short_message: text.as_bytes(),
            tlvs: Tlvs::new(&tlvs).unwrap(),
            ..Sm::default()
        };
        let mut scratch = Scratch::default();
        let receipt = profile.read_receipt(&sm, &mut scratch).unwrap();
        let found = profile.receipt_id(&receipt) == profile.response_id(response.as_bytes());
        assert_eq!(found, equal, "{name}: {response} and {text} {tlv:?}");
    };
    // jookies/jasmin, issue 1034; 0972660181 is 0x39F99DD5.
    check("hex-responses", "39f99dd5", "0972660181", None, true);
    check("generic", "39f99dd5", "0972660181", None, false);
    // jookies/jasmin, issue 535.
    check("hex-responses", "10C8F40D", "281605133", None, true);
    // opentelecoms-org/jsmpp, issue 56.
    check("v33", "33E95179", "870928761", None, true);
    // jookies/jasmin, issues 1129, 643 and 916.
    check("generic", "00B8BE19", "B8BE19", None, true);
    check(
        "generic",
        "0e999f21-81ef-4974-a414-3de98174e3c7",
        "E999F21-81EF-4974-A414-3DE98174E3C7",
        None,
        true,
    );
    check("generic", "1101c1-c9d03d-f000", "1101C1-C9D03D-F000", None, true);
    check("decimal-responses", "870928761", "33E95179", None, true);
    // The text in decimal, the parameter as in the response.
    check("hex-responses", "10C8F40D", "281605133", Some("10c8f40d"), true);
    // More than 63 bits.
    check("hex-responses", "822FC7470000001B", "9380935656592637979", None, true);
}

#[test]
fn statuses_mean_what_the_carrier_says() {
    let check = |name: &str, status: u32, expected: Verdict| {
        let profile = Profile::named(name).unwrap();
        assert_eq!(profile.verdict(CommandStatus(status)), expected, "{name} {status:#x}");
    };
    check("generic", 0, Verdict::Ok);
    check("generic", 0x58, Verdict::Throttled);
    check("generic", 0x0B, Verdict::Permanent);
    check("generic", 0x400, Verdict::Temporary);
    check("generic", 0x2_0000, Verdict::Temporary);
    check("vendor-statuses", 0x400, Verdict::Permanent);
    check("vendor-statuses", 0x402, Verdict::Temporary);
    check("vendor-statuses", 0x45, Verdict::Permanent);
    check("vendor-statuses", 0x4A1, Verdict::Temporary);
    check("vendor-statuses", 0x58, Verdict::Throttled);
    // No rule makes a refusal a success, or a success a refusal.
    let rules = Cow::Owned(vec![StatusRule::range(0, u32::MAX, Verdict::Ok)]);
    let odd = Statuses { rules, others: Verdict::Permanent };
    assert_eq!(odd.verdict(CommandStatus(0x58)), Verdict::Permanent);
    assert_eq!(odd.verdict(CommandStatus(0)), Verdict::Ok);
}

#[test]
fn the_last_state_is_the_carriers_to_say() {
    let is_final = |profile: &Profile, state, is_intermediate| {
        let receipt = Receipt { id: b"1", id_place: IdPlace::Text, state, error: None, is_intermediate };
        profile.is_final(&receipt)
    };
    let generic = Profile::GENERIC;
    for octet in 0..=10 {
        let state = MessageState::from_octet(octet);
        assert_eq!(is_final(&generic, state, false), state.is_final());
        assert!(!is_final(&generic, state, true), "an intermediate notification is never final");
    }
    let accepting = Profile::accepted_is_final();
    assert!(is_final(&accepting, MessageState::Accepted, false));
    assert!(!is_final(&accepting, MessageState::Unknown, false));
    let odd = FinalStates::SPECIFIED.with(MessageState::Unrecognised);
    assert!(odd.has(MessageState::Unrecognised) && !odd.has(MessageState::Enroute));
}

#[test]
fn numbers_are_written_as_the_carrier_reads_them() {
    let mut profile = Profile::GENERIC;
    let mut check = |spelling, expected: &str| {
        profile.recipient.spelling = spelling;
        let mut buffer = [0; ADDRESS_BYTES_MAX];
        assert_eq!(profile.recipient(recipient(), &mut buffer).octets, expected.as_bytes());
    };
    check(Spelling::Plain, "4915112345678");
    check(Spelling::Plus, "+4915112345678");
    check(Spelling::DoubleZero, "004915112345678");
    // The longest number in the longest spelling fits.
    let longest: Msisdn = "+123456789012345".parse().unwrap();
    assert_eq!(profile.recipient(longest, &mut [0; ADDRESS_BYTES_MAX]).octets.len(), 17);
}

#[test]
fn a_session_is_made_of_a_profile() {
    let profile = Profile { window_pdus: 3, ..Profile::GENERIC };
    let session = Session::esme_called(&profile.options(), Instant(1));
    assert_eq!(session.window_room(), 3);
    assert_eq!(profile.texts.style.narrow, Narrow::Gsm7);
}
