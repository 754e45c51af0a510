//! The judge: what the world did and what the engine said, compared with what was promised.
//!
//! It draws no randomness and shares no code with the engine but the formats. Each promise of the contract has its own
//! checks: intents (1, 3), order (6), and what the log must show (`verdicts`: 1, 2, 3, 4, 8, 11, 12). Replay (10) and the
//! draining of everything (9) are looked at by the world, which has the shards.

pub(crate) mod chronicle;
mod handsets;
mod intents;
mod order;
pub(crate) mod pace;
mod place;
mod verdicts;

use core::time::Duration;
use std::collections::BTreeMap;

use shards::api::{Fate, FateEvent, Refusal};
use wire::id::{AccountId, Class, MessageId, Partition};
use wire::msisdn::Msisdn;
use wire::smpp::state::MessageState;
use wire::time::WallMs;

use crate::parcel::Parcel;
pub(crate) use handsets::Spoken;
use order::Seen;
pub(crate) use place::Reach;

/// The promises, by their numbers in the contract.
pub(crate) const NEVER_FORGOTTEN: u8 = 1;
pub(crate) const ONE_FATE: u8 = 2;
pub(crate) const ONE_MESSAGE_PER_KEY: u8 = 3;
pub(crate) const NOT_TWICE: u8 = 4;
pub(crate) const ONE_HOME: u8 = 5;
pub(crate) const NEVER_BACKWARDS: u8 = 6;
pub(crate) const OWN_RECEIPTS: u8 = 8;
pub(crate) const DRAINS: u8 = 9;
pub(crate) const REPLAYS: u8 = 10;
pub(crate) const TOLD: u8 = 11;
pub(crate) const TAKEN_BACK: u8 = 12;
/// Not a promise of the contract: an engine that refuses, doubts or spins.
pub(crate) const DECENCY: u8 = 0;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, by its number in the contract; 0: an engine that refuses, doubts or spins without need.
    pub promise: u8,
    /// Virtual time, in nanoseconds.
    pub at: u64,
    /// What was seen.
    pub what: String,
}

/// What a customer wants to have sent.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) account: usize,
    pub(crate) recipient: Msisdn,
    pub(crate) key: Option<String>,
    pub(crate) text: String,
    pub(crate) class: Class,
    pub(crate) validity_ms: Option<u64>,
    /// It uses the key of this other intent, and must not be taken.
    pub(crate) rival_of: Option<u64>,
    /// Sent in a healed world: must be delivered.
    pub(crate) is_probe: bool,
    /// When it was first sent.
    pub(crate) first_sent: Option<u64>,
    pub(crate) sends: u32,
    /// The acknowledged id.
    pub(crate) acked: Option<MessageId>,
    pub(crate) refused: Option<Refusal>,
}

/// An acknowledgement that left: the message's id, and how far the log was durable then.
#[derive(Clone, Copy, Debug)]
struct Released {
    nonce: u64,
    id: MessageId,
    durable: Reach,
    at: u64,
}

/// What carriers and the kernel saw of one segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passage {
    /// How far the log was durable when the kernel had each copy whole.
    handed: Vec<Reach>,
    /// Copies that a carrier took.
    pub(crate) taken: u32,
    /// When a carrier took it for the first time.
    pub(crate) first_taken: Option<u64>,
    /// Copies that a carrier refused for good.
    pub(crate) refused_for_good: u32,
    /// Final states in receipts about it.
    reports: Vec<MessageState>,
    /// When the engine had taken a final receipt of a copy that was named to it.
    confirmed_at: Option<WallMs>,
}

/// All that the judge knows.
#[derive(Debug)]
pub(crate) struct Judge {
    /// Only this promise counts.
    only: Option<u8>,
    pub(crate) violation: Option<Violation>,
    pub(crate) intents: Vec<Intent>,
    released: Vec<Released>,
    nonce_of: BTreeMap<MessageId, u64>,
    pub(crate) passages: BTreeMap<(u64, u8), Passage>,
    seen: BTreeMap<MessageId, Seen>,
    /// What customers were told: message to fate.
    pub(crate) told: BTreeMap<MessageId, Fate>,
    /// What is told under each number.
    numbered: BTreeMap<(usize, Partition, u64), MessageId>,
    /// What customers acknowledged: through which fate, and how far the log was durable then.
    acknowledges: BTreeMap<(AccountId, Partition), Vec<(u64, Reach)>>,
    /// Fates that left, and how far the log was durable then.
    fates_released: Vec<(MessageId, Reach)>,
    /// Messages whose customers were told that they are taken back, and how far the log was durable then.
    cancels_released: Vec<(MessageId, Reach)>,
    /// What handsets sent, by nonce.
    pub(crate) spoken: Vec<Spoken>,
    /// Messages of handsets that left, and how far the log was durable then.
    handsets_released: Vec<(MessageId, Reach)>,
    /// Traces that left: how many steps they had, and how far the log was durable then.
    views_released: Vec<(MessageId, usize, Reach)>,
}

