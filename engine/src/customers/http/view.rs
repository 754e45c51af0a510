//! What became of a message, as JSON: the answer to `GET /v1/messages/{id}`, and the events of `GET /v1/events`.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use shards::api::{FateEvent, HandsetMessage, MessageView, State, Step, StepKind};
use shards::plan::Plan;
use wire::id::{AccountId, CarrierId};

use super::cursor::Cursor;
use super::events::Event;
use crate::customers::limits::TRACE_STEPS_MAX;

/// Appends a message's state and trace.
pub(crate) fn put_message(view: &MessageView, plan: &Plan, out: &mut Vec<u8>) {
    let body = MessageBody {
        id: Shown(view.id),
        state: view.state.name(),
        recipient: Shown(view.recipient),
        class: view.class.name(),
        segments: view.segments,
        send_until: Shown(view.send_until),
        trace: view
            .trace
            .iter()
            .take(TRACE_STEPS_MAX)
            .map(|step| step_body(step, view.state, plan))
            .collect(),
    };
    serde_json::to_writer(out, &body).expect("a Vec takes all, and these fields are JSON");
}

/// Appends events and the cursor that stands behind the last of them.
pub(crate) fn put_events(
    events: &[Event],
    cursor: &Cursor,
    account: AccountId,
    plan: &Plan,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"events\":[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_event(event, plan, out);
    }
    out.extend_from_slice(b"],\"cursor\":\"");
    cursor.write(account, out);
    out.extend_from_slice(b"\"}");
}

/// Appends one event.
pub(crate) fn put_event(event: &Event, plan: &Plan, out: &mut Vec<u8>) {
    match event {
        Event::Fate(event) => serde_json::to_writer(out, &fate_body(event)),
        Event::Handset(message) => serde_json::to_writer(out, &handset_body(message, plan)),
    }
    .expect("a Vec takes all, and these fields are JSON");
}

fn fate_body(event: &FateEvent) -> FateBody {
    FateBody {
        kind: "fate",
        id: Shown(event.id),
        fate: event.fate.name(),
        at: Shown(event.at),
        why: event.why.name(),
        code: (event.code != 0).then_some(Code(event.code)),
    }
}

fn handset_body<'a>(message: &'a HandsetMessage, plan: &'a Plan) -> HandsetBody<'a> {
    HandsetBody {
        kind: "message",
        id: Shown(message.id),
        at: Shown(message.at),
        from: Shown(message.from),
        to: core::str::from_utf8(message.to.as_bytes()).unwrap_or_default(),
        text: &message.text,
        carrier: carrier_name(message.carrier, plan),
        parts: message.parts,
        missing: message.missing_parts().collect(),
    }
}

fn carrier_name(id: CarrierId, plan: &Plan) -> Cow<'_, str> {
    let place = plan.carrier_place(id);
    place.map_or_else(
        || Cow::Owned(format!("{:08x}", id.0)),
        |place| Cow::Borrowed(&*plan.carriers[place].name),
    )
}

fn step_body<'a>(step: &'a Step, state: State, plan: &'a Plan) -> StepBody<'a> {
    // A status of zero is an answer too (SMPP 3.4 §5.1.3: no error), but only of a step in which a carrier spoke.
    let spoken = matches!(
        step.kind,
        StepKind::Sent | StepKind::RefusedForNow | StepKind::RefusedForGood | StepKind::Reported
    );
    StepBody {
        at: Shown(step.at),
        what: step.kind.name(),
        attempt: step.attempt,
        part: step.part,
        carrier: step.carrier.map(|id| carrier_name(id, plan)),
        why: step.why.name(),
        code: (spoken || step.code != 0).then_some(Code(step.code)),
        fate: match (step.kind, state) {
            (StepKind::Fated, State::Final(fate)) => fate.name(),
            _ => "",
        },
        carrier_message_id: String::from_utf8_lossy(&step.carrier_message_id),
    }
}

#[derive(Serialize)]
struct MessageBody<'a> {
    id: Shown<wire::id::MessageId>,
    state: &'static str,
    recipient: Shown<wire::msisdn::Msisdn>,
    class: &'static str,
    segments: u8,
    send_until: Shown<wire::time::WallMs>,
    trace: Vec<StepBody<'a>>,
}

#[derive(Serialize)]
struct StepBody<'a> {
    at: Shown<wire::time::WallMs>,
    what: &'static str,
    #[serde(skip_serializing_if = "is_zero_u16")]
    attempt: u16,
    #[serde(skip_serializing_if = "is_zero_u8")]
    part: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(skip_serializing_if = "str::is_empty")]
    fate: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    carrier_message_id: Cow<'a, str>,
}

#[derive(Serialize)]
struct HandsetBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Shown<wire::id::MessageId>,
    at: Shown<wire::time::WallMs>,
    from: Shown<wire::msisdn::Msisdn>,
    to: &'a str,
    text: &'a str,
    carrier: Cow<'a, str>,
    parts: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<u8>,
}

#[derive(Serialize)]
struct FateBody {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Shown<wire::id::MessageId>,
    fate: &'static str,
    at: Shown<wire::time::WallMs>,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
}

/// Something as the text that it prints as.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A carrier's code as the standards print it.
struct Code(u32);

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{:08x}", self.0))
    }
}

// serde hands references to these.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls them with references")]
const fn is_zero_u16(value: &u16) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls them with references")]
const fn is_zero_u8(value: &u8) -> bool {
    *value == 0
}
