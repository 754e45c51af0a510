//! What each section may say, in the order of the file's documentation.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shards::plan::{Binds, ClassPolicy, Route, SenderPattern};
use toml::de::DeValue;
use wire::id::{Class, NodeId};
use wire::msisdn::Msisdn;
use wire::smpp::profile::Profile;

use super::error::ConfigError;
use super::limits;
use super::profiles;
use super::section::{Located, Section};
use super::secured;
use super::smpp;
use super::types::{
    Account, AccountKey, ApiKey, Carrier, Cores, DOUBTS, HostPort, Limits, Listen, Log, LogOutput, Node,
};
use super::value::{self, Expected};
use super::webhook;
use crate::customers::credentials::{HASH_PREFIX, KeyDigest};
use crate::logging::{self, LogFormat};

/// `[node]`.
pub(super) fn node(section: &Section<'_>) -> Result<Node, ConfigError> {
    let default = Node::default();
    let id = section.optional("id", |id| value::whole(id, 1..=u64::from(u32::MAX)))?;
    let region = section.optional("region", value::name)?;
    let cores = cores(section)?;
    let data = section.optional("data", |path| value::text(path).map(PathBuf::from))?;
    section.end()?;
    Ok(Node {
        id: id.map_or(default.id, |id| NodeId(u32::try_from(id).expect("its bounds have 32 bits"))),
        region: region.unwrap_or(default.region),
        cores,
        data: data.unwrap_or(default.data),
    })
}

fn cores(section: &Section<'_>) -> Result<Cores, ConfigError> {
    let what = "a list of core numbers, as [0, 1]";
    let core = |core: &DeValue<'_>| value::whole_u16(core, 0..=1023);
    let Some(listed) = section.located("cores", |cores| value::list(cores, what, core))? else {
        return Ok(Cores::All);
    };
    let (line, cores) = (listed.line, listed.value);
    if cores.len() > limits::CORES_MAX {
        let most = format!("at most {} cores", limits::CORES_MAX);
        return Err(section.wrong(line, "cores", most, cores.len().to_string()));
    }
    let twice = cores.iter().enumerate().find(|&(place, core)| cores[..place].contains(core));
    match twice {
        Some((_, core)) => Err(section.wrong(line, "cores", "each core once", format!("{core} twice"))),
        None => Ok(Cores::Listed(cores)),
    }
}

/// `[listen]`, for at least so many shards.
pub(super) fn listen(section: &Section<'_>, shards: usize) -> Result<Listen, ConfigError> {
    let default = Listen::default();
    let http = section.located("http", value::socket)?;
    let native = section.located("native", value::socket)?;
    let smpp = section.located("smpp", value::socket)?;
    let line = native.as_ref().or(http.as_ref()).map_or_else(|| section.line(), |located| located.line);
    let mut listen = Listen {
        http: http.map_or(default.http, |located| located.value),
        native: native.map_or(default.native, |located| located.value),
        smpp: smpp.as_ref().map(|located| located.value),
        ..default
    };
    let first = usize::from(listen.native.port());
    if first != 0 && first + shards > usize::from(u16::MAX) {
        let room = format!("a port with {shards} more above it, one for each shard");
        return Err(section.wrong(line, "native", room, first.to_string()));
    }
    let http_port = usize::from(listen.http.port());
    if first != 0 && (first..=first + shards).contains(&http_port) && listen.http.ip() == listen.native.ip() {
        let apart = format!("ports {first} to {} for itself and the {shards} shards", first + shards);
        return Err(section.wrong(line, "native", apart, format!("http on {http_port}")));
    }
    let meets = |smpp: &&Located<std::net::SocketAddr>| {
        let (ip, port) = (smpp.value.ip(), usize::from(smpp.value.port()));
        let native = first != 0 && ip == listen.native.ip() && (first..=first + shards).contains(&port);
        port != 0 && (native || smpp.value == listen.http)
    };
    if let Some(smpp) = smpp.as_ref().filter(meets) {
        let free = "a port that neither HTTP nor the native protocol has";
        return Err(section.wrong(smpp.line, "smpp", free, smpp.value.to_string()));
    }
    secured::listeners(section, &mut listen, shards)?;
    section.end()?;
    Ok(listen)
}

