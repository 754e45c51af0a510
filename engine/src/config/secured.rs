//! What a configuration says about TLS: the node's own files, its listeners, and how each carrier is known.

use std::net::SocketAddr;

use rustls::pki_types::ServerName;

use super::error::ConfigError;
use super::section::{Located, Section};
use super::types::{HostPort, Listen};
use super::value::{self, Expected};
use crate::net::tls::{ClientFiles, ServerFiles};

/// `[tls]`; `None` when it is not there.
pub(super) fn tls(section: &Section<'_>) -> Result<Option<ServerFiles>, ConfigError> {
    let certificate = section.located("certificate", value::path)?;
    let key = section.located("key", value::path)?;
    let client_ca = section.located("client_ca", value::path)?;
    section.end()?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(ServerFiles {
            certificate: certificate.value,
            key: key.value,
            client_ca: client_ca.map(|path| path.value),
        })),
        (None, None) if client_ca.is_none() => Ok(None),
        (certificate, _) => {
            let missing = if certificate.is_some() { "key" } else { "certificate" };
            let expected = "certificate = \"FILE\" and key = \"FILE\", both";
            Err(section.wrong(
                section.line(),
                missing,
                expected,
                "nothing: the key is missing in this section",
            ))
        }
    }
}

/// Whoever listens for TLS has a certificate.
pub(super) fn listeners_have_tls(
    section: &Section<'_>,
    listen: &Listen,
    tls: Option<&ServerFiles>,
) -> Result<(), ConfigError> {
    let key = [("https", listen.https), ("native_tls", listen.native_tls), ("smpp_tls", listen.smpp_tls)]
        .into_iter()
        .find_map(|(key, address)| address.map(|_| key));
    match key.filter(|_| tls.is_none()) {
        None => Ok(()),
        Some(key) => {
            let expected = "a section [tls] with certificate and key wherever there is a listener of TLS";
            Err(section.wrong(section.line(), key, expected, "no [tls]"))
        }
    }
}

/// A listener, and the ports that it takes.
pub(super) struct Claim {
    /// Its key in its section.
    pub(super) key: &'static str,
    /// Where it stands.
    pub(super) line: usize,
    /// Its address, with the first of its ports.
    pub(super) address: SocketAddr,
    /// Ports behind its own.
    pub(super) more: usize,
}

impl Claim {
    /// Whether both want one port; of the system's choice none is.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (first, others) = (usize::from(self.address.port()), usize::from(other.address.port()));
        let apart = first + self.more < others || others + other.more < first;
        first != 0 && others != 0 && self.address.ip() == other.address.ip() && !apart
    }
}

/// What the listeners of customers take, all in one line of the file, on a node of at least so many shards.
pub(super) fn claims(listen: &Listen, line: usize, shards: usize) -> Vec<Claim> {
    let claim = |key, address, more| Claim { key, line, address, more };
    let mut claims = vec![claim("http", listen.http, 0), claim("native", listen.native, shards)];
    claims.extend(listen.smpp.map(|address| claim("smpp", address, 0)));
    claims.extend(listen.https.map(|address| claim("https", address, 0)));
    claims.extend(listen.native_tls.map(|address| claim("native_tls", address, shards)));
    claims.extend(listen.smpp_tls.map(|address| claim("smpp_tls", address, 0)));
    claims
}

/// The addresses for TLS, which take no port of another listener. `shards` is how many shards there are at least.
pub(super) fn listeners(
    section: &Section<'_>,
    listen: &mut Listen,
    shards: usize,
) -> Result<(), ConfigError> {
    let mut claims = claims(listen, section.line(), shards);
    let mut claim = |key: &'static str, more| {
        let Some(Located { line, value: address }) = section.located(key, value::socket)? else {
            return Ok(None);
        };
        let claim = Claim { key, line, address, more };
        let first = usize::from(address.port());
        if first != 0 && first + more > usize::from(u16::MAX) {
            let room = format!("a port with {more} more above it, one for each shard");
            return Err(section.wrong(line, key, room, address.to_string()));
        }
        if let Some(other) = claims.iter().find(|other| other.meets(&claim)) {
            let shard_ports =
                if other.more + more > 0 { "; a native listener takes one more for each shard" } else { "" };
            let expected = format!("a port that no other listener has{shard_ports}");
            return Err(section.wrong(
                claim.line,
                key,
                expected,
                format!("{address}, which meets listen.{}", other.key),
            ));
        }
        claims.push(claim);
        Ok(Some(address))
    };
    listen.https = claim("https", 0)?;
    listen.native_tls = claim("native_tls", shards)?;
    listen.smpp_tls = claim("smpp_tls", 0)?;
    Ok(())
}

/// The keys of a carrier that begin with `tls`. Without `tls = true` the others say nothing.
pub(super) fn carrier(
    section: &Section<'_>,
    address: &Located<HostPort>,
) -> Result<Option<ClientFiles>, ConfigError> {
    let wanted = section.optional("tls", value::flag)?.unwrap_or_default();
    let name = section.located("tls_name", name)?;
    let ca = section.located("tls_ca", value::path)?;
    let certificate = section.located("tls_certificate", value::path)?;
    let key = section.located("tls_key", value::path)?;
    if !wanted {
        let lines = [
            name.map(|name| name.line),
            ca.map(|ca| ca.line),
            certificate.map(|c| c.line),
            key.map(|key| key.line),
        ];
        return match lines.into_iter().flatten().min() {
            None => Ok(None),
            Some(line) => {
                let expected = "tls = true wherever another key of TLS is";
                Err(section.wrong(line, "tls", expected, "none: this carrier is dialled without TLS"))
            }
        };
    }
    let name = match name {
        Some(name) => name.value,
        None => ServerName::try_from(address.value.host.clone()).map_err(|_| {
            let expected = "a host whose name can be in a certificate, or tls_name beside it";
            section.wrong(address.line, "address", expected, address.value.host.clone())
        })?,
    };
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate.value, key.value)),
        (None, None) => None,
        (Some(Located { line, .. }), None) => {
            return Err(section.wrong(line, "tls_key", "the key of tls_certificate", "none"));
        }
        (None, Some(Located { line, .. })) => {
            return Err(section.wrong(line, "tls_certificate", "the certificate of tls_key", "none"));
        }
    };
    Ok(Some(ClientFiles { name, ca: ca.map(|ca| ca.value), identity }))
}

fn name(value: &toml::de::DeValue<'_>) -> Result<ServerName<'static>, Expected> {
    let name = value.as_str().and_then(|text| ServerName::try_from(text.to_owned()).ok());
    name.ok_or_else(|| Expected("the name in the carrier's certificate, as \"smpp.example.net\"".to_owned()))
}
