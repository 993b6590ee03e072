//! One HTTP/1.1 answer, read piece by piece (RFC 9112). Keeps nothing but where it is: the body is
//! counted and searched, never stored.
//!
//! Pure. Does not read from a socket and does not know about time.

use harness_core::load::RequestOutcome;

use crate::search::Search;

/// More header fields are no answer that a client should accept.
const FIELDS_MAX: usize = 100;

/// Where the reading of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the end of the head, or of an interim one (1xx).
    Head,
    /// This much of a body of known length is missing.
    Sized(u64),
    /// Before the size of a chunk.
    ChunkSize,
    /// This much of a chunk is missing.
    Chunk(u64),
    /// Before the line end after a chunk.
    ChunkEnd,
    /// In the lines after the last chunk.
    Trailer,
    /// In a body that ends with the connection.
    UntilClose,
    /// After the answer.
    Done,
}

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    place: Place,
    status: u16,
    keeps_alive: bool,
    /// The request's method lets the answer have no body.
    bodiless: bool,
    search: Option<Search<'a>>,
}

/// How far a piece of input brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes of the piece that are used up.
    pub(crate) used: usize,
    /// The answer is whole.
    pub(crate) done: bool,
}

/// The bytes are no HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoHttp;

impl<'a> Answer<'a> {
    /// Of a request; `head_only` for `HEAD`, `needle` must be in the body.
    pub(crate) fn new(head_only: bool, needle: Option<&'a [u8]>) -> Self {
        Self {
            place: Place::Head,
            status: 0,
            keeps_alive: true,
            bodiless: head_only,
            search: needle.map(Search::new),
        }
    }

    /// Reads on. What is not used must come again, with more behind it.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Step, NoHttp> {
        let mut used = 0;
        while self.place != Place::Done {
            let rest = &bytes[used..];
            match self.advance(rest)? {
                Some(count) => used += count,
                None => break,
            }
        }
        Ok(Step { used, done: self.place == Place::Done })
    }

    /// One step; `None` when more input is needed.
    fn advance(&mut self, rest: &[u8]) -> Result<Option<usize>, NoHttp> {
        match self.place {
            Place::Head => self.head(rest),
            Place::Sized(missing) => Ok(self.body(rest, missing, Place::Sized, Place::Done)),
            Place::Chunk(missing) => Ok(self.body(rest, missing, Place::Chunk, Place::ChunkEnd)),
            Place::ChunkSize => match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((used, size))) => {
                    self.place = if size == 0 { Place::Trailer } else { Place::Chunk(size) };
                    Ok(Some(used))
                }
                Ok(httparse::Status::Partial) => Ok(None),
                Err(_) => Err(NoHttp),
            },
            Place::ChunkEnd => match rest {
                [b'\r', b'\n', ..] => {
                    self.place = Place::ChunkSize;
                    Ok(Some(2))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(NoHttp),
            },
            Place::Trailer => {
                let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
                    return Ok(None);
                };
                if end == 0 {
                    self.place = Place::Done;
                }
                Ok(Some(end + 2))
            }
            Place::UntilClose => {
                self.feed(rest);
                Ok((!rest.is_empty()).then_some(rest.len()))
            }
            Place::Done => Ok(None),
        }
    }

    fn body(
        &mut self,
        rest: &[u8],
        missing: u64,
        within: fn(u64) -> Place,
        after: Place,
    ) -> Option<usize> {
        let count = usize::try_from(missing).map_or(rest.len(), |missing| missing.min(rest.len()));
        self.feed(&rest[..count]);
        let missing = missing - count as u64;
        self.place = if missing == 0 { after } else { within(missing) };
        (count > 0).then_some(count)
    }

    fn feed(&mut self, piece: &[u8]) {
        if let Some(search) = &mut self.search {
            search.feed(piece);
        }
    }

    fn head(&mut self, rest: &[u8]) -> Result<Option<usize>, NoHttp> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let used = match head.parse(rest) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(NoHttp),
        };
        let status = head.code.ok_or(NoHttp)?;
        if (100..200).contains(&status) && status != 101 {
            return Ok(Some(used));
        }
        self.status = status;
        let framing = Framing::of(&head)?;
        self.keeps_alive = framing.keeps_alive && status != 101;
        let bodiless = self.bodiless || matches!(status, 101 | 204 | 304);
        self.place = match framing {
            _ if bodiless => Place::Done,
            Framing { chunked: Some(true), .. } => Place::ChunkSize,
            Framing { chunked: None, length: Some(0), .. } => Place::Done,
            Framing { chunked: None, length: Some(length), .. } => Place::Sized(length),
            Framing { .. } => Place::UntilClose,
        };
        if self.place == Place::UntilClose {
            self.keeps_alive = false;
        }
        Ok(Some(used))
    }

    /// The outcome of a whole answer.
    pub(crate) fn outcome(&self) -> RequestOutcome {
        match &self.search {
            Some(search) if !search.found() && !self.bodiless => RequestOutcome::Body,
            Some(_) | None => RequestOutcome::Status(self.status),
        }
    }

    /// Whether the connection can carry another request after it.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// The outcome when the connection ends in an orderly way here: a body of known length is
    /// wrong, a body without a length is whole, anything else was cut off.
    pub(crate) fn at_end(&self) -> RequestOutcome {
        match self.place {
            Place::UntilClose => self.outcome(),
            Place::Sized(_) => RequestOutcome::Body,
            Place::Head
            | Place::ChunkSize
            | Place::Chunk(_)
            | Place::ChunkEnd
            | Place::Trailer
            | Place::Done => RequestOutcome::Reset,
        }
    }
}

/// How a head says that its body ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy)]
struct Framing {
    /// There is a transfer coding, and it ends with chunks.
    chunked: Option<bool>,
    length: Option<u64>,
    keeps_alive: bool,
}

impl Framing {
    fn of(head: &httparse::Response<'_, '_>) -> Result<Self, NoHttp> {
        let mut framing =
            Self { chunked: None, length: None, keeps_alive: head.version == Some(1) };
        for field in head.headers.iter() {
            if field.name.eq_ignore_ascii_case("content-length") {
                let length = content_length(field.value)?;
                if framing.length.replace(length).is_some_and(|before| before != length) {
                    return Err(NoHttp);
                }
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                let last = field.value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                framing.chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            } else if field.name.eq_ignore_ascii_case("connection") {
                for word in field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if word.eq_ignore_ascii_case(b"close") {
                        framing.keeps_alive = false;
                    } else if word.eq_ignore_ascii_case(b"keep-alive") {
                        framing.keeps_alive = true;
                    }
                }
            }
        }
        Ok(framing)
    }
}

/// Digits alone; a list of the same number is one number (RFC 9110, section 8.6).
fn content_length(value: &[u8]) -> Result<u64, NoHttp> {
    let mut numbers = value.split(|byte| *byte == b',').map(|part| {
        let part = part.trim_ascii();
        let digits = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(part).ok().filter(|_| digits).ok_or(NoHttp)?;
        text.parse::<u64>().map_err(|_| NoHttp)
    });
    let first = numbers.next().ok_or(NoHttp)??;
    for other in numbers {
        if other? != first {
            return Err(NoHttp);
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests;
