//! What a request is for: method and target, parsed once.

use std::time::Duration;

use wire::id::MessageId;

use super::problem::{Kind, Problem};
use crate::customers::limits::{EVENTS_MAX, EVENTS_WAIT_DEFAULT, EVENTS_WAIT_MAX};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Submit,
    Message(MessageId),
    Cancel(MessageId),
    Events(EventsQuery<'a>),
    Health,
    Ready,
    Metrics,
}

/// The parameters of `GET /v1/events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventsQuery<'a> {
    pub(crate) after: Option<&'a str>,
    pub(crate) limit: u16,
    pub(crate) wait: Duration,
}

impl<'a> Target<'a> {
    /// Reads method and target.
    ///
    /// # Errors
    /// The problem to answer.
    pub(crate) fn parse(method: &str, target: &'a str) -> Result<Self, Problem> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (allowed, parsed) = match path {
            "/v1/messages" => ("POST", Ok(Self::Submit)),
            "/v1/events" => ("GET", EventsQuery::parse(query).map(Self::Events)),
            "/healthz" => ("GET", Ok(Self::Health)),
            "/readyz" => ("GET", Ok(Self::Ready)),
            "/metrics" => ("GET", Ok(Self::Metrics)),
            _ => match path.strip_prefix("/v1/messages/") {
                Some(id) if method == "DELETE" => ("DELETE", message_id(id).map(Self::Cancel)),
                Some(id) if method == "GET" => ("GET", message_id(id).map(Self::Message)),
                Some(_) => ("GET, DELETE", Err(not_found())),
                None => return Err(not_found()),
            },
        };
        if method != allowed {
            return Err(Problem::new(Kind::Method(allowed), format!("expected {allowed}, found {method}")));
        }
        parsed
    }
}

impl<'a> EventsQuery<'a> {
    fn parse(query: &'a str) -> Result<Self, Problem> {
        let mut parsed = Self { after: None, limit: EVENTS_MAX, wait: EVENTS_WAIT_DEFAULT };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "after" => parsed.after = Some(value).filter(|cursor| !cursor.is_empty()),
                "limit" => {
                    parsed.limit = u16::try_from(number(name, value, 1..=u64::from(EVENTS_MAX))?)
                        .expect("EVENTS_MAX is a u16");
                }
                "wait_ms" => {
                    let longest_ms = u64::try_from(EVENTS_WAIT_MAX.as_millis()).expect("a minute");
                    parsed.wait = Duration::from_millis(number(name, value, 0..=longest_ms)?);
                }
                _ => {
                    let detail = format!("expected after, limit or wait_ms, found {name:?}");
                    return Err(Problem::new(Kind::Parameter, detail));
                }
            }
        }
        Ok(parsed)
    }
}

fn number(name: &str, value: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, Problem> {
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let detail =
            format!("expected {name} between {} and {}, found {value:?}", range.start(), range.end());
        Problem::new(Kind::Parameter, detail)
    })
}

fn message_id(text: &str) -> Result<MessageId, Problem> {
    text.parse().map_err(|error: wire::id::MessageIdError| Problem::new(Kind::MessageId, error.to_string()))
}

fn not_found() -> Problem {
    let detail = "expected /v1/messages, /v1/messages/{id}, /v1/events, /healthz, /readyz or /metrics";
    Problem::new(Kind::NotFound, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_says_what_is_asked_for() {
        assert_eq!(Target::parse("POST", "/v1/messages?x"), Ok(Target::Submit));
        assert_eq!(Target::parse("GET", "/healthz"), Ok(Target::Health));
        let id = "01JDAV6W40000G000100000000";
        assert_eq!(
            Target::parse("GET", &format!("/v1/messages/{id}")),
            Ok(Target::Message(id.parse().unwrap()))
        );
        assert_eq!(
            Target::parse("DELETE", &format!("/v1/messages/{id}")),
            Ok(Target::Cancel(id.parse().unwrap()))
        );
        let query = EventsQuery { after: Some("abc"), limit: 5, wait: Duration::ZERO };
        assert_eq!(Target::parse("GET", "/v1/events?limit=5&after=abc&wait_ms=0"), Ok(Target::Events(query)));
        let plain = EventsQuery { after: None, limit: EVENTS_MAX, wait: EVENTS_WAIT_DEFAULT };
        assert_eq!(Target::parse("GET", "/v1/events?after="), Ok(Target::Events(plain)));
    }

    #[test]
    fn what_is_not_there_is_told_in_words() {
        let problem = |method: &str, target: &str| Target::parse(method, target).unwrap_err();
        assert_eq!(problem("GET", "/v1/messages").kind, Kind::Method("POST"));
        assert_eq!(problem("DELETE", "/metrics").detail, "expected GET, found DELETE");
        assert_eq!(problem("PUT", "/v1/messages/1").kind, Kind::Method("GET, DELETE"));
        assert_eq!(problem("GET", "/v2").kind, Kind::NotFound);
        assert_eq!(problem("GET", "/v1/messages/1").kind, Kind::MessageId);
        assert_eq!(
            problem("GET", "/v1/events?limit=0").detail,
            "expected limit between 1 and 1000, found \"0\""
        );
        assert_eq!(problem("GET", "/v1/events?cursor=x").kind, Kind::Parameter);
    }
}
