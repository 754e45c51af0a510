//! What the customers' side asks of the brain, as values.
//!
//! A connection's bytes are tested with bytes, so nothing here calls the brain: each `handle_*` is given a closure that
//! takes an [`Ask`]. The shell's closure hands it on at once, so that nothing is copied; a test's closure writes it down.
//! Answers come back through [`super::Customers::handle_reply`], never as a return value: most rest on a sync.

use shards::api::{Cancellation, Origin, Submission, Subscription};
use wire::id::{AccountId, MessageId, Partition};

/// One request to the brain.
#[derive(Debug)]
pub enum Ask<'a> {
    /// Take this message.
    Submit {
        /// Which request of which connection.
        origin: Origin,
        /// The message.
        submission: &'a Submission<'a>,
    },
    /// Say what became of a message.
    Query {
        /// Which request of which connection.
        origin: Origin,
        /// Who asks: another account's message is not found.
        account: AccountId,
        /// The message.
        id: MessageId,
    },
    /// Take a message back that has not left.
    Cancel {
        /// Which request of which connection.
        origin: Origin,
        /// Which message, and whose.
        cancellation: &'a Cancellation,
    },
    /// Tell fates from now on.
    Subscribe {
        /// The subscription's name from now on.
        origin: Origin,
        /// What is wanted.
        subscription: &'a Subscription,
    },
    /// Tell no more.
    Unsubscribe {
        /// The subscription.
        origin: Origin,
    },
    /// All fates up to here have arrived.
    Acknowledge {
        /// The subscription whose credits this frees, if it still stands.
        origin: Origin,
        /// Whose fates.
        account: AccountId,
        /// Of which partition.
        partition: Partition,
        /// Up to and with this one.
        sequence: u64,
    },
}
