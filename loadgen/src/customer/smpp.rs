//! A customer's SMPP connection: a transceiver's bind, submissions that ask for a receipt, and the receipts as fates.
//!
//! A request's token is its nonce. The `user_message_reference` counts the messages to one recipient, so that a daemon which
//! makes keys of it knows a submission that is repeated.

use std::time::Duration;

use wire::id::MessageId;
use wire::smpp::{
    Address, Bind, BindKind, CommandStatus, Event, MessageState, Options, Receipt, ReceiptSign,
    RegisteredDelivery, Scratch, Sequence, Sm, Tag, Tlvs, Verdict, put_tlv,
};
use wire::time::Instant;

use super::{Credentials, CustomerError, Stage};
use crate::ledger::{Answer, Fate};
use crate::message::{FROM, Nonce, Run, Shape};

/// How long to wait before a submission that was refused for now.
const PAUSE: Duration = Duration::from_millis(100);

/// One connection, from its bind on.
#[derive(Debug)]
pub(crate) struct Session {
    credentials: Credentials,
    window: u32,
    /// `None` before the first connection.
    session: Option<wire::smpp::Session>,
    tlvs: Vec<u8>,
    scratch: Scratch,
}

/// What an event asks for, once the session is no longer borrowed.
enum Act {
    Nothing,
    Answered(Nonce, Outcome),
    Fated(Sequence, MessageId, Fate),
    Wrong(String),
}

enum Outcome {
    Taken(MessageId),
    Later,
    Refused,
}

