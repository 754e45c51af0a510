//! `switchyard check`: what a configuration means on this machine, before anything is started with it.
//!
//! It is read exactly as `serve` reads it, with the same errors. What the file leaves to defaults, to the host or to
//! division among shards is shown as it comes out, so that nobody has to work it out at night. Secrets are not shown.

mod cluster;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shards::limits::key_generation_span;
use shards::plan::{ClassPolicy, Doubt, Plan};
use wire::id::{Class, PartitionCount, ShardId};

use crate::config::{AccountKey, Config, Host, show_duration, shown};
use crate::daemon::DaemonError;
use crate::daemon::directory::{self, Claimed};
use crate::daemon::limits::PARTITIONS_PER_SHARD;
use crate::daemon::secure::{Secure, today};
use crate::files::Identity;
use crate::host;
use crate::table::Table;

/// Bytes of memory that an open or finished message takes with its trace (docs/budgets.md).
const MESSAGE_BYTES: u64 = 500;

/// Bytes of memory that a remembered key takes (`shards`, the key table at seven eighths full).
const KEY_BYTES: u64 = 48;

/// Bytes of a snapshot that a message takes: 86 were measured for an open one of 40 octets with its key; longer texts and
/// traces take more.
const SNAPSHOT_BYTES: u64 = 200;

/// Reads a configuration and says what it means, for people.
///
/// # Errors
/// As [`crate::daemon::serve`] for the same file.
pub fn explain(file: &Path, data: Option<PathBuf>) -> Result<String, DaemonError> {
    let config = Config::load(file)?;
    let data = data.unwrap_or_else(|| config.node.data.clone());
    let cores = host::cores(&config.node.cores)?;
    let shards = u16::try_from(cores.len()).unwrap_or(u16::MAX);
    let identity = Identity::read(&data)?;
    let own = shards.saturating_mul(PARTITIONS_PER_SHARD).clamp(PartitionCount::MIN, PartitionCount::MAX);
    let own = config.cluster.as_ref().map_or(own, |cluster| cluster.partitions.count());
    let count = identity.as_ref().map_or(own, |identity| identity.partitions);
    let partitions = PartitionCount::new(count)
        .or_else(|| PartitionCount::new(own))
        .expect("clamped to what there may be");
    let memory_bytes = host::memory_bytes();
    let plan = config.plan(Host { shards, partitions, memory_bytes });
    wal::Layout::new(config.log.segment_bytes)?;
    let secure = Secure::load(&config)?;
    let mut out = format!("{}: good\n", file.display());
    node(&config, &data, &cores, &plan, identity.as_ref(), &mut out);
    cluster::cluster(&config, secure.peers.as_ref(), shards, &mut out);
    accounts(&config, &mut out);
    webhooks(&config, &mut out);
    carriers(&config, &plan, &mut out);
    routes(&config, &mut out);
    inbound(&config, &mut out);
    classes(&plan, &mut out);
    memory(&plan, memory_bytes, &mut out);
    disk(&config, &plan, free_bytes(&data).map(|free| free + used_bytes(&data)), &mut out);
    if let Some(table) = secure.table() {
        put(&mut out, format_args!("\n{table}"));
    }
    let of_files = secure.warnings(today());
    warnings(&config, &data, identity.as_ref(), shards, of_files, &mut out);
    Ok(out)
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("a String takes all");
}

fn node(
    config: &Config,
    data: &Path,
    cores: &[usize],
    plan: &Plan,
    identity: Option<&Identity>,
    out: &mut String,
) {
    let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
    let (shards, partitions) = (plan.shards, plan.partitions.count());
    let founded = if identity.is_some() { "holds data" } else { "new" };
    let mut table = Table::new(&["node", &config.node.id.0.to_string()]);
    let mut row = |what: &str, is: String| table.row([what.to_owned(), is]);
    row("region", config.node.region.clone());
    row("data", format!("{} ({founded})", data.display()));
    row("shards", format!("{shards}, on cores {}", cores.join(", ")));
    row("partitions", format!("{partitions}, about {} to a shard", partitions.div_ceil(shards)));
    row("http", config.listen.http.to_string());
    row("native", native(config.listen.native, shards, data));
    for (what, address) in
        [("https", config.listen.https), ("smpp", config.listen.smpp), ("smpp_tls", config.listen.smpp_tls)]
    {
        address.into_iter().for_each(|address| row(what, address.to_string()));
    }
    if let Some(address) = config.listen.native_tls {
        row("native_tls", native(address, shards, data));
    }
    let (segment, snapshot) = (config.log.segment_bytes >> 20, config.log.snapshot_every_bytes >> 20);
    row("log", format!("segments of {segment} MiB, a snapshot after {snapshot} MiB of a shard"));
    row(
        "kept for queries",
        match (config.log.retention, config.log.retained_bytes >> 30) {
            (Duration::ZERO, _) | (_, 0) => "no log".to_owned(),
            (time, gib) => format!("log of {}, at most {gib} GiB a shard", show_duration(time)),
        },
    );
    put(out, format_args!("\n{table}"));
}

