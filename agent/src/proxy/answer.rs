//! Where HTTP/1.1 requests end, just well enough to answer each with a status. No I/O.
//!
//! It reads the request line, `content-length`, `transfer-encoding: chunked` and `connection`;
//! everything else of a request is skipped. It validates nothing: what it cannot follow ends the
//! connection with 400.

/// A longer head is not followed.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A longer line of a chunked body (its size, or a trailer) is not followed.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    state: State,
    /// The bytes of an unfinished head or line.
    pending: Vec<u8>,
    last: Persistence,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two requests, or in the head of one.
    #[default]
    Head,
    /// So many bytes of the body are left.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// So many bytes of a chunk are left, its line end included.
    Chunk(u64),
    /// Trailers, up to an empty line.
    Trailers,
}

/// What becomes of the connection after a request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Another request may follow.
    #[default]
    Keep,
    /// It is closed after the answer.
    Close,
}

/// What a piece of input led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All of it was used and the request is not whole.
    More,
    /// A request ended after so many bytes of the piece.
    Request {
        /// How many bytes of the piece belong to it.
        used: usize,
        /// What follows.
        then: Persistence,
    },
    /// It is not HTTP/1.1 that can be followed.
    Lost,
}

impl Requests {
    /// Whether no request has begun that is not ended.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Head && self.pending.is_empty()
    }

    /// Takes the next piece up to the end of one request.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Step {
        let mut used = 0;
        while used < piece.len() {
            let rest = &piece[used..];
            match self.state {
                State::Head => {
                    let Some(length) = self.take_until(rest, b"\r\n\r\n", HEAD_BYTES_MAX) else {
                        return Step::Lost;
                    };
                    used += length;
                    if self.pending.ends_with(b"\r\n\r\n") && !self.end_head() {
                        return Step::Lost;
                    }
                }
                State::Body(left) | State::Chunk(left) => {
                    let here = left.min(rest.len() as u64);
                    used += usize::try_from(here).expect("at most the length of a slice");
                    self.state = match self.state {
                        State::Chunk(_) if here == left => State::ChunkSize,
                        State::Chunk(_) => State::Chunk(left - here),
                        _ => State::Body(left - here),
                    };
                }
                State::ChunkSize | State::Trailers => {
                    let Some(length) = self.take_until(rest, b"\r\n", LINE_BYTES_MAX) else {
                        return Step::Lost;
                    };
                    used += length;
                    if self.pending.ends_with(b"\r\n") && !self.end_line() {
                        return Step::Lost;
                    }
                }
            }
            if self.state == State::Body(0) {
                self.state = State::Head;
                return Step::Request { used, then: self.last };
            }
        }
        Step::More
    }

    /// Adds to the pending bytes up to and including `end`; `None` when they become too many.
    fn take_until(&mut self, rest: &[u8], end: &[u8], bytes_max: usize) -> Option<usize> {
        // The end may have begun in the piece before.
        let before = self.pending.len();
        let from = before.saturating_sub(end.len() - 1);
        let room = (bytes_max + 1).saturating_sub(before).min(rest.len());
        self.pending.extend_from_slice(&rest[..room]);
        let found = self.pending[from..].windows(end.len()).position(|part| part == end);
        if let Some(at) = found {
            let length = from + at + end.len();
            self.pending.truncate(length);
            return Some(length - before);
        }
        (self.pending.len() <= bytes_max).then_some(room)
    }

    /// Reads a whole head and says whether it can be followed.
    fn end_head(&mut self) -> bool {
        let head = std::mem::take(&mut self.pending);
        // Empty lines before a request are allowed (RFC 9112, 2.2).
        let Ok(text) = std::str::from_utf8(&head) else { return false };
        let mut lines = text.trim_start_matches("\r\n").split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let (Some(_), Some(_), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return false;
        };
        self.last = match version {
            "HTTP/1.1" => Persistence::Keep,
            "HTTP/1.0" => Persistence::Close,
            _ => return false,
        };
        let mut body = State::Body(0);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && body == State::Body(0) {
                let Ok(length) = value.parse() else { return false };
                body = State::Body(length);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.to_ascii_lowercase().ends_with("chunked") {
                    return false;
                }
                body = State::ChunkSize;
            } else if name.eq_ignore_ascii_case("connection")
                && value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"))
            {
                self.last = Persistence::Close;
            }
        }
        self.state = body;
        true
    }

    /// Reads the line with a chunk's size, or a trailer.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.pending);
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
        if self.state == State::Trailers {
            if text.is_empty() {
                self.state = State::Body(0);
            }
            return true;
        }
        let digits = text.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        match size {
            Some(0) => self.state = State::Trailers,
            // The chunk's own line end is skipped with it.
            Some(size) => self.state = State::Chunk(size.saturating_add(2)),
            None => return false,
        }
        true
    }
}

/// The whole answer to one request. It has no body, so it also answers a `HEAD`.
pub(super) fn response(status: u16, then: Persistence) -> Vec<u8> {
    let connection = match then {
        Persistence::Keep => "",
        Persistence::Close => "connection: close\r\n",
    };
    let reason = hyper::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Fault");
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\nx-gameday-fault: status\r\n\
         {connection}\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const POST: &str = "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str = "POST /x HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
                           5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n";
    const CLOSE: &str = "GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n";

    /// How many requests end, and what follows the last, when fed in pieces of a size.
    fn count(text: &str, piece_bytes: usize) -> Option<(usize, Persistence, bool)> {
        let mut requests = Requests::default();
        let (mut ended, mut last) = (0, Persistence::Keep);
        for mut piece in text.as_bytes().chunks(piece_bytes) {
            loop {
                match requests.feed(piece) {
                    Step::More => break,
                    Step::Lost => return None,
                    Step::Request { used, then } => {
                        (ended, last) = (ended + 1, then);
                        piece = &piece[used..];
                    }
                }
            }
        }
        Some((ended, last, requests.is_between()))
    }

    #[test]
    fn requests_end_where_they_end_however_they_are_cut() {
        let all = format!("{GET}{POST}\r\n{CHUNKED}{GET}{CLOSE}");
        for size in 1..=all.len() {
            assert_eq!(count(&all, size), Some((5, Persistence::Close, true)), "pieces of {size}");
        }
    }

    #[test]
    fn an_unfinished_request_is_not_counted() {
        for text in [GET, POST, CHUNKED] {
            for cut in 1..text.len() {
                let (ended, _, between) = count(&text[..cut], 3).unwrap();
                assert_eq!((ended, between), (0, false), "{:?}", &text[..cut]);
            }
        }
    }

    #[test]
    fn what_is_not_http_is_lost() {
        let endless = "a".repeat(HEAD_BYTES_MAX + 2);
        for text in ["PRI * HTTP/2.0\r\n\r\n", "\x16\x03\x01\r\n\r\n", &endless] {
            assert_eq!(count(text, 1000), None);
        }
        let bad_chunk = "POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
        assert_eq!(count(bad_chunk, 1000), None);
    }

    #[test]
    fn an_old_client_gets_its_connection_closed() {
        assert_eq!(count("GET / HTTP/1.0\r\n\r\n", 4), Some((1, Persistence::Close, true)));
        let text = String::from_utf8(response(503, Persistence::Close)).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
        assert!(text.contains("connection: close\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }
}
