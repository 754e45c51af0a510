//! Randomness that can be repeated: one seed, printed with the command that uses it again.

/// A generator of the splitmix64 kind: good enough to scatter kills and choices.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From `SWITCHYARD_SEED`, else from the process id; says which, for the output of a test that fails.
    pub(crate) fn from_environment(test: &str) -> Self {
        let given = std::env::var("SWITCHYARD_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        println!("repeat with: SWITCHYARD_SEED={seed} cargo test -p tests --test process -- {test}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of the range.
    pub(crate) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        assert!(!range.is_empty(), "a die needs a side");
        range.start + self.next() % (range.end - range.start)
    }
}
