//! What a snapshot's head holds of handsets: parts whose text is not whole, and what a repetition is known by.
//!
//! ```text
//! | collected u32 | known u32 | known: 24 each | collected: 40 and its octets, each |
//! ```
//!
//! It stands near the head's end since version 3. Messages of handsets that are whole lie among the other messages.

use wire::id::CarrierId;
use wire::msisdn::Msisdn;
use wire::time::WallMs;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A part of a handset's text that waits for the others. Its numbers mean what they mean in records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedImage {
    /// By which carrier.
    pub carrier: CarrierId,
    /// The handset.
    pub source: Msisdn,
    /// The number of ours that it was sent to.
    pub destination: Msisdn,
    /// What the parts have in common.
    pub reference: u16,
    /// How many parts there are.
    pub total: u8,
    /// Which it is, from 1.
    pub number: u8,
    /// The alphabet of its octets.
    pub alphabet: u8,
    /// How long the others are waited for.
    pub until: WallMs,
    /// Its octets.
    pub octets: Box<[u8]>,
}

/// What a handset's message, or a part of one, is known by when it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownImage {
    /// The hash of all that its carrier said.
    pub fingerprint: u64,
    /// The session that brought it; 0: whichever.
    pub session: u64,
    /// How long it is known.
    pub until: WallMs,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawCounts {
    collected: U32,
    known: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawKnown {
    fingerprint: U64,
    session: U64,
    until_ms: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawCollected {
    source: U64,
    destination: U64,
    until_ms: U64,
    carrier: U32,
    octets: U32,
    reference: U16,
    total: u8,
    number: u8,
    alphabet: u8,
    reserved: [u8; 3],
}

const _: () = assert!(size_of::<RawKnown>() == 24 && size_of::<RawCollected>() == 40);

/// Appends both tables.
pub(super) fn encode(collected: &[CollectedImage], known: &[KnownImage], out: &mut Vec<u8>) {
    let count = |len: usize| U32::new(u32::try_from(len).expect("tables are bounded far below 2^32"));
    let counts = RawCounts { collected: count(collected.len()), known: count(known.len()) };
    out.extend_from_slice(counts.as_bytes());
    for image in known {
        let raw = RawKnown {
            fingerprint: U64::new(image.fingerprint),
            session: U64::new(image.session),
            until_ms: U64::new(image.until.0),
        };
        out.extend_from_slice(raw.as_bytes());
    }
    for image in collected {
        let raw = RawCollected {
            source: U64::new(image.source.to_word()),
            destination: U64::new(image.destination.to_word()),
            until_ms: U64::new(image.until.0),
            carrier: U32::new(image.carrier.0),
            octets: count(image.octets.len()),
            reference: U16::new(image.reference),
            total: image.total,
            number: image.number,
            alphabet: image.alphabet,
            reserved: [0; 3],
        };
        out.extend_from_slice(raw.as_bytes());
        out.extend_from_slice(&image.octets);
    }
}

/// Both tables and what follows them; earlier versions end before them. `None` when the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Option<(Vec<CollectedImage>, Vec<KnownImage>, &[u8])> {
    if bytes.is_empty() {
        return Some((Vec::new(), Vec::new(), bytes));
    }
    let (counts, rest) = RawCounts::ref_from_prefix(bytes).ok()?;
    let (known, mut rest) =
        <[RawKnown]>::ref_from_prefix_with_elems(rest, counts.known.get() as usize).ok()?;
    let known = known.iter().map(|raw| KnownImage {
        fingerprint: raw.fingerprint.get(),
        session: raw.session.get(),
        until: WallMs(raw.until_ms.get()),
    });
    let mut collected = Vec::new();
    for _ in 0..counts.collected.get() {
        let (raw, behind) = RawCollected::ref_from_prefix(rest).ok()?;
        let (octets, behind) = behind.split_at_checked(raw.octets.get() as usize)?;
        rest = behind;
        collected.push(CollectedImage {
            carrier: CarrierId(raw.carrier.get()),
            source: Msisdn::from_word(raw.source.get())?,
            destination: Msisdn::from_word(raw.destination.get())?,
            reference: raw.reference.get(),
            total: raw.total,
            number: raw.number,
            alphabet: raw.alphabet,
            until: WallMs(raw.until_ms.get()),
            octets: octets.into(),
        });
    }
    Some((collected, known.collect(), rest))
}
