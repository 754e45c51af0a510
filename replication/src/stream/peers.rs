//! A shard's connections to the shards of other nodes: whom it dials, who is there, and where a message goes.
//!
//! Of two nodes the one with the lower number dials, or the other when that does not. It asks the other's first shard how many there are, and dials those that share a
//! partition with this one. A connection that ends is dialled anew, after a pause that doubles while nothing answers.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use wire::id::{NodeId, Partition, ShardId};
use wire::time::Instant;

use super::hello::{Hello, Mismatch, shares};
use super::session::{Heard, Session};
use crate::limits::{CALL_WAIT, DIAL_AGAIN, DIAL_AGAIN_MAX, DIAL_WAIT, OUTPUT_BYTES_WANTED};
use crate::message::{Install, Message};

/// One connection of a shard to a peer, in the words of [`Peers`]. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId(pub u64);

/// What the shell is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineAction {
    /// Dial a shard of a node; [`Peers::handle_connected`] or [`Peers::handle_closed`] follows.
    Dial {
        /// The line that it is to be.
        line: LineId,
        /// The node.
        node: NodeId,
        /// Which of its shards.
        shard: ShardId,
    },
    /// Close the line when what it has to say is sent. Nothing follows.
    Close(LineId),
}

/// What a caller has proven about itself before its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// Nothing: the stream is in plain text.
    Nothing,
    /// It has a certificate for these nodes.
    To(Vec<NodeId>),
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// A message of a partition's group.
    Message(Partition, Message),
    /// A word of a shard of another node, for this shard's brain.
    Word(Hello, Bytes),
    /// A partition's state, whole.
    Install(Partition, Install),
    /// A shard of a node is there.
    Up(Hello),
    /// A shard of a node is gone, and what was on its way to it or from it.
    Down(Hello),
    /// Something for the log: a node is not spoken to, or a connection with it was not what it should be.
    Trouble {
        /// With which node, if that is known.
        node: Option<NodeId>,
        /// What is wrong.
        what: String,
    },
}

/// How a connection stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The node.
    pub node: NodeId,
    /// How many of its shards are spoken to, and with how many this one is to speak; `None`: nobody has said it yet.
    pub shards: (usize, Option<usize>),
}

/// What the table of members says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The node.
    pub node: NodeId,
    /// The number of its data directory; 0: none has been seen.
    pub directory: u64,
    /// It is no member any more.
    pub is_removed: bool,
}

#[derive(Debug)]
struct Member {
    node: NodeId,
    directory: u64,
    is_removed: bool,
    /// How many shards it has, once it has said so.
    shards: Option<u16>,
    /// When it may be dialled again, and how long the pause after that is.
    dial_at: Instant,
    pause: Duration,
    /// It has the lower number: since when it has not called, and whether it is called instead.
    missed_since: Option<Instant>,
    is_called: bool,
}

#[derive(Debug)]
struct Line {
    /// Who was dialled.
    dialled: Option<(NodeId, ShardId)>,
    /// Whom it may be.
    proven: Proven,
    /// `None` while it is dialled.
    session: Option<Session>,
    dialled_at: Instant,
    /// Who it is, once it has said so.
    theirs: Option<Hello>,
}

/// A shard's end of the stream.
#[derive(Debug)]
pub struct Peers {
    own: Hello,
    /// This node has not heard yet that it is a member, and does not know who all the others are.
    is_new: bool,
    members: Vec<Member>,
    lines: BTreeMap<LineId, Line>,
    /// The line to a shard of a node.
    routes: BTreeMap<(NodeId, ShardId), LineId>,
    next_line: u64,
    has_room: bool,
    actions: VecDeque<LineAction>,
    events: VecDeque<Event>,
}

