//! The control thread's answers while the shards run: to the admin socket, and to SIGHUP.

use std::path::PathBuf;
use std::sync::Arc;

use shards::members::Act;
use shards::plan::Plan;
use wire::id::{MessageId, NodeId, ShardId};

use crate::admin::limits::{ACT_WAIT, SHARD_WAIT};
use crate::admin::server::Asked;
use crate::admin::trace::{self, Subject};
use crate::admin::words::{self, Reload, Request, Response};
use crate::config::{Config, Host, HostPort};
use crate::customers::smpp::exchange::Exchange;
use crate::{host, logging};

use super::archive::{Inquirer, Outcome};
use super::board::Board;
use super::control::{Command, Control};
use super::members;
use super::secure::{self, Secure};
use super::view::{self, Numbers, ShardView};
use super::webhooks::Webhooks;
use super::{Prepared, clock, credentials, reload, smpp_accounts};

/// What the control thread knows of a node that runs.
#[derive(Debug)]
pub(super) struct Overseer<'a> {
    /// To the shards.
    pub(super) control: &'a Control,
    /// The file that is read again; `None`: started without one.
    pub(super) file: Option<PathBuf>,
    /// To those who read the log.
    archive: Inquirer,
    /// Accounts that are told over webhooks.
    webhooks: Webhooks,
    /// Where the data is.
    pub(super) data: PathBuf,
    /// What is in force.
    pub(super) config: Config,
    /// Certificates and keys in force.
    pub(super) secure: Arc<Secure>,
    /// Who may bind.
    smpp: Arc<Exchange>,
    /// What the plan of every shard depends on.
    pub(super) host: Host,
    /// The node's numbers.
    pub(super) board: Arc<Board>,
    /// When the process started.
    pub(super) started_ms: u64,
    /// When its configuration was read.
    pub(super) configured_ms: u64,
}

impl<'a> Overseer<'a> {
    /// What is known when the shards start.
    pub(super) fn new(
        control: &'a Control,
        prepared: &Prepared,
        (board, smpp): (Arc<Board>, Arc<Exchange>),
        (archive, webhooks): (Inquirer, Webhooks),
    ) -> Self {
        let now = clock::now().wall.0;
        Self {
            control,
            archive,
            webhooks,
            file: prepared.file.clone(),
            data: prepared.data.clone(),
            config: prepared.config.clone(),
            secure: Arc::clone(&prepared.secure),
            smpp,
            host: prepared.host,
            board,
            started_ms: now,
            configured_ms: now,
        }
    }

    /// Has the accounts with webhooks told from now on. What fails is said: the node works, and the next reload tries again.
    pub(super) fn open_webhooks(&mut self) {
        let plan = Arc::new(self.config.plan(self.host));
        if let Err(error) = self.renew_webhooks(&plan) {
            tracing::error!(event = "webhooks", error, "switchyard ctl reload tries again");
        }
    }

    fn renew_webhooks(&mut self, plan: &Arc<Plan>) -> Result<Vec<String>, String> {
        let renewed = self.webhooks.renew(self.control, &self.config, &self.secure, plan);
        self.webhooks.show(&self.board);
        renewed
    }

    /// Answers one request.
    pub(super) fn answer(&mut self, asked: Asked) {
        let mut begins = None;
        let response = match asked.request {
            Request::Status => self.status(),
            Request::Cluster => self.views().map_or_else(Response::Error, |views| {
                let views: Vec<_> = views.into_iter().map(|view| view.cluster).collect();
                Response::Cluster(Box::new(members::together(&self.config, &views)))
            }),
            Request::Links => self.views().map_or_else(Response::Error, |views| {
                Response::Links(views.into_iter().flat_map(|view| view.links).collect())
            }),
            Request::Customers => self.views().map_or_else(Response::Error, |views| {
                Response::Customers(views.into_iter().flat_map(|view| view.customers).collect())
            }),
            Request::Webhooks => Response::Webhooks(self.webhooks.views()),
            Request::Trace { carrier, account, .. } => match self.trace(carrier, account) {
                Ok((what, reader)) => {
                    begins = Some(reader);
                    Response::Tracing(what)
                }
                Err(why) => Response::Error(why),
            },
            Request::Queue => self.views().map_or_else(Response::Error, |views| {
                Response::Queue(view::sum_queues(views.into_iter().map(|view| view.queues).collect()))
            }),
            Request::Message { id, show_numbers } => self.message(&id, show_numbers),
            Request::Reload => self.reload("admin"),
            Request::Join { region, address, tls_name, votes_only } => {
                self.act(Act::Join { region, address, tls_name, votes_only })
            }
            Request::Drain { node } => self.act(Act::Drain(NodeId(node))),
            Request::Return { node } => self.act(Act::Return(NodeId(node))),
            Request::Remove { node } => self.act(Act::Remove(NodeId(node))),
        };
        // Whoever asked may have hung up.
        let _ = asked.answer.try_send((response, begins));
    }

