//! Sessions and what passes over them, for people: links to carriers, customers' binds, the lines of a trace; and the cluster.

use super::ctl::{ago, bounds, us};
use super::words::{Cluster, Customer, ErrorCount, Link, Member, Traced, Webhook};
use crate::table::Table;

/// The cluster: what this node decides, then its members.
pub(super) fn cluster(cluster: &Cluster) -> String {
    let Cluster { node, region, partitions, homes, .. } = cluster;
    let Some(name) = &cluster.name else {
        return format!(
            "node {node} in {region} is alone: its file has no [cluster]; it decides {homes} of {partitions} partitions\n"
        );
    };
    let mut out = format!(
        "cluster {name}, seen by node {node} in {region}: it decides {homes} of {partitions} partitions\n"
    );
    let notes = [
        (
            cluster.without_home,
            "without a home: nothing is taken or sent for them until a majority of the members is heard",
        ),
        (cluster.being_remade, "whose state on this node is being made anew"),
    ];
    for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
        out += &format!("  {count} {what}\n");
    }
    out += &match cluster.system_home {
        Some(node) => format!("  node {node} decides about the members\n"),
        None => "  no node that is known here decides about the members\n".to_owned(),
    };
    let heads = ["node", "region", "address", "is", "votes", "shards", "homes", "lag", "unheard", "behind"];
    let mut table = Table::new(&heads);
    for member in &cluster.members {
        let others = |cell: String| if member.is_this { "-".to_owned() } else { cell };
        let known =
            |entries: Option<u64>| entries.map_or_else(|| "-".to_owned(), |entries| entries.to_string());
        let this = if member.is_this { " (this node)" } else { "" };
        let wanted = member.shards_wanted.map_or_else(|| "?".to_owned(), |wanted| wanted.to_string());
        table.row([
            format!("{}{this}", member.node),
            member.region.clone(),
            member.address.clone(),
            standing_of(member),
            match (member.votes, member.learns) {
                (votes, 0) => format!("{votes} of {partitions}"),
                (votes, learns) => format!("{votes} of {partitions}, {learns} learning"),
            },
            others(format!("{} of {wanted}", member.shards_up)),
            member.homes.to_string(),
            others(known(member.lag_entries)),
            others(member.unheard.to_string()),
            others(known(member.behind_entries)),
        ]);
    }
    out + "\n" + &table.to_string()
}

/// What a member is to the cluster.
fn standing_of(member: &Member) -> String {
    let votes_only = if member.votes_only { ", votes only" } else { "" };
    let unknown = if member.is_known { "" } else { ", not seen yet" };
    format!("{}{votes_only}{unknown}", member.standing)
}

/// All links: a table, and below it what cannot be put in columns.
pub(super) fn links(links: &[Link], now_ms: u64) -> String {
    let heads = [
        "carrier",
        "shard",
        "link",
        "state",
        "window",
        "rate",
        "segments",
        "taken",
        "later",
        "never",
        "throttled",
        "late",
        "lost",
        "half / 99 of 100",
        "mean",
        "heard",
        "last trouble",
    ];
    let mut table = Table::new(&heads);
    for link in links {
        let [accepted, for_now, for_good] = link.answers.map(|count| count.to_string());
        let pause = if link.paused { ", pauses" } else { "" };
        let trouble = match link.trouble.as_str() {
            "" => "none".to_owned(),
            trouble => format!("{trouble}, {} ago", ago(now_ms, link.trouble_ms)),
        };
        table.row([
            format!("{} ({})", link.carrier, link.address),
            link.shard.to_string(),
            link.link.to_string(),
            format!("{}{pause}", link.state),
            format!("{}/{}", link.window_used, link.window),
            match (link.learnt_rate, link.rate) {
                (Some(learnt), _) => format!("{learnt}/s learnt"),
                (None, Some(rate)) => format!("{rate}/s"),
                (None, None) => "-".to_owned(),
            },
            link.segments.to_string(),
            accepted,
            for_now,
            for_good,
            link.throttled.to_string(),
            link.timeouts.to_string(),
            link.lost.to_string(),
            bounds(link.response_us),
            us(link.response_mean_us),
            heard(&link.last_pdu, link.last_pdu_ms, now_ms),
            trouble,
        ]);
    }
    let mut out = table.to_string();
    for link in links.iter().filter(|link| !link.errors.is_empty()) {
        let errors = errors(&link.errors, link.errors_other);
        out += &format!("{} shard {} link {} refused with: {errors}\n", link.carrier, link.shard, link.link);
    }
    out
}

