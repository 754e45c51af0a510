//! Any region takes any message: what is homed elsewhere is asked of its home, and the answer given to who asked.
//!
//! ```text
//!   customer ─▶ shard ─▶ the partition's shard here ── Ask ──▶ the partition's shard at its home ─▶ as if asked there
//!            ◀─────────────────────────────────────── Reply ◀─ when it is committed
//! ```
//!
//! A question stays with the shard that asks until it is answered: when the home changes meanwhile, or says nothing for long, it is asked again,
//! of whoever is home then. That is safe because a submission has a key (one without gets one here), and all else may be said
//! twice. After a while who asked is told that the outcome is unknown, or that nobody could be asked, and never that the message was refused.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use replication::stream::Hello;
use wire::id::{AccountId, Class, MessageId, NodeId, Partition, ShardId};
use wire::smpp::status::CommandStatus;
use wire::time::{Instant, Now, WallMs};

use super::cell::{Bringer, ReceiptOrigin};
use super::{Phase, Shard};
use crate::across::{Answer, Asked, Question, Word};
use crate::api::{Acceptance, NotCancelled, Origin, Refusal, Reply, State, Submission};
use crate::limits::{ASK_HOME_AGAIN, ASKED_BYTES_MAX, ASKED_WAIT};
use crate::members::NotDone;

/// So many questions a process may ask in a millisecond of its life, so that no later one gives a number again: four million a second.
const NUMBERS_PER_MS: u64 = 1 << 12;
/// A question's number is asked under, times this, and how often it was asked.
const TIMES: u64 = 1 << 8;

/// What a shard and the shards of other nodes owe each other.
#[derive(Debug)]
pub(super) struct Across {
    /// Questions without an answer, by their number.
    asked: BTreeMap<u64, Pending>,
    asked_bytes: usize,
    next_number: u64,
    words: VecDeque<(NodeId, Partition, Bytes)>,
    /// Shards of other nodes that are spoken to.
    up: BTreeMap<(NodeId, ShardId), Up>,
    /// What customers have acknowledged of partitions of other homes, until it is so.
    acknowledged: BTreeMap<(usize, AccountId), u64>,
}

#[derive(Debug)]
struct Up {
    /// How many shards its node has.
    shards: u16,
    /// The number of its node's data directory.
    directory: u64,
    /// A partition that both hold.
    partition: Partition,
    /// The accounts with a subscriber there; `None`: it has not said so yet.
    listening: Option<BTreeSet<AccountId>>,
}

#[derive(Debug)]
struct Pending {
    asker: Asker,
    place: usize,
    question: Question,
    /// The node that was asked last, and when.
    sent: Option<(NodeId, Instant)>,
    /// How often it was asked.
    times: u64,
    until: Instant,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A customer.
    Customer(Origin),
    /// A carrier, with a receipt or a handset's message.
    Carrier(ReceiptOrigin),
}

impl Across {
    /// Of a process that started then, in milliseconds since 1970. What an earlier one has asked may be answered to this one.
    pub(super) const fn new(process: u64) -> Self {
        Self {
            asked: BTreeMap::new(),
            asked_bytes: 0,
            next_number: process.wrapping_mul(NUMBERS_PER_MS) % (u64::MAX / TIMES),
            words: VecDeque::new(),
            up: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    /// Whether nobody waits for another node.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.words.is_empty()
    }

    /// The shard of a node that holds a partition, if it is spoken to.
    fn up(&self, node: NodeId, partition: Partition) -> Option<&Up> {
        let of_node = self.up.range((node, ShardId(0))..=(node, ShardId(u16::MAX)));
        let mut holds = of_node.filter(|((_, shard), up)| ShardId::owner_of(partition, up.shards) == *shard);
        holds.next().map(|(_, up)| up)
    }

    /// Whether an account may be told by a node: it has a subscriber there, or may have.
    pub(super) fn may_listen(&self, node: NodeId, partition: Partition, account: AccountId) -> bool {
        let up = self.up(node, partition);
        up.is_some_and(|up| up.listening.as_ref().is_none_or(|accounts| accounts.contains(&account)))
    }

    /// The number of a node's data directory, if it is spoken to.
    pub(super) fn directory_of(&self, node: NodeId) -> Option<u64> {
        let mut of_node = self.up.range((node, ShardId(0))..=(node, ShardId(u16::MAX)));
        of_node.next().map(|(_, up)| up.directory)
    }

    fn say(&mut self, node: NodeId, partition: Partition, word: &Word) {
        self.words.push_back((node, partition, word.to_bytes()));
    }
}

impl Shard {
    /// A shard of another node is there.
    pub fn handle_peer_up(&mut self, hello: &Hello) {
        let holds = |partition: &Partition| ShardId::owner_of(*partition, hello.shards) == hello.shard;
        let Some(partition) = self.cells.iter().map(|cell| cell.state.partition).find(holds) else { return };
        let up = Up { shards: hello.shards, directory: hello.directory, partition, listening: None };
        self.across.up.insert((hello.node, hello.shard), up);
        let accounts = self.listening();
        self.across.say(hello.node, partition, &Word::Listening(accounts));
        let members = Word::Members(self.members.to_records(WallMs(0)));
        self.across.say(hello.node, partition, &members);
    }

