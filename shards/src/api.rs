//! What goes into a shard and what comes out of it, as plain values.
//!
//! Customers' protocols differ (native, HTTP, SMPP); by the time a submission is here they do not. The shell keeps
//! an [`Origin`] with each request and gets it back with the reply, whichever core answered.

use core::time::Duration;

use wire::id::{AccountId, CarrierId, Class, MessageId, NodeId, Partition, ShardId};
use wire::msisdn::Msisdn;
use wire::time::WallMs;

use crate::limits::SENDER_BYTES_MAX;
use crate::members::NotDone;

/// Who asked: a connection of a shard, and which of its requests. Opaque to the brain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The shard whose connection it is.
    pub shard: ShardId,
    /// The connection, in the shell's words.
    pub connection: u64,
    /// The request, in the connection's words.
    pub request: u64,
}

impl Origin {
    /// No shard of this node: a shard of another one asks.
    const ELSEWHERE: ShardId = ShardId(u16::MAX);

    /// Another node has asked about a partition, by a question of this number.
    pub(crate) const fn elsewhere(node: NodeId, partition: Partition, number: u64) -> Self {
        let connection = (node.0 as u64) << 16 | partition.0 as u64;
        Self { shard: Self::ELSEWHERE, connection, request: number }
    }

    /// If another node has asked: which, about what, and its question's number.
    pub(crate) fn asked_by(self) -> Option<(NodeId, Partition, u64)> {
        let node = u32::try_from(self.connection >> 16).ok().filter(|_| self.shard == Self::ELSEWHERE)?;
        let partition = u16::try_from(self.connection & 0xFFFF).expect("16 bits");
        Some((NodeId(node), Partition(partition), self.request))
    }
}

/// One message as a customer hands it over, already parsed.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// Who submits; authenticated by the shell.
    pub account: AccountId,
    /// To whom.
    pub recipient: Msisdn,
    /// The sender as the recipient sees it; empty: the account's.
    pub sender: &'a str,
    /// The idempotency key, at most [`wire::id::KeyHash::KEY_BYTES_MAX`] bytes; empty: none.
    pub key: &'a [u8],
    /// The class; `None`: the account's.
    pub class: Option<Class>,
    /// How long the message may be sent; `None`: the class's.
    pub validity: Option<Duration>,
    /// The text.
    pub text: &'a str,
}

/// Why a submission is not taken. [`Refusal::retry`] says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key was used within its window for another body.
    #[error("this idempotency key was used with another body")]
    KeyConflict,
    /// No route covers the recipient.
    #[error("no route covers this recipient")]
    NoRoute,
    /// The text is empty or takes more segments than a message may have.
    #[error("the text is empty or too long: a message has 1 to 32 segments")]
    Text,
    /// The sender is neither a number of at most 15 digits nor at most 11 characters.
    #[error("the sender is neither a number of at most 15 digits nor at most 11 characters of ASCII")]
    Sender,
    /// The account may not name this sender.
    #[error("the account may not name this sender (senders)")]
    SenderForbidden,
    /// The key is longer than 64 bytes.
    #[error("the idempotency key is longer than 64 bytes")]
    KeyLength,
    /// A validity of zero or beyond 48 hours.
    #[error("the validity is not between 1 second and 48 hours")]
    Validity,
    /// The account is not in the plan in force.
    #[error("the account is not known")]
    Account,
    /// As many messages are open as the shard holds.
    #[error("the queue is full")]
    QueueFull,
    /// As many keys are remembered as the shard holds.
    #[error("as many idempotency keys are remembered as this node holds")]
    KeysFull,
    /// The account has as many open messages as it may.
    #[error("the account has as many open messages as it may")]
    AccountFull,
    /// As many keys of the account are remembered as it may have.
    #[error("as many idempotency keys of the account are remembered as it may have")]
    AccountKeysFull,
    /// The account submits faster than it may.
    #[error("the account submits faster than it may")]
    Rate,
    /// More is waiting for the disk, or for another core, than is allowed.
    #[error("the node is busy")]
    Busy,
    /// The disk has no room for more log.
    #[error("the disk of this node is full")]
    DiskFull,
    /// The node is stopping, or its log failed.
    #[error("the node takes no new messages")]
    Stopping,
    /// The partition has no home that decides here at the moment.
    #[error("the partition has no home here")]
    NotHome,
    /// The partition got another home before the message was safe: it may have been taken, or not. Only a repetition with the same
    /// key tells.
    #[error("the partition got another home before the message was safe: repeat it with the same key")]
    HomeLost,
}

