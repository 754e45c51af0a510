//! What a `submit_sm` asks for: from its fields to a message, or to the status that refuses it (SMPP 3.4 §4.4, §5.2).
//!
//! What cannot be kept is refused, not dropped: a message is sent as its customer wrote it or not at all. Fields that are only
//! about how much the customer hears of it (bits 4 to 2 of `registered_delivery`) or about the customer itself
//! (`service_type`, `protocol_id`) are read past.

use core::fmt::Write;
use core::time::Duration;

use wire::id::{Class, KeyHash};
use wire::msisdn::{Msisdn, MsisdnError};
use wire::smpp::query::DataSm;
use wire::smpp::validity::SmppTime;
use wire::smpp::{Address, CommandStatus, DataCoding, EsmClass, RegisteredDelivery, Sm, Tag, Tlvs, Ton};
use wire::text::{Alphabet, PartHeader, Undecodable, decode};
use wire::time::WallMs;

use super::exchange::{Keys, SmppAccount};
use super::parts::PartError;

/// A `submit_sm` that says something that can be kept.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) recipient: Msisdn,
    /// Empty: the account's.
    pub(super) sender: &'a str,
    pub(super) validity: Option<Duration>,
    /// `None`: the account's.
    pub(super) class: Option<Class>,
    pub(super) alphabet: Alphabet,
    /// Of `data_coding` 1: no octet has its top bit set.
    is_ascii: bool,
    /// The text without its header.
    pub(super) octets: &'a [u8],
    /// Which part of a longer text it is.
    pub(super) part: Option<PartHeader>,
    /// Which receipt is asked for.
    pub(super) wanted: RegisteredDelivery,
    key: Key,
}

/// An idempotency key, in place.
#[derive(Clone, Copy, Debug)]
struct Key {
    bytes: [u8; KeyHash::KEY_BYTES_MAX],
    count: usize,
}

