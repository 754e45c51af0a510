//! A customer's native connection: hello, submissions by the frame, answers, and fates with their acknowledgement.
//!
//! A submission's number is its nonce, so an answer needs no table.

use std::time::Duration;

use wire::id::MessageId;
use wire::native::{
    self, AnswerItem, Answers, Fates, Frame, Hello, Kind, Position, Positions, Reject, SubmitWriter, Welcome,
};
use wire::time::Instant;

use super::{Credentials, CustomerError, Stage};
use crate::ledger::{Answer, Fate};
use crate::limits::FATE_CREDITS;
use crate::message::{Nonce, Run, Shape};

/// One connection, from its hello on.
#[derive(Debug)]
pub(crate) struct Session {
    credentials: Credentials,
    /// What the command line allows.
    window: usize,
    /// What the daemon allows; zero before its welcome.
    granted: usize,
    unanswered: usize,
    /// The daemon said goodbye: what was submitted is answered, and then it closes.
    closing: bool,
    fates: Option<Acknowledgements>,
    /// Pongs and subscriptions that are to be sent.
    replies: Vec<u8>,
}

/// How far the fates of each partition were taken.
#[derive(Debug, Default)]
struct Acknowledgements {
    /// By partition.
    taken: Vec<Taken>,
    /// Partitions with fates that are not acknowledged.
    moved: Vec<u16>,
    positions: Vec<Position>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    sequence: u64,
    /// Listed in [`Acknowledgements::moved`].
    moved: bool,
}

impl Session {
    /// A session that has not said hello.
    pub(crate) fn new(credentials: &Credentials, window: usize, subscribes: bool) -> Self {
        Self {
            credentials: credentials.clone(),
            window,
            granted: 0,
            unanswered: 0,
            closing: false,
            fates: subscribes.then(Acknowledgements::default),
            replies: Vec::new(),
        }
    }

    /// A new connection: says hello.
    pub(crate) fn greet(&mut self, out: &mut Vec<u8>) {
        (self.granted, self.unanswered, self.closing) = (0, 0, false);
        self.replies.clear();
        if let Some(fates) = &mut self.fates {
            *fates = Acknowledgements::default();
        }
        let Credentials { account, key } = &self.credentials;
        Hello { version_min: native::VERSION, version_max: native::VERSION, account, key }.write(out);
    }

    /// Whether the daemon said welcome.
    pub(crate) const fn ready(&self) -> bool {
        self.granted > 0
    }

    /// How many more submissions it may send.
    pub(crate) fn room(&self) -> usize {
        if self.closing {
            return 0;
        }
        self.window.min(self.granted).saturating_sub(self.unanswered)
    }

    /// Writes submissions as one frame.
    pub(crate) fn submit(&mut self, run: Run, shape: &mut Shape, out: &mut Vec<u8>) {
        self.unanswered += run.len();
        let mut writer = SubmitWriter::begin(u64::from(run.start), out);
        for nonce in run {
            let fits = writer.push(&shape.item(Nonce(nonce)), out);
            assert!(fits, "1,000 texts of one segment fit into a frame");
        }
        writer.close(out);
    }

    /// Takes whole frames off `bytes`; how many bytes they had.
    pub(crate) fn handle(
        &mut self,
        customer: u16,
        bytes: &[u8],
        now: Instant,
        stage: &mut Stage,
    ) -> Result<usize, CustomerError> {
        let mut used = 0;
        let bad = |source| CustomerError::Frame { customer, source };
        while let Some((frame, length)) = Frame::split(&bytes[used..]).map_err(bad)? {
            used += length;
            match frame.kind {
                Kind::Answer => {
                    let answers = Answers::read(frame).map_err(bad)?;
                    for answer in answers {
                        self.unanswered = self.unanswered.saturating_sub(1);
                        answered(customer, answer, now, stage)?;
                    }
                }
                Kind::Fate => self.fates(customer, frame, now, stage)?,
                Kind::Welcome => self.welcome(&Welcome::read(frame).map_err(bad)?),
                Kind::Ping => Frame::write(Kind::Pong, frame.number, &[], &mut self.replies),
                Kind::Reject => {
                    let Reject { code, reason } = Reject::read(frame).map_err(bad)?;
                    return Err(CustomerError::Rejected { customer, code, reason: reason.to_owned() });
                }
                Kind::Goodbye => self.closing = true,
                Kind::Pong | Kind::QueryAnswer | Kind::Handset => {}
                kind @ (Kind::Hello | Kind::Submit | Kind::Subscribe | Kind::FateAck | Kind::Query) => {
                    return Err(CustomerError::Protocol {
                        customer,
                        what: format!("the daemon sent a {kind:?} frame, which is for customers to send"),
                    });
                }
            }
        }
        Ok(used)
    }