    /// Has something decided about the cluster's members, by whoever is home of the system partition.
    fn act(&self, act: Act) -> Response {
        if let Act::Join { address, .. } = &act
            && HostPort::parse(address).is_none()
        {
            return Response::Error(format!(
                "expected a host and a port, as \"iad.example:7900\", found {address:?}"
            ));
        }
        let told = format!("{act:?}");
        match self.control.ask(0, |to| Command::Act(Box::new(act), to), ACT_WAIT) {
            Some(Ok(node)) => {
                tracing::warn!(event = "members", node = node.0, act = told, "an operator has decided this");
                Response::Done(node.0)
            }
            Some(Err(reason)) => Response::Error(reason.to_string()),
            None => Response::Error("shard 0 does not answer".to_owned()),
        }
    }

    /// Looks at what changes without anybody's doing.
    pub(super) fn look_around(&self) {
        if let Some(bytes) = host::free_bytes(&self.data) {
            self.board.show_free(bytes);
        }
    }

    fn views(&self) -> Result<Vec<ShardView>, String> {
        let views = self.control.ask_all(Command::Show, SHARD_WAIT);
        let all = (0_u16..)
            .zip(views)
            .map(|(shard, view)| view.ok_or_else(|| format!("shard {shard} does not answer")));
        all.collect()
    }

    /// Has every shard feed a trace.
    fn trace(
        &self,
        carrier: Option<String>,
        account: Option<String>,
    ) -> Result<(String, trace::Reader), String> {
        let (what, subject) = match (carrier, account) {
            (Some(name), None) => {
                let place = self.config.carriers.iter().position(|carrier| carrier.name == name);
                let place = place.and_then(|place| u16::try_from(place).ok());
                let place = place.ok_or_else(|| format!("there is no carrier {name:?}"))?;
                (format!("carrier {name}"), Subject::Carrier(place))
            }
            (None, Some(name)) => {
                let account = self.config.accounts.iter().find(|account| account.name == name);
                account.ok_or_else(|| format!("there is no account {name:?}"))?;
                (format!("account {name}"), Subject::Account(name))
            }
            _ => return Err("expected a carrier or an account, and not both".to_owned()),
        };
        let (feed, reader) = trace::trace(subject);
        let begun = self.control.ask_all(|to| Command::Trace(feed.clone(), to), SHARD_WAIT);
        if begun.iter().any(Option::is_none) {
            return Err("a shard does not answer".to_owned());
        }
        tracing::info!(event = "trace", what);
        Ok((what, reader))
    }

    fn status(&self) -> Response {
        let views = match self.views() {
            Ok(views) => views,
            Err(error) => return Response::Error(error),
        };
        Response::Status(Box::new(words::Status {
            node: self.config.node.id.0,
            region: self.config.node.region.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_ms: self.started_ms,
            ready: self.board.all_are_ready(),
            config: self.file.as_ref().map_or_else(String::new, |file| file.display().to_string()),
            configured_ms: self.configured_ms,
            free_bytes: host::free_bytes(&self.data),
            shards: views.into_iter().map(|view| view.shard).collect(),
        }))
    }

