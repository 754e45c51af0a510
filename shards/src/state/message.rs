//! One message as a partition holds it.

use wire::id::{AccountId, CarrierId, Class, MessageId};
use wire::msisdn::Msisdn;
use wire::time::WallMs;

use crate::api::{Fate, MessageView, Sender, State, Why};
use crate::cut::Cut;
use crate::state::digest::Digest;
use crate::state::trace::Trace;

/// Where one segment of a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PartState {
    /// No carrier has it.
    #[default]
    Waiting,
    /// Handed to a link, unanswered.
    InFlight,
    /// May have left.
    InDoubt,
    /// A carrier has it.
    Accepted,
    /// A receipt says that it arrived.
    Delivered,
    /// A carrier refused it for good, or a receipt says that it did not arrive. The fate that this makes.
    Lost(Fate),
}

impl PartState {
    /// Its number in a snapshot.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::InFlight => 1,
            Self::InDoubt => 2,
            Self::Accepted => 3,
            Self::Delivered => 4,
            Self::Lost(fate) => 16 + fate as u8,
        }
    }

    /// The state of a number.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Waiting,
            1 => Self::InFlight,
            2 => Self::InDoubt,
            3 => Self::Accepted,
            4 => Self::Delivered,
            _ => Self::Lost(Fate::from_byte(code.checked_sub(16)?)?),
        })
    }
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) state: PartState,
    /// The hash of the carrier's canonical id; 0 while there is none.
    pub(crate) receipt: u64,
    /// The carrier that gave the id: parts of a message can have been taken by several.
    pub(crate) named_by: CarrierId,
}

impl Default for Part {
    fn default() -> Self {
        Self { state: PartState::Waiting, receipt: 0, named_by: CarrierId(0) }
    }
}

/// The segments. Nearly all messages have one, which lies in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    One([Part; 1]),
    Many(Box<[Part]>),
}

impl Parts {
    pub(crate) fn new(count: u8) -> Self {
        assert!(count > 0, "a message has at least one segment");
        if count == 1 {
            Self::One([Part::default()])
        } else {
            Self::Many(vec![Part::default(); usize::from(count)].into_boxed_slice())
        }
    }

    pub(crate) fn all(&self) -> &[Part] {
        match self {
            Self::One(part) => part,
            Self::Many(parts) => parts,
        }
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Part] {
        match self {
            Self::One(part) => part,
            Self::Many(parts) => parts,
        }
    }

    /// The segments in a state, one bit each.
    pub(crate) fn mask(&self, state: PartState) -> u32 {
        let bits = self.all().iter().enumerate().filter(|(_, part)| part.state == state);
        bits.fold(0, |mask, (place, _)| mask | 1 << place)
    }
}

/// What a message needs to be sent; given up when a carrier has all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    sender_bytes: u8,
    bytes: Vec<u8>,
}

impl Content {
    pub(crate) fn set(&mut self, sender: &[u8], text: &[u8]) {
        self.sender_bytes = u8::try_from(sender.len()).expect("a sender is checked where it comes in");
        self.bytes.clear();
        self.bytes.extend_from_slice(sender);
        self.bytes.extend_from_slice(text);
    }

    pub(crate) fn sender(&self) -> &[u8] {
        &self.bytes[..usize::from(self.sender_bytes)]
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.bytes[usize::from(self.sender_bytes)..]
    }
}

/// A message, open or over.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) recipient: Msisdn,
    /// Its sender, which outlives its content: whoever is told its fate is told whose message it was.
    pub(crate) sender: Sender,
    /// When sending ends.
    pub(crate) send_until: WallMs,
    /// When its fate is decided at the latest.
    pub(crate) deadline: WallMs,
    /// Queued: when it may be tried. Doubtful: when the doubt is settled. Over: when that was.
    pub(crate) due: WallMs,
    /// Over: its place among its account's fates.
    pub(crate) fate_sequence: u64,
    /// Over: its place among all of the partition that are.
    pub(crate) finished: u64,
    pub(crate) account: AccountId,
    /// Of the last attempt.
    pub(crate) carrier: CarrierId,
    /// The number of the last attempt; 0 before the first.
    pub(crate) attempt: u16,
    pub(crate) class: Class,
    pub(crate) alphabet: u8,
    /// How its text is cut into its parts.
    pub(crate) cut: Cut,
    /// Over: why.
    pub(crate) why: Why,
    /// The last error that a carrier named, as a status or in a receipt; 0 is none.
    pub(crate) code: u32,
    pub(crate) state: State,
    /// The last snapshot that has it, or that began before it came.
    pub(crate) epoch: u16,
    /// An attempt of it was doubtful, and it was queued again: whatever comes, nobody can say that it did not leave.
    pub(crate) may_have_left: bool,
    /// It came from a handset: `recipient` is the handset, `sender` our number, `attempt` how many parts it has, and `code`
    /// which of them did not come, one bit each. It is over from its first moment.
    pub(crate) is_received: bool,
    pub(crate) parts: Parts,
    pub(crate) content: Content,
    pub(crate) trace: Trace,
}

impl Message {
    /// An empty slot's message; [`Message::reset`] makes it one.
    pub(crate) fn vacant() -> Self {
        Self {
            id: MessageId(0),
            recipient: Msisdn::parse(b"0").expect("a digit"),
            sender: Sender::default(),
            send_until: WallMs(0),
            deadline: WallMs(0),
            due: WallMs(0),
            fate_sequence: 0,
            finished: 0,
            account: AccountId(0),
            carrier: CarrierId(0),
            attempt: 0,
            class: Class::Transactional,
            alphabet: 0,
            cut: Cut::DEFAULT,
            why: Why::None,
            code: 0,
            state: State::Queued,
            epoch: 0,
            may_have_left: false,
            is_received: false,
            parts: Parts::One([Part::default()]),
            content: Content::default(),
            trace: Trace::default(),
        }
    }

