//! Messages come: submissions, and questions about them.

use core::time::Duration;

use wal::Record;
use wal::record::Accepted;
use wire::id::{AccountId, Class, KeyHash, MessageId};
use wire::text;
use wire::time::{Now, WallMs};
use xxhash_rust::xxh3::Xxh3Default;

use super::across::Asker;
use super::cell::Output;
use super::cross::{Cross, OwnedSubmission};
use super::{LogRoom, Phase, Shard};
use crate::accounts::{Admission, Awaiting};
use crate::across;
use crate::api::{Acceptance, Origin, Refusal, Reply, Submission};
use crate::cut::Cut;
use crate::limits::{SENDER_CHARS_MAX, TEXT_BYTES_MAX, VALIDITY_MAX};
use crate::plan::Account;
use crate::rates::{Question, RateId};
use crate::token::SLOTS_MAX;

/// A submission that was looked through: nothing about itself stands against it.
struct Checked<'a> {
    account: &'a Account,
    class: Class,
    validity: Duration,
    sender: &'a str,
    alphabet: u8,
    segments: u8,
    body: u64,
}

impl Shard {
    /// A customer submits. The reply comes from [`Shard::poll_reply`] of the shard that `origin` names.
    pub fn handle_submit(&mut self, now: Now, origin: Origin, submission: &Submission<'_>) {
        let (owner, place) = self.owner_of(self.plan.partitions.partition_of(submission.recipient));
        let refusal = if owner == self.config.id {
            self.submit(now, place, origin, submission).err()
        } else if self.credits[usize::from(owner.0)].spend() {
            self.crosses.push_back((owner, Cross::Submit(origin, OwnedSubmission::from(submission))));
            None
        } else {
            Some(Refusal::Busy)
        };
        if let Some(refusal) = refusal {
            self.refuse(origin, refusal);
        }
    }

    pub(super) fn submit(
        &mut self,
        now: Now,
        place: usize,
        origin: Origin,
        submission: &Submission<'_>,
    ) -> Result<(), Refusal> {
        if self.phase != Phase::Running {
            return Err(Refusal::Stopping);
        }
        if !self.cells[place].takes_questions() {
            return self.submit_across(now, place, origin, submission);
        }
        let plan = self.plan.clone();
        let checked = self.check(&plan, submission)?;
        let key = key_of(submission);
        // A key that is known has its first answer again, whatever else is full by now.
        if let Some(entry) = key.and_then(|key| self.cells[place].state.keys.find(key)) {
            if entry.body != checked.body {
                return Err(Refusal::KeyConflict);
            }
            self.counters.known += 1;
            let acceptance = Acceptance { id: entry.message, known: true };
            self.cells[place].after_decided(Output::Answer { origin, acceptance, since: now.mono });
            self.release();
            return Ok(());
        }
        if !checked.account.may_name(submission.sender) {
            return Err(Refusal::SenderForbidden);
        }
        if self.log_room == LogRoom::Short {
            return Err(Refusal::DiskFull);
        }
        let at = self.clock.read(now);
        self.has_room_for(at, place, submission.account, key)?;
        let route = plan.routes.find(submission.recipient).ok_or(Refusal::NoRoute)?;
        self.is_taken(&plan, plan.routes.carriers(route), checked.sender, submission.text)?;
        match self.accounts.admit(submission.account, now.mono, checked.segments)? {
            Admission::Granted => {}
            Admission::Waits(question) => {
                self.await_rate(
                    submission.account,
                    question,
                    Awaiting { origin, submission: submission.into() },
                );
                return Ok(());
            }
        }
        let id = self.accept(at, place, submission, &checked, key);
        let acceptance = Acceptance { id, known: false };
        self.cells[place].after_decided(Output::Answer { origin, acceptance, since: now.mono });
        Ok(())
    }

    /// Whether any of these carriers takes such a sender and such a text.
    fn is_taken(
        &mut self,
        plan: &crate::plan::Plan,
        carriers: &[u16],
        sender: &str,
        text: &str,
    ) -> Result<(), Refusal> {
        let mut refusal = Ok(());
        for &carrier in carriers {
            let profile = &plan.carriers[usize::from(carrier)].profile;
            if profile.takes_all_senders() && Cut::of(profile) == Cut::DEFAULT {
                // By that, its sender and its text were looked through.
                return Ok(());
            }
            match self.encoder.parts_for(profile, sender, text) {
                Ok(_) => return Ok(()),
                Err(reason) => refusal = refusal.and(Err(reason)),
            }
        }
        refusal
    }

