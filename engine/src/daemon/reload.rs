//! A configuration that is read again while the daemon runs: what of it can be in force at once, and what needs a start.
//!
//! The whole file is validated before anything is done, so a wrong one changes nothing. Accounts with their keys, routes, rules
//! for messages of handsets, classes and the filter of log lines change between two turns of a shard, while sessions and messages go on. Everything
//! that is counted by place or was made at start (cores, addresses, data, limits, carriers with their links) stays as it
//! is, and is named to the operator.

use shards::plan::Route;

use crate::admin::words;
use crate::config::{Account, Carrier, Cluster, Config};
use crate::net::tls::PeerFiles;

/// What a file means for a daemon that runs.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// What will be in force: the configuration that runs, with what could be taken from the file.
    pub(super) config: Config,
    /// For the operator.
    pub(super) told: words::Reload,
}

/// Compares the configuration that runs with a file that was read again.
pub(super) fn change(running: &Config, file: &Config) -> Change {
    let mut told = words::Reload::default();
    let mut config = running.clone();
    parts_for_a_start(running, file, &mut told.needs_restart);
    accounts(&running.accounts, &file.accounts, &mut told.applied);
    config.accounts.clone_from(&file.accounts);
    if running.classes != file.classes {
        told.applied.push("classes: for messages that come from now on, and doubts that arise".to_owned());
        config.classes = file.classes;
    }
    match (&running.tls, &file.tls) {
        (before, Some(now)) if before.as_ref() != Some(now) => {
            told.applied.push("tls: other files, for hand-shakes from now on".to_owned());
            config.tls.clone_from(&file.tls);
        }
        (Some(_), None) => told.needs_restart.push("tls: removed".to_owned()),
        _ => {}
    }
    if let Some(tls) = cluster_files(running, file) {
        told.applied.push("cluster: other files, for hand-shakes from now on".to_owned());
        config.cluster.iter_mut().for_each(|cluster| cluster.tls = Some(tls.clone()));
    }
    match routes(running, file) {
        Ok(routes) if routes != running.routes => {
            told.applied.push(format!("routes: {} in force; what waits was dealt again", routes.len()));
            config.routes = routes;
        }
        Ok(_) => {}
        Err(carrier) => {
            let what = format!(
                "route: the routes name carrier {carrier}, which is not running; all stay as they were"
            );
            told.needs_restart.push(what);
        }
    }
    if running.inbound != file.inbound {
        let count = file.inbound.rules().len();
        told.applied.push(format!("inbound: {count} rules in force, for messages of handsets from now on"));
        config.inbound.clone_from(&file.inbound);
    }
    if running.log_output.filter != file.log_output.filter {
        told.applied.push(format!("log_output.filter = {:?}", file.log_output.filter));
        config.log_output.filter.clone_from(&file.log_output.filter);
    }
    Change { config, told }
}

/// Sections whose change needs a start.
fn parts_for_a_start(running: &Config, file: &Config, told: &mut Vec<String>) {
    let mut differs = |section: &str, differs: bool| {
        if differs {
            told.push(section.to_owned());
        }
    };
    differs("node", running.node != file.node);
    differs("listen", running.listen != file.listen);
    differs("cluster", !is_same_cluster(running.cluster.as_ref(), file.cluster.as_ref()));
    differs("limits", running.limits != file.limits);
    differs("log", running.log != file.log);
    differs("log_output.format", running.log_output.format != file.log_output.format);
    for carrier in &file.carriers {
        match find(&running.carriers, &carrier.name) {
            None => differs(&format!("carrier {}: new", carrier.name), true),
            Some(place) => differs(&format!("carrier {}", carrier.name), running.carriers[place] != *carrier),
        }
    }
    for carrier in &running.carriers {
        let gone = find(&file.carriers, &carrier.name).is_none();
        differs(&format!("carrier {}: removed", carrier.name), gone);
    }
}

/// Whether two sections say the same but for the files of certificates.
fn is_same_cluster(running: Option<&Cluster>, file: Option<&Cluster>) -> bool {
    match (running, file) {
        (None, None) => true,
        (Some(running), Some(file)) => {
            running.tls.is_some() == file.tls.is_some()
                && Cluster { tls: running.tls.clone(), ..file.clone() } == *running
        }
        _ => false,
    }
}