    fn message(&self, id: &str, show_numbers: bool) -> Response {
        let Ok(id) = id.parse::<MessageId>() else {
            return Response::Error(format!(
                "expected a message's id of {} characters, found {id:?}",
                MessageId::CHARS
            ));
        };
        if id.partition().0 >= self.host.partitions.count() {
            return Response::Message(None);
        }
        let numbers = if show_numbers { Numbers::Whole } else { Numbers::Masked };
        let owner = ShardId::owner_of(id.partition(), self.host.shards);
        let found = self.control.ask(usize::from(owner.0), |to| Command::Find(id, numbers, to), SHARD_WAIT);
        match found {
            None => Response::Error(format!("shard {} does not answer", owner.0)),
            Some(None) => self.aged(id, numbers),
            Some(found) => Response::Message(found),
        }
    }

    /// A message that left memory, from the log.
    fn aged(&self, id: MessageId, numbers: Numbers) -> Response {
        let plan = self.config.plan(self.host);
        match self.archive.ask(id, SHARD_WAIT) {
            Some(Outcome::Found(account, view)) => {
                Response::Message(Some(Box::new(view::message(account, &view, &plan, numbers))))
            }
            Some(Outcome::Unknown) => Response::Message(None),
            Some(Outcome::Failed) | None => Response::Error(
                "the message is not in memory, and the log cannot be asked now: segments are still being read, or one \
                 cannot be (the daemon's log says which); ask again"
                    .to_owned(),
            ),
        }
    }

    /// Reads the configuration again and puts in force what can be. A wrong file changes nothing.
    pub(super) fn reload(&mut self, by: &'static str) -> Response {
        let Some(file) = self.file.clone() else {
            return self.refused(
                by,
                "the daemon was started without a configuration file: there is nothing to read".to_owned(),
            );
        };
        let read = match Config::load(&file) {
            Ok(read) => read,
            Err(error) => return self.refused(by, error.to_string()),
        };
        for warning in read.warnings() {
            tracing::warn!(event = "config", warning);
        }
        let mut change = reload::change(&self.config, &read);
        let plan = Arc::new(change.config.plan(self.host));
        let secure = match Secure::load(&change.config) {
            Ok(secure) => Arc::new(secure),
            Err(error) => return self.refused(by, error.to_string()),
        };
        for warning in secure.warnings(secure::today()) {
            tracing::warn!(event = "certificate", warning);
        }
        change.told.applied.extend(secure.changes(&self.secure));
        let allowed = Arc::new(credentials(&change.config));
        let smpp = Arc::new(self.smpp.renewed(smpp_accounts(&change.config)));
        logging::set_filter(&change.config.log_output.filter);
        // Every shard knows an account before any of them lets it in: its messages cross from one to another.
        let mut taken = self.control.ask_all(|to| Command::Plan(Arc::clone(&plan), to), SHARD_WAIT);
        let admitted = self
            .control
            .ask_all(|to| Command::Admit(Arc::clone(&allowed), Arc::clone(&smpp), to), SHARD_WAIT);
        taken.extend(admitted);
        taken.extend(self.control.ask_all(|to| Command::Secure(Arc::clone(&secure), to), SHARD_WAIT));
        self.board.show_certificates(&secure);
        self.secure = secure;
        self.smpp = smpp;
        self.config = change.config;
        let webhooks = self.renew_webhooks(&plan);
        if taken.iter().any(Option::is_none) {
            let what = "a shard has not said in time that it works by the new configuration; read it again"
                .to_owned();
            return self.refused(by, what);
        }
        match webhooks {
            Ok(told) => change.told.applied.extend(told),
            Err(error) => return self.refused(by, format!("{error}; read it again")),
        }
        self.configured_ms = clock::now().wall.0;
        self.board.reloaded(Some(self.configured_ms));
        let Reload { applied, needs_restart } = &change.told;
        tracing::info!(
            event = "reloaded",
            by,
            applied = applied.join("; "),
            needs_restart = needs_restart.join("; ")
        );
        Response::Reload(change.told)
    }

    fn refused(&self, by: &'static str, error: String) -> Response {
        self.board.reloaded(None);
        tracing::error!(event = "reload-refused", by, error);
        Response::Error(error)
    }
}
