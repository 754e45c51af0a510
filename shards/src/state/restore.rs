//! The state of a partition from its snapshot.

use std::collections::VecDeque;

use wal::snapshot::{AccountImage, Head, MessageImage, PartImages, Piece, Pieces, SnapshotError};
use wire::id::{AccountId, Partition};

use crate::api::{Sender, State, Why};
use crate::cut::Cut;
use crate::members::Members;
use crate::state::fates::{AccountFates, Fates};
use crate::state::handsets::Handsets;
use crate::state::keys::Keys;
use crate::state::message::{Part, PartState, Parts};
use crate::state::{PartitionState, Retention};

/// Why a snapshot cannot be a partition's state.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is damaged, or of a newer program.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It is whole and makes no sense: it was written by another program, or by a bug of ours.
    #[error("snapshot of partition {}: {what} cannot be", partition.0)]
    Meaning {
        /// Whose snapshot.
        partition: Partition,
        /// What makes no sense.
        what: &'static str,
    },
}

/// What is known only when all images have been read.
#[derive(Debug, Default)]
struct Order {
    /// Messages that are over: their number and slot.
    finished: Vec<(u64, u32)>,
    /// Fates that are not acknowledged: account, number and slot.
    fates: Vec<(AccountId, u64, u32)>,
}

impl PartitionState {
    /// The state of a snapshot, and its head.
    ///
    /// # Errors
    /// When the bytes are not a whole snapshot of this partition.
    pub(crate) fn restore(
        partition: Partition,
        retention: Retention,
        bytes: &[u8],
    ) -> Result<(Self, Head), RestoreError> {
        let wrong = |what| RestoreError::Meaning { partition, what };
        let mut state = Self::new(partition, retention);
        let (mut head, mut order) = (None, Order::default());
        for piece in Pieces::new(partition, bytes) {
            match piece? {
                Piece::Head(found) => {
                    state.keys = Keys::restore(&found.generations, &found.shares)
                        .ok_or_else(|| wrong("its key table"))?;
                    state.handsets = Handsets::restore(&found.collected, &found.known)
                        .ok_or_else(|| wrong("parts of handsets' texts"))?;
                    state.members =
                        Members::from_records(&found.members).ok_or_else(|| wrong("its table of members"))?;
                    head = Some(*found);
                }
                Piece::Messages(images) => {
                    for (image, parts) in images {
                        state.restore_message(&image, parts, &mut order).ok_or_else(|| wrong("a message"))?;
                    }
                }
                Piece::Keys { generation, mut keys } => {
                    if !keys.all(|key| state.keys.restore_key(generation, &key)) {
                        return Err(wrong("a generation of keys"));
                    }
                }
            }
        }
        let head = head.ok_or_else(|| wrong("a snapshot without a head"))?;
        state.time = head.time;
        state.last_id = head.last_id;
        state.strayed = head.strayed;
        head.parked.iter().for_each(|parked| state.parked.insert(*parked));
        state.restore_finished(&head, order.finished).ok_or_else(|| wrong("the order of what is over"))?;
        state.fates = fates(&head.accounts, order.fates).ok_or_else(|| wrong("the order of fates"))?;
        Ok((state, head))
    }

    fn restore_message(
        &mut self,
        image: &MessageImage<'_>,
        parts: PartImages<'_>,
        order: &mut Order,
    ) -> Option<()> {
        let state = State::from_code(image.state)?;
        let mut restored = Parts::new(u8::try_from(parts.len()).ok().filter(|&count| count > 0)?);
        for (part, image) in restored.all_mut().iter_mut().zip(parts) {
            let state = PartState::from_code(image.state)?;
            *part = Part { state, receipt: image.receipt, named_by: image.named_by };
        }
        if image.id.0 == 0 || self.messages.find(image.id).is_some() {
            return None;
        }
        let mut trace = Some(());
        let slot = self.messages.insert(image.id, |message| {
            message.id = image.id;
            message.recipient = image.recipient;
            message.send_until = image.send_until;
            message.deadline = image.deadline;
            message.due = image.due;
            message.fate_sequence = image.fate_sequence;
            message.finished = image.finished;
            message.account = image.account;
            message.carrier = image.carrier;
            message.attempt = image.attempt;
            message.class = image.class;
            (message.alphabet, message.cut) = Cut::split(image.alphabet);
            message.why = Why::from_byte(image.why);
            message.code = image.code;
            message.state = state;
            message.may_have_left = image.may_have_left;
            message.is_received = image.is_received;
            message.parts = restored;
            message.sender = Sender::new(image.sender);
            // A text that is needed no more was given up together with the sender beside it.
            message.content.set(if image.text.is_empty() { &[] } else { image.sender }, image.text);
            trace = message.trace.restore(image.trace);
        });
        trace?;
        for part in 0..self.messages.at(slot).segments() {
            if self.messages.at(slot).parts.all()[usize::from(part)].receipt != 0 {
                self.messages.restore_name(slot, part);
            }
        }
        if image.is_received {
            self.handsets.wait(image.id, image.account, image.text.len());
            order.fates.push((image.account, image.fate_sequence, slot));
        } else if matches!(state, State::Final(_)) {
            order.finished.push((image.finished, slot));
            order.fates.push((image.account, image.fate_sequence, slot));
        }
        Some(())
    }

    fn restore_finished(&mut self, head: &Head, mut finished: Vec<(u64, u32)>) -> Option<()> {
        finished.sort_unstable();
        let are_all = finished.len() as u64 == head.finished_count;
        let in_order = (head.finished_first..).zip(&finished).all(|(number, found)| found.0 == number);
        self.finished_first = head.finished_first;
        self.finished = finished.into_iter().map(|(_, slot)| slot).collect();
        (are_all && in_order).then_some(())
    }
}

/// The fates of all accounts; those below an account's first are acknowledged.
fn fates(accounts: &[AccountImage], mut found: Vec<(AccountId, u64, u32)>) -> Option<Fates> {
    found.sort_unstable();
    let mut found = found.into_iter().peekable();
    let mut restored = Vec::new();
    for image in accounts {
        let mut slots = VecDeque::new();
        while let Some((_, number, slot)) = found.next_if(|fate| fate.0 == image.account) {
            if number >= image.first {
                slots.push_back((number, slot));
            }
        }
        let last = image.first.checked_add(image.count)?.checked_sub(1)?;
        let fates = AccountFates::restored(last, slots, image.acknowledged, image.forgotten)?;
        // All are forgotten or acknowledged, or the first is what it was.
        (fates.first() == image.first).then_some(())?;
        restored.push((image.account, fates));
    }
    found.next().is_none().then(|| Fates::restore(restored))?
}
