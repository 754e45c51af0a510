//! One struct for each kind of record: what can happen to a message, in the order in which it usually does.
//!
//! These are the newest versions. When a kind gets another version, the old struct moves to a file of its own and is
//! converted on reading; there is no other schema evolution, and a golden test holds every layout.
//!
//! Identifiers and numbers are stored little-endian without padding; a byte slice is stored before its struct, which
//! points back at it.

use rkyv::with::InlineAsBox;
use rkyv::{Archive, Serialize};
use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId};
use wire::msisdn::Msisdn;

use super::number::AsNumber;

/// A message was taken from a customer: from here on it is never forgotten.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// Its name for life.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// Who sent it.
    #[rkyv(with = AsNumber)]
    pub account: AccountId,
    /// Reserved: a customer's own customer. 0 today.
    pub tenant: u32,
    /// Who is to get it.
    #[rkyv(with = AsNumber)]
    pub recipient: Msisdn,
    /// By what it goes: 0 is SMS.
    pub channel: u8,
    /// What it may cost in certainty and time.
    #[rkyv(with = AsNumber)]
    pub class: Class,
    /// Its idempotency key, hashed with account and recipient.
    #[rkyv(with = AsNumber)]
    pub key: KeyHash,
    /// A hash of all that the customer asked for, to tell a repetition from another message with the same key.
    pub body: u64,
    /// When sending ends: if no carrier took it by then, it is `expired`.
    pub send_until_ms: u64,
    /// When its fate is decided at the latest.
    pub deadline_ms: u64,
    /// Reserved: not to be sent before. 0 today.
    pub not_before_ms: u64,
    /// Reserved: the key under which text and recipient are encrypted. 0 is none.
    pub key_id: u32,
    /// The alphabet that its text needs, as `wire::text` numbers them.
    pub alphabet: u8,
    /// How many short messages it takes.
    pub segments: u8,
    /// What the recipient sees as its sender.
    #[rkyv(with = InlineAsBox)]
    pub sender: &'a [u8],
    /// Its text, in UTF-8.
    #[rkyv(with = InlineAsBox)]
    pub text: &'a [u8],
}

/// Parts of a message are handed to a link. Their bytes leave only when this record is committed.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// The number of the attempt, from 1.
    pub attempt: u16,
    /// Which parts, one bit each.
    pub parts: u32,
    /// To which carrier.
    #[rkyv(with = AsNumber)]
    pub carrier: CarrierId,
    /// By which of its links.
    pub link: u16,
    /// From which node.
    #[rkyv(with = AsNumber)]
    pub node: NodeId,
    /// From which start of that node's process.
    pub process: u64,
    /// In which of the link's sessions, counted from the process's start.
    pub bind: u32,
    /// Why this carrier was chosen.
    pub why: u8,
    /// How many better carriers were passed over.
    pub skipped: u8,
    /// How many parts the message has from now on; 0: as many as before.
    pub segments: u8,
    /// How its text is cut into them, in the numbers of `shards`.
    pub cut: u8,
}

/// A carrier answered for one part.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered<'a> {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// Which attempt.
    pub attempt: u16,
    /// Which part, from 0.
    pub part: u8,
    /// Accepted, refused for now or refused for good.
    pub outcome: u8,
    /// The carrier's own status (SMPP 3.4 §5.1.3).
    pub status: u32,
    /// When it is tried again; 0 is never.
    pub retry_at_ms: u64,
    /// The hash of the carrier's name for the part, in canonical form, by which receipts find it; 0 is none.
    pub receipt: u64,
    /// The name that the carrier gave to the part (SMPP 3.4 §5.2.23); empty when it took none.
    #[rkyv(with = InlineAsBox)]
    pub carrier_id: &'a [u8],
}

/// An attempt was taken back before a byte of it was written: free of doubt.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// Which attempt.
    pub attempt: u16,
    /// Which parts, one bit each.
    pub parts: u32,
    /// When it is tried again; 0 is never.
    pub retry_at_ms: u64,
}

/// An attempt may have reached the carrier, and no answer will come.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubted {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// Which attempt.
    pub attempt: u16,
    /// Which parts, one bit each.
    pub parts: u32,
    /// What gave rise to the doubt.
    pub why: u8,
    /// When the doubt is settled by class, unless evidence comes first.
    pub settle_at_ms: u64,
}

/// A doubt was settled: the message is sent again.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// Which attempt was in doubt.
    pub attempt: u16,
    /// When it is tried again.
    pub retry_at_ms: u64,
}

/// A carrier's receipt was given to its message.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// Which attempt.
    pub attempt: u16,
    /// Which part, from 0.
    pub part: u8,
    /// What the carrier says of it (SMPP 3.4 §5.2.28, `message_state`).
    pub state: u8,
    /// The carrier's own error code.
    pub error: u32,
    /// Whose receipt it is.
    #[rkyv(with = AsNumber)]
    pub carrier: CarrierId,
    /// The fate that it makes of the part: 0 none, [`Reported::BY_STATE`] what the specification makes of the state.
    pub fate: u8,
    /// What brought it: a receipt, or the answer to a question.
    pub why: u8,
}

impl Reported {
    /// [`Reported::fate`] of records that were written before carriers had profiles.
    pub const BY_STATE: u8 = 0xFF;
}

/// A receipt came before the response that names its message: it is kept for a while.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Whose receipt it is.
    #[rkyv(with = AsNumber)]
    pub carrier: CarrierId,
    /// The hash of the carrier's name for the message, in canonical form.
    pub receipt: u64,
    /// Who the receipt is about.
    #[rkyv(with = AsNumber)]
    pub recipient: Msisdn,
    /// What the carrier says of it (SMPP 3.4 §5.2.28, `message_state`).
    pub state: u8,
    /// The carrier's own error code.
    pub error: u32,
    /// How long it is kept.
    pub until_ms: u64,
}