fn native(address: SocketAddr, shards: u16, data: &Path) -> String {
    match address.port() {
        0 => format!("{address}: free ports; see {}/ports", data.display()),
        first => format!("{address}, and shard by shard on {} to {}", first + 1, first + shards),
    }
}

fn accounts(config: &Config, out: &mut String) {
    let mut table = Table::new(&["account", "class", "sender", "open", "rate", "idempotency", "keys"]);
    for account in &config.accounts {
        let plain = account.keys.iter().filter(|key| matches!(key, AccountKey::Plain(_))).count();
        let keys = match (account.keys.len() - plain, plain) {
            (hashed, 0) => format!("{hashed} hashed"),
            (0, plain) => format!("{plain} in plain text"),
            (hashed, plain) => format!("{hashed} hashed, {plain} in plain text"),
        };
        let open = account.open_messages.map_or_else(|| "any".to_owned(), |open| open.to_string());
        let remembered = account.idempotency_keys.map_or_else(|| "any".to_owned(), |keys| keys.to_string());
        let rate = account.rate_per_s.map_or_else(|| "any".to_owned(), |rate| format!("{rate}/s"));
        let (name, class) = (account.name.clone(), account.class.name().to_owned());
        table.row([name, class, account.sender.clone(), open, rate, remembered, keys]);
    }
    put(out, format_args!("{table}"));
}

/// Where accounts are told what becomes of their messages, without what may be a token.
fn webhooks(config: &Config, out: &mut String) {
    let mut table = Table::new(&["webhook of", "posts to", "signed with", "trusts"]);
    for account in &config.accounts {
        let Some(webhook) = &account.webhook else { continue };
        let trusts = match &webhook.ca {
            Some(file) => file.display().to_string(),
            None if webhook.url.is_tls() => "the system's roots".to_owned(),
            None => "anybody: no TLS".to_owned(),
        };
        let secrets = match webhook.secrets.len() {
            1 => "1 secret".to_owned(),
            count => format!("{count} secrets"),
        };
        table.row([account.name.clone(), webhook.url.to_string(), secrets, trusts]);
    }
    if config.accounts.iter().any(|account| account.webhook.is_some()) {
        put(out, format_args!("{table}"));
    }
}

fn carriers(config: &Config, plan: &Plan, out: &mut String) {
    let heads = ["carrier", "address", "binds", "window", "rate", "response", "enquire"];
    let mut table = Table::new(&heads);
    for (place, carrier) in (0_u16..).zip(&config.carriers) {
        let each = (0..plan.shards).map(|shard| plan.binds_of(place, ShardId(shard)));
        let binds = each.clone().map(u32::from).sum::<u32>();
        let dealt = match (each.clone().min(), each.max()) {
            (Some(0), _) if plan.shards > 1 => "shards without one borrow".to_owned(),
            (Some(least), Some(most)) if least < most => format!("{least} or {most} a shard"),
            (least, _) => format!("{} a shard", least.unwrap_or(0)),
        };
        let profile = &carrier.profile;
        let window = profile.window_pdus;
        let rate = profile
            .rate_per_s
            .map_or_else(|| "as the windows let through".to_owned(), |rate| format!("{rate}/s"));
        let address = &carrier.address;
        let tls = if carrier.tls.is_some() { ", TLS" } else { "" };
        table.row([
            carrier.name.clone(),
            format!("{}:{}{tls}", address.host, address.port),
            format!("{binds} in all, {dealt}"),
            format!("{window} a bind, {} in all", binds * u32::from(window)),
            rate,
            show_duration(profile.timers.response),
            show_duration(profile.timers.enquire_link_idle),
        ]);
    }
    put(out, format_args!("{table}"));
    let heads: Vec<&str> = ["carrier"].into_iter().chain(shown::HEADS).collect();
    let mut table = Table::new(&heads);
    for carrier in &config.carriers {
        let columns = [carrier.name.clone()].into_iter().chain(shown::profile(&carrier.profile));
        table.row(columns);
    }
    put(out, format_args!("{table}"));
}