    /// A shard of another node is gone, with all that was on its way there.
    pub fn handle_peer_down(&mut self, hello: &Hello) {
        self.across.up.remove(&(hello.node, hello.shard));
        let shared = |partition| ShardId::owner_of(partition, hello.shards) == hello.shard;
        for place in 0..self.cells.len() {
            let partition = self.cells[place].state.partition;
            if shared(partition) {
                self.handle_unreachable(partition, hello.node);
            }
        }
        let lost = self
            .across
            .asked
            .values_mut()
            .filter(|pending| pending.sent.is_some_and(|(node, _)| node == hello.node));
        lost.for_each(|pending| pending.sent = None);
    }

    /// The next word for the shard of a node that holds a partition.
    pub fn poll_word(&mut self) -> Option<(NodeId, Partition, Bytes)> {
        self.across.words.pop_front()
    }

    /// A word of a shard of another node.
    pub fn handle_word(&mut self, now: Now, from: &Hello, bytes: &[u8]) {
        if matches!(self.phase, Phase::Recovering | Phase::LogFailed) {
            return;
        }
        self.clock.read(now);
        match Word::from_bytes(bytes) {
            Some(Word::Ask(number, partition, question)) => {
                self.counters.asked_by_peers += 1;
                self.handle_ask_of(now, from.node, Partition(partition), number, question);
            }
            Some(Word::Reply(number, answer)) => self.handle_answer(number, answer),
            Some(Word::Acknowledge(account, partition, sequence)) => {
                let origin = Origin::elsewhere(from.node, Partition(partition), 0);
                self.handle_acknowledge(now, origin, AccountId(account), Partition(partition), sequence);
            }
            Some(Word::Listening(accounts)) => {
                if let Some(up) = self.across.up.get_mut(&(from.node, from.shard)) {
                    up.listening = Some(accounts.into_iter().map(AccountId).collect());
                }
                (0..self.cells.len()).for_each(|place| self.settle_tellers(place));
            }
            Some(Word::Members(records)) => self.hear_members(&records),
            None => self.counters.words_unread += 1,
        }
        self.release();
    }

    /// A node asks what this one decides.
    fn handle_ask_of(
        &mut self,
        now: Now,
        from: NodeId,
        partition: Partition,
        number: u64,
        question: Question,
    ) {
        let (owner, place) = self.owner_of(partition);
        let is_here = owner == self.config.id
            && question.partition(self.plan.partitions) == Some(partition)
            && self.cells.get(place).is_some_and(|cell| cell.decides);
        let asked = if is_here { question.read() } else { None };
        let origin = Origin::elsewhere(from, partition, number);
        match asked {
            None => self.answer((from, partition, number), Answer::NotHere),
            Some(Asked::Submit(submission)) => {
                if let Err(refusal) = self.submit(now, place, origin, &submission.borrow()) {
                    self.refuse(origin, refusal);
                }
            }
            Some(Asked::Act(act)) => self.decide_act(now, place, origin, &act),
            Some(Asked::Query(account, id)) => self.handle_query(now, origin, account, id),
            Some(Asked::Cancel(cancellation)) => self.handle_cancel(now, origin, &cancellation),
            Some(Asked::Receipt(receipt)) => {
                let bringer = Bringer::Node(from, partition, number);
                if let Some(status) = self.receipt(now, bringer, &receipt) {
                    self.receipt_taken(bringer, status);
                }
            }
            Some(Asked::Handset(part)) => {
                let bringer = Bringer::Node(from, partition, number);
                if let Some(status) = self.handset(now, bringer, &part) {
                    self.receipt_taken(bringer, status);
                }
            }
        }
    }

