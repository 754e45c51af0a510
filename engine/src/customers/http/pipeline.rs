//! The requests of a connection that are not answered yet, in their order.
//!
//! Each request goes to the brain as it is read, so that many share a sync; answers come in any order and wait here until
//! all before them have left (RFC 9112 §9.3.2). A request's number is its place in the connection's life times 1,024; the
//! rest of the number is a message's place in its batch.

use std::collections::VecDeque;

use shards::api::{Acceptance, MessageView, NotCancelled, Refusal};
use wire::id::MessageId;
use wire::time::Instant;

use super::events::{Event, Poll};
use super::head::After;
use super::problem::{Kind, Problem};
use super::respond::{OpenResponse, ResponseHead, put_problem};
use super::view::put_message;
use crate::customers::Readiness;
use crate::customers::ask::Ask;
use crate::customers::context::Context;
use crate::customers::limits::{ANSWER_WAIT, OUTPUT_BYTES_MAX, PIPELINE_MESSAGES_MAX, PIPELINE_REQUESTS_MAX};
use crate::customers::openmetrics;

/// Bits of a request's number that are a place in a batch.
const PLACE_BITS: u32 = 10;

/// What became of one submission.
#[derive(Debug)]
pub(crate) enum Outcome {
    Waiting,
    Taken(Acceptance),
    Refused(Problem),
}

/// What a request waits for, or what it will be answered.
#[derive(Debug)]
pub(crate) enum Exchange {
    Single(Outcome),
    Batch {
        outcomes: Vec<Outcome>,
        waiting: usize,
    },
    Query,
    Cancel,
    Cancelled(MessageId),
    Message(Box<MessageView>),
    Events(Box<Poll>),
    Scrape(Option<String>),
    /// A status and a line of text.
    Plain(u16, &'static str),
    Problem(Box<Problem>),
}

#[derive(Debug)]
struct Pending {
    exchange: Exchange,
    after: After,
    since: Instant,
}

/// One connection's unanswered requests.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// The number of the first pending request.
    first: u64,
    pending: VecDeque<Pending>,
    /// Messages in them that wait for the brain.
    messages: usize,
    /// Whether the last one is a poll: then nothing is read behind it.
    polling: bool,
}

impl Pipeline {
    /// The number that the next request gets, for its first or only message.
    pub(crate) fn next_request(&self) -> u64 {
        (self.first + self.pending.len() as u64) << PLACE_BITS
    }

