//! Three regions behind a wide area network that is 80 ms there and back: they are killed in turn, cut off, stopped past an election and
//! restarted one by one, under load. What was acknowledged is known, told and sent as its class allows, and the others answer meanwhile.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::kill::{call_customer, drain_and_judge, kills};
use crate::ledger::{INTENT, Ledger};
use crate::prober::{PROBE, Prober};
use crate::world::{ONE_WAY, REGIONS, WINDOW, World, more};

/// How often a region is killed, unless `SWITCHYARD_KILLS` says otherwise.
const KILLS: u64 = 3;
/// Acknowledgements before each fault, and during it.
const ACKNOWLEDGED: usize = 500;
/// Acknowledgements before a cut: the carrier is slower, so that many of them wait.
const BACKLOG: usize = 1500;

#[test]
fn regions_that_are_killed_in_turn_lose_nothing_and_others_answer_for_every_partition() {
    let mut world = World::start();
    let (ledger, prober) = (call_customer(), Prober::default());
    // While nothing else goes on: of the home that is asked, and of the homes that it asks.
    let took = prober.single(world.daemon(0).http);
    say("answers", &[took[0], took[took.len() / 2], took[took.len() - 1]]);
    assert!(took[0] >= 2 * ONE_WAY, "an answer that no other region can have heard of: {:?}", took[0]);
    world.turn(&ledger, 0);
    let mut taken_over = Vec::new();
    for kill in 0..kills(KILLS) {
        let node = usize::try_from(kill).expect("few") % REGIONS;
        more(&ledger, ACKNOWLEDGED, "acknowledgements before a kill");
        let since = Instant::now();
        world.take(node).kill();
        let others = World::others(node);
        world.turn(&ledger, others[0]);
        taken_over.push(longest(prober.probe(since, &others.map(|other| world.daemon(other).http))));
        more(&ledger, ACKNOWLEDGED, "acknowledgements while a region is away");
        world.put_back(node);
        world.whole();
        // It is connected to the region that is killed next at every other time.
        world.turn(&ledger, if kill % 2 == 0 { others[0] } else { node });
    }
    say("take-over after a kill", &taken_over);
    judge(&world, &ledger, &prober);
}

#[test]
fn a_region_that_is_cut_off_takes_nothing_and_sends_only_what_was_committed_and_the_others_go_on() {
    // A slow carrier, so that much waits in the node that is cut off.
    let mut world = World::start_with("rate = 600");
    let (ledger, prober) = (call_customer(), Prober::default());
    let mut taken_over = Vec::new();
    for node in 0..REGIONS {
        world.turn(&ledger, node);
        more(&ledger, BACKLOG, "acknowledgements before a cut");
        let (since, cut) = (Instant::now(), Cut::make(&world, node, &ledger, &prober));
        let others = World::others(node);
        let at_others = others.map(|other| world.daemon(other).http);
        let (to_it, alone) = (prober.begin(), world.daemon(node).http);
        let of_it = to_it.clone();
        thread::scope(|scope| {
            let at_last = scope.spawn(|| prober.hand_over(to_it, |_| alone));
            taken_over.push(longest(prober.probe(since, &at_others)));
            world.turn(&ledger, others[0]);
            more(&ledger, ACKNOWLEDGED, "acknowledgements while a region is cut off");
            if node == REGIONS - 1 {
                // As long as it takes to be given up, so that what is on its way is not believed any more.
                world.until_unheard(others[0], node);
            }
            assert_eq!(prober.acknowledged_of(of_it), 0, "a node that is alone takes messages");
            cut.judge(&world);
            world.wan.heal();
            at_last.join().expect("it is acknowledged when all is well again");
        });
        world.whole();
        more(&ledger, ACKNOWLEDGED, "acknowledgements when all is well again");
    }
    say("take-over after a cut", &taken_over);
    judge(&world, &ledger, &prober);
}

/// A region that is cut off, and what had happened when it was.
struct Cut {
    node: usize,
    /// Intents and probes that had been begun.
    begun: (u64, u64),
    seen: BTreeMap<String, u32>,
}

