//! Requests that wait for their response: from a sequence number to the caller's token, in constant time.
//!
//! A slot is `sequence & mask`, and numbers whose slot is taken are skipped when a new one is drawn, so that a look-up
//! is one array access and a number in flight is never drawn again, also after 0x7FFFFFFF has wrapped to 1
//! (SMPP 3.4 §3.2). All requests have the same response timer; so the list in order of sending is also the list in
//! order of deadlines, and no heap is needed. Those whose time is over move to a second list, for late responses.
//!
//! ```text
//! slots   [ 17 | -- | 3 | -- | … ]     index = sequence & mask
//! open    3 → 17 → …                    oldest first
//! late    …                             oldest first, at most half a window
//! ```

use crate::time::Instant;

use super::super::command::Sequence;
use super::super::limits::SEQUENCE_MAX;
use super::event::RequestKind;

/// A request that was queued and has had no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) token: u64,
    pub(super) kind: RequestKind,
    pub(super) deadline: Instant,
    /// The offset in the output stream where its PDU ends.
    pub(super) end: u64,
}

/// What a response's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Open(Request),
    Late(Request),
    /// In flight, but a request of another kind; it stays.
    Mistyped,
    Unknown,
}

const NONE: u32 = u32::MAX;
/// No request has this number (§3.2), so it marks a free slot.
const FREE: u32 = 0;

#[derive(Clone, Copy, Debug)]
struct Slot {
    sequence: u32,
    previous: u32,
    next: u32,
    is_late: bool,
    request: Request,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    count: u32,
}

impl List {
    const EMPTY: Self = Self { first: NONE, last: NONE, count: 0 };
}

/// Belongs to one session.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[Slot]>,
    mask: u32,
    next_sequence: u32,
    /// Numbers of `enquire_link`, `bind` and `unbind` in flight, which have no slot; zero for none.
    control: [u32; 2],
    open: List,
    late: List,
    open_max: u32,
    late_max: u32,
}

/// The two PDUs of the session itself that can be in flight at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    EnquireLink,
    /// Never both.
    BindOrUnbind,
}

impl Table {
    pub(super) fn new(window_pdus_max: u32, first: Sequence) -> Self {
        assert!(window_pdus_max > 0 && window_pdus_max <= super::super::limits::WINDOW_PDUS_MAX);
        // At most three quarters of the slots are taken, so a free one is near.
        let slots = (window_pdus_max * 2).next_power_of_two();
        let request = Request { token: 0, kind: RequestKind::Submit, deadline: Instant::FAR_FUTURE, end: 0 };
        let slot = Slot { sequence: FREE, previous: NONE, next: NONE, is_late: false, request };
        Self {
            slots: vec![slot; usize::try_from(slots).unwrap_or(usize::MAX)].into_boxed_slice(),
            mask: slots - 1,
            next_sequence: first.0.clamp(1, SEQUENCE_MAX),
            control: [FREE; 2],
            open: List::EMPTY,
            late: List::EMPTY,
            open_max: window_pdus_max,
            late_max: window_pdus_max / 2,
        }
    }

    /// Requests in flight, those that are late not among them.
    pub(super) const fn open_count(&self) -> u32 {
        self.open.count
    }

    pub(super) const fn room(&self) -> u32 {
        self.open_max - self.open.count
    }

    /// When the oldest request's time is over.
    pub(super) fn first_deadline(&self) -> Option<Instant> {
        (self.open.first != NONE).then(|| self.slot(self.open.first).request.deadline)
    }

    /// The number that the next request will have.
    #[inline]
    pub(super) fn draw(&mut self) -> Sequence {
        loop {
            let sequence = self.next_sequence;
            let free = self.slot(sequence & self.mask).sequence == FREE;
            if free && !self.control.contains(&sequence) {
                return Sequence(sequence);
            }
            self.next_sequence = after(sequence);
        }
    }

    /// Puts the request that was sent with the number of [`Table::draw`] in flight. The caller has asked for
    /// [`Table::room`].
    #[inline]
    pub(super) fn open(&mut self, sequence: Sequence, request: Request) {
        assert!(sequence.0 == self.next_sequence, "a request is opened with the number drawn last");
        assert!(self.open.count < self.open_max, "the window has room");
        self.next_sequence = after(sequence.0);
        let at = sequence.0 & self.mask;
        let previous = self.open.last;
        let slot = self.slot_mut(at);
        assert!(slot.sequence == FREE, "a number in flight is not drawn again");
        *slot = Slot { sequence: sequence.0, previous, next: NONE, is_late: false, request };
        Self::append(&mut self.slots, &mut self.open, at);
    }

