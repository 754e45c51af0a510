//! What a session tells its caller, and what it is told at birth.

use core::time::Duration;

use thiserror::Error;

use super::super::bind::{Bind, BindKind, Outbind};
use super::super::command::{CommandId, Sequence};
use super::super::limits;
use super::super::query::{AlertNotification, CancelSm, DataSm, QuerySm, QuerySmResp};
use super::super::reader::DecodeError;
use super::super::sm::{Sm, TooLong};
use super::super::status::CommandStatus;
use super::super::tlv::Tlvs;

/// The timers of SMPP 3.4 §7.2, and two of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the connection to a successful bind.
    pub session_init: Duration,
    /// How long nothing may come before `enquire_link` asks. Any byte of the peer proves life.
    pub enquire_link_idle: Duration,
    /// How long any response may take, that of `enquire_link` too.
    pub response: Duration,
    /// How long the token of a request that timed out is remembered for a late response.
    pub late_memory: Duration,
    /// How long may pass from [`super::Session::unbind`] to the `unbind`, while answers that the peer owes still come.
    pub drain: Duration,
    /// How long may pass from the `unbind` to its response, and from the peer's `unbind` to the last answer that either
    /// side owes.
    pub unbind: Duration,
}

impl Timers {
    /// Those of the limits.
    pub const DEFAULT: Self = Self {
        session_init: limits::SESSION_INIT,
        enquire_link_idle: limits::ENQUIRE_LINK_IDLE,
        response: limits::RESPONSE,
        late_memory: limits::LATE_MEMORY,
        drain: limits::DRAIN,
        unbind: limits::UNBIND,
    };
}

impl Default for Timers {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a session of either role can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Its timers.
    pub timers: Timers,
    /// Requests of ours in flight, at most. At most [`limits::WINDOW_PDUS_MAX`].
    pub window_pdus_max: u32,
    /// The largest `command_length` that is taken.
    pub pdu_bytes_max: usize,
    /// The number of the first request, 1 by the specification. Tests start near the end to see it wrap.
    pub first_sequence: Sequence,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timers: Timers::default(),
            window_pdus_max: 10,
            pdu_bytes_max: limits::PDU_BYTES_MAX,
            first_sequence: Sequence(1),
        }
    }
}

/// The requests that carry a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// `submit_sm`.
    Submit,
    /// `deliver_sm`.
    Deliver,
    /// `data_sm`.
    Data,
    /// `query_sm`.
    Query,
    /// `cancel_sm`.
    Cancel,
}

/// Why a request was not queued. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Not bound, not for this, or on the way out.
    #[error("the session is not bound for this request")]
    NotBound,
    /// As many requests are in flight as may be.
    #[error("the window is full")]
    WindowFull,
    /// The peer does not read: too many bytes wait.
    #[error("the output is full")]
    OutputFull,
    /// It says something in optional parameters, which a peer of SMPP 3.3 does not know.
    #[error("the peer's version of SMPP has no optional parameters")]
    NeedsTlvs,
    /// It does not fit in a PDU.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// We asked, the peer agreed.
    #[error("unbound as we asked")]
    Unbound,
    /// The peer asked; its answer is queued.
    #[error("the peer has unbound")]
    UnboundByPeer,
    /// We asked, the peer said nothing.
    #[error("no response to unbind")]
    UnbindTimeout,
    /// No bind in time.
    #[error("no bind in time")]
    SessionInitTimeout,
    /// The bind was refused, by either side.
    #[error("the bind was refused with {0}")]
    BindRefused(CommandStatus),
    /// `enquire_link` had no answer, and nothing else came either.
    #[error("no response to enquire_link")]
    Dead,
    /// `generic_nack` with sequence 0 answers nothing that could be found (§4.3).
    #[error("generic_nack without a sequence number, {0}")]
    NackWithoutSequence(CommandStatus),
    /// A `command_length` out of bounds: the next PDU cannot be found.
    #[error("command_length {0} is out of bounds")]
    CommandLength(u32),
    /// The caller gave bytes although `wants_bytes` said no.
    #[error("more than 4 MiB were received and not polled")]
    InputFull,
}

