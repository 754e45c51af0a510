//! A customer's HTTP connection: keep-alive, several requests under way, one message or a batch in each.

use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use wire::id::MessageId;
use wire::time::Instant;

use super::response::Response;
use super::{Credentials, CustomerError, Stage};
use crate::ledger::Answer;
use crate::message::{Nonce, Run, Shape};

/// How long to wait before a request that was refused for now, if the daemon does not say.
const PAUSE: Duration = Duration::from_millis(100);

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// All of a request's head but its length.
    head: Vec<u8>,
    pipeline: usize,
    batch: usize,
    /// What the requests under way hold; answers come in their order.
    under_way: VecDeque<Run>,
    body: Vec<u8>,
}

/// The outcome of one message: its id, or why not.
#[derive(Debug, Deserialize)]
struct Outcome<'a> {
    #[serde(borrow)]
    id: Option<&'a str>,
    #[serde(default)]
    known: bool,
    error: Option<Problem>,
}

/// Why one message of a batch was not taken (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    status: u16,
    retry_after_ms: Option<u64>,
}

impl Session {
    /// A session without requests under way.
    pub(crate) fn new(credentials: &Credentials, host: SocketAddr, pipeline: usize, batch: usize) -> Self {
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: ",
            credentials.key
        );
        Self { head: head.into_bytes(), pipeline, batch, under_way: VecDeque::new(), body: Vec::new() }
    }

    /// A new connection: nothing is under way on it.
    pub(crate) fn greet(&mut self) {
        self.under_way.clear();
    }

    /// How many more messages it may send.
    pub(crate) fn room(&self) -> usize {
        (self.pipeline - self.under_way.len()) * self.batch
    }

    /// Messages of a request.
    pub(crate) const fn batch_max(&self) -> usize {
        self.batch
    }

    /// Writes a request.
    pub(crate) fn submit(&mut self, run: Run, shape: &mut Shape, out: &mut Vec<u8>) {
        self.body.clear();
        if self.batch == 1 {
            shape.put_json(Nonce(run.start), &mut self.body);
        } else {
            for nonce in run.clone() {
                self.body.push(if nonce == run.start { b'[' } else { b',' });
                shape.put_json(Nonce(nonce), &mut self.body);
            }
            self.body.push(b']');
        }
        self.under_way.push_back(run);
        out.extend_from_slice(&self.head);
        write!(out, "{}\r\n\r\n", self.body.len()).expect("a Vec takes all that is written");
        out.extend_from_slice(&self.body);
    }

    /// Takes whole responses off `bytes`; how many bytes they had.
    pub(crate) fn handle(
        &mut self,
        customer: u16,
        bytes: &[u8],
        now: Instant,
        stage: &mut Stage,
    ) -> Result<usize, CustomerError> {
        let mut used = 0;
        let bad = |what| CustomerError::Protocol { customer, what };
        while let Some((response, length)) = Response::split(&bytes[used..]).map_err(bad)? {
            used += length;
            let run = self.under_way.pop_front().ok_or_else(|| bad("a response to no request".to_owned()))?;
            answered(self.batch, run, response, now, stage).map_err(bad)?;
        }
        Ok(used)
    }
}

fn answered(
    batch: usize,
    run: Run,
    response: Response<'_>,
    now: Instant,
    stage: &mut Stage,
) -> Result<(), String> {
    if !(200..300).contains(&response.status) {
        let pause = response.retry_after_s.map_or(PAUSE, Duration::from_secs);
        run.for_each(|nonce| refused(Nonce(nonce), response.status, pause, now, stage));
        return Ok(());
    }
    let unexpected =
        |error| format!("what came is no answer ({error}): {}", String::from_utf8_lossy(response.body));
    if batch == 1 {
        let outcome: Outcome<'_> = serde_json::from_slice(response.body).map_err(unexpected)?;
        return taken(Nonce(run.start), &outcome, now, stage);
    }
    let outcomes: Vec<Outcome<'_>> = serde_json::from_slice(response.body).map_err(unexpected)?;
    if outcomes.len() != run.len() {
        return Err(format!("{} outcomes, expected {}", outcomes.len(), run.len()));
    }
    run.map(Nonce).zip(&outcomes).try_for_each(|(nonce, outcome)| taken(nonce, outcome, now, stage))
}

