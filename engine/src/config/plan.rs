//! From what the operator decided to what a shard is told, on a host of some size.

use shards::plan::{self as brain, Plan};
use shards::routes::Routes;
use wire::id::PartitionCount;

use super::limits;
use super::types::Config;

/// What the plan depends on and the configuration does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Shards of this node; at least one.
    pub shards: u16,
    /// Partitions of the cluster, as its identity says.
    pub partitions: PartitionCount,
    /// Memory of this machine, in bytes.
    pub memory_bytes: u64,
}

/// Why a configuration does not fit this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// An account's rate cannot be divided.
    #[error(
        "account {account}: rate = {rate} cannot be shared by {shards} shards, each of which needs at least 1; raise it, \
         or set node.cores to fewer cores"
    )]
    AccountRateTooLow {
        /// The account's name.
        account: String,
        /// Its rate.
        rate: u32,
        /// The shards.
        shards: u16,
    },
    /// A carrier's rate cannot be divided.
    #[error(
        "carrier {carrier}: rate = {rate} cannot be shared by {shards} shards, each of which needs at least 1; \
         raise it, or set node.cores to fewer cores"
    )]
    RateTooLow {
        /// The carrier's name.
        carrier: String,
        /// Its rate.
        rate: u32,
        /// The shards.
        shards: u16,
    },
}

impl Config {
    /// The plan of every shard of this host. What the configuration gives to the node is divided evenly.
    ///
    /// # Errors
    /// [`PlanError`] when something cannot be divided.
    pub fn plan(&self, host: Host) -> Result<Plan, PlanError> {
        assert!(host.shards >= 1, "a node has a shard");
        let accounts = self.accounts.iter().map(|account| plan_account(account, host.shards));
        let carriers = self.carriers.iter().map(|carrier| plan_carrier(carrier, host.shards));
        let fits_memory = host.memory_bytes / limits::KEYS_MEMORY_DIVISOR / limits::KEY_TABLE_BYTES;
        let keys = self.limits.keys.unwrap_or(fits_memory);
        Ok(Plan {
            node: self.node.id,
            shards: host.shards,
            partitions: host.partitions,
            accounts: accounts.collect::<Result<_, _>>()?,
            carriers: carriers.collect::<Result<_, _>>()?,
            routes: Routes::new(self.routes.clone()),
            classes: self.classes,
            open_messages_max: share(self.limits.open_messages, host.shards),
            keys_max: share(keys, host.shards),
            retention: self.limits.retention,
            finished_max: share(self.limits.finished, 1),
        })
    }
}

/// One of `parts` equal shares, rounded up, so that a small number is not rounded to nothing.
fn share(whole: u64, parts: u16) -> usize {
    usize::try_from(whole.div_ceil(u64::from(parts))).unwrap_or(usize::MAX)
}

fn plan_account(account: &super::Account, shards: u16) -> Result<brain::Account, PlanError> {
    let rate_per_shard = match account.rate_per_s {
        Some(rate) if rate < u32::from(shards) => {
            return Err(PlanError::AccountRateTooLow { account: account.name.clone(), rate, shards });
        }
        rate => rate.map(|rate| rate / u32::from(shards)),
    };
    Ok(brain::Account {
        id: account.id(),
        name: account.name.clone(),
        class: account.class,
        sender: account.sender.clone(),
        open_messages_max: account.open_messages.map_or(usize::MAX, |open| share(open, shards)),
        rate_per_shard,
    })
}

fn plan_carrier(carrier: &super::Carrier, shards: u16) -> Result<brain::Carrier, PlanError> {
    let rate_per_shard = match carrier.rate_per_s {
        // Rounded down: the sum of the shards never exceeds what the carrier grants.
        Some(rate) if rate < u32::from(shards) => {
            return Err(PlanError::RateTooLow { carrier: carrier.name.clone(), rate, shards });
        }
        rate => rate.map(|rate| rate / u32::from(shards)),
    };
    Ok(brain::Carrier {
        id: carrier.id(),
        name: carrier.name.clone(),
        system_id: carrier.system_id.clone(),
        password: carrier.password.clone(),
        system_type: carrier.system_type.clone(),
        binds_per_shard: carrier.binds_per_shard,
        window_pdus: carrier.window_pdus,
        rate_per_shard,
        response_timeout: carrier.response_timeout,
        enquire_after: carrier.enquire_after,
        response_ids: carrier.response_ids,
        receipt_ids: carrier.receipt_ids,
        receipt_sign: carrier.receipt_sign,
    })
}
