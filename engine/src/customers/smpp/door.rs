//! A bind at the door: who it is, whether its password is right, and whether there is room (SMPP 3.4 §4.1).
//!
//! ```text
//!   bind ─▶ held off? ─▶ name, address, system_type ─▶ password ─▶ room ─▶ bound
//!                                                        │           │
//!                         known, or of plain text: at once │           └ a bind that may be gone is asked: SMPP_PROBE_WAIT
//!                         else: looked at off the shard    ┘
//! ```
//!
//! Nothing here waits: whoever is looked at stays at the door as an [`Applicant`], with a time by which it is answered.

use wire::smpp::{Bind, BindKind};
use wire::time::Instant;

use super::super::Readiness;
use super::super::context::Context;
use super::super::limits::{OUTPUT_BYTES_MAX, SMPP_PASSWORD_WAIT, SMPP_PROBE_WAIT};
use super::super::passwords::{Check, Verdict};
use super::binds::{Entered, Line};
use super::exchange::{Place, Shown, Stranger};
use super::{Receives, SmppSession, Stage};

/// A bind that waits at the door.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applicant {
    place: Place,
    kind: BindKind,
    /// When it is refused at the latest, and why.
    until: Instant,
    otherwise: Stranger,
}

impl Applicant {
    pub(super) const fn until(&self) -> Instant {
        self.until
    }
}

/// What is done about a bind.
#[derive(Debug)]
pub(super) enum Door {
    /// Its password is right.
    Open(Place, BindKind),
    /// It waits for somebody who looks at its password.
    Looking(Applicant),
    /// It is not let in.
    Shut(Stranger),
}

/// Looks at a bind, as far as that can be done at once.
pub(super) fn look_at(bind: &Bind<'_>, from: std::net::IpAddr, cx: &mut Context<'_>) -> Door {
    if cx.readiness == Readiness::Stopping {
        return Door::Shut(Stranger::Stopping);
    }
    let exchange = &cx.settings.smpp;
    if exchange.lobby().holds_off(from, cx.now.mono) {
        return Door::Shut(Stranger::HeldOff);
    }
    let (place, hashes) = match exchange.look_at(bind, from) {
        Err(stranger) => return Door::Shut(stranger),
        Ok((_, Shown::Wrong)) => return Door::Shut(Stranger::Password),
        Ok((place, Shown::Right)) => {
            tell_of_range(bind, place, cx);
            return Door::Open(place, bind.kind);
        }
        Ok((place, Shown::Unknown(hashes))) => (place, hashes),
    };
    tell_of_range(bind, place, cx);
    let (connection, since) = (cx.connection, cx.now.mono);
    cx.checks.push_back(Check { connection, place, password: bind.password.into(), hashes, since });
    let until = since.plus(SMPP_PASSWORD_WAIT);
    Door::Looking(Applicant { place, kind: bind.kind, until, otherwise: Stranger::Busy })
}

/// Says that the addresses that a bind would serve (§5.2.7) are not looked at: what an account is told goes to any of its binds.
fn tell_of_range(bind: &Bind<'_>, place: Place, cx: &Context<'_>) {
    if !bind.address_range.octets.is_empty() && bind.kind.delivers() {
        let account = &cx.settings.smpp.account(place).name;
        tracing::info!(event = "smpp-address-range-ignored", account, connection = cx.connection);
    }
}

impl SmppSession {
    /// A bind has come.
    pub(super) fn at_the_door(&mut self, door: Door, cx: &mut Context<'_>) {
        match door {
            Door::Open(place, kind) => self.take_seat(place, kind, cx),
            Door::Looking(applicant) => self.applicant = Some(applicant),
            Door::Shut(stranger) => self.turn_back(stranger, cx),
        }
    }

    /// Its password was looked at.
    pub(in super::super) fn checked(&mut self, check: &Check, verdict: Verdict, cx: &mut Context<'_>) {
        let Some(Applicant { place, kind, .. }) = self.applicant.take().filter(|_| self.stage == Stage::New)
        else {
            return;
        };
        let exchange = &cx.settings.smpp;
        match verdict {
            // The configuration may have changed meanwhile.
            Verdict::Right(hash) if exchange.has_password(place, &hash) => {
                exchange.remember_password(place, &hash, &check.password);
                self.take_seat(place, kind, cx);
            }
            Verdict::Right(_) | Verdict::Wrong => self.turn_back(Stranger::Password, cx),
            Verdict::Busy => self.turn_back(Stranger::Busy, cx),
        }
    }

    /// It is known whether the bind that was asked is there: there is room now, or the next is asked, or all are there.
    pub(in super::super) fn settled(&mut self, cx: &mut Context<'_>) {
        let Some(Applicant { place, kind, otherwise: Stranger::Binds, .. }) = self.applicant else { return };
        match self.try_seat(place, kind, cx) {
            Err(Entered::Ask(_)) => {}
            Ok(()) => self.applicant = None,
            Err(_) => {
                self.applicant = None;
                self.turn_back(Stranger::Binds, cx);
            }
        }
    }

