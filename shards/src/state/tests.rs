//! A snapshot, and the records behind it, give the state that the records alone give.

use core::time::Duration;

use wal::record::{
    Accepted, Acknowledged, Answered, Attempted, Collected, Discarded, Doubted, Fated, Parked, Received,
    Record, Reported, Strayed,
};
use wal::{HardState, RecordError, Records};
use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId, Partition};
use wire::msisdn::Msisdn;
use wire::time::WallMs;

use super::capture::TakenAt;
use super::restore::RestoreError;
use super::{PartitionState, Retention};

const PARTITION: Partition = Partition(3);
const RETENTION: Retention = Retention { finished_for: Duration::from_secs(5), finished_max: 200 };

/// A small generator (xorshift64*), so that a seed tells a run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

/// Writes records that a home could have written, and many that fit nothing.
struct Author {
    random: Random,
    at: WallMs,
    accepted: u64,
    received: u64,
    fates: [u64; 3],
}

impl Author {
    fn record(&mut self, state: &PartitionState, out: &mut Vec<u8>) {
        self.at = WallMs(self.at.0 + self.random.below(40));
        let id = MessageId(u128::from(1 + self.random.below(self.accepted + 2)));
        let (carrier, attempt) = (CarrierId(7), 1);
        let recipient = Msisdn::parse(b"4915112345678").unwrap();
        let receipt = 1 + self.random.below(500);
        let until_ms = self.at.0 + 1_000;
        let (part, error) = (u8::try_from(self.random.below(3)).unwrap(), 0);
        let reported = if self.random.below(2) == 0 { 2 } else { 5 };
        let record = match self.random.below(14) {
            0..4 => return self.accept(recipient, out),
            4 | 5 => Record::Attempted(Attempted {
                id,
                attempt,
                parts: 7,
                carrier,
                link: 0,
                node: NodeId(1),
                process: 1,
                bind: 1,
                why: 1,
                skipped: 0,
                segments: u8::try_from(self.random.below(4)).unwrap(),
                cut: 0,
            }),
            6 | 7 => Record::Answered(Answered {
                id,
                attempt,
                part,
                outcome: 1,
                status: 0,
                retry_at_ms: 0,
                receipt: if self.names(state, id, part) { receipt } else { 0 },
                carrier_id: b"abc",
            }),
            8 => Record::Reported(Reported {
                id,
                attempt,
                part,
                state: reported,
                error,
                carrier,
                fate: Reported::BY_STATE,
                why: 5,
            }),
            9 => match self.random.below(3) {
                0 => Record::Parked(Parked { carrier, receipt, recipient, state: 2, error, until_ms }),
                1 => Record::Strayed(Strayed { carrier, receipt, recipient, state: 2, why: 0 }),
                _ => Record::Doubted(Doubted { id, attempt, parts: 7, why: 7, settle_at_ms: self.at.0 }),
            },
            10 => Record::Fated(Fated { id, fate: 1, why: 6, code: 0 }),
            12 | 13 => return self.handset(recipient, out),
            _ => {
                let account = self.random.below(3);
                let sequence = self.random.below(self.accepted + self.received + 1);
                self.fates[usize::try_from(account).unwrap()] = sequence;
                Record::Acknowledged(Acknowledged {
                    account: AccountId(u32::try_from(account).unwrap()),
                    sequence,
                })
            }
        };
        record.encode(self.at, out);
    }

    /// Something of a handset: parts of few texts, messages whole and in parts, repetitions.
    fn handset(&mut self, source: Msisdn, out: &mut Vec<u8>) {
        let (carrier, total) = (CarrierId(7), 3);
        let destination = Msisdn::parse(b"12345").unwrap();
        let reference = u16::try_from(self.random.below(4)).unwrap();
        let fingerprint = self.random.below(60);
        let known_until_ms = self.at.0 + self.random.below(2_000);
        let record = match self.random.below(4) {
            0 | 1 => Record::Collected(Collected {
                carrier,
                source,
                destination,
                reference,
                total,
                number: u8::try_from(1 + self.random.below(3)).unwrap(),
                alphabet: 0,
                fingerprint,
                known_until_ms,
                until_ms: self.at.0 + 1_000,
                octets: b"part",
            }),
            2 => Record::Discarded(Discarded {
                carrier,
                source,
                destination,
                reference,
                total,
                fingerprint,
                known_until_ms,
            }),
            _ => {
                self.received += 1;
                Record::Received(Received {
                    id: MessageId(1 << 100 | u128::from(self.received)),
                    account: AccountId(u32::try_from(self.random.below(3)).unwrap()),
                    carrier,
                    source,
                    destination,
                    reference,
                    parts: total,
                    missing: 1,
                    fingerprint,
                    session: self.random.below(3),
                    known_until_ms,
                    text: b"YES",
                })
            }
        };
        record.encode(self.at, out);
    }

    /// Whether a name may be given to a segment: it has none.
    fn names(&self, state: &PartitionState, id: MessageId, part: u8) -> bool {
        let slot = state.messages.find(id);
        slot.is_some_and(|slot| {
            let parts = state.messages.at(slot).parts.all();
            parts.get(usize::from(part)).is_some_and(|part| part.receipt == 0)
        })
    }