    /// Becomes the message of an acceptance; the buffers of the slot's last message are used again.
    pub(crate) fn reset(&mut self, accepted: &wal::record::Accepted<'_>, at: WallMs) {
        self.id = accepted.id;
        self.recipient = accepted.recipient;
        self.sender = Sender::new(accepted.sender);
        self.send_until = WallMs(accepted.send_until_ms);
        self.deadline = WallMs(accepted.deadline_ms);
        self.due = at;
        self.fate_sequence = 0;
        self.finished = 0;
        self.account = accepted.account;
        self.carrier = CarrierId(0);
        self.attempt = 0;
        self.class = accepted.class;
        self.alphabet = accepted.alphabet;
        self.cut = Cut::DEFAULT;
        self.why = Why::None;
        self.code = 0;
        self.state = State::Queued;
        self.may_have_left = false;
        self.is_received = false;
        self.parts = Parts::new(accepted.segments.max(1));
        self.content.set(accepted.sender, accepted.text);
        self.trace.restart();
    }

    /// Whether no carrier has anything of it: then it may be cut anew.
    pub(crate) fn is_whole(&self) -> bool {
        self.parts.all().iter().all(|part| part.state == PartState::Waiting)
    }

    /// Becomes the message of a handset.
    pub(crate) fn reset_received(&mut self, received: &wal::record::Received<'_>, at: WallMs) {
        let mut digits = [0; wire::msisdn::DIGITS_MAX];
        let number = received.destination.write_digits(&mut digits);
        self.id = received.id;
        self.recipient = received.source;
        self.sender = Sender::new(number);
        self.send_until = at;
        self.deadline = at;
        self.due = at;
        self.fate_sequence = 0;
        self.finished = 0;
        self.account = received.account;
        self.carrier = received.carrier;
        self.attempt = u16::from(received.parts);
        self.class = Class::Transactional;
        self.alphabet = 0;
        self.cut = Cut::DEFAULT;
        self.why = Why::None;
        self.code = received.missing;
        self.state = State::Final(Fate::Delivered);
        self.may_have_left = false;
        self.is_received = true;
        self.parts = Parts::new(1);
        self.content.set(number, received.text);
        self.trace.restart();
    }

    /// How many segments it has.
    pub(crate) fn segments(&self) -> u8 {
        u8::try_from(self.parts.all().len()).expect("at most SEGMENTS_MAX")
    }

    /// The state that its parts make, once its attempt has nothing in flight any more; final ones come from records.
    pub(crate) fn state_of_parts(&self) -> State {
        let has = |state| self.parts.all().iter().any(|part| part.state == state);
        if has(PartState::InFlight) {
            State::Attempting
        } else if has(PartState::InDoubt) {
            State::Doubtful
        } else if has(PartState::Waiting) {
            State::Queued
        } else {
            State::Sent
        }
    }

    /// The fate that its parts make: when one is lost and none is under way, or when all have arrived.
    pub(crate) fn fate_of_parts(&self) -> Option<Fate> {
        let parts = self.parts.all();
        if parts.iter().all(|part| part.state == PartState::Delivered) {
            return Some(Fate::Delivered);
        }
        // A part that is in flight or in doubt may still be answered: its evidence belongs to this message.
        if parts.iter().any(|part| matches!(part.state, PartState::InFlight | PartState::InDoubt)) {
            return None;
        }
        parts.iter().find_map(|part| if let PartState::Lost(fate) = part.state { Some(fate) } else { None })
    }

    /// It may be tried again then; but while a segment is in doubt, not before that is settled.
    pub(crate) fn retry_at(&mut self, at: WallMs) {
        let in_doubt = self.parts.mask(PartState::InDoubt) != 0;
        self.due = if in_doubt { self.due.max(at) } else { at };
    }

    /// Whether no carrier can have anything of it: all that was tried was refused, or taken back before it was written.
    pub(crate) fn has_never_left(&self) -> bool {
        !self.may_have_left && self.parts.all().iter().all(|part| part.state == PartState::Waiting)
    }

    pub(crate) fn is_final(&self) -> bool {
        matches!(self.state, State::Final(_))
    }

    pub(crate) fn view(&self) -> MessageView {
        MessageView {
            id: self.id,
            state: self.state,
            recipient: self.recipient,
            sender: self.sender,
            class: self.class,
            segments: self.segments(),
            send_until: self.send_until,
            trace: self.trace.steps(),
        }
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.wide(self.id.0);
        digest.number(self.recipient.to_word());
        digest.number(self.send_until.0);
        digest.number(self.deadline.0);
        digest.number(self.due.0);
        digest.number(self.fate_sequence);
        digest.number(self.finished);
        digest.number(u64::from(self.account.0) << 32 | u64::from(self.carrier.0));
        digest.number(
            u64::from(self.attempt) << 32
                | u64::from(self.state.code()) << 8
                | u64::from(self.cut.beside(self.alphabet)),
        );
        digest.number(
            u64::from(self.code) << 10
                | u64::from(self.is_received) << 9
                | u64::from(self.may_have_left) << 8
                | self.why as u64,
        );
        for part in self.parts.all() {
            digest.number(u64::from(part.state.code()));
            digest.number(part.receipt);
            digest.number(u64::from(part.named_by.0));
        }
        digest.bytes(self.sender.as_bytes());
        digest.bytes(&self.content.bytes);
        digest.bytes(self.trace.bytes());
    }
}
