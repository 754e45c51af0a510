//! The log against the world: at each restart and at the end.
//!
//! Nothing that left may rest on a record that is not there, and every record must be justified by what happened.

use shards::api::{Fate, Why};
use shards::plan::Doubt;
use wire::id::MessageId;
use wire::smpp::state::MessageState;

use super::chronicle::{Chronicle, FateSeen, Life};
use super::{
    DECENCY, Judge, NEVER_BACKWARDS, NEVER_FORGOTTEN, NOT_TWICE, ONE_FATE, ONE_MESSAGE_PER_KEY, OWN_RECEIPTS,
    TAKEN_BACK, TOLD,
};
use crate::swarm::{Mode, Swarm};

impl Judge {
    /// Compares what left with what the disks hold.
    pub(crate) fn check_chronicle(&mut self, at: u64, swarm: &Swarm, chronicle: &Chronicle) {
        self.check_released(at, chronicle);
        self.check_keys(at, swarm, chronicle);
        self.check_handed(at, chronicle);
        self.check_acknowledged(at, chronicle);
        self.check_told(at, chronicle);
        self.check_views(at, chronicle);
        self.check_cancels(at, chronicle);
        self.check_handsets(at, chronicle);
        for (&id, life) in &chronicle.messages {
            self.is_named_so(at, id, &life.text);
            self.check_doubts(at, swarm, id, life);
            self.check_copies(at, id, life);
            self.check_fates(at, id, life);
            self.check_taken_back(at, id, life);
            self.check_receipts(at, swarm, id, life);
        }
    }

    /// Promise 1: an answer rests on an acceptance that was durable when it left, and that is still there.
    fn check_released(&mut self, at: u64, chronicle: &Chronicle) {
        for released in self.released.clone() {
            let accepted = chronicle.messages.get(&released.id).map(|life| life.accepted_in);
            if accepted.is_none_or(|place| !place.is_within(&released.durable)) {
                let what = format!(
                    "intent {} was answered {} at {} ns with a log durable up to {}; its acceptance is at {accepted:?}",
                    released.nonce, released.id, released.at, released.durable
                );
                return self.fail(at, NEVER_FORGOTTEN, what);
            }
        }
    }

    /// Promise 3: one message to an intent, since every repetition has the same key. A customer repeats nothing whose window may have ended on a wrong
    /// clock; a node that asks for it again knows nothing of the clock of the home.
    fn check_keys(&mut self, at: u64, swarm: &Swarm, chronicle: &Chronicle) {
        let mut first = std::collections::BTreeMap::new();
        let clocks_differ = swarm.nodes() > 1 && swarm.clock_slack() > 0;
        for (id, life) in &chronicle.messages {
            let Some(nonce) = life.nonce else { continue };
            let before = first.insert(nonce, (*id, life.deadline));
            let before = before.filter(|(_, deadline)| !clocks_differ || id.minted_at() < *deadline);
            if let Some((other, _)) = before {
                let what = format!("intent {nonce} led to two messages, {other} and {id}");
                return self.fail(at, ONE_MESSAGE_PER_KEY, what);
            }
        }
    }

    /// Promise 4: the kernel had no copy whose attempt was not durable then.
    fn check_handed(&mut self, at: u64, chronicle: &Chronicle) {
        let lives: std::collections::BTreeMap<u64, &Life> =
            chronicle.messages.values().filter_map(|life| Some((life.nonce?, life))).collect();
        let mut wrong = None;
        for (&(nonce, part), passage) in &self.passages {
            let attempts = lives.get(&nonce).map_or(&[][..], |life| &life.attempts);
            let of_part: Vec<_> = attempts.iter().filter(|attempt| attempt.parts & 1 << part != 0).collect();
            for (copy, &durable) in (1..).zip(&passage.handed) {
                let decided = of_part.iter().filter(|attempt| attempt.place.is_within(&durable)).count();
                if decided < copy {
                    wrong.get_or_insert_with(|| {
                        format!(
                            "copy {copy} of segment {part} of intent {nonce} left when {decided} attempts were durable"
                        )
                    });
                }
            }
        }
        if let Some(what) = wrong {
            self.fail(at, NOT_TWICE, what);
        }
    }

    /// Promise 11: nobody acknowledges what could not be told.
    fn check_acknowledged(&mut self, at: u64, chronicle: &Chronicle) {
        for &(account, partition, sequence) in &chronicle.acknowledged {
            let fates = chronicle.fates.get(&(account, partition)).map_or(&[][..], Vec::as_slice);
            let asked = self.acknowledges.get(&(account, partition)).map_or(&[][..], Vec::as_slice);
            let tellable = |durable| fates.iter().filter(|fate| fate.is_within(&durable)).count() as u64;
            let allowed = asked.iter().map(|&(through, durable)| through.min(tellable(durable))).max();
            if allowed.is_none_or(|allowed| sequence > allowed) {
                let what = format!(
                    "partition {}: fate {sequence} is acknowledged when only {allowed:?} could be told",
                    partition.0
                );
                return self.fail(at, TOLD, what);
            }
        }
    }

