//! One shard's brain.
//!
//! ```text
//!    customers                 links                      other shards
//!  handle_submit …          handle_link                   handle_cross
//!        └──────── decide ──────┴─────────┬───────────────────┘
//!                                         ▼
//!                               records in open entries ──▶ poll_append ──▶ the log
//!                                    └─▶ state                               │ handle_durable
//!              poll_reply · poll_transmit · poll_cross ◀── outputs ◀─────────┘
//! ```
//!
//! The shard owns all that its partitions need and shares nothing. It does no IO, reads no clock and draws randomness
//! only from its seed, so a simulator runs it as it is. Its parts have files of their own: a partition is a
//! [`cell::Cell`], a connection a [`links::Link`]; what is decided about messages is told in `submit` (they come),
//! `dispatch` (they go), `cancel` (they do not go after all), `outcome` (they are answered for), `receipts` and `fates`; `handsets`
//! is what comes back; `cross` and `lending` are about other
//! shards, `homes` and `across` about other nodes, `start` and `snapshots` about what is on disk.

mod across;
pub(crate) mod ask;
mod cancel;
pub(crate) mod cell;
pub(crate) mod cross;
mod dispatch;
mod fates;
pub(crate) mod handsets;
pub(crate) mod homes;
pub(crate) mod inspect;
pub(crate) mod lending;
mod link_events;
pub(crate) mod links;
pub(crate) mod membership;
mod observe;
mod outcome;
mod pace;
mod receipts;
mod replan;
pub(crate) mod snapshots;
mod start;
mod submit;
mod transmit;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use replication::Install;
use wal::{Batch, Lsn};
use wire::id::{Partition, ShardId};
use wire::time::{Instant, Now, WallMs};

use crate::accounts::Accounts;
use crate::api::{Origin, Refusal, Reply};
use crate::clock::RecordClock;
use crate::counters::Counters;
use crate::jitter::Jitter;
use crate::limits::{GATHERED_BYTES_MAX, GATHERED_BYTES_PER_PARTITION, RAFT_TICK};
use crate::members::Members;
use crate::plan::Plan;
use crate::queue::{CarrierQueue, Waiting};
use crate::rates::SharedRate;
use across::Across;
use cell::{Bringer, Cell, Output};
use cross::{Credits, Cross};
use fates::Subscriber;
use inspect::Latencies;
use lending::Lending;
use links::{Link, LinkAction, LinkId};
use pace::Pacing;
use snapshots::Snapshots;
use transmit::Encoder;

pub use start::RecoveryError;

/// What a shard is made with, beside the plan.
#[derive(Clone, Copy, Debug)]
pub struct ShardConfig {
    /// Which of the node's shards it is.
    pub id: ShardId,
    /// When the process started, in milliseconds since 1970: attempts name it, so that a later process knows which of
    /// them it cannot answer for.
    pub process: u64,
    /// The seed of its jitter.
    pub seed: u64,
    /// The most bytes of records in one entry ([`wal::Layout::records_bytes_max`]).
    pub records_bytes_max: usize,
    /// The cluster, a random number drawn when it was made.
    pub cluster: u128,
    /// The data directory, a random number drawn when it was made: never 0.
    pub directory: u64,
    /// How much log there may be, in bytes, before a partition that needs its oldest part has its snapshot taken; never
    /// less than what the snapshots take together.
    pub snapshot_every_bytes: u64,
    /// The bytes of one piece of a snapshot, about ([`crate::limits::SNAPSHOT_PIECE_BYTES`]).
    pub snapshot_piece_bytes: usize,
}

/// What waits for a carrier on this shard, and by which links it may go.
#[derive(Debug)]
struct CarrierState {
    queue: CarrierQueue,
    links: Vec<LinkId>,
    links_up: usize,
    /// The link that is asked first next time.
    next_link: usize,
    /// Room was lent since an own message went: one of them is next, so that who borrows does not take every token of a low rate.
    own_turn: bool,
    /// How fast it may go on all shards together.
    rate: SharedRate,
    pacing: Pacing,
    lending: Lending,
}