/// Why a `submit_sm` is not taken. The text is for the log; the customer gets [`Unfit::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("destination_addr: {0}")]
    Recipient(#[from] MsisdnError),
    #[error("dest_addr_ton {0}: expected 1 (international), and a number with its country code")]
    RecipientTon(u8),
    #[error("destination_addr: expected a number with its country code, and no country's begins with 0")]
    RecipientTrunk,
    #[error("source_addr: expected at most 20 characters of ASCII")]
    Sender,
    #[error("esm_class {0:#04x}: expected store and forward (0 or 3), with 0x40 for a user data header")]
    EsmClass(u8),
    #[error("a user data header that is cut, or says more than which part of a text it is")]
    Header,
    #[error("data_coding {0:#04x}: expected 0, 1 (ASCII), 3 (Latin-1) or 8 (UCS-2)")]
    DataCoding(u8),
    #[error(transparent)]
    Text(#[from] Undecodable),
    #[error("a short_message and a message_payload: expected one of them")]
    TwoTexts,
    #[error("schedule_delivery_time: messages are sent at once")]
    Scheduled,
    #[error("validity_period: expected a time in the future, as YYMMDDhhmmsstnnp")]
    Validity,
    #[error("priority_flag {0}: expected 0 to 3")]
    Priority(u8),
    #[error("replace_if_present_flag {0}: messages are not replaced")]
    Replace(u8),
    #[error("sm_default_msg_id {0}: there are no predefined messages")]
    Predefined(u8),
    #[error("cancel_sm without a message_id: messages are taken back one by one, by their ids")]
    Group,
    #[error("a data_sm with a part of a text: its message_payload has room for all of it")]
    DataPart,
    #[error("qos_time_to_live: expected seconds in four octets, not 0")]
    TimeToLive,
    #[error("sar_ TLVs that name no part of a text")]
    Sar,
    #[error("user_message_reference: expected two octets")]
    Reference,
    #[error("the TLV that is the idempotency key (smpp_keys): expected at most 56 octets")]
    KeyTlv,
    #[error(transparent)]
    Part(#[from] PartError),
}

impl Unfit {
    /// What the customer is answered.
    pub(super) const fn status(self) -> CommandStatus {
        match self {
            Self::Recipient(_) | Self::RecipientTrunk => CommandStatus::ESME_RINVDSTADR,
            Self::RecipientTon(_) => CommandStatus::ESME_RINVDSTTON,
            Self::Sender => CommandStatus::ESME_RINVSRCADR,
            Self::EsmClass(_) | Self::Header | Self::DataPart => CommandStatus::ESME_RINVESMCLASS,
            Self::DataCoding(_) | Self::Text(_) => CommandStatus::ESME_RINVDCS,
            Self::TwoTexts => CommandStatus::ESME_ROPTPARNOTALLWD,
            Self::Scheduled => CommandStatus::ESME_RINVSCHED,
            Self::Group => CommandStatus::ESME_RCANCELFAIL,
            Self::Validity | Self::TimeToLive => CommandStatus::ESME_RINVEXPIRY,
            Self::Priority(_) => CommandStatus::ESME_RINVPRTFLG,
            Self::Replace(_) => CommandStatus::ESME_RINVREPFLAG,
            Self::Predefined(_) => CommandStatus::ESME_RINVDFTMSGID,
            Self::Sar | Self::Reference | Self::KeyTlv => CommandStatus::ESME_RINVOPTPARAMVAL,
            Self::Part(PartError::Total(_) | PartError::Bytes(_)) => CommandStatus::ESME_RINVMSGLEN,
            Self::Part(PartError::Other | PartError::Full) => CommandStatus::ESME_RSUBMITFAIL,
        }
    }
}

impl<'a> Form<'a> {
    /// Reads the fields.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(super) fn read(sm: &Sm<'a>, account: &SmppAccount, now: WallMs) -> Result<Self, Unfit> {
        if sm.replace_if_present_flag != 0 {
            return Err(Unfit::Replace(sm.replace_if_present_flag));
        }
        if sm.sm_default_msg_id != 0 {
            return Err(Unfit::Predefined(sm.sm_default_msg_id));
        }
        if !sm.schedule_delivery_time.is_empty() {
            return Err(Unfit::Scheduled);
        }
        if !matches!(sm.esm_class.0 & !EsmClass::UDHI.0, 0 | STORE_AND_FORWARD) {
            return Err(Unfit::EsmClass(sm.esm_class.0));
        }
        let (alphabet, is_ascii) = match sm.data_coding {
            DataCoding::DEFAULT => (account.default_alphabet, false),
            DataCoding::ASCII => (Alphabet::Latin1, true),
            DataCoding::LATIN1 => (Alphabet::Latin1, false),
            DataCoding::UCS2 => (Alphabet::Ucs2, false),
            DataCoding(other) => return Err(Unfit::DataCoding(other)),
        };
        let sender = sender(sm.source)?;
        let (part, octets) = text(sm)?;
        Ok(Self {
            recipient: recipient(sm.destination)?,
            sender,
            validity: validity(sm.validity_period, now)?,
            class: class(sm.priority_flag, account)?,
            alphabet,
            is_ascii,
            octets,
            part,
            wanted: sm.registered_delivery,
            key: key(sm.tlvs, account.keys, sender)?,
        })
    }

    /// Reads the fields of a `data_sm` (§4.7.1): a submission with its text in `message_payload`, and its validity in seconds.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(super) fn read_data(data: &DataSm<'a>, account: &SmppAccount, now: WallMs) -> Result<Self, Unfit> {
        let sm = Sm {
            service_type: data.service_type,
            source: data.source,
            destination: data.destination,
            esm_class: data.esm_class,
            registered_delivery: data.registered_delivery,
            data_coding: data.data_coding,
            tlvs: data.tlvs,
            ..Sm::default()
        };
        let mut form = Self::read(&sm, account, now)?;
        // A data_sm has no priority_flag: its class is the account's.
        form.class = None;
        if form.part.is_some() {
            return Err(Unfit::DataPart);
        }
        if let Some(tlv) = data.tlvs.find(Tag::QOS_TIME_TO_LIVE) {
            let seconds = tlv.number().filter(|seconds| *seconds > 0).ok_or(Unfit::TimeToLive)?;
            form.validity = Some(Duration::from_secs(u64::from(seconds)));
        }
        Ok(form)
    }

    /// Its idempotency key; empty: none.
    pub(super) fn key(&self) -> &[u8] {
        &self.key.bytes[..self.key.count]
    }

    /// The text of octets in this form's alphabet: its own, or those of a whole text of which it is a part.
    ///
    /// # Errors
    /// [`Unfit::Text`].
    pub(super) fn text<'t>(&self, octets: &'t [u8], scratch: &'t mut String) -> Result<&'t str, Unfit> {
        let high = octets.iter().position(|octet| *octet >= 0x80).filter(|_| self.is_ascii);
        match high {
            Some(at) => Err(Undecodable { alphabet: self.alphabet, at }.into()),
            None => Ok(decode(self.alphabet, octets, scratch)?),
        }
    }
}