/// A receipt that fits no message.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strayed {
    /// Whose receipt it is.
    #[rkyv(with = AsNumber)]
    pub carrier: CarrierId,
    /// The hash of the carrier's name for the message, in canonical form.
    pub receipt: u64,
    /// Who the receipt is about.
    #[rkyv(with = AsNumber)]
    pub recipient: Msisdn,
    /// What the carrier says of it (SMPP 3.4 §5.2.28, `message_state`).
    pub state: u8,
    /// Why it was given to no message.
    pub why: u8,
}

/// A message's final state.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fated {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// Delivered, failed, expired, cancelled or unknown.
    pub fate: u8,
    /// What led to it.
    pub why: u8,
    /// The carrier's error code behind it; 0 is none.
    pub code: u32,
}

/// A customer has taken note of all fates up to a number.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Which customer.
    #[rkyv(with = AsNumber)]
    pub account: AccountId,
    /// The last fate of this partition that the customer has, in the order in which they were told.
    pub sequence: u64,
}

/// Reserved: a customer took a message back. Written and read, without a meaning yet.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// Which message.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
}

/// A part of a long text came from a handset: it is kept until the others are there.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected<'a> {
    /// By which carrier.
    #[rkyv(with = AsNumber)]
    pub carrier: CarrierId,
    /// The handset.
    #[rkyv(with = AsNumber)]
    pub source: Msisdn,
    /// The number of ours that it was sent to.
    #[rkyv(with = AsNumber)]
    pub destination: Msisdn,
    /// What the parts of one text have in common (3GPP TS 23.040 §9.2.3.24.1).
    pub reference: u16,
    /// How many parts there are.
    pub total: u8,
    /// Which it is, from 1.
    pub number: u8,
    /// The alphabet of its octets, as `wire::text` numbers them.
    pub alphabet: u8,
    /// A hash of all that the carrier said, by which a repetition is known.
    pub fingerprint: u64,
    /// How long a repetition is known.
    pub known_until_ms: u64,
    /// How long the others are waited for.
    pub until_ms: u64,
    /// Its octets without a header, a character of GSM 7-bit in each.
    #[rkyv(with = InlineAsBox)]
    pub octets: &'a [u8],
}

/// A message from a handset is whole, or as whole as it will be: from here on its account is told until it acknowledges.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Its name for life.
    #[rkyv(with = AsNumber)]
    pub id: MessageId,
    /// For whom it is.
    #[rkyv(with = AsNumber)]
    pub account: AccountId,
    /// By which carrier.
    #[rkyv(with = AsNumber)]
    pub carrier: CarrierId,
    /// The handset.
    #[rkyv(with = AsNumber)]
    pub source: Msisdn,
    /// The number of ours that it was sent to.
    #[rkyv(with = AsNumber)]
    pub destination: Msisdn,
    /// The reference of its parts; those that were collected are let go.
    pub reference: u16,
    /// How many parts it has; 1: it came whole.
    pub parts: u8,
    /// The parts that did not come, one bit each.
    pub missing: u32,
    /// A hash of all that the carrier said in its last PDU, by which a repetition is known; 0: no PDU led to it.
    pub fingerprint: u64,
    /// The session that brought it: there the same again is another message. 0: it is a repetition wherever it comes.
    pub session: u64,
    /// How long a repetition is known.
    pub known_until_ms: u64,
    /// Its text, in UTF-8.
    #[rkyv(with = InlineAsBox)]
    pub text: &'a [u8],
}

/// Parts of a text from a handset were let go: there is no account that it is for.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// By which carrier they came.
    #[rkyv(with = AsNumber)]
    pub carrier: CarrierId,
    /// The handset.
    #[rkyv(with = AsNumber)]
    pub source: Msisdn,
    /// The number of ours that they were sent to.
    #[rkyv(with = AsNumber)]
    pub destination: Msisdn,
    /// What the parts have in common.
    pub reference: u16,
    /// How many there are.
    pub total: u8,
    /// As in [`Received::fingerprint`].
    pub fingerprint: u64,
    /// How long a repetition is known.
    pub known_until_ms: u64,
}

/// A node of the cluster as it is from here on: its whole row in the table of members. Only the system partition has these.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its number, which no other node ever has.
    #[rkyv(with = AsNumber)]
    pub node: NodeId,
    /// Whether it belongs to the cluster ([`Member::IN`], [`Member::DRAINED`], [`Member::REMOVED`]).
    pub standing: u8,
    /// 1: it votes, and is home of nothing for longer than it takes to hand it on.
    pub votes_only: u8,
    /// The number of its data directory; 0: it has not been seen.
    pub directory: u64,
    /// Where it is, for people and for placement.
    #[rkyv(with = InlineAsBox)]
    pub region: &'a [u8],
    /// Where its first shard listens for other nodes: `host:port`.
    #[rkyv(with = InlineAsBox)]
    pub address: &'a [u8],
    /// The name in its certificate; empty: none is asked for.
    #[rkyv(with = InlineAsBox)]
    pub tls_name: &'a [u8],
}

impl Member<'_> {
    /// It is a member.
    pub const IN: u8 = 1;
    /// It is a member, and not to be home of anything.
    pub const DRAINED: u8 = 2;
    /// It is no member any more, and never one again.
    pub const REMOVED: u8 = 3;
}
