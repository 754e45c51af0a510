//! What handsets said, and who was told: each text that was answered for is told to the account whose it is, and to no other.

use shards::api::HandsetMessage;

use super::{Judge, NEVER_BACKWARDS, Reach, TOLD};

/// Characters of a mark: `m` and eight digits.
const MARK_CHARS: usize = 9;

/// A text that a handset sent.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    /// Whose it is; `None`: nobody's.
    pub(crate) account: Option<usize>,
    /// The texts of its parts.
    texts: Vec<String>,
    /// The parts that the engine has answered for, one bit each.
    answered: u32,
    pub(crate) is_told: bool,
}

impl Spoken {
    pub(crate) fn new(account: Option<usize>, texts: Vec<String>) -> Self {
        Self { account, texts, answered: 0, is_told: false }
    }

    /// Whether enough of it was answered for that its account is to be told: of a text whose first part is not there, nobody
    /// knows how it begins.
    pub(crate) const fn is_answered_for(&self) -> bool {
        self.answered & 1 != 0
    }
}

/// The nonce of a text, and whether another is in it.
fn nonces_of(text: &str) -> Vec<u64> {
    let is_mark = |window: &&[u8]| window[0] == b'm' && window[1..].iter().all(u8::is_ascii_digit);
    let marks = text.as_bytes().windows(MARK_CHARS).filter(is_mark);
    marks.filter_map(|mark| core::str::from_utf8(&mark[1..]).ok()?.parse().ok()).collect()
}

impl Judge {
    /// The engine has answered for a part.
    pub(crate) fn spoken_answered(&mut self, nonce: u64, number: u8) {
        if let Some(spoken) = usize::try_from(nonce).ok().and_then(|nonce| self.spoken.get_mut(nonce)) {
            spoken.answered |= 1 << (number - 1);
        }
    }

    /// A message of a handset left for a customer of an account.
    pub(crate) fn handset_released(
        &mut self,
        at: u64,
        account: usize,
        message: &HandsetMessage,
        durable: Reach,
    ) {
        let partition = message.id.partition();
        self.handsets_released.push((message.id, durable));
        let first = *self.numbered.entry((account, partition, message.sequence)).or_insert(message.id);
        if first != message.id {
            let (sequence, id) = (message.sequence, message.id);
            self.fail(
                at,
                TOLD,
                format!("number {sequence} of partition {} is {id} and {first}", partition.0),
            );
        }
        let nonces = nonces_of(&message.text);
        let spoken = nonces.first().and_then(|&nonce| self.spoken.get(usize::try_from(nonce).ok()?));
        let what = match spoken {
            None => "nobody said it",
            Some(_) if nonces.iter().any(|nonce| *nonce != nonces[0]) => "it is two texts in one",
            // Without its beginning it is for the number; an account of a word is told nothing.
            Some(spoken) if message.missing & 1 == 0 && spoken.account != Some(account) => "it is another's",
            Some(_) if message.missing & 1 != 0 && account != 0 => "nobody knows how it begins",
            Some(spoken) if message.missing == 0 && *message.text != spoken.texts.concat() => "it is changed",
            Some(_) => return,
        };
        self.fail(at, TOLD, format!("account {account} is told {message:?}: {what}"));
    }

    /// It arrived; whether it is the first time. What goes on without its beginning is no telling of it.
    pub(crate) fn handset_told(&mut self, message: &HandsetMessage) -> bool {
        if message.missing & 1 != 0 {
            return false;
        }
        let nonce = nonces_of(&message.text).first().and_then(|&nonce| usize::try_from(nonce).ok());
        let spoken = nonce.and_then(|nonce| self.spoken.get_mut(nonce));
        spoken.is_some_and(|spoken| !core::mem::replace(&mut spoken.is_told, true))
    }

    /// Promise 6: what was told is in the log, and was durable then.
    pub(super) fn check_handsets(&mut self, at: u64, chronicle: &super::chronicle::Chronicle) {
        for (id, durable) in self.handsets_released.clone() {
            let received = chronicle.received.get(&id).copied();
            if received.is_none_or(|place| !place.is_within(&durable)) {
                let what =
                    format!("{id} was told when the log was durable up to {durable}; it is at {received:?}");
                return self.fail(at, NEVER_BACKWARDS, what);
            }
        }
    }
}