/// All SMPP sessions of customers.
pub(super) fn customers(customers: &[Customer], now_ms: u64) -> String {
    if customers.is_empty() {
        return "no SMPP sessions of customers\n".to_owned();
    }
    let heads = [
        "account",
        "shard",
        "connection",
        "state",
        "version",
        "submits",
        "receipts",
        "window",
        "rate",
        "in",
        "out",
        "heard",
        "refused with",
    ];
    let mut table = Table::new(&heads);
    for session in customers {
        let errors = match session.errors.as_slice() {
            [] => "nothing".to_owned(),
            kinds => errors(kinds, session.errors_other),
        };
        table.row([
            if session.account.is_empty() { "-".to_owned() } else { session.account.clone() },
            session.shard.to_string(),
            session.connection.to_string(),
            session.state.clone(),
            format!("{:#04x}", session.version),
            session.window_used.to_string(),
            session.receipts_used.to_string(),
            session.window.to_string(),
            session.rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate}/s")),
            session.pdus_in.to_string(),
            session.pdus_out.to_string(),
            heard(&session.last_pdu, session.last_pdu_ms, now_ms),
            errors,
        ]);
    }
    table.to_string()
}

/// All webhooks.
pub(super) fn webhooks(webhooks: &[Webhook], now_ms: u64) -> String {
    if webhooks.is_empty() {
        return "no account has a webhook\n".to_owned();
    }
    let heads = [
        "account",
        "posts to",
        "state",
        "waiting",
        "oldest",
        "taken",
        "not taken",
        "events",
        "lapsed",
        "last trouble",
    ];
    let mut table = Table::new(&heads);
    for webhook in webhooks {
        let state = match webhook.again_ms {
            None => "good".to_owned(),
            Some(at_ms) => format!("again in {}", ago(at_ms, now_ms)),
        };
        let trouble = match webhook.trouble.as_str() {
            "" => "none".to_owned(),
            trouble => format!("{trouble}, {} ago", ago(now_ms, webhook.trouble_ms)),
        };
        table.row([
            webhook.account.clone(),
            webhook.url.clone(),
            state,
            webhook.waiting.to_string(),
            webhook.oldest_ms.map_or_else(|| "-".to_owned(), |at_ms| format!("{} ago", ago(now_ms, at_ms))),
            webhook.posts_taken.to_string(),
            webhook.posts_failed.to_string(),
            webhook.events_taken.to_string(),
            webhook.events_lapsed.to_string(),
            trouble,
        ]);
    }
    table.to_string()
}

fn heard(pdu: &str, at_ms: u64, now_ms: u64) -> String {
    if pdu.is_empty() { "nothing".to_owned() } else { format!("{pdu}, {} ago", ago(now_ms, at_ms)) }
}

fn errors(kinds: &[ErrorCount], others: u64) -> String {
    let mut words: Vec<String> = kinds.iter().map(|kind| format!("{} {}x", kind.name, kind.count)).collect();
    if others > 0 {
        words.push(format!("others {others}x"));
    }
    words.join(", ")
}

/// One PDU: the time of day in UTC, who sent it, over which session, what.
pub(super) fn traced(traced: &Traced) -> String {
    let (of_day, who) = (traced.at_ms % 86_400_000, if traced.is_ours { "we " } else { "they" });
    let (h, m, s, ms) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    format!("{h:02}:{m:02}:{s:02}.{ms:03} shard {} {} {who} {}\n", traced.shard, traced.session, traced.pdu)
}

