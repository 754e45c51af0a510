//! Every bound of the customers' side, with where it comes from.
//!
//! Per shard, unless a line says otherwise. What is full pushes back: a connection is not read until it has room again.

use core::time::Duration;

/// Connections of customers on one shard. Idle ones cost about 1 KiB, so this is 16 MiB; more come as more cores do.
pub const CONNECTIONS_MAX: usize = 16_384;

/// The head of an HTTP request, in bytes: a cursor of 512 partitions and a few cookies fit twice.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header fields of one request. Browsers send about 20.
pub const HEADERS_MAX: usize = 64;
/// The body of an HTTP request, in bytes: 1,000 messages of a kilobyte.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// A chunked request as it lies in the buffer, in bytes: its chunks' own lines may cost as much as what they carry.
pub const CHUNKED_BYTES_MAX: usize = HEAD_BYTES_MAX + 2 * BODY_BYTES_MAX;
/// The line that begins a chunk, in bytes. Nobody sends extensions; they are read over.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Messages in one `POST`.
pub const BATCH_MESSAGES_MAX: usize = 1000;

/// Unanswered requests of one HTTP connection. Beyond it the connection is not read.
pub const PIPELINE_REQUESTS_MAX: usize = 256;
/// Unanswered messages of one HTTP connection, counted before a request is taken: one batch may go beyond.
pub const PIPELINE_MESSAGES_MAX: usize = 4096;
/// Bytes that a connection has ready and the shell has not taken. Beyond it nothing more is read or answered.
pub const OUTPUT_BYTES_MAX: usize = 256 << 10;
/// Unread bytes of a connection that waits for events: it is read up to here, so that its end is seen.
pub const WAITING_INPUT_BYTES_MAX: usize = 64 << 10;

/// From the first byte of an HTTP request to its last.
pub const REQUEST_WAIT: Duration = Duration::from_secs(10);
/// How long an HTTP connection may do nothing.
pub const IDLE_WAIT: Duration = Duration::from_secs(60);
/// How long a customer may leave its answers untaken.
pub const STALL_WAIT: Duration = Duration::from_secs(30);
/// How long the brain may take. Beyond it the outcome is unknown and said to be: a sync that takes longer is a sick disk.
pub const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How long a connection that is being closed may take to send its last bytes.
pub const LAST_WORDS_WAIT: Duration = Duration::from_secs(5);

/// Events of one answer to `GET /v1/events`, also when the request does not say: about 130 KiB.
pub const EVENTS_MAX: u16 = 1000;
/// Texts of handsets' messages in one answer, in bytes; the last of them may go beyond.
pub const EVENTS_TEXT_BYTES_MAX: usize = 128 << 10;
/// The longest poll. Below it proxies keep a silent connection.
pub const EVENTS_WAIT_MAX: Duration = Duration::from_secs(60);
/// The same, when the request does not say.
pub const EVENTS_WAIT_DEFAULT: Duration = Duration::from_secs(20);
/// How long a poll goes on gathering after the first event: other shards' events take a turn or two to cross.
pub const EVENTS_LINGER: Duration = Duration::from_millis(5);

/// From a native connection to its `Hello`.
pub const HELLO_WAIT: Duration = Duration::from_secs(5);
/// A native client that was silent this long is asked whether it is there.
pub const PING_AFTER: Duration = Duration::from_secs(30);
/// A native client that was silent this long is gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Unanswered submissions of one native session, when the configuration does not say: 16 syncs of 512.
pub const CREDITS_DEFAULT: u32 = 8192;
/// Unanswered queries of one native session.
pub const QUERIES_MAX: u32 = 256;
/// Fates that a subscriber may have without acknowledging them, on each shard; a client that asks for more gets this.
pub const FATE_CREDITS_MAX: u32 = 8192;
/// Steps of a trace that are told: 1,000 of at most 530 bytes stay below a native frame.
pub const TRACE_STEPS_MAX: usize = 1000;

