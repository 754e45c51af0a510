//! What went wrong, as RFC 9457 problem details.
//!
//! One table has every type that a customer can meet: its path (stable, never reused), its HTTP status and its title.
//! `docs/http.md` lists the same, and a test compares the two.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use shards::api::{Refusal, Retry};
use wire::msisdn::MsisdnError;

/// A type of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A refusal of the brain.
    Refused(Refusal),
    Recipient,
    Class,
    NoAnswer,
    Json,
    Batch,
    Key,
    Unauthorized,
    MessageNotFound,
    TooLate,
    MessageId,
    NotFound,
    /// With what the `Allow` field says.
    Method(&'static str),
    Cursor,
    Parameter,
    Request,
    HeadSize,
    BodySize,
    LengthRequired,
    TransferEncoding,
    Version,
    Expectation,
    RequestTimeout,
    Connections,
}

impl Kind {
    /// The last part of the type's path.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.name(),
            Self::Recipient => "recipient",
            Self::Class => "class",
            Self::NoAnswer => "no-answer",
            Self::Json => "json",
            Self::Batch => "batch",
            Self::Key => "key",
            Self::Unauthorized => "unauthorized",
            Self::MessageNotFound => "message-not-found",
            Self::TooLate => "too-late",
            Self::MessageId => "message-id",
            Self::NotFound => "not-found",
            Self::Method(_) => "method",
            Self::Cursor => "cursor",
            Self::Parameter => "parameter",
            Self::Request => "request",
            Self::HeadSize => "head-size",
            Self::BodySize => "body-size",
            Self::LengthRequired => "length-required",
            Self::TransferEncoding => "transfer-encoding",
            Self::Version => "version",
            Self::Expectation => "expectation",
            Self::RequestTimeout => "request-timeout",
            Self::Connections => "connections",
        }
    }

    /// The HTTP status.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal_status(refusal),
            Self::Recipient | Self::Class => 422,
            Self::NoAnswer => 504,
            Self::Json | Self::Key | Self::MessageId | Self::Cursor | Self::Parameter | Self::Request => 400,
            Self::Batch => 422,
            Self::Unauthorized => 401,
            Self::MessageNotFound | Self::NotFound => 404,
            Self::TooLate => 409,
            Self::Method(_) => 405,
            Self::HeadSize => 431,
            Self::BodySize => 413,
            Self::LengthRequired => 411,
            Self::TransferEncoding => 501,
            Self::Version => 505,
            Self::Expectation => 417,
            Self::RequestTimeout => 408,
            Self::Connections => 503,
        }
    }

    /// A few words that are the same for every problem of the type.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal_title(refusal),
            Self::Recipient => "The recipient is not an international number",
            Self::Class => "There is no such class",
            Self::NoAnswer => "The outcome is not known",
            Self::Json => "The body is not what was expected",
            Self::Batch => "The batch is empty or too large",
            Self::Key => "The idempotency key is given twice, or for a whole batch",
            Self::Unauthorized => "The account's key is missing or wrong",
            Self::MessageNotFound => "There is no such message",
            Self::TooLate => "The message cannot be taken back any more",
            Self::MessageId => "That is not a message id",
            Self::NotFound => "There is nothing here",
            Self::Method(_) => "This method is not allowed here",
            Self::Cursor => "That is not a cursor of this account",
            Self::Parameter => "A query parameter is not what was expected",
            Self::Request => "The request is not HTTP/1.1",
            Self::HeadSize => "The head of the request is too large",
            Self::BodySize => "The body of the request is too large",
            Self::LengthRequired => "The length of the body is missing",
            Self::TransferEncoding => "This transfer coding is not spoken here",
            Self::Version => "This version of HTTP is not spoken here",
            Self::Expectation => "This expectation cannot be met",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::Connections => "There are too many connections",
        }
    }

    /// What its customer does about it.
    const fn retry(self) -> Retry {
        match self {
            Self::Refused(refusal) => refusal.retry(),
            Self::NoAnswer | Self::Connections => Retry::Later(Duration::from_secs(1)),
            Self::RequestTimeout => Retry::Later(Duration::ZERO),
            _ => Retry::Never,
        }
    }
}

/// The status of what the brain refuses: the customer's fault is 4xx, ours is 503, so that clients that know nothing of
/// problem details repeat what can be repeated.
const fn refusal_status(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::KeyConflict => 409,
        Refusal::NoRoute | Refusal::Text | Refusal::Sender | Refusal::KeyLength | Refusal::Validity => 422,
        Refusal::Account | Refusal::SenderForbidden => 403,
        Refusal::AccountFull | Refusal::AccountKeysFull | Refusal::Rate => 429,
        Refusal::QueueFull
        | Refusal::KeysFull
        | Refusal::DiskFull
        | Refusal::Busy
        | Refusal::Stopping
        | Refusal::NotHome
        | Refusal::HomeLost => 503,
    }
}