/// `[limits]`.
pub(super) fn limits(section: &Section<'_>) -> Result<Limits, ConfigError> {
    let default = Limits::default();
    let messages = |count: &DeValue<'_>| value::whole(count, 1000..=limits::MESSAGES_MAX);
    let second = core::time::Duration::from_secs(1);
    let read = Limits {
        open_messages: section.optional("open_messages", messages)?.unwrap_or(default.open_messages),
        keys: section.optional("keys", |count| value::whole(count, 1000..=limits::KEYS_MAX))?,
        retention: section
            .optional("retention", |time| value::duration(time, second..=limits::RETENTION_MAX))?
            .unwrap_or(default.retention),
        finished: section.optional("finished", messages)?.unwrap_or(default.finished),
    };
    section.end()?;
    Ok(read)
}

/// `[log]`.
pub(super) fn log(section: &Section<'_>) -> Result<Log, ConfigError> {
    let mib = section.optional("segment_mib", |size| value::whole(size, 1..=limits::SEGMENT_MIB_MAX))?;
    let snapshot_mib =
        section.optional("snapshot_mib", |size| value::whole(size, 1..=limits::SNAPSHOT_MIB_MAX))?;
    let zero = core::time::Duration::ZERO;
    let retention =
        section.optional("retention", |time| value::duration(time, zero..=limits::RETENTION_MAX))?;
    let retained_gib =
        section.optional("retained_gib", |size| value::whole(size, 0..=limits::RETAINED_GIB_MAX))?;
    section.end()?;
    let default = Log::default();
    Ok(Log {
        segment_bytes: mib.map_or(default.segment_bytes, |mib| mib << 20),
        snapshot_every_bytes: snapshot_mib.map_or(default.snapshot_every_bytes, |mib| mib << 20),
        retention: retention.unwrap_or(default.retention),
        retained_bytes: retained_gib.map_or(default.retained_bytes, |gib| gib << 30),
    })
}

/// `[log_output]`.
pub(super) fn log_output(section: &Section<'_>) -> Result<LogOutput, ConfigError> {
    let default = LogOutput::default();
    let format = section.optional("format", |word| value::word(word, &LogFormat::WORDS))?;
    let filter = section.optional("filter", |filter| match value::text(filter)? {
        text if logging::is_filter(text) => Ok(text.to_owned()),
        _ => Err(Expected("a filter of log lines, as \"info\" or \"warn,engine=debug\"".to_owned())),
    })?;
    section.end()?;
    Ok(LogOutput { format: format.unwrap_or(default.format), filter: filter.unwrap_or(default.filter) })
}

/// `[classes.otp]` and its siblings.
pub(super) fn classes(section: &Section<'_>) -> Result<[ClassPolicy; 4], ConfigError> {
    let mut policies = Class::ALL.map(ClassPolicy::default_of);
    for (class, policy) in Class::ALL.into_iter().zip(&mut policies) {
        class_policy(&section.section(class.name())?, policy)?;
    }
    section.end()?;
    Ok(policies)
}

fn class_policy(section: &Section<'_>, policy: &mut ClassPolicy) -> Result<(), ConfigError> {
    let second = core::time::Duration::from_secs(1);
    let zero = core::time::Duration::ZERO;
    let validity =
        section.optional("validity", |time| value::duration(time, second..=shards::limits::VALIDITY_MAX))?;
    let receipt_wait =
        section.optional("receipt_wait", |time| value::duration(time, second..=limits::RECEIPT_WAIT_MAX))?;
    let doubt_wait =
        section.optional("doubt_wait", |time| value::duration(time, zero..=limits::DOUBT_WAIT_MAX))?;
    let doubt = section.optional("doubt", |word| value::word(word, &DOUBTS))?;
    section.end()?;
    policy.validity = validity.unwrap_or(policy.validity);
    policy.receipt_wait = receipt_wait.unwrap_or(policy.receipt_wait);
    policy.doubt_wait = doubt_wait.unwrap_or(policy.doubt_wait);
    policy.doubt = doubt.unwrap_or(policy.doubt);
    Ok(())
}

