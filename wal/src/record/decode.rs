//! Bodies read back: validated bytes to the same values that were written.

use rkyv::api::low::{self, LowValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::{Archive, Archived, Portable};
use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId};
use wire::msisdn::Msisdn;

use super::{
    Accepted, Acknowledged, Answered, Attempted, Cancelled, Collected, Discarded, Doubted, Fated, Member,
    Parked, Raw, Received, Record, RecordError, Reported, Requeued, Strayed, Withdrawn, kinds_1, version_of,
};

/// `shards` calls a carrier's receipt by this number among its reasons.
const WHY_RECEIPT: u8 = 5;

/// The record of a header and its body, which lie at `offset`.
pub(super) fn body<'a>(raw: &Raw, bytes: &'a [u8], offset: usize) -> Result<Record<'a>, RecordError> {
    let (kind, version, flags) = (raw.kind, raw.version, raw.flags.get());
    if !(1..=version_of(kind)).contains(&version) || flags != 0 {
        return Err(RecordError::Unknown { offset, kind, version, flags });
    }
    let record = match kind {
        1 => accepted(bytes),
        2 if version == 1 => attempted_1(bytes),
        2 => attempted(bytes),
        3 => answered(bytes),
        4 => withdrawn(bytes),
        5 => doubted(bytes),
        6 => requeued(bytes),
        7 if version == 1 => reported_1(bytes),
        7 => reported(bytes),
        8 => parked(bytes),
        9 => strayed(bytes),
        10 => fated(bytes),
        11 => acknowledged(bytes),
        12 => cancelled(bytes),
        13 => collected(bytes),
        14 => received(bytes),
        15 => discarded(bytes),
        16 => member(bytes),
        _ => return Err(RecordError::Unknown { offset, kind, version, flags }),
    };
    record.ok_or(RecordError::Body { offset, kind })
}

/// The message that a record is about, which lies at `offset`: the id is the first field of each body that has one, and
/// the fields are the body's end.
pub(super) fn message(raw: &Raw, bytes: &[u8], offset: usize) -> Result<Option<MessageId>, RecordError> {
    let (kind, version, flags) = (raw.kind, raw.version, raw.flags.get());
    if !(1..=version_of(kind)).contains(&version) || flags != 0 {
        return Err(RecordError::Unknown { offset, kind, version, flags });
    }
    let fields = match kind {
        1 => size_of::<Archived<Accepted<'_>>>(),
        2 if version == 1 => size_of::<Archived<kinds_1::Attempted>>(),
        2 => size_of::<Archived<Attempted>>(),
        3 => size_of::<Archived<Answered<'_>>>(),
        4 => size_of::<Archived<Withdrawn>>(),
        5 => size_of::<Archived<Doubted>>(),
        6 => size_of::<Archived<Requeued>>(),
        7 if version == 1 => size_of::<Archived<kinds_1::Reported>>(),
        7 => size_of::<Archived<Reported>>(),
        8 | 9 | 11 | 13..=16 => return Ok(None),
        10 => size_of::<Archived<Fated>>(),
        12 => size_of::<Archived<Cancelled>>(),
        _ => return Err(RecordError::Unknown { offset, kind, version, flags }),
    };
    let at = bytes.len().checked_sub(fields);
    let id = at.and_then(|at| bytes[at..].first_chunk::<16>());
    id.map(|id| Some(MessageId(u128::from_le_bytes(*id)))).ok_or(RecordError::Body { offset, kind })
}

/// The validated body, `None` when the bytes are none.
fn view<T>(bytes: &[u8]) -> Option<&T::Archived>
where
    T: Archive,
    T::Archived: Portable + for<'v> CheckBytes<LowValidator<'v, Failure>>,
{
    low::access::<T::Archived, Failure>(bytes).ok()
}

fn accepted(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Accepted<'_>>(bytes)?;
    Some(Record::Accepted(Accepted {
        id: MessageId(body.id.to_native()),
        account: AccountId(body.account.to_native()),
        tenant: body.tenant.to_native(),
        recipient: Msisdn::from_word(body.recipient.to_native())?,
        channel: body.channel,
        class: Class::from_byte(body.class)?,
        key: KeyHash(body.key.to_native()),
        body: body.body.to_native(),
        send_until_ms: body.send_until_ms.to_native(),
        deadline_ms: body.deadline_ms.to_native(),
        not_before_ms: body.not_before_ms.to_native(),
        key_id: body.key_id.to_native(),
        alphabet: body.alphabet,
        segments: body.segments,
        sender: &body.sender,
        text: &body.text,
    }))
}

fn attempted(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Attempted>(bytes)?;
    Some(Record::Attempted(Attempted {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        parts: body.parts.to_native(),
        carrier: CarrierId(body.carrier.to_native()),
        link: body.link.to_native(),
        node: NodeId(body.node.to_native()),
        process: body.process.to_native(),
        bind: body.bind.to_native(),
        why: body.why,
        skipped: body.skipped,
        segments: body.segments,
        cut: body.cut,
    }))
}

fn attempted_1(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<kinds_1::Attempted>(bytes)?;
    Some(Record::Attempted(Attempted {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        parts: body.parts.to_native(),
        carrier: CarrierId(body.carrier.to_native()),
        link: body.link.to_native(),
        node: NodeId(body.node.to_native()),
        process: body.process.to_native(),
        bind: body.bind.to_native(),
        why: body.why,
        skipped: body.skipped,
        segments: 0,
        cut: 0,
    }))
}

