//! Parts of long texts that wait for each other.
//!
//! A customer's parts become one message, which is cut again for the carrier that gets it. So no part is answered before the
//! whole is durable, and parts that wait in vain are refused: nothing was promised, and their customer still has them. Parts
//! come over one bind; they live and end with it.

use core::time::Duration;

use wire::id::Class;
use wire::smpp::RegisteredDelivery;
use wire::smpp::fields::ReceiptWanted;
use wire::text::limits::SEGMENTS_MAX;
use wire::text::{Alphabet, PartHeader};
use wire::time::Instant;

use super::super::limits::{SMPP_PART_BYTES_MAX, SMPP_TEXTS_MAX, SMPP_WHOLE_WAIT};
use super::submit::Form;

/// The texts of one bind that are not whole, and those that are and wait for the brain.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// In the order of their first parts.
    texts: Vec<Text>,
    /// Whole texts whose message is not answered.
    submitted: Vec<(u32, Vec<u32>)>,
    /// The number of the last whole text.
    last: u32,
}

/// A text that is not whole.
#[derive(Debug)]
struct Text {
    name: Name,
    since: Instant,
    /// What the first part to come asked for.
    head: Head,
    /// By the part's number.
    parts: Vec<Option<Box<[u8]>>>,
    /// Which receipt the parts that came asked for, together.
    wanted: RegisteredDelivery,
    /// Who waits for an answer.
    sequences: Vec<u32>,
}

/// What parts of a text have in common.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    reference: u16,
    total: u8,
    recipient: wire::msisdn::Msisdn,
    sender: Box<str>,
    alphabet: Alphabet,
}

/// What is said once for a whole text.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) key: Box<[u8]>,
    pub(super) validity: Option<Duration>,
    pub(super) class: Option<Class>,
}

/// What became of a part.
#[derive(Debug)]
pub(super) enum Added {
    /// It waits for the others.
    Waits,
    /// It was the last.
    Whole(Whole),
}

/// A text that is whole.
#[derive(Debug)]
pub(super) struct Whole {
    /// Its number.
    pub(super) number: u32,
    /// What its first part asked for.
    pub(super) head: Head,
    /// Which receipt any of its parts asked for.
    pub(super) wanted: RegisteredDelivery,
    pub(super) octets: Vec<u8>,
}

/// Why a part is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PartError {
    #[error("a text of {0} parts: expected at most {SEGMENTS_MAX}")]
    Total(u8),
    #[error("a part of {0} octets: expected at most {SMPP_PART_BYTES_MAX}")]
    Bytes(usize),
    #[error("another part with this reference and number waits, and says something else")]
    Other,
    #[error("{SMPP_TEXTS_MAX} texts of this bind wait for parts already")]
    Full,
}

impl Parts {
    /// Keeps a part, or gives back the whole text.
    ///
    /// # Errors
    /// [`PartError`]; the part is not kept.
    pub(super) fn add(
        &mut self,
        part: PartHeader,
        sequence: u32,
        form: &Form<'_>,
        now: Instant,
    ) -> Result<Added, PartError> {
        if part.total > SEGMENTS_MAX {
            return Err(PartError::Total(part.total));
        }
        if form.octets.len() > SMPP_PART_BYTES_MAX {
            return Err(PartError::Bytes(form.octets.len()));
        }
        let name = Name {
            reference: part.reference,
            total: part.total,
            recipient: form.recipient,
            sender: form.sender.into(),
            alphabet: form.alphabet,
        };
        let place = match self.texts.iter().position(|text| text.name == name) {
            Some(place) => place,
            None if self.texts.len() >= SMPP_TEXTS_MAX => return Err(PartError::Full),
            None => {
                self.texts.push(Text::new(name, form, now));
                self.texts.len() - 1
            }
        };
        let text = &mut self.texts[place];
        let slot = &mut text.parts[usize::from(part.number - 1)];
        match slot {
            // Sent again by a customer that waits: both are answered.
            Some(kept) if **kept == *form.octets => {}
            Some(_) => return Err(PartError::Other),
            None => *slot = Some(form.octets.into()),
        }
        text.sequences.push(sequence);
        text.wanted = wider(text.wanted, form.wanted);
        if text.parts.iter().any(Option::is_none) {
            return Ok(Added::Waits);
        }
        let Text { head, parts, wanted, sequences, .. } = self.texts.remove(place);
        self.last = self.last.wrapping_add(1);
        self.submitted.push((self.last, sequences));
        let octets = parts.into_iter().flatten().flat_map(Vec::from).collect();
        Ok(Added::Whole(Whole { number: self.last, head, wanted, octets }))
    }

    /// Who waits for the answer to a whole text.
    pub(super) fn answered(&mut self, number: u32) -> Vec<u32> {
        let place = self.submitted.iter().position(|(submitted, _)| *submitted == number);
        place.map_or_else(Vec::new, |place| self.submitted.swap_remove(place).1)
    }

    /// When [`Parts::expire`] is due.
    pub(super) fn timeout(&self) -> Instant {
        self.texts.first().map_or(Instant::FAR_FUTURE, |text| text.since.plus(SMPP_WHOLE_WAIT))
    }

    /// Gives up texts whose time is over: the parts that are to be refused.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u32> {
        let over = self.texts.iter().take_while(|text| text.since.plus(SMPP_WHOLE_WAIT) <= now).count();
        self.texts.drain(..over).flat_map(|text| text.sequences).collect()
    }
}

impl Text {
    fn new(name: Name, form: &Form<'_>, since: Instant) -> Self {
        let head = Head { key: form.key().into(), validity: form.validity, class: form.class };
        let parts = (0..name.total).map(|_| None).collect();
        Self { name, since, head, parts, wanted: RegisteredDelivery::NONE, sequences: Vec::new() }
    }
}

/// What two parts want together. Some ask for the receipt of a text with one of its parts only, as Kannel does.
fn wider(one: RegisteredDelivery, other: RegisteredDelivery) -> RegisteredDelivery {
    match (one.receipt(), other.receipt()) {
        (_, ReceiptWanted::Never) => one,
        (ReceiptWanted::Never, _) => other,
        (same, also) if same == also => one,
        _ => RegisteredDelivery::FINAL,
    }
}