/// What a customer does about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will be refused again.
    Never,
    /// The same request, here, after a while.
    Later(Duration),
    /// The same request with the same key, at another node.
    Elsewhere,
}

impl Refusal {
    /// What to do about it.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::KeyConflict
            | Self::NoRoute
            | Self::Text
            | Self::Sender
            | Self::SenderForbidden
            | Self::KeyLength
            | Self::Validity
            | Self::Account => Retry::Never,
            Self::QueueFull => Retry::Later(Duration::from_secs(1)),
            Self::KeysFull | Self::AccountKeysFull => Retry::Later(Duration::from_secs(60)),
            Self::AccountFull => Retry::Later(Duration::from_secs(1)),
            Self::Rate => Retry::Later(Duration::from_millis(100)),
            Self::Busy => Retry::Later(Duration::from_millis(100)),
            Self::DiskFull | Self::Stopping | Self::NotHome | Self::HomeLost => Retry::Elsewhere,
        }
    }

    /// Its code in the native protocol's answers (16 and up; 0 and 1 are acceptances).
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::KeyConflict => 16,
            Self::NoRoute => 17,
            Self::Text => 18,
            Self::Sender => 19,
            Self::KeyLength => 20,
            Self::Validity => 21,
            Self::Account => 22,
            Self::SenderForbidden => 24,
            Self::QueueFull => 32,
            Self::KeysFull => 33,
            Self::Busy => 34,
            Self::AccountFull => 35,
            Self::Rate => 36,
            Self::AccountKeysFull => 37,
            Self::Stopping => 48,
            Self::NotHome => 49,
            Self::DiskFull => 50,
            Self::HomeLost => 51,
        }
    }

    /// The refusal of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// A stable name for JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyConflict => "key-conflict",
            Self::NoRoute => "no-route",
            Self::Text => "text",
            Self::Sender => "sender",
            Self::SenderForbidden => "sender-forbidden",
            Self::KeyLength => "key-length",
            Self::Validity => "validity",
            Self::Account => "account",
            Self::QueueFull => "queue-full",
            Self::KeysFull => "keys-full",
            Self::AccountFull => "account-full",
            Self::AccountKeysFull => "account-keys-full",
            Self::Rate => "rate",
            Self::DiskFull => "disk-full",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
            Self::NotHome => "not-home",
            Self::HomeLost => "home-lost",
        }
    }

    /// Its place in [`Refusal::ALL`].
    #[must_use]
    pub fn place(self) -> usize {
        Self::ALL.iter().position(|&other| other == self).expect("all are there")
    }

    /// All of them, for tables and metrics.
    pub const ALL: [Self; 18] = [
        Self::KeyConflict,
        Self::NoRoute,
        Self::Text,
        Self::Sender,
        Self::SenderForbidden,
        Self::KeyLength,
        Self::Validity,
        Self::Account,
        Self::QueueFull,
        Self::KeysFull,
        Self::AccountFull,
        Self::AccountKeysFull,
        Self::Rate,
        Self::DiskFull,
        Self::Busy,
        Self::Stopping,
        Self::NotHome,
        Self::HomeLost,
    ];
}

/// A submission that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The message's name from now on.
    pub id: MessageId,
    /// Whether this key had been taken before; then `id` is the first answer's.
    pub known: bool,
}

/// A message's final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fate {
    /// The carrier says that it reached the recipient.
    Delivered = 1,
    /// A carrier refused it for good, or reports that it could not be delivered.
    Failed = 2,
    /// No carrier took it in time.
    Expired = 3,
    /// Its customer withdrew it.
    Cancelled = 4,
    /// It may have left, and nothing more was heard of it.
    Unknown = 5,
}

