//! A core's turn, as the daemon's shell takes it: what came in, timers, the log, the links, the other cores.

use shards::api::{Cancellation, Origin, Reply, Sender, Submission, Subscription};
use shards::{Cross, LinkAction, LinkInput, LogRoom};
use wire::time::Now;

use super::World;
use crate::event::{Event, Fails, Request};
use crate::judge::{DECENCY, REPLAYS};
use crate::node::{Input, Seat};
use crate::recover;
use crate::swarm::{MS, S};

/// When a shell tries again to prepare a segment for which there was no room.
const SEGMENT_RETRY: u64 = S;
/// Turns at one moment that are not a busy loop yet.
const SPINS_MAX: u32 = 300;
/// Turns that are closer than this are at one moment.
const SPIN_SPAN: u64 = MS;
/// Bytes that the shell keeps for a connection before it takes no more from the brain.
const SHELL_BYTES_MAX: usize = 64 << 10;

impl World {
    /// Gives a core something, and lets it take a turn soon.
    pub(super) fn give(&mut self, core: Seat, input: Input) {
        self.nodes[core.node].cores[core.core].inbox.push_back(input);
        let soon = self.now + self.dice.schedule.skewed((500, 300_000));
        self.wake(core, soon);
    }

    /// Lets a core take a turn at this time, unless it takes one earlier.
    pub(super) fn wake(&mut self, core: Seat, at: u64) {
        let life = self.nodes[core.node].life;
        let state = &mut self.nodes[core.node].cores[core.core];
        let at = at.max(state.paused_until).max(self.now);
        if state.turn_at.is_none_or(|earlier| earlier <= self.now || at < earlier) {
            state.turn_at = Some(at);
            self.queue.at(at, Event::Turn { life, core });
        }
    }

    pub(super) fn turn(&mut self, core: Seat) {
        let now = self.nodes[core.node].clock.read(self.now);
        self.nodes[core.node].cores[core.core].turn_at = None;
        self.hash.number((core.node << 8 | core.core) as u64);
        self.watch_spin(core);
        while let Some(input) = self.nodes[core.node].cores[core.core].inbox.pop_front() {
            self.take_input(core, now, input);
        }
        self.hear_peers(core, now);
        let brain = &mut self.nodes[core.node].cores[core.core].brain;
        if brain.timeout().is_some_and(|due| due <= now.mono) {
            brain.handle_timeout(now);
        }
        self.gather(core, now);
        self.serve_links(core);
        self.pass_on(core);
        self.talk_to_peers(core, now);
        self.look_at_replay(core);
        self.prepare_ahead(core);
        self.snapshot(core);
        let state = &self.nodes[core.node].cores[core.core];
        if let Some(due) = state.brain.timeout().into_iter().chain(state.peers.timeout()).min() {
            let due = self.nodes[core.node].clock.virtual_of(due).max(self.now + 1_000);
            self.wake(core, due);
        }
    }

    /// A shell that asks for a turn again and again without anything to do burns a core.
    fn watch_spin(&mut self, core: Seat) {
        let state = &mut self.nodes[core.node].cores[core.core];
        let is_idle = state.inbox.is_empty();
        if is_idle && self.now - state.last_turn < SPIN_SPAN {
            state.spins += 1;
        } else {
            state.spins = 0;
            state.last_turn = self.now;
        }
        if state.spins > SPINS_MAX {
            let what = format!("shard {core:?} wants a turn all the time: {:?}", state.brain.timeout());
            self.judge.fail(self.now, DECENCY, what);
        }
    }

