//! The configuration of a daemon of our own: our account, our carriers, room for the run.

use std::fmt::Write;
use std::net::SocketAddr;

use wire::id::Class;

use crate::args::{Options, Protocol};
use crate::customer::Credentials;
use crate::message::FROM;

/// Fewest open messages and keys that a daemon is configured for.
const ROOM_MIN: u32 = 1_000_000;
/// Most open messages: at 400 bytes each they take 4 GB.
const OPEN_MAX: u32 = 10_000_000;

/// A node of a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    /// Its number, from 1.
    pub(crate) node: usize,
    /// Where it hears the others.
    pub(crate) own: SocketAddr,
    /// Where all of them do, in the order of their numbers.
    pub(crate) all: &'a [SocketAddr],
}

/// The file's text.
pub(crate) fn text(
    options: &Options,
    credentials: &Credentials,
    carriers: &[SocketAddr],
    cores: &[usize],
    member: Option<Member<'_>>,
) -> String {
    let mut out = String::new();
    let total = options.messages.saturating_add(options.prefill);
    let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
    let keys = total.saturating_add(ROOM_MIN);
    let open = total.clamp(ROOM_MIN, OPEN_MAX);
    let mut put =
        |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a String takes all that is written");
    put(format_args!("[node]\ncores = [{}]\n{}\n", cores.join(", "), cluster(member)));
    put(format_args!("[listen]\nhttp = \"127.0.0.1:0\"\nnative = \"127.0.0.1:0\"\n"));
    let smpp = options.protocol == Protocol::Smpp;
    put(format_args!("{}\n", if smpp { "smpp = \"127.0.0.1:0\"\n" } else { "" }));
    put(format_args!("[limits]\nkeys = {keys}\nopen_messages = {open}\n\n"));
    let behaviour = options.carriers.behaviour();
    let receipts_fail = !behaviour.receipt_missing.is_none() || !behaviour.silent.is_none();
    let doubts = !behaviour.silent.is_none() || options.spawned.kills > 0;
    if receipts_fail || doubts {
        // What the carriers keep from the daemon must show within the drain: a message ends after both together.
        let wait = (options.drain_seconds / 4).max(1);
        let class = options.class.unwrap_or(Class::Transactional).name();
        put(format_args!("[classes.{class}]\n"));
        if receipts_fail {
            put(format_args!("validity = \"{wait}s\"\nreceipt_wait = \"{wait}s\"\n"));
        }
        if doubts {
            put(format_args!("doubt_wait = \"1s\"\n"));
        }
        put(format_args!("\n"));
    }
    let Credentials { account, key } = credentials;
    put(format_args!("[[account]]\nname = \"{account}\"\nkey = \"{key}\"\nsender = \"{FROM}\"\n"));
    if smpp {
        let (binds, window) = (options.customers, options.window);
        put(format_args!("smpp_password = \"{key}\"\nsmpp_binds_max = {binds}\nsmpp_window = {window}\n"));
        put(format_args!("smpp_keys = \"user-message-reference\"\n"));
        let class = options.class.unwrap_or(Class::Transactional).name();
        put(format_args!("class = \"{class}\"\n"));
    }
    put(format_args!("\n"));
    for (place, address) in carriers.iter().enumerate() {
        put(format_args!(
            "[[carrier]]\nname = \"c{place}\"\naddress = \"{address}\"\nsystem_id = \"switchyard\"\n"
        ));
        put(format_args!("password = \"loadgen\"\n"));
        let (window, binds) = (options.carriers.carrier_window, options.carriers.binds);
        put(format_args!("window = {window}\nbinds_per_shard = {binds}\n"));
        if doubts {
            put(format_args!("response_timeout = \"2s\"\n"));
        }
        put(format_args!("\n"));
    }
    let names: Vec<_> = (0..carriers.len()).map(|place| format!("\"c{place}\"")).collect();
    put(format_args!("[[route]]\nprefix = \"\"\ncarriers = [{}]\n", names.join(", ")));
    out
}

/// The rest of `[node]`, and `[cluster]`; nothing for a node alone.
fn cluster(member: Option<Member<'_>>) -> String {
    let Some(Member { node, own, all }) = member else { return String::new() };
    let members = (1..).zip(all).map(|(number, address)| {
        format!("[[cluster.member]]\nnode = {number}\nregion = \"r{number}\"\naddress = \"{address}\"\n")
    });
    let members: String = members.collect();
    format!("id = {node}\nregion = \"r{node}\"\n\n[cluster]\nname = \"load\"\nlisten = \"{own}\"\n{members}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Action, Cli};
    use clap::Parser;

    #[test]
    fn the_file_is_toml_and_names_every_carrier() {
        let line = "loadgen run --spawn --silent 0.1 --engine-cores 0,1 --class otp --prefill 5000000";
        let Action::Run(options) = Cli::parse_from(line.split_whitespace()).command;
        let credentials = Credentials { account: "load".into(), key: "0123456789abcdef".into() };
        let carriers = ["127.0.0.1:2775".parse().unwrap(), "127.0.0.1:2776".parse().unwrap()];
        let table: toml::Table = text(&options, &credentials, &carriers, &[0, 1], None).parse().unwrap();
        assert_eq!(table["node"]["cores"].as_array().unwrap().len(), 2);
        assert_eq!(table["carrier"][1]["address"].as_str(), Some("127.0.0.1:2776"));
        assert_eq!(table["classes"]["otp"]["doubt_wait"].as_str(), Some("1s"));
        assert_eq!(table["limits"]["keys"].as_integer(), Some(6_100_000));
        assert_eq!(table["route"][0]["carriers"].as_array().unwrap().len(), 2);
        assert!(table.get("cluster").is_none());
        let all = ["127.0.0.1:7001".parse().unwrap(), "127.0.0.1:7002".parse().unwrap()];
        let member = Member { node: 2, own: all[1], all: &all };
        let table: toml::Table = text(&options, &credentials, &carriers, &[1], Some(member)).parse().unwrap();
        assert_eq!(table["node"]["id"].as_integer(), Some(2));
        assert_eq!(table["cluster"]["member"][0]["address"].as_str(), Some("127.0.0.1:7001"));
        assert_eq!(table["cluster"]["listen"].as_str(), Some("127.0.0.1:7002"));
    }
}
