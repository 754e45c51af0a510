//! What a shard shows of itself to the admin socket, in that socket's words.

use shards::api::{MessageView, Step};
use shards::histogram::Histogram;
use shards::plan::Plan;
use shards::{LinkView, Shard, Trouble};
use wal::{Layout, Lsn};
use wire::id::AccountId;
use wire::smpp::{CommandStatus, Statuses};
use wire::time::{Instant, Now, WallMs};

use crate::admin::words;
use crate::customers::Customers;
use crate::customers::smpp::view::SmppView;

use super::desk::Dial;
use super::members::{self, ClusterView};
use super::metrics::ShellCounts;
use super::nodes::Nodes;

/// A shard at one moment.
#[derive(Clone, Debug)]
pub(super) struct ShardView {
    /// Its numbers.
    pub(super) shard: words::Shard,
    /// Its links.
    pub(super) links: Vec<words::Link>,
    /// Its queues, carrier by carrier and class by class.
    pub(super) queues: Vec<words::Queue>,
    /// SMPP sessions of its customers.
    pub(super) customers: Vec<words::Customer>,
    /// Its part of the cluster.
    pub(super) cluster: ClusterView,
}

/// What a view is made of.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) shard: u16,
    pub(super) core: usize,
    pub(super) brain: &'a mut Shard,
    pub(super) plan: &'a Plan,
    pub(super) carriers: &'a [Dial],
    /// Why the last dial of each link failed.
    pub(super) troubles: &'a [Option<String>],
    pub(super) customers: &'a Customers,
    pub(super) nodes: &'a Nodes,
    pub(super) now: Now,
    pub(super) counts: &'a ShellCounts,
    pub(super) syncs: &'a Histogram,
    /// The end of what is durable.
    pub(super) durable: Lsn,
    pub(super) layout: Layout,
}

/// A shard as it is now.
pub(super) fn of_shard(parts: Parts<'_>) -> ShardView {
    let Parts { shard, core, brain, plan, carriers, troubles, customers, now, .. } = parts;
    let Parts { nodes, counts, syncs, durable, layout, .. } = parts;
    let ready = brain.is_ready();
    let numbers = *brain.observe();
    let latencies = brain.latencies();
    let shown = words::Shard {
        shard,
        core,
        ready,
        open: numbers.open_messages,
        open_limit: plan.open_messages_max as u64,
        kept: numbers.kept_messages,
        keys: numbers.keys,
        keys_limit: plan.keys_max as u64,
        queued: [
            numbers.queued_otp,
            numbers.queued_transactional,
            numbers.queued_notification,
            numbers.queued_marketing,
        ],
        links_up: numbers.links_up,
        links: numbers.links,
        connections: counts.connections,
        log_place: durable.0,
        log_segment: durable.0 / layout.segment_bytes(),
        syncs: counts.syncs,
        sync_last_us: syncs.last_us(),
        sync_us: percentiles(syncs),
        answer_us: percentiles(&latencies.answer),
        response_us: percentiles(&latencies.response),
        fate_us: percentiles(&latencies.fate),
    };
    let links = brain.link_views().map(|view| link(shard, &view, plan, carriers, troubles)).collect();
    let queues = brain.queue_views().map(|queue| words::Queue {
        carrier: plan.carriers[usize::from(queue.carrier)].name.clone(),
        class: queue.class.name().to_owned(),
        waiting: queue.waiting as u64,
        oldest_ms: queue.oldest.map(|oldest| oldest.0),
    });
    let customers = customers.smpp_views().map(|view| customer(shard, &view, plan, now)).collect();
    let cluster = members::of_shard(plan.node, nodes.standings(), brain);
    ShardView { shard: shown, links, queues: queues.collect(), customers, cluster }
}

/// The bounds that half and 99 of 100 did not exceed.
fn percentiles(histogram: &Histogram) -> Option<[u64; 2]> {
    Some([histogram.at_most_us(500)?, histogram.at_most_us(990)?])
}

