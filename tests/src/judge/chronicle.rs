//! What the logs tell: every message's life, from the records on the disks.

use std::collections::BTreeMap;

use shards::api::{Fate, Why};
use shards::plan::Plan;
use wal::record::Attempted;
use wal::snapshot::{Piece, Pieces};
use wal::{EntryKind, Item, Lsn, Record};
use wire::id::{AccountId, CarrierId, Class, MessageId, Partition, ShardId};
use wire::time::WallMs;

use crate::judge::place::Place;
use crate::node::{Node, Standing};
use crate::parcel::nonce_of;
use crate::recover;

/// What is kept of a text: its first nonce.
const TEXT_CHARS_SHOWN: usize = 10;

/// One message, as its records tell.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) nonce: Option<u64>,
    /// The entry of each of its records: the steps of its trace.
    pub(crate) steps: Vec<Place>,
    /// The beginning of its text.
    pub(crate) text: String,
    pub(crate) class: Class,
    pub(crate) segments: u8,
    pub(crate) deadline: WallMs,
    /// The entry of its acceptance.
    pub(crate) accepted_in: Place,
    pub(crate) attempts: Vec<Attempt>,
    /// The segments that a carrier has named, one bit each.
    pub(crate) named: u32,
    pub(crate) doubts: Vec<DoubtSeen>,
    /// How often a doubt was settled by sending again.
    pub(crate) requeued: u32,
    /// A doubt that was settled before its time: of which attempt, when, and when it should have been.
    pub(crate) hasty: Option<(u16, WallMs, u64)>,
    pub(crate) fates: Vec<FateSeen>,
}

/// Parts that were handed to a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u16,
    pub(crate) parts: u32,
    pub(crate) carrier: CarrierId,
    pub(crate) place: Place,
    pub(crate) at: WallMs,
    pub(crate) timeout_ms: u64,
}

impl Attempt {
    fn of(plan: &Plan, (place, at): (Place, WallMs), attempted: &Attempted) -> Self {
        let carrier = plan.carrier_place(attempted.carrier).map(|place| &plan.carriers[place]);
        let timeout = carrier.map_or(0, |carrier| carrier.profile.timers.response.as_millis());
        Self {
            number: attempted.attempt,
            parts: attempted.parts,
            carrier: attempted.carrier,
            place,
            at,
            timeout_ms: u64::try_from(timeout).unwrap_or(0),
        }
    }
}

/// Parts that may have left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DoubtSeen {
    pub(crate) attempt: u16,
    pub(crate) parts: u32,
    pub(crate) why: Why,
    pub(crate) at: WallMs,
    pub(crate) settle_at_ms: u64,
}

/// A fate in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FateSeen {
    pub(crate) place: Place,
    pub(crate) fate: Fate,
    pub(crate) why: Why,
    pub(crate) at: WallMs,
}

impl Life {
    /// A doubt about an attempt is settled: not before its time.
    fn settled(&mut self, attempt: u16, at: WallMs) {
        let doubts = self.doubts.iter().filter(|doubt| doubt.attempt == attempt);
        let due = doubts.map(|doubt| doubt.settle_at_ms).min().unwrap_or(0);
        if at.0 < due {
            self.hasty = Some((attempt, at, due));
        }
    }
}

/// Everything that the logs tell.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    pub(crate) messages: BTreeMap<MessageId, Life>,
    /// The entries of each account's fates in each partition, in order.
    pub(crate) fates: BTreeMap<(AccountId, Partition), Vec<Place>>,
    /// Acknowledgements by customers: through which fate.
    pub(crate) acknowledged: Vec<(AccountId, Partition, u64)>,
    /// Messages of handsets: their entries.
    pub(crate) received: BTreeMap<MessageId, Place>,
    accounts: BTreeMap<MessageId, AccountId>,
}

/// The terms of a partition's entries in the log of a node, by index. A tail that another home replaced is gone.
type Terms = BTreeMap<u64, u64>;

