//! One connection to a carrier: the session, its window, and when to dial again.
//!
//! The session (`wire::smpp`) owns sequence numbers, protocol timers and the matching of responses. The link owns what
//! a carrier's capacity means to us: how many submissions may be open, what of a long message still waits for room, and the
//! pauses after a throttling. It knows no message, only tokens. How many a second is the carrier's, for all links together.

use core::time::Duration;
use std::collections::VecDeque;

use wire::id::ShardId;
use wire::smpp::bind::{Bind, BindKind, knows_tlvs};
use wire::smpp::command::CommandId;
use wire::smpp::fields::Address;
use wire::smpp::profile::{Binds, IdScope, Profile};
use wire::smpp::session::{Session, Tapped};
use wire::smpp::status::{CommandStatus, Verdict};
use wire::time::{Instant, Now, WallMs};

use crate::adaptive::Paced;
use crate::histogram::{FAST_US, Histogram};
use crate::jitter::Jitter;
use crate::limits::{RECONNECT, THROTTLE_PAUSE};
use crate::plan::Carrier;
use crate::queue::Waiting;

use super::inspect::{LinkCounts, LinkState, LinkView, Trouble};
use super::lending::{Lent, LentTable, Queued};
use crate::token::{pack_lent, unpack_lent};

/// A link of a shard, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u16);

/// What a shard asks its shell to do with a link's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkAction {
    /// Dial the carrier, and say [`LinkInput::Connected`] or [`LinkInput::ConnectFailed`].
    Connect {
        /// For whom.
        link: LinkId,
        /// Whom to dial: a place in [`crate::plan::Plan::carriers`].
        carrier: u16,
    },
    /// Close when what was handed over is sent; [`LinkInput::Closed`] follows.
    Close {
        /// Whose connection.
        link: LinkId,
    },
}

/// What happened to a link's connection.
#[derive(Clone, Copy, Debug)]
pub enum LinkInput<'a> {
    /// The carrier has taken the connection.
    Connected,
    /// It has not.
    ConnectFailed,
    /// Bytes came.
    Received(&'a [u8]),
    /// The kernel has taken this many bytes since the connection was made.
    Written {
        /// All of them, not only the last.
        total: u64,
    },
    /// The connection is gone.
    Closed,
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not connected; to be dialled at this time.
    Down { dial_at: Instant },
    /// The shell dials.
    Dialling,
    /// Connected; the session says whether it is bound.
    Connected,
    /// Stopped in order; not dialled again.
    Stopped,
}

/// One link. Lives on the shard that owns its connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// A place in the plan's carriers.
    pub(crate) carrier: u16,
    /// What it is bound for.
    kind: BindKind,
    /// Among what the ids of its messages are unique; 0: all that the carrier has.
    pub(crate) scope: u32,
    phase: Phase,
    pub(crate) session: Option<Box<Session>>,
    /// Counts the sessions of this link since the process started.
    pub(crate) bind: u32,
    /// Whether its carrier is told that this link is up.
    pub(crate) is_up: bool,
    /// Parts whose attempt is decided and whose bytes are not queued yet.
    pub(crate) reserved: u32,
    /// Parts of long messages that wait for room in the window, in order.
    pub(crate) backlog: VecDeque<Queued>,
    /// Texts of which a part was refused for now: what is left of them goes by the link by which the rest went.
    pub(crate) returning: VecDeque<Waiting>,
    /// What other shards send over it.
    pub(crate) lent: LentTable,
    paused_until: Instant,
    throttles: u32,
    failures: u32,
    /// Bytes that the shell has copied, from the start of the connection.
    taken: u64,
    /// The profile's.
    window_whole: u32,
    /// What of it may be used now.
    window: u32,
    closing: bool,
    pub(crate) counts: LinkCounts,
    response_last: Duration,
    responses: Histogram,
    /// Of the session before this one.
    last_pdu: Option<(CommandId, Instant)>,
    /// Whether somebody looks on.
    is_tapped: bool,
    /// What passed at the end of the session before this one.
    last_tapped: Option<Tapped>,
    last_trouble: Option<(WallMs, Trouble)>,
}

