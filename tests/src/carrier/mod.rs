//! A carrier: what it was given, what it calls it, and the receipts that it owes.
//!
//! Ids are counted for each recipient, so two recipients' messages have the same id all the time: an engine that looks at
//! the id alone gives receipts to the wrong message.

pub(crate) mod capacity;
pub(crate) mod manners;

use std::collections::BTreeMap;

use wire::msisdn::Msisdn;
use wire::smpp::carrier_id::IdForm;
use wire::smpp::profile::{IdScope, Profile};
use wire::smpp::state::MessageState;

use capacity::Capacity;
use manners::{Habit, Kind, Manner as _, Treatment};

use crate::dice::Dice;
use crate::node::Seat;
use crate::parcel::Parcel;

/// One carrier. Its sessions are with their connections.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) habits: Vec<Habit>,
    pub(crate) profile: Profile,
    counts: BTreeMap<(Msisdn, Scope), u64>,
    /// What became of the messages that it took, by the ids that it gave them: what it says when it is asked.
    pub(crate) known: BTreeMap<Vec<u8>, Known>,
    /// The connection by which it took a part of a text last, by the nonce.
    pub(crate) taken_on: BTreeMap<u64, usize>,
    /// Receipts that were not acknowledged yet.
    pub(crate) jobs: BTreeMap<u64, Job>,
    next_job: u64,
    /// What handsets sent and the engine has not answered for.
    pub(crate) handsets: BTreeMap<u64, HandsetPart>,
    /// What it can take in a second; `None`: anything.
    pub(crate) capacity: Option<Capacity>,
    /// Its connections that are bound.
    pub(crate) bound: Vec<usize>,
}

/// A core and one of its binds, where ids are unique on one bind only.
pub(crate) type Scope = Option<(Seat, u16)>;

/// A part of a handset's text, or a whole one.
#[derive(Clone, Debug)]
pub(crate) struct HandsetPart {
    pub(crate) nonce: u64,
    pub(crate) source: Msisdn,
    pub(crate) destination: &'static str,
    /// Which of how many, from 1.
    pub(crate) number: u8,
    pub(crate) total: u8,
    pub(crate) text: String,
    /// The connection on which it waits for its answer.
    pub(crate) on: Option<usize>,
}

/// What a carrier knows of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) parcel: Parcel,
    pub(crate) state: MessageState,
    /// From when on; before, it is on its way.
    pub(crate) since: u64,
}

/// A receipt to be delivered.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) recipient: Msisdn,
    /// The number of its id.
    pub(crate) number: u64,
    /// The bind on which it must be told, where ids are a bind's.
    pub(crate) scope: Scope,
    pub(crate) state: MessageState,
    /// The copy that it is about, if that was named in its answer.
    pub(crate) about: Option<Parcel>,
    /// The connection on which it waits for its answer.
    pub(crate) on: Option<usize>,
}

impl Carrier {
    pub(crate) fn new(habits: Vec<Habit>, profile: Profile, capacity: Option<u64>) -> Self {
        let capacity = capacity.map(Capacity::new);
        Self {
            habits,
            profile,
            counts: BTreeMap::new(),
            known: BTreeMap::new(),
            taken_on: BTreeMap::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            handsets: BTreeMap::new(),
            capacity,
            bound: Vec::new(),
        }
    }

    pub(crate) fn treat(&self, dice: &mut Dice) -> Treatment {
        let mut treatment = manners::honest(dice);
        for habit in &self.habits {
            if dice.chance(habit.per_mille) {
                habit.kind.bend(dice, &mut treatment);
            }
        }
        treatment
    }

    pub(crate) fn refuses_bind(&self, dice: &mut Dice) -> bool {
        let refuses = self.habits.iter().find(|habit| habit.kind == Kind::RefusesBinds);
        refuses.is_some_and(|habit| dice.chance(habit.per_mille.max(200)))
    }

    /// Among what a bind's ids are unique.
    pub(crate) fn scope(&self, bind: (Seat, u16)) -> Scope {
        Some(bind).filter(|_| self.profile.ids.scope == IdScope::Bind)
    }

    /// The next number of a recipient's messages.
    pub(crate) fn name(&mut self, recipient: Msisdn, scope: Scope) -> u64 {
        // Who can be asked for an id alone gives each once.
        let recipient = if self.profile.queries { Msisdn::parse(b"0").expect("a digit") } else { recipient };
        let count = self.counts.entry((recipient, scope)).or_default();
        *count += 1;
        *count
    }

    /// An id as this carrier writes it in responses.
    pub(crate) fn response_id(&self, number: u64) -> Vec<u8> {
        written(self.profile.ids.response, number, Side::Response)
    }

    /// The same id as it writes it in receipts: in their parameters, and in their text.
    pub(crate) fn receipt_ids(&self, number: u64) -> (Vec<u8>, Vec<u8>) {
        let ids = self.profile.ids;
        (written(ids.receipt_tlv, number, Side::Receipt), written(ids.receipt_text, number, Side::Receipt))
    }

    /// Keeps what a handset sent until the engine has it. Its number is none of a receipt's.
    pub(crate) fn keep(&mut self, part: HandsetPart) -> u64 {
        self.next_job += 1;
        self.handsets.insert(self.next_job, part);
        self.next_job
    }

    pub(crate) fn owe(&mut self, job: Job) -> u64 {
        self.next_job += 1;
        self.jobs.insert(self.next_job, job);
        self.next_job
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Response,
    Receipt,
}

fn written(form: IdForm, number: u64, side: Side) -> Vec<u8> {
    match (form, side) {
        (IdForm::Folded, Side::Response) => format!("00mX{number}"),
        (IdForm::Folded, Side::Receipt) => format!("MX{number}"),
        (IdForm::Decimal, _) => format!("{number}"),
        (IdForm::Hexadecimal, _) => format!("{number:06X}"),
        (IdForm::Exact, _) => format!("m-{number}"),
    }
    .into_bytes()
}
