//! What the customers' side counts, per shard: plain numbers, read by copying.

/// Counters of one shard's customers since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// HTTP connections that came.
    pub http_connections: u64,
    /// Native connections that came.
    pub native_connections: u64,
    /// HTTP requests that were answered.
    pub http_answers: u64,
    /// Of these, with a problem.
    pub http_problems: u64,
    /// Native frames that were read.
    pub native_frames: u64,
    /// Native sessions that were rejected.
    pub native_rejects: u64,
    /// SMPP connections that came.
    pub smpp_connections: u64,
    /// SMPP binds that were let in.
    pub smpp_binds: u64,
    /// SMPP binds that were refused, and connections that were turned away.
    pub smpp_binds_refused: u64,
    /// SMPP binds that were refused unseen, since their address had too many bad ones.
    pub smpp_binds_held_off: u64,
    /// SMPP binds whose place was given to another, since their customer did not answer.
    pub smpp_binds_taken_over: u64,
    /// `submit_sm` that were read.
    pub smpp_submits: u64,
    /// Requests that were refused because their bind's window was full.
    pub smpp_throttled: u64,
    /// Parts of texts that were refused because the others did not come.
    pub smpp_parts_expired: u64,
    /// Receipts that a customer refused for good, or for now too often.
    pub smpp_receipts_refused: u64,
    /// Receipts that a customer refused for now, or did not answer in time.
    pub smpp_receipts_again: u64,
    /// Messages that were handed to the brain.
    pub messages: u64,
    /// Messages that were refused before that, for their recipient or their form.
    pub messages_malformed: u64,
    /// Requests and hand-shakes without a key that is known.
    pub unauthorized: u64,
    /// Connections that were closed because their customer was too slow, to ask or to take its answers.
    pub timeouts: u64,
    /// Fates that were told.
    pub fates: u64,
}

impl Counts {
    /// Each counter: its name without prefix and suffix, its help, its value.
    pub fn each(&self, mut with: impl FnMut(&'static str, &'static str, u64)) {
        with("http_connections", "HTTP connections accepted", self.http_connections);
        with("native_connections", "native connections accepted", self.native_connections);
        with("http_answers", "HTTP requests answered", self.http_answers);
        with("http_problems", "HTTP requests answered with a problem", self.http_problems);
        with("native_frames", "native frames read", self.native_frames);
        with("native_rejects", "native sessions rejected", self.native_rejects);
        with("smpp_connections", "SMPP connections accepted", self.smpp_connections);
        with("smpp_binds", "SMPP binds let in", self.smpp_binds);
        with("smpp_binds_refused", "SMPP binds refused", self.smpp_binds_refused);
        with("smpp_binds_held_off", "SMPP binds refused unseen for their address", self.smpp_binds_held_off);
        with(
            "smpp_binds_taken_over",
            "SMPP binds whose silent customer lost its place to another",
            self.smpp_binds_taken_over,
        );
        with("smpp_submits", "submit_sm read", self.smpp_submits);
        with("smpp_throttled", "requests refused since their bind's window was full", self.smpp_throttled);
        with(
            "smpp_parts_expired",
            "parts of texts refused since others did not come",
            self.smpp_parts_expired,
        );
        with(
            "smpp_receipts_refused",
            "receipts that a customer refused for good",
            self.smpp_receipts_refused,
        );
        with("smpp_receipts_again", "receipts refused for now or not answered", self.smpp_receipts_again);
        with("messages", "messages handed to the brain", self.messages);
        with("messages_malformed", "messages refused for their form", self.messages_malformed);
        with("unauthorized", "requests and hand-shakes without a known key", self.unauthorized);
        with("timeouts", "connections closed because the customer was too slow", self.timeouts);
        with("fates", "fates told to customers", self.fates);
    }
}