impl Judge {
    pub(crate) fn new(only: Option<u8>) -> Self {
        Self {
            only,
            violation: None,
            intents: Vec::new(),
            released: Vec::new(),
            nonce_of: BTreeMap::new(),
            passages: BTreeMap::new(),
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
            numbered: BTreeMap::new(),
            acknowledges: BTreeMap::new(),
            fates_released: Vec::new(),
            cancels_released: Vec::new(),
            spoken: Vec::new(),
            handsets_released: Vec::new(),
            views_released: Vec::new(),
        }
    }

    /// A promise is broken. The first that counts stands.
    pub(crate) fn fail(&mut self, at: u64, promise: u8, what: String) {
        let counts = self.only.is_none_or(|only| only == promise);
        if counts && self.violation.is_none() {
            self.violation = Some(Violation { promise, at, what });
        }
    }

    fn passage(&mut self, parcel: Parcel) -> &mut Passage {
        self.passages.entry((parcel.nonce, parcel.part)).or_default()
    }

    /// How long each message of an account took from its customer to a carrier, those that arrived.
    pub(crate) fn delays(&self, account: usize) -> impl Iterator<Item = Duration> {
        self.passages.iter().filter_map(move |((nonce, part), passage)| {
            let intent = self.intent(*nonce);
            let sent = intent.first_sent.filter(|_| intent.account == account && *part == 0)?;
            Some(Duration::from_nanos(passage.first_taken? - sent))
        })
    }

    /// The kernel has a whole submission.
    pub(crate) fn handed(&mut self, parcel: Parcel, durable: Reach) {
        self.passage(parcel).handed.push(durable);
    }

    /// A carrier has one and will bring it on.
    pub(crate) fn taken(&mut self, at: u64, parcel: Parcel) {
        let passage = self.passage(parcel);
        passage.taken += 1;
        passage.first_taken.get_or_insert(at);
    }

    pub(crate) fn refused_for_good(&mut self, parcel: Parcel) {
        self.passage(parcel).refused_for_good += 1;
    }

    /// A carrier says what became of it.
    pub(crate) fn reported(&mut self, parcel: Parcel, state: MessageState) {
        self.passage(parcel).reports.push(state);
    }

    /// The engine has acknowledged a receipt about a copy that it was given a name of.
    pub(crate) fn confirmed(&mut self, at: WallMs, parcel: Parcel, state: MessageState) {
        if state.is_final() {
            self.passage(parcel).confirmed_at.get_or_insert(at);
        }
    }

    /// A fate left for a customer of an account.
    pub(crate) fn fate_released(&mut self, at: u64, account: usize, event: &FateEvent, durable: Reach) {
        let partition = event.id.partition();
        self.fates_released.push((event.id, durable));
        let first = *self.numbered.entry((account, partition, event.sequence)).or_insert(event.id);
        if first != event.id {
            let what = format!(
                "fate {} of partition {} is told of {} and of {first}",
                event.sequence, partition.0, event.id
            );
            self.fail(at, TOLD, what);
        }
        self.fate_seen(at, event.id, event.fate);
    }

    /// A customer is told that its message is taken back.
    pub(crate) fn cancel_released(&mut self, at: u64, id: MessageId, durable: Reach) {
        self.cancels_released.push((id, durable));
        self.fate_seen(at, id, Fate::Cancelled);
    }

    /// The shard of a partition learns that a customer has its fates.
    pub(crate) fn acknowledged(
        &mut self,
        account: AccountId,
        partition: Partition,
        sequence: u64,
        durable: Reach,
    ) {
        self.acknowledges.entry((account, partition)).or_default().push((sequence, durable));
    }

    /// A fate arrived at a customer.
    pub(crate) fn fate_told(&mut self, event: &FateEvent) {
        self.told.insert(event.id, event.fate);
    }
}