    /// Promise 6: what was told is in the log, and was durable then.
    fn check_told(&mut self, at: u64, chronicle: &Chronicle) {
        for (id, durable) in self.fates_released.clone() {
            let fate = chronicle.messages.get(&id).and_then(|life| life.fates.first());
            if fate.is_none_or(|fate| !fate.place.is_within(&durable)) {
                let what = format!(
                    "the fate of {id} was told when the log was durable up to {durable}; it is {fate:?}"
                );
                return self.fail(at, NEVER_BACKWARDS, what);
            }
        }
    }

    /// Promise 6: what a query showed was durable then.
    fn check_views(&mut self, at: u64, chronicle: &Chronicle) {
        for (id, shown, durable) in self.views_released.clone() {
            let steps = chronicle.messages.get(&id).map_or(&[][..], |life| &life.steps);
            let there = steps.iter().filter(|step| step.is_within(&durable)).count();
            if shown > there {
                let what = format!("{id} was shown with {shown} steps when {there} were durable");
                return self.fail(at, NEVER_BACKWARDS, what);
            }
        }
    }

    /// Promise 12: who was told that a message is taken back was told what the log had.
    fn check_cancels(&mut self, at: u64, chronicle: &Chronicle) {
        for (id, durable) in self.cancels_released.clone() {
            let fate = chronicle.messages.get(&id).and_then(|life| life.fates.first());
            if fate.is_none_or(|fate| fate.fate != Fate::Cancelled || !fate.place.is_within(&durable)) {
                let what = format!(
                    "{id} was said to be taken back when the log was durable up to {durable}; its fate is {fate:?}"
                );
                return self.fail(at, TAKEN_BACK, what);
            }
        }
    }

    /// Promise 12: no carrier has anything of a message that was taken back, and nothing of it left afterwards.
    fn check_taken_back(&mut self, at: u64, id: MessageId, life: &Life) {
        let (Some(nonce), Some(seen)) = (life.nonce, life.fates.first()) else { return };
        if seen.fate != Fate::Cancelled {
            return;
        }
        let attempt_after = life.attempts.iter().find(|attempt| attempt.place.index > seen.place.index);
        let passages = (0..life.segments).filter_map(|part| self.passages.get(&(nonce, part)));
        let taken: u32 = passages.clone().map(|passage| passage.taken).sum();
        let left_after =
            passages.flat_map(|passage| &passage.handed).any(|durable| seen.place.is_within(durable));
        if attempt_after.is_some() || taken > 0 || left_after || !life.doubts.is_empty() && life.requeued > 0
        {
            let what = format!(
                "{id}, intent {nonce}, was taken back at {}; carriers took {taken} copies of it; {life:?}",
                seen.place.index
            );
            self.fail(at, TAKEN_BACK, what);
        }
    }

    /// Promise 4, the other side: a doubt has a reason in the world.
    fn check_doubts(&mut self, at: u64, swarm: &Swarm, id: MessageId, life: &Life) {
        let Some(nonce) = life.nonce else { return };
        if swarm.mode == Mode::Calm && !life.doubts.is_empty() {
            return self.fail(at, DECENCY, format!("{id} is doubtful in a calm world: {:?}", life.doubts));
        }
        if let Some((attempt, at_ms, due)) = life.hasty {
            let what = format!(
                "{id}: the doubt about attempt {attempt} was settled at {at_ms}, before {due}: {life:?}"
            );
            return self.fail(at, DECENCY, what);
        }
        for doubt in &life.doubts {
            let attempt = life.attempts.iter().find(|attempt| attempt.number == doubt.attempt);
            let waited = attempt.map_or(0, |attempt| doubt.at.0.saturating_sub(attempt.at.0));
            let timeout = attempt.map_or(0, |attempt| attempt.timeout_ms);
            // Record time may be a tenth slower than the clock by which sessions wait.
            if doubt.why == Why::ResponseTimeout && waited * 10 + 20 < timeout * 9 {
                let what = format!("{id}: no response is missed after {waited} ms, {timeout} are allowed");
                return self.fail(at, DECENCY, what);
            }
            for part in (0_u8..32).filter(|part| doubt.parts & 1 << part != 0) {
                let lost = |other: &&super::chronicle::DoubtSeen| {
                    other.why == Why::ConnectionLost && other.parts & 1 << part != 0
                };
                let doubts = life.doubts.iter().filter(lost).count();
                let handed = self.passages.get(&(nonce, part)).map_or(0, |passage| passage.handed.len());
                if doubts > handed {
                    let what =
                        format!("{id}: segment {part} is doubted {doubts} times and left {handed} times");
                    return self.fail(at, DECENCY, what);
                }
            }
        }
    }