impl Peers {
    /// A shard that speaks with nobody yet. `nodes`: the members that are known, this one among them unless it is new: then whoever calls is taken for a
    /// member.
    #[must_use]
    pub fn new(own: Hello, nodes: &[NodeId]) -> Self {
        let others = nodes.iter().filter(|&&node| node != own.node);
        Self {
            own,
            is_new: !nodes.contains(&own.node),
            members: others.map(|&node| Member::of(node)).collect(),
            lines: BTreeMap::new(),
            routes: BTreeMap::new(),
            next_line: 1,
            has_room: true,
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The table of members says this. Who is new is dialled from now on or may call, who was removed is spoken to no more, and neither is who
    /// has another data directory than it says.
    pub fn set_members(&mut self, now: Instant, table: impl IntoIterator<Item = Known>) {
        for known in table {
            let Known { node, directory, is_removed } = known;
            if node == self.own.node {
                self.is_new = false;
                continue;
            }
            match self.members.iter_mut().find(|member| member.node == node) {
                Some(member) => (member.directory, member.is_removed) = (directory, is_removed),
                None => self.members.push(Member { directory, is_removed, ..Member::of(node) }),
            }
        }
        let is_refused = |line: &Line| line.theirs.is_some_and(|theirs| self.refusal(&theirs).is_some());
        let refused: Vec<_> =
            self.lines.iter().filter(|(_, line)| is_refused(line)).map(|(&id, _)| id).collect();
        for id in refused {
            let words = self
                .lines
                .get(&id)
                .and_then(|line| self.refusal(&line.theirs?))
                .map(|mismatch| mismatch.to_string());
            self.refuse(now, id, words.unwrap_or_default());
        }
    }

    /// Why a shard that presents itself so is not spoken to.
    fn refusal(&self, theirs: &Hello) -> Option<Mismatch> {
        let node = theirs.node.0;
        let Some(member) = self.members.iter().find(|member| member.node == theirs.node) else {
            return Some(Mismatch::Stranger { theirs: node });
        };
        if member.is_removed {
            return Some(Mismatch::Removed { theirs: node });
        }
        let (found, known) = (theirs.directory, member.directory);
        (known != 0 && found != known).then_some(Mismatch::Directory { theirs: node, found, known })
    }

    /// Tells the other side why it is not spoken to. When that has left, the line is closed; nothing more is heard on it.
    fn refuse(&mut self, now: Instant, id: LineId, words: String) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let theirs = line.theirs.take();
        if let Some(session) = &mut line.session {
            session.refuse(words.clone());
        }
        if let Some(theirs) =
            theirs.filter(|theirs| self.routes.get(&(theirs.node, theirs.shard)) == Some(&id))
        {
            self.routes.remove(&(theirs.node, theirs.shard));
            self.events.push_back(Event::Down(theirs));
        }
        self.events.push_back(Event::Trouble { node: theirs.map(|theirs| theirs.node), what: words });
        self.close_if_over(now, id);
    }

    /// Which shard of which node this is.
    #[must_use]
    pub const fn seat(&self) -> (NodeId, ShardId) {
        (self.own.node, self.own.shard)
    }

    /// Somebody has called.
    pub fn handle_accepted(&mut self, now: Instant, proven: Proven) -> LineId {
        let session = Some(Session::new(now, self.own, None));
        self.add(Line { dialled: None, proven, session, dialled_at: now, theirs: None })
    }

    fn add(&mut self, line: Line) -> LineId {
        let id = LineId(self.next_line);
        self.next_line += 1;
        self.lines.insert(id, line);
        id
    }

    /// Whom a line was dialled for is there.
    pub fn handle_connected(&mut self, now: Instant, line: LineId) {
        let own = self.own;
        if let Some(line) = self.lines.get_mut(&line) {
            line.session = Some(Session::new(now, own, line.dialled.map(|(node, _)| node)));
        }
    }

    /// Bytes came on a line.
    pub fn handle_received(&mut self, now: Instant, id: LineId, bytes: &[u8]) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(session) = &mut line.session else { return };
        if session.is_silent(now) {
            // What lay somewhere for so long says nothing about now.
            return self.give_up(now, id);
        }
        if let Err(error) = session.handle_received(now, bytes) {
            self.trouble(id, error.to_string());
            return self.give_up(now, id);
        }
        self.take_heard(now, id);
    }

    fn trouble(&mut self, id: LineId, what: String) {
        let node = self.node_of(id);
        self.events.push_back(Event::Trouble { node, what });
    }

    fn take_heard(&mut self, now: Instant, id: LineId) {
        while let Some(heard) = self.lines.get_mut(&id).and_then(|line| line.session.as_mut()?.poll()) {
            match heard {
                Heard::Open(theirs) => self.opened(now, id, theirs),
                Heard::Message(partition, message) => {
                    self.events.push_back(Event::Message(partition, message));
                }
                Heard::Word(word) => {
                    if let Some(theirs) = self.lines.get(&id).and_then(|line| line.theirs) {
                        self.events.push_back(Event::Word(theirs, word));
                    }
                }
                Heard::Install(partition, install) => {
                    self.events.push_back(Event::Install(partition, install));
                }
                Heard::Unfit(what) => self.trouble(id, what),
                Heard::Refused(words) => {
                    self.trouble(id, format!("it does not speak with this node: {words}"));
                }
            }
        }
        self.close_if_over(now, id);
    }

