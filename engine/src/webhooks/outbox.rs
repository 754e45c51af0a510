//! What one account's courier has been told and its server does not have yet: which events go together, when, and what is done.
//!
//! ```text
//!   told ─▶ [ letter: what is posted, again and again, word by word │ what waits behind it ]
//!             └─▶ taken: acknowledged, by partition, up to its last of each
//! ```
//!
//! A letter that was not taken stays as it is, under the same id, until it is taken; so a server that has seen it knows it again. Only when
//! its server refuses it (4xx) it is made smaller, down to one event: what is good in it gets through, and what is not is alone. Events are
//! never reordered, and only their retention ends the trying.

use std::collections::{BTreeMap, VecDeque};

use core::time::Duration;
use sha2::{Digest as _, Sha256};
use shards::plan::Plan;
use wire::id::Partition;
use wire::time::{Instant, Now, WallMs};

use super::limits::{POST_BYTES_ENOUGH, POST_EVENTS_MAX, REPEAT};
use super::outcome::{Kind, Outcome, Trouble};
use crate::customers::{ToldEvent, put_event};

/// What is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// Made of the body: who posts the same posts it under the same name, also after a restart.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Vec<u8>,
    /// How many events it has.
    events: usize,
}

#[cfg(test)]
impl Letter {
    /// One of no events, for whoever posts it.
    pub(super) fn test(id: &str, body: &[u8]) -> Self {
        Self { id: id.to_owned(), body: body.to_vec(), events: 0 }
    }
}

/// What a server has, or nobody will tell it any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// The last number of each partition.
    pub(super) positions: Vec<(Partition, u64)>,
    /// How many events the server took.
    pub(super) taken: u64,
    /// How many were not taken while they were kept.
    pub(super) lapsed: u64,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Outbox {
    /// In the order in which they were told; those of the letter first.
    waiting: VecDeque<ToldEvent>,
    letter: Option<Letter>,
    /// Events of the next letter, at most.
    events_max: usize,
    /// Posts in a row that were not taken.
    failures: u32,
    not_before: Instant,
}

impl Outbox {
    /// One that was told nothing.
    pub(super) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            letter: None,
            events_max: POST_EVENTS_MAX,
            failures: 0,
            not_before: Instant(0),
        }
    }

    /// The shard told these.
    pub(super) fn handle_events(&mut self, events: Vec<ToldEvent>) {
        self.waiting.extend(events);
    }

    /// The server is another, or knows us otherwise: it is tried at once.
    pub(super) const fn handle_change(&mut self) {
        self.failures = 0;
        self.events_max = POST_EVENTS_MAX;
        self.not_before = Instant(0);
    }

    /// Lets go what is not kept any more, and says what that is.
    pub(super) fn handle_time(&mut self, now: Now, retention: Duration) -> Option<Done> {
        let is_over = |event: &ToldEvent| event.at().plus(retention) <= now.wall;
        let lapsed = self.waiting.iter().take_while(|event| is_over(event)).count();
        if lapsed == 0 {
            return None;
        }
        self.letter = None;
        let positions = self.let_go(lapsed);
        Some(Done { positions, lapsed: lapsed as u64, taken: 0 })
    }

    /// What is to be posted now, if anything.
    pub(super) fn poll_letter(&mut self, now: Instant, account: &str, plan: &Plan) -> Option<&Letter> {
        if self.waiting.is_empty() || self.not_before > now {
            return None;
        }
        if self.letter.is_none() {
            self.letter = Some(self.write(account, plan));
        }
        self.letter.as_ref()
    }

    /// What became of the letter. `random` spreads the next try, so that those who failed together do not come back together.
    pub(super) fn handle_outcome(&mut self, now: Instant, outcome: &Outcome, random: u64) -> Option<Done> {
        let events = self.letter.as_ref().map_or(0, |letter| letter.events);
        match outcome {
            Outcome::Taken => {
                self.letter = None;
                self.failures = 0;
                self.events_max = (self.events_max * 2).min(POST_EVENTS_MAX);
                let positions = self.let_go(events);
                Some(Done { positions, taken: events as u64, lapsed: 0 })
            }
            Outcome::NotTaken(trouble) => {
                self.not_before = now.plus(self.wait(trouble, random));
                self.failures = self.failures.saturating_add(1);
                if trouble.kind.may_be_about_the_post() && events > 1 {
                    self.events_max = events / 2;
                    self.letter = None;
                }
                None
            }
        }
    }

    /// When there is something to do; `None`: when the next event comes.
    pub(super) fn timeout(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.not_before)
    }

    /// Posts in a row that were not taken.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// How many events wait, and since when the oldest.
    pub(super) fn waiting(&self) -> (usize, Option<WallMs>) {
        (self.waiting.len(), self.waiting.iter().map(ToldEvent::at).min())
    }

    fn wait(&self, trouble: &Trouble, random: u64) -> Duration {
        let (first, longest) = REPEAT;
        let doubled = first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(longest);
        let wait = if trouble.kind == Kind::Gone { longest } else { doubled };
        let half = wait / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        let spread = half + Duration::from_nanos(random % nanos);
        spread.max(trouble.retry_after.unwrap_or_default())
    }

    fn write(&self, account: &str, plan: &Plan) -> Letter {
        let mut body = b"{\"account\":".to_vec();
        serde_json::to_writer(&mut body, account).expect("a Vec takes all, and a text is JSON");
        body.extend_from_slice(b",\"events\":[");
        let mut events = 0;
        for event in self.waiting.iter().take(self.events_max) {
            if events > 0 {
                if body.len() >= POST_BYTES_ENOUGH {
                    break;
                }
                body.push(b',');
            }
            put_event(event, plan, &mut body);
            events += 1;
        }
        body.extend_from_slice(b"]}");
        let hash = Sha256::digest(&body);
        let id = hash[..ID_BYTES].iter().fold("evt_".to_owned(), |id, byte| id + &format!("{byte:02x}"));
        assert!(events > 0, "a letter has an event");
        Letter { id, body, events }
    }

    /// Takes the first so many away, and says up to where that is.
    fn let_go(&mut self, count: usize) -> Vec<(Partition, u64)> {
        let mut positions = BTreeMap::new();
        for event in self.waiting.drain(..count) {
            let (partition, sequence) = event.place();
            let last = positions.entry(partition).or_insert(sequence);
            *last = sequence.max(*last);
        }
        positions.into_iter().collect()
    }
}