    fn take_input(&mut self, core: Seat, now: Now, input: Input) {
        self.note_acknowledgement(core, &input);
        let state = &mut self.nodes[core.node].cores[core.core];
        let brain = &mut state.brain;
        match input {
            Input::Request { origin, account, request } => self.ask(core, now, origin, account, request),
            Input::Connected(link) => brain.handle_link(now, link, LinkInput::Connected),
            Input::ConnectFailed(link) => brain.handle_link(now, link, LinkInput::ConnectFailed),
            Input::Received(link, conn, bytes) => {
                if self.nodes[core.node].cores[core.core].conns[usize::from(link.0)] == Some(conn) {
                    let brain = &mut self.nodes[core.node].cores[core.core].brain;
                    brain.handle_link(now, link, LinkInput::Received(&bytes));
                }
            }
            Input::Written(link, total) => brain.handle_link(now, link, LinkInput::Written { total }),
            Input::Closed(link) => {
                self.nodes[core.node].cores[core.core].conns[usize::from(link.0)] = None;
                self.nodes[core.node].cores[core.core].brain.handle_link(now, link, LinkInput::Closed);
            }
            Input::Crossed(from, message) => brain.handle_cross(now, from, message),
            Input::Durable(lsn) => {
                brain.handle_durable(now, lsn);
                self.release_segments(core);
            }
            Input::Prepared(seq) => self.nodes[core.node].cores[core.core].log.handle_prepared(seq),
            Input::SnapshotWritten(is_published) => {
                self.nodes[core.node].cores[core.core].snapshotting = false;
                if is_published {
                    self.nodes[core.node].cores[core.core].brain.handle_snapshot_published();
                }
            }
            Input::SnapshotFailed => {
                self.nodes[core.node].cores[core.core].snapshotting = false;
                self.nodes[core.node].cores[core.core].brain.handle_snapshot_failed();
            }
            Input::Plan(plan) => brain.handle_plan(now, plan),
            Input::Called(wire, end) => self.called(core, now, wire, end),
            Input::Lined(line) => state.peers.handle_connected(now.mono, line),
            Input::Heard(line, bytes) => state.peers.handle_received(now.mono, line, &bytes),
            Input::LineClosed(line) => state.peers.handle_closed(now.mono, line),
            Input::Rebuilt(rebuild) => self.rebuilt(core, now, *rebuild),
            Input::Drain => brain.handle_drain(now),
        }
    }

    /// The judge learns what a shard is told to be acknowledged, when it is told.
    fn note_acknowledgement(&mut self, core: Seat, input: &Input) {
        let (account, partition, sequence) = match *input {
            Input::Request { request: Request::Acknowledge { account, partition, sequence }, .. }
            | Input::Crossed(_, Cross::Acknowledge(_, account, partition, sequence)) => {
                (account, partition, sequence)
            }
            _ => return,
        };
        if self.nodes[core.node].core_of(partition) == core.core {
            let durable = self.reach(partition);
            self.judge.acknowledged(account, partition, sequence, durable);
        }
    }

    fn ask(&mut self, core: Seat, now: Now, origin: Origin, account: usize, request: Request) {
        let id = self.swarm.plan.accounts[account].id;
        let brain = &mut self.nodes[core.node].cores[core.core].brain;
        match request {
            Request::Submit { nonce, .. } => {
                let intent = self.judge.intent(nonce);
                let submission = Submission {
                    account: id,
                    recipient: intent.recipient,
                    sender: "",
                    key: intent.key.as_deref().unwrap_or_default().as_bytes(),
                    class: Some(intent.class),
                    validity: intent.validity_ms.map(core::time::Duration::from_millis),
                    text: &intent.text,
                };
                brain.handle_submit(now, origin, &submission);
            }
            Request::Query { id: message, .. } => brain.handle_query(now, origin, id, message),
            Request::Cancel { id: message, .. } => {
                let (sender, recipient) = (Sender::default(), None);
                brain.handle_cancel(
                    now,
                    origin,
                    &Cancellation { account: id, id: message, sender, recipient },
                );
            }
            Request::Subscribe { credits, positions } => {
                brain.handle_subscribe(now, origin, &Subscription { account: id, credits, positions });
            }
            Request::Unsubscribe => brain.handle_unsubscribe(origin),
            Request::Acknowledge { account, partition, sequence } => {
                brain.handle_acknowledge(now, origin, account, partition, sequence);
            }
        }
    }

    /// One batch at a time: what was decided meanwhile is written when the last one is synced.
    fn gather(&mut self, core: Seat, now: Now) {
        let life = self.nodes[core.node].life;
        let node = &mut self.nodes[core.node];
        let (disk, state) = (&mut node.disks[core.core], &mut node.cores[core.core]);
        if state.in_flight || state.log.begin(&mut state.batch).is_err() {
            return;
        }
        if let Some(start) = &state.start {
            state.batch.push_start(start);
        }
        state.brain.poll_append(now, &mut state.batch);
        if state.batch.is_empty() {
            return;
        }
        state.start = None;
        state.in_flight = true;
        let write = state.log.seal(&mut state.batch);
        self.hash.bytes(write.bytes);
        disk.write(write.segment, write.offset, write.bytes, write.end);
        let (took, fails) = self.sync_time();
        self.queue.at(self.now + took, Event::Synced { life, core, fails });
    }