impl Fate {
    /// All fates.
    pub const ALL: [Self; 5] = [Self::Delivered, Self::Failed, Self::Expired, Self::Cancelled, Self::Unknown];

    /// The fate of a byte in a record.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Delivered),
            2 => Some(Self::Failed),
            3 => Some(Self::Expired),
            4 => Some(Self::Cancelled),
            5 => Some(Self::Unknown),
            _ => None,
        }
    }

    /// Its name in JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a message is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for a carrier, or for its time to be tried again.
    Queued,
    /// Handed to a link; its outcome is open.
    Attempting,
    /// May have left; not known.
    Doubtful,
    /// A carrier has it; its receipt is awaited.
    Sent,
    /// Over.
    Final(Fate),
}

impl State {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Attempting => "attempting",
            Self::Doubtful => "doubtful",
            Self::Sent => "sent",
            Self::Final(fate) => fate.name(),
        }
    }

    /// Its byte in the native protocol's answer to a query: 1 to 4, fates from 17.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Queued => 1,
            Self::Attempting => 2,
            Self::Doubtful => 3,
            Self::Sent => 4,
            Self::Final(fate) => 16 + fate as u8,
        }
    }

    /// The state of a byte.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Queued,
            2 => Self::Attempting,
            3 => Self::Doubtful,
            4 => Self::Sent,
            _ => Self::Final(Fate::from_byte(code.checked_sub(16)?)?),
        })
    }
}

/// A message's sender as the recipient sees it, kept in place: ASCII, at most [`SENDER_BYTES_MAX`] octets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Sender {
    bytes: [u8; SENDER_BYTES_MAX],
    count: u8,
}

impl Sender {
    /// A sender that was checked where it came in; a longer one is cut.
    #[must_use]
    pub fn new(sender: &[u8]) -> Self {
        let count = sender.len().min(SENDER_BYTES_MAX);
        let mut bytes = [0; SENDER_BYTES_MAX];
        bytes[..count].copy_from_slice(&sender[..count]);
        Self { bytes, count: u8::try_from(count).expect("bounded above") }
    }

    /// Whether another is the same to a recipient: a number with and without its `+`.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let [own, other] = [self, other].map(|sender| {
            let bytes = sender.as_bytes();
            bytes.strip_prefix(b"+").unwrap_or(bytes)
        });
        own == other
    }

    /// Its characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.count)]
    }
}

impl core::fmt::Debug for Sender {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.as_bytes().escape_ascii().to_string())
    }
}

/// A fate as it is told to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FateEvent {
    /// The account's place among this partition's fates, from 1.
    pub sequence: u64,
    /// The message.
    pub id: MessageId,
    /// When it was recorded.
    pub at: WallMs,
    /// What became of it.
    pub fate: Fate,
    /// Why.
    pub why: Why,
    /// The carrier's code, where there was one.
    pub code: u32,
    /// To whom the message went.
    pub recipient: Msisdn,
    /// From whom.
    pub sender: Sender,
}

/// A message of a handset as it is told to a subscriber. It stands among the account's fates, in one order with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandsetMessage {
    /// The account's place among this partition's fates, from 1.
    pub sequence: u64,
    /// Its name.
    pub id: MessageId,
    /// When it was whole, or given up.
    pub at: WallMs,
    /// By which carrier it came.
    pub carrier: CarrierId,
    /// The handset.
    pub from: Msisdn,
    /// The number of ours that it was sent to: digits.
    pub to: Sender,
    /// How many parts it has.
    pub parts: u8,
    /// The parts that did not come, one bit each.
    pub missing: u32,
    /// Its text; `[...]` where parts are missing.
    pub text: Box<str>,
}

impl HandsetMessage {
    /// The numbers of the parts that did not come, from 1.
    pub fn missing_parts(&self) -> impl Iterator<Item = u8> + '_ {
        (0..32_u8).filter(|part| self.missing & 1 << part != 0).map(|part| part + 1)
    }
}

