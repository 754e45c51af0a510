//! One partition on its shard: its group, its state, and what waits for its entries.
//!
//! ```text
//!   decide(record) ─▶ open records ─▶ one entry ─▶ group ─▶ batch ─▶ durable ─▶ committed ─▶ outputs leave
//!        └─▶ apply ─▶ state              outputs wait under the entry's index ──────────────────┘
//! ```
//!
//! A record is applied the moment it is decided, since the next decision must see it. What depends on it waits in
//! `pending` under the index that its entry will have, and there is no other way out.

mod member;

use std::collections::VecDeque;

use bytes::Bytes;
use replication::{Change, Group, Install, Recovery};
use wal::{Batch, Lsn, Record};
use wire::id::{AccountId, MessageId, NodeId, Partition};
use wire::smpp::command::Sequence;
use wire::smpp::status::CommandStatus;
use wire::time::{Instant, WallMs};

use crate::api::{Acceptance, MessageView, NotCancelled, Origin, State};
use crate::limits::{ENTRY_BYTES_MAX, ENTRY_BYTES_RESERVED};
use crate::shard::ask::NEVER;
use crate::shard::links::LinkId;
use crate::shard::membership::Handing;
use crate::state::messages::SlotRef;
use crate::state::{PartitionState, Retention};
use crate::wheel::Wheel;
use wire::id::ShardId;

/// The frames around an entry's records in a batch, rounded up.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// What may leave once an entry is committed.
#[derive(Debug)]
pub(crate) enum Output {
    /// The answer to a submission.
    Answer { origin: Origin, acceptance: Acceptance, since: Instant },
    /// The answer to a query.
    View { origin: Origin, account: AccountId, id: MessageId, view: Option<Box<MessageView>> },
    /// The answer to who took a message back.
    Cancelled { origin: Origin, id: MessageId, outcome: Result<(), NotCancelled> },
    /// An attempt's bytes, on a link of this shard or, with room that was lent, of another.
    Transmit { shard: ShardId, link: LinkId, bind: u32, slot: SlotRef, attempt: u16, parts: u32 },
    /// The answer to a carrier's receipt or handset's message.
    ReceiptTaken { from: Bringer, status: CommandStatus },
    /// One more fate, or message from a handset, may be told to an account.
    Fate { account: AccountId },
    /// The answer to an operator, and the table of members as it is from here on.
    Done { origin: Option<Origin>, node: NodeId },
}

/// Who brought a receipt or a handset's message, and waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bringer {
    /// A link of this node.
    Link(ReceiptOrigin),
    /// Another node, about a partition, by its question of this number.
    Node(NodeId, Partition, u64),
}

/// Which PDU a receipt or a handset's message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptOrigin {
    /// The shard of the link.
    pub shard: ShardId,
    /// The link.
    pub link: LinkId,
    /// The link's session, so that a later one is not answered for it.
    pub bind: u32,
    /// The PDU's number (SMPP 3.4 §3.2).
    pub sequence: Sequence,
    /// The PDU's kind.
    pub asked: Asked,
}

/// In which kind of PDU a carrier brought something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `deliver_sm` (SMPP 3.4 §4.6).
    Deliver,
    /// `data_sm` (§4.7).
    Data,
}

/// Where a message waits for its next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum QueuedIn {
    /// Nowhere.
    #[default]
    Nothing,
    /// In the queue of a carrier.
    Carrier(u16),
    /// Among the texts that go on by a link.
    Link(LinkId),
}

/// What the shard remembers of a message beside its state, and makes anew after a restart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Live {
    /// Where it waits. It may have places elsewhere, which count no more.
    pub(crate) queued_in: QueuedIn,
    /// The carriers of its route that refused it for now, by their place in the route.
    pub(crate) refused: u8,
    /// The link of this shard by which its last attempt went; none, or it may have left by it unanswered.
    pub(crate) went_by: Option<LinkId>,
    /// When its carrier is asked for it; 0: that was not looked at yet.
    pub(crate) ask_at: WallMs,
}