/// Bytes of a letter's hash that make its id: 128 bits, which no two letters of a node have in common.
const ID_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use shards::api::{Fate, FateEvent, HandsetMessage, Sender, Why};
    use wire::id::{CarrierId, MessageId, PartitionCount};

    use super::*;
    use crate::config::{Config, Host};

    const FILE: &str = "[[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
        [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n\
        [[route]]\nprefix = \"\"\ncarriers = [\"c\"]\n";

    fn plan() -> Plan {
        let partitions = PartitionCount::new(16).unwrap();
        Config::parse("test", FILE).unwrap().plan(Host { shards: 1, partitions, memory_bytes: 1 << 30 })
    }

    fn fate(partition: u16, sequence: u64) -> ToldEvent {
        // The partition's bits of an id stand behind its 48 of time.
        let id = MessageId(u128::from(partition) << 64 | u128::from(sequence));
        assert_eq!(id.partition(), Partition(partition));
        ToldEvent::Fate(FateEvent {
            sequence,
            id,
            at: WallMs(1000),
            fate: Fate::Delivered,
            why: Why::Receipt,
            code: 0,
            recipient: "+4915112345678".parse().unwrap(),
            sender: Sender::new(b"A"),
        })
    }

    fn text(sequence: u64, text: &str) -> ToldEvent {
        ToldEvent::Handset(Box::new(HandsetMessage {
            sequence,
            id: MessageId(u128::from(sequence)),
            at: WallMs(2000),
            carrier: CarrierId::of_name("c"),
            from: "+4915112345678".parse().unwrap(),
            to: Sender::new(b"12345"),
            parts: 1,
            missing: 0,
            text: text.into(),
        }))
    }

    /// The events of the letter that is due now.
    fn posted(outbox: &mut Outbox, now: Instant) -> Option<(String, Vec<serde_json::Value>)> {
        let letter = outbox.poll_letter(now, "a\"b", &plan())?;
        let body: serde_json::Value = serde_json::from_slice(&letter.body).unwrap();
        assert_eq!(body["account"], "a\"b");
        Some((letter.id.clone(), body["events"].as_array().unwrap().clone()))
    }

    fn not_taken(kind: Kind) -> Outcome {
        Outcome::unanswered(kind, "no")
    }

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    #[test]
    fn what_was_taken_is_acknowledged_up_to_the_last_of_each_partition() {
        let mut outbox = Outbox::new();
        assert_eq!((posted(&mut outbox, at(0)), outbox.timeout()), (None, None));
        outbox.handle_events(vec![fate(3, 7), fate(1, 4), fate(3, 8), text(9, "hi")]);
        let (_, events) = posted(&mut outbox, at(0)).unwrap();
        assert_eq!(events.len(), 4);
        assert_eq!((&events[0]["type"], &events[0]["fate"]), (&"fate".into(), &"delivered".into()));
        assert_eq!((&events[3]["type"], &events[3]["carrier"]), (&"message".into(), &"c".into()));
        // What comes meanwhile is not in it.
        outbox.handle_events(vec![fate(3, 9)]);
        assert_eq!(outbox.waiting(), (5, Some(WallMs(1000))));
        let done = outbox.handle_outcome(at(1), &Outcome::Taken, 0).unwrap();
        let positions = [(0, 9), (1, 4), (3, 8)].map(|(partition, last)| (Partition(partition), last));
        assert_eq!(done, Done { positions: positions.to_vec(), taken: 4, lapsed: 0 });
        assert_eq!(posted(&mut outbox, at(1)).unwrap().1.len(), 1);
    }

    #[test]
    fn a_letter_is_repeated_word_by_word_and_ever_more_seldom() {
        let mut outbox = Outbox::new();
        outbox.handle_events(vec![fate(0, 1)]);
        let first = posted(&mut outbox, at(0)).unwrap();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..40 {
            assert_eq!(outbox.handle_outcome(now, &not_taken(Kind::Unreachable), u64::MAX), None);
            assert_eq!(posted(&mut outbox, now), None, "not at once");
            let due = outbox.timeout().unwrap();
            waits.push(due.since(now).as_secs());
            now = due;
            outbox.handle_events(vec![fate(0, 2)]);
            assert_eq!(posted(&mut outbox, now).unwrap(), first);
        }
        assert!(
            waits.is_sorted() && waits[0] <= 1 && (150..=300).contains(waits.last().unwrap()),
            "{waits:?}"
        );
        outbox.handle_change();
        assert_eq!(posted(&mut outbox, at(0)).unwrap(), first, "another server is tried at once");
        outbox.handle_outcome(now, &Outcome::Taken, 0).unwrap();
        assert_eq!(outbox.failures(), 0);
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_kept_and_one_that_is_gone_is_asked_seldom() {
        let mut outbox = Outbox::new();
        outbox.handle_events(vec![fate(0, 1)]);
        posted(&mut outbox, at(0)).unwrap();
        let asked = Outcome::of_status(503, Some("90"), WallMs(0));
        outbox.handle_outcome(at(0), &asked, 0);
        assert_eq!(outbox.timeout(), Some(at(90)));
        outbox.handle_outcome(at(90), &Outcome::of_status(410, None, WallMs(0)), 0);
        assert_eq!(outbox.timeout(), Some(at(90 + 150)));
    }

    #[test]
    fn a_letter_that_is_refused_gets_smaller_until_what_is_good_in_it_is_through() {
        let mut outbox = Outbox::new();
        outbox.handle_events((1..=8).map(|sequence| fate(0, sequence)).collect());
        // A server that chokes on the third.
        let poison = MessageId(3).to_string();
        let mut taken = Vec::new();
        let mut now = at(0);
        for _ in 0..10 {
            now = outbox.timeout().unwrap().max(now);
            let (_, events) = posted(&mut outbox, now).unwrap();
            if events.iter().any(|event| event["id"] == poison.as_str()) {
                outbox.handle_outcome(now, &not_taken(Kind::Refused), 0);
            } else {
                taken.extend(outbox.handle_outcome(now, &Outcome::Taken, 0).unwrap().positions);
            }
        }
        assert_eq!(taken, [(Partition(0), 2)]);
        now = outbox.timeout().unwrap();
        assert_eq!(posted(&mut outbox, now).unwrap().1.len(), 1, "it is alone");
        // It has learnt.
        let done = outbox.handle_outcome(now, &Outcome::Taken, 0).unwrap();
        assert_eq!(done.positions, [(Partition(0), 3)]);
        let sizes: Vec<usize> = std::iter::from_fn(|| {
            let size = posted(&mut outbox, now)?.1.len();
            outbox.handle_outcome(now, &Outcome::Taken, 0);
            Some(size)
        })
        .collect();
        assert_eq!(sizes, [2, 3]);
    }

    #[test]
    fn a_letter_is_bounded_in_events_and_in_bytes() {
        let mut outbox = Outbox::new();
        outbox.handle_events((1..=600).map(|sequence| fate(0, sequence)).collect());
        let mut sizes = Vec::new();
        while let Some((_, events)) = posted(&mut outbox, at(0)) {
            sizes.push(events.len());
            outbox.handle_outcome(at(0), &Outcome::Taken, 0);
        }
        assert_eq!(sizes, [256, 256, 88]);
        outbox.handle_events((1..=100).map(|sequence| text(sequence, &"€".repeat(2000))).collect());
        let letter = outbox.poll_letter(at(0), "a", &plan()).unwrap();
        assert!((POST_BYTES_ENOUGH..POST_BYTES_ENOUGH + 7000).contains(&letter.body.len()));
    }

    #[test]
    fn what_is_not_kept_any_more_is_let_go_and_acknowledged() {
        let mut outbox = Outbox::new();
        outbox.handle_events(vec![fate(0, 1), fate(2, 5), text(2, "later")]);
        let first = posted(&mut outbox, at(0)).unwrap();
        outbox.handle_outcome(at(0), &not_taken(Kind::Failed), 0);
        let kept = Duration::from_secs(10);
        let time = |wall| Now { mono: at(1), wall: WallMs(wall) };
        assert_eq!(outbox.handle_time(time(10_999), kept), None);
        let done = outbox.handle_time(time(11_000), kept).unwrap();
        let positions = vec![(Partition(0), 1), (Partition(2), 5)];
        assert_eq!(done, Done { positions, taken: 0, lapsed: 2 });
        let second = posted(&mut outbox, at(9)).unwrap();
        assert_eq!(second.1.len(), 1);
        assert_ne!(first.0, second.0, "another letter has another id");
    }
}
