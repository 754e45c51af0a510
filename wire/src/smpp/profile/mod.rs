//! How one carrier wants to be spoken to: a plain value, and what follows from it.
//!
//! The specification leaves to each MC what its default alphabet is, how it writes message ids, what its own statuses mean
//! and how long texts are cut; and most take more liberties than those. All of that is here and nowhere else, so that the
//! rest can be the same for every carrier:
//!
//! ```text
//! text, sender, recipient ──▶ segment ──▶ Sm            submit_sm_resp ──▶ verdict, response_id
//!                                                       deliver_sm     ──▶ read_receipt, receipt_id, is_final
//! ```
//!
//! A profile is made of [`Profile::GENERIC`] or of a shipped one ([`Profile::named`]) by changing fields, and looked at
//! once by [`Profile::check`]. It holds no secret, no address and no state.

mod address;
mod segment;
mod shipped;
mod statuses;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::borrow::Cow;

use thiserror::Error;

use super::bind::{INTERFACE_VERSION_3_4, knows_tlvs};
use super::carrier_id::{CarrierMessageId, IdForm};
use super::fields::{DataCoding, RegisteredDelivery};
use super::limits::{ADDRESS_BYTES_MAX, PROFILE_WINDOW_PDUS, SENDER_LETTERS_MAX, WINDOW_PDUS_MAX};
use super::receipt::{IdPlace, Receipt, ReceiptDialect, ReceiptSource, Scratch};
use super::session::{Options, Timers};
use super::sm::Sm;
use super::state::MessageState;
use super::status::{CommandStatus, Verdict};
use super::tlv::Tlvs;
use crate::text::{Alphabet, Concatenation, Plan, Style, TooManySegments, Typography, plain};

pub use address::{Letters, LettersRule, NumberForm, SenderError, SenderRules, ShortCodes, Spelling};
pub use segment::{Segment, SegmentBuffers};
pub use statuses::{StatusRule, Statuses};

/// A carrier's dialect. Lives in the plan of each node, the same on all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What it is called.
    pub name: Cow<'static, str>,
    /// The `interface_version` that is asked for.
    pub interface_version: u8,
    /// Which binds it takes.
    pub binds: Binds,
    /// Submissions unanswered on one bind, in PDUs.
    pub window_pdus: u16,
    /// Segments a second that it takes, over all binds; `None`: as many as the windows let through.
    pub rate_per_s: Option<u32>,
    /// Its timers.
    pub timers: Timers,
    /// How it writes message ids.
    pub ids: Ids,
    /// How it writes receipts.
    pub receipts: ReceiptDialect,
    /// Which states end a message.
    pub final_states: FinalStates,
    /// How it takes texts.
    pub texts: Texts,
    /// How it takes senders.
    pub sender: SenderRules,
    /// How it takes recipients.
    pub recipient: NumberForm,
    /// `service_type` of each submission; empty for the carrier's default.
    pub service_type: Cow<'static, [u8]>,
    /// Which receipts are asked for.
    pub registered_delivery: RegisteredDelivery,
    /// How it is told when a message is over.
    pub validity: Validity,
    /// Optional parameters that it wants in each submission, made by [`super::tlv::put_tlv`].
    pub tlvs: Cow<'static, [u8]>,
    /// What its own statuses mean.
    pub statuses: Statuses,
    /// Whether it answers `query_sm` (§4.8) truthfully.
    pub queries: bool,
}

/// Which binds a carrier takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binds {
    /// One that does both.
    Transceiver,
    /// A transmitter and a receiver, two connections.
    Pair,
}

/// How a carrier writes message ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ids {
    /// In its responses.
    pub response: IdForm,
    /// In `receipted_message_id`.
    pub receipt_tlv: IdForm,
    /// After `id:` in a receipt's text.
    pub receipt_text: IdForm,
    /// Among what they are unique.
    pub scope: IdScope,
}

/// Among what a carrier's ids are unique. A receipt is matched by its recipient, its scope and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdScope {
    /// All its binds: a receipt may come on another bind than its message.
    Carrier,
    /// One bind: the same id on another bind is another message's.
    Bind,
}

/// How a carrier takes texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Texts {
    /// The alphabet of texts that need less than UCS-2, and how long ones are cut.
    pub style: Style,
    /// The `data_coding` of that alphabet.
    pub narrow_coding: DataCoding,
    /// The `data_coding` of UCS-2.
    pub wide_coding: DataCoding,
    /// What is done about typographic characters.
    pub typography: Typography,
}

/// How a carrier is told when a message is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validity {
    /// Not: its default holds, and our own deadline.
    Omitted,
    /// `validity_period` counts from now on.
    Relative,
    /// `validity_period` is a time in UTC: for carriers that refuse the other.
    Absolute,
}

