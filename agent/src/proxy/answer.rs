//! Where HTTP/1.1 messages begin and end, just well enough to answer requests. No I/O.
//!
//! It reads the first line, `content-length`, `transfer-encoding: chunked` and `connection`;
//! everything else of a message is skipped. It validates nothing: what it cannot follow is lost.

/// A longer head is not followed.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// A longer line of a chunked body (its size, or a trailer) is not followed.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Follows the messages of one direction of a connection.
#[derive(Debug)]
pub(super) struct Messages {
    kind: Kind,
    state: State,
    /// The bytes of an unfinished head or line.
    pending: Vec<u8>,
    first_line: String,
    last: Persistence,
}

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Requests.
    Requests,
    /// The answer to one request after the other.
    Answers,
    /// An answer that has no body, whatever its head says.
    AnswersToHead,
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
    /// The body of an answer that ends with its connection.
    UntilClose,
}

/// What becomes of the connection after a message.
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
    /// All of it was used and the message is not whole.
    More,
    /// A head ended; its body, if only an empty one, follows.
    Head {
        /// How many bytes of the piece belong to it.
        used: usize,
    },
    /// A message ended after so many bytes of the piece.
    End {
        /// How many bytes of the piece belong to it.
        used: usize,
        /// What follows.
        then: Persistence,
    },
    /// It is not HTTP/1.1 that can be followed.
    Lost,
}

impl Messages {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            state: State::default(),
            pending: Vec::new(),
            first_line: String::new(),
            last: Persistence::default(),
        }
    }

    /// The first line of the last head.
    pub(super) fn first_line(&self) -> &str {
        &self.first_line
    }

    /// The beginning of a head that is not whole.
    pub(super) fn begun(&self) -> &[u8] {
        if self.state == State::Head { &self.pending } else { &[] }
    }

    /// Whether no message has begun that is not ended.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Head && self.pending.is_empty()
    }

    /// Takes the next piece up to the end of one head or message. An empty one may end a message.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Step {
        let mut used = 0;
        loop {
            if self.state == State::Body(0) {
                self.state = State::Head;
                return Step::End { used, then: self.last };
            }
            if used == piece.len() {
                return Step::More;
            }
            let rest = &piece[used..];
            match self.state {
                State::Head => {
                    let Some(length) = self.take_until(rest, b"\r\n\r\n", HEAD_BYTES_MAX) else {
                        return Step::Lost;
                    };
                    used += length;
                    if self.pending.ends_with(b"\r\n\r\n") {
                        return if self.end_head() { Step::Head { used } } else { Step::Lost };
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
                State::UntilClose => used = piece.len(),
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
        }
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
        lines.next().unwrap_or_default().clone_into(&mut self.first_line);
        let mut words = self.first_line.split(' ');
        let version = match self.kind {
            Kind::Requests => words.nth(2).filter(|_| words.next().is_none()),
            Kind::Answers | Kind::AnswersToHead => words.next(),
        };
        self.last = match version {
            Some("HTTP/1.1") => Persistence::Keep,
            Some("HTTP/1.0") => Persistence::Close,
            _ => return false,
        };
        let (mut body, mut framed) = (State::Body(0), false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && body == State::Body(0) {
                let Ok(length) = value.parse() else { return false };
                (body, framed) = (State::Body(length), true);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.to_ascii_lowercase().ends_with("chunked") {
                    return false;
                }
                (body, framed) = (State::ChunkSize, true);
            } else if name.eq_ignore_ascii_case("connection")
                && value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"))
            {
                self.last = Persistence::Close;
            }
        }
        self.state = match self.kind {
            Kind::Requests => body,
            Kind::Answers | Kind::AnswersToHead => match (self.status(), framed) {
                // An interim answer: the real one follows.
                (100..=199, _) => State::Head,
                (204 | 304, _) => State::Body(0),
                _ if self.kind == Kind::AnswersToHead => State::Body(0),
                (_, true) => body,
                (_, false) => State::UntilClose,
            },
        };
        true
    }

    /// The status of the last answer's head; 0 where there is none.
    pub(super) fn status(&self) -> u16 {
        let word = self.first_line.split(' ').nth(1);
        word.and_then(|word| word.parse().ok()).unwrap_or_default()
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
        let mut requests = Messages::new(Kind::Requests);
        let (mut ended, mut last) = (0, Persistence::Keep);
        for mut piece in text.as_bytes().chunks(piece_bytes) {
            loop {
                match requests.feed(piece) {
                    Step::More => break,
                    Step::Lost => return None,
                    Step::Head { used } => piece = &piece[used..],
                    Step::End { used, then } => {
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

    #[test]
    fn answers_end_by_their_framing_status_and_request() {
        let plain = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let interim = format!("HTTP/1.1 100 Continue\r\n\r\n{plain}");
        let none = "HTTP/1.1 204 No Content\r\n\r\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        let endless = "HTTP/1.1 200 OK\r\n\r\nno end";
        for (kind, text, expected) in [
            (Kind::Answers, plain, true),
            (Kind::Answers, chunked, true),
            (Kind::Answers, interim.as_str(), true),
            (Kind::Answers, none, true),
            (Kind::Answers, head, false),
            (Kind::AnswersToHead, head, true),
            (Kind::Answers, endless, false),
        ] {
            let mut answers = Messages::new(kind);
            let (mut piece, mut ended) = (text.as_bytes(), false);
            loop {
                match answers.feed(piece) {
                    Step::More => break,
                    Step::Head { used } => piece = &piece[used..],
                    Step::End { used, .. } => {
                        (piece, ended) = (&piece[used..], true);
                    }
                    Step::Lost => panic!("{text}"),
                }
            }
            assert!(piece.is_empty() || !ended, "{text}");
            assert_eq!(ended, expected, "{kind:?} {text}");
        }
    }
}