    /// Tells a node what came of its question.
    pub(super) fn answer_node(&mut self, (node, partition, number): (NodeId, Partition, u64), reply: &Reply) {
        let answer = match reply {
            Reply::Answer { outcome, .. } => Answer::of_submission(*outcome),
            Reply::Message { view, .. } => Answer::of_query(view.as_deref()),
            Reply::Cancelled { outcome, .. } => Answer::of_cancel(*outcome),
            Reply::CannotTell { .. } => Answer::NotHere,
            Reply::Done { outcome, .. } => Answer::of_act(*outcome),
            // No node subscribes to another.
            Reply::Fate { .. } | Reply::Handset { .. } => return,
        };
        self.answer((node, partition, number), answer);
    }

    fn answer(&mut self, (node, partition, number): (NodeId, Partition, u64), answer: Answer) {
        if node == self.plan.node {
            return self.handle_answer(number, answer);
        }
        self.across.say(node, partition, &Word::Reply(number, answer));
    }

    /// Tells a node what came of what its carrier brought.
    pub(super) fn answer_bringer(
        &mut self,
        node: NodeId,
        partition: Partition,
        number: u64,
        status: CommandStatus,
    ) {
        self.answer((node, partition, number), Answer::of_carrier(status));
    }

    /// A customer submits for a partition that another node decides for.
    pub(super) fn submit_across(
        &mut self,
        now: Now,
        place: usize,
        origin: Origin,
        submission: &Submission<'_>,
    ) -> Result<(), Refusal> {
        if self.is_alone() || origin.asked_by().is_some() {
            return Err(Refusal::NotHome);
        }
        if submission.text.len() > crate::limits::TEXT_BYTES_MAX {
            return Err(Refusal::Text);
        }
        let mut question = Question::from(submission);
        if let Question::Submit { key, .. } = &mut question
            && key.is_empty()
        {
            *key = self.key_of_our_own();
        }
        if self.ask_home(now, place, Asker::Customer(origin), question) { Ok(()) } else { Err(Refusal::Busy) }
    }

    /// How long a question is asked again. A key's window may be short, and must not end meanwhile: then the same submission would be another.
    fn patience(&self, question: &Question) -> Duration {
        let Question::Submit { account, class, validity_ms, .. } = *question else { return ASKED_WAIT };
        let account = self.plan.account(AccountId(account));
        let class = Class::from_byte(class).or_else(|| account.map(|account| account.class));
        let Some(class) = class.map(|class| self.plan.class(class)) else { return ASKED_WAIT };
        let validity = Some(Duration::from_millis(validity_ms)).filter(|validity| !validity.is_zero());
        ASKED_WAIT.min((validity.unwrap_or(class.validity) + class.receipt_wait) / 2)
    }

    /// A key that no customer uses and no other shard gives, so that a submission may be repeated.
    fn key_of_our_own(&self) -> Vec<u8> {
        let Across { next_number, .. } = self.across;
        let (node, shard) = (self.plan.node.0.to_le_bytes(), self.config.id.0.to_le_bytes());
        let (process, number) = (self.config.process.to_le_bytes(), next_number.to_le_bytes());
        [&[0][..], &node, &shard, &process, &number].concat()
    }

    /// Whether there is no other node.
    pub(super) fn is_alone(&self) -> bool {
        !self.plan.is_clustered
    }

    /// Asks a partition's home, now or as soon as there is one. `false`: too much is asked already.
    pub(super) fn ask_home(&mut self, now: Now, place: usize, asker: Asker, question: Question) -> bool {
        let bytes = question.bytes_len();
        if self.across.asked_bytes + bytes > ASKED_BYTES_MAX {
            return false;
        }
        let number = self.across.next_number;
        self.across.next_number += 1;
        self.across.asked_bytes += bytes;
        let until = now.mono.plus(self.patience(&question));
        let pending = Pending { asker, place, question, sent: None, times: 0, until };
        self.across.asked.insert(number, pending);
        self.counters.asked_peers += 1;
        self.send_ask(now, number);
        true
    }