#[cfg(test)]
mod tests {
    use super::super::words::Member;
    use super::*;

    #[test]
    fn errors_and_what_was_heard_last_are_told() {
        let kind = ErrorCount { code: 0x58, name: "ESME_RTHROTTLED (0x58)".into(), count: 3 };
        let link = Link {
            carrier: "c".into(),
            errors: vec![kind.clone()],
            errors_other: 2,
            response_us: Some([500, 2_000]),
            last_pdu: "enquire_link".into(),
            last_pdu_ms: 1_000,
            ..Link::default()
        };
        let text = links(&[link], 4_000);
        assert!(text.contains("500 us / 2000 us") && text.contains("enquire_link, 3s ago"), "{text}");
        assert!(text.ends_with("refused with: ESME_RTHROTTLED (0x58) 3x, others 2x\n"), "{text}");
        let session = Customer { account: "acme".into(), errors: vec![kind], ..Customer::default() };
        let text = customers(&[session, Customer::default()], 0);
        assert!(text.contains("ESME_RTHROTTLED (0x58) 3x\n") && text.contains("nothing"), "{text}");
        assert_eq!(customers(&[], 0).lines().count(), 1);
    }

    #[test]
    fn a_cluster_says_who_is_there_and_who_decides() {
        let this = Member { node: 1, region: "sin".into(), is_this: true, homes: 6, ..Member::default() };
        let other = Member {
            node: 2,
            region: "fra".into(),
            address: "fra:7900".into(),
            shards_up: 3,
            shards_wanted: Some(4),
            homes: 8,
            lag_entries: Some(12),
            unheard: 5,
            standing: "member".into(),
            votes_only: true,
            votes: 9,
            learns: 7,
            ..Member::default()
        };
        let mut told = Cluster {
            name: Some("acme".into()),
            node: 1,
            region: "sin".into(),
            partitions: 16,
            homes: 6,
            without_home: 2,
            members: vec![this, other],
            ..Cluster::default()
        };
        let text = cluster(&told);
        assert!(
            text.starts_with("cluster acme, seen by node 1 in sin: it decides 6 of 16 partitions\n"),
            "{text}"
        );
        assert!(text.contains("\n  2 without a home: ") && !text.contains("made anew"), "{text}");
        assert!(text.ends_with(" 3 of 4  8      12   5        -\n"), "{text}");
        assert!(text.contains("fra:7900  member, votes only, not seen yet  9 of 16, 7 learning  "), "{text}");
        assert!(text.contains("no node that is known here decides about the members"), "{text}");
        told.name = None;
        assert!(cluster(&told).starts_with("node 1 in sin is alone: "));
    }

    #[test]
    fn a_webhook_says_how_it_is() {
        assert_eq!(webhooks(&[], 0).lines().count(), 1);
        let good = Webhook { account: "a".into(), url: "https://x/".into(), ..Webhook::default() };
        let bad = Webhook {
            account: "b".into(),
            again_ms: Some(9_000),
            oldest_ms: Some(1_000),
            waiting: 7,
            trouble: "answered 503".into(),
            trouble_ms: 2_000,
            ..Webhook::default()
        };
        let text = webhooks(&[good, bad], 4_000);
        assert!(text.contains("https://x/  good         0        -"), "{text}");
        assert!(
            text.contains("again in 5s  7        3s ago") && text.contains("answered 503, 2s ago"),
            "{text}"
        );
    }

    #[test]
    fn a_line_of_a_trace_begins_with_the_time_of_day() {
        let at_ms = 3 * 86_400_000 + 3_661_007;
        let pdu =
            Traced { at_ms, session: "link 0".into(), is_ours: true, pdu: "unbind #3".into(), shard: 1 };
        assert_eq!(traced(&pdu), "01:01:01.007 shard 1 link 0 we  unbind #3\n");
    }
}
