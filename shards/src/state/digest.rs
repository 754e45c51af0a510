//! A digest of a partition's state, for the promise that replaying a log gives the same state.

use xxhash_rust::xxh3::Xxh3Default;

/// Folds a state into one number. Order matters, so whoever feeds it has an order.
#[derive(Default)]
pub(crate) struct Digest(Xxh3Default);

impl Digest {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(crate) fn wide(&mut self, number: u128) {
        self.0.update(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0.digest()
    }
}
