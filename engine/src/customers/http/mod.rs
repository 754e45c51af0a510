//! One HTTP/1.1 connection of a customer, as a machine over bytes.
//!
//! ```text
//!   bytes ─▶ head ─▶ (chunks) ─▶ target ─▶ messages ─▶ Ask        to the brain, at once
//!                                              │
//!   bytes ◀─ respond ◀────────────────────── pipeline ◀─ Reply    in the order of the requests
//! ```
//!
//! Why it is not a library's: HTTP libraries take the requests of a connection one at a time, and then a client that
//! pipelines sixteen messages waits for sixteen syncs. Here each request is handed to the brain as soon as it is whole.
//!
//! A whole request is read from the piece of input in which it came, without a copy. Only what is left over is kept.

mod chunks;
mod cursor;
mod events;
mod head;
mod messages;
mod pipeline;
mod problem;
mod respond;
mod target;
#[cfg(test)]
mod tests;
mod view;

use shards::api::{Cancellation, Reply, Sender};
use wire::id::AccountId;
use wire::time::Instant;

use self::chunks::Chunks;
pub(crate) use self::events::Event as ToldEvent;
use self::events::{Event, Poll};
use self::head::{After, Body, Framing, Head};
use self::messages::{Message, Messages};
use self::pipeline::{Exchange, Outcome, Pipeline};
use self::problem::{Kind, Problem};
pub(super) use self::respond::{DateText, date_text};
use self::target::Target;
pub(crate) use self::view::put_event;
use super::Readiness;
use super::ask::Ask;
use super::context::Context;
use super::limits::{IDLE_WAIT, OUTPUT_BYTES_MAX, REQUEST_WAIT, WAITING_INPUT_BYTES_MAX};

/// One connection. Lives on the shard that accepted it.
#[derive(Debug)]
pub(super) struct HttpConnection {
    /// What came and is not read yet; it begins with a request.
    input: Vec<u8>,
    need: Need,
    /// Since when the request that begins [`HttpConnection::input`] has been arriving.
    arriving_since: Option<Instant>,
    idle_since: Instant,
    pipeline: Pipeline,
    reading: Reading,
    /// Whether the customer has said that it sends nothing more.
    ended: bool,
}

/// What has to come before another look at the input is worth its while.
#[derive(Debug)]
enum Need {
    /// The end of a head, which is not within the first so many bytes.
    Head { searched: usize },
    /// So many bytes.
    Bytes(usize),
    /// The end of the chunks.
    Chunks(Chunks),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Requests are read as they come.
    Open,
    /// There is input that may only be read once something was answered.
    Held,
    /// Nothing more is read; the connection ends with its last answer.
    Over,
}