/// Whether a state holds what may never be committed. While it does, nothing is applied to it, and nothing decided on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    None,
    /// It is to be made anew.
    Some,
    /// It is being made anew.
    UnderWork,
}

/// Told fates of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Released {
    pub(crate) account: AccountId,
    pub(crate) through: u64,
}

#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) state: PartitionState,
    /// Made when recovery is over.
    pub(crate) group: Option<Group>,
    pub(crate) recovery: Option<Recovery>,
    /// Whether this node decides for the partition.
    pub(crate) decides: bool,
    /// Whether its open messages are among the shard's: those of its homes.
    pub(super) is_counted: bool,
    /// Whether its state holds what may never be committed.
    excess: Excess,
    /// Another node's state takes the place of its own: nothing is heard and nothing written until its snapshot is on disk.
    installing: Option<Install>,
    /// What lies before in the log is void.
    pub(super) log_from: Lsn,
    /// The member that needs a snapshot, and the one that was sent one: which, its index, and for how many ticks it is waited for.
    wanted_by: Option<NodeId>,
    sent_to: Option<(NodeId, u64, u32)>,
    /// For so many ticks a member has waited for a state, and nothing was committed beyond this index.
    stuck: (u32, u64),
    /// For so many ticks no snapshot is begun that is wanted: the last one could not be written.
    put_off: u32,
    /// The change of members that is to be the next entry.
    pub(super) wants_change: Option<Change>,
    pub(super) handing: Handing,
    /// Counts how often its state was to be made anew.
    rebuilds: u32,
    /// Attempts that were decided here and not handed to a link, since the partition was lost.
    kept: Vec<(MessageId, u16)>,
    /// Entries that are written and not applied here: the last of each batch, and where it lies.
    unapplied: VecDeque<(u64, Lsn)>,
    /// The counter of the next id of this term.
    next_counter: u64,
    open: Vec<u8>,
    /// Records that fill an entry and wait for their proposal.
    full: VecDeque<Bytes>,
    full_bytes: usize,
    entry_bytes_max: usize,
    pending: VecDeque<(u64, Output)>,
    pub(crate) wheel: Wheel,
    live: Vec<Live>,
    released: Vec<Released>,
    committed: u64,
    /// The first place in the log that holds something which the partition's snapshot does not.
    pub(super) needed_from: Option<Lsn>,
    /// The same for the snapshot that is being taken.
    pub(super) needed_behind: Option<Lsn>,
    /// The size of the last snapshot.
    pub(super) snapshot_bytes: u64,
}

impl Cell {
    pub(crate) fn new(
        partition: Partition,
        retention: Retention,
        recovery: Recovery,
        entry_bytes_max: usize,
    ) -> Self {
        Self {
            state: PartitionState::new(partition, retention),
            group: None,
            recovery: Some(recovery),
            decides: false,
            is_counted: false,
            excess: Excess::None,
            installing: None,
            log_from: Lsn::ZERO,
            wanted_by: None,
            sent_to: None,
            stuck: (0, 0),
            put_off: 0,
            wants_change: None,
            handing: Handing::default(),
            rebuilds: 0,
            kept: Vec::new(),
            unapplied: VecDeque::new(),
            next_counter: 0,
            open: Vec::new(),
            full: VecDeque::new(),
            full_bytes: 0,
            entry_bytes_max,
            pending: VecDeque::new(),
            wheel: Wheel::new(WallMs(0)),
            live: Vec::new(),
            released: Vec::new(),
            committed: 0,
            needed_from: None,
            needed_behind: None,
            snapshot_bytes: 0,
        }
    }

    pub(super) fn group(&self) -> &Group {
        self.group.as_ref().expect("the shard has been started")
    }

