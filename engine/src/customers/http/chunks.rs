//! A body in chunks (RFC 9112 §7.1), decoded as it comes.
//!
//! The machine keeps its place between two pieces of input, so that a client that sends byte by byte costs no more than one
//! that does not. Extensions and trailers are read over.

use super::head::body_too_large;
use super::problem::{Kind, Problem};
use crate::customers::limits::{BODY_BYTES_MAX, CHUNK_LINE_BYTES_MAX, CHUNKED_BYTES_MAX};

/// A body that is arriving in chunks. One for each connection that receives one.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Bytes of the request, head included, that were read.
    at: usize,
    next: Next,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Size,
    Data { left: usize },
    DataEnd,
    Trailer,
    Nothing,
}

impl Chunks {
    /// A body that begins after so many bytes of head.
    pub(crate) const fn after_head(head_bytes: usize) -> Self {
        Self { at: head_bytes, next: Next::Size, body: Vec::new() }
    }

    /// Reads on in the request's bytes, from its head. `true` once the body is whole.
    ///
    /// # Errors
    /// The problem to answer before closing.
    pub(crate) fn read(&mut self, request: &[u8]) -> Result<bool, Problem> {
        loop {
            let rest = &request[self.at..];
            match self.next {
                Next::Nothing => return Ok(true),
                Next::Data { left } => {
                    let count = left.min(rest.len());
                    self.body.extend_from_slice(&rest[..count]);
                    self.at += count;
                    if count < left {
                        self.next = Next::Data { left: left - count };
                        return self.wait();
                    }
                    self.next = Next::DataEnd;
                }
                Next::Size | Next::DataEnd | Next::Trailer => {
                    let Some(line) = take_line(rest)? else { return self.wait() };
                    self.next = self.after_line(line)?;
                    self.at += line.len() + 2;
                }
            }
        }
    }

    /// How many bytes of the request were read; the whole request once [`Chunks::read`] said so.
    pub(crate) const fn request_bytes(&self) -> usize {
        self.at
    }

    /// What the chunks carried.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }

    fn wait(&self) -> Result<bool, Problem> {
        if self.at > CHUNKED_BYTES_MAX { Err(body_too_large()) } else { Ok(false) }
    }

    fn after_line(&self, line: &[u8]) -> Result<Next, Problem> {
        match self.next {
            Next::Size => {
                let size = chunk_size(line)?;
                if size > BODY_BYTES_MAX - self.body.len() {
                    return Err(body_too_large());
                }
                Ok(if size == 0 { Next::Trailer } else { Next::Data { left: size } })
            }
            Next::DataEnd if line.is_empty() => Ok(Next::Size),
            Next::DataEnd => Err(malformed("expected the end of a line after a chunk")),
            Next::Trailer if line.is_empty() => Ok(Next::Nothing),
            Next::Trailer | Next::Data { .. } | Next::Nothing => Ok(Next::Trailer),
        }
    }
}

/// The line that begins the bytes, without its end; `None` while it has none.
fn take_line(bytes: &[u8]) -> Result<Option<&[u8]>, Problem> {
    let within = &bytes[..bytes.len().min(CHUNK_LINE_BYTES_MAX)];
    match within.iter().position(|&byte| byte == b'\n') {
        Some(end) if end > 0 && within[end - 1] == b'\r' => Ok(Some(&within[..end - 1])),
        Some(_) => Err(malformed("expected lines of chunks to end in CR LF")),
        None if bytes.len() >= CHUNK_LINE_BYTES_MAX => {
            Err(malformed("expected shorter lines between chunks"))
        }
        None => Ok(None),
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, Problem> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_end();
    let wrong = || malformed("expected the size of a chunk in hexadecimal digits");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let text = std::str::from_utf8(digits).map_err(|_| wrong())?;
    Ok(usize::from_str_radix(text, 16).unwrap_or(usize::MAX))
}

fn malformed(detail: &'static str) -> Problem {
    Problem::new(Kind::Request, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<Option<(String, usize)>, Kind> {
        let mut chunks = Chunks::after_head(0);
        let done = chunks.read(text.as_bytes()).map_err(|problem| problem.kind)?;
        let bytes = chunks.request_bytes();
        Ok(done.then(|| (String::from_utf8(chunks.into_body()).unwrap(), bytes)))
    }

    #[test]
    fn chunks_become_a_body_wherever_they_are_split() {
        let text = "4\r\nWiki\r\nB; x=y\r\npedia in \r\n\r\n0\r\nTrailer: z\r\n\r\nNEXT";
        assert_eq!(whole(text), Ok(Some(("Wikipedia in \r\n".into(), text.len() - 4))));
        let mut chunks = Chunks::after_head(0);
        for end in 0..text.len() - 4 {
            assert!(!chunks.read(&text.as_bytes()[..end]).unwrap(), "{end}");
        }
        assert!(chunks.read(text.as_bytes()).unwrap());
        assert_eq!(chunks.into_body(), b"Wikipedia in \r\n");
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in ["\r\n", "x\r\n", "-1\r\n", "1\n", "1\r\nab\r\n", &"1".repeat(300)] {
            assert_eq!(whole(text), Err(Kind::Request), "{text:?}");
        }
        assert_eq!(whole("100001\r\n"), Err(Kind::BodySize));
        assert_eq!(whole("ffffffffffffffffffff\r\n"), Err(Kind::BodySize));
        let tiny =
            "1;................................................................\r\nx\r\n".repeat(40_000);
        assert_eq!(whole(&tiny), Err(Kind::BodySize), "lines that cost more than they carry");
    }
}