/// One core's share of a node. Lives on that core's thread.
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    plan: Arc<Plan>,
    accounts: Accounts,
    /// The shard's partitions, in their order; partition `p` is at `p / shards`.
    cells: Vec<Cell>,
    links: Vec<Link>,
    /// In the order of the plan's carriers.
    carriers: Vec<CarrierState>,
    subscribers: Vec<Subscriber>,
    credits: Vec<Credits>,
    clock: RecordClock,
    jitter: Jitter,
    encoder: Encoder,
    counters: Counters,
    /// In the order of [`Refusal::ALL`].
    refusals: [u64; Refusal::ALL.len()],
    latencies: Latencies,
    replies: VecDeque<Reply>,
    actions: VecDeque<LinkAction>,
    crosses: VecDeque<(ShardId, Cross)>,
    /// Messages that wait and that no route covers since the plan was changed.
    unrouted: Vec<Waiting>,
    open_messages: usize,
    /// Segments that other shards send for this one and have said nothing of.
    segments_out: usize,
    next_tick: Instant,
    /// Where `poll_append` begins, so that a full batch does not always leave the same partitions out.
    first_cell: usize,
    /// The cell whose messages to its peers are next, so that not all are looked at for each message.
    next_peer: usize,
    next_transmit: usize,
    snapshots: Snapshots,
    across: Across,
    /// The cluster's members, as far as this shard has been told.
    members: Members,
    /// Nodes that were removed and are still in a group of this shard.
    lingering: BTreeSet<wire::id::NodeId>,
    /// They have changed since the shell has asked.
    has_other_members: bool,
    installs: VecDeque<(Partition, Install)>,
    log_room: LogRoom,
    /// So much waits for the log that customers are not to be read.
    holds_back: bool,
    phase: Phase,
}

/// How much room the log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogRoom {
    /// The next segment is there, or will be.
    #[default]
    Enough,
    /// The next segment cannot be made. What is left is for messages that are open.
    Short,
}

/// What a shard is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The log is read back.
    Recovering,
    Running,
    /// No new messages; links finish and unbind.
    Draining,
    /// The log failed: nothing is decided any more.
    LogFailed,
}

impl Shard {
    /// A shard that has not read its log yet.
    ///
    /// # Panics
    /// When the plan has fewer partitions than shards, or this is none of its shards.
    #[must_use]
    pub fn new(config: ShardConfig, plan: Arc<Plan>) -> Self {
        assert!(
            config.id.0 < plan.shards && plan.shards <= plan.partitions.count(),
            "no such shard in this plan"
        );
        let mut shard = Self {
            config,
            accounts: Accounts::new(&plan, config.id, Instant(0)),
            cells: Vec::new(),
            links: Vec::new(),
            carriers: carriers(&plan, config.id),
            subscribers: Vec::new(),
            credits: vec![Credits::full(); usize::from(plan.shards)],
            clock: RecordClock::start(Now::default(), WallMs(0)),
            jitter: Jitter::new(config.seed),
            encoder: Encoder::default(),
            counters: Counters::default(),
            refusals: [0; Refusal::ALL.len()],
            latencies: Latencies::default(),
            unrouted: Vec::new(),
            replies: VecDeque::new(),
            actions: VecDeque::new(),
            crosses: VecDeque::new(),
            open_messages: 0,
            segments_out: 0,
            next_tick: Instant(0),
            first_cell: 0,
            next_peer: 0,
            next_transmit: 0,
            snapshots: Snapshots::default(),
            across: Across::new(config.process),
            members: Members::default().over(&plan.founders),
            lingering: BTreeSet::new(),
            has_other_members: false,
            installs: VecDeque::new(),
            log_room: LogRoom::Enough,
            holds_back: false,
            phase: Phase::Recovering,
            plan,
        };
        shard.make_cells();
        shard.make_links();
        shard
    }

