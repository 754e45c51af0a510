//! What a message looks like: from its nonce come its recipient, its key and its text, and from its text its nonce.
//!
//! ```text
//!   text   k7q2 0000012345 · · · filler up to the wanted length
//!          run  nonce
//! ```
//!
//! A carrier that sees a text knows which intent it belongs to, whatever the daemon's ids say: two messages made of one
//! intent show as one nonce seen twice. The run's tag tells them from what an earlier run left in the daemon.

use std::fmt;
use std::ops::Range;

use wire::id::Class;
use wire::native::SubmitItem;

use crate::limits::{NONCE_DIGITS, TEXT_BYTES_MAX, TEXT_BYTES_MIN};
use crate::random::Random;

/// An intent of a customer: its place in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Nonce(pub(crate) u32);

impl Nonce {
    /// Its place in tables.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Intents that follow each other.
pub(crate) type Run = Range<u32>;

/// All messages of a run have this shape.
#[derive(Clone)]
pub(crate) struct Shape {
    /// The class that is asked for; `None`: the account's.
    pub(crate) class: Option<Class>,
    recipients: u32,
    tag: [u8; 4],
    to: [u8; TO_BYTES],
    key: [u8; 4 + NONCE_DIGITS],
    text: Vec<u8>,
}

/// What all recipients begin with: a German mobile number's prefix.
const TO_PREFIX: &[u8; 6] = b"+49151";
const TO_BYTES: usize = TO_PREFIX.len() + 8;

/// The sender of all messages.
pub(crate) const FROM: &str = "Loadgen";

const TAG_CHARS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

const FILLER: &[u8] =
    b" Your order is on its way and will arrive today. We thank you for the trust that you put in us. ";

impl Shape {
    /// A shape with a new tag, drawn from `random`.
    ///
    /// # Panics
    /// When the text's length is not within its limits: the command line checks it.
    pub(crate) fn new(class: Option<Class>, text_bytes: usize, recipients: u32, random: &mut Random) -> Self {
        assert!((TEXT_BYTES_MIN..=TEXT_BYTES_MAX).contains(&text_bytes), "a text of {text_bytes} bytes");
        assert!(recipients > 0, "messages without recipients");
        let mut tag = [0; 4];
        let bits = random.bits();
        for (place, char) in tag.iter_mut().enumerate() {
            *char = TAG_CHARS[(bits >> (5 * place) & 31) as usize];
        }
        let mut text = tag.to_vec();
        text.extend_from_slice(&[b'0'; NONCE_DIGITS]);
        text.extend(FILLER.iter().cycle().take(text_bytes - TEXT_BYTES_MIN));
        let mut to = [b'0'; TO_BYTES];
        to[..TO_PREFIX.len()].copy_from_slice(TO_PREFIX);
        let mut key = [b'0'; 4 + NONCE_DIGITS];
        key[..4].copy_from_slice(&tag);
        Self { class, recipients, tag, to, key, text }
    }

    /// The message of an intent, as the native protocol wants it.
    pub(crate) fn item(&mut self, nonce: Nonce) -> SubmitItem<'_> {
        put_digits(nonce.0, &mut self.key[4..]);
        put_digits(nonce.0, &mut self.text[4..4 + NONCE_DIGITS]);
        put_digits(nonce.0 % self.recipients, &mut self.to[TO_PREFIX.len()..]);
        SubmitItem {
            class: self.class,
            validity_s: 0,
            to: ascii(&self.to),
            from: FROM,
            key: &self.key,
            text: ascii(&self.text),
        }
    }

    /// How many messages to the same recipient come before this one, in two octets.
    pub(crate) fn reference(&self, nonce: Nonce) -> u16 {
        u16::try_from((nonce.0 / self.recipients) & 0xFFFF).expect("masked")
    }

    /// The recipient's number as a carrier writes it: digits without a plus.
    pub(crate) fn to_digits(&self, nonce: Nonce) -> [u8; TO_BYTES - 1] {
        let mut digits = [0; TO_BYTES - 1];
        digits.copy_from_slice(&self.to[1..]);
        put_digits(nonce.0 % self.recipients, &mut digits[TO_PREFIX.len() - 1..]);
        digits
    }