    /// Promise 4: carriers took one copy, and one more for each doubt that was settled by sending again.
    fn check_copies(&mut self, at: u64, id: MessageId, life: &Life) {
        let Some(nonce) = life.nonce else { return };
        let policy = shards::plan::ClassPolicy::default_of(life.class).doubt;
        if policy == Doubt::GiveUp && life.requeued > 0 {
            self.fail(at, NOT_TWICE, format!("{id} of class {:?} was sent again", life.class));
        }
        for part in 0..life.segments {
            let taken = self.passages.get(&(nonce, part)).map_or(0, |passage| passage.taken);
            if taken > 1 + life.requeued {
                let what = format!(
                    "segment {part} of intent {nonce} ({id}) was taken {taken} times and sent again {} times",
                    life.requeued
                );
                self.fail(at, NOT_TWICE, what);
            }
        }
    }

    /// Promises 2 and 8: one fate, and one that the carriers' words allow.
    fn check_fates(&mut self, at: u64, id: MessageId, life: &Life) {
        if life.fates.len() > 1 {
            self.fail(at, ONE_FATE, format!("{id} has {} fates: {:?}", life.fates.len(), life.fates));
        }
        let (Some(seen), Some(nonce)) = (life.fates.first(), life.nonce) else { return };
        if let Err(what) = self.is_justified(nonce, life, *seen) {
            self.fail(at, OWN_RECEIPTS, format!("{id}, intent {nonce}, ended {seen:?}, and {what}"));
        }
        if let Some(other) = self.seen_fate(id).filter(|&other| other != seen.fate) {
            self.fail(at, NEVER_BACKWARDS, format!("{id} was shown {other:?}, the log has {seen:?}"));
        }
    }

    /// Promise 8, the other side: a receipt that was taken, of a message that has a name, has reached it.
    fn check_receipts(&mut self, at: u64, swarm: &Swarm, id: MessageId, life: &Life) {
        let (Some(nonce), Some(seen)) = (life.nonce, life.fates.first()) else { return };
        let waited_in_vain = seen.fate == Fate::Unknown && seen.why == Why::ReceiptWaitOver;
        if !waited_in_vain || !life.doubts.is_empty() || swarm.clock_is_wrong() {
            return;
        }
        let had_all = (0..life.segments).all(|part| {
            let confirmed = self.passages.get(&(nonce, part)).and_then(|passage| passage.confirmed_at);
            life.named & 1 << part != 0 && confirmed.is_some_and(|at| at.0 + 500 < life.deadline.0)
        });
        if had_all {
            let what =
                format!("{id}, intent {nonce}: receipts for all of it were taken, and it ended {seen:?}");
            self.fail(at, OWN_RECEIPTS, what);
        }
    }

    /// The reference model: which fates the words of carriers allow.
    fn is_justified(&self, nonce: u64, life: &Life, seen: FateSeen) -> Result<(), &'static str> {
        let passages = (0..life.segments).map(|part| self.passages.get(&(nonce, part)));
        let says = |states: &[MessageState]| {
            passages
                .clone()
                .flatten()
                .any(|passage| passage.reports.iter().any(|state| states.contains(state)))
        };
        let taken = |passage: Option<&super::Passage>| passage.is_some_and(|passage| passage.taken > 0);
        match (seen.fate, seen.why) {
            (Fate::Delivered, _) => {
                let arrived = |passage: Option<&super::Passage>| {
                    passage.is_some_and(|passage| passage.reports.contains(&MessageState::Delivered))
                };
                if passages.clone().all(arrived) {
                    Ok(())
                } else {
                    Err("no carrier said so of every segment")
                }
            }
            (Fate::Failed, Why::Receipt) => {
                let lost = [
                    MessageState::Undeliverable,
                    MessageState::Rejected,
                    MessageState::Expired,
                    MessageState::Deleted,
                    MessageState::Skipped,
                ];
                let refused = passages.clone().flatten().any(|passage| passage.refused_for_good > 0);
                if says(&lost) || refused { Ok(()) } else { Err("no carrier said that it was lost") }
            }
            (Fate::Unknown, Why::Receipt) => {
                if says(&[MessageState::Unknown]) {
                    Ok(())
                } else {
                    Err("no receipt said so")
                }
            }
            (Fate::Failed, Why::Response) => {
                let refused = passages.clone().flatten().any(|passage| passage.refused_for_good > 0);
                if refused { Ok(()) } else { Err("no carrier refused it for good") }
            }
            (Fate::Expired, _) => {
                if passages.clone().any(taken) {
                    Err("a carrier had taken it")
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }
}