/// What all disks have of a partition.
#[derive(Debug, Default)]
struct Book {
    logs: Vec<Terms>,
    /// The last entry of any log, also of one that does not count: when all who are left got a state, nobody has an entry.
    last_of_any: u64,
    /// By index and term: where it lies, and its records.
    entries: BTreeMap<(u64, u64), (Place, Vec<u8>)>,
}

impl Book {
    fn read(books: &mut BTreeMap<Partition, Self>, number: usize, node: &Node) -> Result<(), String> {
        // What was lost with its disk was there; it is no log any more that others are compared with. Nor is that of a node that was removed.
        let disks = if node.lost.is_empty() { &node.disks } else { &node.lost };
        let counts = node.lost.is_empty() && node.standing == Standing::There;
        for (shard, disk) in (0_u16..).map(ShardId).zip(disks) {
            let from: BTreeMap<_, _> =
                disk.snapshots().map(|(of, bytes)| (of, log_from(of, bytes))).collect();
            recover::scan(disk.history(), recover::log_config(&node.plan, shard), |lsn, item| {
                let Item::Entry(entry) = item else { return };
                let book = books.entry(entry.partition).or_default();
                book.logs.resize_with(number + 1, Terms::default);
                let log = &mut book.logs[number];
                // What lay there before another node's state was installed is void.
                if counts && from.get(&entry.partition).is_none_or(|&from| lsn >= from) {
                    log.split_off(&entry.index);
                    log.insert(entry.index, entry.term);
                }
                book.last_of_any = book.last_of_any.max(entry.index);
                let payload = if entry.kind == EntryKind::Records { entry.payload } else { &[] };
                let new = || (Place::new(entry.index), payload.to_vec());
                let (place, _) = book.entries.entry((entry.index, entry.term)).or_insert_with(new);
                place.note(number, lsn);
            })?;
        }
        Ok(())
    }

    /// The entries that count: those of the log that is farthest, since any that a majority has are in it (Raft §5.4.1). What it
    /// never had, since it got a snapshot instead, is what most others have.
    fn entries(&self) -> impl Iterator<Item = &(Place, Vec<u8>)> {
        let farthest = self.logs.iter().max_by_key(|log| farthest(log));
        let last = farthest.map_or(0, farthest_index);
        let last = if last == 0 { self.last_of_any } else { last };
        (1..=last).filter_map(move |index| {
            let own =
                farthest.and_then(|log| log.get(&index)).and_then(|&term| self.entries.get(&(index, term)));
            let all = self.entries.range((index, 0)..=(index, u64::MAX)).map(|(_, entry)| entry);
            own.or_else(|| all.max_by_key(|(place, _)| place.copies()))
        })
    }
}

/// Where a partition's log begins, as its snapshot says.
fn log_from(partition: Partition, snapshot: &[u8]) -> Lsn {
    match Pieces::new(partition, snapshot).next() {
        Some(Ok(Piece::Head(head))) => head.log_from,
        _ => Lsn::ZERO,
    }
}

/// How far a log is, as voters compare it: by the last term, then by the last index.
fn farthest(log: &Terms) -> (u64, u64) {
    log.last_key_value().map_or((0, 0), |(&index, &term)| (term, index))
}

fn farthest_index(log: &Terms) -> u64 {
    farthest(log).1
}

impl Chronicle {
    /// Reads all disks.
    pub(crate) fn read(nodes: &[Node]) -> Result<Self, String> {
        let mut books = BTreeMap::new();
        for (number, node) in nodes.iter().enumerate() {
            Book::read(&mut books, number, node)?;
        }
        let mut chronicle = Self::default();
        let plan = &nodes[0].plan;
        for (partition, book) in &books {
            for (place, payload) in book.entries() {
                for record in wal::Records::new(payload).flatten() {
                    chronicle.record(plan, (*place, *partition), record);
                }
            }
        }
        Ok(chronicle)
    }

