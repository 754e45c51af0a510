//! Binding: `bind_transmitter`, `bind_receiver`, `bind_transceiver`, their responses, and `outbind` (SMPP 3.4 §4.1).

use super::command::{CommandId, Sequence};
use super::fields::{Address, Npi, Ton};
use super::header::{Header, end_pdu};
use super::reader::{DecodeError, Reader, put_c_octets};
use super::tlv::{Tag, Tlv, Tlvs, put_tlv};

/// What a session may carry (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindKind {
    /// The ESME submits.
    Transmitter,
    /// The MC delivers.
    Receiver,
    /// Both.
    Transceiver,
}

impl BindKind {
    /// The request that asks for it.
    #[must_use]
    pub const fn command(self) -> CommandId {
        match self {
            Self::Transmitter => CommandId::BIND_TRANSMITTER,
            Self::Receiver => CommandId::BIND_RECEIVER,
            Self::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }

    /// The kind that a bind request, or a response to one, is about.
    #[must_use]
    pub const fn of(command: CommandId) -> Option<Self> {
        match command {
            CommandId::BIND_TRANSMITTER | CommandId::BIND_TRANSMITTER_RESP => Some(Self::Transmitter),
            CommandId::BIND_RECEIVER | CommandId::BIND_RECEIVER_RESP => Some(Self::Receiver),
            CommandId::BIND_TRANSCEIVER | CommandId::BIND_TRANSCEIVER_RESP => Some(Self::Transceiver),
            _ => None,
        }
    }

    /// Whether `submit_sm` and its like may come.
    #[must_use]
    pub const fn submits(self) -> bool {
        matches!(self, Self::Transmitter | Self::Transceiver)
    }

    /// Whether `deliver_sm` may come.
    #[must_use]
    pub const fn delivers(self) -> bool {
        matches!(self, Self::Receiver | Self::Transceiver)
    }
}

/// `interface_version` (§5.2.4) of SMPP 3.3 and before.
pub const INTERFACE_VERSION_3_3: u8 = 0x33;
/// `interface_version` of SMPP 3.4.
pub const INTERFACE_VERSION_3_4: u8 = 0x34;
/// `interface_version` of SMPP 5.0.
pub const INTERFACE_VERSION_5_0: u8 = 0x50;

/// Whether whoever says this `interface_version` knows optional parameters. They came with 3.4, and must not be sent to a
/// peer of before (3.4 §3.4); such a peer says 0x33, 0x00 or anything between.
#[must_use]
pub const fn knows_tlvs(interface_version: u8) -> bool {
    interface_version >= INTERFACE_VERSION_3_4
}

/// The highest version that we know which is not above a peer's: 5.0, 3.4, or what it said if that is less.
#[must_use]
pub const fn version_below(interface_version: u8) -> u8 {
    match interface_version {
        INTERFACE_VERSION_5_0.. => INTERFACE_VERSION_5_0,
        INTERFACE_VERSION_3_4.. => INTERFACE_VERSION_3_4,
        older => older,
    }
}

/// The body of a bind request (§4.1.1, §4.1.3, §4.1.5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Which of the three.
    pub kind: BindKind,
    /// The account.
    pub system_id: &'a [u8],
    /// Its password, in clear.
    pub password: &'a [u8],
    /// §5.2.3.
    pub system_type: &'a [u8],
    /// §5.2.4.
    pub interface_version: u8,
    /// §5.2.5 to §5.2.7: the addresses that it serves, as a regular expression.
    pub address_range: Address<'a>,
}

impl core::fmt::Debug for Bind<'_> {
    /// Without the password: this is what gets into logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bind")
            .field("kind", &self.kind)
            .field("system_id", &self.system_id.escape_ascii().to_string())
            .field("interface_version", &self.interface_version)
            .finish_non_exhaustive()
    }
}

impl<'a> Bind<'a> {
    /// Reads a body. TLVs may follow (5.0) and are not looked at.
    ///
    /// # Errors
    /// [`DecodeError`] when a field or a TLV runs over the end.
    pub fn decode(kind: BindKind, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let system_id = reader.c_octets()?;
        let password = reader.c_octets()?;
        let system_type = reader.c_octets()?;
        let [interface_version, ton, npi] = reader.array()?;
        let octets = reader.c_octets()?;
        Tlvs::new(reader.rest())?;
        let address_range = Address { ton: Ton(ton), npi: Npi(npi), octets };
        Ok(Self { kind, system_id, password, system_type, interface_version, address_range })
    }

    /// Appends the PDU.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) {
        let start = Header::request(self.kind.command(), sequence).begin(out);
        put_c_octets(out, self.system_id);
        put_c_octets(out, self.password);
        put_c_octets(out, self.system_type);
        out.extend_from_slice(&[self.interface_version, self.address_range.ton.0, self.address_range.npi.0]);
        put_c_octets(out, self.address_range.octets);
        end_pdu(out, start);
    }
}

/// The body of a bind response (§4.1.2, §4.1.4, §4.1.6). Carriers leave out any part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindResp<'a> {
    /// The MC's name; empty when it is missing.
    pub system_id: &'a [u8],
    /// TLV 0x0210; absent from SMPP 3.3.
    pub sc_interface_version: Option<u8>,
}

impl<'a> BindResp<'a> {
    /// Reads a body; whatever is missing is empty.
    #[must_use]
    pub fn decode(body: &'a [u8]) -> Self {
        let mut reader = Reader::new(body);
        let system_id = reader.c_octets().unwrap_or(body);
        let tlvs = Tlvs::new(reader.rest()).unwrap_or_default();
        let version = tlvs.find(Tag::SC_INTERFACE_VERSION).and_then(Tlv::number);
        Self { system_id, sc_interface_version: version.and_then(|version| u8::try_from(version).ok()) }
    }

    /// Appends the response `header`.
    pub fn encode(&self, header: Header, out: &mut Vec<u8>) {
        let start = header.begin(out);
        put_c_octets(out, self.system_id);
        if let Some(version) = self.sc_interface_version {
            put_tlv(out, Tag::SC_INTERFACE_VERSION, &[version]);
        }
        end_pdu(out, start);
    }
}

/// `outbind` (§4.1.7): an MC asks an ESME to bind as a receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Outbind<'a> {
    /// The MC's name.
    pub system_id: &'a [u8],
    /// Its password, in clear.
    pub password: &'a [u8],
}

impl core::fmt::Debug for Outbind<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let system_id = self.system_id.escape_ascii().to_string();
        f.debug_struct("Outbind").field("system_id", &system_id).finish_non_exhaustive()
    }
}

impl<'a> Outbind<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`DecodeError`] when a field runs over the end.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self { system_id: reader.c_octets()?, password: reader.c_octets()? })
    }

    /// Appends the PDU.
    pub fn encode(&self, sequence: Sequence, out: &mut Vec<u8>) {
        let start = Header::request(CommandId::OUTBIND, sequence).begin(out);
        put_c_octets(out, self.system_id);
        put_c_octets(out, self.password);
        end_pdu(out, start);
    }
}