impl Session {
    /// A session that has not bound.
    pub(crate) fn new(credentials: &Credentials, window: usize) -> Self {
        let window = u32::try_from(window).unwrap_or(u32::MAX).min(wire::smpp::limits::WINDOW_PDUS_MAX);
        Self {
            credentials: credentials.clone(),
            window,
            session: None,
            tlvs: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// A new connection: binds.
    pub(crate) fn greet(&mut self, out: &mut Vec<u8>) {
        let bind = Bind {
            kind: BindKind::Transceiver,
            system_id: self.credentials.account.as_bytes(),
            password: self.credentials.key.as_bytes(),
            system_type: b"",
            interface_version: wire::smpp::bind::INTERFACE_VERSION_3_4,
            address_range: Address::default(),
        };
        let options = Options { window_pdus_max: self.window, ..Options::default() };
        self.session = Some(wire::smpp::Session::esme(&bind, &options, Instant::default()));
        self.respond(out);
    }

    /// Whether the daemon has let us in.
    pub(crate) fn ready(&self) -> bool {
        self.session.as_ref().is_some_and(wire::smpp::Session::is_open)
    }

    /// How many more submissions it may send.
    pub(crate) fn room(&self) -> usize {
        let open = self.session.as_ref().filter(|session| session.is_open());
        open.map_or(0, |session| session.window_room() as usize)
    }

    /// Writes submissions.
    pub(crate) fn submit(&mut self, run: Run, now: Instant, shape: &mut Shape, out: &mut Vec<u8>) {
        let Some(session) = &mut self.session else { return };
        for nonce in run {
            self.tlvs.clear();
            put_tlv(
                &mut self.tlvs,
                Tag::USER_MESSAGE_REFERENCE,
                &shape.reference(Nonce(nonce)).to_be_bytes(),
            );
            let item = shape.item(Nonce(nonce));
            let sm = Sm {
                source: Address::alphanumeric(FROM.as_bytes()),
                destination: Address::international(&item.to.as_bytes()[1..]),
                registered_delivery: RegisteredDelivery::FINAL,
                short_message: item.text.as_bytes(),
                tlvs: Tlvs::new(&self.tlvs).expect("TLVs that were just written can be read"),
                ..Sm::default()
            };
            session.submit(now, u64::from(nonce), &sm).expect("there was room in the window");
            // Its output would fill up where the socket's does not.
            drain(session, out);
        }
    }

    /// Takes all of `bytes`; the session keeps what is not whole.
    pub(crate) fn handle(
        &mut self,
        customer: u16,
        bytes: &[u8],
        now: Instant,
        stage: &mut Stage,
    ) -> Result<usize, CustomerError> {
        let Self { session: Some(session), scratch, .. } = self else { return Ok(bytes.len()) };
        session.handle_bytes(now, bytes);
        loop {
            let Some(event) = session.poll_event(now) else { return Ok(bytes.len()) };
            match act(event, scratch) {
                Act::Nothing => {}
                Act::Answered(nonce, outcome) if stage.ledger.holds(nonce) => {
                    answered(nonce, &outcome, now, stage);
                }
                Act::Answered(Nonce(nonce), _) => {
                    let what = format!("an answer to submission {nonce}, which there is not");
                    return Err(CustomerError::Protocol { customer, what });
                }
                Act::Fated(sequence, id, fate) => {
                    stage.ledger.fated(id, fate, now);
                    session.answer_deliver(sequence, CommandStatus::ESME_ROK);
                }
                Act::Wrong(what) => return Err(CustomerError::Protocol { customer, what }),
            }
        }
    }

    /// Writes what is owed: the bind, answers to receipts and questions.
    pub(crate) fn respond(&mut self, out: &mut Vec<u8>) {
        if let Some(session) = &mut self.session {
            drain(session, out);
        }
    }
}

fn drain(session: &mut wire::smpp::Session, out: &mut Vec<u8>) {
    let count = session.pending().len();
    out.extend_from_slice(session.pending());
    session.consume(count);
}

fn act(event: Event<'_>, scratch: &mut Scratch) -> Act {
    match event {
        Event::SubmitAnswer { token, status, message_id, .. } => {
            let nonce = Nonce(u32::try_from(token).unwrap_or(u32::MAX));
            match status.verdict() {
                Verdict::Ok => match id_of(message_id) {
                    Ok(id) => Act::Answered(nonce, Outcome::Taken(id)),
                    Err(what) => Act::Wrong(what),
                },
                Verdict::Throttled | Verdict::Temporary => Act::Answered(nonce, Outcome::Later),
                Verdict::Permanent | Verdict::Vendor => Act::Answered(nonce, Outcome::Refused),
            }
        }
        Event::DeliverRequest { sequence, sm } => {
            let Some(receipt) = Receipt::read(&sm, ReceiptSign::EsmClass, scratch) else {
                return Act::Wrong("a deliver_sm that is no receipt".to_owned());
            };
            let fate = match receipt.state {
                MessageState::Delivered => Fate::Delivered,
                MessageState::Undeliverable => Fate::Failed,
                MessageState::Expired => Fate::Expired,
                MessageState::Deleted => Fate::Cancelled,
                MessageState::Unknown => Fate::Unknown,
                other => return Act::Wrong(format!("a receipt with the state {other:?}")),
            };
            id_of(receipt.id).map_or_else(Act::Wrong, |id| Act::Fated(sequence, id, fate))
        }
        Event::Closed { reason } => Act::Wrong(format!("the daemon ended the session: {reason}")),
        _ => Act::Nothing,
    }
}

fn id_of(text: &[u8]) -> Result<MessageId, String> {
    let id = String::from_utf8_lossy(text);
    id.parse().map_err(|error| format!("{id:?} is no message id: {error}"))
}

fn answered(nonce: Nonce, outcome: &Outcome, now: Instant, stage: &mut Stage) {
    match *outcome {
        Outcome::Taken(id) => stage.ledger.answered(nonce, Answer::New(id), now),
        Outcome::Refused => stage.ledger.answered(nonce, Answer::Refused, now),
        Outcome::Later => {
            stage.ledger.postponed(nonce);
            stage.later.push(now.plus(PAUSE), nonce);
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::smpp::{EsmClass, ReceiptOut};
    use wire::time::WallMs;

    use super::*;
    use crate::customer::testing::{ids, stage};

    /// What the daemon's side says next, with the numbers of the submissions that it was asked for.
    fn poll(mc: &mut wire::smpp::Session) -> Vec<(Sequence, u8)> {
        let mut submissions = Vec::new();
        loop {
            let is_bind = match mc.poll_event(Instant(1)) {
                None => return submissions,
                Some(Event::SubmitRequest { sequence, sm }) => {
                    submissions.push((sequence, sm.registered_delivery.0));
                    false
                }
                Some(event) => matches!(event, Event::BindRequested { .. }),
            };
            if is_bind {
                mc.accept_bind();
            }
        }
    }

    #[test]
    fn submissions_are_answered_by_their_nonce_and_receipts_are_fates() {
        let credentials = Credentials { account: "load".into(), key: "secret".into() };
        let (mut session, mut stage, mut out) = (Session::new(&credentials, 10), stage(10), Vec::new());
        let mut mc = wire::smpp::Session::mc(b"mc", &Options::default(), Instant(0));
        session.greet(&mut out);
        assert!(!session.ready());
        mc.handle_bytes(Instant(1), &out);
        assert!(poll(&mut mc).is_empty());
        let pass = |mc: &mut wire::smpp::Session, session: &mut Session, stage: &mut Stage| {
            let bytes = mc.pending().to_vec();
            mc.consume(bytes.len());
            session.handle(0, &bytes, Instant(2), stage).unwrap();
            let mut out = Vec::new();
            session.respond(&mut out);
            mc.handle_bytes(Instant(2), &out);
        };
        pass(&mut mc, &mut session, &mut stage);
        assert!(session.ready());
        out.clear();
        session.submit(4..7, Instant(2), &mut stage.shape, &mut out);
        assert_eq!(session.room(), 7);
        mc.handle_bytes(Instant(2), &out);
        let submissions = poll(&mut mc);
        assert!(submissions.iter().all(|(_, registered)| *registered == 1));
        let [id, _] = ids();
        mc.answer_submit(submissions[0].0, CommandStatus::ESME_ROK, &id.to_chars());
        mc.answer_submit(submissions[1].0, CommandStatus::ESME_RTHROTTLED, b"");
        mc.answer_submit(submissions[2].0, CommandStatus::ESME_RINVDSTADR, b"");
        pass(&mut mc, &mut session, &mut stage);
        assert_eq!(stage.ledger.id(Nonce(4)), Some(id));
        let counts = stage.ledger.counts();
        assert_eq!((counts.resubmitted, counts.refused, session.room()), (1, 1, 10));
        let (mut text, state) = (Vec::new(), MessageState::Undeliverable);
        let receipt = ReceiptOut {
            id: &id.to_chars(),
            state,
            error: 1,
            submitted: WallMs(1),
            done: WallMs(2),
            text: b"",
        };
        receipt.put_text(&mut text);
        let sm = Sm { esm_class: EsmClass::RECEIPT, short_message: &text, ..Sm::default() };
        mc.deliver(Instant(2), 7, &sm).unwrap();
        pass(&mut mc, &mut session, &mut stage);
        assert_eq!(stage.ledger.counts().fated, 1);
        let answer = mc.poll_event(Instant(2));
        assert!(
            matches!(answer, Some(Event::DeliverAnswer { token: 7, status }) if status.is_ok()),
            "{answer:?}"
        );
    }
}