/// Fates of an SMPP account that may be told and not yet acknowledged, on each shard: the windows of 16 binds of 256.
pub const SMPP_FATE_CREDITS: u32 = 4096;
/// A receipt that an SMPP customer refused for now is sent again after so long.
pub const SMPP_RECEIPT_AGAIN: Duration = Duration::from_secs(5);
/// A receipt that was refused for now, or left unanswered, so often is given up: an hour of refusals. Beyond it one that its
/// customer cannot take would hold up all behind it, whose acknowledgements wait for its own.
pub const SMPP_RECEIPT_TRIES_MAX: u16 = 720;
/// How often a shard asks whether it may tell an account's receipts, while another does.
pub const SMPP_CLAIM_EVERY: Duration = Duration::from_secs(1);
/// How long the parts of a text wait for each other: a customer whose window holds them all sends them in one breath, and
/// its own patience is 30 s or more.
pub const SMPP_WHOLE_WAIT: Duration = Duration::from_secs(10);
/// Texts of one SMPP bind that wait for parts. With the parts of each they take at most 512 KiB.
pub const SMPP_TEXTS_MAX: usize = 64;
/// A part of a text, in octets: what `short_message` holds (SMPP 3.4 §5.2.22).
pub const SMPP_PART_BYTES_MAX: usize = wire::smpp::limits::SHORT_MESSAGE_BYTES_MAX;
/// Messages of one account that are remembered for not wanting every receipt: 20 MiB, and half a minute of 10,000 a second.
/// Beyond it the oldest is sent a receipt that it did not ask for.
pub const SMPP_UNASKED_MAX: usize = 1 << 18;
/// Refused submissions of one bind that are told in the log.
pub const SMPP_COMPLAINTS_MAX: u32 = 16;
/// How long a bind waits for its password to be looked at: clients wait 10 s or more for their answer.
pub const SMPP_PASSWORD_WAIT: Duration = Duration::from_secs(8);
/// Passwords of one account that are known since they were found right: twice what it may have, so that a rotation forgets none.
pub const SMPP_KNOWN_PASSWORDS_MAX: usize = 16;
/// Bad binds of one address that cost it nothing: a restart with an old password opens as many connections as there are binds.
pub const SMPP_BAD_BINDS_FREE: u32 = 10;
/// How long an address is held off at the first bad bind beyond these; each further one doubles it.
pub const SMPP_HOLD_OFF_FIRST: Duration = Duration::from_secs(1);
/// The longest that an address is held off: 288 guesses a day.
pub const SMPP_HOLD_OFF_LONGEST: Duration = Duration::from_secs(300);
/// An address without bad binds for so long is forgiven.
pub const SMPP_BAD_BINDS_FORGOTTEN: Duration = Duration::from_secs(3600);
/// Addresses with bad binds that are remembered, on the node: 300 KiB.
pub const SMPP_ADDRESSES_MAX: usize = 4096;
/// A bind that was heard within this time is there, and need not be asked.
pub const SMPP_SILENT_AFTER: Duration = Duration::from_secs(1);
/// How long a silent bind may take to answer before its place is given away: a few retransmissions of TCP; clients wait 10 s or
/// more for the answer to the bind that waits for it.
pub const SMPP_PROBE_WAIT: Duration = Duration::from_secs(4);
/// What a look at a customer's password costs, in KiB of memory and in passes: OWASP's password cheat sheet for Argon2id. About 20 ms
/// of one core, which is done off the shards.
pub const PASSWORD_MEMORY_KIB: u32 = 19 << 10;
/// The passes.
pub const PASSWORD_PASSES: u32 = 2;
/// The most memory that a hash from elsewhere may ask for, in KiB: 256 MiB, for one look at a time.
pub const PASSWORD_MEMORY_KIB_MAX: u32 = 256 << 10;
/// The most passes: with the most memory, about a second.
pub const PASSWORD_PASSES_MAX: u32 = 10;
/// The most lanes: RFC 9106 recommends four.
pub const PASSWORD_LANES_MAX: u32 = 4;
/// How much of a bind's rate may come at once: a second of it.
pub const SMPP_RATE_BURST: Duration = Duration::from_secs(1);
/// How long an SMPP bind may take to answer what it owes before it is unbound, and to answer that.
pub const SMPP_UNBIND_WAIT: Duration = Duration::from_secs(2);

const _: () = assert!(
    SMPP_TEXTS_MAX * wire::text::limits::SEGMENTS_MAX as usize * SMPP_PART_BYTES_MAX <= 512 << 10,
    "the parts of a bind are bounded"
);
const _: () = assert!(SMPP_HOLD_OFF_LONGEST.as_secs() < SMPP_BAD_BINDS_FORGOTTEN.as_secs());
const _: () = assert!(BATCH_MESSAGES_MAX < 1 << 10, "a place in a batch has ten bits of a request's number");
const _: () = assert!(TRACE_STEPS_MAX * 530 + 64 <= wire::native::FRAME_BYTES_MAX);
const _: () = assert!(PING_AFTER.as_secs() < SILENCE_MAX.as_secs());
