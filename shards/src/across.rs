//! What the brains of two nodes say to each other about a partition that both hold, and its bytes.
//!
//! A word is an rkyv value, looked through before it is believed; the stream's frames have its length and checksum, and its hello the
//! version. What a number means is said where it is a record's or the native protocol's number, too; one that means nothing here
//! makes the whole word unreadable, which costs a question that is asked again.

use core::time::Duration;

use bytes::Bytes;
use rkyv::rancor::Error;
use rkyv::{Archive, Deserialize, Serialize};
use wire::id::{AccountId, CarrierId, Class, MessageId, NodeId, Partition};
use wire::msisdn::Msisdn;
use wire::smpp::handset::Coding;
use wire::smpp::status::CommandStatus;
use wire::text::PartHeader;
use wire::time::WallMs;

use crate::api::{
    Acceptance, Cancellation, MessageView, NotCancelled, Refusal, Sender, State, Step, StepKind, Submission,
    Why,
};
use crate::members::{self, Act, NotDone};
use crate::shard::cross::{OwnedSubmission, Receipt};
use crate::shard::handsets::HandsetPart;

/// A class that the submission does not name.
const NO_CLASS: u8 = u8::MAX;

/// One word.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum Word {
    /// The home of the partition is asked.
    Ask(u64, u16, Question),
    /// It answers the question of this number.
    Reply(u64, Answer),
    /// A customer has the account's fates of the partition up to a number.
    Acknowledge(u32, u16, u64),
    /// These accounts have a subscriber on the node that says so. It takes the place of what it said before.
    Listening(Vec<u32>),
    /// The members whom the shard that says so knows: a run of whole records ([`wal::record::Member`]).
    Members(Vec<u8>),
}

/// What a home is asked.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum Question {
    Submit {
        account: u32,
        recipient: u64,
        class: u8,
        /// 0: the class's.
        validity_ms: u64,
        sender: String,
        key: Vec<u8>,
        text: String,
    },
    Query {
        account: u32,
        id: u128,
    },
    Cancel {
        account: u32,
        id: u128,
        sender: Vec<u8>,
        /// 0: whichever it has.
        recipient: u64,
    },
    Receipt {
        carrier: u32,
        id: u64,
        recipient: u64,
        state: u8,
        error: u32,
    },
    Handset {
        carrier: u32,
        source: u64,
        destination: u64,
        /// Reference, total and number.
        part: Option<(u16, u8, u8)>,
        coding: u8,
        octets: Vec<u8>,
        fingerprint: u64,
        session: u64,
    },
    Act(MembersAct),
}

/// What an operator does with the members of the cluster.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum MembersAct {
    /// Region, address, certificate's name, and whether it only votes.
    Join(String, String, String, bool),
    Drain(u32),
    Return(u32),
    Remove(u32),
}

/// The node that an act was about, or why it was not done ([`NotDone::code`]).
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum ActDone {
    Node(u32),
    Not(u8, u32),
}

/// What it answers.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// A submission was taken: its id, and whether its key was known.
    Taken(u128, bool),
    /// It was not: [`Refusal::code`].
    Refused(u8),
    /// What is known of a message.
    View(Option<View>),
    /// A message was taken back.
    Cancelled,
    /// There is no such message.
    NoSuchMessage,
    /// It is too late: [`State::code`].
    TooLate(u8),
    /// This node is not the home, or cannot say it now.
    NotHere,
    /// `command_status` for a receipt or a handset's message (SMPP 3.4 §5.1.3).
    Brought(u32),
    /// What came of an operator's act.
    Done(ActDone),
}

/// A message as it is shown.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct View {
    id: u128,
    state: u8,
    recipient: u64,
    sender: Vec<u8>,
    class: u8,
    segments: u8,
    send_until_ms: u64,
    trace: Vec<ViewStep>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct ViewStep {
    at_ms: u64,
    kind: u8,
    attempt: u16,
    part: u8,
    why: u8,
    carrier: Option<u32>,
    code: u32,
    carrier_message_id: Vec<u8>,
}

