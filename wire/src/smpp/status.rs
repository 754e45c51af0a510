//! Command statuses (SMPP 3.4 §5.1.3), and what each means for whoever sent the request.

use core::fmt;

/// The `command_status` of a response. 0x400 to 0x4FF belong to the carrier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandStatus(pub u32);

/// What the sender of a request may do with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Taken.
    Ok,
    /// Too fast: slow down, then send it again.
    Throttled,
    /// Not now: send it again later.
    Temporary,
    /// Not ever: the same request will fail again.
    Permanent,
    /// 0x400 to 0x4FF, or a value that the specification reserves: the carrier's profile says which.
    Vendor,
}

macro_rules! statuses {
    ($($name:ident = $value:literal, $verdict:ident, $doc:literal;)*) => {
        impl CommandStatus {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// The spelling of the specification, if it names this status.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self { $(Self::$name => Some(stringify!($name)),)* _ => None }
            }

            /// What the specification's names ask the sender to do. A carrier's profile may know better.
            #[must_use]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)* _ => Verdict::Vendor }
            }
        }
    };
}

statuses! {
    ESME_ROK = 0x00, Ok, "No error.";
    ESME_RINVMSGLEN = 0x01, Permanent, "Message length is invalid.";
    ESME_RINVCMDLEN = 0x02, Permanent, "Command length is invalid.";
    ESME_RINVCMDID = 0x03, Permanent, "Invalid command id.";
    ESME_RINVBNDSTS = 0x04, Temporary, "Incorrect bind status for the given command.";
    ESME_RALYBND = 0x05, Temporary, "Already in bound state.";
    ESME_RINVPRTFLG = 0x06, Permanent, "Invalid priority flag.";
    ESME_RINVREGDLVFLG = 0x07, Permanent, "Invalid registered delivery flag.";
    ESME_RSYSERR = 0x08, Temporary, "System error.";
    ESME_RINVSRCADR = 0x0A, Permanent, "Invalid source address.";
    ESME_RINVDSTADR = 0x0B, Permanent, "Invalid destination address.";
    ESME_RINVMSGID = 0x0C, Permanent, "Message id is invalid.";
    ESME_RBINDFAIL = 0x0D, Permanent, "Bind failed.";
    ESME_RINVPASWD = 0x0E, Permanent, "Invalid password.";
    ESME_RINVSYSID = 0x0F, Permanent, "Invalid system id.";
    ESME_RCANCELFAIL = 0x11, Permanent, "`cancel_sm` failed.";
    ESME_RREPLACEFAIL = 0x13, Permanent, "`replace_sm` failed.";
    ESME_RMSGQFUL = 0x14, Throttled, "Message queue full.";
    ESME_RINVSERTYP = 0x15, Permanent, "Invalid service type.";
    ESME_RINVNUMDESTS = 0x33, Permanent, "Invalid number of destinations.";
    ESME_RINVDLNAME = 0x34, Permanent, "Invalid distribution list name.";
    ESME_RINVDESTFLAG = 0x40, Permanent, "Destination flag is invalid.";
    ESME_RINVSUBREP = 0x42, Permanent, "Invalid submit-with-replace request.";
    ESME_RINVESMCLASS = 0x43, Permanent, "Invalid `esm_class`.";
    ESME_RCNTSUBDL = 0x44, Permanent, "Cannot submit to the distribution list.";
    ESME_RSUBMITFAIL = 0x45, Temporary, "`submit_sm` or `submit_multi` failed.";
    ESME_RINVSRCTON = 0x48, Permanent, "Invalid source address TON.";
    ESME_RINVSRCNPI = 0x49, Permanent, "Invalid source address NPI.";
    ESME_RINVDSTTON = 0x50, Permanent, "Invalid destination address TON.";
    ESME_RINVDSTNPI = 0x51, Permanent, "Invalid destination address NPI.";
    ESME_RINVSYSTYP = 0x53, Permanent, "Invalid system type.";
    ESME_RINVREPFLAG = 0x54, Permanent, "Invalid `replace_if_present` flag.";
    ESME_RINVNUMMSGS = 0x55, Permanent, "Invalid number of messages.";
    ESME_RTHROTTLED = 0x58, Throttled, "The allowed rate is exceeded.";
    ESME_RINVSCHED = 0x61, Permanent, "Invalid scheduled delivery time.";
    ESME_RINVEXPIRY = 0x62, Permanent, "Invalid validity period.";
    ESME_RINVDFTMSGID = 0x63, Permanent, "Predefined message is invalid or not found.";
    ESME_RX_T_APPN = 0x64, Temporary, "Receiver's temporary application error: send it again.";
    ESME_RX_P_APPN = 0x65, Permanent, "Receiver's permanent application error.";
    ESME_RX_R_APPN = 0x66, Permanent, "Receiver rejects the message.";
    ESME_RQUERYFAIL = 0x67, Permanent, "`query_sm` failed.";
    ESME_RINVOPTPARSTREAM = 0xC0, Permanent, "Error in the optional part of the PDU body.";
    ESME_ROPTPARNOTALLWD = 0xC1, Permanent, "Optional parameter not allowed.";
    ESME_RINVPARLEN = 0xC2, Permanent, "Invalid parameter length.";
    ESME_RMISSINGOPTPARAM = 0xC3, Permanent, "Expected optional parameter missing.";
    ESME_RINVOPTPARAMVAL = 0xC4, Permanent, "Invalid optional parameter value.";
    ESME_RDELIVERYFAILURE = 0xFE, Permanent, "Delivery failure, of `data_sm_resp`.";
    ESME_RUNKNOWNERR = 0xFF, Temporary, "Unknown error.";
    ESME_RSERTYPUNAUTH = 0x100, Permanent, "Not authorised to use this service type (5.0 §4.7.6).";
    ESME_RPROHIBITED = 0x101, Permanent, "Prohibited from using this operation (5.0 §4.7.6).";
    ESME_RSERTYPUNAVAIL = 0x102, Temporary, "The service type is unavailable (5.0 §4.7.6).";
    ESME_RSERTYPDENIED = 0x103, Permanent, "The service type is denied (5.0 §4.7.6).";
    ESME_RINVDCS = 0x104, Permanent, "Invalid data coding scheme (5.0 §4.7.6).";
}

impl CommandStatus {
    /// Whether the request was taken.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CommandStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:02X})", self.0),
            None => write!(f, "status 0x{:08X}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_asks_for_follows_the_specification() {
        for temporary in [0x64, 0x08, 0x45] {
            assert_eq!(CommandStatus(temporary).verdict(), Verdict::Temporary);
        }
        for throttled in [0x58, 0x14] {
            assert_eq!(CommandStatus(throttled).verdict(), Verdict::Throttled);
        }
        for permanent in [0x0B, 0x0A, 0x65] {
            assert_eq!(CommandStatus(permanent).verdict(), Verdict::Permanent);
        }
        assert_eq!(CommandStatus(0x400).verdict(), Verdict::Vendor);
        assert_eq!(CommandStatus(0x58).to_string(), "ESME_RTHROTTLED (0x58)");
    }
}
