//! Answers as bytes: a status line, four fields, a body.
//!
//! A body is written where it will be sent from; its length is filled in afterwards, into a field that was left wide enough.

use super::head::After;
use super::problem::{Kind, Problem};

/// Digits that are kept free for a length: the largest answer is a few MiB.
const LENGTH_DIGITS: usize = 8;

/// `Date` of RFC 9110 §5.6.7, as `Mon, 23 Nov 2026 03:28:31 GMT`.
pub(crate) type DateText = [u8; 29];

/// What stands in the head of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    pub(crate) date: &'a DateText,
    pub(crate) after: After,
    /// Further fields, each with its end of line.
    pub(crate) fields: &'a str,
}

/// An answer whose body is being written.
#[derive(Debug)]
#[must_use = "an answer that is not closed has no length"]
pub(crate) struct OpenResponse {
    body_at: usize,
}

impl OpenResponse {
    /// Appends the head.
    pub(crate) fn begin(head: &ResponseHead<'_>, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(status_line(head.status).as_bytes());
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(head.date);
        if head.after == After::Close {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        out.extend_from_slice(b"\r\ncontent-type: ");
        out.extend_from_slice(head.content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(head.fields.as_bytes());
        out.extend_from_slice(b"content-length:         \r\n\r\n");
        Self { body_at: out.len() }
    }

    /// Fills in the length of what was appended since.
    pub(crate) fn close(self, out: &mut [u8]) {
        let mut left = out.len() - self.body_at;
        let digits_end = self.body_at - 4;
        for place in (digits_end - LENGTH_DIGITS..digits_end).rev() {
            out[place] = b'0' + u8::try_from(left % 10).expect("a digit fits a byte");
            left /= 10;
            if left == 0 {
                return;
            }
        }
        assert!(left == 0, "an answer is longer than its length has digits");
    }
}

/// Appends the answer to a problem.
pub(crate) fn put_problem(problem: &Problem, date: &DateText, after: After, out: &mut Vec<u8>) {
    let mut fields = String::new();
    if let Some(seconds) = problem.retry_after_s() {
        fields = format!("retry-after: {seconds}\r\n");
    }
    match problem.kind {
        Kind::Unauthorized => fields.push_str("www-authenticate: Bearer\r\n"),
        Kind::Method(allowed) => fields = format!("allow: {allowed}\r\n"),
        _ => {}
    }
    let head = ResponseHead {
        status: problem.kind.status(),
        content_type: "application/problem+json",
        date,
        after,
        fields: &fields,
    };
    let open = OpenResponse::begin(&head, out);
    problem.write(out);
    open.close(out);
}

/// The text of `Date` at a wall time.
pub(crate) fn date_text(wall: wire::time::WallMs) -> DateText {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let day = DAYS[usize::try_from(wall.0 / 86_400_000 % 7).expect("below 7")];
    let text = wall.to_string();
    let month: usize = text.get(5..7).and_then(|digits| digits.parse().ok()).unwrap_or(1);
    let (year, day_of_month, time) = (&text[..4], &text[8..10], &text[11..19]);
    let line = format!("{day}, {day_of_month} {} {year} {time} GMT", MONTHS[month - 1]);
    // A clock beyond the year 9999 is wrong whatever is said here.
    line.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}

const fn status_line(status: u16) -> &'static str {
    match status {
        200 => "HTTP/1.1 200 OK\r\n",
        202 => "HTTP/1.1 202 Accepted\r\n",
        400 => "HTTP/1.1 400 Bad Request\r\n",
        401 => "HTTP/1.1 401 Unauthorized\r\n",
        403 => "HTTP/1.1 403 Forbidden\r\n",
        404 => "HTTP/1.1 404 Not Found\r\n",
        405 => "HTTP/1.1 405 Method Not Allowed\r\n",
        408 => "HTTP/1.1 408 Request Timeout\r\n",
        409 => "HTTP/1.1 409 Conflict\r\n",
        411 => "HTTP/1.1 411 Length Required\r\n",
        413 => "HTTP/1.1 413 Content Too Large\r\n",
        417 => "HTTP/1.1 417 Expectation Failed\r\n",
        422 => "HTTP/1.1 422 Unprocessable Content\r\n",
        429 => "HTTP/1.1 429 Too Many Requests\r\n",
        431 => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        501 => "HTTP/1.1 501 Not Implemented\r\n",
        503 => "HTTP/1.1 503 Service Unavailable\r\n",
        504 => "HTTP/1.1 504 Gateway Timeout\r\n",
        505 => "HTTP/1.1 505 HTTP Version Not Supported\r\n",
        _ => panic!("a status without a line"),
    }
}

#[cfg(test)]
mod tests {
    use shards::api::Refusal;
    use wire::time::WallMs;

    use super::super::problem::KINDS_OF_OUR_OWN;
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(&date_text(WallMs(784_111_777_000)), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&date_text(WallMs(0)), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn every_problem_has_a_status_line() {
        for kind in KINDS_OF_OUR_OWN.into_iter().chain(Refusal::ALL.map(Kind::Refused)) {
            assert!(status_line(kind.status()).contains(&kind.status().to_string()));
        }
    }

    #[test]
    fn a_length_is_filled_in_behind_the_body() {
        for length in [0, 7, 10, 99_999, 12_345_678] {
            let mut out = Vec::new();
            let head = ResponseHead {
                status: 200,
                content_type: "text/plain",
                date: &date_text(WallMs(0)),
                after: After::Close,
                fields: "",
            };
            let open = OpenResponse::begin(&head, &mut out);
            out.resize(out.len() + length, b'x');
            open.close(&mut out);
            let mut fields = [httparse::EMPTY_HEADER; 8];
            let mut response = httparse::Response::new(&mut fields);
            assert!(response.parse(&out).unwrap().is_complete());
            let value = response.headers.iter().find(|field| field.name == "content-length").unwrap().value;
            assert_eq!(std::str::from_utf8(value).unwrap(), length.to_string());
        }
    }
}