    fn sync_time(&mut self) -> (u64, Fails) {
        let (dice, traits) = (&mut self.dice.disk, self.swarm.disk);
        let mut took = dice.within(traits.sync);
        if self.stage != super::Stage::Living {
            return (took, Fails::No);
        }
        if dice.chance(traits.slow_per_mille) {
            took += dice.within((traits.slow / 4, traits.slow));
        }
        (took, if dice.chance(traits.fail_per_mille) { Fails::Yes } else { Fails::No })
    }

    pub(super) fn synced(&mut self, life: u32, core: Seat, fails: Fails) {
        if !self.is_alive(core.node, life) {
            return;
        }
        if fails == Fails::Yes {
            // The daemon tells the brain, and ends.
            self.nodes[core.node].cores[core.core].brain.handle_log_failed();
            return self.die(core.node, crate::disk::Crash::Process);
        }
        self.sights.syncs += 1;
        let end = self.nodes[core.node].disks[core.core].sync(self.swarm.honesty);
        self.nodes[core.node].cores[core.core].in_flight = false;
        self.give(core, Input::Durable(end));
    }

    fn prepare_ahead(&mut self, core: Seat) {
        let state = &mut self.nodes[core.node].cores[core.core];
        let reserved = recover::layout().segment_bytes() / 2 + state.brain.open_messages() * 1024;
        let is_short = state.no_room && state.log.room_bytes() < reserved;
        state.brain.handle_log_room(if is_short { LogRoom::Short } else { LogRoom::Enough });
        let Some(seq) = state.log.wanted_segment().filter(|_| !state.preparing) else { return };
        state.preparing = true;
        let header = state.log.segment_header(seq);
        let again = self.dice.disk.chance(self.swarm.disk.again_per_mille);
        self.nodes[core.node].disks[core.core].prepare(
            seq,
            &header,
            recover::layout().segment_bytes(),
            again,
        );
        let took = self.dice.disk.skewed(self.swarm.disk.prepare);
        let fails = self.is_full();
        self.queue
            .at(self.now + took, Event::Prepared { life: self.nodes[core.node].life, core, seq, fails });
    }

    pub(super) fn prepared(&mut self, life: u32, core: Seat, seq: u64, fails: Fails) {
        if !self.is_alive(core.node, life) {
            return;
        }
        if fails == Fails::Yes {
            self.nodes[core.node].disks[core.core].give_up_segment();
            self.nodes[core.node].cores[core.core].no_room = true;
            return self.queue.at(self.now + SEGMENT_RETRY, Event::PrepareAgain { life, core });
        }
        if self.nodes[core.node].disks[core.core].prepared() == Some(seq) {
            self.nodes[core.node].cores[core.core].preparing = false;
            self.nodes[core.node].cores[core.core].no_room = false;
            self.give(core, Input::Prepared(seq));
        }
    }

    /// Whether the disk is full at this moment.
    fn is_full(&mut self) -> Fails {
        let is_full = self.dice.disk.chance(self.swarm.disk.no_room_per_mille);
        if is_full && self.stage == super::Stage::Living { Fails::Yes } else { Fails::No }
    }

    /// A snapshot is written piece by piece, and synced with the last.
    fn snapshot(&mut self, core: Seat) {
        let state = &mut self.nodes[core.node].cores[core.core];
        if state.snapshotting {
            return;
        }
        let Some(piece) = state.brain.poll_snapshot() else { return };
        state.snapshotting = true;
        self.hash.bytes(&piece.bytes);
        let (life, is_last) = (self.nodes[core.node].life, piece.is_last);
        self.nodes[core.node].disks[core.core].write_snapshot(piece);
        let fails = self.is_full();
        let took = self.dice.disk.skewed((100_000, 100 * MS));
        self.queue.at(self.now + took, Event::Snapshot { life, core, is_last, fails });
    }

    pub(super) fn snapshot_written(&mut self, life: u32, core: Seat, is_last: bool, fails: Fails) {
        if !self.is_alive(core.node, life) {
            return;
        }
        if fails == Fails::Yes {
            self.nodes[core.node].disks[core.core].give_up_snapshot();
            return self.give(core, Input::SnapshotFailed);
        }
        if is_last {
            self.sights.snapshots += 1;
            self.nodes[core.node].disks[core.core].publish();
        }
        self.give(core, Input::SnapshotWritten(is_last));
    }

