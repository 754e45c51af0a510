//! The states of a message as an MC tells them (SMPP 3.4 §5.2.28, 5.0 §4.7.15), and their words in a receipt's text
//! (3.4 Appendix B).

/// A message's state. Carriers use numbers and words of their own: those are [`MessageState::Unrecognised`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// 0, of 5.0: it waits for its time.
    Scheduled,
    /// 1: on its way.
    Enroute,
    /// 2: on the handset.
    Delivered,
    /// 3: its validity ended.
    Expired,
    /// 4: someone deleted it.
    Deleted,
    /// 5: it cannot be delivered.
    Undeliverable,
    /// 6: by the specification, read on the subscriber's behalf; in the field, taken by the next network.
    Accepted,
    /// 7: the MC does not know.
    Unknown,
    /// 8: refused.
    Rejected,
    /// 9, of 5.0: left out.
    Skipped,
    /// A state that is in no specification.
    Unrecognised,
}

impl MessageState {
    /// From the octet of `message_state`.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        match octet {
            0 => Self::Scheduled,
            1 => Self::Enroute,
            2 => Self::Delivered,
            3 => Self::Expired,
            4 => Self::Deleted,
            5 => Self::Undeliverable,
            6 => Self::Accepted,
            7 => Self::Unknown,
            8 => Self::Rejected,
            9 => Self::Skipped,
            _ => Self::Unrecognised,
        }
    }

    /// The octet of `message_state`. What is not recognised is sent as UNKNOWN.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Scheduled => 0,
            Self::Enroute => 1,
            Self::Delivered => 2,
            Self::Expired => 3,
            Self::Deleted => 4,
            Self::Undeliverable => 5,
            Self::Accepted => 6,
            Self::Unknown | Self::Unrecognised => 7,
            Self::Rejected => 8,
            Self::Skipped => 9,
        }
    }

    /// From the word after `stat:`. Five letters decide, in any case: DELIVRD, delivered, UNDELIV and UNDELIVERABLE are
    /// all in use.
    #[must_use]
    pub fn from_word(word: &[u8]) -> Self {
        let Some(head) = word.first_chunk::<5>() else { return Self::Unrecognised };
        match &head.map(|letter| letter.to_ascii_uppercase()) {
            b"DELIV" => Self::Delivered,
            b"UNDEL" | b"FAILE" => Self::Undeliverable,
            b"EXPIR" => Self::Expired,
            b"REJEC" | b"REJCT" => Self::Rejected,
            b"DELET" => Self::Deleted,
            b"ACCEP" => Self::Accepted,
            b"UNKNO" => Self::Unknown,
            b"ENROU" | b"BUFFE" | b"BUFFR" => Self::Enroute,
            b"SCHED" => Self::Scheduled,
            b"SKIPP" => Self::Skipped,
            _ => Self::Unrecognised,
        }
    }

    /// The word after `stat:`, seven letters where Appendix B has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDLD",
            Self::Enroute => "ENROUTE",
            Self::Delivered => "DELIVRD",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Undeliverable => "UNDELIV",
            Self::Accepted => "ACCEPTD",
            Self::Unknown | Self::Unrecognised => "UNKNOWN",
            Self::Rejected => "REJECTD",
            Self::Skipped => "SKIPPED",
        }
    }

    /// Whether no other state can follow. ACCEPTED is not: carriers send it and then DELIVRD, and taking it for the end
    /// would hide what became of the message. UNKNOWN is, as §5.2.28 has it; a profile may wait for more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Delivered
            | Self::Expired
            | Self::Deleted
            | Self::Undeliverable
            | Self::Unknown
            | Self::Rejected
            | Self::Skipped => true,
            Self::Scheduled | Self::Enroute | Self::Accepted | Self::Unrecognised => false,
        }
    }
}
