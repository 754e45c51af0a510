//! The requests and responses of the admin socket, as values that are JSON on the wire.
//!
//! A field is never taken away or given another meaning within a version; new ones may come, so whoever reads ignores what it
//! does not know. Times are milliseconds since 1970, durations name their unit.

use serde::{Deserialize, Serialize};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// One line to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`VERSION`].
    pub version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// How the node is.
    Status,
    /// How the cluster is, as this node sees it.
    Cluster,
    /// Each link to a carrier.
    Links,
    /// Each SMPP session of a customer.
    Customers,
    /// Each webhook of an account.
    Webhooks,
    /// What passes over the sessions of one carrier or one account, until the connection ends: [`Response::Tracing`], then a line
    /// with [`Response::Traced`] for each PDU.
    Trace {
        /// The carrier's name, or
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carrier: Option<String>,
        /// the account's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        /// Whether texts and the values of optional parameters are told.
        #[serde(default)]
        texts: bool,
        /// Whether numbers are told whole.
        #[serde(default)]
        numbers: bool,
    },
    /// What waits, by carrier and class.
    Queue,
    /// What became of a message.
    Message {
        /// Its id, as an answer gave it.
        id: String,
        /// Whether its recipient is told whole.
        #[serde(default)]
        show_numbers: bool,
    },
    /// Read the configuration again.
    Reload,
    /// Let a node join the cluster.
    Join {
        /// Where it is.
        region: String,
        /// Where its shard 0 is reached: `host:port`.
        address: String,
        /// The name in its certificate; empty: its host.
        #[serde(default)]
        tls_name: String,
        /// Whether it votes and is home of nothing.
        #[serde(default)]
        votes_only: bool,
    },
    /// Let a node be home of nothing.
    Drain {
        /// Its number.
        node: u32,
    },
    /// Let it be home of its share again.
    Return {
        /// Its number.
        node: u32,
    },
    /// Let a node be no member any more.
    Remove {
        /// Its number.
        node: u32,
    },
}

/// One line from the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`].
    pub version: u32,
    /// What is answered.
    #[serde(flatten)]
    pub response: Response,
}

/// What can be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Cluster`].
    Cluster(Box<Cluster>),
    /// To [`Request::Links`].
    Links(Vec<Link>),
    /// To [`Request::Customers`].
    Customers(Vec<Customer>),
    /// To [`Request::Webhooks`].
    Webhooks(Vec<Webhook>),
    /// To [`Request::Trace`], when it begins: what is looked at.
    Tracing(String),
    /// A PDU that passed.
    Traced(Traced),
    /// PDUs that passed and could not be told.
    Dropped(u64),
    /// To [`Request::Queue`].
    Queue(Vec<Queue>),
    /// To [`Request::Message`]; `None`: no such message is known here.
    Message(Option<Box<Message>>),
    /// To [`Request::Reload`], when the file was taken.
    Reload(Reload),
    /// To [`Request::Join`], [`Request::Drain`], [`Request::Return`] and [`Request::Remove`]: the number of the node.
    Done(u32),
    /// The request cannot be answered, and why.
    Error(String),
}

/// How the node is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The node's number.
    pub node: u32,
    /// Its region.
    pub region: String,
    /// The program's version.
    pub program: String,
    /// The process.
    pub pid: u32,
    /// When it started.
    pub started_ms: u64,
    /// Whether every partition decides.
    pub ready: bool,
    /// The configuration file; empty: started without one.
    pub config: String,
    /// When it was read.
    pub configured_ms: u64,
    /// Room on the disk of the data; `None`: the file system does not say.
    pub free_bytes: Option<u64>,
    /// Its shards.
    pub shards: Vec<Shard>,
}

/// How one shard is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Its number.
    pub shard: u16,
    /// Its core.
    pub core: usize,
    /// Whether it decides for all its partitions.
    pub ready: bool,
    /// Messages that are not over.
    pub open: u64,
    /// How many there may be.
    pub open_limit: u64,
    /// Messages in memory, open and over.
    pub kept: u64,
    /// Keys that are remembered.
    pub keys: u64,
    /// How many there may be.
    pub keys_limit: u64,
    /// What waits for carriers: `otp`, `transactional`, `notification`, `marketing`.
    pub queued: [u64; 4],
    /// Links that are up.
    pub links_up: u64,
    /// Links that there are.
    pub links: u64,
    /// Connections of customers and carriers.
    pub connections: u64,
    /// The end of what is durable: a place in the log.
    pub log_place: u64,
    /// The segment that it is in.
    pub log_segment: u64,
    /// Batches that were synced.
    pub syncs: u64,
    /// How long the last one took, in microseconds.
    pub sync_last_us: u64,
    /// Bounds that half, and 99 of 100, did not exceed; `None` before the first.
    pub sync_us: Option<[u64; 2]>,
    /// The same of answers to customers.
    pub answer_us: Option<[u64; 2]>,
    /// The same of carriers' responses.
    pub response_us: Option<[u64; 2]>,
    /// The same of fates.
    pub fate_us: Option<[u64; 2]>,
}

