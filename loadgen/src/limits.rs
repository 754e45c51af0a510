//! Bounds of the load generator, and where each number comes from.

use std::time::Duration;

/// The most messages of one run: at 37 bytes to a message the ledger then has 3.7 GB.
pub(crate) const MESSAGES_MAX: u32 = 100_000_000;

/// The most customers' connections.
pub(crate) const CUSTOMERS_MAX: u16 = 1024;

/// Digits of a nonce in a text: `u32::MAX` has ten.
pub(crate) const NONCE_DIGITS: usize = 10;

/// The shortest text: the run's tag and the nonce.
pub(crate) const TEXT_BYTES_MIN: usize = 4 + NONCE_DIGITS;

/// The longest text: one segment in the GSM alphabet (3GPP TS 23.040 §9.2.3.16), so that one message is one submission.
pub(crate) const TEXT_BYTES_MAX: usize = 160;

/// Recipients are eight digits behind a fixed prefix.
pub(crate) const RECIPIENTS_MAX: u32 = 100_000_000;

/// Bytes that one read may bring: some hundred frames of answers, and less than a core's second-level cache.
pub(crate) const INPUT_BYTES: usize = 256 * 1024;

/// Unsent bytes of a connection beyond which nothing more is submitted on it.
pub(crate) const OUTPUT_BYTES_HIGH: usize = 256 * 1024;

/// The largest HTTP answer that is taken: 1,000 results of 200 bytes, with room to spare.
pub(crate) const HTTP_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Head lines of an HTTP answer.
pub(crate) const HTTP_HEADERS_MAX: usize = 32;

/// How many fates may be told and not yet acknowledged; the daemon grants less if it likes.
pub(crate) const FATE_CREDITS: u32 = 65_536;

/// How long the daemon may hold a poll for events.
pub(crate) const EVENTS_WAIT: Duration = Duration::from_secs(5);

/// Fates in one answer to a poll for events: what the API allows.
pub(crate) const EVENTS_MAX: u16 = 1000;

/// How long an HTTP request outside the measurement (readiness, a trace) may take.
pub(crate) const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long a daemon may take to become ready: recovery of a large log is within it.
pub(crate) const READY_PATIENCE: Duration = Duration::from_secs(60);

/// How often a daemon that starts is asked whether it is ready.
pub(crate) const READY_PAUSE: Duration = Duration::from_millis(20);

/// How long no answer at all may come before a run is given up.
pub(crate) const STALL_PATIENCE: Duration = Duration::from_secs(60);

/// How long a daemon may take to stop after SIGTERM before it is killed.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before a connection is tried again.
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// How long carriers go on counting after the last fate, for what is sent twice late.
pub(crate) const LINGER: Duration = Duration::from_millis(300);

/// How long they go on at most, for receipts that are on their way.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(5);

/// How often the progress line is written.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// The shortest sleep: what is due within it waits for it, so that an open loop does not wake for every arrival.
pub(crate) const SLEEP_MIN: Duration = Duration::from_micros(50);

/// The longest sleep, after which the run looks at its clock whatever happens.
pub(crate) const SLEEP_MAX: Duration = Duration::from_millis(100);

/// One bucket of the wheel: 2^16 ns, finer than any latency that a carrier has.
pub(crate) const WHEEL_BUCKET_SHIFT: u32 = 16;

/// Buckets of the wheel: 4.3 s to a turn; later events stay in their bucket for another turn.
pub(crate) const WHEEL_BUCKETS: usize = 1 << 16;

/// The most traces that are asked for at the end, which takes some seconds; a suspect beyond it is not acquitted.
pub(crate) const TRACES_MAX: usize = 100_000;

/// Nonces of a kind that the report names.
pub(crate) const EXAMPLES_MAX: usize = 5;

/// Writes of the measurement of `fdatasync` alone.
pub(crate) const SYNCS_MAX: u32 = 2000;

/// The longest that the measurement of `fdatasync` alone may take.
pub(crate) const SYNCS_PATIENCE: Duration = Duration::from_secs(3);

/// The largest latency that a histogram tells from a larger one: one hour, in nanoseconds.
pub(crate) const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

const _: () = assert!(TEXT_BYTES_MIN < TEXT_BYTES_MAX);
const _: () = assert!(MESSAGES_MAX < u32::MAX / 2, "prefilled and measured messages together are nonces");
const _: () = assert!(WHEEL_BUCKETS.is_power_of_two() && WHEEL_BUCKETS.is_multiple_of(64));