impl HttpConnection {
    /// A new connection.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            input: Vec::new(),
            need: Need::Head { searched: 0 },
            arriving_since: None,
            idle_since: now,
            pipeline: Pipeline::default(),
            reading: Reading::Open,
            ended: false,
        }
    }

    /// Turns a connection away before its first request.
    pub(super) fn turn_away(&mut self, cx: &mut Context<'_>) {
        self.fail(Problem::new(Kind::Connections, "this shard has as many connections as it takes"), cx);
    }

    /// Takes bytes in.
    pub(super) fn receive(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        if self.reading == Reading::Over {
            return;
        }
        self.idle_since = cx.now.mono;
        if self.input.is_empty() {
            let used = self.read(bytes, cx);
            self.input.extend_from_slice(&bytes[used..]);
        } else {
            self.input.extend_from_slice(bytes);
            self.read_input(cx);
        }
    }

    /// The customer sends nothing more: what was asked is answered, a poll at once.
    pub(super) fn receive_end(&mut self, now: Instant) {
        self.ended = true;
        self.pipeline.end_poll(now);
    }

    /// Takes an answer of the brain.
    pub(super) fn reply(&mut self, request: u64, reply: Reply, now: Instant) {
        match reply {
            Reply::Answer { outcome, .. } => self.pipeline.answer(request, outcome),
            Reply::Message { view, .. } => self.pipeline.view(request, view),
            Reply::CannotTell { .. } => self.refuse_query(request),
            Reply::Cancelled { id, outcome, .. } => self.pipeline.cancelled(request, id, outcome),
            Reply::Fate { event, .. } => self.pipeline.event(request, Event::Fate(event), now),
            Reply::Handset { message, .. } => self.pipeline.event(request, Event::Handset(message), now),
            // No customer decides about the cluster.
            Reply::Done { .. } => {}
        }
    }

    /// A query is to be repeated later.
    pub(super) fn refuse_query(&mut self, request: u64) {
        self.pipeline.refuse_query(request);
    }

    /// Takes the text of a request for metrics.
    pub(super) fn scrape(&mut self, request: u64, text: String) {
        self.pipeline.scrape(request, text);
    }

    /// Answers what is due and reads what waited for that.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        if cx.readiness == Readiness::Stopping {
            self.pipeline.end_poll(cx.now.mono);
        }
        loop {
            let answered_before = cx.counts.http_answers;
            if self.pipeline.release(cx) == After::Close {
                self.reading = Reading::Over;
            }
            if cx.counts.http_answers > answered_before {
                self.idle_since = cx.now.mono;
            }
            if self.reading != Reading::Held || self.is_held(cx) {
                break;
            }
            self.reading = Reading::Open;
            self.read_input(cx);
        }
        let stopping = cx.readiness == Readiness::Stopping && self.is_idle();
        if stopping || self.ended && self.reading == Reading::Open {
            self.reading = Reading::Over;
        }
    }

    /// Does what its deadline was for.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        if self.pipeline.give_up(now) {
            cx.counts.timeouts += 1;
            self.reading = Reading::Over;
        }
        if self.reading != Reading::Open || self.deadline() > now {
            return;
        }
        if self.arriving_since.is_some_and(|since| since.plus(REQUEST_WAIT) <= now) {
            cx.counts.timeouts += 1;
            let detail = format!("expected a whole request within {} s", REQUEST_WAIT.as_secs());
            self.fail(Problem::new(Kind::RequestTimeout, detail), cx);
        } else if self.is_idle() && self.idle_since.plus(IDLE_WAIT) <= now {
            self.reading = Reading::Over;
        }
    }

    /// When something has to happen although nothing came.
    pub(super) fn deadline(&self) -> Instant {
        let arrival = match (self.reading, self.arriving_since) {
            (Reading::Open, Some(since)) => since.plus(REQUEST_WAIT),
            _ => Instant::FAR_FUTURE,
        };
        let idle = if self.is_idle() { self.idle_since.plus(IDLE_WAIT) } else { Instant::FAR_FUTURE };
        arrival.min(idle).min(self.pipeline.deadline())
    }

    /// Whether more input is welcome.
    pub(super) fn wants_reading(&self) -> bool {
        // Behind a poll the connection is read, so that its end is seen; what comes is kept for later.
        self.reading != Reading::Held
            || self.pipeline.is_polling() && self.input.len() < WAITING_INPUT_BYTES_MAX
    }

    /// Whether all is said.
    pub(super) fn is_over(&self) -> bool {
        self.reading == Reading::Over && self.pipeline.is_empty()
    }

    /// Whether requests wait for the brain.
    pub(super) fn is_unanswered(&self) -> bool {
        !self.pipeline.is_empty()
    }

    /// The connection is gone.
    pub(super) fn abandon(&mut self, cx: &mut Context<'_>) {
        self.pipeline.abandon(cx);
    }

    fn is_idle(&self) -> bool {
        self.pipeline.is_empty() && self.input.is_empty()
    }

    fn is_held(&self, cx: &Context<'_>) -> bool {
        self.pipeline.is_full() || cx.out.len() >= OUTPUT_BYTES_MAX
    }

    fn read_input(&mut self, cx: &mut Context<'_>) {
        let mut input = std::mem::take(&mut self.input);
        let used = self.read(&input, cx);
        input.drain(..used);
        self.input = input;
    }

    /// Reads all requests that are whole, and says how many bytes they had.
    fn read(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let mut used = 0;
        while used < bytes.len() && self.reading == Reading::Open {
            if self.is_held(cx) {
                self.reading = Reading::Held;
                break;
            }
            match self.read_request(&bytes[used..], cx) {
                Ok(None) => break,
                Ok(Some(request_bytes)) => {
                    used += request_bytes;
                    self.need = Need::Head { searched: 0 };
                    self.arriving_since = None;
                }
                Err(problem) => self.fail(problem, cx),
            }
        }
        if self.reading == Reading::Over {
            used = bytes.len();
        }
        match used < bytes.len() && self.reading == Reading::Open {
            true => _ = self.arriving_since.get_or_insert(cx.now.mono),
            false => self.arriving_since = None,
        }
        used
    }

    /// Reads the request that begins the bytes and says how many it had; `None` while it is not whole.
    fn read_request(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Result<Option<usize>, Problem> {
        match &mut self.need {
            Need::Head { searched } if *searched > 0 && !has_head_end(bytes, *searched) => {
                *searched = bytes.len();
                if bytes.len() < super::limits::HEAD_BYTES_MAX {
                    return Ok(None);
                }
            }
            Need::Bytes(count) if bytes.len() < *count => return Ok(None),
            Need::Chunks(chunks) => {
                if !chunks.read(bytes)? {
                    return Ok(None);
                }
            }
            Need::Head { .. } | Need::Bytes(_) => {}
        }
        let Some(head) = Head::parse(bytes)? else {
            self.need = Need::Head { searched: bytes.len() };
            return Ok(None);
        };
        match head.framing {
            Framing::None | Framing::Length(_) => self.read_counted(head, bytes, cx),
            Framing::Chunked => self.read_chunked(head, bytes, cx),
        }
    }

    fn read_counted(
        &mut self,
        head: Head<'_>,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<Option<usize>, Problem> {
        let length = if let Framing::Length(length) = head.framing { length } else { 0 };
        let whole = head.bytes + length;
        let Some(body) = bytes.get(head.bytes..whole) else {
            self.need = Need::Bytes(whole);
            self.invite_body(head, cx);
            return Ok(None);
        };
        self.dispatch(head, body, cx);
        Ok(Some(whole))
    }

    fn read_chunked(
        &mut self,
        head: Head<'_>,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<Option<usize>, Problem> {
        let earlier = std::mem::replace(&mut self.need, Need::Head { searched: 0 });
        let mut chunks = match earlier {
            Need::Chunks(chunks) => chunks,
            Need::Head { .. } | Need::Bytes(_) => Chunks::after_head(head.bytes),
        };
        if !chunks.read(bytes)? {
            self.need = Need::Chunks(chunks);
            self.invite_body(head, cx);
            return Ok(None);
        }
        let whole = chunks.request_bytes();
        self.dispatch(head, &chunks.into_body(), cx);
        Ok(Some(whole))
    }

    /// Answers `Expect: 100-continue`, unless answers to earlier requests are still to come: the client then has to wait as
    /// it must be ready to (RFC 9110 §10.1.1), or sends its body anyway.
    fn invite_body(&self, head: Head<'_>, cx: &mut Context<'_>) {
        if head.body == Body::WaitsForContinue && self.pipeline.is_empty() {
            cx.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Answers what leaves no way to find the next request, and reads no further.
    fn fail(&mut self, problem: Problem, cx: &Context<'_>) {
        self.reading = Reading::Over;
        self.pipeline.push(Exchange::Problem(Box::new(problem)), After::Close, cx.now.mono);
    }

    fn dispatch(&mut self, head: Head<'_>, body: &[u8], cx: &mut Context<'_>) {
        let request = self.pipeline.next_request();
        let exchange =
            begin(head, body, request, cx).unwrap_or_else(|problem| Exchange::Problem(Box::new(problem)));
        self.pipeline.push(exchange, head.after, cx.now.mono);
        if head.after == After::Close {
            self.reading = Reading::Over;
        }
    }
}

/// Hands a request on.
fn begin(head: Head<'_>, body: &[u8], request: u64, cx: &mut Context<'_>) -> Result<Exchange, Problem> {
    let target = Target::parse(head.method, head.target)?;
    match target {
        Target::Health => return Ok(Exchange::Plain(200, "ok\n")),
        Target::Ready => {
            return Ok(match cx.readiness {
                Readiness::Starting => Exchange::Plain(503, "starting\n"),
                Readiness::Ready => Exchange::Plain(200, "ready\n"),
                Readiness::Stopping => Exchange::Plain(503, "stopping\n"),
            });
        }
        Target::Metrics => {
            let origin = cx.origin(request);
            cx.scrapes.push_back(origin);
            return Ok(Exchange::Scrape(None));
        }
        Target::Submit | Target::Message(_) | Target::Cancel(_) | Target::Events(_) => {}
    }
    let account = authorize(head.authorization, cx)?;
    match target {
        Target::Message(id) => {
            let origin = cx.origin(request);
            (cx.ask)(Ask::Query { origin, account, id });
            Ok(Exchange::Query)
        }
        Target::Cancel(id) => {
            let origin = cx.origin(request);
            let cancellation = Cancellation { account, id, sender: Sender::default(), recipient: None };
            (cx.ask)(Ask::Cancel { origin, cancellation: &cancellation });
            Ok(Exchange::Cancel)
        }
        Target::Events(query) => Ok(Exchange::Events(Box::new(Poll::begin(query, account, request, cx)?))),
        _ if head.framing == Framing::None => {
            Err(Problem::new(Kind::LengthRequired, "expected a Content-Length or chunks"))
        }
        _ => submit(Messages::read(body)?, head.idempotency_key, account, request, cx),
    }
}

fn authorize(field: Option<&[u8]>, cx: &mut Context<'_>) -> Result<AccountId, Problem> {
    let key = field.and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key.trim_ascii())
    });
    key.and_then(|key| cx.settings.credentials.account_of(key)).ok_or_else(|| {
        cx.counts.unauthorized += 1;
        Problem::new(Kind::Unauthorized, "expected Authorization: Bearer with the key of an account")
    })
}

