//! Three members over three disks and a network that delays, loses and parts: one member at a time is in trouble. And members that come and go.

use std::collections::BTreeMap;

use super::*;
use crate::members::Change;
use crate::message::Message;

/// A member, its disk, and the one batch that is in flight.
struct Member {
    disk: Disk,
    group: Option<Group>,
    in_flight: Option<(u64, Lsn)>,
    told_index: u64,
}

struct World {
    random: u64,
    now: u64,
    members: Vec<Member>,
    messages: Vec<(u64, Message)>,
    /// Who is to be a member.
    wanted: Vec<usize>,
    /// The member whose messages are lost, both ways.
    parted: Option<usize>,
    /// What is committed, for ever.
    ledger: BTreeMap<u64, (u64, Bytes)>,
    /// What homes wait for: who, place and id.
    waiting: Vec<(usize, Proposed, u128)>,
    acknowledged: Vec<u128>,
    next_id: u128,
}

fn config_of(member: usize) -> GroupConfig {
    GroupConfig { node: node_of(member), election_ticks: 20, ..group_config() }
}

fn founders() -> Members {
    Members::voting(&[1, 2, 3].map(NodeId))
}

fn node_of(member: usize) -> NodeId {
    NodeId(u32::try_from(member + 1).unwrap())
}

