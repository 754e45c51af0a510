//! What the sandbox does with a recipient. The last four digits decide, so that a reader can ask for each ending.
//!
//! | the number ends in | what happens |
//! |---|---|
//! | 0001 | taken, and reported as undeliverable (UNDELIV, error 001) |
//! | 0002 | taken, and never heard of again |
//! | 0003 | refused once with ESME_RTHROTTLED, then taken and delivered |
//! | anything else | taken and delivered |

/// What the sandbox does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// A receipt that says delivered.
    Deliver,
    /// A receipt that says undeliverable.
    Fail,
    /// No receipt.
    Silence,
    /// Throttled at first, then delivered.
    ThrottleOnce,
}

impl Script {
    /// The script of a recipient, as digits of ASCII.
    pub(super) fn of(recipient: &[u8]) -> Self {
        match recipient {
            [.., b'0', b'0', b'0', b'1'] => Self::Fail,
            [.., b'0', b'0', b'0', b'2'] => Self::Silence,
            [.., b'0', b'0', b'0', b'3'] => Self::ThrottleOnce,
            _ => Self::Deliver,
        }
    }
}