/// The files of certificates between nodes, when others are named. Whether there are any needs a start.
fn cluster_files<'a>(running: &Config, file: &'a Config) -> Option<&'a PeerFiles> {
    let before = running.cluster.as_ref()?.tls.as_ref()?;
    file.cluster.as_ref()?.tls.as_ref().filter(|now| *now != before)
}

fn find(carriers: &[Carrier], name: &str) -> Option<usize> {
    carriers.iter().position(|carrier| carrier.name == name)
}

/// What becomes of each account.
fn accounts(running: &[Account], file: &[Account], told: &mut Vec<String>) {
    for account in file {
        match running.iter().find(|other| other.name == account.name) {
            None => told.push(format!("account {}: new", account.name)),
            Some(before) => {
                if before.keys != account.keys {
                    let (from, to) = (before.keys.len(), account.keys.len());
                    told.push(format!("account {}: keys changed, {from} before and {to} now", account.name));
                }
                let named = (before.class, &before.sender, &before.senders);
                if named != (account.class, &account.sender, &account.senders) {
                    told.push(format!("account {}: class or senders changed", account.name));
                }
                let limits_of =
                    |account: &Account| (account.open_messages, account.idempotency_keys, account.rate_per_s);
                if limits_of(before) != limits_of(account) {
                    told.push(format!("account {}: limits changed", account.name));
                }
                if before.smpp != account.smpp {
                    told.push(format!(
                        "account {}: what it may do over SMPP; binds that there are stay",
                        account.name
                    ));
                }
                match (&before.webhook, &account.webhook) {
                    (before, now) if before == now => {}
                    (_, None) => told.push(format!("account {}: webhook removed", account.name)),
                    (_, Some(_)) => told.push(format!("account {}: another webhook", account.name)),
                }
            }
        }
    }
    for account in running {
        if !file.iter().any(|other| other.name == account.name) {
            told.push(format!("account {}: removed; its open messages go on", account.name));
        }
    }
}