    /// As [`Cell::decide`], for a record about the message of a slot.
    pub(crate) fn decide_on(&mut self, slot: u32, at: WallMs, record: &Record<'_>) {
        self.state.messages.expect(slot);
        self.decide(at, record);
    }

    /// Decides: the record goes into the next entry and changes the state at once.
    pub(crate) fn decide(&mut self, at: WallMs, record: &Record<'_>) {
        assert!(self.decides, "a record was decided by a node that does not decide");
        let before = self.open.len();
        record.encode(at, &mut self.open);
        if self.open.len() > self.entry_bytes_max && before > 0 {
            let last = self.open.split_off(before);
            self.close_entry();
            self.open = last;
        }
        self.state.apply(at, record);
    }

    fn close_entry(&mut self) {
        if !self.open.is_empty() {
            self.full_bytes += self.open.len();
            let next = Vec::with_capacity(self.open.len());
            self.full.push_back(Bytes::from(core::mem::replace(&mut self.open, next)));
        }
    }

    /// Lets an output leave when all that was decided so far is committed.
    pub(crate) fn after_decided(&mut self, output: Output) {
        let index = self.decided_index();
        self.pending.push_back((index, output));
    }

    /// The index of the entry in which the last decision is, or will be.
    fn decided_index(&self) -> u64 {
        let group = self.group();
        group.last_index() + self.full.len() as u64 + u64::from(!self.open.is_empty())
    }

    /// Bytes of records that are in no batch yet.
    pub(crate) const fn gathered_bytes(&self) -> usize {
        self.open.len() + self.full_bytes
    }

    /// Whether a submission may be decided now: records that cannot be refused have room of their own.
    pub(crate) fn takes_submissions(&self) -> bool {
        self.gathered_bytes() + ENTRY_BYTES_RESERVED < ENTRY_BYTES_MAX
    }

    pub(crate) fn has_something_to_write(&self) -> bool {
        let has_ready = self.installing.is_none() && self.group.as_ref().is_some_and(Group::has_ready);
        has_ready || !self.open.is_empty() || !self.full.is_empty() || self.wants_change.is_some()
    }

    /// Puts what was decided into the batch, as far as it has room; `true` when something was put there.
    pub(crate) fn poll_append(&mut self, batch: &mut Batch) -> bool {
        self.close_entry();
        let Some(group) = self.group.as_mut().filter(|_| self.installing.is_none()) else { return false };
        let mut room = batch.room_bytes();
        while let Some(records) = self.full.front() {
            let bytes = records.len();
            if bytes + ENTRY_OVERHEAD_BYTES > room || group.may_propose(bytes).is_err() {
                break;
            }
            let records = self.full.pop_front().expect("looked at above");
            group.propose(records).expect("asked above");
            self.full_bytes -= bytes;
            room -= bytes + ENTRY_OVERHEAD_BYTES;
        }
        if let Some(change) = self.wants_change.take().filter(|_| self.full.is_empty()) {
            // What waits for an entry waits for it by its index, so this one may only come when no other does. It is wanted again with the next tick.
            let _ = group.propose_change(change);
        }
        let wrote = group.poll_append(batch) == replication::Appended::Written;
        if group.poll_overruled().is_some() && self.excess == Excess::None {
            self.excess = Excess::Some;
        }
        if wrote {
            let last = if group.is_alone() { None } else { Some(group.last_index()) };
            self.note_written(batch.lsn());
            self.unapplied.extend(last.map(|last| (last, batch.lsn())));
        }
        wrote
    }

    /// Term and index of the last entry that is applied, when all that was decided is in it or before it, and in a batch.
    pub(super) fn sealed_through(&self) -> Option<(u64, u64)> {
        if self.excess != Excess::None {
            return None;
        }
        if !self.decides {
            // A single voter that has just started is home in a moment.
            return self.group.as_ref().filter(|group| !group.is_alone())?.applied();
        }
        let all_proposed = self.open.is_empty() && self.full.is_empty();
        all_proposed.then(|| self.group().sealed_through())?
    }

