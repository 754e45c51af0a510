//! Every number that a shard shows, always in the same order: what each is called, and what it is now.
//!
//! The two halves of a group stand side by side, since the place of a number is all that connects them. Names and labels are
//! made once; values are copied a few times a second.

use shards::api::Refusal;
use shards::counters::{Counters, MetricKind};
use shards::histogram::{FAST_US, Histogram, SLOW_US};
use shards::plan::Plan;
use shards::{LinkState, LinkView, Shard};
use wire::id::{Class, ShardId};
use wire::time::WallMs;

use crate::config::Member;
use crate::customers::metrics::Counts;
use crate::customers::openmetrics::{SampleKind, seconds};

use super::members::MemberView;
use super::metrics::ShellCounts;

/// What a number is.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) help: &'static str,
    pub(super) kind: SampleKind,
    /// Beside the shard's.
    pub(super) labels: Vec<(&'static str, String)>,
}

/// What a shard has to show.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) brain: &'a mut Shard,
    /// The other members of the cluster.
    pub(super) members: &'a [MemberView],
    pub(super) customers: &'a Counts,
    pub(super) shell: &'a ShellCounts,
    pub(super) syncs: &'a Histogram,
    pub(super) now: WallMs,
}

/// All numbers of a shard.
pub(super) fn describe(plan: &Plan, others: &[Member], shard: ShardId) -> Vec<Line> {
    let mut lines = Vec::new();
    describe_plain(&mut lines);
    describe_histograms(&mut lines);
    describe_queues(plan, &mut lines);
    describe_links(plan, shard, &mut lines);
    others.iter().for_each(|other| describe_member(other, &mut lines));
    lines
}

/// Their values, in the order of [`describe`].
pub(super) fn values(source: &mut Source<'_>, plan: &Plan, mut put: impl FnMut(u64)) {
    values_plain(source, plan, &mut put);
    for histogram in histograms(source) {
        histogram_values(&histogram, &mut put);
    }
    for queue in source.brain.queue_views() {
        put(queue.waiting as u64);
        put(queue.oldest.map_or(0, |oldest| source.now.0.saturating_sub(oldest.0)));
    }
    source.brain.link_views().for_each(|view| link_values(&view, &mut put));
    source.members.iter().for_each(|view| member_values(view, &mut put));
}