fn routes(config: &Config, out: &mut String) {
    let mut routes: Vec<_> = config.routes.iter().collect();
    routes.sort_by_key(|route| route.prefix.map_or_else(String::new, |prefix| prefix.to_string()));
    let mut table = Table::new(&["recipients", "carriers, in this order"]);
    for route in routes {
        let prefix = route.prefix.map_or_else(|| "all others".to_owned(), |prefix| format!("{prefix}…"));
        let names = route.carriers.iter().map(|&place| &*config.carriers[usize::from(place)].name);
        table.row([prefix, names.collect::<Vec<_>>().join(", ")]);
    }
    if config.routes.iter().all(|route| route.prefix.is_some()) {
        table.row(["all others".to_owned(), "none: refused as no-route".to_owned()]);
    }
    put(out, format_args!("{table}"));
}

/// Whose the messages of handsets are, in the order in which rules are looked at.
fn inbound(config: &Config, out: &mut String) {
    let rules = config.inbound.rules();
    if rules.is_empty() {
        return;
    }
    let mut table = Table::new(&["from handsets to", "that begin with", "by", "go to account"]);
    for rule in rules {
        let keyword =
            if rule.keyword.is_empty() { "anything else".to_owned() } else { rule.keyword.join(" ") };
        let of_rule = config.carriers.iter().filter(|carrier| rule.carriers.contains(&carrier.id()));
        let names: Vec<&str> = of_rule.map(|carrier| &*carrier.name).collect();
        let by = if names.is_empty() { "any carrier".to_owned() } else { names.join(", ") };
        let account = config.accounts.iter().find(|account| account.id() == rule.account);
        let account = account.map_or_else(String::new, |account| account.name.clone());
        let number = rule.to.to_string();
        table.row([number.trim_start_matches('+').to_owned(), keyword, by, account]);
    }
    put(out, format_args!("{table}"));
}

/// How long a class's keys are remembered: as long as its messages can be open.
fn key_window(policy: &ClassPolicy) -> Duration {
    policy.validity + policy.receipt_wait
}

fn classes(plan: &Plan, out: &mut String) {
    let mut table = Table::new(&[
        "class",
        "validity",
        "receipt wait",
        "doubt wait",
        "doubt",
        "keys kept",
        "keyed messages",
    ]);
    let keys = plan.keys_max as u64 * u64::from(plan.shards);
    for class in Class::ALL {
        let policy = plan.class(class);
        let doubt = match policy.doubt {
            Doubt::SendAgain => "send again",
            Doubt::Ask => "ask, else send again",
            Doubt::GiveUp => "give up",
        };
        let window = key_window(policy);
        table.row([
            class.name().to_owned(),
            show_duration(policy.validity),
            show_duration(policy.receipt_wait),
            show_duration(policy.doubt_wait),
            doubt.to_owned(),
            show_duration(window),
            format!("{}/s sustained", keys / (window + key_generation_span(window)).as_secs().max(1)),
        ]);
    }
    put(out, format_args!("{table}"));
}

fn memory(plan: &Plan, memory_bytes: u64, out: &mut String) {
    let shards = u64::from(plan.shards);
    let mib = |count: u64, each: u64| format!("{} MiB", (count * each) >> 20);
    let (keys, open) = (plan.keys_max as u64 * shards, plan.open_messages_max as u64 * shards);
    let finished = plan.finished_max as u64;
    let mut table = Table::new(&["memory when full", "at most", "a shard", "takes"]);
    let mut row = |what: &str, count: u64, each: u64, own: String| {
        table.row([what.to_owned(), count.to_string(), own, mib(count, each)]);
    };
    row("idempotency keys", keys, KEY_BYTES, plan.keys_max.to_string());
    row("open messages", open, MESSAGE_BYTES, plan.open_messages_max.to_string());
    row("finished messages", finished, MESSAGE_BYTES, (finished / shards).to_string());
    let all = keys * KEY_BYTES + (open + finished) * MESSAGE_BYTES;
    let verdict = if all > memory_bytes / 10 * 9 { "too much: lower [limits]" } else { "it fits" };
    put(out, format_args!("{table}  of {} MiB on this machine: {verdict}", memory_bytes >> 20));
    put(
        out,
        format_args!(
            "  a finished message is kept for {}, or until there are too many",
            show_duration(plan.retention)
        ),
    );
}