    /// Where the first entry lies that is written and not applied.
    pub(super) fn first_unapplied(&self) -> Option<Lsn> {
        self.unapplied.front().map(|&(_, lsn)| lsn)
    }

    /// Whether an index is committed and on this disk.
    pub(super) const fn is_committed(&self, index: u64) -> bool {
        self.committed >= index
    }

    /// The log is durable up to `lsn`.
    pub(crate) fn handle_durable(&mut self, lsn: Lsn) {
        self.group.as_mut().expect("the shard has been started").handle_durable(lsn);
    }

    /// The next output whose entry is committed.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        let (index, _) = self.pending.front()?;
        if *index > self.committed {
            return None;
        }
        self.pending.pop_front().map(|(_, output)| output)
    }

    /// A new id.
    pub(crate) fn mint(&mut self, at: WallMs) -> MessageId {
        let id = MessageId::mint(at, self.state.partition, self.group().term(), self.next_counter);
        self.next_counter += 1;
        id
    }

    pub(crate) fn live(&mut self, slot: u32) -> &mut Live {
        let place = slot as usize;
        if place >= self.live.len() {
            self.live.resize(place + 1, Live::default());
        }
        &mut self.live[place]
    }

    /// Sets a message's timer to the next thing that is due for it after `at`. The time of the last record will not do:
    /// a retry whose time came since then would be set for its own past, again and again.
    pub(crate) fn rearm(&mut self, at: WallMs, slot: u32) {
        let ask_at = Some(self.live(slot).ask_at).filter(|&ask_at| ask_at > at).unwrap_or(NEVER);
        let message = self.state.messages.at(slot);
        let due = match message.state {
            State::Queued if message.due > at => message.due.min(message.send_until),
            State::Queued => message.send_until,
            State::Doubtful => message.due.min(message.deadline).min(ask_at),
            State::Attempting | State::Sent => message.deadline.min(ask_at),
            State::Final(_) => return self.wheel.cancel(slot),
        };
        self.wheel.set(slot, due);
    }

    /// Every carrier may be tried again for every message.
    pub(crate) fn forget_refusals(&mut self) {
        self.live.iter_mut().for_each(|live| live.refused = 0);
    }

    /// Through which number an account's fates may be told: at home what left with its entry, elsewhere what is applied, if nothing is that may
    /// still be replaced.
    pub(crate) fn tellable_through(&self, account: AccountId) -> u64 {
        if self.decides {
            return self.released_through(account);
        }
        let is_settled = self.excess == Excess::None && self.installing.is_none();
        let applied = self.group.as_ref().filter(|_| is_settled).and_then(Group::applied);
        applied.and_then(|_| self.state.fates.of(account)).map_or(0, crate::state::fates::AccountFates::last)
    }

    /// The node that decides for the partition, as far as this one knows.
    pub(crate) fn home(&self) -> Option<NodeId> {
        self.group.as_ref().and_then(Group::home)
    }

    /// Through which number an account's fates have left with their entries.
    fn released_through(&self, account: AccountId) -> u64 {
        let found = self.released.iter().find(|released| released.account == account);
        found.map_or(0, |released| released.through)
    }

    /// One more fate of an account may be told.
    pub(crate) fn release_fate(&mut self, account: AccountId) {
        match self.released.iter_mut().find(|released| released.account == account) {
            Some(released) => released.through += 1,
            None => {
                // The first since the start: all that recovery brought back may be told, and this one.
                self.released.push(Released { account, through: 1 });
            }
        }
    }

    /// All fates that recovery brought back are durable and may be told.
    pub(crate) fn release_recovered(&mut self) {
        let recovered = self.state.fates.all().iter();
        self.released =
            recovered.map(|(account, fates)| Released { account: *account, through: fates.last() }).collect();
    }
}
