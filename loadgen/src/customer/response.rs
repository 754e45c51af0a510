//! HTTP/1.1 responses, taken off the front of a connection's bytes (RFC 9112).

use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_HEADERS_MAX};

/// A whole response; its body still bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Response<'a> {
    /// The status code (RFC 9110 §15).
    pub(crate) status: u16,
    /// `Retry-After` in seconds (RFC 9110 §10.2.3), if it is there.
    pub(crate) retry_after_s: Option<u64>,
    /// The body.
    pub(crate) body: &'a [u8],
}

impl<'a> Response<'a> {
    /// Takes the first response off `bytes` and says how many bytes it had; `None` while it is not whole.
    ///
    /// # Errors
    /// In words, when what is there is no response that this reader takes.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, String> {
        let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
        let mut head = httparse::Response::new(&mut headers);
        let head_bytes = match head.parse(bytes) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("what came is no HTTP response: {error}")),
        };
        let status = head.code.ok_or("a response without a status")?;
        let number = |name: &str| {
            let header = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()?.trim().parse::<u64>().ok()
        };
        let length = match number("content-length") {
            Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
            None if status == 204 => 0,
            None => return Err("expected a response with a Content-Length".to_owned()),
        };
        if length > HTTP_BODY_BYTES_MAX {
            return Err(format!("a body of {length} bytes, expected at most {HTTP_BODY_BYTES_MAX}"));
        }
        let total = head_bytes + length;
        let retry_after_s = number("retry-after");
        Ok(bytes.get(head_bytes..total).map(|body| (Self { status, retry_after_s, body }, total)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_come_one_behind_the_other_and_in_pieces() {
        let stream = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
        let (first, used) = Response::split(stream).unwrap().unwrap();
        assert_eq!(first, Response { status: 202, retry_after_s: None, body: b"{}" });
        let (second, rest) = Response::split(&stream[used..]).unwrap().unwrap();
        assert_eq!(second, Response { status: 503, retry_after_s: Some(3), body: b"" });
        assert_eq!(used + rest, stream.len());
        assert!((0..used).all(|cut| Response::split(&stream[..cut]).unwrap().is_none()));
    }

    #[test]
    fn what_is_no_response_is_refused_in_words() {
        assert!(Response::split(b"SSH-2.0\r\n\r\n").unwrap_err().contains("no HTTP response"));
        assert!(Response::split(b"HTTP/1.1 200 OK\r\n\r\n").unwrap_err().contains("Content-Length"));
        assert!(Response::split(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").is_err());
    }
}