fn link(
    shard: u16,
    view: &LinkView,
    plan: &Plan,
    carriers: &[Dial],
    troubles: &[Option<String>],
) -> words::Link {
    let place = usize::from(view.carrier);
    let counts = &view.counts;
    let us = |duration: core::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let (trouble_ms, trouble) = match view.trouble {
        Some((WallMs(at), trouble @ Trouble::ConnectFailed)) => {
            let why = troubles.get(usize::from(view.link.0)).and_then(Option::as_ref);
            (at, why.map_or_else(|| trouble.to_string(), |why| format!("{trouble}: {why}")))
        }
        Some((WallMs(at), trouble)) => (at, trouble.to_string()),
        None => (0, String::new()),
    };
    words::Link {
        shard,
        link: view.link.0,
        carrier: plan.carriers[place].name.clone(),
        address: carriers[place].address.to_string(),
        state: view.state.name().to_owned(),
        paused: view.is_paused,
        window_used: view.window_used,
        window: view.window,
        rate: plan.carriers[place].profile.rate_per_s,
        learnt_rate: view.learnt_rate,
        segments: counts.segments,
        answers: [counts.accepted, counts.refused_for_now, counts.refused_for_good],
        throttled: counts.throttled,
        timeouts: counts.timeouts,
        sessions: counts.binds,
        lost: counts.losses,
        response_last_us: us(view.response_last),
        response_mean_us: us(counts.response_time).checked_div(counts.responses).unwrap_or(0),
        trouble,
        trouble_ms,
        response_us: percentiles(&view.responses),
        errors: errors(&counts.statuses),
        errors_other: counts.statuses.others(),
        last_pdu: view.last_pdu.map_or_else(String::new, |(command, _)| command.to_string()),
        last_pdu_ms: view.last_pdu.map_or(0, |(_, at)| at.0),
    }
}

fn errors(statuses: &Statuses) -> Vec<words::ErrorCount> {
    let count = |(status, count): (CommandStatus, u64)| words::ErrorCount {
        code: status.0,
        name: status.to_string(),
        count,
    };
    statuses.kinds().into_iter().map(count).collect()
}

fn customer(shard: u16, view: &SmppView<'_>, plan: &Plan, now: Now) -> words::Customer {
    let Now { mono, wall } = now;
    let ago = |at: Instant| u64::try_from(mono.since(at).as_millis()).unwrap_or(u64::MAX);
    words::Customer {
        shard,
        connection: view.connection,
        account: view.account.unwrap_or_default().to_owned(),
        state: view.state.to_owned(),
        version: view.version,
        window_used: view.unanswered,
        receipts_used: view.in_flight,
        window: view.window,
        rate: view.account.and_then(|name| plan.accounts.iter().find(|a| a.name == name)?.rate),
        pdus_in: view.pdus.0,
        pdus_out: view.pdus.1,
        errors: errors(view.refused_with),
        errors_other: view.refused_with.others(),
        last_pdu: view.last_pdu.map_or_else(String::new, |(command, _)| command.to_string()),
        last_pdu_ms: view.last_pdu.map_or(0, |(_, at)| wall.0.saturating_sub(ago(at))),
    }
}

/// The queues of all shards together.
pub(super) fn sum_queues(shards: Vec<Vec<words::Queue>>) -> Vec<words::Queue> {
    let mut shards = shards.into_iter();
    let Some(mut all) = shards.next() else { return Vec::new() };
    for queues in shards {
        assert_eq!(queues.len(), all.len(), "every shard has the same carriers and classes");
        for (sum, queue) in all.iter_mut().zip(queues) {
            sum.waiting += queue.waiting;
            sum.oldest_ms = [sum.oldest_ms, queue.oldest_ms].into_iter().flatten().min();
        }
    }
    all
}

/// A message for the admin socket.
pub(super) fn message(
    account: AccountId,
    view: &MessageView,
    plan: &Plan,
    numbers: Numbers,
) -> words::Message {
    let number = view.recipient.to_string();
    words::Message {
        id: view.id.to_string(),
        account: plan
            .account(account)
            .map_or_else(|| format!("#{}", account.0), |account| account.name.clone()),
        state: view.state.name().to_owned(),
        to: match numbers {
            Numbers::Whole => number,
            Numbers::Masked => words::masked(&number),
        },
        class: view.class.name().to_owned(),
        segments: view.segments,
        send_until_ms: view.send_until.0,
        trace: view.trace.iter().map(|step| of_step(step, plan)).collect(),
    }
}

/// Whether recipients are shown whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Whole,
    Masked,
}

fn of_step(step: &Step, plan: &Plan) -> words::Step {
    let carrier = step.carrier.map(|id| {
        plan.carrier_place(id).map_or_else(|| format!("#{}", id.0), |place| plan.carriers[place].name.clone())
    });
    words::Step {
        at_ms: step.at.0,
        what: step.kind.name().to_owned(),
        attempt: step.attempt,
        part: step.part,
        why: step.why.name().to_owned(),
        carrier: carrier.unwrap_or_default(),
        code: step.code,
        carrier_message_id: String::from_utf8_lossy(&step.carrier_message_id).into_owned(),
    }
}
