//! What shards of one node say to each other.
//!
//! A message that arrives on the wrong core crosses once. Requests spend credits, and the ring holds twice as many
//! messages as there are credits, so there is always room for the answers: two full rings never wait for each other. What
//! is lent (room on links, slices of rates) is bounded by windows and rates instead, and waits beside a full ring.

use wire::id::{AccountId, CarrierId, Class, MessageId, Partition};
use wire::msisdn::Msisdn;
use wire::smpp::status::CommandStatus;

use crate::adaptive::{Felt, Paced};
use crate::api::{Cancellation, Origin, Reply, Submission, Subscription, Why};
use crate::limits::CROSS_CREDITS;
use crate::members::{Act, Members};
use crate::rates::RateId;
use crate::shard::ask::Said;
use crate::shard::cell::ReceiptOrigin;
use crate::shard::handsets::HandsetPart;
use crate::shard::links::LinkId;
use crate::shard::transmit::Segment;

/// One message from one shard to another.
#[derive(Debug)]
pub enum Cross {
    /// A submission for a partition of the other shard. Spends a credit.
    Submit(Origin, OwnedSubmission),
    /// A query. Spends a credit.
    Query(Origin, AccountId, MessageId),
    /// A message that is taken back. Spends a credit.
    Cancel(Origin, Cancellation),
    /// An answer to any of these; gives the credit back. Or something for a subscriber.
    Reply(Reply),
    /// A subscription, told to all shards.
    Subscribe(Origin, Box<Subscription>),
    /// Its end.
    Unsubscribe(Origin),
    /// A customer has the fates of a partition up to a number.
    Acknowledge(Origin, AccountId, Partition, u64),
    /// A carrier's receipt for a partition of the other shard. Spends a credit.
    Receipt(ReceiptOrigin, Receipt),
    /// What a handset sent whose number's partition is the other shard's. Spends a credit.
    Handset(ReceiptOrigin, Box<HandsetPart>),
    /// The receipt, or what the handset sent, is durable, or refused; gives the credit back.
    ReceiptTaken(ReceiptOrigin, CommandStatus),
    /// Whether the shard has a link to a carrier that is up: told when it changes.
    CarrierUp {
        /// A place in the plan's carriers.
        carrier: u16,
        /// Whether there is one.
        is_up: bool,
    },
    /// Asks for room on a link. Whoever asks waits for the answer before it asks again.
    AskRoom {
        /// A place in the plan's carriers.
        carrier: u16,
        /// The segments of its next message.
        need: u8,
        /// The most segments that it has use for.
        want: u32,
    },
    /// Room on a link is lent.
    Room(Loan),
    /// Of a loan, what was not used.
    RoomBack(Loan),
    /// A segment for a link with room that was lent, of an attempt that is committed.
    Segment(Box<LentSegment>),
    /// What became of it. Once for each segment; after a doubt, a late answer may follow.
    SegmentOutcome {
        /// Its token.
        token: u64,
        /// A place in the plan's carriers.
        carrier: u16,
        /// What became of it.
        outcome: LentOutcome,
    },
    /// Asks for a slice of a rate that the other shard owns.
    AskRate {
        /// Which.
        rate: RateId,
        /// The segments of the next message.
        need: u8,
        /// The most segments that there is use for.
        want: u32,
    },
    /// A slice of a rate: so many segments; 0 when an account's is used up.
    Slice(RateId, u32),
    /// Asks a carrier for a segment, by whichever link has room. Lost without a word when none has.
    Ask {
        /// A place in the plan's carriers.
        carrier: u16,
        /// Its token.
        token: u64,
        /// The carrier's id for it.
        id: Box<[u8]>,
        /// Its sender.
        sender: Box<[u8]>,
    },
    /// What the carrier said.
    Said {
        /// A place in the plan's carriers.
        carrier: u16,
        /// The segment's token.
        token: u64,
        /// What it said.
        said: Said,
    },
    /// What the links of a shard felt of a carrier, for the owner of its rate.
    Felt {
        /// A place in the plan's carriers.
        carrier: u16,
        /// What was felt.
        felt: Felt,
    },
    /// What all links of a carrier keep to from now on.
    Paced {
        /// A place in the plan's carriers.
        carrier: u16,
        /// What was learnt.
        paced: Paced,
    },
    /// The cluster's members have changed.
    Members(Box<Members>),
    /// An operator's act, for the shard with the system partition.
    Act(Origin, Box<Act>),
    /// Of a slice, what was not used in its time.
    SliceBack(RateId, u32),
}

