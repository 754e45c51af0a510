//! One line for each thing in a log, with what is private hidden unless it is asked for.

use std::io::{self, Write};

use wal::{Entry, EntryKind, Item, Lsn, Record};
use wire::msisdn::Msisdn;
use wire::time::WallMs;

use super::super::words::masked;

/// What of a message is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Texts and senders.
    pub texts: bool,
    /// Whole numbers of recipients.
    pub numbers: bool,
}

/// Writes the lines of one item of a batch at `lsn`.
pub(super) fn item(lsn: Lsn, item: &Item<'_>, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    match item {
        Item::Entry(entry) => of_entry(lsn, entry, shown, out),
        Item::HardState(state) => {
            let (partition, term, vote, commit) = (state.partition.0, state.term, state.vote, state.commit);
            writeln!(out, "{lsn} hard-state partition={partition} term={term} vote={vote} commit={commit}")
        }
        Item::Start(start) => {
            let (node, shard, process, wall) = (start.node.0, start.shard.0, start.process, start.wall.0);
            writeln!(out, "{lsn} start node={node} shard={shard} process={process} at_ms={wall}")
        }
    }
}

fn of_entry(lsn: Lsn, entry: &Entry<'_>, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    let kind = match entry.kind {
        EntryKind::Records => "records",
        EntryKind::Members => "members",
        EntryKind::MembersJoint => "members-joint",
    };
    let Entry { partition, term, index, records_count, payload, .. } = entry;
    let bytes = payload.len();
    writeln!(
        out,
        "{lsn} entry partition={} index={index} term={term} kind={kind} records={records_count} bytes={bytes}",
        partition.0
    )?;
    for record in entry.records() {
        match record {
            Ok((at, record)) => of_record(lsn, at, &record, shown, out)?,
            Err(error) => writeln!(out, "{lsn}   unreadable: {error}")?,
        }
    }
    Ok(())
}

fn number(number: Msisdn, shown: Shown) -> String {
    let text = number.to_string();
    if shown.numbers { text } else { masked(&text) }
}

fn text(bytes: &[u8], shown: Shown) -> String {
    if shown.texts {
        format!("{:?}", String::from_utf8_lossy(bytes))
    } else {
        format!("({} bytes)", bytes.len())
    }
}

fn of_record(lsn: Lsn, at: WallMs, record: &Record<'_>, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{lsn}   at_ms={} ", at.0)?;
    match record {
        Record::Accepted(it) => writeln!(
            out,
            "accepted id={} account=#{} to={} class={} segments={} keyed={} send_until_ms={} deadline_ms={} sender={} text={}",
            it.id,
            it.account.0,
            number(it.recipient, shown),
            it.class.name(),
            it.segments,
            it.key.0 != 0,
            it.send_until_ms,
            it.deadline_ms,
            text(it.sender, shown),
            text(it.text, shown)
        ),
        Record::Attempted(it) => writeln!(
            out,
            "attempted id={} attempt={} parts={:#x} carrier=#{} link={} node={} process={} bind={} why={} skipped={} segments={} cut={:#04x}",
            it.id,
            it.attempt,
            it.parts,
            it.carrier.0,
            it.link,
            it.node.0,
            it.process,
            it.bind,
            it.why,
            it.skipped,
            it.segments,
            it.cut
        ),
        Record::Answered(it) => writeln!(
            out,
            "answered id={} attempt={} part={} outcome={} status={:#010x} retry_at_ms={} receipt={:#x} carrier_id={:?}",
            it.id,
            it.attempt,
            it.part,
            it.outcome,
            it.status,
            it.retry_at_ms,
            it.receipt,
            String::from_utf8_lossy(it.carrier_id)
        ),
        Record::Withdrawn(it) => writeln!(
            out,
            "withdrawn id={} attempt={} parts={:#x} retry_at_ms={}",
            it.id, it.attempt, it.parts, it.retry_at_ms
        ),
        Record::Doubted(it) => writeln!(
            out,
            "doubted id={} attempt={} parts={:#x} why={} settle_at_ms={}",
            it.id, it.attempt, it.parts, it.why, it.settle_at_ms
        ),
        Record::Requeued(it) => {
            writeln!(out, "requeued id={} attempt={} retry_at_ms={}", it.id, it.attempt, it.retry_at_ms)
        }
        Record::Reported(it) => writeln!(
            out,
            "reported id={} attempt={} part={} state={} error={} carrier=#{} fate={} why={}",
            it.id, it.attempt, it.part, it.state, it.error, it.carrier.0, it.fate, it.why
        ),
        _ => of_rare(record, shown, out),
    }
}

/// The records that a message seldom or never has.
fn of_rare(record: &Record<'_>, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    match record {
        Record::Parked(it) => writeln!(
            out,
            "parked carrier=#{} receipt={:#x} to={} state={} error={} until_ms={}",
            it.carrier.0,
            it.receipt,
            number(it.recipient, shown),
            it.state,
            it.error,
            it.until_ms
        ),
        Record::Strayed(it) => writeln!(
            out,
            "strayed carrier=#{} receipt={:#x} to={} state={} why={}",
            it.carrier.0,
            it.receipt,
            number(it.recipient, shown),
            it.state,
            it.why
        ),
        Record::Fated(it) => {
            writeln!(out, "fated id={} fate={} why={} code={}", it.id, it.fate, it.why, it.code)
        }
        Record::Acknowledged(it) => {
            writeln!(out, "acknowledged account=#{} sequence={}", it.account.0, it.sequence)
        }
        Record::Cancelled(it) => writeln!(out, "cancelled id={}", it.id),
        _ => of_handset(record, shown, out),
    }
}

/// The records of what came from handsets.
fn of_handset(record: &Record<'_>, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    match record {
        Record::Collected(it) => writeln!(
            out,
            "collected carrier=#{} from={} to={} reference={} part={}/{} until_ms={} octets={}",
            it.carrier.0,
            number(it.source, shown),
            number(it.destination, shown),
            it.reference,
            it.number,
            it.total,
            it.until_ms,
            text(it.octets, shown)
        ),
        Record::Received(it) => writeln!(
            out,
            "received id={} account=#{} carrier=#{} from={} to={} parts={} missing={:#x} text={}",
            it.id,
            it.account.0,
            it.carrier.0,
            number(it.source, shown),
            number(it.destination, shown),
            it.parts,
            it.missing,
            text(it.text, shown)
        ),
        Record::Discarded(it) => writeln!(
            out,
            "discarded carrier=#{} from={} to={} reference={} parts={}",
            it.carrier.0,
            number(it.source, shown),
            number(it.destination, shown),
            it.reference,
            it.total
        ),
        Record::Member(it) => writeln!(
            out,
            "member node={} standing={} votes-only={} directory={:016x} region={} address={}",
            it.node.0,
            standing(it.standing),
            it.votes_only,
            it.directory,
            it.region.escape_ascii(),
            it.address.escape_ascii()
        ),
        // A kind that is newer than this page: its number, and none of what it holds.
        other => writeln!(out, "kind {}", other.kind()),
    }
}

/// A member's standing, as `ctl cluster` names it.
const fn standing(byte: u8) -> &'static str {
    match byte {
        wal::record::Member::IN => "member",
        wal::record::Member::DRAINED => "drained",
        wal::record::Member::REMOVED => "removed",
        _ => "unknown",
    }
}
