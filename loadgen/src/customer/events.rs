//! The fates of an HTTP account: one request after the other, each held by the daemon until there is something to tell.

use std::borrow::Cow;
use std::io::Write;
use std::net::SocketAddr;

use serde::Deserialize;
use wire::id::MessageId;
use wire::time::Instant;

use super::response::Response;
use super::{Credentials, CustomerError, Stage};
use crate::ledger::Fate;
use crate::limits::{EVENTS_MAX, EVENTS_WAIT};

/// One connection that polls.
#[derive(Debug)]
pub(crate) struct Session {
    /// What follows the path in every request.
    tail: String,
    /// Where the next answer begins; empty: with the oldest that the account was not told.
    cursor: String,
    waits: bool,
}

#[derive(Debug, Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    events: Vec<Event<'a>>,
    #[serde(borrow)]
    cursor: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    id: &'a str,
    fate: &'a str,
}

impl Session {
    /// A session that has not asked.
    pub(crate) fn new(credentials: &Credentials, host: SocketAddr) -> Self {
        let tail = format!(
            "limit={EVENTS_MAX}&wait_ms={} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\r\n",
            EVENTS_WAIT.as_millis(),
            credentials.key
        );
        Self { tail, cursor: String::new(), waits: false }
    }

    /// A new connection: asks from where the last answer ended.
    pub(crate) fn greet(&mut self, out: &mut Vec<u8>) {
        self.waits = false;
        self.respond(out);
    }

    /// Asks again, once the last request has its answer.
    pub(crate) fn respond(&mut self, out: &mut Vec<u8>) {
        if self.waits {
            return;
        }
        self.waits = true;
        let after = if self.cursor.is_empty() { String::new() } else { format!("after={}&", self.cursor) };
        write!(out, "GET /v1/events?{after}{}", self.tail).expect("a Vec takes all that is written");
    }

    /// Takes a response off `bytes`; how many bytes it had.
    pub(crate) fn handle(
        &mut self,
        customer: u16,
        bytes: &[u8],
        now: Instant,
        stage: &mut Stage,
    ) -> Result<usize, CustomerError> {
        let bad = |what| CustomerError::Protocol { customer, what };
        let Some((response, used)) = Response::split(bytes).map_err(bad)? else { return Ok(0) };
        self.waits = false;
        if response.status != 200 {
            let body = String::from_utf8_lossy(response.body);
            return Err(bad(format!("GET /v1/events was answered with {}: {body}", response.status)));
        }
        let told: Events<'_> = serde_json::from_slice(response.body)
            .map_err(|error| bad(format!("what came is no list of events: {error}")))?;
        for event in &told.events {
            let id: MessageId =
                event.id.parse().map_err(|error| bad(format!("{:?} is no message id: {error}", event.id)))?;
            let fate = Fate::of_name(event.fate)
                .ok_or_else(|| bad(format!("message {id} has fate {:?}, which is none", event.fate)))?;
            stage.ledger.fated(id, fate, now);
        }
        self.cursor.clear();
        self.cursor.push_str(&told.cursor);
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::testing::{ids, stage};
    use crate::ledger::Answer;
    use crate::message::Nonce;

    #[test]
    fn each_poll_begins_where_the_last_one_ended() {
        let credentials = Credentials { account: "load".into(), key: "secret".into() };
        let mut session = Session::new(&credentials, "127.0.0.1:8080".parse().unwrap());
        let (mut stage, mut out) = (stage(1), Vec::new());
        session.greet(&mut out);
        assert!(out.starts_with(b"GET /v1/events?limit=1000&wait_ms=5000 HTTP/1.1\r\n"));
        out.clear();
        session.respond(&mut out);
        assert!(out.is_empty(), "one poll at a time");
        let [id, _] = ids();
        stage.ledger.answered(Nonce(0), Answer::New(id), Instant(1));
        let body = format!(
            "{{\"events\":[{{\"id\":\"{id}\",\"fate\":\"delivered\",\"at\":\"x\"}}],\"cursor\":\"c17\"}}"
        );
        let stream = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(session.handle(0, &stream.as_bytes()[..30], Instant(2), &mut stage).unwrap(), 0);
        assert_eq!(session.handle(0, stream.as_bytes(), Instant(2), &mut stage).unwrap(), stream.len());
        assert_eq!(stage.ledger.counts().fated, 1);
        session.respond(&mut out);
        assert!(out.starts_with(b"GET /v1/events?after=c17&limit=1000&"));
    }
}
