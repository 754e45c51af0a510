//! The node's certificates and keys: read as one, handed to the shards as one, and watched for their end.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use wire::id::NodeId;

use crate::config::{Account, Carrier, Config, Member};
use crate::net::tls::{Certificate, ClientTls, MaterialError, PeerFiles, SYSTEM_ROOTS, ServerTls, roots_of};
use crate::table::Table;
use crate::webhooks::poster::Poster;

use super::limits::CERTIFICATE_WARNING;

/// All that sessions of TLS begin with. One for the node; another one after a reload.
#[derive(Debug)]
pub(crate) struct Secure {
    /// For those who call; `None`: nobody is served with TLS.
    pub(super) server: Option<ServerTls>,
    /// Between the nodes of the cluster; `None`: they speak without TLS, or there are none.
    pub(crate) peers: Option<PeerTls>,
    /// For each carrier, in the order of the configuration.
    pub(super) carriers: Vec<Option<ClientTls>>,
    /// For each account, in the order of the configuration, how its webhook is spoken to.
    pub(super) webhooks: Vec<Option<Poster>>,
    /// Whose certificates there are, and these.
    certificates: Vec<(String, Certificate)>,
}

/// By which the nodes of a cluster know each other.
#[derive(Debug)]
pub(crate) struct PeerTls {
    /// For those of them that call: each must show a certificate that the cluster's CA has signed.
    pub(crate) server: ServerTls,
    /// For calling each of the others, in the order of the configuration: its certificate must carry its own name.
    pub(crate) members: Vec<(NodeId, ClientTls)>,
}

impl PeerTls {
    fn load(files: &PeerFiles, others: &[&Member]) -> Result<Self, MaterialError> {
        let server = ServerTls::load_peers(files)?;
        let load = |member: &&Member| {
            let name = member.tls_name.as_ref().expect("with the files every member has a name");
            Ok((member.node, ClientTls::load_member(files, name)?))
        };
        Ok(Self { server, members: others.iter().map(load).collect::<Result<_, _>>()? })
    }
}

impl Secure {
    /// Reads all files that a configuration names.
    ///
    /// # Errors
    /// The first that is wrong, and how.
    pub(crate) fn load(config: &Config) -> Result<Self, MaterialError> {
        let server = config.tls.as_ref().map(ServerTls::load).transpose()?;
        let peers = config.cluster.as_ref().and_then(|cluster| {
            let others: Vec<_> =
                cluster.members.iter().filter(|member| member.node != config.node.id).collect();
            cluster.tls.as_ref().map(|files| PeerTls::load(files, &others))
        });
        let peers = peers.transpose()?;
        let load = |carrier: &Carrier| {
            carrier.tls.as_ref().map(|files| ClientTls::load(&carrier.name, files)).transpose()
        };
        let carriers: Vec<_> = config.carriers.iter().map(load).collect::<Result<_, _>>()?;
        let mut posters = BTreeMap::new();
        let webhooks =
            config.accounts.iter().map(|account| poster(account, &mut posters)).collect::<Result<_, _>>()?;
        let own = server.iter().map(|server| ("listen".to_owned(), server.certificate.clone()));
        let shown = config.carriers.iter().zip(&carriers).filter_map(|(carrier, tls)| {
            Some((format!("carrier {}", carrier.name), tls.as_ref()?.certificate.clone()?))
        });
        let between = peers.iter().map(|peers| ("cluster".to_owned(), peers.server.certificate.clone()));
        let certificates = own.chain(between).chain(shown).collect();
        Ok(Self { server, peers, carriers, webhooks, certificates })
    }

    /// Our certificates, each with what it is for: `listen`, `cluster`, or `carrier NAME`.
    pub(super) fn certificates(&self) -> &[(String, Certificate)] {
        &self.certificates
    }

    /// What an operator should know at a time since 1970 about certificates that are taken all the same.
    pub(crate) fn warnings(&self, now: Duration) -> Vec<String> {
        let day = Duration::from_secs(24 * 3600);
        let warn = |(of, certificate): &(String, Certificate)| {
            let until = certificate.valid_until_text();
            if certificate.valid_from > now {
                return Some(format!(
                    "the certificate of {of} is not good before {}",
                    certificate.valid_from_text()
                ));
            }
            match certificate.left(now) {
                Duration::ZERO => {
                    Some(format!("the certificate of {of} is expired since {until}: nobody takes it"))
                }
                left if left < CERTIFICATE_WARNING => {
                    let days = left.as_secs() / day.as_secs();
                    Some(format!(
                        "the certificate of {of} is good for {days} days more, until {until}: renew it"
                    ))
                }
                _ => None,
            }
        };
        self.certificates.iter().filter_map(warn).collect()
    }

    /// What has become different, for the operator.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let changed =
            self.certificates.iter().filter(|certificate| !before.certificates.contains(certificate));
        changed
            .map(|(of, certificate)| {
                format!("tls: another certificate of {of}, good until {}", certificate.valid_until_text())
            })
            .collect()
    }

    /// The certificates for people.
    pub(crate) fn table(&self) -> Option<Table> {
        let mut table = Table::new(&["certificate", "names", "signed by", "good until"]);
        for (of, certificate) in &self.certificates {
            let names = certificate.names.join(", ");
            table.row([of.clone(), names, certificate.issuer.clone(), certificate.valid_until_text()]);
        }
        (!self.certificates.is_empty()).then_some(table)
    }
}

/// How an account's webhook is spoken to: those that trust the same file share their connections.
fn poster<'a>(
    account: &'a Account,
    posters: &mut BTreeMap<Option<&'a Path>, Poster>,
) -> Result<Option<Poster>, MaterialError> {
    let Some(webhook) = &account.webhook else { return Ok(None) };
    let file = webhook.url.is_tls().then(|| webhook.ca.as_deref().unwrap_or_else(|| Path::new(SYSTEM_ROOTS)));
    if let Some(poster) = posters.get(&file) {
        return Ok(Some(poster.clone()));
    }
    let word = format!("account {}: webhook_ca", account.name);
    let roots = file.map(|file| roots_of(&word, file)).transpose()?.unwrap_or_default();
    let poster = Poster::new(roots);
    posters.insert(file, poster.clone());
    Ok(Some(poster))
}

/// The time since 1970.
pub(crate) fn today() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
