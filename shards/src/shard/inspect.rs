//! What a shard shows to an operator who asks: its links, its queues, one message. Numbers for many readers are in
//! `observe`. Nothing here changes anything, and what is shown of a message may rest on records that are not durable yet:
//! it is for looking, and promises nothing.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use replication::Group;
use wire::id::{AccountId, Class, MessageId, NodeId};
use wire::smpp::bind::BindKind;
use wire::smpp::session::{CloseReason, Tapped};
use wire::smpp::status::CommandStatus;
use wire::smpp::{CommandId, Statuses};
use wire::time::WallMs;

use super::links::LinkId;
use super::{CarrierState, Shard};
use crate::api::{MessageView, Refusal, State};
use crate::histogram::{FAST_US, Histogram, SLOW_US};
use crate::limits::OLDEST_LOOKS_MAX;
use crate::queue::Waiting;

/// How long things took on one shard.
#[derive(Clone, Copy, Debug)]
pub struct Latencies {
    /// From a submission to its answer, which waits for the disk.
    pub answer: Histogram,
    /// From a segment's place in a link's output to the carrier's response.
    pub response: Histogram,
    /// From a message's acceptance to its fate.
    pub fate: Histogram,
}

impl Default for Latencies {
    fn default() -> Self {
        let (answer, response) = (Histogram::new(&FAST_US), Histogram::new(&FAST_US));
        Self { answer, response, fate: Histogram::new(&SLOW_US) }
    }
}

/// Where a link stands, in an operator's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Not connected; it is dialled again after a while.
    Down,
    /// A connection is being made.
    Dialling,
    /// Connected, and not let in yet.
    Binding,
    /// It carries messages.
    Up,
    /// It empties its window and leaves.
    Unbinding,
    /// Stopped in order; not dialled again.
    Stopped,
}

impl LinkState {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Dialling => "dialling",
            Self::Binding => "binding",
            Self::Up => "up",
            Self::Unbinding => "unbinding",
            Self::Stopped => "stopped",
        }
    }
}

/// What went wrong on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection was to be had.
    ConnectFailed,
    /// The connection ended without a word.
    ConnectionLost,
    /// The session ended.
    Session(CloseReason),
    /// A submission was refused.
    Refused(CommandStatus),
    /// A submission had no response in time.
    ResponseTimeout,
    /// The carrier speaks a version of SMPP without what its profile needs.
    NoTlvs,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectFailed => f.write_str("the connection could not be made"),
            Self::ConnectionLost => f.write_str("the connection was lost"),
            Self::Session(reason) => write!(f, "{reason}"),
            Self::Refused(status) => write!(f, "a message was refused with {status}"),
            Self::ResponseTimeout => f.write_str("no response in time"),
            Self::NoTlvs => f.write_str(
                "the carrier speaks SMPP 3.3, without the optional parameters that its profile needs",
            ),
        }
    }
}

/// What was counted on one link since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Segments that were queued for its connection.
    pub segments: u64,
    /// Responses that took one.
    pub accepted: u64,
    /// Responses that refused one for now, throttling among them.
    pub refused_for_now: u64,
    /// Responses that refused one for good.
    pub refused_for_good: u64,
    /// Responses that asked us to slow down.
    pub throttled: u64,
    /// Submissions without a response in time.
    pub timeouts: u64,
    /// Sessions that the carrier granted.
    pub binds: u64,
    /// Connections that ended or were not to be had.
    pub losses: u64,
    /// How long responses took in all.
    pub response_time: Duration,
    /// How many responses that was.
    pub responses: u64,
    /// What segments were refused with.
    pub statuses: Statuses,
}

/// One link as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// Which.
    pub link: LinkId,
    /// A place in the plan's carriers.
    pub carrier: u16,
    /// What it is bound for.
    pub kind: BindKind,
    /// Where it stands.
    pub state: LinkState,
    /// Segments without a response, and those whose attempt is decided.
    pub window_used: u32,
    /// What of the window may be used now.
    pub window: u32,
    /// How many segments a second the carrier was found to take, on all links of the node; `None`: nothing was learnt.
    pub learnt_rate: Option<u32>,
    /// Whether it pauses since the carrier asked for that.
    pub is_paused: bool,
    /// What was counted.
    pub counts: LinkCounts,
    /// How long the last response took.
    pub response_last: Duration,
    /// How long responses took.
    pub responses: Histogram,
    /// What the carrier has sent last, and when.
    pub last_pdu: Option<(CommandId, WallMs)>,
    /// What went wrong last, and when.
    pub trouble: Option<(WallMs, Trouble)>,
}

/// What waits for one carrier in one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// A place in the plan's carriers.
    pub carrier: u16,
    /// The class.
    pub class: Class,
    /// How many wait.
    pub waiting: usize,
    /// When the first of them was accepted.
    pub oldest: Option<WallMs>,
}