impl Word {
    /// Its bytes.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let bytes = rkyv::to_bytes::<Error>(self).expect("what has a length has bytes");
        Bytes::from(bytes.into_vec())
    }

    /// What bytes say; `None` when they are no word.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        rkyv::from_bytes::<Self, Error>(bytes).ok()
    }
}

impl From<&Submission<'_>> for Question {
    fn from(submission: &Submission<'_>) -> Self {
        let Submission { account, recipient, sender, key, class, validity, text } = *submission;
        let validity_ms = validity.map_or(0, |validity| validity.as_millis());
        Self::Submit {
            account: account.0,
            recipient: recipient.to_word(),
            class: class.map_or(NO_CLASS, |class| class as u8),
            validity_ms: u64::try_from(validity_ms).unwrap_or(u64::MAX),
            sender: sender.to_owned(),
            key: key.to_vec(),
            text: text.to_owned(),
        }
    }
}

impl From<&Cancellation> for Question {
    fn from(cancellation: &Cancellation) -> Self {
        Self::Cancel {
            account: cancellation.account.0,
            id: cancellation.id.0,
            sender: cancellation.sender.as_bytes().to_vec(),
            recipient: cancellation.recipient.map_or(0, Msisdn::to_word),
        }
    }
}

impl From<&Receipt> for Question {
    fn from(receipt: &Receipt) -> Self {
        let Receipt { carrier, id, recipient, state, error } = *receipt;
        Self::Receipt { carrier: carrier.0, id, recipient: recipient.to_word(), state, error }
    }
}

impl From<&HandsetPart> for Question {
    fn from(part: &HandsetPart) -> Self {
        Self::Handset {
            carrier: part.carrier.0,
            source: part.source.to_word(),
            destination: part.destination.to_word(),
            part: part.part.map(|header| (header.reference, header.total, header.number)),
            coding: part.coding as u8,
            octets: part.octets.to_vec(),
            fingerprint: part.fingerprint,
            session: part.session,
        }
    }
}

/// A question as the home's handlers take it.
#[derive(Debug)]
pub(crate) enum Asked {
    Submit(OwnedSubmission),
    Query(AccountId, MessageId),
    Cancel(Cancellation),
    Receipt(Receipt),
    Handset(HandsetPart),
    Act(Act),
}

impl Question {
    /// What is asked; `None` when a number in it means nothing.
    pub(crate) fn read(self) -> Option<Asked> {
        Some(match self {
            Self::Submit { account, recipient, class, validity_ms, sender, key, text } => {
                let class = if class == NO_CLASS { None } else { Some(Class::from_byte(class)?) };
                let submission = Submission {
                    account: AccountId(account),
                    recipient: Msisdn::from_word(recipient)?,
                    sender: &sender,
                    key: &key,
                    class,
                    validity: (validity_ms > 0).then(|| Duration::from_millis(validity_ms)),
                    text: &text,
                };
                Asked::Submit(OwnedSubmission::from(&submission))
            }
            Self::Act(act) => Asked::Act(act.read()),
            Self::Query { account, id } => Asked::Query(AccountId(account), MessageId(id)),
            Self::Cancel { account, id, sender, recipient } => {
                let recipient = if recipient == 0 { None } else { Some(Msisdn::from_word(recipient)?) };
                let (account, id, sender) = (AccountId(account), MessageId(id), Sender::new(&sender));
                Asked::Cancel(Cancellation { account, id, sender, recipient })
            }
            Self::Receipt { carrier, id, recipient, state, error } => {
                let recipient = Msisdn::from_word(recipient)?;
                Asked::Receipt(Receipt { carrier: CarrierId(carrier), id, recipient, state, error })
            }
            Self::Handset { carrier, source, destination, part, coding, octets, fingerprint, session } => {
                Asked::Handset(HandsetPart {
                    carrier: CarrierId(carrier),
                    source: Msisdn::from_word(source)?,
                    destination: Msisdn::from_word(destination)?,
                    part: part.map(|(reference, total, number)| PartHeader { reference, total, number }),
                    coding: Coding::from_byte(coding)?,
                    octets: octets.into_boxed_slice(),
                    fingerprint,
                    session,
                })
            }
        })
    }