/// What happened. Views borrow the session: take what is needed, then call its other methods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// ESME: the carrier has let us in.
    Bound {
        /// As asked for.
        kind: BindKind,
        /// The MC's name, may be empty.
        system_id: &'a [u8],
        /// TLV 0x0210, if it came.
        sc_interface_version: Option<u8>,
    },
    /// MC: a customer asks. Nothing more is read until [`super::Session::accept_bind`] or
    /// [`super::Session::refuse_bind`].
    BindRequested {
        /// Who, and with which password.
        bind: Bind<'a>,
    },
    /// ESME: the MC asks us to bind (§4.1.7). Over a connection that it has made, answer with
    /// [`super::Session::bind`] or [`super::Session::unbind`].
    OutbindRequested {
        /// Who.
        outbind: Outbind<'a>,
    },
    /// MC: `submit_sm`; answer with [`super::Session::answer_submit`].
    SubmitRequest {
        /// For the answer.
        sequence: Sequence,
        /// The message.
        sm: Sm<'a>,
    },
    /// ESME: `deliver_sm`, a receipt or a message from a handset; answer with [`super::Session::answer_deliver`].
    DeliverRequest {
        /// For the answer.
        sequence: Sequence,
        /// The message.
        sm: Sm<'a>,
    },
    /// Either: `data_sm`; answer with [`super::Session::answer_data`].
    DataRequest {
        /// For the answer.
        sequence: Sequence,
        /// The message.
        data: DataSm<'a>,
    },
    /// MC: `query_sm`; answer with [`super::Session::answer_query`].
    QueryRequest {
        /// For the answer.
        sequence: Sequence,
        /// Of what.
        query: QuerySm<'a>,
    },
    /// MC: `cancel_sm`; answer with [`super::Session::answer_cancel`].
    CancelRequest {
        /// For the answer.
        sequence: Sequence,
        /// Of what.
        cancel: CancelSm<'a>,
    },
    /// ESME: `alert_notification`; has no answer.
    Alert {
        /// Who is there again.
        alert: AlertNotification<'a>,
    },
    /// The answer to a `submit_sm`, or a `generic_nack` that names it.
    SubmitAnswer {
        /// The caller's.
        token: u64,
        /// Zero: taken.
        status: CommandStatus,
        /// The carrier's id of the message; may be empty.
        message_id: &'a [u8],
        /// Optional parameters, as `congestion_state`.
        tlvs: Tlvs<'a>,
    },
    /// The answer to a `deliver_sm`.
    DeliverAnswer {
        /// The caller's.
        token: u64,
        /// Zero: taken. `ESME_RX_T_APPN` asks for it again.
        status: CommandStatus,
    },
    /// The answer to a `data_sm`.
    DataAnswer {
        /// The caller's.
        token: u64,
        /// Zero: taken.
        status: CommandStatus,
        /// The carrier's id of the message; may be empty.
        message_id: &'a [u8],
        /// Optional parameters, as `delivery_failure_reason`.
        tlvs: Tlvs<'a>,
    },
    /// The answer to a `query_sm`.
    QueryAnswer {
        /// The caller's.
        token: u64,
        /// Zero: `answer` is there.
        status: CommandStatus,
        /// The body, if there is a readable one.
        answer: Option<QuerySmResp<'a>>,
    },
    /// The answer to a `cancel_sm`.
    CancelAnswer {
        /// The caller's.
        token: u64,
        /// Zero: cancelled.
        status: CommandStatus,
    },
    /// A request had no response in time. What became of it is not known (§7.2).
    Timeout {
        /// The caller's.
        token: u64,
        /// What it was.
        kind: RequestKind,
    },
    /// The response to a request that had timed out before.
    LateAnswer {
        /// The caller's.
        token: u64,
        /// What it was.
        kind: RequestKind,
        /// Zero: taken.
        status: CommandStatus,
        /// Of a `submit_sm` or `data_sm`; may be empty.
        message_id: &'a [u8],
    },
    /// A request that cannot be read; it has been answered with a `generic_nack`.
    Malformed {
        /// What it said it was.
        command: CommandId,
        /// Its number.
        sequence: Sequence,
        /// What is wrong.
        error: DecodeError,
    },
    /// MC: a request that is well formed and not served, `submit_multi` or `replace_sm`; it has been refused with the
    /// response of its type.
    Unserved {
        /// Which.
        command: CommandId,
        /// Its number.
        sequence: Sequence,
        /// What was answered.
        status: CommandStatus,
    },
    /// The peer has sent `unbind`. Nothing more can be requested. When both sides have answered what they owe, or
    /// after [`Timers::unbind`], the session answers it and closes.
    UnbindRequested,
    /// The end, told once. Send what is pending, close the connection, and ask
    /// [`super::Session::drain_in_flight`] what is in doubt.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// A request that was in flight when the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// The caller's.
    pub token: u64,
    /// What it was.
    pub kind: RequestKind,
    /// Whether its last byte was handed to the kernel. If not, the peer cannot have acted on it.
    pub delivery: Handed,
}

/// How far a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// A part of it at most: free of doubt.
    NotWritten,
    /// All of it: the peer may have it.
    Written,
}

/// What a session has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// PDUs that came.
    pub pdus_in: u64,
    /// PDUs that were queued.
    pub pdus_out: u64,
    /// Responses to no request that is in flight or remembered: unknown numbers and second answers.
    pub answers_unknown: u64,
    /// Responses of another type than the request with their number.
    pub answers_mistyped: u64,
    /// Responses that came after their time.
    pub answers_late: u64,
    /// Requests without a response in time.
    pub timeouts: u64,
    /// `generic_nack` that came.
    pub nacks_in: u64,
    /// `generic_nack` that were queued.
    pub nacks_out: u64,
    /// Requests that could not be read.
    pub malformed: u64,
    /// Requests refused for the session's state.
    pub refused: u64,
    /// `enquire_link` that were queued.
    pub enquire_links_out: u64,
    /// `enquire_link` that came.
    pub enquire_links_in: u64,
}
