//! Golden bytes: PDUs and receipts as other programs write them, and what is read from them.
//!
//! A file is blocks between blank lines; a line that starts with `#` is a comment. What is read stands behind `=`, or
//! behind `~` when writing it again gives other octets than those that came.

use rusmpp_core::command::borrowed::Command;
use rusmpp_core::decode::borrowed::DecodeWithLength;
use rusmpp_core::encode::Encode;

use super::bind::{BindResp, Outbind};
use super::header::{Header, encode_header_only, split_pdu};
use super::query::{AlertNotification, CancelSm, DataSm, QuerySm, QuerySmResp};
use super::sm::SmResp;
use super::unserved::{Destination, ReplaceSm, SubmitMulti, SubmitMultiResp};
use super::*;

/// The blocks of a golden file.
fn blocks(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.split("\n\n").filter_map(|block| {
        let lines: Vec<_> = block.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        (!lines.is_empty()).then_some(lines)
    })
}

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn show(octets: &[u8]) -> String {
    format!("'{}'", octets.escape_ascii())
}

fn show_address(address: Address<'_>) -> String {
    format!("{}/{} {}", address.ton.0, address.npi.0, show(address.octets))
}

fn show_destination(destination: Destination<'_>) -> String {
    match destination {
        Destination::Sme(address) => show_address(address),
        Destination::List(name) => format!("list {}", show(name)),
    }
}

fn show_tlvs(tlvs: Tlvs<'_>) -> String {
    tlvs.into_iter().map(|tlv| format!(" {:04X}={}", tlv.tag.0, show(tlv.value))).collect()
}

fn show_sm(sm: &Sm<'_>) -> String {
    format!(
        "{} from {} to {} esm_class {:#04x} at {} for {} registered {:#04x} coding {:#04x}: {}{}",
        show(sm.service_type),
        show_address(sm.source),
        show_address(sm.destination),
        sm.esm_class.0,
        show(sm.schedule_delivery_time),
        show(sm.validity_period),
        sm.registered_delivery.0,
        sm.data_coding.0,
        show(sm.short_message),
        show_tlvs(sm.tlvs)
    )
}

/// What a PDU says, and its octets written again.
fn read_request(header: Header, body: &[u8], out: &mut Vec<u8>) -> Result<String, DecodeError> {
    let sequence = header.sequence;
    Ok(match header.command {
        command @ (CommandId::SUBMIT_SM | CommandId::DELIVER_SM) => {
            let sm = Sm::decode(body)?;
            sm.encode(command, sequence, out).unwrap();
            show_sm(&sm)
        }
        CommandId::DATA_SM => {
            let data = DataSm::decode(body)?;
            data.encode(sequence, out);
            let (from, to) = (show_address(data.source), show_address(data.destination));
            format!("from {from} to {to}{}", show_tlvs(data.tlvs))
        }
        CommandId::QUERY_SM => {
            let query = QuerySm::decode(body)?;
            query.encode(sequence, out);
            format!("{} from {}", show(query.message_id), show_address(query.source))
        }
        CommandId::CANCEL_SM => {
            let cancel = CancelSm::decode(body)?;
            cancel.encode(sequence, out);
            let (from, to) = (show_address(cancel.source), show_address(cancel.destination));
            format!("{} from {from} to {to}", show(cancel.message_id))
        }
        CommandId::OUTBIND => {
            let outbind = Outbind::decode(body)?;
            outbind.encode(sequence, out);
            format!("{} {}", show(outbind.system_id), show(outbind.password))
        }
        CommandId::ALERT_NOTIFICATION => {
            let alert = AlertNotification::decode(body)?;
            alert.encode(sequence, out);
            let (who, whom) = (show_address(alert.source), show_address(alert.esme));
            format!("{who} for {whom}{}", show_tlvs(alert.tlvs))
        }
        CommandId::REPLACE_SM | CommandId::SUBMIT_MULTI => read_unserved(header, body, out)?,
        command => {
            let Some(kind) = BindKind::of(command) else { return Ok(read_header_only(header, body, out)) };
            let bind = Bind::decode(kind, body)?;
            bind.encode(sequence, out);
            format!(
                "{} {} {} version {:#04x} {}",
                show(bind.system_id),
                show(bind.password),
                show(bind.system_type),
                bind.interface_version,
                show_address(bind.address_range)
            )
        }
    })
}