fn member_of(node: NodeId) -> usize {
    usize::try_from(node.0 - 1).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: seed,
            now: 0,
            members: Vec::new(),
            messages: Vec::new(),
            wanted: vec![0, 1, 2],
            parted: None,
            ledger: BTreeMap::new(),
            waiting: Vec::new(),
            acknowledged: Vec::new(),
            next_id: 0,
        };
        (0..3).for_each(|_| world.add());
        world
    }

    /// One more node, which is a member if it is one of the first three.
    fn add(&mut self) {
        let member = self.members.len();
        let disk = Disk::of(node_of(member));
        self.members.push(Member { disk, group: None, in_flight: None, told_index: 0 });
        self.start(member);
    }

    /// One step from the members that there are to those that are wanted.
    fn next_change(&self, group: &Group) -> Option<Change> {
        let wanted: Vec<_> = self.wanted.iter().map(|&member| node_of(member)).collect();
        let members = group.members();
        let gone = members.voters.iter().chain(&members.learners).find(|node| !wanted.contains(node));
        let new = wanted.iter().find(|&&node| !members.contains(node));
        let level = members.learners.iter().find(|&&node| group.is_level(node));
        let leave = gone.filter(|&&node| node != group.node()).map(|&node| Change::Leave(node));
        let learn = || new.map(|&node| Change::Learn(node));
        leave.or_else(learn).or_else(|| level.map(|&node| Change::Vote(node)))
    }

    /// Whether the members are those that are wanted, everywhere.
    fn is_followed(&self) -> bool {
        let nodes: Vec<_> = self.wanted.iter().map(|&member| node_of(member)).collect();
        let wanted = Members::voting(&nodes);
        self.wanted.iter().all(|&member| {
            self.members[member].group.as_ref().is_some_and(|group| *group.members() == wanted)
        })
    }

    /// SplitMix64, up to but not including `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % below
    }

    fn start(&mut self, member: usize) {
        let mut recovery = Recovery::new(PARTITION, founders()).with_peers();
        let Member { disk, group, told_index, .. } = &mut self.members[member];
        disk.scan(|item| match item {
            Item::Entry(entry) => assert_ne!(recovery.handle_entry(&entry).unwrap(), Recovered::Known),
            Item::HardState(state) => {
                recovery.handle_hard_state(&state).unwrap();
            }
            Item::Start(_) => {}
        });
        while recovery.poll_committed(u64::MAX).is_some() {}
        *told_index = recovery.committed_index();
        let mut made = Group::new(&config_of(member), recovery).unwrap();
        // Ranks differ by two.
        made.set_rank(2 * member);
        *group = Some(made);
    }

    fn crash(&mut self, member: usize) {
        let lost = self.draw(2) == 0;
        self.waiting.retain(|(waits, ..)| *waits != member);
        let member = &mut self.members[member];
        member.group = None;
        if member.in_flight.take().is_some() && lost {
            member.disk.lose_last();
        }
    }

    /// One tick of everything.
    fn step(&mut self) {
        self.now += 1;
        self.deliver();
        for member in 0..self.members.len() {
            if self.members[member].group.is_some() {
                self.turn(member);
            }
        }
    }

    fn deliver(&mut self) {
        let due: Vec<_> = self.messages.extract_if(.., |(at, _)| *at <= self.now).collect();
        for (_, message) in due {
            let (from, to) = (member_of(message.from()), member_of(message.to()));
            let parted = self.parted.is_some_and(|parted| parted == from || parted == to);
            if let (false, Some(group)) = (parted, &mut self.members[to].group) {
                // Dropped messages are said again.
                let _ = group.handle_message(message);
            }
        }
    }

    fn turn(&mut self, place: usize) {
        let (bytes, delay) = (self.draw(3), 1 + self.draw(4));
        let change = self.members[place].group.as_ref().and_then(|group| self.next_change(group));
        let may_be_home = self.wanted.contains(&place);
        let member = &mut self.members[place];
        let Some(group) = &mut member.group else { return };
        group.tick();
        if let Some(change) = change.filter(|_| group.can_decide()) {
            // It is proposed again when it is refused.
            let _ = group.propose_change(change);
        }
        if !may_be_home
            && group.can_decide()
            && let Some(heir) = group.heir(|_| true)
        {
            group.hand_on(heir);
        }
        if let Some((at, end)) = member.in_flight
            && at <= self.now
        {
            group.handle_durable(end);
            member.in_flight = None;
        }
        if bytes == 0 && group.may_propose(1000).is_ok() {
            let proposed = group.propose(records([self.next_id])).unwrap();
            self.waiting.push((place, proposed, self.next_id));
            self.next_id += 1;
        }
        if member.in_flight.is_none() {
            member.in_flight = member.disk.write(group).map(|end| (self.now + delay, end));
        }
        self.poll(place);
    }

    fn poll(&mut self, place: usize) {
        let Member { group: Some(group), told_index, .. } = &mut self.members[place] else { return };
        while let Some(committed) = group.poll_committed() {
            for index in *told_index + 1..=committed.index {
                let entry = group.raw.store().held(index).unwrap();
                let known = self.ledger.entry(index).or_insert_with(|| (entry.term, entry.data.clone()));
                assert_eq!(*known, (entry.term, entry.data.clone()), "two members disagree on entry {index}");
            }
            *told_index = committed.index;
            group.handle_applied();
            let Committed { term, index } = committed;
            let acknowledged = self.waiting.extract_if(.., |(waits, proposed, _)| {
                *waits == place && proposed.term == term && proposed.index <= index
            });
            self.acknowledged.extend(acknowledged.map(|(_, _, id)| id));
        }
        if group.poll_overruled().is_some() {
            self.waiting.retain(|(waits, ..)| *waits != place);
        }
        let mut messages = Vec::new();
        while let Some(message) = group.poll_message() {
            messages.push(message);
        }
        for message in messages {
            let delay = 1 + self.draw(3);
            self.messages.push((self.now + delay, message));
        }
    }

    /// All members have all entries, and one of them decides.
    fn settled(&self) -> bool {
        let last = self.ledger.last_key_value().map_or(0, |(index, _)| *index);
        let wanted = || self.wanted.iter().map(|&member| &self.members[member]);
        let told = wanted().all(|member| member.told_index == last);
        let homes = wanted().filter_map(|member| member.group.as_ref()).filter(|group| group.can_decide());
        told && homes.count() == 1
    }

    /// No member is in trouble: everything settles.
    fn heal(&mut self) {
        self.parted = None;
        for member in 0..self.members.len() {
            if self.members[member].group.is_none() {
                self.start(member);
            }
        }
        let deadline = self.now + 3000;
        // New proposals keep the members apart by an entry or two; so it is asked again and again.
        while !self.settled() || !self.is_followed() {
            assert!(
                self.now < deadline,
                "members do not settle: {:?}",
                self.members.iter().map(|m| &m.group).collect::<Vec<_>>()
            );
            self.step();
        }
    }

    fn in_trouble(&mut self) {
        let member = usize::try_from(self.draw(self.members.len() as u64)).unwrap();
        let crash = self.draw(2) == 0;
        if crash {
            self.crash(member);
        } else {
            self.parted = Some(member);
        }
        for _ in 0..20 + self.draw(200) {
            self.step();
        }
    }

    /// All that was acknowledged is in what is committed; how many ids were not.
    fn judge(&self) -> usize {
        let mut written = Vec::new();
        for (_, data) in self.ledger.values() {
            let records = wal::Records::new(data).map_while(Result::ok);
            written.extend(records.map(|(_, record)| id_of(&record)));
        }
        assert!(self.acknowledged.len() > 20, "they do decide");
        assert!(self.acknowledged.iter().all(|id| written.contains(id)), "an acknowledged entry is gone");
        usize::try_from(self.next_id).unwrap() - written.len()
    }
}