    /// Writes what is owed: pongs, subscriptions, acknowledgements.
    pub(crate) fn respond(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.replies);
        if let Some(fates) = &mut self.fates {
            fates.write(out);
        }
    }

    fn welcome(&mut self, welcome: &Welcome) {
        self.granted = usize::try_from(welcome.credits).unwrap_or(usize::MAX);
        if let Some(fates) = &mut self.fates {
            fates.taken = vec![Taken::default(); usize::from(welcome.partitions.count())];
            Positions::write_subscribe(FATE_CREDITS, &[], &mut self.replies);
        }
    }

    fn fates(
        &mut self,
        customer: u16,
        frame: Frame<'_>,
        now: Instant,
        stage: &mut Stage,
    ) -> Result<(), CustomerError> {
        let items = Fates::read(frame).map_err(|source| CustomerError::Frame { customer, source })?;
        for item in items {
            let id = MessageId(item.id.get());
            let Some(fate) = Fate::of_byte(item.fate) else {
                let what = format!("message {id} has fate {}, expected 1 to 5", item.fate);
                return Err(CustomerError::Protocol { customer, what });
            };
            stage.ledger.fated(id, fate, now);
            let fits = self
                .fates
                .as_mut()
                .is_some_and(|fates| fates.take(item.partition.get(), item.sequence.get()));
            if !fits {
                let what = format!("a fate of partition {}, which there is not", item.partition.get());
                return Err(CustomerError::Protocol { customer, what });
            }
        }
        Ok(())
    }
}

fn answered(
    customer: u16,
    answer: &AnswerItem,
    now: Instant,
    stage: &mut Stage,
) -> Result<(), CustomerError> {
    let nonce = u32::try_from(answer.number.get()).map(Nonce).ok().filter(|nonce| stage.ledger.holds(*nonce));
    let Some(nonce) = nonce else {
        let what = format!("an answer to submission {}, which there is not", answer.number.get());
        return Err(CustomerError::Protocol { customer, what });
    };
    let id = MessageId(answer.id.get());
    match (answer.status, answer.retry) {
        (0, _) => stage.ledger.answered(nonce, Answer::New(id), now),
        (1, _) => stage.ledger.answered(nonce, Answer::Known(id), now),
        (_, 0) => stage.ledger.answered(nonce, Answer::Refused, now),
        _ => {
            stage.ledger.postponed(nonce);
            stage.later.push(now.plus(Duration::from_millis(answer.retry_after_ms.get().into())), nonce);
        }
    }
    Ok(())
}

impl Acknowledgements {
    /// Takes a fate; `false` when there is no such partition.
    fn take(&mut self, partition: u16, sequence: u64) -> bool {
        let Some(taken) = self.taken.get_mut(usize::from(partition)) else { return false };
        taken.sequence = taken.sequence.max(sequence);
        if !std::mem::replace(&mut taken.moved, true) {
            self.moved.push(partition);
        }
        true
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        if self.moved.is_empty() {
            return;
        }
        for partition in self.moved.drain(..) {
            let taken = &mut self.taken[usize::from(partition)];
            taken.moved = false;
            self.positions.push(Position { partition: partition.into(), sequence: taken.sequence.into() });
        }
        Positions::write_ack(&self.positions, out);
        self.positions.clear();
    }
}
