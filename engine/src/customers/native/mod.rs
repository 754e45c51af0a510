//! One session of the native protocol, as a machine over bytes.
//!
//! ```text
//!   client   Hello ─▶        Submit ─▶        Subscribe ─▶       FateAck ─▶
//!   server          ◀─ Welcome       ◀─ Answer          ◀─ Fate            … ◀─ Goodbye
//! ```
//!
//! Submissions are handed to the brain as they are read; the answers of a turn leave in one frame. Nothing is allocated for
//! a message: its texts are borrowed from the input, and its answer is 32 bytes in a vector that is reused.
//!
//! Whoever breaks the protocol is told in words what was expected, and the connection closes.

#[cfg(test)]
mod tests;
mod trace;

use std::time::Duration;

use shards::api::{Acceptance, FateEvent, HandsetMessage, Refusal, Reply, Retry, Submission, Subscription};
use wire::id::AccountId;
use wire::msisdn::{DIGITS_MAX, Msisdn};
use wire::native::{
    AnswerItem, Answers, FateItem, Fates, Frame, FrameError, HandsetItem, HandsetWriter, Hello, Kind,
    Positions, Reject, Submit, SubmitItem, TraceAnswer, VERSION, Welcome,
};
use wire::time::Instant;

use super::Readiness;
use super::ask::Ask;
use super::context::Context;
use super::limits::{FATE_CREDITS_MAX, HELLO_WAIT, OUTPUT_BYTES_MAX, PING_AFTER, QUERIES_MAX, SILENCE_MAX};

/// The status of a submission whose recipient is not a number; the brain's refusals have the others.
pub(super) const STATUS_RECIPIENT: u8 = 23;
/// The request of an origin that is a subscription: a session has one.
const SUBSCRIPTION: u64 = u64::MAX;

/// One session. Lives on the shard that accepted its connection.
#[derive(Debug)]
pub(super) struct NativeSession {
    /// The ports that its customer is told.
    ports: Ports,
    /// The beginning of a frame that is not whole.
    input: Vec<u8>,
    stage: Stage,
    /// Submissions that wait for the brain.
    unanswered: u32,
    /// Queries that wait for the brain.
    queries: u32,
    /// What was answered in this turn.
    answers: Vec<AnswerItem>,
    /// What was told in this turn.
    fates: Vec<FateItem>,
    messages: Vec<HandsetMessage>,
    subscribed: bool,
    /// Whether the customer has said that it sends nothing more.
    ended: bool,
    heard_at: Instant,
    /// Whether it was asked if it is there since it was heard.
    pinged: bool,
}

/// Which of a shard's ports a customer is told: those of the listeners by one of which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// Those without TLS.
    Plain,
    /// Those with it.
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for `Hello`.
    New,
    /// Open for an account.
    Open(AccountId),
    /// Rejected or finished: nothing more is read.
    Over,
}

/// Why a session is rejected: the code and the words.
#[derive(Debug)]
struct Breach {
    code: u16,
    words: String,
}

impl From<FrameError> for Breach {
    fn from(error: FrameError) -> Self {
        Self { code: Reject::FRAME, words: error.to_string() }
    }
}

impl Breach {
    fn new(code: u16, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }
}

impl NativeSession {
    /// A session that waits for its `Hello`.
    pub(super) const fn new(now: Instant, ports: Ports) -> Self {
        Self {
            ports,
            input: Vec::new(),
            stage: Stage::New,
            unanswered: 0,
            queries: 0,
            answers: Vec::new(),
            fates: Vec::new(),
            messages: Vec::new(),
            subscribed: false,
            ended: false,
            heard_at: now,
            pinged: false,
        }
    }

    /// Turns a connection away before its `Hello`.
    pub(super) fn turn_away(&mut self, cx: &mut Context<'_>) {
        self.reject(&Breach::new(Reject::CONNECTIONS, "this shard has as many connections as it takes"), cx);
    }

    /// Takes bytes in.
    pub(super) fn receive(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        if self.stage == Stage::Over {
            return;
        }
        if self.stage != Stage::New {
            self.heard_at = cx.now.mono;
            self.pinged = false;
        }
        if self.input.is_empty() {
            let used = self.read(bytes, cx);
            self.input.extend_from_slice(&bytes[used..]);
        } else {
            self.input.extend_from_slice(bytes);
            let mut input = std::mem::take(&mut self.input);
            let used = self.read(&input, cx);
            input.drain(..used);
            self.input = input;
        }
    }