    /// The other end of a line has said who it is.
    fn opened(&mut self, now: Instant, id: LineId, theirs: Hello) {
        if self.is_new && !self.members.iter().any(|member| member.node == theirs.node) {
            self.members.push(Member::of(theirs.node));
        }
        let mismatch = self.refusal(&theirs).map(|mismatch| mismatch.to_string());
        let line = self.lines.get_mut(&id).expect("it was just heard");
        let is_proven = match &line.proven {
            Proven::Nothing => true,
            Proven::To(nodes) => nodes.contains(&theirs.node),
        };
        let of_another =
            || format!("its certificate is not that of node {}: see cluster.member.tls_name", theirs.node.0);
        if let Some(words) = mismatch.or_else(|| (!is_proven).then(of_another)) {
            line.session.as_mut().expect("it was just heard").refuse(words.clone());
            return self.events.push_back(Event::Trouble { node: Some(theirs.node), what: words });
        }
        line.theirs = Some(theirs);
        let member =
            self.members.iter_mut().find(|member| member.node == theirs.node).expect("it is no stranger");
        member.shards = Some(theirs.shards);
        member.pause = DIAL_AGAIN;
        member.is_called &= line.dialled.is_some();
        if !self.own.shares_with(&theirs) {
            // Who dialled has asked how many shards there are, knows it now, and closes.
            if line.dialled.is_some() {
                self.give_up(now, id);
            }
            return;
        }
        if let Some(before) = self.routes.insert((theirs.node, theirs.shard), id) {
            self.forget(before);
            self.actions.push_back(LineAction::Close(before));
            self.events.push_back(Event::Down(theirs));
        }
        self.events.push_back(Event::Up(theirs));
    }

    /// A line is gone: it was closed, broke, or was never there.
    pub fn handle_closed(&mut self, now: Instant, id: LineId) {
        let Some(line) = self.lines.get(&id) else { return };
        let (dialled, theirs) = (line.dialled, line.theirs);
        let was_open =
            theirs.is_some_and(|theirs| self.routes.get(&(theirs.node, theirs.shard)) == Some(&id));
        self.forget(id);
        if let Some(theirs) = theirs.filter(|_| was_open) {
            self.routes.remove(&(theirs.node, theirs.shard));
            self.events.push_back(Event::Down(theirs));
        }
        let node = known(theirs, dialled);
        let member = self.members.iter_mut().find(|member| Some(member.node) == node);
        let asked = theirs.is_some_and(|theirs| !self.own.shares_with(&theirs));
        if let Some(member) = member.filter(|_| !asked) {
            let is_there = self.routes.keys().any(|(node, _)| *node == member.node);
            if !is_there {
                // Its next process may have another number of shards.
                member.shards = None;
                member.missed_since = Some(now);
            }
            member.dial_at = now.plus(member.pause);
            member.pause = (member.pause * 2).min(DIAL_AGAIN_MAX);
        }
    }

    fn forget(&mut self, id: LineId) {
        self.lines.remove(&id);
    }

    /// A line is of no more use.
    fn give_up(&mut self, now: Instant, id: LineId) {
        self.handle_closed(now, id);
        self.actions.push_back(LineAction::Close(id));
    }

    fn close_if_over(&mut self, now: Instant, id: LineId) {
        let is_over =
            self.lines.get(&id).and_then(|line| line.session.as_ref()).is_some_and(Session::is_over);
        if is_over {
            self.give_up(now, id);
        }
    }

    /// With which node a line is, as far as it is known.
    #[must_use]
    pub fn node_of(&self, id: LineId) -> Option<NodeId> {
        self.lines.get(&id).and_then(|line| known(line.theirs, line.dialled))
    }

    /// A message of a partition's group is to go to [`Message::to`]. `false`: there is no way there, or too much waits on it; the message is
    /// dropped, as Raft allows.
    pub fn push_message(&mut self, partition: Partition, message: Message) -> bool {
        let to = message.to();
        self.way_to(to, partition).is_some_and(|session| session.push_message(partition, message))
    }

    /// A partition's state is to go to [`Install::to`]. `false`: as [`Peers::push_message`].
    pub fn push_install(&mut self, partition: Partition, install: Install) -> bool {
        let to = install.to;
        self.way_to(to, partition).is_some_and(|session| session.push_install(partition, install))
    }

    /// A word for the brain that owns a partition on a node. `false`: as [`Peers::push_message`].
    pub fn push_word(&mut self, node: NodeId, partition: Partition, word: Bytes) -> bool {
        self.way_to(node, partition).is_some_and(|session| session.push_word(word))
    }

    fn way_to(&mut self, node: NodeId, partition: Partition) -> Option<&mut Session> {
        let shards = self.members.iter().find(|member| member.node == node)?.shards?;
        let id = self.routes.get(&(node, ShardId::owner_of(partition, shards)))?;
        self.lines.get_mut(id)?.session.as_mut().filter(|session| session.is_open())
    }

    /// Whether there is room for more of what is heavy: without it, the other sides are given no more credit.
    pub fn set_room(&mut self, has_room: bool) {
        if has_room != self.has_room {
            self.has_room = has_room;
            let sessions = self.lines.values_mut().filter_map(|line| line.session.as_mut());
            sessions.for_each(|session| session.set_room(has_room));
        }
    }