    /// Adds a request.
    pub(crate) fn push(&mut self, exchange: Exchange, after: After, now: Instant) {
        assert!(!self.polling, "nothing is read behind a poll");
        self.messages += match &exchange {
            Exchange::Single(Outcome::Waiting) => 1,
            Exchange::Batch { waiting, .. } => *waiting,
            _ => 0,
        };
        self.polling = matches!(exchange, Exchange::Events(_));
        self.pending.push_back(Pending { exchange, after, since: now });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether the last request is a poll.
    pub(crate) const fn is_polling(&self) -> bool {
        self.polling
    }

    /// Whether no further request may be read.
    pub(crate) fn is_full(&self) -> bool {
        self.polling || self.pending.len() >= PIPELINE_REQUESTS_MAX || self.messages >= PIPELINE_MESSAGES_MAX
    }

    /// When something has to happen although nothing came. Only the first request counts: all others wait for it.
    pub(crate) fn deadline(&self) -> Instant {
        self.pending.front().map_or(Instant::FAR_FUTURE, |front| match &front.exchange {
            Exchange::Events(poll) => poll.until(),
            _ => front.since.plus(ANSWER_WAIT),
        })
    }

    /// The outcome of a submission.
    pub(crate) fn answer(&mut self, request: u64, outcome: Result<Acceptance, Refusal>) {
        let place = usize::try_from(request & ((1 << PLACE_BITS) - 1)).expect("ten bits fit");
        let Some(pending) = self.of_request(request) else { return };
        let slot = match &mut pending.exchange {
            Exchange::Single(slot) if place == 0 => Some(slot),
            Exchange::Batch { outcomes, waiting } => {
                let slot = outcomes.get_mut(place).filter(|slot| matches!(slot, Outcome::Waiting));
                *waiting -= usize::from(slot.is_some());
                slot
            }
            _ => None,
        };
        let Some(slot @ Outcome::Waiting) = slot else { return };
        *slot = match outcome {
            Ok(acceptance) => Outcome::Taken(acceptance),
            Err(refusal) => Outcome::Refused(Problem::refused(refusal)),
        };
        self.messages -= 1;
    }

    /// The outcome of a query.
    pub(crate) fn view(&mut self, request: u64, view: Option<Box<MessageView>>) {
        let Some(Pending { exchange: exchange @ Exchange::Query, .. }) = self.of_request(request) else {
            return;
        };
        *exchange = view.map_or_else(not_found, Exchange::Message);
    }

    /// What came of taking a message back.
    pub(crate) fn cancelled(&mut self, request: u64, id: MessageId, outcome: Result<(), NotCancelled>) {
        let Some(Pending { exchange: exchange @ Exchange::Cancel, .. }) = self.of_request(request) else {
            return;
        };
        let problem = |error: NotCancelled| match error {
            NotCancelled::NotFound => Problem::new(Kind::MessageNotFound, error.to_string()),
            NotCancelled::TooLate(_) => Problem::new(Kind::TooLate, error.to_string()),
            NotCancelled::Busy => Problem::refused(Refusal::Busy),
        };
        *exchange = match outcome {
            Ok(()) => Exchange::Cancelled(id),
            Err(error) => Exchange::Problem(Box::new(problem(error))),
        };
    }

    /// A query is to be repeated later.
    pub(crate) fn refuse_query(&mut self, request: u64) {
        if let Some(Pending { exchange: exchange @ Exchange::Query, .. }) = self.of_request(request) {
            *exchange = Exchange::Problem(Box::new(Problem::refused(Refusal::Busy)));
        }
    }

    /// A fate or a handset's message for a poll.
    pub(crate) fn event(&mut self, request: u64, event: Event, now: Instant) {
        if let Some(Pending { exchange: Exchange::Events(poll), .. }) = self.of_request(request) {
            poll.take(event, now);
        }
    }

    /// The text of a request for metrics.
    pub(crate) fn scrape(&mut self, request: u64, text: String) {
        if let Some(Pending { exchange: Exchange::Scrape(slot), .. }) = self.of_request(request) {
            *slot = Some(text);
        }
    }

    /// Gives up on what the brain has owed for too long; `true` if there was something.
    pub(crate) fn give_up(&mut self, now: Instant) -> bool {
        if self
            .pending
            .front()
            .is_none_or(|front| now < front.since.plus(ANSWER_WAIT) || front.is_complete(now))
        {
            return false;
        }
        for pending in &mut self.pending {
            pending.exchange.give_up();
        }
        self.messages = 0;
        true
    }

    /// Lets a poll answer with what it has.
    pub(crate) fn end_poll(&mut self, now: Instant) {
        if let Some(Pending { exchange: Exchange::Events(poll), .. }) = self.pending.back_mut() {
            poll.end(now);
        }
    }

    /// Ends the subscription of a poll whose connection is gone.
    pub(crate) fn abandon(&self, cx: &mut Context<'_>) {
        if self.polling {
            let request = self.next_request() - (1 << PLACE_BITS);
            let origin = cx.origin(request);
            (cx.ask)(Ask::Unsubscribe { origin });
        }
    }

    /// Appends the answers that are due, in order. [`After::Close`] when the last of them ends the connection.
    pub(crate) fn release(&mut self, cx: &mut Context<'_>) -> After {
        while cx.out.len() < OUTPUT_BYTES_MAX {
            let due = self.pending.front().is_some_and(|front| front.is_complete(cx.now.mono));
            let Some(front) = self.pending.pop_front_if(|_| due) else { break };
            let request = self.first << PLACE_BITS;
            self.first += 1;
            if let Exchange::Events(poll) = &front.exchange {
                self.polling = false;
                cx.counts.fates += poll.events_count() as u64;
                let origin = cx.origin(request);
                (cx.ask)(Ask::Unsubscribe { origin });
            }
            let last_of_all = cx.readiness == Readiness::Stopping && self.pending.is_empty();
            let after = if last_of_all { After::Close } else { front.after };
            front.exchange.put(after, cx);
            if after == After::Close {
                return After::Close;
            }
        }
        After::Keep
    }

    fn of_request(&mut self, request: u64) -> Option<&mut Pending> {
        let place = (request >> PLACE_BITS).checked_sub(self.first)?;
        self.pending.get_mut(usize::try_from(place).ok()?)
    }
}

impl Pending {
    fn is_complete(&self, now: Instant) -> bool {
        match &self.exchange {
            Exchange::Single(Outcome::Waiting)
            | Exchange::Query
            | Exchange::Cancel
            | Exchange::Scrape(None) => false,
            Exchange::Batch { waiting, .. } => *waiting == 0,
            Exchange::Events(poll) => poll.until() <= now,
            _ => true,
        }
    }
}

impl Exchange {
    fn give_up(&mut self) {
        match self {
            Self::Single(slot @ Outcome::Waiting) => *slot = Outcome::Refused(no_answer()),
            Self::Batch { outcomes, waiting } => {
                for slot in outcomes.iter_mut().filter(|slot| matches!(slot, Outcome::Waiting)) {
                    *slot = Outcome::Refused(no_answer());
                }
                *waiting = 0;
            }
            Self::Query | Self::Cancel | Self::Scrape(None) => *self = Self::Problem(Box::new(no_answer())),
            _ => {}
        }
    }