    /// The next thing to tell a customer whose connection is on this shard.
    pub fn poll_reply(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// The next thing to do with a link's connection.
    pub fn poll_link(&mut self) -> Option<LinkAction> {
        self.actions.pop_front()
    }

    /// The next message for another shard. Credits bound how many there can be.
    pub fn poll_cross(&mut self) -> Option<(ShardId, Cross)> {
        self.crosses.pop_front()
    }

    /// A message of another shard.
    pub fn handle_cross(&mut self, now: Now, from: ShardId, message: Cross) {
        self.clock.read(now);
        match message {
            Cross::Submit(origin, submission) => self.handle_submit(now, origin, &submission.borrow()),
            Cross::Query(origin, account, id) => self.handle_query(now, origin, account, id),
            Cross::Cancel(origin, cancellation) => self.handle_cancel(now, origin, &cancellation),
            Cross::Reply(reply) => {
                if !matches!(reply, Reply::Fate { .. } | Reply::Handset { .. } | Reply::Done { .. }) {
                    self.credits[usize::from(from.0)].give_back();
                }
                self.replies.push_back(reply);
            }
            Cross::Subscribe(origin, subscription) => self.subscribe_here(origin, &subscription),
            Cross::Unsubscribe(origin) => self.unsubscribe_here(origin),
            Cross::Acknowledge(origin, account, partition, sequence) => {
                self.handle_acknowledge(now, origin, account, partition, sequence);
            }
            Cross::Receipt(origin, receipt) => {
                let from = Bringer::Link(origin);
                if let Some(status) = self.receipt(now, from, &receipt) {
                    self.receipt_taken(from, status);
                }
            }
            Cross::Handset(origin, part) => {
                let from = Bringer::Link(origin);
                if let Some(status) = self.handset(now, from, &part) {
                    self.receipt_taken(from, status);
                }
            }
            Cross::ReceiptTaken(origin, status) => {
                self.credits[usize::from(from.0)].give_back();
                self.answer_deliver(origin, status);
            }
            Cross::CarrierUp { carrier, is_up } => self.handle_carrier_up(from, carrier, is_up),
            Cross::AskRoom { carrier, need, want } => self.handle_ask_room(now, from, carrier, need, want),
            Cross::Room(loan) => self.handle_room(from, loan),
            Cross::RoomBack(loan) => self.handle_room_back(now, loan),
            Cross::Segment(segment) => self.handle_segment(now, from, segment),
            Cross::SegmentOutcome { token, carrier, outcome } => {
                self.handle_outcome(now, token, carrier, &outcome);
            }
            Cross::AskRate { rate, need, want } => self.handle_ask_rate(now, from, rate, need, want),
            Cross::Slice(rate, segments) => self.handle_slice(now, rate, segments),
            Cross::Ask { carrier, token, id, sender } => {
                self.handle_ask(from, carrier, token, (&id, &sender))
            }
            Cross::Said { carrier, token, said } => {
                self.handle_said(now, carrier, crate::token::Token::unpack(token), &said);
            }
            Cross::Felt { carrier, felt } => self.handle_felt(now, carrier, &felt),
            Cross::Paced { carrier, paced } => self.handle_paced(now, carrier, paced),
            Cross::SliceBack(rate, segments) => self.handle_slice_back(now, rate, segments),
            Cross::Members(members) => self.take_members(*members),
            Cross::Act(origin, act) => self.handle_act(now, origin, *act),
        }
        self.release();
    }

    /// Puts what was decided since the last batch into this one, and decides attempts for what waits and has room.
    /// `true` when there is something to write. The batch was begun by the log.
    pub fn poll_append(&mut self, now: Now, batch: &mut Batch) -> bool {
        if matches!(self.phase, Phase::Recovering | Phase::LogFailed) {
            return false;
        }
        self.dispatch(now);
        let count = self.cells.len();
        let mut wrote = false;
        for place in 0..count {
            let cell = &mut self.cells[(self.first_cell + place) % count];
            if cell.has_something_to_write() {
                wrote |= cell.poll_append(batch);
            }
        }
        self.first_cell = (self.first_cell + 1) % count;
        self.begin_snapshot_if_due(batch);
        wrote
    }

    /// Whether [`Shard::poll_append`] would write something now.
    #[must_use]
    pub fn has_something_to_write(&self) -> bool {
        self.cells.iter().any(Cell::has_something_to_write)
    }

    /// Whether customers are to be read. Not while a disk is slower than they are: what is decided waits for the batch in
    /// flight, and beyond a bound, of the shard or of one partition, customers wait in their sockets, until half of it is left. With a full disk they are read, and
    /// refused.
    pub fn wants_submissions(&mut self) -> bool {
        let has_room = self.log_room == LogRoom::Enough;
        let part = |most: usize| if self.holds_back { most / 2 } else { most };
        let is_hot = |cell: &Cell| cell.gathered_bytes() > part(GATHERED_BYTES_PER_PARTITION);
        let most = part((self.cells.len() * GATHERED_BYTES_PER_PARTITION).min(GATHERED_BYTES_MAX));
        let holds_back = has_room && (self.gathered_bytes() > most || self.cells.iter().any(is_hot));
        self.counters.held_back += u64::from(holds_back && !self.holds_back);
        self.holds_back = holds_back;
        !holds_back
    }

    /// Bytes of records that are decided and in no batch yet.
    pub(super) fn gathered_bytes(&self) -> usize {
        self.cells.iter().map(Cell::gathered_bytes).sum()
    }

    /// The log is durable up to `lsn` ([`wal::Write::end`]): what waited for it leaves.
    pub fn handle_durable(&mut self, now: Now, lsn: Lsn) {
        // What leaves now is timed from now, however long the sync took.
        self.clock.read(now);
        for place in 0..self.cells.len() {
            self.cells[place].handle_durable(lsn);
            self.group_stepped(now, place);
        }
        self.release();
        self.flush_backlogs(now);
    }

    /// The log failed. Nothing that was not durable leaves any more, and nothing is taken.
    pub fn handle_log_failed(&mut self) {
        self.phase = Phase::LogFailed;
    }

    /// The log has little room left, or enough again: no new messages are taken meanwhile.
    pub fn handle_log_room(&mut self, room: LogRoom) {
        self.log_room = room;
    }

    /// When [`Shard::handle_timeout`] is due.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        if matches!(self.phase, Phase::Recovering | Phase::LogFailed) {
            return None;
        }
        let cells = self.cells.iter().filter(|cell| cell.decides);
        let due = cells.flat_map(|cell| {
            let state = &cell.state;
            [cell.wheel.next_due(), state.parked.next_due(), state.handsets.next_due()]
        });
        let due = due.flatten().min();
        let messages = due.map(|due| self.clock.instant_of(due));
        let now = self.clock.last().mono;
        let links = self.links.iter().map(|link| {
            let carrier = &self.carriers[usize::from(link.carrier)];
            let waits = !carrier.queue.is_empty() || !link.returning.is_empty();
            link.timeout(waits || carrier.lending.has_borrowers(), now)
        });
        let rates = self.carriers.iter().map(|carrier| {
            let returns = |link: &LinkId| !self.links[usize::from(link.0)].returning.is_empty();
            let has_some = !carrier.queue.is_empty() || carrier.links.iter().any(returns);
            let waits = carrier.links_up > 0 && has_some;
            let ready = carrier.rate.ready_at().filter(|&at| waits && at > now);
            ready.into_iter().chain(carrier.rate.timeout()).chain(carrier.pacing.timeout()).min()
        });
        let rates = rates.chain([self.accounts.timeout()]);
        links.chain(rates).chain([messages, Some(self.next_tick)]).flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        if matches!(self.phase, Phase::Recovering | Phase::LogFailed) {
            return;
        }
        let at = self.clock.read(now);
        if self.next_tick <= now.mono {
            self.next_tick = now.mono.plus(RAFT_TICK);
            for place in 0..self.cells.len() {
                self.cells[place].tick();
                self.give_up_if_stuck(place);
                self.group_stepped(now, place);
                self.tend_members(now, place);
            }
            self.tend_lingering();
            self.tend_across(now);
        }
        for place in 0..self.cells.len() {
            if self.cells[place].decides {
                self.handle_due(at, place);
            }
        }
        self.handle_rates_due(now);
        self.handle_pacing_due(now);
        self.handle_link_timeouts(now);
        self.hand_homes_on();
        self.release();
    }

    /// No new messages from now on; links finish their windows and unbind. What is queued stays in the log.
    pub fn handle_drain(&mut self, now: Now) {
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
        }
        for place in 0..self.links.len() {
            self.links[place].stop(now.mono);
            self.pump_link(now, place);
        }
    }

    /// Whether all links are gone and all that was decided is durable.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::LogFailed
            || (self.links.iter().all(Link::is_stopped)
                && self.segments_out == 0
                && !self.has_something_to_write()
                && !self.cells.iter().any(Cell::has_pending)
                && !(0..self.cells.len()).any(|place| self.heir_of(place).is_some())
                && self.across.is_idle()
                && self.crosses.is_empty())
    }

    /// Whether every partition of this shard has a home: it decides, or knows who does.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.cells.iter().all(Cell::has_home)
    }

    /// Lets everything leave whose entry is committed.
    fn release(&mut self) {
        for place in 0..self.cells.len() {
            while let Some(output) = self.cells[place].poll_output() {
                match output {
                    Output::Answer { origin, acceptance, since } => {
                        self.latencies.answer.record(self.clock.last().mono.since(since));
                        self.reply(origin, Reply::Answer { origin, outcome: Ok(acceptance) });
                    }
                    Output::View { origin, account, id, view } => {
                        self.reply(origin, Reply::Message { origin, account, id, view });
                    }
                    Output::Cancelled { origin, id, outcome } => {
                        self.reply(origin, Reply::Cancelled { origin, id, outcome });
                    }
                    Output::Transmit { shard, link, bind, slot, attempt, parts } => {
                        self.transmit(place, (shard, link, bind), (slot, attempt, parts));
                    }
                    Output::ReceiptTaken { from, status } => self.receipt_taken(from, status),
                    Output::Fate { account } => {
                        self.cells[place].release_fate(account);
                        self.tell_fates(account, place);
                    }
                    Output::Done { origin, node } => {
                        self.refresh_members();
                        self.tell_done(origin, Ok(node));
                    }
                }
            }
        }
    }

    /// Gives a reply to the shard that has the customer's connection.
    fn reply(&mut self, origin: Origin, reply: Reply) {
        if origin.shard == self.config.id {
            self.replies.push_back(reply);
        } else if let Some(asked_by) = origin.asked_by() {
            self.answer_node(asked_by, &reply);
        } else {
            self.crosses.push_back((origin.shard, Cross::Reply(reply)));
        }
    }

    /// The shard that owns a partition, and the partition's place there.
    fn owner_of(&self, partition: Partition) -> (ShardId, usize) {
        (ShardId::owner_of(partition, self.plan.shards), usize::from(partition.0 / self.plan.shards))
    }
}

fn carriers(plan: &Plan, own: ShardId) -> Vec<CarrierState> {
    let state = |(place, carrier): (u16, &crate::plan::Carrier)| CarrierState {
        queue: CarrierQueue::default(),
        links: Vec::new(),
        links_up: 0,
        next_link: 0,
        own_turn: false,
        rate: SharedRate::new(
            carrier.profile.rate_per_s,
            plan.first_shard_of(place),
            own,
            plan.shards,
            Instant(0),
        ),
        lending: Lending::default(),
        pacing: Pacing::new(carrier.profile.rate_per_s, plan.first_shard_of(place) == own),
    };
    (0_u16..).zip(&plan.carriers).map(state).collect()
}
