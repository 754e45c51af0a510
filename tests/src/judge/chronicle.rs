//! What the logs tell: every message's life, from the records on the disks.

use std::collections::BTreeMap;

use shards::api::{Fate, Why};
use shards::plan::Plan;
use wal::{Item, Lsn, Record};
use wire::id::{AccountId, Class, MessageId, Partition, ShardId};
use wire::time::WallMs;

use crate::disk::Disk;
use crate::parcel::nonce_of;
use crate::recover;

/// One message, as its records tell.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) nonce: Option<u64>,
    pub(crate) text: String,
    pub(crate) class: Class,
    pub(crate) segments: u8,
    pub(crate) deadline: WallMs,
    /// The batch of its acceptance.
    pub(crate) accepted_in: Lsn,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) doubts: Vec<DoubtSeen>,
    /// How often a doubt was settled by sending again.
    pub(crate) requeued: u32,
    pub(crate) fates: Vec<FateSeen>,
}

/// Parts that were handed to a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u16,
    pub(crate) parts: u32,
    pub(crate) lsn: Lsn,
    pub(crate) at: WallMs,
    pub(crate) timeout_ms: u64,
}

/// Parts that may have left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DoubtSeen {
    pub(crate) attempt: u16,
    pub(crate) parts: u32,
    pub(crate) why: Why,
    pub(crate) at: WallMs,
}

/// A fate in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FateSeen {
    pub(crate) fate: Fate,
    pub(crate) why: Why,
    pub(crate) at: WallMs,
}

/// Everything that the logs tell.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    pub(crate) messages: BTreeMap<MessageId, Life>,
    /// The batches of each account's fates in each partition, in order.
    pub(crate) fates: BTreeMap<(AccountId, Partition), Vec<Lsn>>,
    /// Acknowledgements by customers: through which fate, in which batch.
    pub(crate) acknowledged: Vec<(AccountId, Partition, u64, Lsn)>,
    accounts: BTreeMap<MessageId, AccountId>,
}

impl Chronicle {
    /// Reads all disks.
    pub(crate) fn read(plan: &Plan, disks: &[Disk]) -> Result<Self, String> {
        let mut chronicle = Self::default();
        for (shard, disk) in (0_u16..).map(ShardId).zip(disks) {
            recover::scan(disk, recover::log_config(plan, shard), |lsn, item| {
                if let Item::Entry(entry) = item {
                    for record in entry.records().flatten() {
                        chronicle.record(plan, (lsn, entry.partition), record);
                    }
                }
            })?;
        }
        Ok(chronicle)
    }

    fn record(&mut self, plan: &Plan, (lsn, partition): (Lsn, Partition), (at, record): (WallMs, Record<'_>)) {
        match record {
            Record::Accepted(accepted) => {
                let text = String::from_utf8_lossy(accepted.text).into_owned();
                self.accounts.insert(accepted.id, accepted.account);
                let life = Life {
                    nonce: nonce_of(&text),
                    text,
                    class: accepted.class,
                    segments: accepted.segments,
                    deadline: WallMs(accepted.deadline_ms),
                    accepted_in: lsn,
                    attempts: Vec::new(),
                    doubts: Vec::new(),
                    requeued: 0,
                    fates: Vec::new(),
                };
                self.messages.insert(accepted.id, life);
            }
            Record::Attempted(attempted) => {
                let carrier = plan.carrier_place(attempted.carrier).map(|place| &plan.carriers[place]);
                let timeout = carrier.map_or(0, |carrier| carrier.response_timeout.as_millis());
                self.change(attempted.id, |life| {
                    life.attempts.push(Attempt {
                        number: attempted.attempt,
                        parts: attempted.parts,
                        lsn,
                        at,
                        timeout_ms: u64::try_from(timeout).unwrap_or(0),
                    });
                });
            }
            Record::Doubted(doubted) => {
                let why = Why::from_byte(doubted.why);
                let (attempt, parts) = (doubted.attempt, doubted.parts);
                self.change(doubted.id, |life| life.doubts.push(DoubtSeen { attempt, parts, why, at }));
            }
            Record::Requeued(requeued) => self.change(requeued.id, |life| life.requeued += 1),
            Record::Fated(fated) => {
                let fate = Fate::from_byte(fated.fate).unwrap_or(Fate::Unknown);
                let why = Why::from_byte(fated.why);
                self.change(fated.id, |life| life.fates.push(FateSeen { fate, why, at }));
                if let Some(account) = self.accounts.get(&fated.id) {
                    self.fates.entry((*account, partition)).or_default().push(lsn);
                }
            }
            Record::Acknowledged(acknowledged) => {
                self.acknowledged.push((acknowledged.account, partition, acknowledged.sequence, lsn));
            }
            _ => {}
        }
    }

    fn change(&mut self, id: MessageId, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.messages.get_mut(&id) {
            change(life);
        }
    }
}
