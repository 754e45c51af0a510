//! How `wire`'s identifiers are stored in a body: as the plain number that each one wraps.
//!
//! The newtypes belong to `wire`, which knows nothing of rkyv; this adapter keeps it so.

use rkyv::rancor::Fallible;
use rkyv::with::{ArchiveWith, SerializeWith};
use rkyv::{Archived, Place};
use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId};
use wire::msisdn::Msisdn;

/// Stores an identifier as its number.
#[derive(Debug)]
pub(crate) struct AsNumber;

/// An identifier of `wire` that is stored as the number `$number`, which `$to` makes of it.
macro_rules! stored_as_number {
    ($($id:ty => $number:ty, $to:expr;)*) => {$(
        impl ArchiveWith<$id> for AsNumber {
            type Archived = Archived<$number>;
            type Resolver = ();

            fn resolve_with(field: &$id, (): (), out: Place<Self::Archived>) {
                let number: $number = $to(*field);
                out.write(Archived::<$number>::from(number));
            }
        }

        impl<S: Fallible + ?Sized> SerializeWith<$id, S> for AsNumber {
            fn serialize_with(_: &$id, _: &mut S) -> Result<(), S::Error> {
                Ok(())
            }
        }
    )*};
}

stored_as_number! {
    MessageId => u128, |id: MessageId| id.0;
    KeyHash => u128, |key: KeyHash| key.0;
    AccountId => u32, |account: AccountId| account.0;
    CarrierId => u32, |carrier: CarrierId| carrier.0;
    NodeId => u32, |node: NodeId| node.0;
    Msisdn => u64, Msisdn::to_word;
    Class => u8, |class: Class| class as u8;
}