fn read_unserved(header: Header, body: &[u8], out: &mut Vec<u8>) -> Result<String, DecodeError> {
    let sequence = header.sequence;
    Ok(match header.command {
        CommandId::REPLACE_SM => {
            let replace = ReplaceSm::decode(body)?;
            replace.encode(sequence, out).unwrap();
            format!(
                "{} from {} for {} registered {:#04x}: {}{}",
                show(replace.message_id),
                show_address(replace.source),
                show(replace.validity_period),
                replace.registered_delivery.0,
                show(replace.short_message),
                show_tlvs(replace.tlvs)
            )
        }
        _ => {
            let multi = SubmitMulti::decode(body)?;
            multi.encode(sequence, out).unwrap();
            let destinations: Vec<_> = multi.destinations.into_iter().map(show_destination).collect();
            assert_eq!(destinations.len(), usize::from(multi.destinations.count()));
            format!(
                "{} from {} to [{}] registered {:#04x} coding {:#04x}: {}{}",
                show(multi.service_type),
                show_address(multi.source),
                destinations.join(", "),
                multi.registered_delivery.0,
                multi.data_coding.0,
                show(multi.short_message),
                show_tlvs(multi.tlvs)
            )
        }
    })
}

fn read_response(header: Header, body: &[u8], out: &mut Vec<u8>) -> Result<String, DecodeError> {
    Ok(match header.command {
        CommandId::SUBMIT_SM_RESP | CommandId::DELIVER_SM_RESP | CommandId::DATA_SM_RESP => {
            let response = SmResp::decode(body);
            response.encode(header, out);
            format!("{}{}", show(response.message_id), show_tlvs(response.tlvs))
        }
        CommandId::QUERY_SM_RESP if !body.is_empty() => {
            let answer = QuerySmResp::decode(body)?;
            answer.encode(header, out);
            let (id, date) = (show(answer.message_id), show(answer.final_date));
            format!("{id} {:?} at {date} error {}", answer.message_state, answer.error_code)
        }
        CommandId::SUBMIT_MULTI_RESP if !body.is_empty() => {
            let response = SubmitMultiResp::decode(body)?;
            response.encode(header, out);
            let failed: Vec<_> = response
                .unsuccessful()
                .map(|failed| format!("{} {}", show_address(failed.destination), failed.status))
                .collect();
            format!("{} not [{}]", show(response.message_id), failed.join(", "))
        }
        command if BindKind::of(command).is_some() => {
            let response = BindResp::decode(body);
            response.encode(header, out);
            format!("{} version {:?}", show(response.system_id), response.sc_interface_version)
        }
        _ => read_header_only(header, body, out),
    })
}

fn read_header_only(header: Header, body: &[u8], out: &mut Vec<u8>) -> String {
    encode_header_only(header, out);
    format!("{} octets", body.len())
}

#[test]
fn pdus_of_other_programs_are_read_and_written_as_they_are() {
    let mut wrong = String::new();
    for block in blocks(include_str!("../../testdata/smpp/pdus.golden")) {
        let [name, hex, expected] = block[..] else { panic!("name, octets, result: {block:?}") };
        let pdu = unhex(hex);
        let (header, body) = split_pdu(&pdu, 1 << 16).unwrap().unwrap();
        let mut again = Vec::new();
        let read = if header.command.is_response() {
            read_response(header, body, &mut again)
        } else {
            read_request(header, body, &mut again)
        };
        let read = read.unwrap_or_else(|error| format!("error: {error}"));
        let sign = if again == pdu { '=' } else { '~' };
        let Header { command, status, sequence } = header;
        let found = format!("{sign} {command} {status} #{} {read}", sequence.0);
        if found != expected {
            wrong += &format!("{name}\n{hex}\n{found}\n\n");
        }
    }
    assert!(wrong.is_empty(), "these blocks are read otherwise:\n\n{wrong}");
}

