//! What can happen in a world.

use replication::stream::LineId;
use shards::api::Reply;
use shards::{LinkId, Rebuild};
use wire::id::{AccountId, MessageId, Partition};
use wire::smpp::command::Sequence;
use wire::smpp::status::CommandStatus;

use crate::node::Seat;

/// One thing that happens. Things of a process name its *life*, and do not happen to a later one.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node's process starts.
    Start { node: usize },
    /// A core takes a turn, if it still is to at this time.
    Turn { life: u32, core: Seat },
    /// The batch in flight of a core is written and synced, or it fails.
    Synced { life: u32, core: Seat, fails: Fails },
    /// A segment of a core is prepared.
    Prepared { life: u32, core: Seat, seq: u64, fails: Fails },
    /// A core tries again to have a segment prepared.
    PrepareAgain { life: u32, core: Seat },
    /// A piece of a snapshot of a core is written, or there is no room for it; the last one is synced and named.
    Snapshot { life: u32, core: Seat, is_last: bool, fails: Fails },
    /// A carrier takes a connection, or not.
    Dialled { life: u32, core: Seat, link: LinkId, carrier: usize },
    /// The kernel takes bytes of a connection from the process.
    Send { conn: usize },
    /// Bytes of a connection arrive.
    Arrive { conn: usize, way: Way },
    /// One end of a connection learns that it is gone.
    Broken { conn: usize, end: End },
    /// A carrier's session has a timer that is due.
    CarrierTimer { conn: usize },
    /// A carrier does what it has planned.
    Carrier { carrier: usize, act: Act },
    /// A customer does something.
    Customer { customer: usize },
    /// A shard of a node takes a connection of another one's, or not.
    PeerDialled { life: u32, core: Seat, line: LineId, to: Seat },
    /// Bytes between two nodes arrive.
    PeerArrive { wire: usize, end: usize },
    /// One end of a connection between nodes learns that it is gone.
    PeerBroken { wire: usize, end: usize },
    /// A partition's state is made anew.
    Rebuilt { life: u32, core: Seat, rebuild: Box<Rebuild> },
    /// A customer's request arrives at its core.
    Request { core: Seat, life: u32, customer: usize, connection: u64, request: Request },
    /// A reply of a node arrives at a customer.
    Reply { node: usize, customer: usize, connection: u64, reply: Box<Reply> },
    /// A node that was removed is switched off.
    SwitchOff { node: usize },
    /// Something breaks.
    Fault(Fault),
    /// A stopping process is looked at.
    DrainWatch { node: usize, life: u32, until: u64 },
    /// All faults end.
    Heal,
    /// The world is looked at after it healed.
    Watch,
}

/// Whether a sync or a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fails {
    No,
    Yes,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToCarrier,
    ToNode,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Node,
    Carrier,
}

/// What a carrier does later.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Answer {
        conn: usize,
        sequence: Sequence,
        status: CommandStatus,
        id: Vec<u8>,
    },
    /// `generic_nack`, with the number or with none.
    Nack {
        conn: usize,
        sequence: Sequence,
    },
    Receipt {
        job: u64,
    },
    /// A part of a handset's text, from its carrier's store.
    Handset {
        part: u64,
    },
    /// Somebody writes.
    Writes,
    Unbind {
        conn: usize,
    },
    Break {
        conn: usize,
    },
}

/// What a customer wants.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Submit { request: u64, nonce: u64 },
    Query { request: u64, id: MessageId },
    Cancel { request: u64, id: MessageId },
    Subscribe { credits: u32, positions: Vec<(Partition, u64)> },
    Unsubscribe,
    Acknowledge { account: AccountId, partition: Partition, sequence: u64 },
}

/// What breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The process is gone; the machine goes on.
    Kill,
    /// The machine is gone.
    PowerCut,
    /// The process is asked to stop.
    Drain,
    /// A core is not scheduled.
    Pause,
    /// The wall clock is set.
    ClockStep,
    /// A connection is reset.
    Reset,
    /// The carrier's machine is gone, and nobody says so.
    HalfOpen,
    /// Nothing moves on a connection for a while.
    Stall,
    /// The operator reads another configuration in: each route begins with its next carrier.
    Replan,
    /// A node is cut off from the others.
    Cut,
    /// Operators let a node join, drain one, or remove one; or a node loses its disks.
    Members,
}