#[test]
fn members_come_and_go_and_nothing_is_forgotten() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.heal();
        // A fourth and a fifth come, one after the other goes, with trouble in between and while it happens.
        for (comes, goes) in
            [(Some(3), None), (Some(4), Some(0)), (None, Some(1)), (None, Some(2)), (None, Some(3))]
        {
            if comes.is_some() {
                world.add();
            }
            world.wanted.extend(comes);
            world.wanted.retain(|member| Some(*member) != goes);
            world.in_trouble();
            world.heal();
        }
        assert_eq!(world.wanted, [4]);
        world.judge();
    }
}

#[test]
fn three_members_agree_and_forget_nothing_whoever_is_in_trouble() {
    let (mut overruled, mut terms) = (0, 0);
    for seed in 0..40 {
        // Repeat with the seed that is printed: `World::new(seed)`.
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.heal();
        for _ in 0..12 {
            world.in_trouble();
            world.heal();
        }
        overruled += world.judge();
        terms += world.ledger.last_key_value().unwrap().1.0;
    }
    assert!(overruled > 0, "some tails were truncated, or the test sees nothing");
    assert!(terms > 100, "homes changed");
}

#[test]
fn a_home_knows_what_others_lack_and_of_whom_it_has_not_heard() {
    let mut world = World::new(7);
    world.heal();
    let home_of = |world: &World| {
        let decides = |member: &Member| member.group.as_ref().is_some_and(Group::can_decide);
        world.members.iter().position(decides)
    };
    let lag_of = |world: &World, home: usize, other: usize| {
        let group = world.members[home].group.as_ref().unwrap();
        group.lags().find(|(node, _)| *node == node_of(other)).expect("it is another member").1
    };
    let home = home_of(&world).unwrap();
    let (away, near) = ((home + 1) % 3, (home + 2) % 3);
    world.parted = Some(away);
    while lag_of(&world, home, away) <= Some(20) {
        assert!(
            world.now < 3000 && home_of(&world) == Some(home),
            "the home goes on, and the other stays away"
        );
        world.step();
    }
    assert!(lag_of(&world, home, near) < lag_of(&world, home, away));
    assert_eq!(world.members[near].group.as_ref().unwrap().lags().count(), 0, "it is no home");
    world.heal();
    // It has all, and its word that it has is on its way.
    while lag_of(&world, home, away) > Some(10) {
        assert!(world.now < 3000 && home_of(&world) == Some(home), "the home goes on, and hears of it");
        world.step();
    }

    world.crash(home);
    while home_of(&world).is_none() {
        assert!(world.now < 3000, "another follows");
        world.step();
    }
    let next = home_of(&world).unwrap();
    assert_eq!(lag_of(&world, next, home), None, "who was home has said nothing to its heir");
    assert!(lag_of(&world, next, 3 - home - next).is_some());
}
