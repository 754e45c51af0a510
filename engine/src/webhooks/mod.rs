//! Webhooks: what an account is told (fates, and messages from handsets) is POSTed to a server of its own, until that says that
//! it has it.
//!
//! ```text
//!   shard: a subscription of the account ═ bounded ═▶ courier: Outbox ─▶ Letter ─▶ signed POST ─▶ the account's server
//!   shard: acknowledged                  ◀═ bounded ═ courier ◀──────── 2xx ──────────┘
//! ```
//!
//! Each account with a webhook has a thread, its *courier*: whatever a server does, it delays nobody else's. The shard knows of it as of
//! any reader of the account's events, and waits for nothing. What is kept is on the shards' logs; a courier holds a bounded number of
//! events that it was told, and what it was not answered for is told again by the next process. The machine ([`outbox`]) is
//! pure; the thread ([`courier`]) has the clock and the socket. Why it is as it is: docs/adr/0016-webhooks.md.

pub(crate) mod courier;
pub(crate) mod limits;
pub(crate) mod metrics;
mod outbox;
mod outcome;
pub(crate) mod poster;
mod secret;
pub(crate) mod standing;
mod url;

use std::path::PathBuf;
use std::sync::Arc;

use shards::plan::Plan;

pub use secret::Secret;
pub use url::Url;

use poster::Poster;

/// Where an account's events go, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The account's server.
    pub url: Url,
    /// What posts are signed with; each is signed with all of them. At least one.
    pub secrets: Vec<Secret>,
    /// PEM: who may have signed the server's certificate; `None`: whom the system trusts.
    pub ca: Option<PathBuf>,
}

/// What one courier works by. Another one after a reload.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The account's name.
    pub(crate) account: String,
    /// Where its events go.
    pub(crate) webhook: Webhook,
    /// How they get there.
    pub(crate) poster: Poster,
    /// Names of carriers, and how long what is not acknowledged is kept.
    pub(crate) plan: Arc<Plan>,
}

impl Setup {
    /// Whether posts go elsewhere, or otherwise, than by another setup.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        self.webhook != other.webhook || !self.trusts_as(other)
    }

    /// Whether the same certificates are good by another setup.
    pub(crate) fn trusts_as(&self, other: &Self) -> bool {
        self.poster.trusts_as(&other.poster)
    }
}