const fn refusal_title(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::KeyConflict => "The idempotency key belongs to another message",
        Refusal::NoRoute => "No carrier serves this recipient",
        Refusal::Text => "The text is empty or too long",
        Refusal::Sender => "The sender is not a number or a short name",
        Refusal::SenderForbidden => "The account may not name this sender",
        Refusal::KeyLength => "The idempotency key is too long",
        Refusal::Validity => "The validity is out of bounds",
        Refusal::Account => "The account is not known",
        Refusal::QueueFull => "The queue is full",
        Refusal::KeysFull => "Too many idempotency keys are remembered",
        Refusal::AccountKeysFull => "Too many idempotency keys of the account are remembered",
        Refusal::AccountFull => "The account has too many open messages",
        Refusal::Rate => "The account is too fast",
        Refusal::DiskFull => "The disk is full",
        Refusal::Busy => "The node is busy",
        Refusal::Stopping => "The node is stopping",
        Refusal::NotHome => "The recipient's partition has no home here",
        Refusal::HomeLost => {
            "The partition got another home: the message may have been taken, repeat it with the same key"
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) detail: Cow<'static, str>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self::new(Kind::Refused(refusal), refusal.to_string())
    }

    pub(crate) fn recipient(error: MsisdnError) -> Self {
        Self::new(Kind::Recipient, error.to_string())
    }

    /// For the `Retry-After` field, which counts in whole seconds (RFC 9110 §10.2.3).
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        match self.kind.retry() {
            Retry::Never => None,
            Retry::Later(after) => Some(after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)),
            Retry::Elsewhere => Some(1),
        }
    }

    /// The JSON object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (retry, retry_after_ms) = match self.kind.retry() {
            Retry::Never => ("never", None),
            Retry::Later(after) => ("later", Some(after.as_millis())),
            Retry::Elsewhere => ("elsewhere", None),
        };
        let body = Body {
            kind: Path(self.kind.name()),
            title: self.kind.title(),
            status: self.kind.status(),
            detail: &self.detail,
            retry,
            retry_after_ms,
        };
        serde_json::to_writer(out, &body).expect("a Vec takes all, and these fields are JSON");
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: Path,
    title: &'static str,
    status: u16,
    detail: &'a str,
    retry: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u128>,
}

struct Path(&'static str);

impl Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("/problems/{}", self.0))
    }
}

#[cfg(test)]
pub(crate) const KINDS_OF_OUR_OWN: [Kind; 23] = [
    Kind::Recipient,
    Kind::Class,
    Kind::NoAnswer,
    Kind::Json,
    Kind::Batch,
    Kind::Key,
    Kind::Unauthorized,
    Kind::MessageNotFound,
    Kind::TooLate,
    Kind::MessageId,
    Kind::NotFound,
    Kind::Method("GET"),
    Kind::Cursor,
    Kind::Parameter,
    Kind::Request,
    Kind::HeadSize,
    Kind::BodySize,
    Kind::LengthRequired,
    Kind::TransferEncoding,
    Kind::Version,
    Kind::Expectation,
    Kind::RequestTimeout,
    Kind::Connections,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(problem: &Problem) -> String {
        let mut out = Vec::new();
        problem.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_problem_says_what_to_do() {
        assert_eq!(
            text(&Problem::refused(Refusal::Busy)),
            r#"{"type":"/problems/busy","title":"The node is busy","status":503,"detail":"the node is busy","retry":"later","retry_after_ms":100}"#
        );
        assert_eq!(Problem::refused(Refusal::Busy).retry_after_s(), Some(1));
        assert_eq!(Problem::refused(Refusal::KeysFull).retry_after_s(), Some(60));
        assert_eq!(Problem::refused(Refusal::NoRoute).retry_after_s(), None);
    }

    #[test]
    fn every_type_stands_in_the_documentation() {
        let page = include_str!("../../../../docs/http.md");
        let all = KINDS_OF_OUR_OWN.into_iter().chain(Refusal::ALL.map(Kind::Refused));
        for kind in all {
            let row = format!("| `/problems/{}` | {} | {} |", kind.name(), kind.status(), kind.title());
            assert!(page.contains(&row), "docs/http.md lacks: {row}");
        }
    }
}
