//! Reading a PDU's fields from its bytes, each step checked against the end.
//!
//! Lengths that the specification prints beside a field are not enforced here: real carriers send senders of 21 octets
//! and validity periods of 15, and a PDU is worth more than such a rule. What ends a PDU too early is an error.

use thiserror::Error;

use super::status::CommandStatus;

/// Why bytes are not the PDU that their header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A field of fixed length, or `short_message`, runs over the end.
    #[error("the PDU ends inside a field")]
    Cut,
    /// A C-octet string without its NUL.
    #[error("a C-octet string has no NUL before the end of the PDU")]
    Unterminated,
    /// A TLV's header or value runs over the end, or bytes are left that are no TLV.
    #[error("the optional parameters do not end where the PDU ends")]
    TlvCut,
}

impl DecodeError {
    /// What a `generic_nack` should say of it.
    #[must_use]
    pub const fn status(self) -> CommandStatus {
        match self {
            Self::Cut | Self::Unterminated => CommandStatus::ESME_RINVCMDLEN,
            Self::TlvCut => CommandStatus::ESME_RINVOPTPARSTREAM,
        }
    }
}

/// What is left of a PDU's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Cut)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(bytes).ok_or(DecodeError::Cut)?;
        self.rest = rest;
        Ok(head)
    }

    /// A C-octet string, without its NUL (§3.1).
    #[inline]
    pub(crate) fn c_octets(&mut self) -> Result<&'a [u8], DecodeError> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(DecodeError::Unterminated)?;
        let (value, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Ok(value)
    }

    /// All that is left.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// Appends a C-octet string. What follows a NUL inside `value` is left out: it would shift every later field, and a
/// customer could so write fields that are not his.
#[inline]
pub(crate) fn put_c_octets(out: &mut Vec<u8>, value: &[u8]) {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    out.extend_from_slice(&value[..end]);
    out.push(0);
}
