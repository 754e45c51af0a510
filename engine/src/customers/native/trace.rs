//! A message's state and trace as a frame.

use shards::api::MessageView;
use shards::plan::Plan;
use wire::id::MessageId;
use wire::native::{TraceStep, TraceWriter};

use crate::customers::limits::TRACE_STEPS_MAX;

/// State and id of an answer about a message that is not known.
const NOT_FOUND: (u8, MessageId) = (0, MessageId(0));

/// State and id of an answer that says to ask again later.
const BUSY: (u8, MessageId) = (5, MessageId(0));

/// Appends an answer that says to repeat the query of this number later.
pub(super) fn put_busy(number: u64, out: &mut Vec<u8>) {
    let (state, id) = BUSY;
    TraceWriter::begin(number, id, state, out).close(out);
}

/// Appends the answer to the query of this number.
pub(super) fn put(number: u64, view: Option<&MessageView>, plan: &Plan, out: &mut Vec<u8>) {
    let (state, id) = view.map_or(NOT_FOUND, |view| (view.state.code(), view.id));
    let mut writer = TraceWriter::begin(number, id, state, out);
    for step in view.iter().flat_map(|view| &view.trace).take(TRACE_STEPS_MAX) {
        let carrier = step.carrier.and_then(|id| plan.carrier_place(id));
        let carrier_name = carrier.map_or("", |place| &plan.carriers[place].name);
        let step = TraceStep {
            at_ms: step.at.0,
            kind: step.kind as u8,
            part: step.part,
            why: step.why as u8,
            attempt: step.attempt,
            code: step.code,
            carrier: &carrier_name[..carrier_name.floor_char_boundary(255)],
            carrier_id: step.carrier_message_id.get(..255).unwrap_or(&step.carrier_message_id),
        };
        writer.push(&step, out);
    }
    writer.close(out);
}
