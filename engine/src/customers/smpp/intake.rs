//! Submissions of one bind on their way to the brain: whole ones at once, parts when their text is whole.

use shards::api::{Cancellation, Sender, Submission};
use shards::limits::SENDER_BYTES_MAX;
use wire::id::MessageId;
use wire::smpp::query::{CancelSm, DataSm, QuerySm};
use wire::smpp::{Address, CommandStatus, RegisteredDelivery, Sequence, Sm};
use wire::text::PartHeader;
use wire::time::Instant;

use super::super::ask::Ask;
use super::super::context::Context;
use super::super::limits::{SMPP_COMPLAINTS_MAX, SMPP_RATE_BURST};
use super::exchange::{Place, SmppAccount};
use super::parts::{Added, Parts, Whole};
use super::submit::{Form, Unfit, recipient};
use super::{Act, DATA, QUERY, WANTED_SHIFT, WHOLE};

/// Submissions on their way to the brain.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Requests that wait for an answer: parts of texts too.
    pub(super) unanswered: u32,
    pub(super) parts: Parts,
    scratch: String,
    /// Refusals of this bind that were told in the log.
    complaints: u32,
    /// Queries that named a sender.
    queried: Vec<(Sequence, Sender)>,
    /// When the next submission may come, by the bind's rate.
    next_at: Instant,
}

impl Intake {
    /// Hands a submission to the brain, or keeps it until its text is whole.
    pub(super) fn submit(
        &mut self,
        sequence: Sequence,
        sm: &Sm<'_>,
        place: Place,
        cx: &mut Context<'_>,
    ) -> Act {
        let account = cx.settings.smpp.account(place);
        if let Err(status) = self.admit(account, cx) {
            return Act::Refuse(sequence, status);
        }
        let form = match Form::read(sm, account, cx.now.wall) {
            Ok(form) => form,
            Err(unfit) => return Act::Refuse(sequence, self.complain(unfit, account, cx)),
        };
        let given = match form.part {
            None => self.submit_whole(u64::from(sequence.0), &form, account, cx),
            Some(part) => return self.submit_part(sequence, part, &form, account, cx),
        };
        given.map_or_else(|status| Act::Refuse(sequence, status), |()| Act::Nothing)
    }

    /// The same of a `data_sm`, which is always whole.
    ///
    /// # Errors
    /// The status of its refusal.
    pub(super) fn submit_data(
        &mut self,
        sequence: Sequence,
        data: &DataSm<'_>,
        place: Place,
        cx: &mut Context<'_>,
    ) -> Result<(), CommandStatus> {
        let account = cx.settings.smpp.account(place);
        self.admit(account, cx)?;
        match Form::read_data(data, account, cx.now.wall) {
            Ok(form) => self.submit_whole(u64::from(sequence.0) | DATA, &form, account, cx),
            Err(unfit) => Err(self.complain(unfit, account, cx)),
        }
    }

    /// Whether the bind may ask for anything more.
    fn has_room(&self, account: &SmppAccount, cx: &mut Context<'_>) -> Result<(), CommandStatus> {
        if self.unanswered < account.window_pdus_max {
            return Ok(());
        }
        cx.counts.smpp_throttled += 1;
        Err(CommandStatus::ESME_RTHROTTLED)
    }

    /// Whether it may submit now.
    fn admit(&mut self, account: &SmppAccount, cx: &mut Context<'_>) -> Result<(), CommandStatus> {
        self.has_room(account, cx)?;
        if self.keeps_pace(account.bind_rate_per_s, cx.now.mono) {
            return Ok(());
        }
        cx.counts.smpp_throttled += 1;
        Err(CommandStatus::ESME_RTHROTTLED)
    }

    /// Whether the bind may submit at its rate. What it did not use of the last second it may use now.
    fn keeps_pace(&mut self, rate_per_s: Option<u32>, now: Instant) -> bool {
        let Some(rate) = rate_per_s else { return true };
        let gap = SMPP_RATE_BURST / rate;
        let next = self.next_at.max(now);
        let keeps = next.since(now) <= SMPP_RATE_BURST - gap;
        if keeps {
            self.next_at = next.plus(gap);
        }
        keeps
    }

    fn submit_whole(
        &mut self,
        number: u64,
        form: &Form<'_>,
        account: &SmppAccount,
        cx: &mut Context<'_>,
    ) -> Result<(), CommandStatus> {
        let text = match form.text(form.octets, &mut self.scratch) {
            Ok(text) => text,
            Err(unfit) => return Err(self.complain(unfit, account, cx)),
        };
        let submission = Submission {
            account: account.account,
            recipient: form.recipient,
            sender: form.sender,
            key: form.key(),
            class: form.class,
            validity: form.validity,
            text,
        };
        let origin = cx.origin(number | wanted_bits(form.wanted));
        self.unanswered += 1;
        cx.counts.messages += 1;
        (cx.ask)(Ask::Submit { origin, submission: &submission });
        Ok(())
    }

