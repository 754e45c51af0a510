//! The node's certificates and keys: read as one, handed to the shards as one, and watched for their end.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use rustls::pki_types::ServerName;
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
    /// For calling whoever the configuration does not name.
    client: ClientTls,
}

impl PeerTls {
    fn load(files: &PeerFiles, others: &[&Member]) -> Result<Self, MaterialError> {
        let server = ServerTls::load_peers(files)?;
        let nobody = ServerName::try_from("localhost").expect("a name");
        let client = ClientTls::load_member(files, &nobody)?;
        let load = |member: &&Member| {
            let name = member.tls_name.as_ref().expect("with the files every member has a name");
            Ok((member.node, ClientTls::load_member(files, name)?))
        };
        Ok(Self { server, members: others.iter().map(load).collect::<Result<_, _>>()?, client })
    }

    /// For calling a node whose certificate carries a name.
    pub(super) fn client_for(&self, node: NodeId, name: &ServerName<'static>) -> ClientTls {
        let found = self.members.iter().find(|(member, _)| *member == node);
        found.map_or_else(|| self.client.named(name.clone()), |(_, tls)| tls.clone())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::tests::Papers;

    /// The file of node 2 of three, with the files of these papers.
    fn config(papers: &Papers) -> Config {
        let [certificate, key, ca] = ["node.pem", "node.key", "ca.pem"].map(|name| papers.path(name));
        let mut text = format!(
            "[node]\nid = 2\n[cluster]\nname = \"acme\"\nlisten = \"127.0.0.1:7900\"\n\
             certificate = {certificate:?}\nkey = {key:?}\nca = {ca:?}\n"
        );
        for (node, host) in [(1, "sin.example"), (2, "fra.example"), (3, "iad.example")] {
            text += &format!(
                "[[cluster.member]]\nnode = {node}\nregion = \"local\"\naddress = \"{host}:7900\"\n"
            );
        }
        text += "[[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
            [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n\
            [[route]]\nprefix = \"\"\ncarriers = [\"c\"]\n";
        Config::parse("test", &text).unwrap()
    }

    #[test]
    fn a_member_knows_each_of_the_others_by_name_and_its_own_certificate_is_watched() {
        let papers = Papers::new();
        papers.issue("node", "fra.example", |params| params.not_after = rcgen::date_time_ymd(2031, 2, 3));
        let config = config(&papers);
        let before = Secure::load(&config).unwrap();
        let peers = before.peers.as_ref().unwrap();
        let known: Vec<_> = peers.members.iter().map(|(node, tls)| (node.0, tls.name().to_str())).collect();
        assert_eq!(known, [(1, "sin.example".into()), (3, "iad.example".into())]);
        let (of, certificate) = &before.certificates()[0];
        assert_eq!((of.as_str(), certificate), ("cluster", &peers.server.certificate));
        let late = certificate.valid_until - Duration::from_secs(24 * 3600);
        assert!(before.warnings(late)[0].starts_with("the certificate of cluster is good for 1 days more"));
        assert!(Secure::load(&config).unwrap().changes(&before).is_empty());

        papers.issue("node", "fra.example", |params| params.not_after = rcgen::date_time_ymd(2032, 2, 3));
        let told = Secure::load(&config).unwrap().changes(&before);
        assert_eq!(told, ["tls: another certificate of cluster, good until 2032-02-03T00:00:00Z"]);
        papers.issue("other", "fra.example", |_| {});
        std::fs::copy(papers.path("other.key"), papers.path("node.key")).unwrap();
        let refused = Secure::load(&config).map(|_| ()).unwrap_err().to_string();
        assert!(
            refused.starts_with("cluster.key: ") && refused.contains("not that of the certificate"),
            "{refused}"
        );
    }
}
