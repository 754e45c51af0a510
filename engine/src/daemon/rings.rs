//! Between the shards of a node: one bounded ring for each ordered pair, and a wake-up when something was put into it.
//!
//! The brain's credits bound requests and answers to what a ring holds. Fates for another shard's subscribers come on top;
//! what finds no room waits here, in order, bounded by the subscribers' own credits. A reader that finds its ring full
//! wakes the writer once it has emptied it, so nobody waits for a timer.

use std::collections::VecDeque;

use rtrb::{Consumer, Producer, RingBuffer};
use shards::{Cross, Shard};
use wire::id::ShardId;
use wire::time::Now;

use crate::runtime::WakeHandle;

use super::limits::RING_MESSAGES;

/// One shard's ends of all its rings. Lives on the shard's thread.
#[derive(Debug)]
pub(super) struct Rings {
    /// To each other shard; `None` at the shard's own place.
    to: Vec<Option<Outgoing>>,
    /// From each other shard.
    from: Vec<Option<Consumer<Cross>>>,
}

#[derive(Debug)]
struct Outgoing {
    ring: Producer<Cross>,
    waiting: VecDeque<Cross>,
}

/// The rings of a node: each shard's ends, by number.
pub(super) fn mesh(shards: u16) -> Vec<Rings> {
    let empty = || Rings { to: Vec::new(), from: Vec::new() };
    let mut ends: Vec<Rings> = (0..shards).map(|_| empty()).collect();
    for writer in 0..usize::from(shards) {
        for reader in 0..usize::from(shards) {
            let (to, from) = if writer == reader {
                (None, None)
            } else {
                let (producer, consumer) = RingBuffer::new(RING_MESSAGES);
                (Some(Outgoing { ring: producer, waiting: VecDeque::new() }), Some(consumer))
            };
            ends[writer].to.push(to);
            // Writers come in order, so a reader's place for this writer is the next one.
            ends[reader].from.push(from);
        }
    }
    ends
}

impl Rings {
    /// Gives the brain what the other shards have put in. `true` when there was something.
    pub(super) fn receive(&mut self, brain: &mut Shard, now: Now, wakers: &[WakeHandle]) -> bool {
        let mut any = false;
        for (from, ring) in (0_u16..).zip(&mut self.from) {
            let Some(ring) = ring else { continue };
            // Only what is there now: a writer that is faster than we are must not keep us here.
            let count = ring.slots();
            if count == 0 {
                continue;
            }
            let chunk = ring.read_chunk(count).expect("as many as were counted");
            for message in chunk {
                brain.handle_cross(now, ShardId(from), message);
            }
            if count == RING_MESSAGES {
                wakers[usize::from(from)].wake();
            }
            any = true;
        }
        any
    }

    /// Takes what the brain has for the other shards, as far as there is room, and wakes those who get something.
    pub(super) fn send(&mut self, brain: &mut Shard, wakers: &[WakeHandle]) {
        while let Some((to, message)) = brain.poll_cross() {
            let outgoing = self.to[usize::from(to.0)].as_mut().expect("a brain sends nothing to itself");
            outgoing.waiting.push_back(message);
        }
        for (outgoing, waker) in self.to.iter_mut().zip(wakers) {
            let Some(outgoing) = outgoing.as_mut().filter(|outgoing| !outgoing.waiting.is_empty()) else {
                continue;
            };
            while let Some(message) = outgoing.waiting.pop_front() {
                if let Err(rtrb::PushError::Full(message)) = outgoing.ring.push(message) {
                    outgoing.waiting.push_front(message);
                    break;
                }
            }
            waker.wake();
        }
    }

    /// Whether another shard has put something in.
    pub(super) fn hold_something(&self) -> bool {
        self.from.iter().flatten().any(|ring| !ring.is_empty())
    }

    /// Whether all that was to be sent is in the rings.
    pub(super) fn all_sent(&self) -> bool {
        self.to.iter().flatten().all(|outgoing| outgoing.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shards::ShardConfig;
    use shards::api::{Origin, Refusal, Reply, Submission};
    use wire::id::{AccountId, PartitionCount};
    use wire::msisdn::Msisdn;

    use super::*;
    use crate::config::{Config, Host};

    const FILE: &str = "[[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
        [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n\
        [[route]]\nprefix = \"\"\ncarriers = [\"c\"]\n";

    /// Two brains that have read no log: they refuse, but they speak.
    fn brains() -> Vec<Shard> {
        let partitions = PartitionCount::new(16).unwrap();
        let config = Config::parse("test", FILE).unwrap();
        let plan = Arc::new(config.plan(Host { shards: 2, partitions, memory_bytes: 1 << 30 }));
        let shard = |id| {
            let config = ShardConfig {
                id: ShardId(id),
                process: 1,
                seed: 1,
                records_bytes_max: wal::Layout::default().records_bytes_max(),
                directory: 1,
                cluster: 1,
                snapshot_every_bytes: 1 << 30,
                snapshot_piece_bytes: shards::limits::SNAPSHOT_PIECE_BYTES,
            };
            Shard::new(config, Arc::clone(&plan))
        };
        (0..2).map(shard).collect()
    }

    #[test]
    fn a_question_crosses_to_the_shard_of_its_recipient_and_its_answer_comes_back() {
        let wakers = crate::runtime::spawn_shards(&[0, 0], async |_| ()).unwrap().wakers();
        let partitions = PartitionCount::new(16).unwrap();
        let recipient = (0..)
            .map(|n| Msisdn::parse(format!("49151{n:07}").as_bytes()).unwrap())
            .find(|&recipient| partitions.partition_of(recipient).0 % 2 == 1)
            .unwrap();
        let submission = Submission {
            account: AccountId::of_name("a"),
            recipient,
            sender: "",
            key: b"",
            class: None,
            validity: None,
            text: "hello",
        };
        let (mut brains, mut rings) = (brains(), mesh(2));
        let origin = Origin { shard: ShardId(0), connection: 7, request: 9 };
        brains[0].handle_submit(Now::default(), origin, &submission);
        assert_eq!(brains[0].poll_reply(), None);
        rings[0].send(&mut brains[0], &wakers);
        assert!(rings[1].hold_something() && !rings[0].hold_something() && rings[0].all_sent());
        assert!(rings[1].receive(&mut brains[1], Now::default(), &wakers));
        rings[1].send(&mut brains[1], &wakers);
        assert!(rings[0].receive(&mut brains[0], Now::default(), &wakers));
        let answer = brains[0].poll_reply();
        assert!(
            matches!(answer, Some(Reply::Answer { origin: to, outcome: Err(Refusal::NotHome | Refusal::Stopping) }) if to == origin),
            "{answer:?}"
        );
        assert!(!rings[0].receive(&mut brains[0], Now::default(), &wakers));
    }
}