/// Where another codec reads a whole PDU, so do we; and what we write again, octet for octet, so does it.
#[test]
fn another_codec_agrees_about_the_golden_pdus() {
    let (mut agreed, mut ours_alone) = (0, 0);
    for block in blocks(include_str!("../../testdata/smpp/pdus.golden")) {
        let [name, hex, expected] = block[..] else { panic!("name, octets, result: {block:?}") };
        let pdu = unhex(hex);
        let other = Command::<'_, 8>::decode(&pdu[4..], pdu.len() - 4);
        let Some((other, _)) = other.ok().filter(|(_, size)| *size == pdu.len() - 4) else {
            ours_alone += 1;
            continue;
        };
        assert!(!expected.contains("error: "), "{name}: the other codec reads {other:?}");
        let mut again = vec![0; pdu.len() + 64];
        let written = other.encode(&mut again);
        assert!(!expected.starts_with('=') || again[..written] == pdu[4..], "{name}: {other:?}");
        agreed += 1;
    }
    // Those that it does not read are what carriers send all the same, and the errors.
    assert!(agreed >= 45 && ours_alone >= 10, "{agreed} agreed, {ours_alone} are read here alone");
}

#[test]
fn receipts_of_all_dialects_are_read() {
    let mut wrong = String::new();
    for block in blocks(include_str!("../../testdata/smpp/receipts.golden")) {
        let [name, input @ .., expected] = &block[..] else { panic!("name, input, result: {block:?}") };
        let mut sm = Sm { esm_class: EsmClass::RECEIPT, ..Sm::default() };
        let mut deliver = Vec::new();
        let (mut text, mut tlvs, mut dialect) = (Vec::new(), Vec::new(), ReceiptDialect::default());
        for line in input {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("text", rest) => text = rest.as_bytes().to_vec(),
                ("hex", rest) => text = unhex(rest),
                ("ucs2", rest) => text = rest.encode_utf16().flat_map(u16::to_be_bytes).collect(),
                ("tlv", rest) => {
                    let (tag, value) = rest.split_once(' ').unwrap();
                    put_tlv(&mut tlvs, Tag(u16::from_str_radix(tag, 16).unwrap()), &unhex(value));
                }
                ("payload", rest) => put_tlv(&mut tlvs, Tag::MESSAGE_PAYLOAD, rest.as_bytes()),
                ("esm_class", rest) => sm.esm_class = EsmClass(rest.parse().unwrap()),
                ("by_body", _) => dialect.sign = ReceiptSign::EsmClassOrBody,
                ("text_first", _) => dialect.source = ReceiptSource::TextThenTlvs,
                ("text_only", _) => dialect.source = ReceiptSource::Text,
                ("tlvs_only", _) => dialect.source = ReceiptSource::Tlvs,
                ("deliver_sm", rest) => deliver = unhex(rest),
                _ => panic!("{name}: {line}"),
            }
        }
        sm.short_message = &text;
        sm.tlvs = Tlvs::new(&tlvs).unwrap();
        let sm = if deliver.is_empty() { sm } else { Sm::decode(&deliver).unwrap() };
        let mut scratch = Scratch::default();
        let found = match Receipt::read_as(&sm, dialect, &mut scratch) {
            Some(receipt) => {
                let error = match receipt.error {
                    Some(ReceiptError::Network { network, code }) => format!("network {network} code {code}"),
                    Some(ReceiptError::Text(text)) => format!("error {}", show(text)),
                    None => "no error".to_string(),
                };
                if receipt.id_place == IdPlace::Tlv {
                    assert!(!tlvs.is_empty(), "{name}");
                }
                let last = if receipt.is_final() { "final" } else { "more follows" };
                format!("= {} {:?}, {error}, {last}", show(receipt.id), receipt.state)
            }
            None => "= no receipt".to_string(),
        };
        if found != **expected {
            wrong += &format!("{}\n{found}\n\n", block[..block.len() - 1].join("\n"));
        }
    }
    assert!(wrong.is_empty(), "these blocks are read otherwise:\n\n{wrong}");
}
