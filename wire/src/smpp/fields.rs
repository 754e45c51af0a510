//! The small fields that PDUs share: addresses, and the octets whose bits have names (SMPP 3.4 §5.2).

use core::fmt;

use crate::text::Alphabet;

/// Type of number (§5.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ton(pub u8);

impl Ton {
    /// Not said.
    pub const UNKNOWN: Self = Self(0);
    /// With its country code.
    pub const INTERNATIONAL: Self = Self(1);
    /// Without its country code.
    pub const NATIONAL: Self = Self(2);
    /// A short code of the network.
    pub const NETWORK_SPECIFIC: Self = Self(3);
    /// A subscriber's number.
    pub const SUBSCRIBER: Self = Self(4);
    /// Letters: at most 11 of them.
    pub const ALPHANUMERIC: Self = Self(5);
    /// Abbreviated.
    pub const ABBREVIATED: Self = Self(6);
}

/// Numbering plan (§5.2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Npi(pub u8);

impl Npi {
    /// Not said.
    pub const UNKNOWN: Self = Self(0);
    /// Telephone numbers (E.163, E.164).
    pub const ISDN: Self = Self(1);
}

/// A sender or a recipient (§5.2.8, §5.2.9). The octets are as they came: a sender may be Latin-1.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan.
    pub npi: Npi,
    /// Digits or letters, without a NUL. At most 20 (10 of a bind's, 64 of `data_sm`) by the specification.
    pub octets: &'a [u8],
}

impl<'a> Address<'a> {
    /// An international telephone number, digits only.
    #[must_use]
    pub const fn international(digits: &'a [u8]) -> Self {
        Self { ton: Ton::INTERNATIONAL, npi: Npi::ISDN, octets: digits }
    }

    /// A sender of letters.
    #[must_use]
    pub const fn alphanumeric(letters: &'a [u8]) -> Self {
        Self { ton: Ton::ALPHANUMERIC, npi: Npi::UNKNOWN, octets: letters }
    }
}

impl fmt::Debug for Address<'_> {
    /// `1/1 4915112345678`, `5/0 Caf\xe9`: TON, NPI, octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.ton.0, self.npi.0, self.octets.escape_ascii())
    }
}

/// `esm_class` (§5.2.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EsmClass(pub u8);

impl EsmClass {
    /// A plain message in the MC's default mode.
    pub const DEFAULT: Self = Self(0);
    /// A `deliver_sm` that is a receipt.
    pub const RECEIPT: Self = Self(0x04);
    /// A `deliver_sm` that is an intermediate notification: never final.
    pub const INTERMEDIATE: Self = Self(0x20);
    /// The text starts with a user data header.
    pub const UDHI: Self = Self(0x40);

    /// Bits 5 to 2: what kind of message it is.
    #[must_use]
    pub const fn message_type(self) -> u8 {
        self.0 & 0x3C
    }

    /// Whether it is the MC's receipt for a message of ours.
    #[must_use]
    pub const fn is_receipt(self) -> bool {
        self.message_type() == Self::RECEIPT.0
    }

    /// Whether it tells of a state that is not final.
    #[must_use]
    pub const fn is_intermediate(self) -> bool {
        self.message_type() == Self::INTERMEDIATE.0
    }

    /// Whether the text starts with a user data header.
    #[must_use]
    pub const fn has_udh(self) -> bool {
        self.0 & Self::UDHI.0 != 0
    }

    /// The same with the bit of a user data header.
    #[must_use]
    pub const fn with_udh(self) -> Self {
        Self(self.0 | Self::UDHI.0)
    }
}

/// Which receipts bits 1 and 0 of `registered_delivery` ask for (§5.2.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptWanted {
    /// None.
    Never,
    /// The final one.
    Final,
    /// The final one, when the message was not delivered.
    OnFailure,
    /// The final one, when it was (5.0 §4.7.21; reserved in 3.4).
    OnSuccess,
}

/// `registered_delivery` (§5.2.17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RegisteredDelivery(pub u8);

impl RegisteredDelivery {
    /// No receipt.
    pub const NONE: Self = Self(0);
    /// The final receipt.
    pub const FINAL: Self = Self(1);

    /// Bits 1 and 0.
    #[must_use]
    pub const fn receipt(self) -> ReceiptWanted {
        match self.0 & 0x03 {
            0 => ReceiptWanted::Never,
            1 => ReceiptWanted::Final,
            2 => ReceiptWanted::OnFailure,
            _ => ReceiptWanted::OnSuccess,
        }
    }

    /// Bits 3 and 2, non-zero: the handset's or the user's own acknowledgement is asked for.
    #[must_use]
    pub const fn wants_acknowledgement(self) -> bool {
        self.0 & 0x0C != 0
    }

    /// Bit 4: intermediate notifications are asked for.
    #[must_use]
    pub const fn wants_intermediate(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// `data_coding` (§5.2.19). Zero is the default of whoever receives it, which need not be GSM 7-bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DataCoding(pub u8);

impl DataCoding {
    /// The receiver's default.
    pub const DEFAULT: Self = Self(0);
    /// Seven-bit ASCII.
    pub const ASCII: Self = Self(1);
    /// ISO 8859-1.
    pub const LATIN1: Self = Self(3);
    /// Octets.
    pub const BINARY: Self = Self(4);
    /// UCS-2, big-endian; in practice UTF-16.
    pub const UCS2: Self = Self(8);

    /// What says so most widely; a carrier's profile may say it otherwise. GSM 7-bit has no value of its own: it is what
    /// most carriers mean by their default.
    #[must_use]
    pub const fn of(alphabet: Alphabet) -> Self {
        match alphabet {
            Alphabet::Gsm7 => Self::DEFAULT,
            Alphabet::Latin1 => Self::LATIN1,
            Alphabet::Ucs2 => Self::UCS2,
        }
    }
}