/// What the data directory may grow to, and whether there is room. `free` counts what it has already.
fn disk(config: &Config, plan: &Plan, free: Option<u64>, out: &mut String) {
    let shards = u64::from(plan.shards);
    let messages = (plan.open_messages_max as u64 * shards).saturating_add(plan.finished_max as u64);
    let snapshots = messages.saturating_mul(SNAPSHOT_BYTES);
    // The log grows to as much as the snapshots before new ones are worth it, and to whole segments.
    let log = snapshots.max(config.log.snapshot_every_bytes * shards) + 2 * config.log.segment_bytes * shards;
    let one_more = snapshots / u64::from(plan.partitions.count());
    let kept = match config.log.retention {
        Duration::ZERO => 0,
        // Their indexes take up to a tenth more.
        _ => config.log.retained_bytes / 10 * 11 * shards,
    };
    let all = log + snapshots + one_more + kept;
    let mut table = Table::new(&["disk when full", "at most"]);
    for (what, bytes) in [
        ("log that a start reads", log),
        ("snapshots of short texts, and one that is written", snapshots + one_more),
        ("log kept for queries, and its indexes", kept),
        ("in all", all),
    ] {
        table.row([what.to_owned(), mib(bytes)]);
    }
    let verdict = match free {
        None => String::new(),
        Some(free) if free >= all => format!("  {} are there for it: it fits\n", mib(free)),
        Some(free) if free >= all - kept => format!(
            "  {} are there for it: log kept for queries will give way before its time; lower log.retained_gib, or \
             grow the disk\n",
            mib(free)
        ),
        Some(free) => {
            format!("  {} are there for it: too little; grow the disk, or lower [limits]\n", mib(free))
        }
    };
    put(out, format_args!("\n{table}{verdict}"));
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Free bytes where a directory is, or will be.
fn free_bytes(data: &Path) -> Option<u64> {
    data.ancestors().find(|path| path.exists()).and_then(host::free_bytes)
}

/// Bytes of the files of a data directory: in it, and in its directories. What cannot be read is not counted.
fn used_bytes(data: &Path) -> u64 {
    let files_in = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let inner = files_in(data).filter(|entry| entry.path().is_dir()).flat_map(|dir| files_in(&dir.path()));
    let files = files_in(data).chain(inner).filter_map(|entry| entry.metadata().ok());
    files.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
}

fn warnings(
    config: &Config,
    data: &Path,
    identity: Option<&Identity>,
    shards: u16,
    of_files: Vec<String>,
    out: &mut String,
) {
    let mut all = config.warnings();
    all.extend(of_files);
    if let Some(identity) = identity {
        let claimed = Claimed { node: config.node.id, cluster: config.cluster.as_ref(), shards };
        let refused = directory::refuse_another(&data.join("identity"), identity, claimed).err();
        let is_refused = refused.is_some();
        all.extend(refused.map(|refused| format!("serve will refuse: {refused}")));
        if identity.shards != shards && !is_refused {
            let theirs = identity.shards;
            all.push(format!(
                "node.cores gives {shards} shards, and the data directory has {theirs}: the next start deals its partitions anew"
            ));
        }
    }
    if !all.is_empty() {
        put(out, format_args!("\nwarnings"));
        all.iter().for_each(|warning| put(out, format_args!("  {warning}")));
    }
}

/// Looks at this machine for the shards and the data directory of a configuration, or of none.
///
/// # Errors
/// As [`explain`].
pub fn host_findings(file: Option<&Path>, data: Option<PathBuf>) -> Result<Vec<host::Finding>, DaemonError> {
    let node = file.map(Config::load).transpose()?.map(|config| config.node).unwrap_or_default();
    let shards = u16::try_from(host::cores(&node.cores)?.len()).unwrap_or(u16::MAX);
    let mut findings = host::examine(shards);
    findings.extend(host::examine_data(&data.unwrap_or(node.data)));
    Ok(findings)
}

/// What was found on this machine, for people.
#[must_use]
pub fn host_report(findings: &[host::Finding]) -> String {
    let mut table = Table::new(&["host", "", "found", "what to do"]);
    for finding in findings {
        let weight = finding.weight.name().to_owned();
        table.row([finding.what.to_owned(), weight, finding.found.clone(), finding.advice.clone()]);
    }
    table.to_string()
}
