//! The address of an account's server, and as much of it as may be shown.

use core::fmt;

use rustls::pki_types::ServerName;
use ureq::http::Uri;

use super::limits::URL_BYTES_MAX;

/// An `http` or `https` URL with a host, without a user and without a fragment. It is shown without its query, where tokens are.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    uri: Uri,
}

impl Url {
    /// Reads one; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= URL_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits || text.contains('#') {
            return None;
        }
        let uri: Uri = text.parse().ok()?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority()?;
        // Whatever stands before the host is a user, and what stands behind it a port.
        let behind = authority.as_str().strip_prefix(authority.host())?;
        let has_port = behind.strip_prefix(':').map(|port| port.parse().is_ok_and(|port: u16| port != 0));
        let is_good = is_name(authority.host()) && (behind.is_empty() || has_port == Some(true));
        (is_http && is_good).then(|| Self { text: text.to_owned(), uri })
    }

    /// All of it.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// Whether it is spoken to over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Whether nobody is between us and the server.
    pub(crate) fn is_this_machine(&self) -> bool {
        matches!(self.uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"))
    }

    /// Host and port, as in the URL.
    pub(crate) fn host(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let query = if self.uri.query().is_some() { "?…" } else { "" };
        write!(f, "{scheme}://{}{}{query}", self.host(), self.uri.path())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether a host is a name or an address that a certificate could be for.
fn is_name(host: &str) -> bool {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    ServerName::try_from(inside.unwrap_or(host)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_token() {
        let url = Url::parse("https://hooks.example.net:8443/acme/in?token=hunter2").unwrap();
        assert_eq!(url.to_string(), "https://hooks.example.net:8443/acme/in?…");
        assert_eq!((url.host(), url.is_tls()), ("hooks.example.net:8443", true));
        assert!(!format!("{url:?}").contains("hunter2") && url.expose().ends_with("hunter2"));
        let plain = Url::parse("http://127.0.0.1:9/").unwrap();
        assert!(plain.is_this_machine() && !plain.is_tls() && !url.is_this_machine());
        for good in
            ["http://[::1]:8080/in", "https://example.net", "https://192.0.2.7/", "http://my_host:1/?a=b"]
        {
            assert_eq!(Url::parse(good).map(|url| url.expose().to_owned()).as_deref(), Some(good));
        }
        assert!(Url::parse("http://[::1]:8080/in").is_some_and(|url| url.is_this_machine()));
    }

    #[test]
    fn what_is_no_address_of_a_server_is_not_taken() {
        let long = format!("https://example.net/{}", "a".repeat(URL_BYTES_MAX));
        for wrong in [
            "",
            "example.net/hook",
            "ftp://example.net/",
            "https://",
            "https:///hook",
            "https://user:hunter2@example.net/",
            "https://example.net/#part",
            "https://example.net/a b",
            "https://exämple.net/",
            "https://example.net:x/",
            "https://example.net:/",
            "https://example.net:0/",
            "https://example.net:65536/",
            "https://exa..mple.net/",
            "https://[::1/",
            &long,
        ] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }
}