    /// A submission waits for a slice of its account's rate.
    fn await_rate(&mut self, account: AccountId, question: Option<Question>, awaiting: Awaiting) {
        self.accounts.wait(account, awaiting);
        if let Some(Question { owner, need, want }) = question {
            self.crosses.push_back((owner, Cross::AskRate { rate: RateId::Account(account), need, want }));
        }
    }

    /// The shard that owns an account's rate has answered: what waited for it goes on, or has waited in vain.
    pub(super) fn submit_awaiting(&mut self, now: Now, awaiting: Awaiting, has_slice: bool) {
        let Awaiting { origin, submission } = awaiting;
        if has_slice {
            return self.handle_submit(now, origin, &submission.borrow());
        }
        self.refuse(origin, Refusal::Rate);
    }

    pub(super) fn refuse(&mut self, origin: Origin, refusal: Refusal) {
        self.refusals[refusal.place()] += 1;
        self.reply(origin, Reply::Answer { origin, outcome: Err(refusal) });
    }

    fn check<'a>(
        &self,
        plan: &'a crate::plan::Plan,
        submission: &Submission<'a>,
    ) -> Result<Checked<'a>, Refusal> {
        let account = self.accounts.place(submission.account).ok_or(Refusal::Account)?;
        let account = &plan.accounts[usize::from(account)];
        if submission.key.len() > KeyHash::KEY_BYTES_MAX {
            return Err(Refusal::KeyLength);
        }
        let class = submission.class.unwrap_or(account.class);
        let validity = submission.validity.unwrap_or_else(|| plan.class(class).validity);
        if validity < Duration::from_secs(1) || validity > VALIDITY_MAX {
            return Err(Refusal::Validity);
        }
        let sender = if submission.sender.is_empty() { &account.sender } else { submission.sender };
        if !is_sender(sender) {
            return Err(Refusal::Sender);
        }
        if submission.text.is_empty() || submission.text.len() > TEXT_BYTES_MAX {
            return Err(Refusal::Text);
        }
        let text = text::Plan::new(submission.text, text::Style::default()).map_err(|_| Refusal::Text)?;
        let body = body_hash(class, sender, submission.text);
        let (alphabet, segments) = (text.alphabet as u8, text.segments);
        Ok(Checked { account, class, validity, sender, alphabet, segments, body })
    }

    fn has_room_for(
        &self,
        at: WallMs,
        place: usize,
        account: AccountId,
        key: Option<KeyHash>,
    ) -> Result<(), Refusal> {
        let cell = &self.cells[place];
        if self.open_messages >= self.plan.open_messages_max || cell.state.slots_spoken_for() >= SLOTS_MAX {
            return Err(Refusal::QueueFull);
        }
        if key.is_some() && cell.state.keys.count_at(at) >= self.plan.keys_max / self.cells.len() {
            return Err(Refusal::KeysFull);
        }
        let keys_max = self.accounts.keys_max(account);
        if key.is_some() && keys_max < usize::MAX {
            let share = |cell: &super::Cell| cell.state.keys.share_at(at, account);
            if self.cells.iter().map(share).sum::<usize>() >= keys_max {
                return Err(Refusal::AccountKeysFull);
            }
        }
        if cell.takes_submissions() { Ok(()) } else { Err(Refusal::Busy) }
    }

    fn accept(
        &mut self,
        at: WallMs,
        place: usize,
        submission: &Submission<'_>,
        checked: &Checked<'_>,
        key: Option<KeyHash>,
    ) -> MessageId {
        let cell = &mut self.cells[place];
        let id = cell.mint(at);
        let send_until = at.plus(checked.validity);
        let deadline = send_until.plus(self.plan.class(checked.class).receipt_wait);
        let accepted = Accepted {
            id,
            account: submission.account,
            tenant: 0,
            recipient: submission.recipient,
            channel: 0,
            class: checked.class,
            key: key.unwrap_or(KeyHash(0)),
            body: checked.body,
            send_until_ms: send_until.0,
            deadline_ms: deadline.0,
            not_before_ms: 0,
            key_id: 0,
            alphabet: checked.alphabet,
            segments: checked.segments,
            sender: checked.sender.as_bytes(),
            text: submission.text.as_bytes(),
        };
        cell.decide(at, &Record::Accepted(accepted));
        let slot = cell.state.messages.find(id).expect("it was just accepted");
        *cell.live(slot) = super::cell::Live::default();
        cell.rearm(at, slot);
        self.open_messages += 1;
        self.accounts.opened(submission.account);
        self.count_accepted(checked.class);
        self.enqueue(place, slot);
        id
    }

    fn count_accepted(&mut self, class: Class) {
        *match class {
            Class::Otp => &mut self.counters.accepted_otp,
            Class::Transactional => &mut self.counters.accepted_transactional,
            Class::Notification => &mut self.counters.accepted_notification,
            Class::Marketing => &mut self.counters.accepted_marketing,
        } += 1;
    }

    /// A customer asks what became of a message of its own.
    pub fn handle_query(&mut self, now: Now, origin: Origin, account: AccountId, id: MessageId) {
        let is_ours = id.partition().0 < self.plan.partitions.count();
        let (owner, place) = self.owner_of(id.partition());
        if is_ours && owner != self.config.id {
            if self.credits[usize::from(owner.0)].spend() {
                self.crosses.push_back((owner, Cross::Query(origin, account, id)));
            } else {
                self.reply(origin, Reply::Message { origin, account, id, view: None });
            }
            return;
        }
        let is_open = is_ours && self.phase != Phase::Recovering;
        if is_open && !self.cells[place].decides && !self.is_alone() {
            let question = across::Question::Query { account: account.0, id: id.0 };
            let may_ask = origin.asked_by().is_none();
            if !may_ask || !self.ask_home(now, place, Asker::Customer(origin), question) {
                self.reply(origin, Reply::CannotTell { origin });
            }
            return;
        }
        if !is_open || !self.cells[place].decides {
            self.reply(origin, Reply::Message { origin, account, id, view: None });
            return;
        }
        self.clock.read(now);
        let messages = &self.cells[place].state.messages;
        let found =
            messages.find(id).map(|slot| messages.at(slot)).filter(|message| message.account == account);
        // A handset's message is told, and not asked for.
        let found = found.filter(|message| !message.is_received);
        let view = found.map(|message| Box::new(message.view()));
        // What is told may rest on records that are not durable yet.
        self.cells[place].after_decided(Output::View { origin, account, id, view });
        self.release();
    }
}

