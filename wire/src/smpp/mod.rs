//! SMPP 3.3, 3.4 and what is used of 5.0, in both roles: ESME towards carriers, MC towards customers.
//!
//! - PDUs as views of the bytes that came, and as bytes appended to a buffer: [`sm`], [`bind`], [`query`], [`unserved`],
//!   over [`header`], [`tlv`] and [`fields`];
//! - [`receipt`]: what a carrier reports about a message, in all its dialects; [`carrier_id`]: ids that match;
//! - [`handset`]: what a handset sent to a number of ours;
//! - [`profile`]: how one carrier wants to be spoken to;
//! - [`session`]: one connection's protocol as a state machine.
//!
//! Real carriers are sloppy, and a PDU is worth more than a rule: lengths that the specification prints beside a field
//! are not enforced, unknown TLVs pass, responses may lack their bodies. What cannot be read is an error, never a panic.
//! Nothing but [`profile`] knows a carrier's dialect, and nothing a route. Section numbers are those of SMPP 3.4 issue 1.2.

pub mod bind;
pub mod carrier_id;
pub mod command;
pub mod fields;
#[cfg(test)]
mod golden;
pub mod handset;
pub mod header;
pub mod limits;
pub mod profile;
#[cfg(test)]
mod properties;
pub mod query;
mod reader;
pub mod receipt;
mod receipt_text;
mod receipt_write;
pub mod session;
pub mod sm;
pub mod state;
pub mod status;
pub mod tally;
pub mod tlv;
pub mod unserved;
pub mod validity;

pub use bind::{Bind, BindKind};
pub use carrier_id::{CarrierMessageId, IdForm};
pub use command::{CommandId, Sequence};
pub use fields::{Address, DataCoding, EsmClass, Npi, RegisteredDelivery, Ton};
pub use profile::Profile;
pub use reader::DecodeError;
pub use receipt::{IdPlace, Receipt, ReceiptDialect, ReceiptError, ReceiptSign, ReceiptSource, Scratch};
pub use receipt_write::ReceiptOut;
pub use session::{CloseReason, Event, Options, Refused, RequestKind, Session, Timers};
pub use sm::Sm;
pub use state::MessageState;
pub use status::{CommandStatus, Verdict};
pub use tally::Statuses;
pub use tlv::{Tag, Tlvs, put_tlv};
