//! Bounds of the SMPP half: what a peer may make us remember, and where each number comes from.

use core::time::Duration;

/// Octets of a PDU's header: length, command, status, sequence (SMPP 3.4 §3.2).
pub const HEADER_BYTES: usize = 16;

/// The largest PDU taken from a peer that is not configured otherwise. A `message_payload` may have 64 KiB (§5.3.2.32)
/// and everything else of a PDU fits in 4 KiB; `submit_multi` with 254 addresses is the longest of those.
pub const PDU_BYTES_MAX: usize = 68 * 1024;

/// The largest window a session can be given: sixteen times what the largest carriers grant (256).
pub const WINDOW_PDUS_MAX: u32 = 4096;

/// Bytes of unsent output beyond which requests are refused. At 200 octets a `submit_sm` this holds a whole window of
/// 1,280; more would only sit in front of responses.
pub const REQUEST_OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of unsent output beyond which nothing more is read from the peer: responses are 17 to 81 octets, so a peer
/// gets here only by sending requests for a long time without reading a single response.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes received and not yet polled beyond which the caller should stop reading the socket.
pub const INPUT_BYTES_HIGH: usize = 256 * 1024;

/// Bytes received and not yet polled that end the session: the caller kept on reading beyond [`INPUT_BYTES_HIGH`].
pub const INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The highest sequence number (§3.2); the one after it is 1.
pub const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

/// The highest `congestion_state` (5.0 §4.8.4.18); what is above is reserved.
pub const CONGESTION_STATE_MAX: u8 = 99;

/// The longest `message_id` that is kept of a response or a receipt: §5.2.23 says 65 octets with its NUL.
pub const MESSAGE_ID_BYTES_MAX: usize = 64;

/// An address without its NUL: 20 octets by §5.2.8, and room for the 17 of a number written with two zeros.
pub const ADDRESS_BYTES_MAX: usize = 20;

/// Letters of a sender that handsets show (3GPP TS 23.040 §9.1.2.5: ten octets of packed septets).
pub const SENDER_LETTERS_STANDARD: u8 = 11;

/// Letters of a sender that fit in an address.
pub const SENDER_LETTERS_MAX: u8 = 20;

/// Submissions unanswered on one bind where a profile says nothing else: the daemon's default for a carrier.
pub const PROFILE_WINDOW_PDUS: u16 = 64;

/// `sm_length` is one octet; §5.2.21 allows 254, 5.0 255.
pub const SHORT_MESSAGE_BYTES_MAX: usize = 255;

/// The characters of a UCS-2 receipt that are looked at: its text has at most 254 octets, in `message_payload` more,
/// but what is said after `err:` is of no interest.
pub const WIDE_RECEIPT_CHARS_MAX: usize = 256;

/// Octets of one text from a handset, headers not counted: 32 parts of what `short_message` holds, and what carriers put
/// into `message_payload` instead of them.
pub const HANDSET_OCTETS_MAX: usize = 32 * SHORT_MESSAGE_BYTES_MAX;

/// Kinds of errors that are counted by their codes for each session and link: what carriers answer within a day has fewer.
pub const STATUSES_KEPT: usize = 12;

/// Bytes of PDUs that a session keeps in each direction for whoever looks on, until they are taken: 300 of 200 octets. They are
/// taken at each turn of a shard, which reads less at once.
pub const TAP_BYTES_MAX: usize = 64 * 1024;

/// From the connection to the bind (§7.2, session_init_timer).
pub const SESSION_INIT: Duration = Duration::from_secs(5);

/// Without a byte from the peer for so long, `enquire_link` asks (§7.2, enquire_link_timer).
pub const ENQUIRE_LINK_IDLE: Duration = Duration::from_secs(30);

/// How long a response may take (§7.2, response_timer).
pub const RESPONSE: Duration = Duration::from_secs(30);

/// How long the token of a request that timed out is remembered for a late response.
pub const LATE_MEMORY: Duration = Duration::from_secs(120);

/// How long a session that is to end waits for the answers that it is owed before it sends `unbind`: carriers answer within
/// a second, and slow ones within ten; what is unanswered then may have left or not.
pub const DRAIN: Duration = Duration::from_secs(15);

/// How long the response to an `unbind` may take.
pub const UNBIND: Duration = Duration::from_secs(5);

const _: () =
    assert!(REQUEST_OUTPUT_BYTES_MAX < OUTPUT_BYTES_MAX, "responses have room that requests cannot take");
const _: () = assert!(INPUT_BYTES_HIGH < INPUT_BYTES_MAX && PDU_BYTES_MAX < INPUT_BYTES_HIGH);
const _: () =
    assert!((WINDOW_PDUS_MAX as u64) * 4 < SEQUENCE_MAX as u64, "a wrapped sequence finds a free number");
