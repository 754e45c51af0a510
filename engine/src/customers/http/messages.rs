//! The body of `POST /v1/messages`: one message or an array of them, as JSON.
//!
//! Texts are borrowed from the body where they have no escapes. A body is read whole before its first message is handed
//! on, so that a batch that breaks off in the middle leaves nothing behind. Unknown fields are refused: a misspelt
//! `validity_s` would otherwise send a code that expired an hour ago.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use shards::api::Submission;
use wire::id::{AccountId, Class};
use wire::msisdn::Msisdn;

use super::problem::{Kind, Problem};
use crate::customers::limits::BATCH_MESSAGES_MAX;

/// One message as it stands in the body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    to: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow, default)]
    from: Text<'a>,
    #[serde(borrow)]
    class: Option<Text<'a>>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    validity_s: Option<u64>,
}

/// What a body holds.
#[derive(Debug)]
pub(crate) enum Messages<'a> {
    One(Message<'a>),
    Batch(Vec<Message<'a>>),
}

impl<'a> Messages<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// The problem to answer: of its JSON, with line and column, or of the count of messages.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Problem> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'[') {
            return serde_json::from_slice(body).map(Self::One).map_err(|error| of_json(&error));
        }
        let batch: Vec<Message<'a>> = serde_json::from_slice(body).map_err(|error| of_json(&error))?;
        if !(1..=BATCH_MESSAGES_MAX).contains(&batch.len()) {
            let detail = format!("expected 1 to {BATCH_MESSAGES_MAX} messages, found {}", batch.len());
            return Err(Problem::new(Kind::Batch, detail));
        }
        Ok(Self::Batch(batch))
    }
}

impl Message<'_> {
    /// Takes the key of an `Idempotency-Key` field for its own.
    ///
    /// # Errors
    /// The problem to answer when it has another.
    pub(crate) fn take_header_key(&mut self, value: &[u8]) -> Result<(), Problem> {
        let header = header_key(value)?;
        match &self.key {
            Some(field) if field.0 != header => {
                Err(Problem::new(Kind::Key, "the Idempotency-Key field and \"key\" in the body differ"))
            }
            _ => {
                self.key = Some(Text(Cow::Owned(header.to_owned())));
                Ok(())
            }
        }
    }

    /// The submission that it stands for.
    ///
    /// # Errors
    /// The problem of its recipient or its class; everything else is the brain's to judge.
    pub(crate) fn submission(&self, account: AccountId) -> Result<Submission<'_>, Problem> {
        let recipient = Msisdn::parse(self.to.0.as_bytes()).map_err(Problem::recipient)?;
        let class = match &self.class {
            None => None,
            Some(name) => Some(Class::from_name(&name.0).ok_or_else(|| {
                Problem::new(Kind::Class, "expected otp, transactional, notification or marketing")
            })?),
        };
        Ok(Submission {
            account,
            recipient,
            sender: &self.from.0,
            key: self.key.as_ref().map_or(&[], |key| key.0.as_bytes()),
            class,
            validity: self.validity_s.map(Duration::from_secs),
            text: &self.text.0,
        })
    }
}

/// The key of a field that may be a quoted string, as the draft of `Idempotency-Key` wants it, or bare, as many send it.
fn header_key(value: &[u8]) -> Result<&str, Problem> {
    let wrong = || Problem::new(Kind::Key, "expected an Idempotency-Key of UTF-8 that is not empty");
    let text = std::str::from_utf8(value).map_err(|_| wrong())?.trim();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(quoted.unwrap_or(text)).filter(|key| !key.is_empty()).ok_or_else(wrong)
}

fn of_json(error: &serde_json::Error) -> Problem {
    Problem::new(Kind::Json, error.to_string())
}

/// A string that is borrowed unless it has escapes. (`Option<Cow<str>>` would always be copied.)
#[derive(Debug, Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &str) -> String {
        Messages::read(body.as_bytes()).unwrap_err().detail.into_owned()
    }

    fn one(body: &str) -> Message<'_> {
        match Messages::read(body.as_bytes()) {
            Ok(Messages::One(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_least_message_has_a_recipient_and_a_text() {
        let message = one(r#" {"to": "+4915112345678", "text": "hello"}"#);
        let account = AccountId::of_name("dev");
        let submission = message.submission(account).unwrap();
        assert_eq!((submission.account, submission.text, submission.sender), (account, "hello", ""));
        assert_eq!((submission.key, submission.class, submission.validity), (&b""[..], None, None));
        assert!(matches!(message.text.0, Cow::Borrowed(_)));
    }

    #[test]
    fn every_field_reaches_the_submission() {
        let message =
            one(r#"{"to":"49151","text":"h\u00e4\n","from":"Bank","class":"otp","key":"k","validity_s":90}"#);
        let submission = message.submission(AccountId(1)).unwrap();
        assert_eq!((submission.text, submission.sender, submission.key), ("hä\n", "Bank", &b"k"[..]));
        assert_eq!(
            (submission.class, submission.validity),
            (Some(Class::Otp), Some(Duration::from_secs(90)))
        );
        assert!(matches!(message.text.0, Cow::Owned(_)));
        assert!(matches!(&message.class, Some(Text(Cow::Borrowed("otp")))));
    }

    #[test]
    fn what_is_not_json_or_not_a_message_is_named_with_its_place() {
        assert_eq!(problem(""), "EOF while parsing a value at line 1 column 0");
        assert_eq!(
            problem("{\n \"to\": 5}"),
            "invalid type: integer `5`, expected a string at line 2 column 8"
        );
        assert_eq!(problem(r#"{"to":"1"}"#), "missing field `text` at line 1 column 10");
        assert_eq!(
            problem(r#"{"to":"1","txt":"a"}"#),
            "unknown field `txt`, expected one of `to`, `text`, `from`, `class`, `key`, `validity_s` at line 1 column 15"
        );
        assert_eq!(problem("[]"), "expected 1 to 1000 messages, found 0");
        let message = r#"{"to":"1","text":"a"}"#;
        assert_eq!(
            problem(&format!("[{}]", [message; 1001].join(","))),
            "expected 1 to 1000 messages, found 1001"
        );
        assert_eq!(problem(&format!("{message} x")), "trailing characters at line 1 column 23");
    }

    #[test]
    fn a_key_comes_from_the_header_or_the_body_and_never_from_two_mouths() {
        let keyed = r#"{"to":"1","text":"a","key":"k"}"#;
        let mut message = one(keyed);
        assert!(message.take_header_key(b"\"k\"").is_ok() && message.take_header_key(b"k").is_ok());
        assert_eq!(message.take_header_key(b"other").unwrap_err().kind, Kind::Key);
        let mut message = one(r#"{"to":"1","text":"a"}"#);
        message.take_header_key(b"from-header").unwrap();
        assert_eq!(message.submission(AccountId(1)).unwrap().key, b"from-header");
        assert_eq!(message.take_header_key(b"\"\"").unwrap_err().kind, Kind::Key);
    }

    #[test]
    fn a_wrong_recipient_or_class_is_a_problem_of_that_message_alone() {
        let kind = |body: &str| one(body).submission(AccountId(1)).unwrap_err().kind;
        assert_eq!(kind(r#"{"to":"+49 151","text":"a"}"#), Kind::Recipient);
        assert_eq!(kind(r#"{"to":"1","text":"a","class":"fast"}"#), Kind::Class);
    }
}
