//! The configuration: one TOML file, parsed into types at once.
//!
//! What leaves this chapter needs no second look: names are unique, routes name carriers that exist, every number is
//! within its bounds. What is wrong is said with file, line, key, what was expected and what stood there. Nothing is
//! read twice and nothing is guessed: a key that is not known is an error.
//!
//! ```text
//!   FILE ──document──▶ sections ──each key──▶ Config ──plan(host)──▶ shards::plan::Plan
//! ```

mod cluster;
mod error;
mod inbound;
mod limits;
mod plan;
mod profiles;
mod section;
mod sections;
mod secured;
pub(crate) mod shown;
mod smpp;
mod types;
mod value;
mod webhook;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

pub use error::ConfigError;
pub use plan::Host;
pub use types::{
    Account, AccountKey, ApiKey, Carrier, Cluster, Config, Cores, HostPort, Limits, Listen, Log, LogOutput,
    Member, Node, SmppAccess,
};

pub(crate) use limits::PASSWORD_BYTES_MAX;
pub(crate) use value::{is_name, parse_duration, show_duration};

use crate::customers::passwords::Password;
use crate::webhooks::Webhook;
use section::{Section, Source};

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], whose text is for whoever wrote the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&file, &text),
            Err(error) => Err(ConfigError::Unreadable { file, error }),
        }
    }

    /// What an operator should know about a file that is taken all the same.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let plain = |account: &&Account| account.keys.iter().any(|key| matches!(key, AccountKey::Plain(_)));
        let told = |account: &Account| {
            format!(
                "account {}: key in plain text: make one with `switchyard key` and write its key_hash instead",
                account.name
            )
        };
        let mut warnings: Vec<String> = self.accounts.iter().filter(plain).map(told).collect();
        for account in &self.accounts {
            let passwords = account.smpp.iter().flat_map(|smpp| &smpp.passwords);
            let advice = |what: &str| {
                format!(
                    "account {}: {what}: make one with `switchyard password` and write its smpp_password_hash instead",
                    account.name
                )
            };
            for password in passwords {
                match password {
                    Password::Plain(_) => warnings.push(advice("SMPP password in plain text")),
                    Password::Hashed(hash) if hash.is_cheap() => {
                        warnings.push(advice("the hash of the SMPP password costs little to guess"));
                    }
                    Password::Hashed(_) => {}
                }
            }
        }
        for account in &self.accounts {
            let plain = |webhook: &&Webhook| !webhook.url.is_tls() && !webhook.url.is_this_machine();
            if account.webhook.as_ref().filter(plain).is_some() {
                let who = "whoever is on the way reads what it is told: write https";
                warnings.push(format!("account {}: webhook without TLS: {who}", account.name));
            }
        }
        if self.tls.is_some() && !self.listen.has_tls() {
            warnings.push(
                "tls: nobody is served with it: set listen.https, listen.native_tls or listen.smpp_tls"
                    .to_owned(),
            );
        }
        warnings.extend(self.cluster.as_ref().and_then(Cluster::warning));
        warnings
    }

    /// Parses the text of a file; `file` is its name for errors.
    ///
    /// # Errors
    /// [`ConfigError`], whose text is for whoever wrote the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let document = source.document()?;
        let root = Section::root(source, &document);
        let node = sections::node(&root.section("node")?)?;
        let listeners = root.section("listen")?;
        let listen = sections::listen(&listeners, node.cores.count_at_least())?;
        let tls = secured::tls(&root.section("tls")?)?;
        secured::listeners_have_tls(&listeners, &listen, tls.as_ref())?;
        let cluster = cluster::cluster(&root.section("cluster")?, &node, &listen)?;
        let limits = sections::limits(&root.section("limits")?)?;
        let log = sections::log(&root.section("log")?)?;
        let log_output = sections::log_output(&root.section("log_output")?)?;
        let classes = sections::classes(&root.section("classes")?)?;
        let accounts = sections::accounts(&root)?;
        let profiles = profiles::profiles(&root)?;
        let carriers = sections::carriers(&root, &profiles)?;
        let routes = sections::routes(&root, &carriers)?;
        let inbound = inbound::inbound(&root, &accounts, &carriers)?;
        root.end()?;
        Ok(Self {
            node,
            listen,
            tls,
            cluster,
            limits,
            log,
            log_output,
            classes,
            accounts,
            carriers,
            routes,
            inbound,
        })
    }
}