    fn put(&self, after: After, cx: &mut Context<'_>) {
        cx.counts.http_answers += 1;
        match self {
            Self::Problem(problem) => put_counted(problem, after, cx),
            Self::Single(Outcome::Refused(problem)) => put_counted(problem, after, cx),
            Self::Single(Outcome::Taken(acceptance)) => {
                put_json(202, after, cx, |out, _| put_acceptance(*acceptance, out));
            }
            Self::Batch { outcomes, .. } => put_json(202, after, cx, |out, _| put_outcomes(outcomes, out)),
            Self::Cancelled(id) => put_json(200, after, cx, |out, _| {
                out.extend_from_slice(b"{\"id\":\"");
                out.extend_from_slice(&id.to_chars());
                out.extend_from_slice(b"\",\"state\":\"cancelled\"}");
            }),
            Self::Message(view) => put_json(200, after, cx, |out, cx| put_message(view, cx, out)),
            Self::Events(poll) => put_json(200, after, cx, |out, plan| poll.put(plan, out)),
            Self::Scrape(text) => {
                let text = text.as_deref().unwrap_or_default();
                put_body(200, openmetrics::CONTENT_TYPE, after, cx, |out, _| {
                    out.extend_from_slice(text.as_bytes())
                });
            }
            Self::Plain(status, line) => {
                put_body(*status, "text/plain", after, cx, |out, _| out.extend_from_slice(line.as_bytes()));
            }
            Self::Single(Outcome::Waiting) | Self::Query | Self::Cancel => {
                unreachable!("only complete requests are answered")
            }
        }
    }
}

fn put_counted(problem: &Problem, after: After, cx: &mut Context<'_>) {
    cx.counts.http_problems += 1;
    put_problem(problem, cx.date, after, cx.out);
}

fn put_json(
    status: u16,
    after: After,
    cx: &mut Context<'_>,
    put: impl FnOnce(&mut Vec<u8>, &shards::plan::Plan),
) {
    put_body(status, "application/json", after, cx, put);
}

fn put_body(
    status: u16,
    content_type: &str,
    after: After,
    cx: &mut Context<'_>,
    put: impl FnOnce(&mut Vec<u8>, &shards::plan::Plan),
) {
    let head = ResponseHead { status, content_type, date: cx.date, after, fields: "" };
    let open = OpenResponse::begin(&head, cx.out);
    put(cx.out, &cx.settings.plan);
    open.close(cx.out);
}

fn put_acceptance(acceptance: Acceptance, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(&acceptance.id.to_chars());
    out.extend_from_slice(if acceptance.known { b"\",\"known\":true}" } else { b"\",\"known\":false}" });
}

fn put_outcomes(outcomes: &[Outcome], out: &mut Vec<u8>) {
    for (index, outcome) in outcomes.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        match outcome {
            Outcome::Taken(acceptance) => put_acceptance(*acceptance, out),
            Outcome::Refused(problem) => {
                out.extend_from_slice(b"{\"error\":");
                problem.write(out);
                out.push(b'}');
            }
            Outcome::Waiting => unreachable!("a batch is answered when no message of it waits"),
        }
    }
    out.push(b']');
}

fn not_found() -> Exchange {
    let detail = "no message of this account with this id is known here, or its retention is over";
    Exchange::Problem(Box::new(Problem::new(Kind::MessageNotFound, detail)))
}

fn no_answer() -> Problem {
    Problem::new(Kind::NoAnswer, "the outcome is unknown: repeat the request with the same idempotency key")
}