/// How a partition of the shard stands between the nodes, as far as this one knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeView {
    /// The node that decides for it; `None`: none is known to, or this one was elected and does not decide yet.
    pub home: Option<NodeId>,
    /// Entries that are known to be committed and not applied here.
    pub behind: u64,
    /// Whether its state here is being made anew, or taken from its home.
    pub is_remade: bool,
    /// Whether it is the system partition, which has no messages.
    pub is_system: bool,
}

impl Shard {
    /// All partitions of the shard between the nodes.
    pub fn home_views(&self) -> impl Iterator<Item = HomeView> + '_ {
        let (own, system) = (self.plan.node, self.system_place());
        self.cells.iter().enumerate().map(move |(place, cell)| HomeView {
            is_system: system == Some(place),
            home: if cell.decides { Some(own) } else { cell.home().filter(|&home| home != own) },
            behind: cell.group.as_ref().map_or(0, Group::behind),
            is_remade: cell.is_remade(),
        })
    }

    /// For each partition that is decided here, and each other member: how many of its entries the member is not known to have. `None`: it has
    /// not said what it has since this node became home.
    pub fn lags(&self) -> impl Iterator<Item = (NodeId, Option<u64>)> + '_ {
        let system = self.system_place();
        let cells = self.cells.iter().enumerate().filter(move |(place, _)| system != Some(*place));
        let decided = cells.map(|(_, cell)| cell).filter(|cell| cell.decides);
        decided.filter_map(|cell| cell.group.as_ref()).flat_map(Group::lags)
    }

    /// How long things took.
    #[must_use]
    pub const fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// How full the shard is, in percent and at most 99: of the open messages that it may have, or of its log.
    #[must_use]
    pub fn fullness_percent(&self) -> u8 {
        if self.log_room == super::LogRoom::Short {
            return 99;
        }
        let percent = self.open_messages.saturating_mul(100) / self.plan.open_messages_max.max(1);
        u8::try_from(percent.min(99)).expect("below a hundred")
    }

    /// Submissions that were not taken, in the order of [`Refusal::ALL`].
    #[must_use]
    pub const fn refusals(&self) -> &[u64; Refusal::ALL.len()] {
        &self.refusals
    }

    /// All links, in their order.
    pub fn link_views(&self) -> impl Iterator<Item = LinkView> + '_ {
        let now = self.clock.last();
        (0_u16..).zip(&self.links).map(move |(place, link)| {
            let learnt_rate = self.carriers[usize::from(link.carrier)].pacing.learnt_rate();
            LinkView { learnt_rate, ..link.view(LinkId(place), now) }
        })
    }

    /// Has the links of these carriers (places in the plan) keep what passes over them, and those of all others not.
    pub fn handle_tap(&mut self, carriers: &[u16]) {
        for link in &mut self.links {
            link.set_tapped(carriers.contains(&link.carrier));
        }
    }

    /// What has passed over a tapped link since the last time: the link, its carrier, the PDUs. Until `None`.
    pub fn poll_tapped(&mut self) -> Option<(LinkId, u16, Tapped)> {
        let mut links = (0_u16..).zip(&mut self.links);
        links.find_map(|(place, link)| Some((LinkId(place), link.carrier, link.take_tapped()?)))
    }

    /// All queues: carrier by carrier in the order of the plan, and class by class.
    pub fn queue_views(&self) -> impl Iterator<Item = QueueView> + '_ {
        (0_u16..).zip(&self.carriers).flat_map(move |(carrier, state)| {
            Class::ALL.into_iter().map(move |class| {
                let minted = |waiting: &Waiting| {
                    let messages = &self.cells[usize::from(waiting.cell)].state.messages;
                    let message = messages.resolve(waiting.slot)?;
                    (message.state == State::Queued).then(|| message.id.minted_at())
                };
                let first =
                    |waiting: &VecDeque<Waiting>| waiting.iter().take(OLDEST_LOOKS_MAX).find_map(minted);
                let oldest = state.queue.accounts(class).filter_map(first).min();
                let oldest = oldest.into_iter().chain(self.returning(state, class).filter_map(minted)).min();
                let waiting = state.queue.len(class) + self.returning(state, class).count();
                QueueView { carrier, class, waiting, oldest }
            })
        })
    }

    /// What is left of texts of a class that wait to go on by the link by which they began.
    pub(super) fn returning(&self, carrier: &CarrierState, class: Class) -> impl Iterator<Item = &Waiting> {
        let all = carrier.links.iter().flat_map(|link| &self.links[usize::from(link.0)].returning);
        all.filter(move |waiting| {
            let messages = &self.cells[usize::from(waiting.cell)].state.messages;
            messages.resolve(waiting.slot).is_some_and(|message| message.class == class)
        })
    }

    /// A message of this shard with the account that it belongs to.
    #[must_use]
    pub fn message_view(&self, id: MessageId) -> Option<(AccountId, MessageView)> {
        if id.partition().0 >= self.plan.partitions.count() {
            return None;
        }
        let (owner, place) = self.owner_of(id.partition());
        let cell = self.cells.get(place).filter(|_| owner == self.config.id)?;
        let message = cell.state.messages.at(cell.state.messages.find(id)?);
        (!message.is_received).then_some(())?;
        Some((message.account, message.view()))
    }
}