    /// Appends what is to be sent on a line now. `true` when there was something; ask again when that is sent.
    pub fn poll_output(&mut self, now: Instant, id: LineId, out: &mut Vec<u8>) -> bool {
        let Some(session) = self.lines.get_mut(&id).and_then(|line| line.session.as_mut()) else {
            return false;
        };
        let has_some = session.poll_output(now, OUTPUT_BYTES_WANTED, out);
        self.close_if_over(now, id);
        has_some
    }

    /// The lines that are there, for [`Peers::poll_output`].
    pub fn lines(&self) -> impl Iterator<Item = LineId> + '_ {
        self.lines.iter().filter(|(_, line)| line.session.is_some()).map(|(&id, _)| id)
    }

    /// What has happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be done.
    pub fn poll_action(&mut self) -> Option<LineAction> {
        self.actions.pop_front()
    }

    /// When [`Peers::handle_timeout`] is due.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let dials = self.members.iter().filter(|member| self.wanted(member).next().is_some());
        let dials = dials
            .map(|member| member.dial_at)
            .chain(self.members.iter().filter_map(|member| self.call_at(member)));
        let lines = self.lines.values().map(|line| match &line.session {
            Some(session) => session.timeout(),
            None => line.dialled_at.plus(DIAL_WAIT),
        });
        dials.chain(lines).min()
    }

    /// Time has passed: who is silent is given up, and who is missing is dialled.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_gone = |line: &Line| match &line.session {
            Some(session) => session.is_silent(now),
            None => now >= line.dialled_at.plus(DIAL_WAIT),
        };
        let gone: Vec<_> = self.lines.iter().filter(|(_, line)| is_gone(line)).map(|(&id, _)| id).collect();
        for id in gone {
            self.give_up(now, id);
        }
        for place in 0..self.members.len() {
            if self.call_at(&self.members[place]).is_some_and(|at| at <= now) {
                let member = &mut self.members[place];
                member.is_called = member.missed_since.is_some();
                member.missed_since = Some(now);
            }
            let member = &self.members[place];
            if now < member.dial_at {
                continue;
            }
            let (node, wanted) = (member.node, self.wanted(member).collect::<Vec<_>>());
            for shard in wanted {
                let (dialled, proven) = (Some((node, shard)), Proven::Nothing);
                let line = self.add(Line { dialled, proven, session: None, dialled_at: now, theirs: None });
                self.actions.push_back(LineAction::Dial { line, node, shard });
            }
        }
    }

    /// When a member that is to call is called, unless it does before.
    fn call_at(&self, member: &Member) -> Option<Instant> {
        let is_there = self.routes.keys().any(|(node, _)| *node == member.node);
        let waits = member.node < self.own.node && !member.is_removed && !member.is_called && !is_there;
        waits.then(|| member.missed_since.map_or(Instant(0), |since| since.plus(CALL_WAIT)))
    }

    /// The shards of a member that are to be dialled, and are not.
    fn wanted(&self, member: &Member) -> impl Iterator<Item = ShardId> + '_ {
        let (own, node) = (self.own, member.node);
        let dials = (own.node < node || member.is_called) && !member.is_removed;
        let shards = member.shards;
        let is_wanted = move |shard: &ShardId| match shards {
            Some(shards) => shares(own.partitions, (own.shard, own.shards), (*shard, shards)),
            None => true,
        };
        let is_missing = move |shard: &ShardId| {
            let is_there = |line: &Line| line.dialled == Some((node, *shard));
            !self.lines.values().any(is_there) && !self.routes.contains_key(&(node, *shard))
        };
        (0..shards.unwrap_or(1)).map(ShardId).filter(move |_| dials).filter(is_wanted).filter(is_missing)
    }

    /// How it stands with each other node, for people.
    pub fn standings(&self) -> impl Iterator<Item = Standing> + '_ {
        self.members.iter().filter(|member| !member.is_removed).map(|member| {
            let there = self.routes.keys().filter(|(node, _)| *node == member.node).count();
            let own = (self.own.shard, self.own.shards);
            let all = |shards| {
                let shared = (0..shards)
                    .map(ShardId)
                    .filter(|&shard| shares(self.own.partitions, own, (shard, shards)));
                shared.count()
            };
            Standing { node: member.node, shards: (there, member.shards.map(all)) }
        })
    }
}

impl Member {
    const fn of(node: NodeId) -> Self {
        Self {
            node,
            directory: 0,
            is_removed: false,
            shards: None,
            dial_at: Instant(0),
            pause: DIAL_AGAIN,
            missed_since: None,
            is_called: false,
        }
    }
}

/// With whom a line is, as far as it is known.
fn known(theirs: Option<Hello>, dialled: Option<(NodeId, ShardId)>) -> Option<NodeId> {
    theirs.map(|theirs| theirs.node).or_else(|| dialled.map(|(node, _)| node))
}
