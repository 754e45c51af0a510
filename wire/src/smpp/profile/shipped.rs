//! Profiles that come with Switchyard, named by what they do and not by whose they are: one carrier's platforms differ
//! from each other, and change. Each says which public document describes such behaviour.

use std::borrow::Cow;

use super::super::bind::{INTERFACE_VERSION_3_3, INTERFACE_VERSION_5_0};
use super::super::carrier_id::IdForm;
use super::super::fields::{DataCoding, Npi, Ton};
use super::super::receipt::{ReceiptDialect, ReceiptSign, ReceiptSource};
use super::super::state::MessageState;
use super::super::status::Verdict;
use super::{Binds, FinalStates, Ids, NumberForm, Profile, Spelling, StatusRule, Statuses, Texts};
use crate::text::{Concatenation, Narrow, Style};

/// A profile by its name.
type Shipped = (&'static str, fn() -> Profile);

impl Profile {
    /// All shipped profiles, by their names.
    pub const SHIPPED: [Shipped; 13] = [
        ("generic", || Self::GENERIC),
        ("hex-responses", Self::hex_responses),
        ("decimal-responses", Self::decimal_responses),
        ("v33", Self::v33),
        ("v50", Self::v50),
        ("receipts-without-bit", Self::receipts_without_bit),
        ("receipts-by-text", Self::receipts_by_text),
        ("accepted-is-final", Self::accepted_is_final),
        ("latin1-default", Self::latin1_default),
        ("packed-gsm7", Self::packed_gsm7),
        ("sar-parts", Self::sar_parts),
        ("payload", Self::payload),
        ("vendor-statuses", Self::vendor_statuses),
    ];

    /// The shipped profile of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::SHIPPED.iter().find(|(of, _)| *of == name).map(|(_, make)| make())
    }

    /// `hex-responses`: ids in hexadecimal in responses, in decimal in the text of receipts, and as in responses in
    /// `receipted_message_id`. After Vonage's "What is Nexmo's SMPP DLR format" (which names Kannel's `msg-id-type` 0x01
    /// for it) and Nordic Messaging's "SMPP 3.3 vs SMPP 3.4" (the `HEXID` of its EMG).
    #[must_use]
    pub fn hex_responses() -> Self {
        let ids = Ids {
            response: IdForm::Hexadecimal,
            receipt_tlv: IdForm::Hexadecimal,
            receipt_text: IdForm::Decimal,
            ..Self::GENERIC.ids
        };
        Self { name: Cow::Borrowed("hex-responses"), ids, ..Self::GENERIC }
    }

    /// `decimal-responses`: the other way round, Kannel's `msg-id-type` 0x02 and Jasmin's `dlr_msgid` 2.
    #[must_use]
    pub fn decimal_responses() -> Self {
        let ids = Ids {
            response: IdForm::Decimal,
            receipt_tlv: IdForm::Decimal,
            receipt_text: IdForm::Hexadecimal,
            ..Self::GENERIC.ids
        };
        Self { name: Cow::Borrowed("decimal-responses"), ids, ..Self::GENERIC }
    }

    /// `v33`: SMPP 3.3. A transmitter and a receiver, no optional parameters, receipts in text, ids in hexadecimal in
    /// responses and in decimal in receipts (CardBoardFish's "What is the format of SMPP delivery receipts?"), addresses
    /// without a type.
    #[must_use]
    pub fn v33() -> Self {
        let unknown = NumberForm { ton: Ton::UNKNOWN, npi: Npi::UNKNOWN, spelling: Spelling::Plain };
        let hex = Self::hex_responses();
        Self {
            name: Cow::Borrowed("v33"),
            interface_version: INTERFACE_VERSION_3_3,
            binds: Binds::Pair,
            receipts: ReceiptDialect { source: ReceiptSource::Text, sign: ReceiptSign::EsmClassOrBody },
            recipient: unknown,
            sender: super::SenderRules { number: unknown, short_codes: None, ..hex.sender },
            ..hex
        }
    }

    /// `v50`: SMPP 5.0, whose answers may say how busy the carrier is (`congestion_state`, §4.8.4.18).
    #[must_use]
    pub fn v50() -> Self {
        Self { name: Cow::Borrowed("v50"), interface_version: INTERFACE_VERSION_5_0, ..Self::GENERIC }
    }

    /// `receipts-without-bit`: receipts without the bits of `esm_class` that say so, told by their text. Such carriers are
    /// why gateways match texts by pattern (praekeltfoundation/vumi, pull requests 637 and 872).
    #[must_use]
    pub fn receipts_without_bit() -> Self {
        let receipts = ReceiptDialect { sign: ReceiptSign::EsmClassOrBody, ..ReceiptDialect::DEFAULT };
        Self { name: Cow::Borrowed("receipts-without-bit"), receipts, ..Self::GENERIC }
    }

    /// `receipts-by-text`: the text of a receipt counts, and its parameters only for what the text does not say: for
    /// carriers behind a relay that fills the parameters with ids and states of its own.
    #[must_use]
    pub fn receipts_by_text() -> Self {
        let receipts = ReceiptDialect { source: ReceiptSource::TextThenTlvs, ..ReceiptDialect::DEFAULT };
        Self { name: Cow::Borrowed("receipts-by-text"), receipts, ..Self::GENERIC }
    }

    /// `accepted-is-final`: ACCEPTED is the last that is heard, as where the next network sends no receipts; UNKNOWN is
    /// waited on. Kannel's `dlr-mask` table has ACCEPTED among the final states too.
    #[must_use]
    pub fn accepted_is_final() -> Self {
        let final_states = FinalStates::SPECIFIED.with(MessageState::Accepted).without(MessageState::Unknown);
        Self { name: Cow::Borrowed("accepted-is-final"), final_states, ..Self::GENERIC }
    }

    /// `latin1-default`: `data_coding` 0 is ISO 8859-1 (Apache Camel's issue CAMEL-8009 names such a gateway), with 140
    /// characters to a segment.
    #[must_use]
    pub fn latin1_default() -> Self {
        let style = Style { narrow: Narrow::Latin1, ..Style::DEFAULT };
        let texts = Texts { style, narrow_coding: DataCoding::DEFAULT, ..Self::GENERIC.texts };
        Self { name: Cow::Borrowed("latin1-default"), texts, ..Self::GENERIC }
    }

    /// `packed-gsm7`: eight septets in seven octets as `data_coding` 0: TIBCO's SMPP connector calls it GSM-7BIT-PACKED.
    #[must_use]
    pub fn packed_gsm7() -> Self {
        let style = Style { narrow: Narrow::Gsm7Packed, ..Style::DEFAULT };
        let texts = Texts { style, ..Self::GENERIC.texts };
        Self { name: Cow::Borrowed("packed-gsm7"), texts, ..Self::GENERIC }
    }

    /// `sar-parts`: long texts as parts with `sar_*` parameters, the default of Oracle's policy server ("Delivery Method
    /// for Long Message").
    #[must_use]
    pub fn sar_parts() -> Self {
        let style = Style { concatenation: Concatenation::Sar, ..Style::DEFAULT };
        let texts = Texts { style, ..Self::GENERIC.texts };
        Self { name: Cow::Borrowed("sar-parts"), texts, ..Self::GENERIC }
    }

    /// `payload`: a long text whole in `message_payload`, which the carrier cuts (the other method of that server).
    #[must_use]
    pub fn payload() -> Self {
        let style = Style { concatenation: Concatenation::Payload, ..Style::DEFAULT };
        let texts = Texts { style, ..Self::GENERIC.texts };
        Self { name: Cow::Borrowed("payload"), texts, ..Self::GENERIC }
    }

    /// `vendor-statuses`: statuses of the carrier's own, as one aggregator prints them (Hollatags, "SMPP Response Codes").
    /// An account out of credit is worth another try later; a number that cannot be routed is not. Its 0x45 is a
    /// recipient who wants no messages.
    #[must_use]
    pub fn vendor_statuses() -> Self {
        const RULES: &[StatusRule] = &[
            StatusRule::of(0x45, Verdict::Permanent),
            StatusRule::of(0x400, Verdict::Permanent),
            StatusRule::range(0x401, 0x403, Verdict::Temporary),
            StatusRule::range(0x404, 0x405, Verdict::Permanent),
            StatusRule::of(0x40A, Verdict::Permanent),
            StatusRule::of(0x430, Verdict::Permanent),
            StatusRule::of(0x431, Verdict::Temporary),
            StatusRule::range(0x432, 0x433, Verdict::Permanent),
            StatusRule::of(0x4FF, Verdict::Temporary),
        ];
        let statuses = Statuses { rules: Cow::Borrowed(RULES), others: Verdict::Temporary };
        Self { name: Cow::Borrowed("vendor-statuses"), statuses, ..Self::GENERIC }
    }
}
