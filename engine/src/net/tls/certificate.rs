//! What a certificate says of itself, for whoever has to renew it: names, signer, and until when.

use core::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_cert::der::{DateTime, Decode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// A certificate, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The names for which it is good; its subject when it names none.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// Since when it is good, since 1970.
    pub valid_from: Duration,
    /// Until when it is good, since 1970.
    pub valid_until: Duration,
}

impl Certificate {
    /// Reads it; or says what cannot be read.
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let read = x509_cert::Certificate::from_der(der).map_err(|error| error.to_string())?;
        let read = read.tbs_certificate;
        let names = match read.get::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().filter_map(shown).collect(),
            Ok(None) => Vec::new(),
            Err(error) => return Err(error.to_string()),
        };
        let names = if names.is_empty() { vec![shown_name(&read.subject)] } else { names };
        Ok(Self {
            names,
            issuer: shown_name(&read.issuer),
            valid_from: read.validity.not_before.to_unix_duration(),
            valid_until: read.validity.not_after.to_unix_duration(),
        })
    }

    /// [`Certificate::valid_from`] as `2027-01-31T12:00:00Z`.
    #[must_use]
    pub fn valid_from_text(&self) -> String {
        text(self.valid_from)
    }

    /// [`Certificate::valid_until`] in the same form.
    #[must_use]
    pub fn valid_until_text(&self) -> String {
        text(self.valid_until)
    }

    /// How long it is still good at a time since 1970; zero when it is not any more.
    #[must_use]
    pub fn left(&self, now: Duration) -> Duration {
        self.valid_until.saturating_sub(now)
    }
}

fn text(time: Duration) -> String {
    // A time that a certificate can say is one that can be said.
    DateTime::from_unix_duration(time).map_or_else(|_| String::new(), |time| time.to_string())
}

fn shown_name(name: &Name) -> String {
    let text = name.to_string();
    if text.is_empty() { "nobody".to_owned() } else { text }
}

fn shown(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(|four| std::net::IpAddr::from(four).to_string());
            let sixteen =
                <[u8; 16]>::try_from(bytes).map(|sixteen| std::net::IpAddr::from(sixteen).to_string());
            four.or(sixteen).ok()
        }
        _ => None,
    }
}