/// How the cluster is, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name; `None`: the node is alone.
    pub name: Option<String>,
    /// This node's number.
    pub node: u32,
    /// Its region.
    pub region: String,
    /// How many partitions there are.
    pub partitions: u64,
    /// How many of them are decided here.
    pub homes: u64,
    /// How many are decided by no node that this one knows of.
    pub without_home: u64,
    /// Of how many the state on this node is being made anew, or taken from their home.
    pub being_remade: u64,
    /// The home of the system partition, in which the members are; `None`: it has none that this node knows of, or the node is alone.
    #[serde(default)]
    pub system_home: Option<u32>,
    /// Its members and those that were, this node among them; none when the node is alone.
    pub members: Vec<Member>,
}

/// One member of the cluster, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub node: u32,
    /// Its region.
    pub region: String,
    /// Where its shard 0 is reached.
    pub address: String,
    /// `member`, `drained` or `removed`.
    pub standing: String,
    /// Whether its data directory is known, so that an empty one in its place is recognised.
    pub is_known: bool,
    /// Whether it votes and is home of nothing.
    pub votes_only: bool,
    /// In how many partitions it votes, as far as this node knows.
    pub votes: u64,
    /// In how many it is still to get what there is.
    pub learns: u64,
    /// Whether it is this node.
    pub is_this: bool,
    /// How many connections there are between its shards and those of this node; 0 of this node itself.
    pub shards_up: u64,
    /// How many there are to be; `None`: it has not said how many shards it has.
    pub shards_wanted: Option<u64>,
    /// How many partitions it decides, as far as this node knows.
    pub homes: u64,
    /// Of the partitions that this node decides: the most entries of one that the member is not known to have. `None`: it has not said of any
    /// what it has, or this node decides none.
    pub lag_entries: Option<u64>,
    /// Of how many of the partitions that this node decides the member has not said what it has.
    pub unheard: u64,
    /// Of the partitions that it decides: the most entries of one that this node knows to be committed and has not applied. `None`: it decides none.
    pub behind_entries: Option<u64>,
}

/// An account's webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The account.
    pub account: String,
    /// Where it posts to, without its query.
    pub url: String,
    /// Events that were told to it and not taken.
    pub waiting: u64,
    /// When the oldest of them happened.
    pub oldest_ms: Option<u64>,
    /// When it posts again; `None`: the last post was taken.
    pub again_ms: Option<u64>,
    /// Posts that were taken.
    pub posts_taken: u64,
    /// Posts that were not.
    pub posts_failed: u64,
    /// Events that were taken.
    pub events_taken: u64,
    /// Events that were not taken while they were kept.
    pub events_lapsed: u64,
    /// What went wrong last; empty: nothing did.
    pub trouble: String,
    /// When.
    pub trouble_ms: u64,
}

/// One link to a carrier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its shard.
    pub shard: u16,
    /// Its number there.
    pub link: u16,
    /// The carrier's name.
    pub carrier: String,
    /// Where it listens.
    pub address: String,
    /// Where the link stands.
    pub state: String,
    /// Whether it pauses since the carrier asked for that.
    pub paused: bool,
    /// Segments without a response.
    pub window_used: u32,
    /// How many there may be.
    pub window: u32,
    /// Segments a second, as configured; `None`: as many as the window lets through.
    pub rate: Option<u32>,
    /// Segments a second that the carrier was found to take; `None`: nothing was learnt.
    #[serde(default)]
    pub learnt_rate: Option<u32>,
    /// Segments that were queued.
    pub segments: u64,
    /// Responses that took one, refused one for now, refused one for good.
    pub answers: [u64; 3],
    /// Responses that asked us to slow down.
    pub throttled: u64,
    /// Segments without a response in time.
    pub timeouts: u64,
    /// Sessions that the carrier granted.
    pub sessions: u64,
    /// Connections that ended or were not to be had.
    pub lost: u64,
    /// How long the last response took, in microseconds.
    pub response_last_us: u64,
    /// How long they take in the mean, in microseconds.
    pub response_mean_us: u64,
    /// What went wrong last; empty: nothing yet.
    pub trouble: String,
    /// When.
    pub trouble_ms: u64,
    /// Bounds that half, and 99 of 100, responses did not exceed, in microseconds; `None` before the first.
    #[serde(default)]
    pub response_us: Option<[u64; 2]>,
    /// What segments were refused with, the most frequent first.
    #[serde(default)]
    pub errors: Vec<ErrorCount>,
    /// Refusals of further kinds.
    #[serde(default)]
    pub errors_other: u64,
    /// The PDU that came last; empty: none yet.
    #[serde(default)]
    pub last_pdu: String,
    /// When.
    #[serde(default)]
    pub last_pdu_ms: u64,
}