/// Why something happened to a message: the reason beside each step of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Why {
    /// Nothing more to say.
    None = 0,
    /// The first carrier of the route that was up.
    FirstInRoute = 1,
    /// Carriers before it in the route had no link that was up.
    OthersDown = 2,
    /// Carriers before it in the route had refused this message for now.
    OthersRefused = 3,
    /// A carrier answered the submission.
    Response = 4,
    /// A carrier's receipt said so.
    Receipt = 5,
    /// No response came in time.
    ResponseTimeout = 6,
    /// The connection broke before the response.
    ConnectionLost = 7,
    /// The process that had sent it is gone.
    ProcessLost = 8,
    /// The connection broke before the message was written.
    NotWritten = 9,
    /// The time in which it may be sent was over.
    ValidityOver = 10,
    /// The time in which a receipt was awaited was over.
    ReceiptWaitOver = 11,
    /// The class says: do not send a doubtful message again.
    ClassForbids = 12,
    /// The class says: send a doubtful message again.
    ClassAllows = 13,
    /// As often tried as is allowed.
    AttemptsUsedUp = 14,
    /// The link was stopped in order.
    Drained = 15,
    /// A carrier said so when it was asked (`query_sm`).
    Query = 16,
}

impl Why {
    /// All of them, in the order of their bytes.
    pub const ALL: [Self; 17] = [
        Self::None,
        Self::FirstInRoute,
        Self::OthersDown,
        Self::OthersRefused,
        Self::Response,
        Self::Receipt,
        Self::ResponseTimeout,
        Self::ConnectionLost,
        Self::ProcessLost,
        Self::NotWritten,
        Self::ValidityOver,
        Self::ReceiptWaitOver,
        Self::ClassForbids,
        Self::ClassAllows,
        Self::AttemptsUsedUp,
        Self::Drained,
        Self::Query,
    ];

    /// The reason of a byte in a record; a later version's unknown reason reads as [`Why::None`].
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        Self::ALL.get(usize::from(byte)).copied().unwrap_or(Self::None)
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::FirstInRoute => "first-in-route",
            Self::OthersDown => "others-down",
            Self::OthersRefused => "others-refused",
            Self::Response => "response",
            Self::Receipt => "receipt",
            Self::ResponseTimeout => "response-timeout",
            Self::ConnectionLost => "connection-lost",
            Self::ProcessLost => "process-lost",
            Self::NotWritten => "not-written",
            Self::ValidityOver => "validity-over",
            Self::ReceiptWaitOver => "receipt-wait-over",
            Self::ClassForbids => "class-forbids",
            Self::ClassAllows => "class-allows",
            Self::AttemptsUsedUp => "attempts-used-up",
            Self::Drained => "drained",
            Self::Query => "query",
        }
    }
}

/// What happened in a step of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StepKind {
    /// The message was taken.
    Accepted = 1,
    /// It was handed to a link.
    Attempted = 2,
    /// The carrier took it.
    Sent = 3,
    /// The carrier refused it for now.
    RefusedForNow = 4,
    /// The carrier refused it for good.
    RefusedForGood = 5,
    /// It did not leave after all.
    Withdrawn = 6,
    /// It may have left.
    Doubted = 7,
    /// It will be sent again although it may have left.
    SendAgain = 8,
    /// A receipt came.
    Reported = 9,
    /// It is over.
    Fated = 10,
}

impl StepKind {
    /// All of them, in the order of their bytes, from 1.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Attempted,
        Self::Sent,
        Self::RefusedForNow,
        Self::RefusedForGood,
        Self::Withdrawn,
        Self::Doubted,
        Self::SendAgain,
        Self::Reported,
        Self::Fated,
    ];

    /// The kind of a byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == byte)
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Attempted => "attempted",
            Self::Sent => "sent",
            Self::RefusedForNow => "refused-for-now",
            Self::RefusedForGood => "refused-for-good",
            Self::Withdrawn => "withdrawn",
            Self::Doubted => "doubted",
            Self::SendAgain => "send-again",
            Self::Reported => "reported",
            Self::Fated => "fated",
        }
    }
}