fn submit(
    messages: Messages<'_>,
    header_key: Option<&[u8]>,
    account: AccountId,
    request: u64,
    cx: &mut Context<'_>,
) -> Result<Exchange, Problem> {
    match messages {
        Messages::One(mut message) => {
            if let Some(value) = header_key {
                message.take_header_key(value)?;
            }
            Ok(Exchange::Single(submit_one(&message, account, request, cx)))
        }
        Messages::Batch(_) if header_key.is_some() => {
            Err(Problem::new(Kind::Key, "expected a \"key\" in each message of a batch, not one for all"))
        }
        Messages::Batch(batch) => {
            let outcomes: Vec<_> = (request..)
                .zip(&batch)
                .map(|(request, message)| submit_one(message, account, request, cx))
                .collect();
            let waiting = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Waiting)).count();
            Ok(Exchange::Batch { outcomes, waiting })
        }
    }
}

fn submit_one(message: &Message<'_>, account: AccountId, request: u64, cx: &mut Context<'_>) -> Outcome {
    match message.submission(account) {
        Ok(submission) => {
            cx.counts.messages += 1;
            let origin = cx.origin(request);
            (cx.ask)(Ask::Submit { origin, submission: &submission });
            Outcome::Waiting
        }
        Err(problem) => {
            cx.counts.messages_malformed += 1;
            Outcome::Refused(problem)
        }
    }
}

/// Whether a head may end behind the first `searched` bytes: an empty line there, or one that began just before.
fn has_head_end(bytes: &[u8], searched: usize) -> bool {
    let from = searched.saturating_sub(3);
    let mut rest = &bytes[from..];
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        rest = &rest[end + 1..];
        if rest.first() == Some(&b'\n') || rest.starts_with(b"\r\n") {
            return true;
        }
    }
    false
}