    /// The partition that it is about, of so many.
    pub(crate) fn partition(&self, partitions: wire::id::PartitionCount) -> Option<Partition> {
        let of = |word: u64| Msisdn::from_word(word).map(|msisdn| partitions.partition_of(msisdn));
        match *self {
            Self::Submit { recipient, .. } | Self::Receipt { recipient, .. } => of(recipient),
            Self::Handset { source, .. } => of(source),
            Self::Query { id, .. } | Self::Cancel { id, .. } => Some(MessageId(id).partition()),
            Self::Act(_) => Some(members::system(partitions)),
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes_len(&self) -> usize {
        let texts = match self {
            Self::Submit { sender, key, text, .. } => sender.len() + key.len() + text.len(),
            Self::Handset { octets, .. } => octets.len(),
            Self::Act(MembersAct::Join(region, address, tls_name, _)) => {
                region.len() + address.len() + tls_name.len()
            }
            Self::Query { .. } | Self::Cancel { .. } | Self::Receipt { .. } | Self::Act(_) => 0,
        };
        size_of::<Self>() + texts
    }
}

impl Answer {
    pub(crate) fn of_submission(outcome: Result<Acceptance, Refusal>) -> Self {
        match outcome {
            Ok(Acceptance { id, known }) => Self::Taken(id.0, known),
            Err(refusal) => Self::Refused(refusal.code()),
        }
    }

    pub(crate) fn of_cancel(outcome: Result<(), NotCancelled>) -> Self {
        match outcome {
            Ok(()) => Self::Cancelled,
            Err(NotCancelled::NotFound) => Self::NoSuchMessage,
            Err(NotCancelled::TooLate(state)) => Self::TooLate(state.code()),
            Err(NotCancelled::Busy) => Self::NotHere,
        }
    }

    pub(crate) fn of_query(view: Option<&MessageView>) -> Self {
        Self::View(view.map(View::from))
    }

    pub(crate) const fn of_act(outcome: Result<NodeId, NotDone>) -> Self {
        Self::Done(match outcome {
            Ok(node) => ActDone::Node(node.0),
            Err(reason) => {
                let (code, node) = reason.code();
                ActDone::Not(code, node)
            }
        })
    }

    pub(crate) const fn of_carrier(status: CommandStatus) -> Self {
        Self::Brought(status.0)
    }
}

impl From<&Act> for Question {
    fn from(act: &Act) -> Self {
        Self::Act(match act {
            Act::Join { region, address, tls_name, votes_only } => {
                MembersAct::Join(region.clone(), address.clone(), tls_name.clone(), *votes_only)
            }
            Act::Drain(node) => MembersAct::Drain(node.0),
            Act::Return(node) => MembersAct::Return(node.0),
            Act::Remove(node) => MembersAct::Remove(node.0),
        })
    }
}

impl MembersAct {
    fn read(self) -> Act {
        match self {
            Self::Join(region, address, tls_name, votes_only) => {
                Act::Join { region, address, tls_name, votes_only }
            }
            Self::Drain(node) => Act::Drain(NodeId(node)),
            Self::Return(node) => Act::Return(NodeId(node)),
            Self::Remove(node) => Act::Remove(NodeId(node)),
        }
    }
}

impl ActDone {
    /// A reason that means nothing here is that of a program that is newer.
    pub(crate) fn read(&self) -> Result<NodeId, NotDone> {
        match *self {
            Self::Node(node) => Ok(NodeId(node)),
            Self::Not(code, node) => Err(NotDone::from_code((code, node)).unwrap_or(NotDone::NoHome)),
        }
    }
}

impl From<&MessageView> for View {
    fn from(view: &MessageView) -> Self {
        let step = |step: &Step| ViewStep {
            at_ms: step.at.0,
            kind: step.kind as u8,
            attempt: step.attempt,
            part: step.part,
            why: step.why as u8,
            carrier: step.carrier.map(|carrier| carrier.0),
            code: step.code,
            carrier_message_id: step.carrier_message_id.to_vec(),
        };
        Self {
            id: view.id.0,
            state: view.state.code(),
            recipient: view.recipient.to_word(),
            sender: view.sender.as_bytes().to_vec(),
            class: view.class as u8,
            segments: view.segments,
            send_until_ms: view.send_until.0,
            trace: view.trace.iter().map(step).collect(),
        }
    }
}

impl View {
    /// The message; `None` when a number in it means nothing.
    pub(crate) fn read(self) -> Option<MessageView> {
        let step = |step: ViewStep| {
            Some(Step {
                at: WallMs(step.at_ms),
                kind: StepKind::from_byte(step.kind)?,
                attempt: step.attempt,
                part: step.part,
                why: Why::from_byte(step.why),
                carrier: step.carrier.map(CarrierId),
                code: step.code,
                carrier_message_id: step.carrier_message_id.into_boxed_slice(),
            })
        };
        Some(MessageView {
            id: MessageId(self.id),
            state: State::from_code(self.state)?,
            recipient: Msisdn::from_word(self.recipient)?,
            sender: Sender::new(&self.sender),
            class: Class::from_byte(self.class)?,
            segments: self.segments,
            send_until: WallMs(self.send_until_ms),
            trace: self.trace.into_iter().map(step).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Fate;

    fn msisdn(text: &str) -> Msisdn {
        Msisdn::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn words_come_back_as_they_were_said() {
        let submission = Submission {
            account: AccountId(7),
            recipient: msisdn("+4915112345678"),
            sender: "Acme",
            key: b"k\0",
            class: Some(Class::Otp),
            validity: Some(Duration::from_secs(9)),
            text: "your code",
        };
        let sender = Sender::new(b"Acme");
        let cancellation = Cancellation {
            account: AccountId(7),
            id: MessageId(99),
            sender,
            recipient: Some(submission.recipient),
        };
        let step = Step {
            at: WallMs(5),
            kind: StepKind::Sent,
            attempt: 2,
            part: 1,
            why: Why::Response,
            carrier: Some(CarrierId(3)),
            code: 4,
            carrier_message_id: Box::from(*b"id"),
        };
        let view = MessageView {
            id: MessageId(1 << 90),
            state: State::Final(Fate::Expired),
            recipient: submission.recipient,
            sender,
            class: Class::Marketing,
            segments: 2,
            send_until: WallMs(8),
            trace: vec![step],
        };
        let words = [
            Word::Ask(1, 2, Question::from(&submission)),
            Word::Ask(2, 2, Question::from(&cancellation)),
            Word::Reply(3, Answer::of_query(Some(&view))),
            Word::Reply(4, Answer::of_submission(Err(Refusal::Rate))),
            Word::Acknowledge(7, 15, u64::MAX),
            Word::Listening(vec![1, 2, 3]),
        ];
        for word in words {
            let bytes = word.to_bytes();
            assert_eq!(Word::from_bytes(&bytes), Some(word));
            for len in 0..bytes.len() {
                // Less than a word is another one or none, and never a panic.
                let _ = Word::from_bytes(&bytes[..len]);
            }
        }
        let Some(Asked::Submit(read)) = Question::from(&submission).read() else { panic!("a submission") };
        assert_eq!(format!("{:?}", read.borrow()), format!("{submission:?}"));
        assert!(
            matches!(Question::from(&cancellation).read(), Some(Asked::Cancel(read)) if read == cancellation)
        );
        assert_eq!(View::from(&view).read(), Some(view));
    }

    #[test]
    fn numbers_that_mean_nothing_are_seen() {
        let nobody = Question::Receipt { carrier: 1, id: 2, recipient: 0, state: 3, error: 0 };
        assert!(nobody.read().is_none());
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        }
        assert_eq!(Refusal::from_code(1), None);
    }
}