type Labels = Vec<(&'static str, String)>;

fn line(name: &str, help: &'static str, kind: SampleKind, labels: Labels) -> Line {
    Line { name: name.to_owned(), help, kind, labels }
}

fn describe_plain(lines: &mut Vec<Line>) {
    lines.extend(Counters::METRICS.iter().map(|metric| {
        let kind = match metric.kind {
            MetricKind::Counter => SampleKind::Counter,
            MetricKind::Gauge => SampleKind::Gauge,
        };
        let (label, value) = metric.label;
        let labels = if label.is_empty() { Vec::new() } else { vec![(label, value.to_owned())] };
        line(metric.name, metric.help, kind, labels)
    }));
    Counts::default().each(|name, help, _| {
        lines.push(line(&format!("switchyard_customers_{name}"), help, SampleKind::Counter, Vec::new()));
    });
    lines.extend(ShellCounts::default().all().map(|(name, help, grows, _)| {
        line(name, help, if grows { SampleKind::Counter } else { SampleKind::Gauge }, Vec::new())
    }));
    let refused = "Submissions that were not taken.";
    lines.extend(Refusal::ALL.map(|refusal| {
        let labels = vec![("reason", refusal.name().to_owned())];
        line("switchyard_submissions_refused", refused, SampleKind::Counter, labels)
    }));
    let limit = |name, help| line(name, help, SampleKind::Gauge, Vec::new());
    lines.push(limit("switchyard_messages_open_limit", "Messages that may be open on the shard."));
    lines.push(limit("switchyard_keys_limit", "Idempotency keys that the shard may remember."));
}

fn values_plain(source: &mut Source<'_>, plan: &Plan, put: &mut impl FnMut(u64)) {
    source.brain.observe().values().into_iter().for_each(&mut *put);
    source.customers.each(|_, _, value| put(value));
    source.shell.all().into_iter().for_each(|(.., value)| put(value));
    source.brain.refusals().iter().copied().for_each(&mut *put);
    put(plan.open_messages_max as u64);
    put(plan.keys_max as u64);
}

fn histograms(source: &Source<'_>) -> [Histogram; 4] {
    let latencies = source.brain.latencies();
    [*source.syncs, latencies.answer, latencies.response, latencies.fate]
}

fn describe_histograms(lines: &mut Vec<Line>) {
    let families = [
        ("switchyard_log_sync_seconds", "How long the write and the sync of a batch took.", &FAST_US),
        (
            "switchyard_answer_seconds",
            "From a submission to its answer, on the shard of its recipient.",
            &FAST_US,
        ),
        (
            "switchyard_carrier_response_seconds",
            "From a segment's queueing on a link to the carrier's response.",
            &FAST_US,
        ),
        ("switchyard_fate_seconds", "From a message's acceptance to its fate.", &SLOW_US),
    ];
    for (name, help, bounds) in families {
        let bounds = bounds.iter().map(|&bound| seconds(bound, 6)).chain(["+Inf".to_owned()]);
        lines.extend(bounds.map(|bound| line(name, help, SampleKind::Bucket, vec![("le", bound)])));
        lines.push(line(name, help, SampleKind::SumUs, Vec::new()));
        lines.push(line(name, help, SampleKind::Count, Vec::new()));
    }
}

fn histogram_values(histogram: &Histogram, put: &mut impl FnMut(u64)) {
    let mut below = 0;
    for count in histogram.counts() {
        below += count;
        put(below);
    }
    put(histogram.sum_us());
    put(below);
}

fn describe_queues(plan: &Plan, lines: &mut Vec<Line>) {
    for carrier in &plan.carriers {
        for class in Class::ALL {
            let labels = || vec![("carrier", carrier.name.clone()), ("class", class.name().to_owned())];
            let waiting = "Messages that wait for a carrier's window.";
            lines.push(line("switchyard_carrier_queue", waiting, SampleKind::Gauge, labels()));
            let oldest = "The age of the message that is next.";
            lines.push(line(
                "switchyard_carrier_queue_oldest_seconds",
                oldest,
                SampleKind::GaugeMs,
                labels(),
            ));
        }
    }
}

fn describe_links(plan: &Plan, shard: ShardId, lines: &mut Vec<Line>) {
    let carriers = (0_u16..).zip(&plan.carriers);
    let links =
        carriers.flat_map(|(place, carrier)| (0..plan.links_of(place, shard)).map(|_| carrier.name.clone()));
    for (link, carrier) in links.enumerate() {
        let labels = || vec![("carrier", carrier.clone()), ("link", link.to_string())];
        let answers = |outcome: &str| [labels(), vec![("outcome", outcome.to_owned())]].concat();
        let mut push = |name, help, kind, labels| lines.push(line(name, help, kind, labels));
        let answered = "Responses of the carrier to segments.";
        push("switchyard_link_up", "Whether the link is bound.", SampleKind::Gauge, labels());
        push(
            "switchyard_link_window",
            "Segments that may be without a response now: the window, or less while the carrier is slow.",
            SampleKind::Gauge,
            labels(),
        );
        push(
            "switchyard_link_rate_learnt",
            "Segments a second that the carrier was found to take on all links; 0: nothing was learnt.",
            SampleKind::Gauge,
            labels(),
        );
        push("switchyard_link_window_used", "Segments without a response.", SampleKind::Gauge, labels());
        push(
            "switchyard_link_paused",
            "Whether it pauses, since the carrier asked for that.",
            SampleKind::Gauge,
            labels(),
        );
        push(
            "switchyard_link_segments",
            "Segments that were queued for the connection.",
            SampleKind::Counter,
            labels(),
        );
        for outcome in ["accepted", "refused-for-now", "refused-for-good"] {
            push("switchyard_link_answers", answered, SampleKind::Counter, answers(outcome));
        }
        push(
            "switchyard_link_throttled",
            "Responses that asked us to slow down.",
            SampleKind::Counter,
            labels(),
        );
        push(
            "switchyard_link_timeouts",
            "Segments without a response in time.",
            SampleKind::Counter,
            labels(),
        );
        push(
            "switchyard_link_sessions",
            "Sessions that the carrier has granted.",
            SampleKind::Counter,
            labels(),
        );
        push(
            "switchyard_link_lost",
            "Connections that ended or were not to be had.",
            SampleKind::Counter,
            labels(),
        );
        push("switchyard_link_responses", "Responses that came in time.", SampleKind::Counter, labels());
        push(
            "switchyard_link_response_seconds",
            "How long they took in all.",
            SampleKind::CounterUs,
            labels(),
        );
    }
}

fn link_values(view: &LinkView, put: &mut impl FnMut(u64)) {
    let counts = &view.counts;
    [
        u64::from(view.state == LinkState::Up),
        u64::from(view.window),
        u64::from(view.learnt_rate.unwrap_or(0)),
        u64::from(view.window_used),
        u64::from(view.is_paused),
        counts.segments,
        counts.accepted,
        counts.refused_for_now,
        counts.refused_for_good,
        counts.throttled,
        counts.timeouts,
        counts.binds,
        counts.losses,
        counts.responses,
        u64::try_from(counts.response_time.as_micros()).unwrap_or(u64::MAX),
    ]
    .into_iter()
    .for_each(put);
}

fn describe_member(member: &Member, lines: &mut Vec<Line>) {
    let labels = || vec![("node", member.node.0.to_string()), ("region", member.region.clone())];
    let mut push = |name, help| lines.push(line(name, help, SampleKind::Gauge, labels()));
    push("switchyard_peer_shards_up", "Shards of the member with which this one speaks.");
    push(
        "switchyard_peer_shards",
        "Shards of the member with which this one is to speak; 1 until the member has said how many it has.",
    );
    push(
        "switchyard_replication_lag_entries",
        "The most entries of a partition decided here that the member is not known to have.",
    );
    push(
        "switchyard_replication_unheard_partitions",
        "Partitions decided here of which the member has not said what it has.",
    );
}

fn member_values(view: &MemberView, put: &mut impl FnMut(u64)) {
    let (up, wanted) = view.shards;
    // A shard has a partition, and every member has each: there is always one to speak with.
    let all = [up, wanted.unwrap_or(1), view.lag.unwrap_or(0), view.unheard];
    all.into_iter().for_each(put);
}
