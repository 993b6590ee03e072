//! One look through an address with a connection of its own: what a caller would see there.
//!
//! It is independent of the injector and of the proxy's control socket.

use std::io;
use std::net::SocketAddr;

use futures_util::future::join_all;
use harness_core::time::Clock;
use harness_core::units::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// What a caller sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The connection is refused.
    Refused,
    /// No connection within the time, or no way there; the words say which.
    Unopened(String),
    /// The connection is reset, while it is opened or later.
    Reset,
    /// It is open, the request is sent, and no byte comes.
    Silent,
    /// It was closed without an answer, or in the middle of one.
    Closed,
    /// An answer with bytes that are not ASCII; the healthy services of ours send none.
    Garbled,
    /// An HTTP answer.
    Answered {
        /// Its status.
        status: u16,
        /// From the request to the first byte of the answer, one per request.
        took: Vec<Duration>,
    },
    /// Something that says nothing: no HTTP, no descriptor.
    Odd(String),
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset"),
            Self::Silent => f.write_str("connected, but no byte came"),
            Self::Closed => f.write_str("closed without a whole answer"),
            Self::Garbled => f.write_str("an answer with bytes that nobody sent"),
            Self::Answered { status, took } => match took.iter().min() {
                Some(took) => write!(f, "status {status} after {took}"),
                None => write!(f, "status {status}"),
            },
            Self::Unopened(why) | Self::Odd(why) => f.write_str(why),
        }
    }
}

/// What is asked, how often, and for how long an answer is awaited.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// `GET`.
    pub method: &'a str,
    /// `/healthz`.
    pub path: &'a str,
    /// Requests, one after the other on one connection; at least 1.
    pub requests: u32,
    /// No byte within this time after a request is silence.
    pub silence: Duration,
    /// So many bytes that mean nothing are sent with each request.
    pub padding_bytes: usize,
    /// What makes further requests needless.
    pub until: Option<Telling>,
}

/// An answer that says all there is to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// One with this status.
    Status(u16),
    /// One that took at least so long.
    Late(Duration),
}

impl Question<'_> {
    /// One request for the health of a service.
    pub fn once(silence: Duration) -> Question<'static> {
        let (method, path) = ("GET", "/healthz");
        Question { method, path, requests: 1, silence, padding_bytes: 0, until: None }
    }
}

/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest body of an answer.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Opens a connection, asks, and says what was seen. Takes at most a silence for the opening and
/// one per request.
pub async fn look(address: &str, question: Question<'_>, clock: &dyn Clock) -> Seen {
    match open(address, question.silence).await {
        Ok(mut stream) => ask(&mut stream, address, question, clock).await,
        Err(seen) => seen,
    }
}

/// The same from a socket that was made elsewhere, in another network namespace say.
pub(crate) async fn look_from(
    socket: TcpSocket,
    address: SocketAddr,
    question: Question<'_>,
    clock: &dyn Clock,
) -> Seen {
    match opened(socket.connect(address), question.silence).await {
        Ok(mut stream) => ask(&mut stream, &address.to_string(), question, clock).await,
        Err(seen) => seen,
    }
}

/// The same on so many connections side by side; each stays open until all have ended, so that
/// none profits from another's end.
pub(crate) async fn look_on(
    connections: usize,
    address: &str,
    question: Question<'_>,
    clock: &dyn Clock,
) -> Vec<Seen> {
    let each = (0..connections).map(async |_| match open(address, question.silence).await {
        Ok(mut stream) => (ask(&mut stream, address, question, clock).await, Some(stream)),
        Err(seen) => (seen, None),
    });
    join_all(each).await.into_iter().map(|(seen, _open)| seen).collect()
}

async fn open(address: &str, silence: Duration) -> Result<TcpStream, Seen> {
    opened(TcpStream::connect(address), silence).await
}

