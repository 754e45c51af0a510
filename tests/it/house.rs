//! The house rules: what a machine can check about how this repository is written.
//!
//! Each rule is a module: a pure function from sources to findings, a test that the workspace has none, and a test on
//! small bad inputs, since a rule that has never found anything is not known to look. A finding names its file and
//! line. What clippy can say (function lengths, `unwrap`, clocks in the pure rooms) is said there and not here.

mod house {
    pub(crate) mod arrows;
    pub(crate) mod dependencies;
    pub(crate) mod docs;
    pub(crate) mod fences;
    pub(crate) mod files;
    pub(crate) mod limits;
    pub(crate) mod metrics;
    pub(crate) mod source;
}
