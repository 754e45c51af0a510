//! The head of a request: what of it matters here, read from the bytes where they lie.
//!
//! httparse finds the line and the fields; this file decides what they mean and refuses what two readers could
//! understand differently (RFC 9112 §6.3, §11.2): two lengths, a length beside a coding, a coding that is not `chunked`.

use super::problem::{Kind, Problem};
use crate::customers::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX};

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing says that there is a body.
    None,
    /// So many bytes.
    Length(usize),
    /// Chunks until an empty one.
    Chunked,
}

/// Whether the connection goes on after this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Close,
}

/// Whether the client waits for `100 Continue` before it sends its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Comes,
    WaitsForContinue,
}

/// A request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) authorization: Option<&'a [u8]>,
    pub(crate) idempotency_key: Option<&'a [u8]>,
    pub(crate) framing: Framing,
    pub(crate) after: After,
    pub(crate) body: Body,
    /// How many bytes the head has.
    pub(crate) bytes: usize,
}

impl<'a> Head<'a> {
    /// Reads the head that begins the bytes; `None` while it is not whole.
    ///
    /// # Errors
    /// The problem to answer before closing: where the next request begins is not known then.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Problem> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let whole = match request.parse(bytes) {
            Ok(httparse::Status::Complete(whole)) if whole <= HEAD_BYTES_MAX => whole,
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
            Err(httparse::Error::Version) => {
                return Err(Problem::new(Kind::Version, "expected HTTP/1.1 or HTTP/1.0"));
            }
            Err(error) => return Err(Problem::new(Kind::Request, error.to_string())),
        };
        let host = if request.version == Some(1) { Host::Missing } else { Host::NotNeeded };
        let mut head = Head {
            method: request.method.unwrap_or_default(),
            target: origin_form(request.path.unwrap_or_default()),
            authorization: None,
            idempotency_key: None,
            framing: Framing::None,
            after: if request.version == Some(1) { After::Keep } else { After::Close },
            body: Body::Comes,
            bytes: whole,
        };
        head.read_fields(request.headers, host)?;
        Ok(Some(head))
    }

    fn read_fields(&mut self, fields: &[httparse::Header<'a>], mut host: Host) -> Result<(), Problem> {
        for field in fields {
            // By length first: most fields of a request are of no interest, and a comparison of lengths is one instruction.
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => host = host.seen()?,
                6 if field.name.eq_ignore_ascii_case("expect") => self.read_expect(field.value)?,
                10 if field.name.eq_ignore_ascii_case("connection") => self.read_connection(field.value),
                13 if field.name.eq_ignore_ascii_case("authorization") => {
                    once(&mut self.authorization, field)?;
                }
                14 if field.name.eq_ignore_ascii_case("content-length") => self.read_length(field.value)?,
                15 if field.name.eq_ignore_ascii_case("idempotency-key") => {
                    once(&mut self.idempotency_key, field)?;
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    self.read_coding(field.value)?
                }
                _ => {}
            }
        }
        if host == Host::Missing {
            return Err(Problem::new(Kind::Request, "expected a Host field (RFC 9112 section 3.2)"));
        }
        Ok(())
    }

    fn read_expect(&mut self, value: &[u8]) -> Result<(), Problem> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Problem::new(Kind::Expectation, "expected 100-continue or no Expect field"));
        }
        self.body = Body::WaitsForContinue;
        Ok(())
    }

    fn read_connection(&mut self, value: &[u8]) {
        let mut options = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        if options.any(|option| option.eq_ignore_ascii_case(b"close")) {
            self.after = After::Close;
        }
    }

    fn read_length(&mut self, value: &[u8]) -> Result<(), Problem> {
        let wrong = || Problem::new(Kind::Request, "expected one Content-Length of decimal digits");
        if self.framing != Framing::None || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(wrong());
        }
        let digits = std::str::from_utf8(value).map_err(|_| wrong())?;
        // Digits that do not fit a word are a length beyond the limit, not a malformed one.
        let length = digits.parse().unwrap_or(usize::MAX);
        if length > BODY_BYTES_MAX {
            return Err(body_too_large());
        }
        self.framing = Framing::Length(length);
        Ok(())
    }

    fn read_coding(&mut self, value: &[u8]) -> Result<(), Problem> {
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Problem::new(Kind::TransferEncoding, "expected chunked, or a Content-Length"));
        }
        if self.framing != Framing::None {
            let detail = "expected either one Content-Length or one Transfer-Encoding";
            return Err(Problem::new(Kind::Request, detail));
        }
        self.framing = Framing::Chunked;
        Ok(())
    }
}

