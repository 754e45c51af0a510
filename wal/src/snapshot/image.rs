//! The images of a snapshot, and their bytes.

use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId, Partition};
use wire::msisdn::Msisdn;
use wire::time::WallMs;
use zerocopy::byteorder::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::handsets::{self, CollectedImage, KnownImage};
use super::members;
use crate::frame::HardState;
use crate::place::Lsn;
use crate::record::Parked;

/// What a snapshot begins with: whose it is, where in its group's log it was taken, and all that is not told by its
/// messages and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The cluster.
    pub cluster: u128,
    /// The node that wrote it.
    pub node: NodeId,
    /// How many partitions the cluster has.
    pub partitions: u16,
    /// The group's hard state when it was taken; it names the partition. Whatever it says, `index` is committed when the
    /// snapshot has its name.
    pub group: HardState,
    /// The term of the entry at `index`.
    pub term: u64,
    /// The last entry whose records are in it.
    pub index: u64,
    /// The time of the last record.
    pub time: WallMs,
    /// The highest message id that was ever accepted.
    pub last_id: MessageId,
    /// Receipts that were given to no message.
    pub strayed: u64,
    /// The number of the oldest message that is over and still kept.
    pub finished_first: u64,
    /// How many of those there are.
    pub finished_count: u64,
    /// The fates of each account, by account.
    pub accounts: Vec<AccountImage>,
    /// The generations of the key table, the oldest first.
    pub generations: Vec<GenerationImage>,
    /// Receipts that wait for the response that names their message, the oldest first.
    pub parked: Vec<Parked>,
    /// Whose the keys of each generation are, by generation and account; nothing in version 1.
    pub shares: Vec<ShareImage>,
    /// Parts of handsets' texts that wait for the others; nothing before version 3.
    pub collected: Vec<CollectedImage>,
    /// What repetitions of carriers are known by, the oldest first; nothing before version 3.
    pub known: Vec<KnownImage>,
    /// The partition's log begins here: what lies before was void when another node's state was installed. 0 before version 4.
    pub log_from: Lsn,
    /// The group's voters at `index`; nobody before version 5: those that it began with.
    pub voters: Vec<NodeId>,
    /// The group's learners at `index`.
    pub learners: Vec<NodeId>,
    /// Of the system partition: the table of the cluster's members, as a run of whole records ([`crate::record::Member`]).
    pub members: Vec<u8>,
}

/// The fates of one account, but for the messages themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountImage {
    /// The account.
    pub account: AccountId,
    /// The number of the first fate that is neither acknowledged nor forgotten.
    pub first: u64,
    /// How many numbers there are from `first` on; since version 3, some of their fates may be forgotten.
    pub count: u64,
    /// The last number that the customer acknowledged.
    pub acknowledged: u64,
    /// Fates that were forgotten before anybody acknowledged them.
    pub forgotten: u64,
}

/// A generation of the key table, but for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationImage {
    /// Its number, by which pieces of keys name it.
    pub number: u64,
    /// When it was opened.
    pub opened_at: WallMs,
    /// When the window of its last key is over.
    pub expires_at: WallMs,
    /// Its slots.
    pub capacity: u32,
    /// How many keys were in it.
    pub count: u32,
}

/// How many keys of a generation are an account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareImage {
    /// The generation's number.
    pub generation: u64,
    /// The account.
    pub account: AccountId,
    /// How many.
    pub count: u32,
}

/// An idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyImage {
    /// The key.
    pub key: KeyHash,
    /// The message that it led to.
    pub message: MessageId,
    /// The hash of the body that came with it.
    pub body: u64,
}

/// A segment of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartImage {
    /// Where it is.
    pub state: u8,
    /// The hash of the carrier's canonical id; 0 while there is none.
    pub receipt: u64,
    /// The carrier that gave the id.
    pub named_by: CarrierId,
}