/// Bits 1 and 0 of `esm_class` (§5.2.12): what we do, said aloud.
const STORE_AND_FORWARD: u8 = 0x03;

/// The recipient that an address names.
///
/// # Errors
/// [`Unfit`].
pub(super) fn recipient(address: Address<'_>) -> Result<Msisdn, Unfit> {
    // What is said to be national has its country code in practice: Kannel says so of every number unless it is told better.
    if !matches!(address.ton, Ton::UNKNOWN | Ton::INTERNATIONAL | Ton::NATIONAL) {
        return Err(Unfit::RecipientTon(address.ton.0));
    }
    // One that is national shows it by the zero that it is dialled with; as it stands it would reach somebody else.
    match address.octets {
        [b'0', b'0', b'0', ..] => Err(Unfit::RecipientTrunk),
        [b'0', b'0', ..] => Ok(Msisdn::parse(address.octets)?),
        [b'0', ..] | [b'+', b'0', ..] => Err(Unfit::RecipientTrunk),
        _ => Ok(Msisdn::parse(address.octets)?),
    }
}

fn sender(address: Address<'_>) -> Result<&str, Unfit> {
    let octets = address.octets;
    // Whether it is a sender that messages may have is the brain's to say; here only that it is text, and short enough for a key.
    let fits = octets.len() <= SENDER_OCTETS_MAX && octets.is_ascii();
    core::str::from_utf8(octets).ok().filter(|_| fits).ok_or(Unfit::Sender)
}

/// `source_addr` without its NUL (§5.2.8).
const SENDER_OCTETS_MAX: usize = 20;

/// The text and which part of a longer one it is, by a user data header or by TLVs.
fn text<'a>(sm: &Sm<'a>) -> Result<(Option<PartHeader>, &'a [u8]), Unfit> {
    if !sm.short_message.is_empty() && sm.tlvs.find(Tag::MESSAGE_PAYLOAD).is_some() {
        return Err(Unfit::TwoTexts);
    }
    let (part, octets) = if sm.esm_class.has_udh() {
        let part = only_part(sm.text())?;
        let (_, octets) = PartHeader::read_udh(sm.text()).ok_or(Unfit::Header)?;
        (Some(part), octets)
    } else {
        (sar_part(sm.tlvs)?, sm.text())
    };
    Ok((part.filter(|part| part.total > 1), octets))
}

/// The part that a header names, when it has one element and that says so: a shift table or a port would be lost.
fn only_part(user_data: &[u8]) -> Result<PartHeader, Unfit> {
    let is_alone = matches!(user_data, [5, 0, 3, ..] | [6, 8, 4, ..]);
    let (part, _) = PartHeader::read_udh(user_data).filter(|_| is_alone).ok_or(Unfit::Header)?;
    part.ok_or(Unfit::Header)
}

fn sar_part(tlvs: Tlvs<'_>) -> Result<Option<PartHeader>, Unfit> {
    let number = |tag| tlvs.find(tag).map(|tlv| tlv.number().ok_or(Unfit::Sar)).transpose();
    let reference = number(Tag::SAR_MSG_REF_NUM)?;
    let (total, part) = (number(Tag::SAR_TOTAL_SEGMENTS)?, number(Tag::SAR_SEGMENT_SEQNUM)?);
    let (reference, total, part) = match (reference, total, part) {
        (None, None, None) => return Ok(None),
        (Some(reference), Some(total), Some(part)) => (reference, total, part),
        _ => return Err(Unfit::Sar),
    };
    let reference = u16::try_from(reference).map_err(|_| Unfit::Sar)?;
    let (total, number) = (u8::try_from(total), u8::try_from(part));
    let (Ok(total), Ok(number)) = (total, number) else { return Err(Unfit::Sar) };
    if number == 0 || number > total {
        return Err(Unfit::Sar);
    }
    Ok(Some(PartHeader { reference, total, number }))
}

fn validity(field: &[u8], now: WallMs) -> Result<Option<Duration>, Unfit> {
    let Some(time) = SmppTime::read(field).map_err(|_| Unfit::Validity)? else { return Ok(None) };
    let validity = time.from_now(now);
    // What is over is refused here: to the brain a second is the least.
    if validity.is_zero() { Err(Unfit::Validity) } else { Ok(Some(validity.max(Duration::from_secs(1)))) }
}