/// The states after which nothing more is awaited: a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FinalStates(u16);

impl FinalStates {
    /// Those of [`MessageState::is_final`].
    pub const SPECIFIED: Self = {
        let (mut set, mut octet) = (Self(0), 0);
        while octet < 10 {
            let state = MessageState::from_octet(octet);
            if state.is_final() {
                set = set.with(state);
            }
            octet += 1;
        }
        set
    };

    /// The same and this one: ACCEPTED of a carrier that says nothing after it.
    #[must_use]
    pub const fn with(self, state: MessageState) -> Self {
        Self(self.0 | bit(state))
    }

    /// The same without this one: UNKNOWN of a carrier that knows later.
    #[must_use]
    pub const fn without(self, state: MessageState) -> Self {
        Self(self.0 & !bit(state))
    }

    /// Whether this state ends a message.
    #[must_use]
    pub const fn has(self, state: MessageState) -> bool {
        self.0 & bit(state) != 0
    }
}

/// A state's bit; a state that is not recognised has one of its own.
const fn bit(state: MessageState) -> u16 {
    match state {
        MessageState::Unrecognised => 1 << 15,
        named => 1 << named.octet(),
    }
}

/// A profile that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// The window is out of bounds.
    #[error("the window is {0}, expected 1 to 4096")]
    Window(u16),
    /// No segment would ever be sent.
    #[error("the rate is 0 segments a second, expected at least 1, or none")]
    Rate,
    /// A timer of no length.
    #[error("the timer {0} is 0, expected more")]
    Timer(&'static str),
    /// SMPP 3.3 has no optional parameters.
    #[error(
        "SMPP 3.3 has no optional parameters, which {0} needs: ask for interface version 0x34, or choose otherwise"
    )]
    NeedsTlvs(&'static str),
    /// SMPP 3.3 has no transceivers.
    #[error("SMPP 3.3 has no bind_transceiver: choose a pair of binds, or interface version 0x34")]
    Transceiver,
    /// A sender of letters that no address can hold.
    #[error("senders may have {0} letters, expected 1 to 20")]
    Letters(u8),
    /// Short codes longer than numbers.
    #[error("short codes may have {0} digits, expected 1 to 15")]
    ShortCodes(u8),
    /// A question names a message by its id alone.
    #[error("ids are unique on one bind only, and a question would be asked on any: choose no queries")]
    Queries,
    /// The optional parameters are not well formed.
    #[error("the optional parameters to add do not end where the last one ends")]
    Tlvs,
}

impl Profile {
    /// What most carriers take: SMPP 3.4 as a transceiver, GSM 7-bit unpacked as `data_coding` 0, a user data header with an
    /// 8-bit reference, international numbers without a plus, ids as they come, receipts by their bit, TLVs before text.
    pub const GENERIC: Self = Self {
        name: Cow::Borrowed("generic"),
        interface_version: INTERFACE_VERSION_3_4,
        binds: Binds::Transceiver,
        window_pdus: PROFILE_WINDOW_PDUS,
        rate_per_s: None,
        timers: Timers::DEFAULT,
        ids: Ids {
            response: IdForm::Folded,
            receipt_tlv: IdForm::Folded,
            receipt_text: IdForm::Folded,
            scope: IdScope::Carrier,
        },
        receipts: ReceiptDialect::DEFAULT,
        final_states: FinalStates::SPECIFIED,
        texts: Texts {
            style: Style::DEFAULT,
            narrow_coding: DataCoding::DEFAULT,
            wide_coding: DataCoding::UCS2,
            typography: Typography::Kept,
        },
        sender: SenderRules::GENERIC,
        recipient: NumberForm::INTERNATIONAL,
        service_type: Cow::Borrowed(&[]),
        registered_delivery: RegisteredDelivery::FINAL,
        validity: Validity::Omitted,
        tlvs: Cow::Borrowed(&[]),
        statuses: Statuses::SPECIFIED,
        queries: false,
    };

