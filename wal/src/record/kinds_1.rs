//! Kinds of records as they were written before they had another version: read, and never written.

use rkyv::{Archive, Serialize};
use wire::id::{CarrierId, MessageId, NodeId};

use super::number::AsNumber;

/// Version 1 of [`super::Attempted`]: the text was cut in one way for all carriers.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempted {
    #[rkyv(with = AsNumber)]
    pub(super) id: MessageId,
    pub(super) attempt: u16,
    pub(super) parts: u32,
    #[rkyv(with = AsNumber)]
    pub(super) carrier: CarrierId,
    pub(super) link: u16,
    #[rkyv(with = AsNumber)]
    pub(super) node: NodeId,
    pub(super) process: u64,
    pub(super) bind: u32,
    pub(super) why: u8,
    pub(super) skipped: u8,
}

/// Version 1 of [`super::Reported`]: the state made the fate, and only receipts were evidence.
#[derive(Archive, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported {
    #[rkyv(with = AsNumber)]
    pub(super) id: MessageId,
    pub(super) attempt: u16,
    pub(super) part: u8,
    pub(super) state: u8,
    pub(super) error: u32,
    #[rkyv(with = AsNumber)]
    pub(super) carrier: CarrierId,
}