/// §5.2.14: 0 is the lowest.
fn class(priority_flag: u8, account: &SmppAccount) -> Result<Option<Class>, Unfit> {
    let Some(priorities) = account.priorities else { return Ok(None) };
    let class = priorities.get(usize::from(priority_flag)).ok_or(Unfit::Priority(priority_flag))?;
    Ok(Some(*class))
}

/// The sender is part of the key, as the recipient and the account are for all protocols: references have two octets.
fn key(tlvs: Tlvs<'_>, keys: Keys, sender: &str) -> Result<Key, Unfit> {
    let mut key = Key { bytes: [0; KeyHash::KEY_BYTES_MAX], count: 0 };
    if keys == Keys::None {
        return Ok(key);
    }
    if let Keys::Tlv(tag) = keys {
        let Some(value) = tlvs.find(Tag(tag)).map(|tlv| tlv.value).filter(|value| !value.is_empty()) else {
            return Ok(key);
        };
        write!(key, "tlv{tag:04x}:").map_err(|_| Unfit::KeyTlv)?;
        key.put(value).map_err(|_| Unfit::KeyTlv)?;
        return Ok(key);
    }
    let Some(tlv) = tlvs.find(Tag::USER_MESSAGE_REFERENCE) else { return Ok(key) };
    let reference = tlv.number().and_then(|number| u16::try_from(number).ok()).ok_or(Unfit::Reference)?;
    write!(key, "smpp:{reference:04x}:{sender}").map_err(|_| Unfit::Sender)?;
    Ok(key)
}

impl Key {
    fn put(&mut self, octets: &[u8]) -> core::fmt::Result {
        let end = self.count + octets.len();
        self.bytes.get_mut(self.count..end).ok_or(core::fmt::Error)?.copy_from_slice(octets);
        self.count = end;
        Ok(())
    }
}

impl Write for Key {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use wire::smpp::put_tlv;

    use super::*;

    const NOW: WallMs = WallMs(1_795_402_975_000);

    fn account(keys: Keys) -> SmppAccount {
        SmppAccount { keys, ..SmppAccount::sample("acme", "secret") }
    }

    fn sm<'a>() -> Sm<'a> {
        Sm {
            source: Address::alphanumeric(b"Acme"),
            destination: Address::international(b"4915112345678"),
            short_message: b"hello",
            ..Sm::default()
        }
    }