fn taken(nonce: Nonce, outcome: &Outcome<'_>, now: Instant, stage: &mut Stage) -> Result<(), String> {
    let Some(id) = outcome.id else {
        let problem = outcome.error.as_ref();
        let pause = problem.and_then(|problem| problem.retry_after_ms).map_or(PAUSE, Duration::from_millis);
        refused(nonce, problem.map_or(500, |problem| problem.status), pause, now, stage);
        return Ok(());
    };
    let id: MessageId = id.parse().map_err(|error| format!("{id:?} is no message id: {error}"))?;
    let answer = if outcome.known { Answer::Known(id) } else { Answer::New(id) };
    stage.ledger.answered(nonce, answer, now);
    Ok(())
}

/// A request that can succeed later is repeated (RFC 9110 §15.5 and §15.6); another 4xx is final.
fn refused(nonce: Nonce, status: u16, pause: Duration, now: Instant, stage: &mut Stage) {
    if matches!(status, 408 | 425 | 429 | 500..) {
        stage.ledger.postponed(nonce);
        stage.later.push(now.plus(pause), nonce);
    } else {
        stage.ledger.answered(nonce, Answer::Refused, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::testing::{ids, stage};

    fn session(batch: usize) -> Session {
        let credentials = Credentials { account: "load".into(), key: "secret".into() };
        Session::new(&credentials, "127.0.0.1:8080".parse().unwrap(), 2, batch)
    }

    fn response(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_request_is_whole_and_says_its_length() {
        let (mut session, mut stage, mut out) = (session(3), stage(10), Vec::new());
        session.submit(0..3, &mut stage.shape, &mut out);
        assert_eq!(session.room(), 3);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(
            "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer secret"
        ));
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(body).unwrap().len(), 3);
    }

    #[test]
    fn answers_come_in_the_order_of_the_requests() {
        let (mut session, mut stage, mut out) = (session(1), stage(10), Vec::new());
        let [first, second] = ids();
        session.submit(4..5, &mut stage.shape, &mut out);
        session.submit(5..6, &mut stage.shape, &mut out);
        let stream = response("202 Accepted", &format!("{{\"id\":\"{first}\"}}"))
            + &response("202 Accepted", &format!("{{\"id\":\"{second}\",\"known\":true}}"));
        let used = session.handle(0, stream.as_bytes(), Instant(9), &mut stage).unwrap();
        assert_eq!((used, session.room()), (stream.len(), 2));
        assert_eq!([4, 5].map(|nonce| stage.ledger.id(Nonce(nonce))), [Some(first), Some(second)]);
        assert_eq!(stage.ledger.counts().known, 1);
    }

    #[test]
    fn each_message_of_a_batch_has_its_own_outcome() {
        let (mut session, mut stage, mut out) = (session(3), stage(10), Vec::new());
        let [first, _] = ids();
        session.submit(0..3, &mut stage.shape, &mut out);
        let body = format!(
            "[{{\"id\":\"{first}\"}},\
             {{\"error\":{{\"type\":\"/problems/busy\",\"status\":503,\"retry_after_ms\":100}}}},\
             {{\"error\":{{\"type\":\"/problems/no-route\",\"status\":422}}}}]"
        );
        session.handle(0, response("202 Accepted", &body).as_bytes(), Instant(9), &mut stage).unwrap();
        assert_eq!(stage.ledger.id(Nonce(0)), Some(first));
        assert_eq!((stage.later.timeout(), stage.ledger.counts().refused), (Some(Instant(9).plus(PAUSE)), 1));
    }

    #[test]
    fn a_request_that_is_refused_for_now_is_repeated_and_another_is_not() {
        let (mut session, mut stage, mut out) = (session(2), stage(10), Vec::new());
        session.submit(0..2, &mut stage.shape, &mut out);
        session.submit(2..4, &mut stage.shape, &mut out);
        let stream = response("503 Busy", "{}") + &response("401 Unauthorized", "{}");
        session.handle(0, stream.as_bytes(), Instant(9), &mut stage).unwrap();
        let counts = stage.ledger.counts();
        assert_eq!((counts.resubmitted, counts.refused, stage.later.len()), (2, 2, 2));
        let error = session.handle(7, response("202 Accepted", "{}").as_bytes(), Instant(9), &mut stage);
        assert_eq!(error.unwrap_err().to_string(), "customer 7: a response to no request");
    }
}
