//! Promise 6 as customers see it: what a query showed once stays shown, and the first fate stands.

use shards::api::{Fate, MessageView, State, Step};
use wire::id::MessageId;

use super::{Judge, NEVER_BACKWARDS, NEVER_FORGOTTEN, ONE_MESSAGE_PER_KEY, Reach};
use crate::parcel::nonce_of;

/// The most that was shown of one message.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    trace: Vec<Step>,
    /// When that was.
    at: u64,
    fate: Option<Fate>,
    /// When its fate was first seen.
    fate_at: u64,
}

impl Judge {
    /// A view left the engine, of a message that was asked for at `asked_at`.
    pub(crate) fn view_released(&mut self, at: u64, asked_at: u64, view: &MessageView, durable: Reach) {
        self.views_released.push((view.id, view.trace.len(), durable));
        let seen = self.seen.entry(view.id).or_default();
        let common = seen.trace.len().min(view.trace.len());
        let mut wrong = None;
        if seen.trace[..common] != view.trace[..common] {
            wrong = Some(format!("the trace of {} changed: {:?} was {:?}", view.id, view.trace, seen.trace));
        } else if asked_at >= seen.at && view.trace.len() < seen.trace.len() {
            wrong = Some(format!("{} went back to {:?} from {:?}", view.id, view.trace, seen.trace));
        } else if seen.fate.is_some() && asked_at >= seen.fate_at && !matches!(view.state, State::Final(_)) {
            wrong = Some(format!("{} was over and is {:?}", view.id, view.state));
        }
        if view.trace.len() > seen.trace.len() {
            seen.trace.clone_from(&view.trace);
            seen.at = at;
        }
        if let Some(what) = wrong {
            self.fail(at, NEVER_BACKWARDS, what);
        }
        if let State::Final(fate) = view.state {
            self.fate_seen(at, view.id, fate);
        }
    }

    /// Somebody saw a fate, in a view or told.
    pub(super) fn fate_seen(&mut self, at: u64, id: MessageId, fate: Fate) {
        let seen = self.seen.entry(id).or_default();
        if seen.fate.is_none() {
            seen.fate_at = at;
        }
        let first = *seen.fate.get_or_insert(fate);
        if first != fate {
            self.fail(at, NEVER_BACKWARDS, format!("{id} ended as {first:?} and then as {fate:?}"));
        }
    }

    /// The fate that was seen of a message.
    pub(super) fn seen_fate(&self, id: MessageId) -> Option<Fate> {
        self.seen.get(&id).and_then(|seen| seen.fate)
    }

    /// A query for an acknowledged message found nothing.
    pub(crate) fn view_missing(&mut self, at: u64, id: MessageId) {
        self.fail(at, NEVER_FORGOTTEN, format!("{id} was acknowledged and is not known"));
    }

    /// The log holds an acceptance: the text's nonce and the id belong together.
    pub(super) fn is_named_so(&mut self, at: u64, id: MessageId, text: &str) {
        let nonce = nonce_of(text);
        let known = self.nonce_of.get(&id).copied();
        if known.is_some() && known != nonce {
            let what = format!("{id} was the answer to intent {known:?} and holds the text of {nonce:?}");
            self.fail(at, ONE_MESSAGE_PER_KEY, what);
        }
    }
}
