//! One connection between a shard here and a shard of another node, as a machine over bytes.
//!
//! ```text
//!   greeting ── both hellos fit ──▶ open ── silence, damage, a refusal ──▶ over
//! ```
//!
//! What is open carries three things side by side. *Light* messages of groups (votes, heartbeats, acknowledgements) and words of the
//! brains always go; *heavy* ones, with entries, and pieces of states spend credit, so that they never stand in front of more than the
//! other side has room for. A frame takes all that is light, then what is heavy, then one piece.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use wire::id::{NodeId, Partition};
use wire::time::Instant;

use super::StreamError;
use super::header::{HEADER_BYTES, Header, Kind, seal};
use super::hello::Hello;
use super::pieces::{Incoming, Outgoing};
use crate::limits::{
    CREDIT_BYTES, FRAME_BYTES_MAX, FRAME_BYTES_WANTED, INSTALLS_WAITING_MAX, KEEP_ALIVE, QUEUED_BYTES_MAX,
    QUEUED_LIGHT_MAX, REFUSAL_BYTES_MAX, SILENCE_MAX, WORDS_BYTES_MAX,
};
use crate::message::{Install, Message};

/// What a session has for its node.
#[derive(Debug)]
pub(super) enum Heard {
    /// The other side is who it should be: from now on both may send.
    Open(Hello),
    /// A message of a group.
    Message(Partition, Message),
    /// A word of the other brain.
    Word(Bytes),
    /// A partition's state, whole.
    Install(Partition, Install),
    /// The other side is not who it should be, and is told so.
    Unfit(String),
    /// The other side does not speak with this node, and says why.
    Refused(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Open,
    /// The refusal is to be sent, and nothing else is heard or said.
    Over,
}

#[derive(Debug)]
pub(super) struct Session {
    own: Hello,
    dialled: Option<NodeId>,
    stage: Stage,
    input: BytesMut,
    next_in: u32,
    next_out: u32,
    /// Our hello waits to be sent.
    greets: bool,
    refusal: Option<String>,
    /// What may be sent of what is heavy. One frame may go below 0.
    credit: i64,
    /// What the other side may still send of it.
    allowed: i64,
    /// What was consumed and not granted again.
    owed: u32,
    /// Credit is granted: there is room for more.
    has_room: bool,
    light: VecDeque<(Partition, Message)>,
    heavy: VecDeque<(Partition, Message)>,
    heavy_bytes: usize,
    words: VecDeque<Bytes>,
    words_bytes: usize,
    installs: VecDeque<Outgoing>,
    incoming: Option<Incoming>,
    heard: VecDeque<(u32, Heard)>,
    heard_at: Instant,
    spoke_at: Instant,
}

impl Session {
    /// A connection that is there. Who dialled says so, and speaks first.
    pub(super) fn new(now: Instant, own: Hello, dialled: Option<NodeId>) -> Self {
        let credit = i64::from(CREDIT_BYTES);
        Self {
            own,
            dialled,
            stage: Stage::Greeting,
            input: BytesMut::new(),
            next_in: 0,
            next_out: 0,
            greets: dialled.is_some(),
            refusal: None,
            credit,
            allowed: credit,
            owed: 0,
            has_room: true,
            light: VecDeque::new(),
            heavy: VecDeque::new(),
            heavy_bytes: 0,
            words: VecDeque::new(),
            words_bytes: 0,
            installs: VecDeque::new(),
            incoming: None,
            heard: VecDeque::new(),
            heard_at: now,
            spoke_at: now,
        }
    }

    /// Bytes came.
    ///
    /// # Errors
    /// When they are none of this stream: the connection is of no more use.
    pub(super) fn handle_received(&mut self, now: Instant, bytes: &[u8]) -> Result<(), StreamError> {
        self.heard_at = now;
        self.input.extend_from_slice(bytes);
        while self.stage != Stage::Over {
            let Some(header) = Header::read(&self.input)? else { break };
            if self.input.len() < HEADER_BYTES + header.bytes {
                break;
            }
            self.input.advance(HEADER_BYTES);
            let body = self.input.split_to(header.bytes).freeze();
            if header.number != self.next_in {
                return Err(StreamError::Number { expected: self.next_in, found: header.number });
            }
            self.next_in = self.next_in.wrapping_add(1);
            header.check(&body)?;
            self.credit += i64::from(header.granted);
            self.hear(header.kind, &body)?;
        }
        Ok(())
    }