/// A message, open or over, but for its segments. Its numbers mean what they mean in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageImage<'a> {
    /// Which message.
    pub id: MessageId,
    /// To whom.
    pub recipient: Msisdn,
    /// When sending ends.
    pub send_until: WallMs,
    /// When its fate is decided at the latest.
    pub deadline: WallMs,
    /// When something is due for it; over: when that was.
    pub due: WallMs,
    /// Over: its place among its account's fates.
    pub fate_sequence: u64,
    /// Over: its place among the messages of the partition that are over.
    pub finished: u64,
    /// Whose message it is.
    pub account: AccountId,
    /// Of the last attempt.
    pub carrier: CarrierId,
    /// The last error that a carrier named.
    pub code: u32,
    /// The number of the last attempt.
    pub attempt: u16,
    /// Its class.
    pub class: Class,
    /// The alphabet of its text.
    pub alphabet: u8,
    /// Over: why.
    pub why: u8,
    /// Its state.
    pub state: u8,
    /// A doubtful attempt of it was followed by another.
    pub may_have_left: bool,
    /// It came from a handset: the recipient is the handset, the sender our number, the attempt how many parts it has and the
    /// code which of them did not come, one bit each.
    pub is_received: bool,
    /// The sender.
    pub sender: &'a [u8],
    /// The text, while it is needed.
    pub text: &'a [u8],
    /// What happened to it, packed.
    pub trace: &'a [u8],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawHead {
    cluster: U128,
    last_id: U128,
    node: U32,
    partition: U16,
    partitions: U16,
    group_term: U64,
    group_vote: U64,
    group_commit: U64,
    term: U64,
    index: U64,
    time_ms: U64,
    strayed: U64,
    finished_first: U64,
    finished_count: U64,
    accounts: U32,
    generations: U32,
    parked: U32,
    shares: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawAccount {
    account: U32,
    reserved: U32,
    first: U64,
    count: U64,
    acknowledged: U64,
    forgotten: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawGeneration {
    number: U64,
    opened_at_ms: U64,
    expires_at_ms: U64,
    capacity: U32,
    count: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawShare {
    generation: U64,
    account: U32,
    count: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawParked {
    receipt: U64,
    recipient: U64,
    until_ms: U64,
    carrier: U32,
    error: U32,
    state: u8,
    reserved: [u8; 7],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct RawKey {
    key: U128,
    message: U128,
    body: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawMessage {
    id: U128,
    recipient: U64,
    send_until_ms: U64,
    deadline_ms: U64,
    due_ms: U64,
    fate_sequence: U64,
    finished: U64,
    account: U32,
    carrier: U32,
    code: U32,
    text_bytes: U32,
    trace_bytes: U32,
    attempt: U16,
    class: u8,
    alphabet: u8,
    why: u8,
    state: u8,
    flags: u8,
    parts: u8,
    sender_bytes: u8,
    reserved: [u8; 3],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
struct RawPart {
    receipt: U64,
    named_by: U32,
    state: u8,
    reserved: [u8; 3],
}

const _: () = assert!(size_of::<RawHead>() == 128 && size_of::<RawMessage>() == 96);
const _: () =
    assert!(size_of::<RawShare>() == 16 && size_of::<RawAccount>() == 40 && size_of::<RawGeneration>() == 32);
const _: () =
    assert!(size_of::<RawParked>() == 40 && size_of::<RawKey>() == 40 && size_of::<RawPart>() == 16);

/// The bit of [`RawMessage::flags`] that says [`MessageImage::may_have_left`].
const MAY_HAVE_LEFT: u8 = 1;

/// The bit that says [`MessageImage::is_received`].
const IS_RECEIVED: u8 = 2;

impl Head {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let count = |len: usize| U32::new(u32::try_from(len).expect("tables are bounded far below 2^32"));
        let raw = RawHead {
            cluster: U128::new(self.cluster),
            last_id: U128::new(self.last_id.0),
            node: U32::new(self.node.0),
            partition: U16::new(self.group.partition.0),
            partitions: U16::new(self.partitions),
            group_term: U64::new(self.group.term),
            group_vote: U64::new(self.group.vote),
            group_commit: U64::new(self.group.commit),
            term: U64::new(self.term),
            index: U64::new(self.index),
            time_ms: U64::new(self.time.0),
            strayed: U64::new(self.strayed),
            finished_first: U64::new(self.finished_first),
            finished_count: U64::new(self.finished_count),
            accounts: count(self.accounts.len()),
            generations: count(self.generations.len()),
            parked: count(self.parked.len()),
            shares: count(self.shares.len()),
        };
        out.extend_from_slice(raw.as_bytes());
        self.accounts.iter().for_each(|account| out.extend_from_slice(raw_account(account).as_bytes()));
        self.generations.iter().for_each(|image| out.extend_from_slice(raw_generation(image).as_bytes()));
        self.parked.iter().for_each(|parked| out.extend_from_slice(raw_parked(parked).as_bytes()));
        self.shares.iter().for_each(|share| out.extend_from_slice(raw_share(share).as_bytes()));
        handsets::encode(&self.collected, &self.known, out);
        out.extend_from_slice(&self.log_from.0.to_le_bytes());
        members::encode(self, out);
    }

    /// `None` when the bytes are none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (raw, rest) = RawHead::ref_from_prefix(bytes).ok()?;
        let (accounts, rest) =
            <[RawAccount]>::ref_from_prefix_with_elems(rest, raw.accounts.get() as usize).ok()?;
        let (generations, rest) =
            <[RawGeneration]>::ref_from_prefix_with_elems(rest, raw.generations.get() as usize).ok()?;
        let (parked, rest) =
            <[RawParked]>::ref_from_prefix_with_elems(rest, raw.parked.get() as usize).ok()?;
        let (shares, rest) =
            <[RawShare]>::ref_from_prefix_with_elems(rest, raw.shares.get() as usize).ok()?;
        let (collected, known, rest) = handsets::decode(rest)?;
        let (log_from, rest) = match rest.split_first_chunk() {
            None if rest.is_empty() => (0, rest),
            found => found.map(|(log_from, rest)| (u64::from_le_bytes(*log_from), rest))?,
        };
        let (voters, learners, members) = members::decode(rest)?;
        Some(Self {
            cluster: raw.cluster.get(),
            node: NodeId(raw.node.get()),
            partitions: raw.partitions.get(),
            group: HardState {
                partition: Partition(raw.partition.get()),
                term: raw.group_term.get(),
                vote: raw.group_vote.get(),
                commit: raw.group_commit.get(),
            },
            term: raw.term.get(),
            index: raw.index.get(),
            time: WallMs(raw.time_ms.get()),
            last_id: MessageId(raw.last_id.get()),
            strayed: raw.strayed.get(),
            finished_first: raw.finished_first.get(),
            finished_count: raw.finished_count.get(),
            accounts: accounts.iter().map(account).collect(),
            generations: generations.iter().map(generation).collect(),
            parked: parked.iter().map(parked_receipt).collect::<Option<_>>()?,
            shares: shares.iter().map(share).collect(),
            collected,
            known,
            log_from: Lsn(log_from),
            voters,
            learners,
            members,
        })
    }
}

fn raw_share(image: &ShareImage) -> RawShare {
    RawShare {
        generation: U64::new(image.generation),
        account: U32::new(image.account.0),
        count: U32::new(image.count),
    }
}

fn share(raw: &RawShare) -> ShareImage {
    ShareImage {
        generation: raw.generation.get(),
        account: AccountId(raw.account.get()),
        count: raw.count.get(),
    }
}

fn raw_account(image: &AccountImage) -> RawAccount {
    RawAccount {
        account: U32::new(image.account.0),
        reserved: U32::ZERO,
        first: U64::new(image.first),
        count: U64::new(image.count),
        acknowledged: U64::new(image.acknowledged),
        forgotten: U64::new(image.forgotten),
    }
}

fn account(raw: &RawAccount) -> AccountImage {
    AccountImage {
        account: AccountId(raw.account.get()),
        first: raw.first.get(),
        count: raw.count.get(),
        acknowledged: raw.acknowledged.get(),
        forgotten: raw.forgotten.get(),
    }
}

fn raw_generation(image: &GenerationImage) -> RawGeneration {
    RawGeneration {
        number: U64::new(image.number),
        opened_at_ms: U64::new(image.opened_at.0),
        expires_at_ms: U64::new(image.expires_at.0),
        capacity: U32::new(image.capacity),
        count: U32::new(image.count),
    }
}

fn generation(raw: &RawGeneration) -> GenerationImage {
    GenerationImage {
        number: raw.number.get(),
        opened_at: WallMs(raw.opened_at_ms.get()),
        expires_at: WallMs(raw.expires_at_ms.get()),
        capacity: raw.capacity.get(),
        count: raw.count.get(),
    }
}

fn raw_parked(parked: &Parked) -> RawParked {
    RawParked {
        receipt: U64::new(parked.receipt),
        recipient: U64::new(parked.recipient.to_word()),
        until_ms: U64::new(parked.until_ms),
        carrier: U32::new(parked.carrier.0),
        error: U32::new(parked.error),
        state: parked.state,
        reserved: [0; 7],
    }
}

fn parked_receipt(raw: &RawParked) -> Option<Parked> {
    Some(Parked {
        carrier: CarrierId(raw.carrier.get()),
        receipt: raw.receipt.get(),
        recipient: Msisdn::from_word(raw.recipient.get())?,
        state: raw.state,
        error: raw.error.get(),
        until_ms: raw.until_ms.get(),
    })
}

impl KeyImage {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let raw = RawKey {
            key: U128::new(self.key.0),
            message: U128::new(self.message.0),
            body: U64::new(self.body),
        };
        out.extend_from_slice(raw.as_bytes());
    }
}

impl From<&RawKey> for KeyImage {
    fn from(raw: &RawKey) -> Self {
        Self { key: KeyHash(raw.key.get()), message: MessageId(raw.message.get()), body: raw.body.get() }
    }
}

impl MessageImage<'_> {
    pub(super) fn encode(&self, parts: impl ExactSizeIterator<Item = PartImage>, out: &mut Vec<u8>) {
        let bytes =
            |bytes: &[u8]| U32::new(u32::try_from(bytes.len()).expect("texts and traces are bounded"));
        let raw = RawMessage {
            id: U128::new(self.id.0),
            recipient: U64::new(self.recipient.to_word()),
            send_until_ms: U64::new(self.send_until.0),
            deadline_ms: U64::new(self.deadline.0),
            due_ms: U64::new(self.due.0),
            fate_sequence: U64::new(self.fate_sequence),
            finished: U64::new(self.finished),
            account: U32::new(self.account.0),
            carrier: U32::new(self.carrier.0),
            code: U32::new(self.code),
            text_bytes: bytes(self.text),
            trace_bytes: bytes(self.trace),
            attempt: U16::new(self.attempt),
            class: self.class as u8,
            alphabet: self.alphabet,
            why: self.why,
            state: self.state,
            flags: flag(self.may_have_left, MAY_HAVE_LEFT) | flag(self.is_received, IS_RECEIVED),
            parts: u8::try_from(parts.len()).expect("segments are bounded"),
            sender_bytes: u8::try_from(self.sender.len()).expect("senders are short"),
            reserved: [0; 3],
        };
        out.extend_from_slice(raw.as_bytes());
        for part in parts {
            let PartImage { state, receipt, named_by } = part;
            let (receipt, named_by) = (U64::new(receipt), U32::new(named_by.0));
            out.extend_from_slice(RawPart { receipt, named_by, state, reserved: [0; 3] }.as_bytes());
        }
        out.extend_from_slice(self.sender);
        out.extend_from_slice(self.text);
        out.extend_from_slice(self.trace);
    }
}

const fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

/// Reads the message at the start of `bytes`; returns it with its segments and what follows.
pub(super) fn message(bytes: &[u8]) -> Option<(MessageImage<'_>, PartImages<'_>, &[u8])> {
    let (raw, rest) = RawMessage::ref_from_prefix(bytes).ok()?;
    let (parts, rest) = <[RawPart]>::ref_from_prefix_with_elems(rest, usize::from(raw.parts)).ok()?;
    let (sender, rest) = rest.split_at_checked(usize::from(raw.sender_bytes))?;
    let (text, rest) = rest.split_at_checked(raw.text_bytes.get() as usize)?;
    let (trace, rest) = rest.split_at_checked(raw.trace_bytes.get() as usize)?;
    let image = MessageImage {
        id: MessageId(raw.id.get()),
        recipient: Msisdn::from_word(raw.recipient.get())?,
        send_until: WallMs(raw.send_until_ms.get()),
        deadline: WallMs(raw.deadline_ms.get()),
        due: WallMs(raw.due_ms.get()),
        fate_sequence: raw.fate_sequence.get(),
        finished: raw.finished.get(),
        account: AccountId(raw.account.get()),
        carrier: CarrierId(raw.carrier.get()),
        code: raw.code.get(),
        attempt: raw.attempt.get(),
        class: Class::from_byte(raw.class)?,
        alphabet: raw.alphabet,
        why: raw.why,
        state: raw.state,
        may_have_left: raw.flags & MAY_HAVE_LEFT != 0,
        is_received: raw.flags & IS_RECEIVED != 0,
        sender,
        text,
        trace,
    };
    Some((image, PartImages(parts.iter()), rest))
}

/// The segments of a message, in their order.
#[derive(Clone, Debug)]
pub struct PartImages<'a>(core::slice::Iter<'a, RawPart>);

impl Iterator for PartImages<'_> {
    type Item = PartImage;

    fn next(&mut self) -> Option<PartImage> {
        let raw = self.0.next()?;
        Some(PartImage {
            state: raw.state,
            receipt: raw.receipt.get(),
            named_by: CarrierId(raw.named_by.get()),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for PartImages<'_> {}