/// The routes of the file by the places of the carriers that run; or the first carrier that does not run.
fn routes(running: &Config, file: &Config) -> Result<Vec<Route>, String> {
    let place = |&carrier: &u16| {
        let name = &file.carriers[usize::from(carrier)].name;
        let place = find(&running.carriers, name).and_then(|place| u16::try_from(place).ok());
        place.ok_or_else(|| name.clone())
    };
    let route = |route: &Route| {
        let carriers = route.carriers.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Route { prefix: route.prefix, carriers })
    };
    file.routes.iter().map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
        [[carrier]]\nname = \"one\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n\
        [[carrier]]\nname = \"two\"\naddress = \"127.0.0.1:2776\"\nsystem_id = \"me\"\n\
        [[route]]\nprefix = \"\"\ncarriers = [\"one\", \"two\"]\n";

    fn read(text: &str) -> Config {
        Config::parse("test", text).unwrap()
    }

    fn told(text: &str) -> words::Reload {
        change(&read(FILE), &read(text)).told
    }

    #[test]
    fn the_same_file_changes_nothing() {
        assert_eq!(told(FILE), words::Reload::default());
    }

    #[test]
    fn accounts_classes_routes_and_the_filter_are_in_force_at_once() {
        let text = FILE
            .replace("0123456789abcdef\"\n", "fedcba9876543210\"\nclass = \"otp\"\n")
            .replace("[\"one\", \"two\"]", "[\"two\"]")
            + "[[account]]\nname = \"b\"\nkey = \"0123456789abcdef\"\nsender = \"B\"\n\
               [classes.otp]\nvalidity = \"1m\"\n[log_output]\nfilter = \"debug\"\n";
        let change = change(&read(FILE), &read(&text));
        assert_eq!(
            change.told.applied,
            [
                "account a: keys changed, 1 before and 1 now",
                "account a: class or senders changed",
                "account b: new",
                "classes: for messages that come from now on, and doubts that arise",
                "routes: 1 in force; what waits was dealt again",
                "log_output.filter = \"debug\"",
            ]
        );
        assert!(change.told.needs_restart.is_empty(), "{:?}", change.told);
        assert_eq!(change.config.routes[0].carriers, [1]);
        assert_eq!(
            told(&text.replace("name = \"a\"", "name = \"z\"")).applied.last().map(String::as_str),
            Some("log_output.filter = \"debug\"")
        );
    }

    #[test]
    fn what_was_made_at_start_is_named_and_stays() {
        let text = FILE
            .replace("2776", "2777")
            .replace("name = \"one\"\naddress", "name = \"three\"\naddress")
            .replace("[\"one\", \"two\"]", "[\"three\"]")
            + "[node]\nid = 2\n[listen]\nhttp = \"127.0.0.1:1\"\n[limits]\nfinished = 5000\n[log]\nsegment_mib = 8\n\
               [log_output]\nformat = \"json\"\n";
        let change = change(&read(FILE), &read(&text));
        assert_eq!(
            change.told.needs_restart,
            [
                "node",
                "listen",
                "limits",
                "log",
                "log_output.format",
                "carrier three: new",
                "carrier two",
                "carrier one: removed",
                "route: the routes name carrier three, which is not running; all stay as they were",
            ]
        );
        assert!(change.told.applied.is_empty());
        assert_eq!(change.config.routes, read(FILE).routes);
        assert_eq!(change.config.carriers, read(FILE).carriers);
    }

    #[test]
    fn a_cluster_needs_a_start_and_its_files_do_not() {
        let member = |node: u32, port: u16| {
            let at = format!("address = \"127.0.0.1:{port}\"\n");
            format!("[[cluster.member]]\nnode = {node}\nregion = \"local\"\n{at}")
        };
        let of = |files: &str, port: u16| {
            let head = "[cluster]\nname = \"acme\"\nlisten = \"127.0.0.1:7900\"\n";
            [head, files, &member(1, 7900), &member(2, port), FILE].concat()
        };
        let files = |of: &str| format!("certificate = \"{of}.pem\"\nkey = \"{of}.key\"\nca = \"ca.pem\"\n");
        let running = read(&of(&files("old"), 7910));
        let told_of = |text: &str| {
            let words::Reload { applied, needs_restart } = change(&running, &read(text)).told;
            (applied, needs_restart)
        };
        let (applied, restart) = (
            vec!["cluster: other files, for hand-shakes from now on".to_owned()],
            vec!["cluster".to_owned()],
        );
        assert_eq!(told_of(&of(&files("old"), 7910)), (vec![], vec![]));
        assert_eq!(told_of(&of(&files("new"), 7910)), (applied.clone(), vec![]));
        assert_eq!(told_of(&of(&files("old"), 7920)), (vec![], restart.clone()));
        assert_eq!(told_of(&of(&files("new"), 7920)), (applied, restart.clone()));
        assert_eq!(told_of(&of("", 7910)), (vec![], restart.clone()));
        assert_eq!(told_of(FILE), (vec![], restart));
        let changed = change(&running, &read(&of(&files("new"), 7920))).config.cluster.unwrap();
        assert!(changed.tls.unwrap().key.ends_with("new.key"));
        assert_eq!(changed.members, running.cluster.as_ref().unwrap().members);
    }

    #[test]
    fn who_may_bind_is_in_force_at_once() {
        let with = FILE.replace("sender = \"A\"\n", "sender = \"A\"\nsmpp_password = \"secret12\"\n");
        let expected = ["account a: what it may do over SMPP; binds that there are stay"];
        assert_eq!(told(&with).applied, expected);
        assert_eq!(change(&read(&with), &read(FILE)).told.applied, expected);
        assert_eq!(change(&read(&with), &read(&with)).told, words::Reload::default());
    }

    #[test]
    fn a_webhook_is_in_force_at_once() {
        let hook = |host: &str| {
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            let lines =
                format!("sender = \"A\"\nwebhook = \"http://{host}/\"\nwebhook_secret = {secret:?}\n");
            FILE.replace("sender = \"A\"\n", &lines)
        };
        let another = ["account a: another webhook"];
        assert_eq!(told(&hook("localhost")).applied, another);
        let change_of = |from: &str, to: &str| change(&read(from), &read(to)).told.applied;
        assert_eq!(change_of(&hook("localhost"), &hook("127.0.0.1")), another);
        assert_eq!(change_of(&hook("localhost"), FILE), ["account a: webhook removed"]);
        assert!(change_of(&hook("localhost"), &hook("localhost")).is_empty());
    }

    #[test]
    fn routes_follow_carriers_by_name_when_their_order_changes() {
        let one = "[[carrier]]\nname = \"one\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n";
        let moved = FILE.replace(one, "") + one;
        assert_eq!(told(&moved), words::Reload::default());
    }
}