    /// The customer sends nothing more, and so cannot acknowledge: fates end here, and the session with its last answer.
    pub(super) fn receive_end(&mut self, cx: &mut Context<'_>) {
        self.abandon(cx);
        self.ended = true;
    }

    /// Takes an answer of the brain.
    pub(super) fn reply(&mut self, number: u64, reply: Reply, cx: &mut Context<'_>) {
        if self.stage == Stage::Over {
            return;
        }
        match reply {
            Reply::Answer { outcome, .. } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.answers.push(answer_item(number, outcome));
            }
            Reply::Message { view, .. } => {
                self.queries = self.queries.saturating_sub(1);
                trace::put(number, view.as_deref(), &cx.settings.plan, cx.out);
            }
            Reply::CannotTell { .. } => self.refuse_query(number, cx),
            // No frame of this protocol asks for it.
            Reply::Cancelled { .. } | Reply::Done { .. } => {}
            Reply::Fate { event, .. } => {
                cx.counts.fates += 1;
                self.fates.push(fate_item(&event));
            }
            Reply::Handset { message, .. } => {
                cx.counts.fates += 1;
                self.messages.push(*message);
            }
        }
    }

    /// A query is to be repeated later.
    pub(super) fn refuse_query(&mut self, number: u64, cx: &mut Context<'_>) {
        if self.stage != Stage::Over {
            self.queries = self.queries.saturating_sub(1);
            trace::put_busy(number, cx.out);
        }
    }

    /// Writes what this turn brought, and says goodbye when it is time.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        if self.stage == Stage::Over {
            return;
        }
        if cx.out.len() < OUTPUT_BYTES_MAX {
            Answers::write(&self.answers, cx.out);
            Fates::write(&self.fates, cx.out);
            put_messages(&self.messages, cx.out);
            self.answers.clear();
            self.fates.clear();
            self.messages.clear();
        }
        let stopping = cx.readiness == Readiness::Stopping;
        if stopping && self.stage == Stage::New {
            self.reject(&Breach::new(Reject::STOPPING, "the node is stopping"), cx);
        } else if (stopping || self.ended) && !self.is_unanswered() && self.answers.is_empty() {
            if stopping {
                Frame::write(Kind::Goodbye, 0, &[], cx.out);
            }
            self.abandon(cx);
            self.stage = Stage::Over;
        }
    }

    /// Does what its deadline was for, and says whether the other side is still there.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Liveness {
        let silence = cx.now.mono.since(self.heard_at);
        match self.stage {
            Stage::Over => Liveness::Alive,
            Stage::New if silence >= HELLO_WAIT => {
                cx.counts.timeouts += 1;
                let words = format!("expected a Hello within {} s", HELLO_WAIT.as_secs());
                self.reject(&Breach::new(Reject::FRAME, words), cx);
                Liveness::Alive
            }
            Stage::Open(_) if silence >= SILENCE_MAX => {
                cx.counts.timeouts += 1;
                Liveness::Gone
            }
            Stage::Open(_) if silence >= PING_AFTER && !self.pinged => {
                self.pinged = true;
                Frame::write(Kind::Ping, 0, &[], cx.out);
                Liveness::Alive
            }
            Stage::New | Stage::Open(_) => Liveness::Alive,
        }
    }

    /// When something has to happen although nothing came.
    pub(super) fn deadline(&self) -> Instant {
        let wait: Duration = match (self.stage, self.pinged) {
            (Stage::Over, _) => return Instant::FAR_FUTURE,
            (Stage::New, _) => HELLO_WAIT,
            (Stage::Open(_), false) => PING_AFTER,
            (Stage::Open(_), true) => SILENCE_MAX,
        };
        self.heard_at.plus(wait)
    }

    /// Whether all is said.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether requests wait for the brain.
    pub(super) const fn is_unanswered(&self) -> bool {
        self.unanswered > 0 || self.queries > 0
    }

    /// The connection is gone.
    pub(super) fn abandon(&mut self, cx: &mut Context<'_>) {
        if self.subscribed {
            self.subscribed = false;
            let origin = cx.origin(SUBSCRIPTION);
            (cx.ask)(Ask::Unsubscribe { origin });
        }
    }

    /// Reads all frames that are whole, and says how many bytes they had.
    fn read(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let mut used = 0;
        while self.stage != Stage::Over {
            let read = match Frame::split(&bytes[used..]) {
                Ok(None) => return used,
                Ok(Some((frame, frame_bytes))) => {
                    used += frame_bytes;
                    cx.counts.native_frames += 1;
                    self.handle_frame(frame, cx)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(breach) = read {
                self.reject(&breach, cx);
            }
        }
        bytes.len()
    }

    fn handle_frame(&mut self, frame: Frame<'_>, cx: &mut Context<'_>) -> Result<(), Breach> {
        let Stage::Open(account) = self.stage else { return self.hello(frame, cx) };
        match frame.kind {
            Kind::Submit => self.submit(frame, account, cx),
            Kind::Subscribe => self.subscribe(frame, account, cx),
            Kind::FateAck => {
                let origin = cx.origin(SUBSCRIPTION);
                for position in Positions::read_ack(frame)? {
                    let partition = wire::id::Partition(position.partition.get());
                    let sequence = position.sequence.get();
                    (cx.ask)(Ask::Acknowledge { origin, account, partition, sequence });
                }
                Ok(())
            }
            Kind::Query => self.query(frame, account, cx),
            Kind::Ping => {
                Frame::write(Kind::Pong, frame.number, &[], cx.out);
                Ok(())
            }
            Kind::Pong => Ok(()),
            Kind::Hello
            | Kind::Welcome
            | Kind::Reject
            | Kind::Answer
            | Kind::Fate
            | Kind::QueryAnswer
            | Kind::Goodbye
            | Kind::Handset => {
                let words = format!("a {:?} frame came from a client whose session is open", frame.kind);
                Err(Breach::new(Reject::FRAME, words))
            }
        }
    }

    fn hello(&mut self, frame: Frame<'_>, cx: &mut Context<'_>) -> Result<(), Breach> {
        if frame.kind != Kind::Hello {
            return Err(Breach::new(Reject::FRAME, format!("expected Hello first, found {:?}", frame.kind)));
        }
        let hello = Hello::read(frame)?;
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            let (lowest, highest) = (hello.version_min, hello.version_max);
            let words = format!("this node speaks version {VERSION}, the client {lowest} to {highest}");
            return Err(Breach::new(Reject::VERSION, words));
        }
        let Some(account) = cx.settings.credentials.account_of_named(hello.account, hello.key.as_bytes())
        else {
            cx.counts.unauthorized += 1;
            return Err(Breach::new(Reject::CREDENTIALS, "there is no such account, or this is not its key"));
        };
        self.stage = Stage::Open(account);
        self.heard_at = cx.now.mono;
        let settings = cx.settings;
        let welcome = Welcome {
            credits: settings.credits,
            node: settings.plan.node,
            partitions: settings.plan.partitions,
            ports: match self.ports {
                Ports::Plain => settings.native_ports.clone(),
                Ports::Tls => settings.native_tls_ports.clone(),
            },
        };
        welcome.write(cx.out);
        Ok(())
    }

    fn submit(&mut self, frame: Frame<'_>, account: AccountId, cx: &mut Context<'_>) -> Result<(), Breach> {
        let mut batch = Submit::read(frame)?;
        let credits = cx.settings.credits;
        // Answers that were not sent yet count too: their customer cannot know that it has the credits back.
        let held = self.unanswered as usize + self.answers.len() + usize::from(batch.left());
        if held > credits as usize {
            let words = format!("{held} submissions would be unanswered, and there were {credits} credits");
            return Err(Breach::new(Reject::CREDITS, words));
        }
        let mut number = frame.number;
        while let Some(item) = batch.next_item()? {
            self.submit_item(number, &item, account, cx);
            number = number.wrapping_add(1);
        }
        Ok(())
    }

    fn submit_item(&mut self, number: u64, item: &SubmitItem<'_>, account: AccountId, cx: &mut Context<'_>) {
        let Ok(recipient) = Msisdn::parse(item.to.as_bytes()) else {
            cx.counts.messages_malformed += 1;
            self.answers.push(refusal_item(number, STATUS_RECIPIENT, Retry::Never));
            return;
        };
        let submission = Submission {
            account,
            recipient,
            sender: item.from,
            key: item.key,
            class: item.class,
            validity: (item.validity_s > 0).then(|| Duration::from_secs(item.validity_s.into())),
            text: item.text,
        };
        self.unanswered += 1;
        cx.counts.messages += 1;
        let origin = cx.origin(number);
        (cx.ask)(Ask::Submit { origin, submission: &submission });
    }

    fn subscribe(
        &mut self,
        frame: Frame<'_>,
        account: AccountId,
        cx: &mut Context<'_>,
    ) -> Result<(), Breach> {
        let (credits, positions) = Positions::read_subscribe(frame)?;
        let positions =
            positions.iter().map(|p| (wire::id::Partition(p.partition.get()), p.sequence.get())).collect();
        let subscription = Subscription { account, credits: credits.min(FATE_CREDITS_MAX), positions };
        self.subscribed = true;
        let origin = cx.origin(SUBSCRIPTION);
        (cx.ask)(Ask::Subscribe { origin, subscription: &subscription });
        Ok(())
    }

    fn query(&mut self, frame: Frame<'_>, account: AccountId, cx: &mut Context<'_>) -> Result<(), Breach> {
        let id = TraceAnswer::read_query(frame)?;
        if self.queries == QUERIES_MAX {
            return Err(Breach::new(
                Reject::CREDITS,
                format!("more than {QUERIES_MAX} queries are unanswered"),
            ));
        }
        self.queries += 1;
        let origin = cx.origin(frame.number);
        (cx.ask)(Ask::Query { origin, account, id });
        Ok(())
    }

    fn reject(&mut self, breach: &Breach, cx: &mut Context<'_>) {
        cx.counts.native_rejects += 1;
        // What was answered before is said before.
        Answers::write(&self.answers, cx.out);
        self.answers.clear();
        Reject { code: breach.code, reason: &breach.words }.write(cx.out);
        self.abandon(cx);
        self.stage = Stage::Over;
        self.input.clear();
    }
}