    /// Sends a question to whoever is home now, if anybody is. That may be this node by now, which asks itself as it would another: so its
    /// customer is answered alike, and another home is asked when this one is lost.
    fn send_ask(&mut self, now: Now, number: u64) {
        let Some(pending) = self.across.asked.get(&number) else { return };
        let (cell, own) = (&self.cells[pending.place], self.plan.node);
        let partition = cell.state.partition;
        let can_be_asked = |home: NodeId| {
            if home == own { cell.takes_questions() } else { self.across.up(home, partition).is_some() }
        };
        let Some(home) = cell.home().filter(|&home| can_be_asked(home)) else { return };
        let pending = self.across.asked.get_mut(&number).expect("it was there");
        pending.sent = Some((home, now.mono));
        pending.times += 1;
        let asked_under = number * TIMES + pending.times % TIMES;
        let question = pending.question.clone();
        if home == own {
            return self.handle_ask_of(now, own, partition, asked_under, question);
        }
        self.across.say(home, partition, &Word::Ask(asked_under, partition.0, question));
    }

    fn take_pending(&mut self, number: u64) -> Option<Pending> {
        let pending = self.across.asked.remove(&number)?;
        self.across.asked_bytes -= pending.question.bytes_len();
        Some(pending)
    }

    /// A home has answered.
    fn handle_answer(&mut self, asked_under: u64, answer: Answer) {
        let (number, times) = (asked_under / TIMES, asked_under % TIMES);
        let Some(pending) = self.across.asked.get_mut(&number) else { return };
        let is_last = pending.times % TIMES == times;
        if !is_last && matches!(answer, Answer::NotHere | Answer::Refused(_)) {
            // What was refused first may be taken by now, by whom it was asked of since.
            return;
        }
        let again = match answer {
            Answer::NotHere => true,
            // Its own customers are to go elsewhere then; this one goes there for its own.
            Answer::Refused(code) => matches!(
                Refusal::from_code(code),
                None | Some(Refusal::NotHome | Refusal::Stopping | Refusal::HomeLost)
            ),
            _ => false,
        };
        if again {
            pending.sent = None;
            return;
        }
        let Some(pending) = self.take_pending(number) else { return };
        match (pending.asker, answer) {
            (Asker::Customer(origin), Answer::Taken(id, known)) => {
                // What was asked twice was known for that.
                let acceptance = Acceptance { id: MessageId(id), known: known && pending.times == 1 };
                self.reply(origin, Reply::Answer { origin, outcome: Ok(acceptance) });
            }
            (Asker::Customer(origin), Answer::Refused(code)) => {
                self.refuse(origin, Refusal::from_code(code).unwrap_or(Refusal::Busy));
            }
            (Asker::Customer(origin), Answer::View(view)) => self.tell_view(origin, &pending.question, view),
            (Asker::Customer(origin), Answer::Done(outcome)) => self.tell_done(Some(origin), outcome.read()),
            (Asker::Customer(origin), answer) => {
                let outcome = match answer {
                    Answer::Cancelled => Ok(()),
                    Answer::TooLate(code) => {
                        Err(State::from_code(code).map_or(NotCancelled::Busy, NotCancelled::TooLate))
                    }
                    _ => Err(NotCancelled::NotFound),
                };
                if let Question::Cancel { id, .. } = pending.question {
                    self.reply(origin, Reply::Cancelled { origin, id: MessageId(id), outcome });
                } else {
                    self.tell_nothing(&pending);
                }
            }
            (Asker::Carrier(from), Answer::Brought(status)) => {
                self.receipt_taken(Bringer::Link(from), CommandStatus(status));
            }
            (Asker::Carrier(_), _) => self.tell_nothing(&pending),
        }
    }

    fn tell_view(&mut self, origin: Origin, question: &Question, view: Option<crate::across::View>) {
        let Question::Query { account, id } = *question else { return };
        let (account, id) = (AccountId(account), MessageId(id));
        let view = match view.map(crate::across::View::read) {
            Some(None) => return self.reply(origin, Reply::CannotTell { origin }),
            Some(Some(view)) => Some(Box::new(view)),
            None => None,
        };
        self.reply(origin, Reply::Message { origin, account, id, view });
    }

