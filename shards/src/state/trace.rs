//! What happened to a message, packed.
//!
//! A step takes 8 to 20 bytes and the carrier's id of the message: kind, reason, part, then attempt, time since the last
//! step, carrier and code as variable-length numbers. Most messages have five steps and cost 60 bytes.

use wire::id::CarrierId;
use wire::time::WallMs;

use crate::api::{Step, StepKind, Why};
use crate::limits::{CARRIER_MESSAGE_ID_BYTES_MAX, TRACE_BYTES_MAX};

/// The steps of one message, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    packed: Vec<u8>,
    last_at: WallMs,
}

/// One step to be packed; [`Step`] is what comes out again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewStep<'a> {
    pub(crate) at: WallMs,
    pub(crate) kind: StepKind,
    pub(crate) attempt: u16,
    pub(crate) part: u8,
    pub(crate) why: Why,
    pub(crate) carrier: CarrierId,
    pub(crate) code: u32,
    pub(crate) carrier_message_id: &'a [u8],
}

impl NewStep<'_> {
    pub(crate) const fn new(at: WallMs, kind: StepKind, why: Why) -> Self {
        Self { at, kind, attempt: 0, part: 0, why, carrier: CarrierId(0), code: 0, carrier_message_id: &[] }
    }
}

/// What a message takes that is accepted, sent, reported and over: five steps and a carrier's id.
const USUAL_BYTES: usize = 80;

const KINDS: [StepKind; 10] = [
    StepKind::Accepted,
    StepKind::Attempted,
    StepKind::Sent,
    StepKind::RefusedForNow,
    StepKind::RefusedForGood,
    StepKind::Withdrawn,
    StepKind::Doubted,
    StepKind::SendAgain,
    StepKind::Reported,
    StepKind::Fated,
];

impl Trace {
    /// Adds a step. When the trace is full, only doubts and fates are still added.
    pub(crate) fn push(&mut self, step: &NewStep<'_>) {
        let must_stay = matches!(step.kind, StepKind::Doubted | StepKind::SendAgain | StepKind::Fated);
        if self.is_full() && !must_stay {
            return;
        }
        let id = &step.carrier_message_id[..step.carrier_message_id.len().min(CARRIER_MESSAGE_ID_BYTES_MAX)];
        self.packed.extend_from_slice(&[step.kind as u8, step.why as u8, step.part]);
        self.put(u64::from(step.attempt));
        self.put(step.at.0.saturating_sub(self.last_at.0));
        self.put(u64::from(step.carrier.0));
        self.put(u64::from(step.code));
        self.put(id.len() as u64);
        self.packed.extend_from_slice(id);
        self.last_at = self.last_at.max(step.at);
    }

    /// Whether it has as many bytes as it may have.
    pub(crate) fn is_full(&self) -> bool {
        self.packed.len() >= TRACE_BYTES_MAX
    }

    /// Forgets all, and keeps the buffer for the next message of the slot.
    pub(crate) fn restart(&mut self) {
        self.packed.clear();
        self.packed.reserve(USUAL_BYTES);
        self.last_at = WallMs(0);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.packed
    }

    /// The trace whose [`Trace::bytes`] these are; `None` when they are none's.
    pub(crate) fn restore(&mut self, packed: &[u8]) -> Option<()> {
        self.restart();
        let mut rest = packed;
        while let [kind, _, _, tail @ ..] = rest {
            KINDS.get(usize::from(*kind).checked_sub(1)?)?;
            rest = tail;
            u16::try_from(take(&mut rest)?).ok()?;
            self.last_at = WallMs(self.last_at.0.checked_add(take(&mut rest)?)?);
            u32::try_from(take(&mut rest)?).ok()?;
            u32::try_from(take(&mut rest)?).ok()?;
            let bytes = usize::try_from(take(&mut rest)?).ok()?;
            rest = rest.get(bytes..)?;
        }
        self.packed.extend_from_slice(packed);
        rest.is_empty().then_some(())
    }

    /// The steps, unpacked.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut rest = self.packed.as_slice();
        let mut at = 0;
        let mut steps = Vec::new();
        while let [kind, why, part, tail @ ..] = rest {
            rest = tail;
            let mut number = || take(&mut rest).expect("a packed number ends");
            let attempt = u16::try_from(number()).expect("packed from a u16");
            at += number();
            let carrier = u32::try_from(number()).expect("packed from a u32");
            let code = u32::try_from(number()).expect("packed from a u32");
            let bytes = usize::try_from(number()).expect("packed from a length");
            let (id, tail) = rest.split_at(bytes);
            rest = tail;
            steps.push(Step {
                at: WallMs(at),
                kind: KINDS[usize::from(*kind) - 1],
                attempt,
                part: *part,
                why: Why::from_byte(*why),
                carrier: (carrier != 0).then_some(CarrierId(carrier)),
                code,
                carrier_message_id: id.into(),
            });
        }
        steps
    }

    fn put(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.packed.push((number & 0x7F) as u8 | 0x80);
            number >>= 7;
        }
        self.packed.push((number & 0x7F) as u8);
    }
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (place, &byte) in rest.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            *rest = &rest[place + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_out_as_they_went_in() {
        let mut trace = Trace::default();
        let accepted = NewStep::new(WallMs(1_795_402_975_120), StepKind::Accepted, Why::None);
        trace.push(&accepted);
        trace.push(&NewStep {
            attempt: 3,
            part: 1,
            carrier: CarrierId(0xDEAD_BEEF),
            code: 0x58,
            carrier_message_id: b"abc",
            ..NewStep::new(WallMs(1_795_402_975_320), StepKind::RefusedForNow, Why::Response)
        });
        let steps = trace.steps();
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].at, steps[0].carrier), (accepted.at, None));
        assert_eq!((steps[1].at, steps[1].attempt, steps[1].part), (WallMs(1_795_402_975_320), 3, 1));
        assert_eq!((steps[1].code, &*steps[1].carrier_message_id), (0x58, b"abc".as_slice()));
        assert!(trace.bytes().len() < 40, "{}", trace.bytes().len());
    }

    #[test]
    fn a_full_trace_still_takes_doubts_and_the_fate() {
        let mut trace = Trace::default();
        while !trace.is_full() {
            trace.push(&NewStep::new(WallMs(0), StepKind::Attempted, Why::None));
        }
        let before = trace.steps().len();
        trace.push(&NewStep::new(WallMs(0), StepKind::Attempted, Why::None));
        trace.push(&NewStep::new(WallMs(0), StepKind::Doubted, Why::ConnectionLost));
        trace.push(&NewStep::new(WallMs(0), StepKind::Fated, Why::ReceiptWaitOver));
        assert_eq!(trace.steps().len(), before + 2);
    }
}