    /// Whether its parts go together.
    ///
    /// # Errors
    /// [`ProfileError`], the first that is found.
    pub fn check(&self) -> Result<(), ProfileError> {
        if !(1..=WINDOW_PDUS_MAX).contains(&u32::from(self.window_pdus)) {
            return Err(ProfileError::Window(self.window_pdus));
        }
        if self.rate_per_s == Some(0) {
            return Err(ProfileError::Rate);
        }
        let Timers { session_init, enquire_link_idle, response, .. } = self.timers;
        let timers = [
            ("session_init", session_init),
            ("enquire_link_idle", enquire_link_idle),
            ("response", response),
        ];
        if let Some((name, _)) = timers.iter().find(|(_, length)| *length == Duration::ZERO) {
            return Err(ProfileError::Timer(name));
        }
        if let Some(letters) = self.sender.letters
            && !(1..=SENDER_LETTERS_MAX).contains(&letters.chars_max)
        {
            return Err(ProfileError::Letters(letters.chars_max));
        }
        if let Some(codes) = self.sender.short_codes
            && !(1..=15).contains(&codes.digits_max)
        {
            return Err(ProfileError::ShortCodes(codes.digits_max));
        }
        if self.queries && self.ids.scope == IdScope::Bind {
            return Err(ProfileError::Queries);
        }
        Tlvs::new(&self.tlvs).map_err(|_| ProfileError::Tlvs)?;
        if knows_tlvs(self.interface_version) { Ok(()) } else { self.check_3_3() }
    }

    /// What SMPP 3.3 does not have.
    fn check_3_3(&self) -> Result<(), ProfileError> {
        if self.binds == Binds::Transceiver {
            return Err(ProfileError::Transceiver);
        }
        let wants = match (self.texts.style.concatenation, self.receipts.source) {
            (Concatenation::Sar, _) => "cutting texts by sar_* parameters",
            (Concatenation::Payload, _) => "message_payload",
            (_, ReceiptSource::Tlvs) => "reading receipts by their parameters alone",
            _ if !self.tlvs.is_empty() => "adding parameters to submissions",
            _ => return Ok(()),
        };
        Err(ProfileError::NeedsTlvs(wants))
    }

    /// Whether long texts, or their parts, are in optional parameters: then a carrier that knows none cannot be sent them.
    #[must_use]
    pub const fn needs_tlvs(&self) -> bool {
        matches!(self.texts.style.concatenation, Concatenation::Sar | Concatenation::Payload)
    }

    /// What a session with this carrier is told.
    #[must_use]
    pub fn options(&self) -> Options {
        Options { timers: self.timers, window_pdus_max: u32::from(self.window_pdus), ..Options::default() }
    }

    /// A text as it is to be planned and sent; see [`Typography`].
    #[must_use]
    pub fn text<'a>(&self, text: &'a str, scratch: &'a mut String) -> &'a str {
        match self.texts.typography {
            Typography::Kept => text,
            Typography::Plain => plain(text, self.texts.style.narrow, scratch),
        }
    }

    /// What a text of [`Profile::text`] costs, and how it is cut.
    ///
    /// # Errors
    /// [`TooManySegments`].
    pub fn plan(&self, text: &str) -> Result<Plan, TooManySegments> {
        Plan::new(text, self.texts.style)
    }

    /// How many PDUs carry a planned text: its segments, or one where the carrier cuts it.
    #[must_use]
    pub const fn pdus(&self, plan: &Plan) -> u8 {
        match self.texts.style.concatenation {
            Concatenation::Payload => 1,
            _ => plan.segments,
        }
    }

    /// The `data_coding` of an alphabet that a plan of this profile chose.
    #[must_use]
    pub const fn data_coding(&self, alphabet: Alphabet) -> DataCoding {
        match alphabet {
            Alphabet::Ucs2 => self.texts.wide_coding,
            Alphabet::Gsm7 | Alphabet::Latin1 => self.texts.narrow_coding,
        }
    }

    /// What the answer to a submission means.
    #[must_use]
    pub fn verdict(&self, status: CommandStatus) -> Verdict {
        self.statuses.verdict(status)
    }

    /// The id of a response, in the form in which its receipt's is equal.
    #[must_use]
    pub fn response_id(&self, id: &[u8]) -> CarrierMessageId {
        CarrierMessageId::of(id, self.ids.response)
    }

    /// The receipt that a `deliver_sm` is; `None`: a message from a handset, or what cannot be read.
    #[must_use]
    pub fn read_receipt<'a>(&self, sm: &Sm<'a>, scratch: &'a mut Scratch) -> Option<Receipt<'a>> {
        Receipt::read_as(sm, self.receipts, scratch)
    }

    /// The id of a receipt, in the form in which its response's is equal.
    #[must_use]
    pub fn receipt_id(&self, receipt: &Receipt<'_>) -> CarrierMessageId {
        let form = match receipt.id_place {
            IdPlace::Tlv => self.ids.receipt_tlv,
            IdPlace::Text => self.ids.receipt_text,
        };
        CarrierMessageId::of(receipt.id, form)
    }

    /// Whether nothing more is awaited after this receipt.
    #[must_use]
    pub const fn is_final(&self, receipt: &Receipt<'_>) -> bool {
        !receipt.is_intermediate && self.final_states.has(receipt.state)
    }
}

const _: () = assert!(SENDER_LETTERS_MAX as usize <= ADDRESS_BYTES_MAX, "a sender fits in an address");