/// `[[account]]`.
pub(super) fn accounts(root: &Section<'_>) -> Result<Vec<Account>, ConfigError> {
    let sections = root.sections("account", limits::ACCOUNTS_MAX)?;
    if sections.is_empty() {
        return Err(root.wrong(root.line(), "account", "at least one section [[account]]", "none"));
    }
    let mut names = Names::default();
    let mut digests = BTreeMap::new();
    let mut system_ids = BTreeMap::new();
    let mut accounts = Vec::with_capacity(sections.len());
    for section in &sections {
        let (name, key_lines, account) = account(section)?;
        if let Some(smpp) = &account.smpp {
            // A bind finds the account by it.
            if let Some(first) = system_ids.insert(smpp.system_id.clone(), name.line) {
                let found = format!("that of the account in line {first}");
                return Err(section.wrong(name.line, "smpp_system_id", "a system_id of its own", found));
            }
        }
        names.insert(section, &name, account.id().0)?;
        for (key, (word, line)) in account.keys.iter().zip(key_lines) {
            // HTTP finds the account by its key.
            if let Some(first) = digests.insert(key.digest(), line) {
                let found = format!("the key of the account in line {first}");
                return Err(section.wrong(line, word, "a key of its own", found));
            }
        }
        accounts.push(account);
        webhook::are_not_too_many(
            section,
            accounts.iter().filter(|account| account.webhook.is_some()).count(),
        )?;
    }
    Ok(accounts)
}

/// The word and the line of each of an account's keys.
type KeyLines = Vec<(&'static str, usize)>;

/// The account with its name's place and its keys' lines.
fn account(section: &Section<'_>) -> Result<(Located<String>, KeyLines, Account), ConfigError> {
    let name = section.required("name", "the account's name", value::name)?;
    let (key_lines, keys) = keys(section)?;
    let words = Class::ALL.map(|class| (class.name(), class));
    let class = section.optional("class", |class| value::word(class, &words))?;
    let sender = section.required("sender", "the sender of messages that name none", sender)?;
    let senders = section.optional("senders", senders)?.unwrap_or_default();
    let most = 1..=limits::MESSAGES_MAX;
    let open_messages = section.optional("open_messages", |count| value::whole(count, most.clone()))?;
    let keys_most = 1..=limits::ACCOUNT_IDEMPOTENCY_KEYS_MAX;
    let idempotency_keys =
        section.optional("idempotency_keys", |count| value::whole(count, keys_most.clone()))?;
    let rate = section.optional("rate", |rate| value::whole(rate, 1..=limits::RATE_MAX))?;
    let smpp = smpp::access(section, &name.value)?;
    let webhook = webhook::webhook(section)?;
    section.end()?;
    let account = Account {
        name: name.value.clone(),
        keys,
        class: class.unwrap_or(Class::Transactional),
        sender: sender.value,
        senders,
        open_messages,
        idempotency_keys,
        rate_per_s: rate.map(|rate| u32::try_from(rate).expect("its bounds have 32 bits")),
        smpp,
        webhook,
    };
    Ok((name, key_lines, account))
}

/// `key`, `key_hash` and `keys`, any of which may be there and one of which must.
fn keys(section: &Section<'_>) -> Result<(KeyLines, Vec<AccountKey>), ConfigError> {
    let (mut lines, mut all) = (KeyLines::new(), Vec::new());
    if let Some(key) = section.located("key", plain_key)? {
        lines.push(("key", key.line));
        all.push(key.value);
    }
    if let Some(key) = section.located("key_hash", hashed_key)? {
        lines.push(("key_hash", key.line));
        all.push(key.value);
    }
    let most = limits::ACCOUNT_KEYS_MAX;
    let what = format!("a list of 1 to {most} keys or hashes of keys");
    let either = |key: &DeValue<'_>| match key.as_str() {
        Some(text) if text.starts_with(HASH_PREFIX) => hashed_key(key),
        _ => plain_key(key),
    };
    if let Some(listed) = section.located("keys", |keys| value::list(keys, &what, either))? {
        lines.resize(lines.len() + listed.value.len(), ("keys", listed.line));
        all.extend(listed.value);
    }
    match all.len() {
        0 => {
            let what = "the account's secret, as key = \"…\" or as key_hash = \"sha256:…\"";
            Err(section.wrong(section.line(), "key", what, "nothing: the key is missing in this section"))
        }
        count if count > most => {
            Err(section.wrong(section.line(), "keys", format!("at most {most} keys"), count.to_string()))
        }
        _ => Ok((lines, all)),
    }
}

