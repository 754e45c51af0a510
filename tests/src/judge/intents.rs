//! Promises 1 and 3 as customers see them: what an answer says about a key.

use shards::api::{Acceptance, Refusal};

use super::{Intent, Judge, ONE_MESSAGE_PER_KEY, Reach, Released};

impl Judge {
    /// A new intent; its nonce.
    pub(crate) fn intend(&mut self, intent: impl FnOnce(u64) -> Intent) -> u64 {
        let nonce = self.intents.len() as u64;
        self.intents.push(intent(nonce));
        nonce
    }

    pub(crate) fn intent(&self, nonce: u64) -> &Intent {
        &self.intents[usize::try_from(nonce).expect("nonces are counted")]
    }

    pub(crate) fn intent_mut(&mut self, nonce: u64) -> &mut Intent {
        &mut self.intents[usize::try_from(nonce).expect("nonces are counted")]
    }

    /// An answer left the engine.
    pub(crate) fn answer_released(
        &mut self,
        at: u64,
        nonce: u64,
        outcome: &Result<Acceptance, Refusal>,
        durable: impl FnOnce(Acceptance) -> Reach,
    ) {
        match outcome {
            Ok(acceptance) => {
                let durable = durable(*acceptance);
                self.accepted(at, nonce, *acceptance, durable);
            }
            Err(refusal) => {
                let intent = self.intent_mut(nonce);
                intent.refused = Some(*refusal);
                if *refusal == Refusal::KeyConflict && intent.rival_of.is_none() {
                    let what =
                        format!("intent {nonce} repeated its own key and body, and was told of a conflict");
                    self.fail(at, ONE_MESSAGE_PER_KEY, what);
                }
            }
        }
    }

    fn accepted(&mut self, at: u64, nonce: u64, acceptance: Acceptance, durable: Reach) {
        let id = acceptance.id;
        let intent = self.intent_mut(nonce);
        let (first, rival_of, sends) = (intent.acked, intent.rival_of, intent.sends);
        intent.acked.get_or_insert(id);
        if let Some(first) = first.filter(|&first| first != id) {
            let what = format!("intent {nonce} was answered {first} and then {id}");
            self.fail(at, ONE_MESSAGE_PER_KEY, what);
        }
        if let Some(other) = rival_of {
            let what = format!("intent {nonce} was taken under the key of intent {other}, as {id}");
            self.fail(at, ONE_MESSAGE_PER_KEY, what);
        }
        if acceptance.known && sends == 1 {
            let what = format!("intent {nonce} was sent once and answered as known, {id}");
            self.fail(at, ONE_MESSAGE_PER_KEY, what);
        }
        let holder = *self.nonce_of.entry(id).or_insert(nonce);
        if holder != nonce && rival_of.is_none() {
            let what = format!("{id} is the answer to intent {holder} and to intent {nonce}");
            self.fail(at, ONE_MESSAGE_PER_KEY, what);
        }
        self.released.push(Released { nonce, id, durable, at });
    }
}
