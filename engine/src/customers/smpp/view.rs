//! What an operator is shown of customers' SMPP sessions: how they are, and, while somebody looks on, what passes.

use wire::smpp::session::Tapped;
use wire::smpp::{BindKind, CommandId, Statuses};
use wire::time::Instant;

use super::super::Customers;
use super::super::connection::Machine;
use super::exchange::Exchange;
use super::{SmppSession, Stage};

/// One session as it is now.
#[derive(Clone, Copy, Debug)]
pub struct SmppView<'a> {
    /// Its connection.
    pub connection: u64,
    /// Whose it is; `None` before the bind.
    pub account: Option<&'a str>,
    /// Where it stands.
    pub state: &'static str,
    /// The version that both ends know.
    pub version: u8,
    /// Requests without an answer of ours.
    pub unanswered: u32,
    /// Receipts without an answer.
    pub in_flight: u32,
    /// How many there may be of each.
    pub window: u32,
    /// PDUs that came, and that were queued.
    pub pdus: (u64, u64),
    /// What its requests were refused with.
    pub refused_with: &'a Statuses,
    /// What came last, and when.
    pub last_pdu: Option<(CommandId, Instant)>,
}

impl SmppSession {
    /// The account whose bind it is, or was.
    fn account<'a>(&self, exchange: &'a Exchange) -> Option<&'a str> {
        Some(&exchange.account(self.place()?).name)
    }

    fn view<'a>(&'a self, connection: u64, exchange: &'a Exchange) -> SmppView<'a> {
        let session = &self.session;
        let state = match (self.stage, session.bound()) {
            (Stage::New, _) => "binding",
            (Stage::Bound(_), Some(kind)) if session.is_open() => match kind {
                BindKind::Transmitter => "transmitter",
                BindKind::Receiver => "receiver",
                BindKind::Transceiver => "transceiver",
            },
            _ => "unbinding",
        };
        let counters = session.counters();
        SmppView {
            connection,
            account: self.account(exchange),
            state,
            version: session.version(),
            unanswered: self.intake.unanswered,
            in_flight: session.in_flight(),
            window: session.in_flight() + session.window_room(),
            pdus: (counters.pdus_in, counters.pdus_out),
            refused_with: session.refused_with(),
            last_pdu: session.last_pdu(),
        }
    }

    /// Keeps what passes if it is, or may become, the bind of one of these accounts.
    pub(in super::super) fn set_tapped(&mut self, accounts: &[String], exchange: &Exchange) {
        let is_wanted = match self.account(exchange) {
            Some(account) => accounts.iter().any(|wanted| wanted == account),
            None => !accounts.is_empty(),
        };
        if is_wanted { self.session.tap() } else { self.session.untap() }
    }
}

impl Customers {
    /// SMPP sessions, in the order of their connections.
    pub fn smpp_views(&self) -> impl Iterator<Item = SmppView<'_>> {
        let mut views: Vec<_> = self
            .connections
            .iter()
            .filter_map(|(&id, connection)| match &connection.machine {
                Machine::Smpp(smpp) => Some(smpp.view(id, &self.settings.smpp)),
                Machine::Http(_) | Machine::Native(_) => None,
            })
            .collect();
        views.sort_unstable_by_key(|view| view.connection);
        views.into_iter()
    }

    /// Has the SMPP sessions of these accounts keep what passes over them, and those of all others not.
    pub fn handle_tap(&mut self, accounts: Vec<String>) {
        self.tapped = accounts;
        for connection in self.connections.values_mut() {
            if let Machine::Smpp(smpp) = &mut connection.machine {
                smpp.set_tapped(&self.tapped, &self.settings.smpp);
            }
        }
    }

    /// Tells what has passed since the last time: whose it is, over which connection, what.
    pub fn tapped(&mut self, mut tell: impl FnMut(&str, u64, &Tapped)) {
        if self.tapped.is_empty() {
            return;
        }
        let mut ids: Vec<u64> = self.connections.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(Machine::Smpp(smpp)) = self.connections.get_mut(&id).map(|c| &mut c.machine) else {
                continue;
            };
            // One that has not bound yet keeps what it has until it is known whose it is.
            let Some(account) = smpp.account(&self.settings.smpp) else { continue };
            if !self.tapped.iter().any(|wanted| wanted == account) {
                smpp.session.untap();
            } else if let Some(tapped) = smpp.session.take_tapped() {
                tell(account, id, &tapped);
            }
        }
    }
}
