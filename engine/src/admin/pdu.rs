//! A PDU as a line for an operator: its header, and of its body what an operator looks for.
//!
//! Texts, passwords and the values of optional parameters are never shown unless asked for, and passwords not even then; numbers are
//! masked. What cannot be read is told as such, with its length.

use core::fmt::Write as _;

use wire::smpp::header::split_pdu;
use wire::smpp::query::{CancelSm, DataSm, QuerySm, QuerySmResp};
use wire::smpp::sm::SmResp;
use wire::smpp::{
    Address, Bind, BindKind, CommandId, DataCoding, DecodeError, Receipt, ReceiptSign, Scratch, Sm, Tlvs, Ton,
};
use wire::text::{Alphabet, PartHeader, read};

use super::words::masked;

/// What a line shows beyond what it always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reveal {
    /// Texts, and the values of optional parameters.
    pub(crate) texts: bool,
    /// Whole numbers.
    pub(crate) numbers: bool,
}

/// The line of a whole PDU.
pub(crate) fn line(pdu: &[u8], reveal: Reveal) -> String {
    let Ok(Some((header, body))) = split_pdu(pdu, usize::MAX) else {
        return format!("{} octets that are no PDU", pdu.len());
    };
    let mut out = format!("{} #{}", header.command, header.sequence.0);
    if header.command.is_response() || !header.status.is_ok() {
        let _ = write!(out, " {}", header.status);
    }
    if let Err(error) = put_body(&mut out, header.command, body, reveal) {
        let _ = write!(out, " a body of {} octets that cannot be read: {error}", body.len());
    }
    out
}

fn put_body(out: &mut String, command: CommandId, body: &[u8], reveal: Reveal) -> Result<(), DecodeError> {
    if let (Some(kind), false) = (BindKind::of(command), command.is_response()) {
        let bind = Bind::decode(kind, body)?;
        let system_id = bind.system_id.escape_ascii();
        let _ = write!(out, " system_id '{system_id}' version {:#04x}", bind.interface_version);
        return Ok(());
    }
    match command {
        CommandId::SUBMIT_SM | CommandId::DELIVER_SM => put_sm(out, &Sm::decode(body)?, reveal),
        CommandId::DATA_SM => {
            let data = DataSm::decode(body)?;
            put_addresses(out, data.source, data.destination, reveal);
            put_text(out, data.text(), (data.data_coding, false), reveal);
            put_tlvs(out, data.tlvs, reveal);
        }
        CommandId::SUBMIT_SM_RESP | CommandId::DATA_SM_RESP | CommandId::DELIVER_SM_RESP => {
            let response = SmResp::decode(body);
            if !response.message_id.is_empty() {
                let _ = write!(out, " id '{}'", response.message_id.escape_ascii());
            }
            put_tlvs(out, response.tlvs, reveal);
        }
        CommandId::QUERY_SM => {
            let _ = write!(out, " id '{}'", QuerySm::decode(body)?.message_id.escape_ascii());
        }
        CommandId::QUERY_SM_RESP if !body.is_empty() => {
            let response = QuerySmResp::decode(body)?;
            let id = response.message_id.escape_ascii();
            let _ = write!(out, " id '{id}' {:?} error {}", response.message_state, response.error_code);
        }
        CommandId::CANCEL_SM => {
            let cancel = CancelSm::decode(body)?;
            let _ = write!(out, " id '{}'", cancel.message_id.escape_ascii());
            put_addresses(out, cancel.source, cancel.destination, reveal);
        }
        _ if body.is_empty() => {}
        _ => {
            let _ = write!(out, " and {} octets", body.len());
        }
    }
    Ok(())
}

fn put_sm(out: &mut String, sm: &Sm<'_>, reveal: Reveal) {
    put_addresses(out, sm.source, sm.destination, reveal);
    let _ = write!(out, " esm_class {:#04x} registered {:#04x}", sm.esm_class.0, sm.registered_delivery.0);
    if !sm.validity_period.is_empty() {
        let _ = write!(out, " validity '{}'", sm.validity_period.escape_ascii());
    }
    let mut scratch = Scratch::default();
    if let Some(receipt) = Receipt::read(sm, ReceiptSign::EsmClass, &mut scratch) {
        let _ = write!(out, " receipt of '{}' {:?}", receipt.id.escape_ascii(), receipt.state);
    }
    put_text(out, sm.short_message, (sm.data_coding, sm.esm_class.has_udh()), reveal);
    put_tlvs(out, sm.tlvs, reveal);
}