async fn opened(
    opening: impl Future<Output = io::Result<TcpStream>>,
    silence: Duration,
) -> Result<TcpStream, Seen> {
    let stream = tokio::time::timeout(silence.as_std(), opening)
        .await
        .map_err(|_| Seen::Unopened(format!("no connection within {silence}")))?
        .map_err(|error| broken(&error))?;
    stream.set_nodelay(true).map_err(|error| broken(&error))?;
    Ok(stream)
}

async fn ask(
    stream: &mut TcpStream,
    address: &str,
    question: Question<'_>,
    clock: &dyn Clock,
) -> Seen {
    let limit = question.silence.as_std();
    let request = text_of(address, question);
    let (mut status, mut took) = (0, Vec::new());
    for _ in 0..question.requests {
        let began = clock.now();
        if let Err(error) = stream.write_all(request.as_bytes()).await {
            return broken(&error);
        }
        match tokio::time::timeout(limit, read_answer(stream, clock)).await {
            Err(_) => return Seen::Silent,
            Ok(Err(seen)) => return seen,
            Ok(Ok(answer)) => {
                let waited = answer.first_byte.since(began);
                took.push(waited);
                status = answer.status;
                let tells = match question.until {
                    None => false,
                    Some(Telling::Status(telling)) => status == telling,
                    Some(Telling::Late(least)) => waited >= least,
                };
                if answer.last || tells {
                    break;
                }
            }
        }
    }
    Seen::Answered { status, took }
}

fn text_of(address: &str, question: Question<'_>) -> String {
    let Question { method, path, padding_bytes, .. } = question;
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: gameday\r\n");
    if padding_bytes > 0 {
        text.push_str("x-padding: ");
        text.push_str(&"x".repeat(padding_bytes));
        text.push_str("\r\n");
    }
    if !matches!(method, "GET" | "HEAD") {
        text.push_str("content-length: 0\r\n");
    }
    text.push_str("\r\n");
    text
}

struct Answer {
    status: u16,
    first_byte: harness_core::time::RunTime,
    /// The connection ends with it.
    last: bool,
}

async fn read_answer(stream: &mut TcpStream, clock: &dyn Clock) -> Result<Answer, Seen> {
    let (mut bytes, mut first_byte) = (Vec::new(), None);
    let head_bytes = loop {
        let read = read_more(stream, &mut bytes).await?;
        first_byte.get_or_insert_with(|| clock.now());
        if read == 0 {
            return Err(Seen::Closed);
        }
        if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(Seen::Odd("an endless head".to_owned()));
        }
    };
    let odd = || Seen::Odd("an answer that is not HTTP/1.1".to_owned());
    let head = std::str::from_utf8(&bytes[..head_bytes]).map_err(|_| odd())?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Err(odd());
    }
    let status = words.next().and_then(|word| word.parse().ok()).ok_or_else(odd)?;
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let field = |wanted: &str| {
        fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v.trim())
    };
    let length: Option<usize> = field("content-length").and_then(|text| text.parse().ok());
    let closes = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let first_byte = first_byte.expect("the loop has read");
    let Some(whole) = length.filter(|length| *length <= BODY_BYTES_MAX).map(|l| head_bytes + l)
    else {
        // Where the body ends is not worth knowing: one answer is enough.
        return Ok(Answer { status, first_byte, last: true });
    };
    while bytes.len() < whole {
        if read_more(stream, &mut bytes).await? == 0 {
            return Err(Seen::Closed);
        }
    }
    Ok(Answer { status, first_byte, last: closes })
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<usize, Seen> {
    let before = bytes.len();
    let read = stream.read_buf(bytes).await.map_err(|error| broken(&error))?;
    if bytes[before..].is_ascii() { Ok(read) } else { Err(Seen::Garbled) }
}

fn broken(error: &io::Error) -> Seen {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Seen::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Seen::Reset,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Seen::Unopened(error.to_string())
        }
        _ => Seen::Odd(error.to_string()),
    }
}