impl Link {
    pub(crate) fn new(carrier: u16, profile: &Profile, (kind, scope): (BindKind, u32), now: Instant) -> Self {
        Self {
            carrier,
            kind,
            scope,
            phase: Phase::Down { dial_at: now },
            session: None,
            bind: 0,
            is_up: false,
            reserved: 0,
            backlog: VecDeque::new(),
            returning: VecDeque::new(),
            lent: LentTable::new(profile.window_pdus),
            paused_until: now,
            throttles: 0,
            failures: 0,
            taken: 0,
            window_whole: u32::from(profile.window_pdus),
            window: u32::from(profile.window_pdus),
            closing: false,
            counts: LinkCounts::default(),
            response_last: Duration::ZERO,
            responses: Histogram::new(&FAST_US),
            last_pdu: None,
            is_tapped: false,
            last_tapped: None,
            last_trouble: None,
        }
    }

    /// Whether it is to be dialled now; then it counts as being dialled.
    pub(crate) fn dial(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.phase, Phase::Down { dial_at } if dial_at <= now);
        if is_due {
            self.phase = Phase::Dialling;
        }
        is_due
    }

    pub(crate) fn connected(&mut self, config: &Carrier, now: Instant) {
        assert!(self.session.is_none(), "a link has one session at a time");
        let bind = Bind {
            kind: self.kind,
            system_id: config.system_id.as_bytes(),
            password: config.password.as_bytes(),
            system_type: config.system_type.as_bytes(),
            interface_version: config.profile.interface_version,
            address_range: Address::default(),
        };
        let mut session = Session::esme(&bind, &config.profile.options(), now);
        if self.is_tapped {
            session.tap();
        }
        self.session = Some(Box::new(session));
        self.bind += 1;
        self.taken = 0;
        self.closing = false;
        self.phase = Phase::Connected;
    }

    /// Whether messages go by it: not by the receiver of a pair.
    pub(crate) const fn submits(&self) -> bool {
        self.kind.submits()
    }

    /// The carrier has let us in.
    pub(crate) fn bound(&mut self) {
        self.is_up = true;
        self.failures = 0;
        self.throttles = 0;
    }

    /// The connection is gone, or was not to be had; it is dialled again after a while, unless it was stopped.
    pub(crate) fn down(&mut self, now: Instant, jitter: &mut Jitter) {
        self.is_up = false;
        self.session = None;
        self.reserved = 0;
        self.backlog.clear();
        if self.phase != Phase::Stopped {
            let wait = jitter.backoff(RECONNECT, self.failures);
            self.failures = self.failures.saturating_add(1);
            self.phase = Phase::Down { dial_at: now.plus(wait) };
        }
    }

    /// Stops in order: nothing new is sent, the window empties, the session unbinds.
    pub(crate) fn stop(&mut self, now: Instant) {
        match (&mut self.session, self.phase) {
            (Some(session), _) => session.unbind(now),
            (None, Phase::Dialling) => {}
            (None, _) => self.phase = Phase::Stopped,
        }
    }

    /// Whether it will not come back.
    pub(crate) fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    pub(crate) fn mark_stopped(&mut self) {
        self.phase = Phase::Stopped;
    }

    /// Whether the shell is to be told, now and once, to close the connection.
    pub(crate) fn begin_close(&mut self) -> bool {
        self.is_up = false;
        !core::mem::replace(&mut self.closing, true)
    }

    /// For how many segments a message of at least `segments` has room now; 0 when it has none. A message that is longer than
    /// the window goes when nothing else is in flight.
    pub(crate) fn room(&self, now: Instant, segments: u8) -> u32 {
        let Some(session) = self.session.as_ref().filter(|session| self.is_up && session.is_open()) else {
            return 0;
        };
        let open = session.in_flight() + self.reserved;
        let (need, free) = (u32::from(segments), self.window.saturating_sub(open));
        match () {
            () if self.paused_until > now => 0,
            () if free >= need => free,
            () if open == 0 => need,
            () => 0,
        }
    }

    /// Uses this share of the window from now on.
    pub(crate) fn keep_to(&mut self, paced: Paced) {
        self.window = paced.window(self.window_whole);
    }

    /// A question of another shard is about to be asked; the token that it has here.
    pub(crate) fn lent_question(&mut self, shard: ShardId, token: u64) -> u64 {
        pack_lent(self.lent.insert(Lent { shard, token }))
    }

    /// It was answered, or will not be: whose it is, and its own token.
    pub(crate) fn lent_answered_question(&mut self, token: u64) -> Option<(ShardId, u64)> {
        let lent = self.lent.answered(unpack_lent(token)?)?;
        Some((lent.shard, lent.token))
    }

    /// Takes room for so many segments.
    pub(crate) fn reserve(&mut self, segments: u32) {
        self.reserved += segments;
    }

    /// The carrier said that we are too fast.
    pub(crate) fn throttled(&mut self, now: Instant, jitter: &mut Jitter) {
        if self.paused_until <= now {
            self.paused_until = now.plus(jitter.backoff(THROTTLE_PAUSE, self.throttles));
            self.throttles = self.throttles.saturating_add(1);
        }
    }

    /// The carrier took a message: it is not throttling.
    pub(crate) fn took(&mut self) {
        self.throttles = 0;
    }

    /// Bytes for the shell to copy.
    pub(crate) fn untaken(&self) -> &[u8] {
        let Some(session) = &self.session else { return &[] };
        let skipped = usize::try_from(self.taken - session.stream_consumed()).unwrap_or(usize::MAX);
        session.pending().get(skipped..).unwrap_or_default()
    }

    /// The shell has copied this many bytes of [`Link::untaken`].
    pub(crate) fn take(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// The kernel has this many bytes since the connection was made.
    pub(crate) fn written(&mut self, total: u64) {
        assert!(total <= self.taken, "more was written than was handed over");
        if let Some(session) = &mut self.session {
            let bytes = total.saturating_sub(session.stream_consumed());
            session.consume(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
    }

    /// Something went wrong.
    pub(crate) fn trouble(&mut self, at: WallMs, trouble: Trouble) {
        match trouble {
            Trouble::ConnectFailed => self.counts.losses += 1,
            Trouble::ResponseTimeout => self.counts.timeouts += 1,
            Trouble::ConnectionLost | Trouble::Session(_) | Trouble::Refused(_) | Trouble::NoTlvs => {}
        }
        self.last_trouble = Some((at, trouble));
    }

    /// Whether the carrier is one whose version its profile cannot be used with: what a session says at its end is less.
    pub(crate) fn is_useless(&self) -> bool {
        matches!(self.last_trouble, Some((_, Trouble::NoTlvs)))
    }

    /// The connection is gone; unless its session has said why, nobody knows.
    pub(crate) fn connection_ended(&mut self, at: WallMs) {
        self.counts.losses += 1;
        if !self.session.as_ref().is_some_and(|session| session.is_closed()) {
            self.last_trouble = Some((at, Trouble::ConnectionLost));
        }
    }

    /// The carrier has answered for a segment.
    pub(crate) fn counted(&mut self, at: WallMs, status: CommandStatus, verdict: Verdict) {
        self.counts.statuses.count(status);
        match verdict {
            Verdict::Ok => self.counts.accepted += 1,
            Verdict::Permanent => self.counts.refused_for_good += 1,
            Verdict::Temporary | Verdict::Vendor => self.counts.refused_for_now += 1,
            Verdict::Throttled => {
                self.counts.refused_for_now += 1;
                self.counts.throttled += 1;
            }
        }
        if verdict != Verdict::Ok {
            self.last_trouble = Some((at, Trouble::Refused(status)));
        }
    }

    /// A response came in time, after so long.
    pub(crate) fn responded(&mut self, took: Duration) {
        self.response_last = took;
        self.responses.record(took);
        self.counts.response_time = self.counts.response_time.saturating_add(took);
        self.counts.responses += 1;
    }

    /// Keeps what passes over this link's sessions, or does so no more.
    pub(crate) fn set_tapped(&mut self, is_tapped: bool) {
        self.is_tapped = is_tapped;
        self.last_tapped = None;
        if let Some(session) = &mut self.session {
            if is_tapped { session.tap() } else { session.untap() }
        }
    }

    /// Takes what has passed since the last time.
    pub(crate) fn take_tapped(&mut self) -> Option<Tapped> {
        let last = self.last_tapped.take();
        last.or_else(|| self.session.as_mut()?.take_tapped())
    }

    /// The session is about to go: what an operator may still want of it stays.
    pub(crate) fn outlive_session(&mut self) {
        if let Some(session) = &mut self.session {
            self.last_pdu = session.last_pdu();
            self.last_tapped = session.take_tapped();
        }
    }

    /// What an operator is shown.
    pub(crate) fn view(&self, link: LinkId, Now { mono: now, wall }: Now) -> LinkView {
        let session = self.session.as_ref();
        let last_pdu = session.and_then(|session| session.last_pdu()).or(self.last_pdu);
        let wall_of = |at: Instant| {
            WallMs(wall.0.saturating_sub(u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX)))
        };
        let state = match self.phase {
            Phase::Down { .. } => LinkState::Down,
            Phase::Dialling => LinkState::Dialling,
            Phase::Stopped => LinkState::Stopped,
            Phase::Connected if self.is_up && session.is_some_and(|session| session.is_open()) => {
                LinkState::Up
            }
            Phase::Connected if session.is_some_and(|session| session.bound().is_some()) => {
                LinkState::Unbinding
            }
            Phase::Connected => LinkState::Binding,
        };
        LinkView {
            link,
            carrier: self.carrier,
            kind: self.kind,
            state,
            window_used: session.map_or(0, |session| session.in_flight()) + self.reserved,
            window: self.window,
            learnt_rate: None,
            is_paused: self.paused_until > now,
            counts: self.counts,
            response_last: self.response_last,
            responses: self.responses,
            last_pdu: last_pdu.map(|(command, at)| (command, wall_of(at))),
            trouble: self.last_trouble,
        }
    }

    /// When the link wants to be looked at again. What waits for the end of a pause that is over by `now` waits for room
    /// in the window: an answer will bring that, and no clock.
    pub(crate) fn timeout(&self, has_queue: bool, now: Instant) -> Option<Instant> {
        let dial = if let Phase::Down { dial_at } = self.phase { Some(dial_at) } else { None };
        let session = self.session.as_ref().and_then(|session| session.timeout());
        let waits = has_queue && self.is_up;
        let pause = Some(self.paused_until).filter(|&at| waits && at > now);
        [dial, session, pause].into_iter().flatten().min()
    }
}

/// The links of one bind: what each is bound for. `number` counts a shard's binds with the carrier from 0.
pub(crate) fn kinds_of(
    profile: &Profile,
    shard: ShardId,
    number: u16,
) -> impl Iterator<Item = (BindKind, u32)> {
    let scope = match profile.ids.scope {
        IdScope::Carrier => 0,
        IdScope::Bind => (u32::from(shard.0) + 1) << 16 | u32::from(number),
    };
    let kinds: &[BindKind] = match profile.binds {
        Binds::Transceiver => &[BindKind::Transceiver],
        Binds::Pair => &[BindKind::Transmitter, BindKind::Receiver],
    };
    kinds.iter().map(move |&kind| (kind, scope))
}

/// Whether a session can carry what the profile puts into optional parameters.
pub(crate) fn can_carry(profile: &Profile, session: &Session) -> bool {
    knows_tlvs(session.version()) || !profile.needs_tlvs()
}

const _: () = assert!(RECONNECT.0.as_millis() < RECONNECT.1.as_millis());