/// One step of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, from the record.
    pub at: WallMs,
    /// What.
    pub kind: StepKind,
    /// The attempt, from 1; 0 where there was none.
    pub attempt: u16,
    /// The segment that it was about, from 0.
    pub part: u8,
    /// Why.
    pub why: Why,
    /// The carrier, where there was one.
    pub carrier: Option<CarrierId>,
    /// `command_status` of a response (SMPP 3.4 §5.1.3), `message_state` of a receipt (§5.2.28); of a fate, the last
    /// error that a carrier named.
    pub code: u32,
    /// The carrier's id of the message, where it gave one.
    pub carrier_message_id: Box<[u8]>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub id: MessageId,
    /// Where it is.
    pub state: State,
    /// Its recipient.
    pub recipient: Msisdn,
    /// Its sender.
    pub sender: Sender,
    /// Its class.
    pub class: Class,
    /// How many segments it has.
    pub segments: u8,
    /// Until when it may be sent.
    pub send_until: WallMs,
    /// What happened, the oldest first.
    pub trace: Vec<Step>,
}

/// A message that its customer takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// Who takes it back: another account's message is not found.
    pub account: AccountId,
    /// The message.
    pub id: MessageId,
    /// Its sender, which must be the message's; empty: whichever it has.
    pub sender: Sender,
    /// Its recipient, which must be the message's; `None`: whichever it has.
    pub recipient: Option<Msisdn>,
}

impl Cancellation {
    /// Whether it is about a message of this account, to this recipient, from this sender.
    #[must_use]
    pub fn is_about(&self, account: AccountId, recipient: Msisdn, sender: Sender) -> bool {
        self.account == account
            && self.recipient.is_none_or(|named| named == recipient)
            && (self.sender.as_bytes().is_empty() || self.sender.is_like(&sender))
    }
}

/// Why a message was not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCancelled {
    /// No such message of this account, sender and recipient is in memory here.
    #[error("there is no such message of this account, sender and recipient that could be taken back")]
    NotFound,
    /// It is on its way, may have left, or is over.
    #[error("the message is {}: only one that is queued and of which nothing may have left is taken back", .0.name())]
    TooLate(State),
    /// It cannot be said now: to be asked again.
    #[error("the node is busy, or does not decide for this recipient now")]
    Busy,
}

/// What a subscriber wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose fates.
    pub account: AccountId,
    /// How many may be told and not yet acknowledged, on this shard.
    pub credits: u32,
    /// Where to start, for partitions of this shard; one that is not named starts after its last acknowledged fate.
    pub positions: Vec<(Partition, u64)>,
}

/// What a shard tells the shell to tell a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The outcome of a submission.
    Answer {
        /// Whose submission.
        origin: Origin,
        /// Its outcome.
        outcome: Result<Acceptance, Refusal>,
    },
    /// The outcome of a query; `None`: no such message of this account is in memory here. It may have been once: then the log
    /// still has it for a while.
    Message {
        /// Whose query.
        origin: Origin,
        /// Who asks.
        account: AccountId,
        /// About which message.
        id: MessageId,
        /// What is known.
        view: Option<Box<MessageView>>,
    },
    /// A query that cannot be answered now: the partition's home is not in reach.
    CannotTell {
        /// Whose query.
        origin: Origin,
    },
    /// What came of taking a message back.
    Cancelled {
        /// Whose request.
        origin: Origin,
        /// The message.
        id: MessageId,
        /// Whether it was.
        outcome: Result<(), NotCancelled>,
    },
    /// What came of an operator's act: the node that it was about.
    Done {
        /// Whose act.
        origin: Origin,
        /// Its outcome.
        outcome: Result<NodeId, NotDone>,
    },
    /// A fate for a subscriber.
    Fate {
        /// The subscription's origin.
        subscriber: Origin,
        /// The fate.
        event: FateEvent,
    },
    /// A message of a handset for a subscriber.
    Handset {
        /// The subscription's origin.
        subscriber: Origin,
        /// The message.
        message: Box<HandsetMessage>,
    },
}