    fn hear(&mut self, kind: Kind, body: &Bytes) -> Result<(), StreamError> {
        match (self.stage, kind) {
            (_, Kind::Refusal) => {
                self.stage = Stage::Over;
                let words = String::from_utf8_lossy(&body[..body.len().min(REFUSAL_BYTES_MAX)]).into_owned();
                self.heard.push_back((0, Heard::Refused(words)));
                Ok(())
            }
            (Stage::Greeting, Kind::Hello) => {
                match self.own.meet(body, self.dialled)? {
                    Ok(theirs) => {
                        self.stage = Stage::Open;
                        self.greets |= self.dialled.is_none();
                        self.heard.push_back((0, Heard::Open(theirs)));
                    }
                    Err(mismatch) => {
                        self.heard.push_back((0, Heard::Unfit(mismatch.to_string())));
                        self.refuse(mismatch.to_string());
                    }
                }
                Ok(())
            }
            (Stage::Greeting, _) => Err(StreamError::NoHello),
            (Stage::Open, Kind::Messages) => self.hear_messages(body.clone()),
            (Stage::Open, Kind::Words) => self.hear_words(body.clone()),
            (Stage::Open, Kind::Piece) => self.hear_piece(body),
            (Stage::Open, Kind::Credit) => Ok(()),
            (_, Kind::Hello) | (Stage::Over, _) => Err(StreamError::Twice),
        }
    }

    fn hear_messages(&mut self, mut body: Bytes) -> Result<(), StreamError> {
        while !body.is_empty() {
            let bytes = Message::bytes_of(&body).filter(|&bytes| bytes <= body.len());
            let frame = body.split_to(bytes.ok_or(StreamError::Cut)?);
            let (partition, message) = Message::decode(&frame).map_err(StreamError::Message)?;
            let cost = if message.is_heavy() { frame.len() } else { 0 };
            self.spend(cost, Heard::Message(partition, message))?;
        }
        Ok(())
    }

    fn hear_words(&mut self, mut body: Bytes) -> Result<(), StreamError> {
        while !body.is_empty() {
            let length = body.try_get_u32_le().map_err(|_| StreamError::Cut)? as usize;
            if length > body.len() {
                return Err(StreamError::Cut);
            }
            self.heard.push_back((0, Heard::Word(body.split_to(length))));
        }
        Ok(())
    }

    fn hear_piece(&mut self, body: &Bytes) -> Result<(), StreamError> {
        let cost = u32::try_from(body.len()).expect("a frame is bounded");
        self.allowed -= i64::from(cost);
        // A piece is consumed when it lies with those before it.
        self.owed += cost;
        if let Some((partition, install)) = Incoming::take(&mut self.incoming, body)? {
            self.heard.push_back((0, Heard::Install(partition, install)));
        }
        self.keeps_to_credit()
    }

    fn spend(&mut self, cost: usize, heard: Heard) -> Result<(), StreamError> {
        let cost = u32::try_from(cost).expect("a frame is bounded");
        self.allowed -= i64::from(cost);
        self.heard.push_back((cost, heard));
        self.keeps_to_credit()
    }

    fn keeps_to_credit(&self) -> Result<(), StreamError> {
        let least = -i64::try_from(FRAME_BYTES_MAX).expect("a frame is bounded");
        if self.allowed < least { Err(StreamError::Credit { beyond: -self.allowed }) } else { Ok(()) }
    }

    /// What was heard, in order; taking it makes room for more.
    pub(super) fn poll(&mut self) -> Option<Heard> {
        let (cost, heard) = self.heard.pop_front()?;
        self.owed += cost;
        Some(heard)
    }

    /// Whether there is room for more of what is heavy.
    pub(super) const fn set_room(&mut self, has_room: bool) {
        self.has_room = has_room;
    }

    /// Says why this node does not speak with the other; nothing else is said any more.
    pub(super) fn refuse(&mut self, words: String) {
        self.stage = Stage::Over;
        self.refusal = Some(words);
    }

    /// Whether messages may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether nothing more is to be said or heard: the connection is to be closed when its bytes are sent.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over && self.refusal.is_none()
    }

    /// A message of a group is to be sent. `false`: too much waits already, and this one is dropped, as Raft allows.
    pub(super) fn push_message(&mut self, partition: Partition, message: Message) -> bool {
        if !message.is_heavy() {
            // The oldest are the least worth: whatever they said is said again.
            if self.light.len() >= QUEUED_LIGHT_MAX {
                self.light.pop_front();
            }
            self.light.push_back((partition, message));
            return true;
        }
        let bytes = message.entries_bytes();
        if !self.heavy.is_empty() && self.heavy_bytes + bytes > QUEUED_BYTES_MAX {
            return false;
        }
        self.heavy_bytes += bytes;
        self.heavy.push_back((partition, message));
        true
    }