fn plain_key(key: &DeValue<'_>) -> Result<AccountKey, Expected> {
    let text = value::visible(key, limits::KEY_BYTES_MIN..=limits::KEY_BYTES_MAX)?;
    if text.starts_with(HASH_PREFIX) {
        return Err(Expected("a key; a hash of one stands under key_hash".to_owned()));
    }
    Ok(AccountKey::Plain(ApiKey::new(&text).expect("its bounds are the key's own")))
}

fn hashed_key(key: &DeValue<'_>) -> Result<AccountKey, Expected> {
    let digest = key.as_str().and_then(KeyDigest::parse).map(AccountKey::Hashed);
    digest.ok_or_else(|| {
        Expected("\"sha256:\" and 64 hexadecimal digits, as `switchyard key` prints".to_owned())
    })
}

fn sender(value: &DeValue<'_>) -> Result<String, Expected> {
    value.as_str().filter(|text| is_sender(text)).map(str::to_owned).ok_or_else(|| {
        let chars = shards::limits::SENDER_CHARS_MAX;
        Expected(format!("a number of at most 15 digits, or 1 to {chars} characters of ASCII"))
    })
}

fn is_sender(text: &str) -> bool {
    let alphanumeric = (1..=shards::limits::SENDER_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    alphanumeric || text.parse::<Msisdn>().is_ok()
}

/// Senders, each whole or its first characters and a `*`.
fn senders(list: &DeValue<'_>) -> Result<Vec<SenderPattern>, Expected> {
    let most = limits::SENDERS_MAX;
    let what = format!(
        "a list of 1 to {most} senders, each whole or its first characters and a *, as [\"Acme\", \"+4930123*\"]"
    );
    let pattern = |pattern: &DeValue<'_>| {
        let text = pattern.as_str().unwrap_or_default();
        let (first, begins) = text.strip_suffix('*').map_or((text, false), |first| (first, true));
        match is_sender(first) && !first.contains('*') {
            true if begins => Ok(SenderPattern::beginning(first)),
            true => Ok(SenderPattern::whole(first)),
            false => Err(Expected(what.clone())),
        }
    };
    let patterns = value::list(list, &what, pattern)?;
    if patterns.len() > most { Err(Expected(what)) } else { Ok(patterns) }
}

/// `[[carrier]]`.
pub(super) fn carriers(root: &Section<'_>, profiles: &[Profile]) -> Result<Vec<Carrier>, ConfigError> {
    let sections = root.sections("carrier", limits::CARRIERS_MAX)?;
    if sections.is_empty() {
        return Err(root.wrong(root.line(), "carrier", "at least one section [[carrier]]", "none"));
    }
    let mut names = Names::default();
    let mut carriers = Vec::with_capacity(sections.len());
    for section in &sections {
        let (name, carrier) = carrier(section, profiles)?;
        names.insert(section, &name, carrier.id().0)?;
        carriers.push(carrier);
    }
    Ok(carriers)
}

fn carrier(section: &Section<'_>, own: &[Profile]) -> Result<(Located<String>, Carrier), ConfigError> {
    let name = section.required("name", "the carrier's name", value::name)?;
    let address = section.required("address", "where the carrier listens", |address| {
        let parsed = value::text(address).ok().and_then(HostPort::parse);
        parsed.ok_or_else(|| Expected("a host and a port, as \"smpp.example.net:2775\"".to_owned()))
    })?;
    let system_id = section.required("system_id", "the name that the carrier gave you", |id| {
        value::visible(id, 1..=limits::SYSTEM_ID_BYTES_MAX)
    })?;
    let tls = secured::carrier(section, &address)?;
    let mut carrier = Carrier::new(&name.value, address.value, &system_id.value);
    carrier.tls = tls;
    let optional_text = |key, bytes| section.optional(key, |text| value::visible(text, 0..=bytes));
    carrier.password = optional_text("password", limits::PASSWORD_BYTES_MAX)?.unwrap_or_default();
    carrier.system_type = optional_text("system_type", limits::SYSTEM_TYPE_BYTES_MAX)?.unwrap_or_default();
    carrier.binds = binds(section)?.unwrap_or(carrier.binds);
    carrier.profile = profiles::named(section, "profile", own)?;
    profiles::overrides(section, &mut carrier.profile)?;
    section.end()?;
    Ok((name, carrier))
}