    /// The same as a JSON object: nothing in it needs to be escaped.
    pub(crate) fn put_json(&mut self, nonce: Nonce, out: &mut Vec<u8>) {
        let class = self.class;
        let item = self.item(nonce);
        out.extend_from_slice(b"{\"to\":\"");
        out.extend_from_slice(item.to.as_bytes());
        out.extend_from_slice(b"\",\"from\":\"");
        out.extend_from_slice(item.from.as_bytes());
        out.extend_from_slice(b"\",\"key\":\"");
        out.extend_from_slice(item.key);
        if let Some(class) = class {
            out.extend_from_slice(b"\",\"class\":\"");
            out.extend_from_slice(class.name().as_bytes());
        }
        out.extend_from_slice(b"\",\"text\":\"");
        out.extend_from_slice(item.text.as_bytes());
        out.extend_from_slice(b"\"}");
    }

    /// The intent that a carrier sees in a submission, and whether all else in it is as the customer wrote it.
    ///
    /// `to` is compared by its digits: a plus or its absence is the daemon's affair.
    pub(crate) fn recognise(&self, to: &[u8], text: &[u8]) -> Recognised {
        let Some((tag, rest)) = text.split_first_chunk::<4>() else { return Recognised::Foreign };
        let Some(nonce) = rest.get(..NONCE_DIGITS).and_then(digits).filter(|_| *tag == self.tag) else {
            return Recognised::Foreign;
        };
        let mut expected = self.to;
        put_digits(nonce % self.recipients, &mut expected[TO_PREFIX.len()..]);
        let whole = to.strip_prefix(b"+").unwrap_or(to) == &expected[1..]
            && text[TEXT_BYTES_MIN..] == self.text[TEXT_BYTES_MIN..];
        if whole { Recognised::Ours(Nonce(nonce)) } else { Recognised::Mangled(Nonce(nonce)) }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shape").field("tag", &ascii(&self.tag)).field("text_bytes", &self.text.len()).finish()
    }
}

/// What a carrier reads in a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognised {
    /// An intent of this run, word for word.
    Ours(Nonce),
    /// An intent of this run with another recipient or text than it was given.
    Mangled(Nonce),
    /// Something that this run never wrote.
    Foreign,
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("texts are made of ASCII")
}

/// Writes a number, filled up with zeros from the left.
pub(crate) fn put_digits(number: u32, out: &mut [u8]) {
    let mut rest = number;
    for place in out.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Reads what [`put_digits`] wrote.
pub(crate) fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_reads_the_intent_from_the_text() {
        let mut shape = Shape::new(Some(Class::Otp), 40, 1000, &mut Random::of_seed(1, 0));
        let other = Shape::new(None, 40, 1000, &mut Random::of_seed(2, 0));
        let item = shape.item(Nonce(12_345));
        let (to, text) = (item.to.as_bytes().to_vec(), item.text.as_bytes().to_vec());
        assert_eq!((item.to, text.len()), ("+4915100000345", 40));
        assert_eq!(shape.recognise(&to, &text), Recognised::Ours(Nonce(12_345)));
        assert_eq!(shape.recognise(&to[1..], &text), Recognised::Ours(Nonce(12_345)));
        assert_eq!(shape.recognise(b"4915100000344", &text), Recognised::Mangled(Nonce(12_345)));
        assert_eq!(shape.recognise(&to, &text[..39]), Recognised::Mangled(Nonce(12_345)));
        assert_eq!(other.recognise(&to, &text), Recognised::Foreign);
        assert_eq!(shape.recognise(&to, b"hello"), Recognised::Foreign);
    }

    #[test]
    fn a_message_is_one_json_object() {
        let mut shape = Shape::new(Some(Class::Marketing), 160, 10, &mut Random::of_seed(1, 0));
        let mut out = Vec::new();
        shape.put_json(Nonce(7), &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["class"], "marketing");
        assert_eq!(value["to"], "+4915100000007");
        assert_eq!(value["text"].as_str().unwrap().len(), 160);
    }
}