    /// A word is to be said. `false`: too much waits.
    pub(super) fn push_word(&mut self, word: Bytes) -> bool {
        if self.words_bytes + word.len() > WORDS_BYTES_MAX {
            return false;
        }
        self.words_bytes += word.len();
        self.words.push_back(word);
        true
    }

    /// A partition's state is to be sent, piece by piece, behind those that wait. `false`: too many wait; the member asks again.
    pub(super) fn push_install(&mut self, partition: Partition, install: Install) -> bool {
        let has_room = self.installs.len() < INSTALLS_WAITING_MAX;
        if has_room {
            self.installs.push_back(Outgoing::new(partition, install));
        }
        has_room
    }

    /// Appends what is to be sent now, about as much as is wanted. `true` when there was something.
    pub(super) fn poll_output(&mut self, now: Instant, wanted: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        if self.greets && self.refusal.is_none() {
            self.greets = false;
            self.put(out, Kind::Hello, |this, out| this.own.encode(out));
        }
        while self.stage == Stage::Open && out.len() - start < wanted {
            let before = out.len();
            if !self.light.is_empty() || self.may_send_heavy() {
                self.put(out, Kind::Messages, Self::put_messages);
            }
            if !self.words.is_empty() {
                self.put(out, Kind::Words, Self::put_words);
            }
            if self.credit > 0 && !self.installs.is_empty() {
                self.put(out, Kind::Piece, Self::put_piece);
            }
            if out.len() == before {
                break;
            }
        }
        let grants = self.has_room && self.owed >= CREDIT_BYTES / 4;
        if self.stage == Stage::Open && (grants || now >= self.spoke_at.plus(KEEP_ALIVE)) {
            self.put(out, Kind::Credit, |_, _| {});
        }
        if let Some(words) = self.refusal.take() {
            self.put(out, Kind::Refusal, |_, out| {
                out.extend_from_slice(&words.as_bytes()[..words.len().min(REFUSAL_BYTES_MAX)]);
            });
        }
        let has_some = out.len() > start;
        if has_some {
            self.spoke_at = now;
        }
        has_some
    }

    fn may_send_heavy(&self) -> bool {
        self.credit > 0 && !self.heavy.is_empty()
    }

    /// One frame. Every one carries the credit that is owed.
    fn put(&mut self, out: &mut Vec<u8>, kind: Kind, body: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        body(self, out);
        let granted = if self.has_room { core::mem::take(&mut self.owed) } else { 0 };
        self.allowed += i64::from(granted);
        seal(out, start, kind, self.next_out, granted);
        self.next_out = self.next_out.wrapping_add(1);
    }

    fn put_messages(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        let is_full = |out: &Vec<u8>| out.len() - start >= FRAME_BYTES_WANTED;
        while !is_full(out)
            && let Some((partition, message)) = self.light.pop_front()
        {
            message.encode(partition, out);
        }
        while !is_full(out)
            && self.credit > 0
            && let Some((partition, message)) = self.heavy.pop_front()
        {
            self.heavy_bytes -= message.entries_bytes();
            let before = out.len();
            message.encode(partition, out);
            self.credit -= i64::try_from(out.len() - before).expect("a message is bounded");
        }
    }

    fn put_words(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        while out.len() - start < FRAME_BYTES_WANTED
            && let Some(word) = self.words.pop_front()
        {
            self.words_bytes -= word.len();
            let length = u32::try_from(word.len()).expect("a word is bounded");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&word);
        }
    }

    fn put_piece(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        let first = self.installs.front_mut().expect("somebody looked");
        if first.put_piece(out) {
            self.installs.pop_front();
        }
        self.credit -= i64::try_from(out.len() - start).expect("a piece is bounded");
    }

    /// When [`Session::poll_output`] has something to say by time alone, or [`Session::is_silent`].
    pub(super) fn timeout(&self) -> Instant {
        let silent = self.heard_at.plus(SILENCE_MAX);
        if self.stage == Stage::Open { silent.min(self.spoke_at.plus(KEEP_ALIVE)) } else { silent }
    }

    /// Whether nothing was heard for so long that the connection is taken for gone.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        now >= self.heard_at.plus(SILENCE_MAX)
    }
}