    fn accept(&mut self, recipient: Msisdn, out: &mut Vec<u8>) {
        self.accepted += 1;
        let id = u128::from(self.accepted);
        let accepted = Accepted {
            id: MessageId(id),
            account: AccountId(u32::try_from(self.accepted % 3).unwrap()),
            tenant: 0,
            recipient,
            channel: 0,
            class: Class::Notification,
            key: KeyHash(id << 64 | id << 112 | id),
            body: self.accepted,
            send_until_ms: self.at.0 + 100,
            deadline_ms: self.at.0 + 2_000,
            not_before_ms: 0,
            key_id: 0,
            alphabet: 0,
            segments: u8::try_from(1 + self.accepted % 3).unwrap(),
            sender: b"Acme",
            text: b"a text",
        };
        Record::Accepted(accepted).encode(self.at, out);
    }
}

fn apply(state: &mut PartitionState, records: &[u8]) -> Result<(), RecordError> {
    for record in Records::new(records) {
        let (at, record) = record?;
        state.apply(at, &record);
    }
    Ok(())
}

/// One run: some records, a snapshot of which pieces are taken between further records, and what it gives.
fn run(seed: u64) -> Result<(), RestoreError> {
    let author = Author {
        random: Random(seed),
        at: WallMs(1_795_402_975_120),
        accepted: 0,
        received: 0,
        fates: [0; 3],
    };
    let mut author = author;
    let mut live = PartitionState::new(PARTITION, RETENTION);
    let (mut snapshot, mut behind) = (Vec::new(), Vec::new());
    for _ in 0..author.random.below(4_000) {
        let mut record = Vec::new();
        author.record(&live, &mut record);
        apply(&mut live, &record).unwrap();
    }
    let group = HardState { partition: PARTITION, term: 1, vote: 1, commit: 9 };
    let at = TakenAt {
        cluster: 5,
        node: NodeId(1),
        partitions: 16,
        group,
        term: 1,
        index: 9,
        log_from: wal::Lsn::ZERO,
        piece_bytes: 4_096,
        group_members: replication::Members::default(),
    };
    live.begin_capture(at);
    let begun = live.digest();
    while !live.is_captured() {
        for _ in 0..author.random.below(50) {
            let mut record = Vec::new();
            author.record(&live, &mut record);
            apply(&mut live, &record).unwrap();
            behind.extend(record);
        }
        snapshot.extend(live.take_piece().unwrap_or_default());
    }
    snapshot.extend(live.end_capture());
    let (mut restored, head) = PartitionState::restore(PARTITION, RETENTION, &snapshot)?;
    assert_eq!((head.index, head.group), (9, group), "seed {seed}");
    if behind.is_empty() {
        assert_eq!(restored.digest(), begun, "seed {seed}");
    }
    apply(&mut restored, &behind).unwrap();
    assert_eq!(restored.digest(), live.digest(), "seed {seed}");
    Ok(())
}

#[test]
fn a_snapshot_and_what_came_behind_it_give_the_same_state() {
    for seed in 1..200 {
        run(seed).unwrap();
    }
}

/// One run of records, and every message at its end as its own records alone give it.
fn run_aged(seed: u64) {
    let retention = Retention { finished_for: Duration::MAX, finished_max: usize::MAX };
    let mut author = Author {
        random: Random(seed),
        at: WallMs(1_795_402_975_120),
        accepted: 0,
        received: 0,
        fates: [0; 3],
    };
    let mut live = PartitionState::new(PARTITION, retention);
    let mut log = Vec::new();
    for _ in 0..author.random.below(2_000) {
        let mut record = Vec::new();
        author.record(&live, &mut record);
        apply(&mut live, &record).unwrap();
        log.extend(record);
    }
    for number in 1..=author.accepted {
        let id = MessageId(number.into());
        let mut aged = crate::Aged::new(id);
        for record in Records::new(&log) {
            let (at, record) = record.unwrap();
            aged.apply(at, &record);
        }
        let message = live.messages.at(live.messages.find(id).unwrap());
        assert_eq!(aged.view(message.account).as_deref(), Some(&message.view()), "seed {seed}");
        assert_eq!(aged.view(AccountId(message.account.0 + 1)), None, "another account's");
    }
}

#[test]
fn a_message_made_again_from_its_records_is_what_it_was() {
    for seed in 1..20 {
        run_aged(seed);
    }
}

#[test]
fn a_message_whose_acceptance_is_gone_is_not_known() {
    let id = MessageId(7);
    let mut aged = crate::Aged::new(id);
    aged.apply(WallMs(9), &Record::Fated(Fated { id, fate: 1, why: 6, code: 0 }));
    // One that would go back in time is left out.
    aged.apply(WallMs(8), &Record::Fated(Fated { id, fate: 1, why: 6, code: 0 }));
    assert_eq!(aged.view(AccountId(0)), None);
}