    fn submit_part(
        &mut self,
        sequence: Sequence,
        part: PartHeader,
        form: &Form<'_>,
        account: &SmppAccount,
        cx: &mut Context<'_>,
    ) -> Act {
        let whole = match self.parts.add(part, sequence.0, form, cx.now.mono) {
            Ok(added) => {
                self.unanswered += 1;
                let Added::Whole(whole) = added else { return Act::Nothing };
                whole
            }
            Err(error) => return Act::Refuse(sequence, self.complain(error.into(), account, cx)),
        };
        let Whole { number, head, wanted, octets } = whole;
        let text = match form.text(&octets, &mut self.scratch) {
            Ok(text) => text,
            Err(unfit) => {
                let sequences = self.parts.answered(number);
                let count = u32::try_from(sequences.len()).unwrap_or(u32::MAX);
                self.unanswered = self.unanswered.saturating_sub(count);
                return Act::RefuseParts(sequences, self.complain(unfit, account, cx));
            }
        };
        let submission = Submission {
            account: account.account,
            recipient: form.recipient,
            sender: form.sender,
            key: &head.key,
            class: head.class,
            validity: head.validity,
            text,
        };
        let origin = cx.origin(u64::from(number) | wanted_bits(wanted) | WHOLE);
        cx.counts.messages += 1;
        (cx.ask)(Ask::Submit { origin, submission: &submission });
        Act::Nothing
    }

    /// Asks the brain about a message.
    pub(super) fn query(
        &mut self,
        sequence: Sequence,
        query: &QuerySm<'_>,
        place: Place,
        cx: &mut Context<'_>,
    ) -> Result<(), CommandStatus> {
        let account = cx.settings.smpp.account(place);
        self.has_room(account, cx)?;
        let id = id_of(query.message_id)?;
        let sender = sender_of(query.source)?;
        if !sender.as_bytes().is_empty() {
            self.queried.push((sequence, sender));
        }
        let origin = cx.origin(u64::from(sequence.0) | QUERY);
        self.unanswered += 1;
        (cx.ask)(Ask::Query { origin, account: account.account, id });
        Ok(())
    }

    /// A query is answered: whether the message's sender is the one that was asked for (§4.8.1).
    pub(super) fn queried(&mut self, sequence: Sequence, found: Option<Sender>) -> bool {
        let asked = self.queried.iter().position(|(number, _)| *number == sequence);
        let Some(asked) = asked.map(|place| self.queried.swap_remove(place).1) else { return true };
        found.is_some_and(|sender| sender.is_like(&asked))
    }

    /// Asks the brain to take a message back (§4.9).
    pub(super) fn cancel(
        &mut self,
        sequence: Sequence,
        cancel: &CancelSm<'_>,
        place: Place,
        cx: &mut Context<'_>,
    ) -> Result<(), CommandStatus> {
        let account = cx.settings.smpp.account(place);
        self.has_room(account, cx)?;
        if cancel.message_id.is_empty() {
            return Err(self.tell(Unfit::Group, account, cx));
        }
        let recipient = match cancel.destination.octets {
            b"" => None,
            _ => Some(recipient(cancel.destination).map_err(|unfit| self.tell(unfit, account, cx))?),
        };
        let (id, sender) = (id_of(cancel.message_id)?, sender_of(cancel.source)?);
        let cancellation = Cancellation { account: account.account, id, sender, recipient };
        let origin = cx.origin(u64::from(sequence.0));
        self.unanswered += 1;
        (cx.ask)(Ask::Cancel { origin, cancellation: &cancellation });
        Ok(())
    }

    /// A submission is refused for its form.
    fn complain(&mut self, unfit: Unfit, account: &SmppAccount, cx: &mut Context<'_>) -> CommandStatus {
        cx.counts.messages_malformed += 1;
        self.tell(unfit, account, cx)
    }

    /// Says in the log why something is refused, unless this bind has filled it enough.
    fn tell(&mut self, unfit: Unfit, account: &SmppAccount, cx: &Context<'_>) -> CommandStatus {
        let status = unfit.status();
        if self.complaints < SMPP_COMPLAINTS_MAX {
            self.complaints += 1;
            let (account, connection) = (&account.name, cx.connection);
            tracing::info!(event = "smpp-submit-refused", account, connection, %status, reason = %unfit);
        }
        status
    }
}

fn id_of(octets: &[u8]) -> Result<MessageId, CommandStatus> {
    let id = core::str::from_utf8(octets).ok().and_then(|id| id.parse().ok());
    id.ok_or(CommandStatus::ESME_RINVMSGID)
}

/// A sender to compare; empty: any.
fn sender_of(address: Address<'_>) -> Result<Sender, CommandStatus> {
    let fits = address.octets.len() <= SENDER_BYTES_MAX;
    fits.then(|| Sender::new(address.octets)).ok_or(CommandStatus::ESME_RINVSRCADR)
}

/// Which receipt is wanted, as a request's number says it.
fn wanted_bits(wanted: RegisteredDelivery) -> u64 {
    u64::from(wanted.0 & 3) << WANTED_SHIFT
}