impl Cut {
    /// Of the first region nothing arrives, at the second nothing arrives, and of the third both.
    fn make(world: &World, node: usize, ledger: &Ledger, prober: &Prober) -> Self {
        let (out, into) = World::ways(node);
        world.wan.stall([out.clone(), into.clone(), [out, into].concat()][node].iter().copied());
        let pages = ledger.pages();
        let waiting = pages.acknowledged.len() - pages.fates.len();
        println!("region {node} is cut off while {waiting} messages are on their way");
        assert!(waiting > 2 * WINDOW, "with {waiting} that wait it would be no wonder that nothing is sent");
        Self { node, begun: (pages.begun, prober.begun()), seen: world.carrier.seen_at(node) }
    }

    /// What it has sent since: attempts that were committed, which cannot be more than its window has places.
    fn judge(&self, world: &World) {
        let mut late = world.carrier.seen_at(self.node);
        late.retain(|text, _| !self.seen.contains_key(text));
        let number = |text: &str, of: &str| text.strip_prefix(of)?.trim().parse::<u64>().ok();
        let is_earlier = |text: &String| {
            let (intents, probes) = self.begun;
            number(text, INTENT).is_some_and(|intent| intent < intents)
                || number(text, PROBE).is_some_and(|probe| probe < probes)
        };
        println!("cut off, region {} sent {} more", self.node, late.len());
        assert!(late.keys().all(is_earlier) && late.len() <= WINDOW, "{} more: {late:?}", late.len());
    }
}

#[test]
fn a_home_that_is_stopped_past_an_election_does_not_send_what_the_next_one_sends() {
    let mut world = World::start();
    let (ledger, prober) = (call_customer(), Prober::default());
    for node in 0..REGIONS {
        world.turn(&ledger, node);
        more(&ledger, ACKNOWLEDGED, "acknowledgements before a stop");
        let since = Instant::now();
        world.daemon(node).signal("-STOP");
        let others = World::others(node);
        world.turn(&ledger, others[0]);
        let taken_over = prober.probe(since, &others.map(|other| world.daemon(other).http));
        say("take-over after a stop", &taken_over);
        more(&ledger, ACKNOWLEDGED, "acknowledgements while a region is stopped");
        world.daemon(node).signal("-CONT");
        world.turn(&ledger, node);
        world.whole();
    }
    judge(&world, &ledger, &prober);
}

#[test]
fn regions_that_are_restarted_one_by_one_show_no_error_to_a_customer_who_repeats() {
    let mut world = World::start();
    let (ledger, prober) = (call_customer(), Prober::default());
    let (nodes, is_over) = (Mutex::new(world.https()), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            // Each batch begins in another region.
            for first in (0..REGIONS).cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                let batch = prober.begin();
                prober.hand_over(batch, |tries| {
                    nodes.lock().expect("nobody panics in here")[(first + tries) % REGIONS]
                });
            }
        });
        for node in 0..REGIONS {
            world.turn(&ledger, node);
            more(&ledger, ACKNOWLEDGED, "acknowledgements before a restart");
            let since = Instant::now();
            let (status, words) = world.take(node).terminate();
            println!("region {node} has stopped after {:?}", since.elapsed());
            assert_eq!(status.code(), Some(0), "{words}");
            // Until then it has knocked where it was.
            world.turn(&ledger, World::others(node)[0]);
            more(&ledger, ACKNOWLEDGED, "acknowledgements while a region is away");
            world.put_back(node);
            *nodes.lock().expect("nobody panics in here") = world.https();
            world.whole();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    judge(&world, &ledger, &prober);
}

fn longest(durations: Vec<Duration>) -> Duration {
    durations.into_iter().max().expect("somebody was asked")
}

/// For whoever reads the figures: how long it took, in the order in which it happened, and half of the times and all at most.
fn say(what: &str, durations: &[Duration]) {
    let ms: Vec<u128> = durations.iter().map(Duration::as_millis).collect();
    let mut ordered = ms.clone();
    ordered.sort_unstable();
    println!("{what}: {ms:?} ms; half {}, all {}", ordered[ordered.len() / 2], ordered[ordered.len() - 1]);
}

fn judge(world: &World, ledger: &Ledger, prober: &Prober) {
    let mut found = drain_and_judge(ledger, &world.carrier, world.daemon(0));
    found.extend(prober.judge(world.daemon(0).native, &world.carrier));
    assert!(found.is_empty(), "{} broken promises, first {:?}", found.len(), &found[..found.len().min(20)]);
}