    /// The status of a submission that differs in one thing.
    fn refused(change: impl FnOnce(&mut Sm<'_>)) -> CommandStatus {
        let mut sm = sm();
        change(&mut sm);
        let account = account(Keys::UserMessageReference);
        let read = Form::read(&sm, &account, NOW);
        let text = read.and_then(|form| form.text(form.octets, &mut String::new()).map(str::to_owned));
        text.unwrap_err().status()
    }

    fn tlvs(list: &[(Tag, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        list.iter().for_each(|(tag, value)| put_tlv(&mut bytes, *tag, value));
        bytes
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_the_status_that_says_what() {
        assert_eq!(refused(|sm| sm.destination.octets = b"12a"), CommandStatus::ESME_RINVDSTADR);
        assert_eq!(refused(|sm| sm.destination.octets = b"015112345678"), CommandStatus::ESME_RINVDSTADR);
        assert_eq!(refused(|sm| sm.destination.ton = Ton::ALPHANUMERIC), CommandStatus::ESME_RINVDSTTON);
        assert_eq!(refused(|sm| sm.source.octets = b"Caf\xE9"), CommandStatus::ESME_RINVSRCADR);
        assert_eq!(refused(|sm| sm.esm_class = EsmClass(0x01)), CommandStatus::ESME_RINVESMCLASS);
        assert_eq!(refused(|sm| sm.esm_class = EsmClass::UDHI), CommandStatus::ESME_RINVESMCLASS);
        assert_eq!(refused(|sm| sm.data_coding = DataCoding::BINARY), CommandStatus::ESME_RINVDCS);
        assert_eq!(refused(|sm| sm.short_message = b"\xE4"), CommandStatus::ESME_RINVDCS);
        assert_eq!(
            refused(|sm| sm.schedule_delivery_time = b"000001000000000R"),
            CommandStatus::ESME_RINVSCHED
        );
        assert_eq!(refused(|sm| sm.validity_period = b"soon"), CommandStatus::ESME_RINVEXPIRY);
        assert_eq!(refused(|sm| sm.validity_period = b"200101000000000+"), CommandStatus::ESME_RINVEXPIRY);
        assert_eq!(refused(|sm| sm.replace_if_present_flag = 1), CommandStatus::ESME_RINVREPFLAG);
        assert_eq!(refused(|sm| sm.sm_default_msg_id = 1), CommandStatus::ESME_RINVDFTMSGID);
        let ascii = |sm: &mut Sm<'_>| (sm.data_coding, sm.short_message) = (DataCoding::ASCII, b"\xE4");
        assert_eq!(refused(ascii), CommandStatus::ESME_RINVDCS);
        let shift_table = |sm: &mut Sm<'_>| {
            (sm.esm_class, sm.short_message) = (EsmClass::UDHI, b"\x03\x24\x01\x01hello");
        };
        assert_eq!(refused(shift_table), CommandStatus::ESME_RINVESMCLASS);
        let check = |list: &[(Tag, &[u8])], status| {
            let bytes = tlvs(list);
            let mut with = sm();
            with.tlvs = Tlvs::new(&bytes).unwrap();
            let error = Form::read(&with, &account(Keys::UserMessageReference), NOW).unwrap_err();
            assert_eq!(error.status(), status, "{error}");
        };
        check(&[(Tag::MESSAGE_PAYLOAD, b"more")], CommandStatus::ESME_ROPTPARNOTALLWD);
        check(&[(Tag::SAR_TOTAL_SEGMENTS, &[2])], CommandStatus::ESME_RINVOPTPARAMVAL);
        check(&[(Tag::USER_MESSAGE_REFERENCE, &[1, 2, 3])], CommandStatus::ESME_RINVOPTPARAMVAL);
    }

    #[test]
    fn a_form_has_what_the_fields_say() {
        let bytes =
            tlvs(&[(Tag::USER_MESSAGE_REFERENCE, &[0x12, 0x34]), (Tag::MESSAGE_PAYLOAD, b"\x00long")]);
        let with = Sm {
            short_message: b"",
            tlvs: Tlvs::new(&bytes).unwrap(),
            esm_class: EsmClass(STORE_AND_FORWARD),
            validity_period: b"000000001000000R",
            ..sm()
        };
        let keyed = account(Keys::UserMessageReference);
        let form = Form::read(&with, &keyed, NOW).unwrap();
        assert_eq!(form.key(), b"smpp:1234:Acme");
        assert_eq!((form.sender, form.validity), ("Acme", Some(Duration::from_secs(600))));
        assert_eq!(form.text(form.octets, &mut String::new()), Ok("@long"));
        let unkeyed = account(Keys::None);
        assert_eq!(Form::read(&with, &unkeyed, NOW).unwrap().key(), b"");
    }

    #[test]
    fn a_priority_is_a_class_where_the_account_says_so() {
        let classes = [Class::Marketing, Class::Notification, Class::Transactional, Class::Otp];
        let with = |priorities| SmppAccount { priorities, ..account(Keys::None) };
        let read = |priority_flag, account: &SmppAccount| {
            Form::read(&Sm { priority_flag, ..sm() }, account, NOW).map(|form| form.class)
        };
        assert_eq!(read(9, &with(None)), Ok(None));
        assert_eq!(read(0, &with(Some(classes))), Ok(Some(Class::Marketing)));
        assert_eq!(read(3, &with(Some(classes))), Ok(Some(Class::Otp)));
        assert_eq!(read(4, &with(Some(classes))).map_err(Unfit::status), Err(CommandStatus::ESME_RINVPRTFLG));
    }

    #[test]
    fn a_part_is_named_by_its_header_or_by_tlvs() {
        let part = |sm: &Sm<'_>| Form::read(sm, &account(Keys::None), NOW).unwrap().part;
        let by_header =
            Sm { esm_class: EsmClass::UDHI, short_message: b"\x05\x00\x03\x07\x02\x01hello", ..sm() };
        assert_eq!(part(&by_header), Some(PartHeader { reference: 7, total: 2, number: 1 }));
        let alone = Sm { short_message: b"\x05\x00\x03\x07\x01\x01hello", ..by_header };
        assert_eq!(part(&alone), None);
        let bytes = tlvs(&[
            (Tag::SAR_MSG_REF_NUM, &[1, 2]),
            (Tag::SAR_TOTAL_SEGMENTS, &[3]),
            (Tag::SAR_SEGMENT_SEQNUM, &[3]),
        ]);
        let by_tlvs = Sm { tlvs: Tlvs::new(&bytes).unwrap(), ..sm() };
        assert_eq!(part(&by_tlvs), Some(PartHeader { reference: 0x102, total: 3, number: 3 }));
    }
}