/// How often there was one kind of error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// The `command_status`.
    pub code: u32,
    /// Its name.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// One SMPP session of a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Its shard.
    pub shard: u16,
    /// Its number there.
    pub connection: u64,
    /// The account; empty before the bind.
    pub account: String,
    /// Where the session stands: `binding`, `transmitter`, `receiver`, `transceiver`, `unbinding`.
    pub state: String,
    /// The version that both ends know, as 0x34.
    pub version: u8,
    /// Submissions and queries without an answer.
    pub window_used: u32,
    /// Receipts without an answer.
    pub receipts_used: u32,
    /// How many there may be of each.
    pub window: u32,
    /// Segments a second of the account; `None`: no limit of its own.
    pub rate: Option<u32>,
    /// PDUs that came.
    pub pdus_in: u64,
    /// PDUs that were queued for it.
    pub pdus_out: u64,
    /// What its submissions were refused with, the most frequent first.
    pub errors: Vec<ErrorCount>,
    /// Refusals of further kinds.
    pub errors_other: u64,
    /// The PDU that came last; empty: none yet.
    pub last_pdu: String,
    /// When.
    pub last_pdu_ms: u64,
}

/// A PDU that passed over a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// When it was seen.
    pub at_ms: u64,
    /// Its shard.
    pub shard: u16,
    /// Its session there.
    pub session: String,
    /// Whether the daemon sent it.
    pub is_ours: bool,
    /// What it says.
    pub pdu: String,
}

/// What waits for one carrier in one class, on all shards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The carrier's name.
    pub carrier: String,
    /// The class.
    pub class: String,
    /// How many wait.
    pub waiting: u64,
    /// When the first of them was accepted.
    pub oldest_ms: Option<u64>,
}

/// A message, without its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// The account's name, or its number when it is not configured any more.
    pub account: String,
    /// Where it is.
    pub state: String,
    /// Its recipient; masked unless asked for.
    pub to: String,
    /// Its class.
    pub class: String,
    /// How many segments it has.
    pub segments: u8,
    /// Until when it may be sent.
    pub send_until_ms: u64,
    /// What happened, the oldest first.
    pub trace: Vec<Step>,
}

/// One step of a message's life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at_ms: u64,
    /// What.
    pub what: String,
    /// The attempt, from 1; 0 where there was none.
    pub attempt: u16,
    /// The segment, from 0.
    pub part: u8,
    /// Why; empty where there is no more to say.
    pub why: String,
    /// The carrier; empty where there was none.
    pub carrier: String,
    /// The carrier's code.
    pub code: u32,
    /// The carrier's id of the message.
    pub carrier_message_id: String,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// What is in force from now on.
    pub applied: Vec<String>,
    /// What stands in the file and needs a restart.
    pub needs_restart: Vec<String>,
}

/// A number with its middle hidden: enough to tell two apart in a conversation, too little to call.
#[must_use]
pub fn masked(number: &str) -> String {
    let (head, tail) = (number.chars().take(4), number.chars().count().saturating_sub(2).max(4));
    let hidden = tail - 4;
    head.chain(std::iter::repeat_n('*', hidden)).chain(number.chars().skip(tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_an_answer_are_one_flat_object_each() {
        let request = Request::Message { id: "01M".to_owned(), show_numbers: true };
        let text = serde_json::to_string(&Question { version: 1, request }).unwrap();
        assert_eq!(text, r#"{"version":1,"request":"message","id":"01M","show_numbers":true}"#);
        let asked: Question = serde_json::from_str(r#"{"version":1,"request":"status"}"#).unwrap();
        assert_eq!(asked.request, Request::Status);
        let answers = [
            Response::Error("no".to_owned()),
            Response::Message(None),
            Response::Queue(vec![Queue::default()]),
            Response::Status(Box::default()),
        ];
        for response in answers {
            let answer = Answer { version: VERSION, response };
            let text = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer, "{text}");
        }
    }

    #[test]
    fn a_masked_number_hides_its_middle() {
        assert_eq!(masked("+4915112345678"), "+491********78");
        assert_eq!(masked("+49123"), "+49123");
        assert_eq!(masked("123"), "123");
    }
}