fn key_of(submission: &Submission<'_>) -> Option<KeyHash> {
    let has_key = !submission.key.is_empty();
    has_key.then(|| KeyHash::of(submission.account, submission.recipient, submission.key))
}

/// A number of at most 15 digits, or at most 11 characters of ASCII that print.
fn is_sender(sender: &str) -> bool {
    let digits = sender.strip_prefix('+').unwrap_or(sender);
    let is_number =
        (1..=wire::msisdn::DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    let is_name =
        (1..=SENDER_CHARS_MAX).contains(&sender.len()) && sender.bytes().all(|c| (b' '..=b'~').contains(&c));
    is_number || is_name
}

/// What a repetition must have in common with the first submission of its key.
fn body_hash(class: Class, sender: &str, text: &str) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(&[class as u8, u8::try_from(sender.len()).unwrap_or(u8::MAX)]);
    hash.update(sender.as_bytes());
    hash.update(text.as_bytes());
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_a_number_or_a_short_name() {
        for good in ["Bank", "+491511234567890", "12345", "A-Team 24/7"] {
            assert!(is_sender(good), "{good}");
        }
        for bad in ["", "A name that is long", "Bänk", "+1234567890123456", "tab\there"] {
            assert!(!is_sender(bad), "{bad}");
        }
    }

    #[test]
    fn sender_and_text_do_not_run_into_each_other() {
        assert_ne!(body_hash(Class::Otp, "ab", "c"), body_hash(Class::Otp, "a", "bc"));
        assert_ne!(body_hash(Class::Otp, "a", "b"), body_hash(Class::Marketing, "a", "b"));
    }
}