/// How many binds there are; `None`: the section does not say.
fn binds(section: &Section<'_>) -> Result<Option<Binds>, ConfigError> {
    let per_shard = section
        .optional("binds_per_shard", |count| value::whole_u16(count, 1..=limits::BINDS_PER_SHARD_MAX))?;
    let of_node = section.located("binds", |count| value::whole_u16(count, 1..=limits::BINDS_MAX))?;
    if let (Some(of_node), true) = (&of_node, per_shard.is_some()) {
        let expected = "either binds, of the node, or binds_per_shard";
        return Err(section.wrong(of_node.line, "binds", expected, "both"));
    }
    let of_node = of_node.map(|binds| Binds::OfNode(binds.value));
    Ok(of_node.or_else(|| per_shard.map(Binds::PerShard)))
}

/// `[[route]]`, over the carriers that there are.
pub(super) fn routes(root: &Section<'_>, carriers: &[Carrier]) -> Result<Vec<Route>, ConfigError> {
    let sections = root.sections("route", limits::ROUTES_MAX)?;
    if sections.is_empty() {
        return Err(root.wrong(root.line(), "route", "at least one section [[route]]", "none"));
    }
    let mut lines = BTreeMap::new();
    let mut routes = Vec::with_capacity(sections.len());
    for section in &sections {
        let (line, route) = route(section, carriers)?;
        if let Some(first) = lines.insert(route.prefix, line) {
            let found = format!("the prefix of line {first} again");
            return Err(section.wrong(line, "prefix", "each prefix once", found));
        }
        routes.push(route);
    }
    Ok(routes)
}

fn route(section: &Section<'_>, carriers: &[Carrier]) -> Result<(usize, Route), ConfigError> {
    let prefix =
        section.required("prefix", "a prefix, or \"\" for all others", |prefix| {
            match value::text(prefix)? {
                "" => Ok(None),
                digits => digits.parse::<Msisdn>().map(Some).map_err(|_| {
                    Expected("\"\" or the first digits of international numbers, as \"+49\"".to_owned())
                }),
            }
        })?;
    let names: Vec<&str> = carriers.iter().map(|carrier| &*carrier.name).collect();
    let what =
        format!("a list of 1 to {} of the carriers {}", shards::limits::ROUTE_CARRIERS_MAX, names.join(", "));
    let place = |carrier: &DeValue<'_>| {
        let named = value::text(carrier)?;
        let found = names.iter().position(|&name| name == named);
        let place = found.and_then(|place| u16::try_from(place).ok());
        place.ok_or_else(|| Expected(format!("only carriers that have a section: {}", names.join(", "))))
    };
    let list = section.required("carriers", &what, |list| value::list(list, &what, place))?;
    section.end()?;
    let twice = list.value.iter().enumerate().any(|(at, place)| list.value[..at].contains(place));
    if twice || list.value.len() > shards::limits::ROUTE_CARRIERS_MAX {
        let found = if twice { "one of them twice".to_owned() } else { list.value.len().to_string() };
        return Err(section.wrong(list.line, "carriers", what, found));
    }
    Ok((prefix.line, Route { prefix: prefix.value, carriers: list.value }))
}

/// Names that were used, and the ids made from them, with their lines.
#[derive(Default)]
struct Names {
    by_name: BTreeMap<String, usize>,
    by_id: BTreeMap<u32, usize>,
}

impl Names {
    fn insert(&mut self, section: &Section<'_>, name: &Located<String>, id: u32) -> Result<(), ConfigError> {
        let line = name.line;
        if let Some(first) = self.by_name.insert(name.value.clone(), line) {
            let found = format!("\"{}\" again, as in line {first}", name.value);
            return Err(section.wrong(line, "name", "a name that is used once", found));
        }
        if let Some(first) = self.by_id.insert(id, line) {
            let found = format!("\"{}\", whose id is that of the name in line {first}", name.value);
            return Err(section.wrong(line, "name", "a name whose 32-bit hash is its own: change it", found));
        }
        Ok(())
    }
}