    /// Nobody has answered in time.
    fn tell_nothing(&mut self, pending: &Pending) {
        match (pending.asker, &pending.question) {
            (Asker::Customer(origin), Question::Submit { .. }) => {
                let refusal = if pending.times == 0 { Refusal::NotHome } else { Refusal::HomeLost };
                self.refuse(origin, refusal);
            }
            (Asker::Customer(origin), &Question::Cancel { id, .. }) => {
                let (id, outcome) = (MessageId(id), Err(NotCancelled::Busy));
                self.reply(origin, Reply::Cancelled { origin, id, outcome });
            }
            (Asker::Customer(origin), Question::Act(_)) => self.tell_done(Some(origin), Err(NotDone::NoHome)),
            (Asker::Customer(origin), _) => self.reply(origin, Reply::CannotTell { origin }),
            (Asker::Carrier(from), _) => {
                self.counters.receipts_put_off += 1;
                self.receipt_taken(Bringer::Link(from), CommandStatus::ESME_RX_T_APPN);
            }
        }
    }

    /// A tick has passed: what nobody has answered is asked again, of whoever is home now; what took too long is over.
    pub(super) fn tend_across(&mut self, now: Now) {
        if self.is_alone() {
            return;
        }
        let mut due = Vec::new();
        for (&number, pending) in &self.across.asked {
            let home = self.cells[pending.place].home();
            let waits = pending
                .sent
                .is_some_and(|(node, at)| home == Some(node) && now.mono < at.plus(ASK_HOME_AGAIN));
            if !waits || now.mono >= pending.until {
                due.push(number);
            }
        }
        for number in due {
            if now.mono < self.across.asked[&number].until {
                self.send_ask(now, number);
            } else {
                let pending = self.take_pending(number).expect("it was there");
                self.tell_nothing(&pending);
            }
        }
        self.repeat_acknowledgements(now);
        self.tend_subscribers();
        (0..self.cells.len()).for_each(|place| self.settle_tellers(place));
    }

    /// The accounts with a subscriber on this node.
    fn listening(&self) -> Vec<u32> {
        let accounts: BTreeSet<u32> = self.subscribed().map(|account| account.0).collect();
        accounts.into_iter().collect()
    }

    /// Who subscribes here has changed: the other nodes are to know.
    pub(super) fn say_who_listens(&mut self) {
        if !self.is_alone() {
            self.say_to_all(&Word::Listening(self.listening()));
        }
    }

    /// The members have changed: the other nodes are to know, or know already.
    pub(super) fn say_members(&mut self) {
        self.say_to_all(&Word::Members(self.members.to_records(WallMs(0))));
    }

    fn say_to_all(&mut self, word: &Word) {
        let all: Vec<_> = self.across.up.iter().map(|(&(node, _), up)| (node, up.partition)).collect();
        for (node, partition) in all {
            self.across.say(node, partition, word);
        }
    }

    /// A customer of this node has an account's fates of a partition up to a number: its home is to know.
    pub(super) fn acknowledge_across(&mut self, place: usize, account: AccountId, sequence: u64) {
        let through = self.across.acknowledged.entry((place, account)).or_default();
        *through = sequence.max(*through);
        self.send_acknowledgement(place, account);
    }

    fn send_acknowledgement(&mut self, place: usize, account: AccountId) {
        let (cell, sequence) = (&self.cells[place], self.across.acknowledged[&(place, account)]);
        let partition = cell.state.partition;
        if let Some(home) = cell.home().filter(|&home| self.across.up(home, partition).is_some()) {
            self.across.say(home, partition, &Word::Acknowledge(account.0, partition.0, sequence));
        }
    }

    /// What was acknowledged here is said again until it is in the partition's state.
    fn repeat_acknowledgements(&mut self, now: Now) {
        let all: Vec<_> = self.across.acknowledged.iter().map(|(&key, &through)| (key, through)).collect();
        for ((place, account), through) in all {
            let cell = &self.cells[place];
            let known = cell.state.fates.of(account).map_or(0, |fates| fates.acknowledged);
            let decides = cell.decides;
            if known >= through || decides {
                self.across.acknowledged.remove(&(place, account));
            }
            if known < through && decides {
                self.acknowledge_here(now, place, account, through);
            } else if known < through {
                self.send_acknowledgement(place, account);
            }
        }
    }
}
