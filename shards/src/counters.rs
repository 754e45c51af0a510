//! What a shard counts: plain numbers that it alone writes, copied by whoever wants to read them.

/// Whether a number only grows, or goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; its name ends in `_total` in OpenMetrics.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, without a suffix.
    pub name: &'static str,
    /// Its label's name and value; empty where it has none.
    pub label: (&'static str, &'static str),
    /// How it moves.
    pub kind: MetricKind,
    /// What it says, in a sentence.
    pub help: &'static str,
}

macro_rules! counters {
    ($($field:ident : $kind:ident $name:literal $label:tt $help:literal;)*) => {
        /// The numbers of one shard.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $help] pub $field: u64,)*
        }

        impl Counters {
            /// What there is, in the order of [`Counters::values`].
            pub const METRICS: &'static [Metric] = &[
                $(Metric { name: $name, label: $label, kind: MetricKind::$kind, help: $help },)*
            ];

            /// The numbers, in the order of [`Counters::METRICS`].
            #[must_use]
            pub const fn values(&self) -> [u64; Self::METRICS.len()] {
                [$(self.$field,)*]
            }
        }
    };
}

counters! {
    accepted_otp: Counter "switchyard_messages_accepted" ("class", "otp") "Messages that were taken.";
    accepted_transactional: Counter "switchyard_messages_accepted" ("class", "transactional") "Messages that were taken.";
    accepted_notification: Counter "switchyard_messages_accepted" ("class", "notification") "Messages that were taken.";
    accepted_marketing: Counter "switchyard_messages_accepted" ("class", "marketing") "Messages that were taken.";
    known: Counter "switchyard_submissions_known" ("", "") "Submissions whose key was known and whose first answer was given again.";
    attempts: Counter "switchyard_attempts" ("", "") "Attempts that were decided.";
    segments_sent: Counter "switchyard_segments_sent" ("", "") "Segments that were given to a link's connection.";
    segments_lent: Counter "switchyard_segments_lent" ("", "") "Segments for which room on a link was lent to another shard.";
    answers_accepted: Counter "switchyard_carrier_answers" ("outcome", "accepted") "Answers of carriers to segments.";
    answers_refused_for_now: Counter "switchyard_carrier_answers" ("outcome", "refused-for-now") "Answers of carriers to segments.";
    answers_refused_for_good: Counter "switchyard_carrier_answers" ("outcome", "refused-for-good") "Answers of carriers to segments.";
    answers_stale: Counter "switchyard_carrier_answers" ("outcome", "stale") "Answers of carriers to segments.";
    throttled: Counter "switchyard_carrier_throttled" ("", "") "Answers that asked us to slow down.";
    paces_cut: Counter "switchyard_carrier_paces_cut" ("", "") "Times when a carrier's rate or windows were cut for what it answered.";
    withdrawn: Counter "switchyard_attempts_withdrawn" ("", "") "Attempts that were taken back before they were written.";
    homes_lost: Counter "switchyard_homes_lost" ("", "") "Times when another node, or none, became home of a partition that was decided here.";
    homes_handed_on: Counter "switchyard_homes_handed_on" ("", "") "Partitions that were handed on to the node that is to be their home.";
    asked_peers: Counter "switchyard_questions_between_nodes" ("way", "out") "Questions of customers and carriers about partitions of another node.";
    asked_by_peers: Counter "switchyard_questions_between_nodes" ("way", "in") "Questions of customers and carriers about partitions of another node.";
    log_shortfalls: Counter "switchyard_log_shortfalls" ("", "") "Heartbeats of homes that count on entries which are not on this disk any more: it has lost something.";
    words_unread: Counter "switchyard_words_unread" ("", "") "Words of other nodes that this program cannot read: one of the two is newer.";
    installed: Counter "switchyard_partitions_installed" ("", "") "Partitions whose state was taken from another node, since it was too far ahead for entries.";
    rebuilt: Counter "switchyard_partitions_rebuilt" ("", "") "Partitions whose state was made anew because it held what another home had replaced.";
    doubted: Counter "switchyard_attempts_doubted" ("", "") "Attempts whose outcome is not known.";
    sent_again: Counter "switchyard_doubts_sent_again" ("", "") "Doubtful messages that were sent again, as their class allows.";
    questions_asked: Counter "switchyard_questions" ("outcome", "asked") "Questions to carriers about messages without a receipt.";
    questions_settled: Counter "switchyard_questions" ("outcome", "settled") "Questions to carriers about messages without a receipt.";
    receipts_matched: Counter "switchyard_receipts" ("outcome", "matched") "Receipts of carriers.";
    receipts_parked: Counter "switchyard_receipts" ("outcome", "parked") "Receipts of carriers.";
    receipts_strayed: Counter "switchyard_receipts" ("outcome", "strayed") "Receipts of carriers.";
    receipts_put_off: Counter "switchyard_receipts" ("outcome", "put-off") "Receipts of carriers.";
    delivers_refused: Counter "switchyard_delivers_refused" ("", "") "deliver_sm and data_sm that are neither a receipt nor a message that can be read.";
    handset_received: Counter "switchyard_handset_messages" ("outcome", "received") "Messages of handsets.";
    handset_incomplete: Counter "switchyard_handset_messages" ("outcome", "incomplete") "Messages of handsets.";
    handset_repeated: Counter "switchyard_handset_messages" ("outcome", "repeated") "Messages of handsets.";
    handset_unrouted: Counter "switchyard_handset_messages" ("outcome", "unrouted") "Messages of handsets.";
    handset_put_off: Counter "switchyard_handset_messages" ("outcome", "put-off") "Messages of handsets.";
    handset_parts: Counter "switchyard_handset_parts" ("", "") "Parts of handsets' texts that were taken.";
    handset_told: Counter "switchyard_handset_messages_told" ("", "") "Messages of handsets that were given to subscribers, repetitions included.";
    fated_delivered: Counter "switchyard_fates" ("fate", "delivered") "Messages that are over.";
    fated_failed: Counter "switchyard_fates" ("fate", "failed") "Messages that are over.";
    fated_expired: Counter "switchyard_fates" ("fate", "expired") "Messages that are over.";
    fated_cancelled: Counter "switchyard_fates" ("fate", "cancelled") "Messages that are over.";
    fated_unknown: Counter "switchyard_fates" ("fate", "unknown") "Messages that are over.";
    fates_told: Counter "switchyard_fates_told" ("", "") "Fates that were given to subscribers, repetitions included.";
    binds: Counter "switchyard_link_binds" ("", "") "Sessions that carriers have granted.";
    link_losses: Counter "switchyard_link_losses" ("", "") "Connections to carriers that ended or were not to be had.";
    session_faults: Counter "switchyard_link_faults" ("", "") "PDUs of carriers that could not be read or matched.";
    clock_jumps: Counter "switchyard_clock_jumps" ("", "") "Times when the wall clock was found more than a minute off.";
    held_back: Counter "switchyard_customers_held_back" ("", "") "Times when customers were not read, since too much waited for the log.";
    snapshots: Counter "switchyard_snapshots" ("outcome", "published") "Snapshots of partitions.";
    snapshots_failed: Counter "switchyard_snapshots" ("outcome", "failed") "Snapshots of partitions.";
    snapshot_bytes: Counter "switchyard_snapshot_bytes" ("", "") "Bytes of the snapshots that were published.";
    open_messages: Gauge "switchyard_messages_open" ("", "") "Messages that are not over.";
    kept_messages: Gauge "switchyard_messages_kept" ("", "") "Messages in memory, open and over.";
    keys: Gauge "switchyard_keys" ("", "") "Idempotency keys that are remembered.";
    parked: Gauge "switchyard_receipts_parked" ("", "") "Receipts that wait for the response to which they belong.";
    gathered_bytes: Gauge "switchyard_log_gathered_bytes" ("", "") "Bytes of records that wait for the batch in flight.";
    handset_waiting: Gauge "switchyard_handset_messages_waiting" ("", "") "Messages of handsets that their accounts have not acknowledged.";
    handset_parts_waiting: Gauge "switchyard_handset_parts_waiting" ("", "") "Parts of handsets' texts that wait for the others.";
    homes: Gauge "switchyard_partitions_home" ("", "") "Partitions that are decided here.";
    homeless: Gauge "switchyard_partitions_without_home" ("", "") "Partitions for which no node is known to decide.";
    queued_otp: Gauge "switchyard_queue" ("class", "otp") "Messages that wait for a carrier's window.";
    queued_transactional: Gauge "switchyard_queue" ("class", "transactional") "Messages that wait for a carrier's window.";
    queued_notification: Gauge "switchyard_queue" ("class", "notification") "Messages that wait for a carrier's window.";
    queued_marketing: Gauge "switchyard_queue" ("class", "marketing") "Messages that wait for a carrier's window.";
    links_up: Gauge "switchyard_links_up" ("", "") "Links that are bound.";
    links: Gauge "switchyard_links" ("", "") "Links that there are.";
}
