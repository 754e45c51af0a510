//! A snapshot of the state as it was at one index, taken while the state goes on.
//!
//! ```text
//!   begin: head, number of the snapshot ──▶ walk over keys and messages, a step at a time ──▶ end
//!          └─ a message that a record is about to change first gives its image ──┘
//! ```
//!
//! Each message that was there at the beginning is imaged once, before anything changes it: either the walk comes by, or
//! a record does. So the images together are the state at the index of the beginning, however long it takes. A message
//! carries the number of the last snapshot that has it. Keys never change, and one that comes later does no harm: its
//! record is applied again behind the snapshot.

use replication::Members as GroupMembers;
use wal::snapshot::{AccountImage, Head, MessageImage, PartImage, Writer};
use wal::{HardState, Lsn};
use wire::id::NodeId;

use crate::limits::SNAPSHOT_SLOTS_PER_STEP;
use crate::state::PartitionState;
use crate::state::message::Message;

/// A snapshot that is being taken.
#[derive(Debug)]
pub(crate) struct Capture {
    writer: Writer,
    /// How much is gathered for a piece.
    piece_bytes: usize,
    epoch: u16,
    /// The next slot of the walk over the messages, and the first that was not there at the beginning.
    slot: u32,
    slots_end: u32,
    /// The next generation of the walk over the keys, the next slot in it, and the first that was not there.
    generation: u64,
    key_slot: usize,
    generations_end: u64,
}

impl Capture {
    /// Whether the walk has been everywhere.
    fn is_over(&self) -> bool {
        self.slot == self.slots_end && self.generation == self.generations_end
    }

    fn push(&mut self, message: &mut Message) {
        if message.epoch == self.epoch {
            return;
        }
        message.epoch = self.epoch;
        let parts = message.parts.all().iter();
        let parts = parts.map(|part| PartImage {
            state: part.state.code(),
            receipt: part.receipt,
            named_by: part.named_by,
        });
        let image = MessageImage {
            id: message.id,
            recipient: message.recipient,
            send_until: message.send_until,
            deadline: message.deadline,
            due: message.due,
            fate_sequence: message.fate_sequence,
            finished: message.finished,
            account: message.account,
            carrier: message.carrier,
            code: message.code,
            attempt: message.attempt,
            class: message.class,
            alphabet: message.cut.beside(message.alphabet),
            why: message.why as u8,
            state: message.state.code(),
            may_have_left: message.may_have_left,
            is_received: message.is_received,
            sender: message.sender.as_bytes(),
            text: message.content.text(),
            trace: message.trace.bytes(),
        };
        self.writer.push_message(&image, parts);
    }
}

/// Whose snapshot it is and where in the log it is taken.
#[derive(Clone, Debug)]
pub(crate) struct TakenAt {
    pub(crate) cluster: u128,
    pub(crate) node: NodeId,
    pub(crate) partitions: u16,
    pub(crate) group: HardState,
    pub(crate) term: u64,
    pub(crate) index: u64,
    /// What lies before in the log is void.
    pub(crate) log_from: Lsn,
    pub(crate) piece_bytes: usize,
    /// Who belongs to the group there.
    pub(crate) group_members: GroupMembers,
}

impl PartitionState {
    /// Begins a snapshot of the state as it is now. One that is under way is given up.
    pub(crate) fn begin_capture(&mut self, at: TakenAt) {
        let account = |(account, fates): &(_, crate::state::fates::AccountFates)| AccountImage {
            account: *account,
            first: fates.first(),
            count: fates.last() + 1 - fates.first(),
            acknowledged: fates.acknowledged,
            forgotten: fates.forgotten,
        };
        let generations = self.keys.generation_images();
        let (collected, known) = self.handsets.images();
        let generation = generations.first().map_or(0, |oldest| oldest.number);
        let generations_end = generation + generations.len() as u64;
        let head = Head {
            cluster: at.cluster,
            node: at.node,
            partitions: at.partitions,
            group: at.group,
            term: at.term,
            index: at.index,
            time: self.time,
            last_id: self.last_id,
            strayed: self.strayed,
            finished_first: self.finished_first,
            finished_count: self.finished.len() as u64,
            accounts: self.fates.all().iter().map(account).collect(),
            generations,
            shares: self.keys.share_images(),
            parked: self.parked.all().copied().collect(),
            collected,
            known,
            log_from: at.log_from,
            voters: at.group_members.voters,
            learners: at.group_members.learners,
            members: self.members.to_records(self.time),
        };
        self.epoch = self.epoch.wrapping_add(1);
        self.capture = Some(Box::new(Capture {
            writer: Writer::new(&head),
            piece_bytes: at.piece_bytes,
            epoch: self.epoch,
            slot: 0,
            slots_end: self.messages.slots_len(),
            generation,
            key_slot: 0,
            generations_end,
        }));
    }

    /// Gives the snapshot up that is being taken.
    pub(crate) fn give_up_capture(&mut self) {
        self.capture = None;
    }

    /// The image of a message that is about to change or to be forgotten, if the snapshot does not have it yet.
    pub(crate) fn keep_image(&mut self, slot: u32) {
        if let Some(capture) = &mut self.capture {
            capture.push(self.messages.at_mut(slot));
        }
    }

    /// The next piece of the snapshot that is being taken, after a step of bounded length: `None` while there is too little
    /// for one, and when all have been taken ([`PartitionState::is_captured`]).
    pub(crate) fn take_piece(&mut self) -> Option<Vec<u8>> {
        self.walk_keys();
        self.walk_messages();
        let capture = self.capture.as_mut()?;
        let is_due = capture.is_over()
            || capture.writer.open_bytes() >= capture.piece_bytes
            || capture.writer.open_generation().is_some_and(|open| open != capture.generation);
        if is_due { capture.writer.take_piece() } else { None }
    }

    fn walk_keys(&mut self) {
        let Some(capture) = &mut self.capture else { return };
        while capture.generation < capture.generations_end {
            let other = capture.writer.open_generation().is_some_and(|open| open != capture.generation);
            if other || capture.writer.open_bytes() >= capture.piece_bytes {
                return;
            }
            let slots = capture.key_slot..capture.key_slot + SNAPSHOT_SLOTS_PER_STEP as usize;
            let Some(keys) = self.keys.key_images(capture.generation, slots.clone()) else {
                (capture.generation, capture.key_slot) = (capture.generation + 1, 0);
                continue;
            };
            keys.for_each(|key| capture.writer.push_key(capture.generation, &key));
            capture.key_slot = slots.end;
        }
    }

    fn walk_messages(&mut self) {
        let Some(capture) = &mut self.capture else { return };
        let step_end = capture.slots_end.min(capture.slot.saturating_add(SNAPSHOT_SLOTS_PER_STEP));
        while capture.slot < step_end && capture.writer.open_bytes() < capture.piece_bytes {
            let message = self.messages.at_mut(capture.slot);
            if message.id.0 != 0 {
                capture.push(message);
            }
            capture.slot += 1;
        }
    }

    /// Whether all pieces but the last have been taken.
    pub(crate) fn is_captured(&self) -> bool {
        let is_whole = |capture: &Capture| capture.is_over() && capture.writer.is_empty();
        self.capture.as_deref().is_some_and(is_whole)
    }

    /// The last piece of the snapshot, which is over with it.
    pub(crate) fn end_capture(&mut self) -> Vec<u8> {
        self.capture.take().expect("a snapshot was begun").writer.end()
    }
}
