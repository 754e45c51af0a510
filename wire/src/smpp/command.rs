//! Command ids (SMPP 3.4 §5.1.2.1).
//!
//! A newtype and not an enum: a command that is not known must travel as far as the `generic_nack` that answers it.

use core::fmt;

/// The `command_id` of a PDU. A response has the top bit set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u32);

macro_rules! commands {
    ($($name:ident = $value:literal, $spelling:literal, $doc:literal;)*) => {
        impl CommandId {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// The spelling of the specification, if it is a command of 3.4.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self { $(Self::$name => Some($spelling),)* _ => None }
            }
        }
    };
}

commands! {
    GENERIC_NACK = 0x8000_0000, "generic_nack", "§4.3";
    BIND_RECEIVER = 0x0000_0001, "bind_receiver", "§4.1.3";
    BIND_RECEIVER_RESP = 0x8000_0001, "bind_receiver_resp", "§4.1.4";
    BIND_TRANSMITTER = 0x0000_0002, "bind_transmitter", "§4.1.1";
    BIND_TRANSMITTER_RESP = 0x8000_0002, "bind_transmitter_resp", "§4.1.2";
    QUERY_SM = 0x0000_0003, "query_sm", "§4.8.1";
    QUERY_SM_RESP = 0x8000_0003, "query_sm_resp", "§4.8.2";
    SUBMIT_SM = 0x0000_0004, "submit_sm", "§4.4.1";
    SUBMIT_SM_RESP = 0x8000_0004, "submit_sm_resp", "§4.4.2";
    DELIVER_SM = 0x0000_0005, "deliver_sm", "§4.6.1";
    DELIVER_SM_RESP = 0x8000_0005, "deliver_sm_resp", "§4.6.2";
    UNBIND = 0x0000_0006, "unbind", "§4.2.1";
    UNBIND_RESP = 0x8000_0006, "unbind_resp", "§4.2.2";
    REPLACE_SM = 0x0000_0007, "replace_sm", "§4.10.1; read, and refused";
    REPLACE_SM_RESP = 0x8000_0007, "replace_sm_resp", "§4.10.2";
    CANCEL_SM = 0x0000_0008, "cancel_sm", "§4.9.1";
    CANCEL_SM_RESP = 0x8000_0008, "cancel_sm_resp", "§4.9.2";
    BIND_TRANSCEIVER = 0x0000_0009, "bind_transceiver", "§4.1.5";
    BIND_TRANSCEIVER_RESP = 0x8000_0009, "bind_transceiver_resp", "§4.1.6";
    OUTBIND = 0x0000_000B, "outbind", "§4.1.7";
    ENQUIRE_LINK = 0x0000_0015, "enquire_link", "§4.11.1";
    ENQUIRE_LINK_RESP = 0x8000_0015, "enquire_link_resp", "§4.11.2";
    SUBMIT_MULTI = 0x0000_0021, "submit_multi", "§4.5.1; read, and refused";
    SUBMIT_MULTI_RESP = 0x8000_0021, "submit_multi_resp", "§4.5.2";
    ALERT_NOTIFICATION = 0x0000_0102, "alert_notification", "§4.12.1";
    DATA_SM = 0x0000_0103, "data_sm", "§4.7.1";
    DATA_SM_RESP = 0x8000_0103, "data_sm_resp", "§4.7.2";
}

impl CommandId {
    /// Whether the top bit says that this answers a request. `generic_nack` counts as an answer.
    #[must_use]
    pub const fn is_response(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// The response to this request.
    #[must_use]
    pub const fn response(self) -> Self {
        Self(self.0 | 0x8000_0000)
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "command 0x{:08X}", self.0),
        }
    }
}

/// A request's number within its session and direction (SMPP 3.4 §3.2): 1 to 0x7FFFFFFF. What a peer sends is kept as
/// it came, since it only has to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u32);