    fn release_segments(&mut self, core: Seat) {
        let state = &self.nodes[core.node].cores[core.core];
        let first_needed = state.log.first_needed(state.brain.log_needed_from());
        self.sights.released += self.nodes[core.node].disks[core.core].release(first_needed);
    }

    fn serve_links(&mut self, core: Seat) {
        while let Some(action) = self.nodes[core.node].cores[core.core].brain.poll_link() {
            match action {
                LinkAction::Connect { link, carrier } => self.dial(core, link, usize::from(carrier)),
                LinkAction::Close { link } => {
                    if let Some(conn) = self.nodes[core.node].cores[core.core].conns[usize::from(link.0)] {
                        self.close(conn);
                    }
                }
            }
        }
        while let Some(link) = self.nodes[core.node].cores[core.core].brain.poll_transmit() {
            let state = &mut self.nodes[core.node].cores[core.core];
            let Some(conn) = state.conns[usize::from(link.0)] else {
                let what = format!("shard {core:?} sends on link {} without a connection", link.0);
                return self.judge.fail(self.now, DECENCY, what);
            };
            let bytes = state.brain.transmit_bytes(link);
            let room = SHELL_BYTES_MAX.saturating_sub(self.conns[conn].shell.len());
            let taken = bytes.len().min(room);
            self.hash.bytes(&bytes[..taken]);
            self.conns[conn].shell.extend(&bytes[..taken]);
            state.brain.handle_taken(link, taken);
            self.arm_send(conn);
        }
    }

    fn pass_on(&mut self, core: Seat) {
        let from = core.shard();
        while let Some((to, message)) = self.nodes[core.node].cores[core.core].brain.poll_cross() {
            assert!(to != from, "a shard talks to others");
            let to = Seat { node: core.node, core: usize::from(to.0) };
            self.sights.lent += u64::from(matches!(message, Cross::Segment(_)));
            self.sights.slices += u64::from(matches!(message, Cross::Slice(..)));
            // A ring keeps its order; when it is looked at is up to the other core.
            self.nodes[to.node].cores[to.core].inbox.push_back(Input::Crossed(from, message));
            let soon = self.now + self.dice.schedule.skewed((500, 300_000));
            self.wake(to, soon);
        }
        while let Some(reply) = self.nodes[core.node].cores[core.core].brain.poll_reply() {
            self.reply(core, reply);
        }
    }

    fn reply(&mut self, core: Seat, reply: Reply) {
        let origin = match &reply {
            Reply::Done { outcome, .. } => return self.act_done(*outcome),
            Reply::Answer { origin, .. }
            | Reply::Message { origin, .. }
            | Reply::CannotTell { origin }
            | Reply::Cancelled { origin, .. } => *origin,
            Reply::Fate { subscriber, .. } | Reply::Handset { subscriber, .. } => *subscriber,
        };
        if origin.shard != core.shard() {
            let what = format!("shard {core:?} replies to a connection of shard {}", origin.shard.0);
            return self.judge.fail(self.now, DECENCY, what);
        }
        self.released(core.node, origin, reply);
    }

    /// From time to time: what the disk holds gives the state that the core has.
    fn look_at_replay(&mut self, core: Seat) {
        if self.nodes[core.node].cores[core.core].is_quiet() && self.dice.schedule.chance(3) {
            self.check_replay(core);
        }
    }

    /// Promise 10.
    pub(super) fn check_replay(&mut self, core: Seat) {
        // What others have committed is not known from one disk.
        if self.nodes.len() > 1 {
            return;
        }
        // What a lying disk holds is no secret to the world; the judge is to notice by what is lost.
        if self.swarm.honesty == crate::disk::Honesty::Lies {
            return;
        }
        self.sights.replays += 1;
        let shard = core.shard();
        let mut fresh =
            recover::new_shard(&self.nodes[core.node].plan, shard, (0, 0), recover::Snapshots::NONE, 0);
        let config = recover::log_config(&self.nodes[core.node].plan, shard);
        match recover::replay(&self.nodes[core.node].disks[core.core], config, &mut fresh) {
            Err(error) => {
                self.judge.fail(self.now, REPLAYS, format!("shard {core:?} cannot be read back: {error}"))
            }
            Ok(_)
                if fresh.state_digests() != self.nodes[core.node].cores[core.core].brain.state_digests() =>
            {
                let what = format!("shard {core:?}: replaying its log gives another state");
                self.judge.fail(self.now, REPLAYS, what);
            }
            Ok(_) => {}
        }
    }
}
