//! A world by hand, in a small vocabulary: what a seed once showed becomes a story that anybody can read.
//!
//! A story begins calm: one shard, one carrier, one customer, no faults. It then says what is different, lets things
//! happen, and ends: the world is healed, must come to rest, and every promise is checked as in any other run.

use core::time::Duration;
use std::fmt;

use shards::api::Fate;
use shards::members::Member;
use shards::plan::{Binds, Plan};
use wire::id::Class;
use wire::smpp::profile::Profile;

pub use crate::carrier::manners::Kind as Manner;

use crate::carrier::manners::Habit;
use crate::disk::Crash;
use crate::recover::Snapshots;

use crate::swarm::{CustomerTraits, DiskTraits, MS, Mode, S, Swarm};
use crate::world::World;

/// A world that has not begun.
#[derive(Debug)]
pub struct Story {
    seed: u64,
    swarm: Swarm,
}

/// A world in which a story happens.
#[derive(Debug)]
pub struct Stage {
    world: World,
}

/// How a story ended: how many messages by fate, and how many doubts there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    fates: [u64; 5],
    doubts: u64,
}

impl Story {
    /// A calm world.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        let mut swarm = Swarm::draw(seed, Mode::Calm);
        swarm.mode = Mode::Faults;
        swarm.safety = 3_600 * S;
        swarm.faults.clear();
        swarm.intents_max = 0;
        swarm.disk = DiskTraits {
            sync: (MS, 2 * MS),
            slow_per_mille: 0,
            slow: 0,
            fail_per_mille: 0,
            snapshots: Snapshots { every_bytes: 1 << 20, piece_bytes: 300 },
            prepare: (MS, 2 * MS),
            no_room_per_mille: 0,
            again_per_mille: 0,
        };
        swarm.wrong_answers_per_mille = 0;
        swarm.others.clear();
        swarm.net.delay = (MS, 2 * MS);
        swarm.net.chunk_bytes = 1_460;
        swarm.net.kernel_bytes = 65_536;
        swarm.customers = vec![CustomerTraits {
            account: 0,
            gap: (20 * MS, 40 * MS),
            burst: 1,
            subscribes: true,
            is_mute: false,
            credits: 100,
            disconnects_per_mille: 0,
            boasts_per_mille: 0,
        }];
        Self { seed, swarm }.carriers(1).plan(|plan| {
            plan.shards = 1;
            plan.founders = vec![Member::of(plan.node)];
            plan.is_clustered = false;
            for carrier in &mut plan.carriers {
                carrier.binds = Binds::PerShard(1);
                let forms = carrier.profile.ids;
                carrier.profile = Profile { window_pdus: 50, ids: forms, ..Profile::GENERIC };
                carrier.profile.timers.response = Duration::from_secs(2);
            }
        })
    }

    /// So many customers, each with an account of its own.
    #[must_use]
    pub fn customers(mut self, count: usize) -> Self {
        let model = self.swarm.customers[0];
        self.swarm.customers = (0..count).map(|account| CustomerTraits { account, ..model }).collect();
        self
    }

    /// So many carriers, in the order of the routes.
    #[must_use]
    pub fn carriers(mut self, count: u16) -> Self {
        self.swarm.habits = vec![Vec::new(); usize::from(count)];
        self.swarm.capacities = Vec::new();
        self.plan(|plan| {
            let model = plan.carriers[0].clone();
            let named = |place: u16| {
                let name = format!("carrier-{place}");
                shards::plan::Carrier { id: wire::id::CarrierId::of_name(&name), name, ..model.clone() }
            };
            plan.carriers = (0..count).map(named).collect();
            let route = shards::plan::Route { prefix: None, carriers: (0..count).collect() };
            plan.routes = shards::routes::Routes::new(vec![route]);
        })
    }

    /// Changes the plan.
    #[must_use]
    pub fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(std::sync::Arc::make_mut(&mut self.swarm.plan));
        self
    }

    /// A carrier misbehaves, so many times in a thousand.
    #[must_use]
    pub fn carrier_that(mut self, carrier: u16, manner: Manner, per_mille: u64) -> Self {
        self.swarm.habits[usize::from(carrier)].push(Habit { kind: manner, per_mille });
        self
    }

    /// Every sync takes so long.
    #[must_use]
    pub fn sync_takes(mut self, time: Duration) -> Self {
        let time = nanos(time);
        self.swarm.disk.sync = (time, time);
        self
    }

    /// The world begins.
    #[must_use]
    pub fn begin(self) -> Stage {
        let mut stage = Stage { world: World::new(self.seed, self.swarm, None) };
        stage.run_for(Duration::from_secs(2));
        stage
    }
}

impl Stage {
    /// The customer submits so many messages of a class, each of one segment.
    pub fn submit(&mut self, count: usize, class: Class) {
        (0..count).for_each(|_| self.world.submit_by_hand(0, class, 1));
    }

    /// Another customer than the first submits so many messages of a class, each of one segment.
    pub fn submit_as(&mut self, customer: usize, count: usize, class: Class) {
        (0..count).for_each(|_| self.world.submit_by_hand(customer, class, 1));
    }

    /// How long a customer's messages took to a carrier, those that arrived, the quickest first.
    #[must_use]
    pub fn delays(&self, customer: usize) -> Vec<Duration> {
        let mut delays: Vec<_> = self.world.judge.delays(customer).collect();
        delays.sort_unstable();
        delays
    }

    /// The customer submits a message of several segments.
    pub fn submit_long(&mut self, class: Class) {
        self.world.submit_by_hand(0, class, 60);
    }

    /// Time passes.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.world.now + nanos(time);
        while self.world.now < until && self.world.step() {}
        self.judge();
    }

    /// The process is killed, and comes back.
    pub fn kill(&mut self) {
        self.world.die_by_hand(Crash::Process);
    }

    /// The power fails, and comes back.
    pub fn lose_power(&mut self) {
        self.world.die_by_hand(Crash::Power);
    }

    /// All connections to carriers break.
    pub fn break_links(&mut self) {
        self.world.break_links_by_hand();
    }

    /// How many segments went by the link of another shard so far.
    #[must_use]
    pub fn lent(&self) -> u64 {
        self.world.sights.lent
    }

    /// Everything heals, comes to rest, and is judged.
    #[must_use]
    pub fn end(mut self) -> Ending {
        self.world.heal_by_hand();
        while self.world.step() {}
        self.judge();
        let sights = self.world.sights;
        Ending { fates: sights.fates, doubts: sights.doubts }
    }

    fn judge(&self) {
        if let Some(violation) = &self.world.judge.violation {
            panic!(
                "promise {} was broken at {} ms: {}",
                violation.promise,
                violation.at / MS,
                violation.what
            );
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fates = Fate::ALL.iter().zip(self.fates).filter(|(_, count)| *count > 0);
        let fates: Vec<_> = fates.map(|(fate, count)| format!("{} {count}", fate.name())).collect();
        write!(f, "{}; {} doubts", fates.join(", "), self.doubts)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