    /// It has waited long enough.
    pub(super) fn expire_applicant(&mut self, cx: &mut Context<'_>) {
        if let Some(late) = self.applicant.take_if(|applicant| applicant.until <= cx.now.mono) {
            self.turn_back(late.otherwise, cx);
        }
    }

    /// Somebody else wants to bind for whom there is no room, and this bind was silent: its customer is asked whether it is there.
    pub(in super::super) fn probe(&mut self, cx: &mut Context<'_>) {
        let Stage::Bound(_) = self.stage else { return };
        if !self.session.wants_bytes() || cx.out.len() >= OUTPUT_BYTES_MAX || cx.hears_since.is_none() {
            // What it said lies unread at our end: its silence says nothing.
            return self.prove_alive(cx);
        }
        self.session.enquire(cx.now.mono);
        self.probed_until = Some(cx.now.mono.plus(SMPP_PROBE_WAIT));
    }

    /// Whether it was asked whether it is there, and said nothing although it was listened to all the time.
    pub(super) fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if self.probed_until.is_none_or(|until| until > cx.now.mono) {
            return false;
        }
        let Some(since) = cx.hears_since else {
            self.probed_until = None;
            self.prove_alive(cx);
            return false;
        };
        let until = since.plus(SMPP_PROBE_WAIT);
        let is_later = until > cx.now.mono;
        self.probed_until = is_later.then_some(until);
        !is_later
    }

    /// Something came from it.
    pub(super) fn hear_from(&mut self, cx: &mut Context<'_>) {
        if let Some((_, seat)) = &self.seat {
            seat.heard(cx.now.mono);
        }
        if self.probed_until.take().is_some() {
            self.prove_alive(cx);
        }
    }

    /// Counts it as heard, and says so to whoever waits: who asks again would be sent in a circle otherwise.
    fn prove_alive(&self, cx: &mut Context<'_>) {
        if let Some((place, seat)) = &self.seat {
            seat.heard(cx.now.mono);
            cx.nudges.extend(cx.settings.smpp.lives(*place, seat));
        }
    }

    /// Takes a place for a bind whose password is right, or asks whether one can be had.
    fn take_seat(&mut self, place: Place, kind: BindKind, cx: &mut Context<'_>) {
        let Err(entered) = self.try_seat(place, kind, cx) else { return };
        let Entered::Ask(_) = entered else { return self.turn_back(Stranger::Binds, cx) };
        // The one that is asked has its own time; this one is later, so that it hears what came of it.
        let until = cx.now.mono.plus(SMPP_PROBE_WAIT * 2);
        self.applicant = Some(Applicant { place, kind, until, otherwise: Stranger::Binds });
    }

    fn try_seat(&mut self, place: Place, kind: BindKind, cx: &mut Context<'_>) -> Result<(), Entered> {
        let line = Line { shard: cx.settings.shard, connection: cx.connection };
        let (entered, asked) = cx.settings.smpp.enter(place, (line, kind), cx.now.mono);
        cx.nudges.extend(asked);
        let Entered::In(seat) = entered else { return Err(entered) };
        cx.counts.smpp_binds += 1;
        let account = cx.settings.smpp.account(place);
        let receives = if kind.delivers() { Receives::Yes } else { Receives::No };
        tracing::info!(event = "smpp-bound", account = account.name, connection = cx.connection, ?receives);
        self.stage = Stage::Bound(receives);
        self.seat = Some((place, seat));
        self.session.set_window(account.window_pdus_max);
        self.session.accept_bind();
        if receives == Receives::Yes {
            cx.outlets.bound(place, cx.connection, cx.now.mono, cx.ask);
        }
        Ok(())
    }

    fn turn_back(&mut self, stranger: Stranger, cx: &mut Context<'_>) {
        cx.counts.smpp_binds_refused += 1;
        cx.counts.smpp_binds_held_off += u64::from(stranger == Stranger::HeldOff);
        cx.counts.unauthorized += u64::from(stranger.is_bad());
        let (connection, from) = (cx.connection, self.from);
        // Of an address that is held off, one line says enough.
        if stranger != Stranger::HeldOff {
            tracing::info!(event = "smpp-bind-refused", connection, %from, reason = %stranger);
        }
        if stranger.is_bad()
            && let Some(wait) = cx.settings.smpp.lobby().bad_bind(from, cx.now.mono)
        {
            tracing::warn!(event = "smpp-address-held-off", %from, ?wait, "binds from there are refused unseen");
        }
        self.session.refuse_bind(stranger.status());
    }
}