    fn record(
        &mut self,
        plan: &Plan,
        (place, partition): (Place, Partition),
        (at, record): (WallMs, Record<'_>),
    ) {
        self.record_of(plan, (place, partition), (at, record));
        let id = match record {
            Record::Accepted(accepted) => accepted.id,
            Record::Attempted(attempted) => attempted.id,
            Record::Answered(answered) => answered.id,
            Record::Withdrawn(withdrawn) => withdrawn.id,
            Record::Doubted(doubted) => doubted.id,
            Record::Requeued(requeued) => requeued.id,
            Record::Reported(reported) => reported.id,
            Record::Fated(fated) => fated.id,
            _ => return,
        };
        self.change(id, |life| life.steps.push(place));
    }

    fn record_of(
        &mut self,
        plan: &Plan,
        (place, partition): (Place, Partition),
        (at, record): (WallMs, Record<'_>),
    ) {
        match record {
            Record::Accepted(accepted) => {
                let text = String::from_utf8_lossy(accepted.text).into_owned();
                self.accounts.insert(accepted.id, accepted.account);
                let life = Life {
                    nonce: nonce_of(&text),
                    steps: Vec::new(),
                    text: text.chars().take(TEXT_CHARS_SHOWN).collect(),
                    class: accepted.class,
                    segments: accepted.segments,
                    deadline: WallMs(accepted.deadline_ms),
                    accepted_in: place,
                    attempts: Vec::new(),
                    named: 0,
                    doubts: Vec::new(),
                    requeued: 0,
                    hasty: None,
                    fates: Vec::new(),
                };
                self.messages.insert(accepted.id, life);
            }
            Record::Attempted(attempted) => {
                let attempt = Attempt::of(plan, (place, at), &attempted);
                self.change(attempted.id, |life| {
                    // Cut anew: parts that had a name before are not there any more.
                    if attempted.segments != 0 && attempted.segments != life.segments {
                        (life.segments, life.named) = (attempted.segments, 0);
                    }
                    life.attempts.push(attempt);
                });
            }
            Record::Answered(answered) if answered.receipt != 0 => {
                self.change(answered.id, |life| {
                    if life.fates.is_empty() {
                        life.named |= 1 << answered.part;
                    }
                });
            }
            Record::Doubted(doubted) => {
                let why = Why::from_byte(doubted.why);
                let (attempt, parts, settle_at_ms) = (doubted.attempt, doubted.parts, doubted.settle_at_ms);
                self.change(doubted.id, |life| {
                    life.doubts.push(DoubtSeen { attempt, parts, why, at, settle_at_ms });
                });
            }
            Record::Requeued(requeued) => self.change(requeued.id, |life| {
                life.requeued += 1;
                life.settled(requeued.attempt, at);
            }),
            Record::Fated(fated) => {
                let fate = Fate::from_byte(fated.fate).unwrap_or(Fate::Unknown);
                let why = Why::from_byte(fated.why);
                self.change(fated.id, |life| {
                    if let (Why::ClassForbids, Some(last)) = (why, life.doubts.last()) {
                        life.settled(last.attempt, at);
                    }
                    life.fates.push(FateSeen { place, fate, why, at });
                });
                if let Some(account) = self.accounts.get(&fated.id) {
                    self.fates.entry((*account, partition)).or_default().push(place);
                }
            }
            Record::Received(received) => {
                self.received.insert(received.id, place);
                self.fates.entry((received.account, partition)).or_default().push(place);
            }
            Record::Acknowledged(acknowledged) => {
                self.acknowledged.push((acknowledged.account, partition, acknowledged.sequence));
            }
            _ => {}
        }
    }

    /// Whose a message is.
    pub(crate) fn account(&self, id: MessageId) -> Option<AccountId> {
        self.accounts.get(&id).copied()
    }

    fn change(&mut self, id: MessageId, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.messages.get_mut(&id) {
            change(life);
        }
    }
}