/// The problem of a body beyond the limit.
pub(crate) fn body_too_large() -> Problem {
    Problem::new(Kind::BodySize, "expected a body of at most 1048576 bytes")
}

fn too_large() -> Problem {
    Problem::new(Kind::HeadSize, "expected a head of at most 16384 bytes and 64 fields")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Missing,
    NotNeeded,
    Seen,
}

impl Host {
    fn seen(self) -> Result<Self, Problem> {
        if self == Self::Seen {
            return Err(Problem::new(Kind::Request, "expected one Host field"));
        }
        Ok(Self::Seen)
    }
}

fn once<'a>(place: &mut Option<&'a [u8]>, field: &httparse::Header<'a>) -> Result<(), Problem> {
    if place.replace(field.value).is_some() {
        return Err(Problem::new(Kind::Request, format!("expected one {} field", field.name)));
    }
    Ok(())
}

/// `http://host/path` is the same as `/path` for a server (RFC 9112 §3.2.2).
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) else {
        return target;
    };
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(Framing, After, Body), (u16, String)> {
        let parsed = Head::parse(text.as_bytes()).map_err(|p| (p.kind.status(), p.detail.into_owned()))?;
        let head = parsed.unwrap();
        assert_eq!(head.bytes, text.len());
        Ok((head.framing, head.after, head.body))
    }

    #[test]
    fn a_head_says_how_long_its_body_is_and_what_comes_after() {
        let request = |fields: &str| format!("POST /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(check(&request("")), Ok((Framing::None, After::Keep, Body::Comes)));
        assert_eq!(
            check(&request("content-length: 12\r\nconnection: Foo, CLOSE\r\n")),
            Ok((Framing::Length(12), After::Close, Body::Comes))
        );
        assert_eq!(
            check(&request("Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n")),
            Ok((Framing::Chunked, After::Keep, Body::WaitsForContinue))
        );
        assert_eq!(check("GET /x HTTP/1.0\r\n\r\n"), Ok((Framing::None, After::Close, Body::Comes)));
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let status =
            |fields: &str| check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).unwrap_err().0;
        assert_eq!(status("Content-Length: 1\r\nContent-Length: 1\r\n"), 400);
        assert_eq!(status("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400);
        assert_eq!(status("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 400);
        assert_eq!(status("Content-Length: +1\r\n"), 400);
        assert_eq!(status("Content-Length: 1048577\r\n"), 413);
        assert_eq!(status("Content-Length: 99999999999999999999999\r\n"), 413);
        assert_eq!(status("Transfer-Encoding: gzip, chunked\r\n"), 501);
        assert_eq!(status("Expect: wonders\r\n"), 417);
        assert_eq!(status("Host: b\r\n"), 400);
        assert_eq!(status("Authorization: a\r\nAuthorization: b\r\n"), 400);
        assert_eq!(status("Bad Name: a\r\n"), 400);
        assert_eq!(check("GET / HTTP/1.1\r\n\r\n").unwrap_err().0, 400);
        assert_eq!(check("GET / HTTP/2.0\r\n\r\n").unwrap_err().0, 505);
    }

    #[test]
    fn a_head_has_a_limit_whether_or_not_it_ends() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(HEAD_BYTES_MAX));
        assert_eq!(Head::parse(long.as_bytes()).unwrap_err().kind, Kind::HeadSize);
        assert_eq!(Head::parse(format!("{long}\r\n\r\n").as_bytes()).unwrap_err().kind, Kind::HeadSize);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX));
        assert_eq!(Head::parse(many.as_bytes()).unwrap_err().kind, Kind::HeadSize);
    }

    #[test]
    fn an_absolute_target_is_read_as_its_path() {
        assert_eq!(origin_form("http://a:80/v1/x?y"), "/v1/x?y");
        assert_eq!((origin_form("https://a"), origin_form("/v1"), origin_form("*")), ("/", "/v1", "*"));
    }
}
