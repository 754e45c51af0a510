//! Randomness that can be repeated: one root seed, a stream of its own for each part of the world.
//!
//! One more draw for the network does not shift what the disk does, so that a run that is made a little simpler stays
//! nearly the same run.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of this name under a root seed.
    pub(crate) fn stream(root: u64, name: &str) -> Self {
        Self(name.bytes().fold(mix(root), |state, byte| mix(state ^ u64::from(byte))))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `sides`.
    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        assert!(sides > 0, "a die needs a side");
        self.next() % sides
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn within(&mut self, (low, high): (u64, u64)) -> u64 {
        assert!(low <= high, "a range needs a number");
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high`, small ones as likely as large ones: each doubling has the same share.
    pub(crate) fn skewed(&mut self, (low, high): (u64, u64)) -> u64 {
        let span = (high - low).max(1);
        let bits = self.below(u64::from(64 - span.leading_zeros())) + 1;
        low + self.below(1 << bits).min(high - low)
    }

    /// Whether something happens that happens `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.below(1000) < per_mille
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// What happened in a run, folded into one number: the same seed must give the same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fold(u64);

impl Fold {
    pub(crate) fn number(&mut self, number: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            self.number(chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}