    /// Draws a number for a PDU of the session itself.
    pub(super) fn open_control(&mut self, control: Control) -> Sequence {
        let sequence = self.draw();
        self.next_sequence = after(sequence.0);
        self.control[control as usize] = sequence.0;
        sequence
    }

    /// Draws a number for a PDU that has no response.
    pub(super) fn draw_unanswered(&mut self) -> Sequence {
        let sequence = self.draw();
        self.next_sequence = after(sequence.0);
        sequence
    }

    /// Whether that PDU is in flight.
    pub(super) const fn is_open_control(&self, control: Control) -> bool {
        self.control[control as usize] != FREE
    }

    /// Whether `sequence` is that PDU's, which is then no longer in flight.
    pub(super) fn take_control(&mut self, control: Control, sequence: Sequence) -> bool {
        let is_it = sequence.0 != FREE && self.control[control as usize] == sequence.0;
        if is_it {
            self.control[control as usize] = FREE;
        }
        is_it
    }

    /// Takes what a response answers. `kind` is `None` for `generic_nack`, which answers anything.
    #[inline]
    pub(super) fn take(&mut self, sequence: Sequence, kind: Option<RequestKind>) -> Taken {
        let at = sequence.0 & self.mask;
        let slot = *self.slot(at);
        if slot.sequence != sequence.0 || sequence.0 == FREE {
            return Taken::Unknown;
        }
        if kind.is_some_and(|kind| kind != slot.request.kind) {
            return Taken::Mistyped;
        }
        self.remove(at);
        if slot.is_late { Taken::Late(slot.request) } else { Taken::Open(slot.request) }
    }

    /// The oldest request, if its time is over by `now`. It is remembered until `late_until`.
    pub(super) fn expire(&mut self, now: Instant, late_until: Instant) -> Option<Request> {
        let at = self.open.first;
        if at == NONE || self.slot(at).request.deadline > now {
            return None;
        }
        let expired = *self.slot(at);
        self.remove(at);
        if self.late_max > 0 {
            if self.late.count == self.late_max {
                self.remove(self.late.first);
            }
            let request = Request { deadline: late_until, ..expired.request };
            let previous = self.late.last;
            *self.slot_mut(at) = Slot { previous, next: NONE, is_late: true, request, ..expired };
            Self::append(&mut self.slots, &mut self.late, at);
        }
        Some(expired.request)
    }

    /// Forgets late requests whose memory is over.
    pub(super) fn forget_late(&mut self, now: Instant) {
        while self.late.first != NONE && self.slot(self.late.first).request.deadline <= now {
            self.remove(self.late.first);
        }
    }

    /// Takes the oldest request in flight, whatever its time.
    pub(super) fn take_first(&mut self) -> Option<Request> {
        let at = self.open.first;
        if at == NONE {
            return None;
        }
        let request = self.slot(at).request;
        self.remove(at);
        Some(request)
    }

    #[inline]
    fn slot(&self, at: u32) -> &Slot {
        &self.slots[at as usize]
    }

    #[inline]
    fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.slots[at as usize]
    }

    /// Links a slot, whose `previous` is already the list's last, at the end.
    #[inline]
    fn append(slots: &mut [Slot], list: &mut List, at: u32) {
        match list.last {
            NONE => list.first = at,
            last => slots[last as usize].next = at,
        }
        list.last = at;
        list.count += 1;
    }

    #[inline]
    fn remove(&mut self, at: u32) {
        let Slot { previous, next, is_late, .. } = *self.slot(at);
        self.slot_mut(at).sequence = FREE;
        if previous != NONE {
            self.slot_mut(previous).next = next;
        }
        if next != NONE {
            self.slot_mut(next).previous = previous;
        }
        let list = if is_late { &mut self.late } else { &mut self.open };
        if list.first == at {
            list.first = next;
        }
        if list.last == at {
            list.last = previous;
        }
        list.count -= 1;
    }
}

const fn after(sequence: u32) -> u32 {
    if sequence >= SEQUENCE_MAX { 1 } else { sequence + 1 }
}