/// Whether the other side still answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Alive,
    Gone,
}

fn answer_item(number: u64, outcome: Result<Acceptance, Refusal>) -> AnswerItem {
    match outcome {
        Ok(acceptance) => AnswerItem {
            number: number.into(),
            id: acceptance.id.0.into(),
            status: u8::from(acceptance.known),
            retry: 0,
            reserved: 0.into(),
            retry_after_ms: 0.into(),
        },
        Err(refusal) => refusal_item(number, refusal.code(), refusal.retry()),
    }
}

fn refusal_item(number: u64, status: u8, retry: Retry) -> AnswerItem {
    let (retry, after) = match retry {
        Retry::Never => (0, Duration::ZERO),
        Retry::Later(after) => (1, after),
        Retry::Elsewhere => (2, Duration::ZERO),
    };
    let retry_after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    AnswerItem {
        number: number.into(),
        id: 0.into(),
        status,
        retry,
        reserved: 0.into(),
        retry_after_ms: retry_after_ms.into(),
    }
}

fn put_messages(messages: &[HandsetMessage], out: &mut Vec<u8>) {
    let mut writer = HandsetWriter::default();
    for message in messages {
        let mut digits = [0; DIGITS_MAX];
        let from = message.from.write_digits(&mut digits);
        let item = HandsetItem {
            sequence: message.sequence,
            id: message.id,
            at: message.at,
            partition: message.id.partition(),
            parts: message.parts,
            missing: message.missing,
            from: core::str::from_utf8(from).expect("digits are ASCII"),
            to: core::str::from_utf8(message.to.as_bytes()).expect("digits are ASCII"),
            text: &message.text,
        };
        writer.push(&item, out);
    }
    writer.end(out);
}

fn fate_item(event: &FateEvent) -> FateItem {
    FateItem {
        sequence: event.sequence.into(),
        id: event.id.0.into(),
        at_ms: event.at.0.into(),
        code: event.code.into(),
        partition: event.id.partition().0.into(),
        fate: event.fate as u8,
        why: event.why as u8,
    }
}
