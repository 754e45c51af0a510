//! Submissions of one bind on their way to the brain: whole ones at once, parts when their text is whole.

use shards::api::Submission;
use wire::id::MessageId;
use wire::smpp::{CommandStatus, RegisteredDelivery, Sequence, Sm};
use wire::text::PartHeader;
use wire::time::Instant;

use super::super::ask::Ask;
use super::super::context::Context;
use super::super::limits::{SMPP_COMPLAINTS_MAX, SMPP_RATE_BURST};
use super::exchange::{Place, SmppAccount};
use super::parts::{Added, Parts, Whole};
use super::submit::{Form, Unfit};
use super::{Act, QUERY, WANTED_SHIFT, WHOLE};

/// Submissions on their way to the brain.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Requests that wait for an answer: parts of texts too.
    pub(super) unanswered: u32,
    pub(super) parts: Parts,
    scratch: String,
    /// Refusals of this bind that were told in the log.
    complaints: u32,
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
        if self.unanswered >= account.window_pdus_max {
            cx.counts.smpp_throttled += 1;
            return Act::Refuse(sequence, CommandStatus::ESME_RTHROTTLED);
        }
        if !self.keeps_pace(account.bind_rate_per_s, cx.now.mono) {
            cx.counts.smpp_throttled += 1;
            return Act::Refuse(sequence, CommandStatus::ESME_RTHROTTLED);
        }
        let form = match Form::read(sm, account, cx.now.wall) {
            Ok(form) => form,
            Err(unfit) => return Act::Refuse(sequence, self.complain(unfit, account, cx)),
        };
        match form.part {
            None => self.submit_whole(sequence, &form, account, cx),
            Some(part) => self.submit_part(sequence, part, &form, account, cx),
        }
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
        sequence: Sequence,
        form: &Form<'_>,
        account: &SmppAccount,
        cx: &mut Context<'_>,
    ) -> Act {
        let text = match form.text(form.octets, &mut self.scratch) {
            Ok(text) => text,
            Err(unfit) => return Act::Refuse(sequence, self.complain(unfit, account, cx)),
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
        let origin = cx.origin(u64::from(sequence.0) | wanted_bits(form.wanted));
        self.unanswered += 1;
        cx.counts.messages += 1;
        (cx.ask)(Ask::Submit { origin, submission: &submission });
        Act::Nothing
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
        message_id: &[u8],
        place: Place,
        cx: &mut Context<'_>,
    ) -> Result<(), CommandStatus> {
        let account = cx.settings.smpp.account(place);
        if self.unanswered >= account.window_pdus_max {
            cx.counts.smpp_throttled += 1;
            return Err(CommandStatus::ESME_RTHROTTLED);
        }
        let id = core::str::from_utf8(message_id).ok().and_then(|id| id.parse().ok());
        let id: MessageId = id.ok_or(CommandStatus::ESME_RINVMSGID)?;
        let origin = cx.origin(u64::from(sequence.0) | QUERY);
        self.unanswered += 1;
        (cx.ask)(Ask::Query { origin, account: account.account, id });
        Ok(())
    }

    /// Says in the log why something is refused, unless this bind has filled it enough.
    fn complain(&mut self, unfit: Unfit, account: &SmppAccount, cx: &mut Context<'_>) -> CommandStatus {
        cx.counts.messages_malformed += 1;
        let status = unfit.status();
        if self.complaints < SMPP_COMPLAINTS_MAX {
            self.complaints += 1;
            let (account, connection) = (&account.name, cx.connection);
            tracing::info!(event = "smpp-submit-refused", account, connection, %status, reason = %unfit);
        }
        status
    }
}

/// Which receipt is wanted, as a request's number says it.
fn wanted_bits(wanted: RegisteredDelivery) -> u64 {
    u64::from(wanted.0 & 3) << WANTED_SHIFT
}