/// Room on a link of another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loan {
    /// A place in the plan's carriers.
    pub carrier: u16,
    /// The link, on the shard that lends.
    pub link: LinkId,
    /// Its session.
    pub bind: u32,
    /// For so many segments.
    pub segments: u32,
}

/// A segment on its way to a link of another shard.
#[derive(Debug)]
pub struct LentSegment {
    pub(crate) link: LinkId,
    pub(crate) bind: u32,
    pub(crate) token: u64,
    pub(crate) segment: Segment,
}

/// What became of a lent segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LentOutcome {
    /// The kernel never had its bytes.
    NotWritten,
    /// It may have left, and the answer is missing.
    Doubtful(Why),
    /// The carrier answered, with its id for the segment.
    Answered {
        /// Its status.
        status: CommandStatus,
        /// Its id.
        carrier_id: Box<[u8]>,
        /// Among what the id is unique; 0: all that the carrier has.
        scope: u32,
        /// Whether a doubt was told before.
        is_late: bool,
    },
}

/// A carrier's receipt, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose it is.
    pub carrier: CarrierId,
    /// The hash of the carrier's canonical id.
    pub id: u64,
    /// Whom the message was for.
    pub recipient: Msisdn,
    /// `message_state` (SMPP 3.4 §5.2.28); an intermediate one is told as ENROUTE.
    pub state: u8,
    /// The network's or the carrier's error code; 0 is none.
    pub error: u32,
}

/// A submission that owns its texts, in one buffer.
#[derive(Clone, Debug)]
pub struct OwnedSubmission {
    account: AccountId,
    recipient: Msisdn,
    class: Option<Class>,
    validity: Option<core::time::Duration>,
    sender_bytes: usize,
    key_bytes: usize,
    texts: Box<[u8]>,
}

impl From<&Submission<'_>> for OwnedSubmission {
    fn from(submission: &Submission<'_>) -> Self {
        let Submission { account, recipient, sender, key, class, validity, text } = *submission;
        let texts = [sender.as_bytes(), key, text.as_bytes()].concat().into_boxed_slice();
        Self { account, recipient, class, validity, sender_bytes: sender.len(), key_bytes: key.len(), texts }
    }
}

impl OwnedSubmission {
    pub(crate) fn borrow(&self) -> Submission<'_> {
        let (sender, rest) = self.texts.split_at(self.sender_bytes);
        let (key, text) = rest.split_at(self.key_bytes);
        let utf8 = |bytes| core::str::from_utf8(bytes).expect("copied from a str");
        Submission {
            account: self.account,
            recipient: self.recipient,
            sender: utf8(sender),
            key,
            class: self.class,
            validity: self.validity,
            text: utf8(text),
        }
    }
}

/// What may be asked of one other shard before it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credits(usize);

impl Credits {
    pub(crate) const fn full() -> Self {
        Self(CROSS_CREDITS)
    }

    /// Spends one, if there is one.
    pub(crate) fn spend(&mut self) -> bool {
        let has_one = self.0 > 0;
        self.0 -= usize::from(has_one);
        has_one
    }

    pub(crate) fn give_back(&mut self) {
        self.0 += 1;
        assert!(self.0 <= CROSS_CREDITS, "a credit was given back twice");
    }
}