fn answered(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Answered<'_>>(bytes)?;
    Some(Record::Answered(Answered {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        part: body.part,
        outcome: body.outcome,
        status: body.status.to_native(),
        retry_at_ms: body.retry_at_ms.to_native(),
        receipt: body.receipt.to_native(),
        carrier_id: &body.carrier_id,
    }))
}

fn withdrawn(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Withdrawn>(bytes)?;
    Some(Record::Withdrawn(Withdrawn {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        parts: body.parts.to_native(),
        retry_at_ms: body.retry_at_ms.to_native(),
    }))
}

fn doubted(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Doubted>(bytes)?;
    Some(Record::Doubted(Doubted {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        parts: body.parts.to_native(),
        why: body.why,
        settle_at_ms: body.settle_at_ms.to_native(),
    }))
}

fn requeued(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Requeued>(bytes)?;
    Some(Record::Requeued(Requeued {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        retry_at_ms: body.retry_at_ms.to_native(),
    }))
}

fn reported(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Reported>(bytes)?;
    Some(Record::Reported(Reported {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        part: body.part,
        state: body.state,
        error: body.error.to_native(),
        carrier: CarrierId(body.carrier.to_native()),
        fate: body.fate,
        why: body.why,
    }))
}

fn reported_1(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<kinds_1::Reported>(bytes)?;
    Some(Record::Reported(Reported {
        id: MessageId(body.id.to_native()),
        attempt: body.attempt.to_native(),
        part: body.part,
        state: body.state,
        error: body.error.to_native(),
        carrier: CarrierId(body.carrier.to_native()),
        fate: Reported::BY_STATE,
        why: WHY_RECEIPT,
    }))
}

fn parked(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Parked>(bytes)?;
    Some(Record::Parked(Parked {
        carrier: CarrierId(body.carrier.to_native()),
        receipt: body.receipt.to_native(),
        recipient: Msisdn::from_word(body.recipient.to_native())?,
        state: body.state,
        error: body.error.to_native(),
        until_ms: body.until_ms.to_native(),
    }))
}

fn strayed(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Strayed>(bytes)?;
    Some(Record::Strayed(Strayed {
        carrier: CarrierId(body.carrier.to_native()),
        receipt: body.receipt.to_native(),
        recipient: Msisdn::from_word(body.recipient.to_native())?,
        state: body.state,
        why: body.why,
    }))
}

fn fated(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Fated>(bytes)?;
    Some(Record::Fated(Fated {
        id: MessageId(body.id.to_native()),
        fate: body.fate,
        why: body.why,
        code: body.code.to_native(),
    }))
}

fn acknowledged(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Acknowledged>(bytes)?;
    Some(Record::Acknowledged(Acknowledged {
        account: AccountId(body.account.to_native()),
        sequence: body.sequence.to_native(),
    }))
}

fn cancelled(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Cancelled>(bytes)?;
    Some(Record::Cancelled(Cancelled { id: MessageId(body.id.to_native()) }))
}

fn collected(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Collected<'_>>(bytes)?;
    Some(Record::Collected(Collected {
        carrier: CarrierId(body.carrier.to_native()),
        source: Msisdn::from_word(body.source.to_native())?,
        destination: Msisdn::from_word(body.destination.to_native())?,
        reference: body.reference.to_native(),
        total: body.total,
        number: body.number,
        alphabet: body.alphabet,
        fingerprint: body.fingerprint.to_native(),
        known_until_ms: body.known_until_ms.to_native(),
        until_ms: body.until_ms.to_native(),
        octets: &body.octets,
    }))
}

fn received(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Received<'_>>(bytes)?;
    Some(Record::Received(Received {
        id: MessageId(body.id.to_native()),
        account: AccountId(body.account.to_native()),
        carrier: CarrierId(body.carrier.to_native()),
        source: Msisdn::from_word(body.source.to_native())?,
        destination: Msisdn::from_word(body.destination.to_native())?,
        reference: body.reference.to_native(),
        parts: body.parts,
        missing: body.missing.to_native(),
        fingerprint: body.fingerprint.to_native(),
        session: body.session.to_native(),
        known_until_ms: body.known_until_ms.to_native(),
        text: &body.text,
    }))
}

fn discarded(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Discarded>(bytes)?;
    Some(Record::Discarded(Discarded {
        carrier: CarrierId(body.carrier.to_native()),
        source: Msisdn::from_word(body.source.to_native())?,
        destination: Msisdn::from_word(body.destination.to_native())?,
        reference: body.reference.to_native(),
        total: body.total,
        fingerprint: body.fingerprint.to_native(),
        known_until_ms: body.known_until_ms.to_native(),
    }))
}

fn member(bytes: &[u8]) -> Option<Record<'_>> {
    let body = view::<Member<'_>>(bytes)?;
    Some(Record::Member(Member {
        node: NodeId(body.node.to_native()),
        standing: body.standing,
        votes_only: body.votes_only,
        directory: body.directory.to_native(),
        region: &body.region,
        address: &body.address,
        tls_name: &body.tls_name,
    }))
}
