//! Webhooks in the daemon: which there are, who hosts them, and how they are.
//!
//! ```text
//!   control thread: Webhooks ── starts couriers, changes what they work by
//!        └─ Command::Webhooks ─▶ shard: Client ═ events ═▶ courier ═ words ═▶ Client ─▶ brain
//! ```
//!
//! The configuration says which there are. A start and a reload do the same: what is new is opened, what is gone is closed, what is another
//! goes on otherwise.

mod client;

use std::io;
use std::sync::Arc;

use crossbeam::channel::{Sender, bounded};
use shards::plan::Plan;
use wire::id::AccountId;

use crate::admin::limits::SHARD_WAIT;
use crate::admin::words;
use crate::config::Config;
use crate::runtime::WakeHandle;
use crate::webhooks::Setup;
use crate::webhooks::courier::{self, Ends, Reins, Word};
use crate::webhooks::limits::WORDS_WAITING_MAX;
use crate::webhooks::standing::Standing;

use super::board::Board;
use super::control::{Command, Control};
use super::secure::Secure;

pub(super) use client::{Client, Order};

/// All webhooks of the node. Lives on the control thread.
#[derive(Debug)]
pub(super) struct Webhooks {
    /// The way to each shard.
    shards: Vec<Sender<Word>>,
    open: Vec<Open>,
    /// The next courier's number.
    next: u64,
}

#[derive(Debug)]
struct Open {
    courier: u64,
    account: AccountId,
    reins: Reins,
    /// It is not wanted any more, and its shard may not know that yet.
    is_closing: bool,
}

impl Webhooks {
    /// None yet, and the ends of so many shards.
    pub(super) fn new(shards: u16) -> (Self, Vec<Client>) {
        let (senders, words): (Vec<_>, Vec<_>) = (0..shards).map(|_| bounded(WORDS_WAITING_MAX)).unzip();
        let client = |(shard, words)| Client::new(shard, shards, words);
        let clients = (0..).zip(words).map(client).collect();
        (Self { shards: senders, open: Vec::new(), next: 0 }, clients)
    }

    /// Opens, changes and closes what a configuration wants to be otherwise, and names webhooks whose file of roots has others in it.
    ///
    /// # Errors
    /// What could not be done, for the operator.
    pub(super) fn renew(
        &mut self,
        control: &Control,
        config: &Config,
        secure: &Secure,
        plan: &Arc<Plan>,
    ) -> Result<Vec<String>, String> {
        self.open.retain(|open| !open.reins.are_loose());
        let mut orders: Vec<Vec<Order>> = self.shards.iter().map(|_| Vec::new()).collect();
        let mut failure = Ok(());
        let mut told = Vec::new();
        let mut wanted = Vec::new();
        for (account, poster) in config.accounts.iter().zip(&secure.webhooks) {
            let (Some(webhook), Some(poster)) = (&account.webhook, poster) else { continue };
            let (account, name) = (account.id(), account.name.clone());
            wanted.push(account);
            let (webhook, poster, plan) = (webhook.clone(), poster.clone(), Arc::clone(plan));
            let setup = Arc::new(Setup { account: name, webhook, poster, plan });
            match self.open.iter().find(|open| open.account == account && !open.is_closing) {
                Some(open) => {
                    let before = open.reins.setup();
                    if before.webhook == setup.webhook && !before.trusts_as(&setup) {
                        told.push(format!(
                            "account {}: webhook_ca has other certificates in it",
                            setup.account
                        ));
                    }
                    open.reins.change(setup);
                }
                None => match self.open(account, setup, control.wakers()) {
                    Ok(order) => orders[self.host_of(account)].push(order),
                    Err(error) => failure = Err(error),
                },
            }
        }
        for open in &mut self.open {
            open.is_closing |= !wanted.contains(&open.account);
            if open.is_closing {
                let host = host_of(open.account, self.shards.len());
                orders[host].push(Order::Close { courier: open.courier });
            }
        }
        give(control, orders).and(failure).map(|()| told)
    }

    fn open(
        &mut self,
        account: AccountId,
        setup: Arc<Setup>,
        wakers: &[WakeHandle],
    ) -> Result<Order, String> {
        let host = self.host_of(account);
        let (courier, name) = (self.next, setup.account.clone());
        self.next += 1;
        let shard = courier::Shard { words: self.shards[host].clone(), waker: wakers[host].clone() };
        let failed = |error: io::Error| format!("the webhook of account {name} has no thread: {error}");
        let Ends { events, reins } = courier::start(courier, setup, shard).map_err(failed)?;
        self.open.push(Open { courier, account, reins, is_closing: false });
        Ok(Order::Open { courier, account, events })
    }

    fn host_of(&self, account: AccountId) -> usize {
        host_of(account, self.shards.len())
    }

    /// Shows the numbers of those that there are.
    pub(super) fn show(&self, board: &Board) {
        let tally = |open: &Open| (open.reins.setup().account.clone(), Arc::clone(&open.reins.tally));
        board.show_webhooks(self.wanted().map(tally).collect());
    }

    /// How each is, for people.
    pub(super) fn views(&self) -> Vec<words::Webhook> {
        self.wanted().map(view).collect()
    }

    fn wanted(&self) -> impl Iterator<Item = &Open> {
        self.open.iter().filter(|open| !open.is_closing)
    }
}

/// Which shard an account's webhook is hosted by.
fn host_of(account: AccountId, shards: usize) -> usize {
    usize::try_from(account.0).unwrap_or(0) % shards
}

/// Gives each shard its orders, and waits for it within bounds.
fn give(control: &Control, orders: Vec<Vec<Order>>) -> Result<(), String> {
    for (shard, orders) in orders.into_iter().enumerate().filter(|(_, orders)| !orders.is_empty()) {
        let given = control.ask(shard, |to| Command::Webhooks(orders, to), SHARD_WAIT);
        given.ok_or_else(|| format!("shard {shard} has not said in time that it tells webhooks"))?;
    }
    Ok(())
}

fn view(open: &Open) -> words::Webhook {
    let standing = Standing::of(&open.reins.tally);
    let setup = open.reins.setup();
    let some = |ms: u64| (ms != 0).then_some(ms);
    let (trouble_ms, trouble) = standing.trouble;
    words::Webhook {
        account: setup.account.clone(),
        url: setup.webhook.url.to_string(),
        waiting: standing.events_waiting,
        oldest_ms: some(standing.oldest_ms),
        again_ms: some(standing.again_ms),
        posts_taken: standing.posts_taken,
        posts_failed: standing.posts_failed,
        events_taken: standing.events_taken,
        events_lapsed: standing.events_lapsed,
        trouble,
        trouble_ms,
    }
}