fn put_addresses(out: &mut String, from: Address<'_>, to: Address<'_>, reveal: Reveal) {
    for (word, address) in [("from", from), ("to", to)] {
        let _ = write!(out, " {word} {}/{} ", address.ton.0, address.npi.0);
        let octets = address.octets.escape_ascii().to_string();
        // Names are no secrets; a number may be written with any type, so whatever has digits alone is one.
        let is_name = address.ton == Ton::ALPHANUMERIC && !address.octets.iter().all(u8::is_ascii_digit);
        *out += &if is_name || reveal.numbers { octets } else { masked(&octets) };
    }
}

fn put_text(out: &mut String, text: &[u8], (coding, has_udh): (DataCoding, bool), reveal: Reveal) {
    let (part, octets) =
        if has_udh { PartHeader::read_udh(text).unwrap_or((None, text)) } else { (None, text) };
    if let Some(part) = part {
        let _ = write!(out, " part {} of {} of text {}", part.number, part.total, part.reference);
    }
    let _ = write!(out, " coding {:#04x}", coding.0);
    if !reveal.texts {
        let _ = write!(out, " text of {} octets", octets.len());
        return;
    }
    let alphabet = match coding {
        DataCoding::DEFAULT => Alphabet::Gsm7,
        DataCoding::UCS2 => Alphabet::Ucs2,
        _ => Alphabet::Latin1,
    };
    let mut shown = String::new();
    read(alphabet, octets, &mut shown);
    let _ = write!(out, " text {shown:?}");
}

fn put_tlvs(out: &mut String, tlvs: Tlvs<'_>, reveal: Reveal) {
    for tlv in tlvs {
        let _ = write!(out, " {:04X}", tlv.tag.0);
        let _ = match reveal.texts {
            true => write!(out, "='{}'", tlv.value.escape_ascii()),
            false => write!(out, "[{}]", tlv.value.len()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::smpp::{EsmClass, Sequence};

    fn pdu(command: CommandId, sm: &Sm<'_>) -> Vec<u8> {
        let mut pdu = Vec::new();
        sm.encode(command, Sequence(7), &mut pdu).unwrap();
        pdu
    }

    #[test]
    fn texts_and_numbers_are_hidden_unless_asked_for() {
        let sm = Sm {
            source: Address::alphanumeric(b"Shop"),
            destination: Address::international(b"4915112345678"),
            short_message: b"secret",
            ..Sm::default()
        };
        let submit = pdu(CommandId::SUBMIT_SM, &sm);
        assert_eq!(
            line(&submit, Reveal::default()),
            "submit_sm #7 from 5/0 Shop to 1/1 4915*******78 esm_class 0x00 registered 0x00 coding 0x00 text of 6 octets"
        );
        let all = line(&submit, Reveal { texts: true, numbers: true });
        assert!(all.contains("4915112345678") && all.ends_with("text \"secret\""), "{all}");
    }

    #[test]
    fn a_receipt_says_of_what_and_what_became_of_it() {
        let text = b"id:ab12 sub:001 dlvrd:001 submit date:2611230302 done date:2611230303 stat:DELIVRD err:000 text:hello";
        let sm = Sm { esm_class: EsmClass::RECEIPT, short_message: text, ..Sm::default() };
        let said = line(&pdu(CommandId::DELIVER_SM, &sm), Reveal::default());
        assert!(said.contains(" receipt of 'ab12' Delivered ") && !said.contains("hello"), "{said}");
    }

    #[test]
    fn what_cannot_be_read_is_told_as_such_and_a_password_never() {
        let bind = Bind {
            kind: BindKind::Transceiver,
            system_id: b"shop",
            password: b"hidden",
            system_type: b"",
            interface_version: 0x34,
            address_range: Address::default(),
        };
        let mut octets = Vec::new();
        bind.encode(Sequence(1), &mut octets);
        let all = Reveal { texts: true, numbers: true };
        assert_eq!(line(&octets, all), "bind_transceiver #1 system_id 'shop' version 0x34");
        octets.truncate(20);
        octets[3] = 20;
        assert!(line(&octets, all).contains("a body of 4 octets that cannot be read: "));
        assert_eq!(line(b"hello", all), "5 octets that are no PDU");
    }
}
