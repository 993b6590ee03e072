//! One connection that speaks HTTP, and one request and answer on it. HTTP/1.1 without TLS is
//! `plain`'s, all else hyper's.
//!
//! The future of a hyper connection is polled by whoever uses it, in the same task: an answer needs
//! one wake-up, not two. Does not measure time and does not decide about tries.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use harness_core::load::RequestOutcome;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Response};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::joint_waker::JointWaker;
use crate::mix::Arrival;
use crate::plain::PlainConnection;
use crate::request::Requests;
use crate::search::Search;
use crate::transport::{Transport, class};

type Http1Connection = http1::Connection<TokioIo<Transport>, Full<Bytes>>;
/// A handle to a shared HTTP/2 connection.
pub(crate) type Http2Sender = http2::SendRequest<Full<Bytes>>;

/// A connection that is ready for a request, or was.
#[derive(Debug)]
pub(crate) enum Session {
    /// HTTP/1.1 without TLS.
    Plain(PlainConnection),
    /// With its own connection.
    Http1 {
        /// Takes requests.
        sender: http1::SendRequest<Full<Bytes>>,
        /// Moves bytes; `None` once it has ended.
        connection: Option<Box<Http1Connection>>,
        /// Of the task that uses it.
        waker: JointWaker,
    },
    /// One of many streams on a connection that another task drives.
    Http2 {
        /// Takes requests.
        sender: Http2Sender,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing of the request has left; it may be sent on another connection.
    NotSent,
    /// The request ended so, and the connection with it.
    Ended(RequestOutcome),
}

impl Session {
    /// Begins HTTP/1.1 on a stream.
    pub(crate) async fn http1(transport: Transport) -> Result<Self, RequestOutcome> {
        let transport = match transport {
            Transport::Plain(stream) => return Ok(Self::Plain(PlainConnection::new(stream))),
            Transport::Tls(_) => transport,
        };
        // One flat write is cheaper than a vectored one for requests of usual size.
        let handshake =
            http1::Builder::new().writev(false).handshake(TokioIo::new(transport)).await;
        let (sender, connection) = handshake.map_err(|error| outcome_of(&error))?;
        Ok(Self::Http1 { sender, connection: Some(Box::new(connection)), waker: JointWaker::new() })
    }

    /// Whether no further request can be sent on it.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Plain(connection) => connection.is_closed(),
            Self::Http1 { connection, .. } => connection.is_none(),
            Self::Http2 { sender } => sender.is_closed(),
        }
    }

    /// Lets the connection see what happens while no request is on its way. Ready when it is over.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(connection) => connection.poll_idle(cx),
            Self::Http1 { connection, waker, .. } => {
                waker.poll(cx, |cx| match poll_connection(connection, cx) {
                    Progress::Open => Poll::Pending,
                    Progress::Closed | Progress::Surplus => Poll::Ready(()),
                })
            }
            Self::Http2 { .. } => Poll::Pending,
        }
    }

    /// Sends a request and reads the whole answer; the outcome is its status, or that its body is
    /// wrong. `on_send` is called at the last moment before the first byte goes out. Dropping the
    /// future closes an HTTP/1.1 connection.
    pub(crate) async fn exchange(
        &mut self,
        requests: &Requests,
        arrival: &Arrival,
        on_send: impl FnOnce(),
    ) -> Result<RequestOutcome, Failure> {
        let needle = requests.needle(arrival.request);
        if let Self::Plain(connection) = self {
            // Data that HTTP does not allow is the client's own failure.
            let Ok(request) = requests.flat(arrival) else { return Ok(RequestOutcome::Other) };
            return connection.exchange(&request, needle, on_send).await;
        }
        let Ok(request) = requests.build(arrival) else { return Ok(RequestOutcome::Other) };
        match self {
            Self::Plain(_) => unreachable!("it was taken above"),
            Self::Http1 { sender, connection, waker } => {
                let talk = async {
                    sender.ready().await.map_err(|_| Failure::NotSent)?;
                    on_send();
                    let head_only = request.method() == Method::HEAD;
                    let response = sender.send_request(request).await;
                    read(response.map_err(|error| failure(&error))?, needle, head_only).await
                };
                together(connection, waker, talk).await
            }
            Self::Http2 { sender } => {
                sender.ready().await.map_err(|_| Failure::NotSent)?;
                on_send();
                let head_only = request.method() == Method::HEAD;
                let response = sender.send_request(request).await;
                read(response.map_err(|error| failure(&error))?, needle, head_only).await
            }
        }
    }
}

/// Begins HTTP/2; the second part must be polled for anything to move.
pub(crate) async fn http2(
    transport: Transport,
) -> Result<(Http2Sender, impl Future<Output = ()>), RequestOutcome> {
    let handshake = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(transport))
        .await;
    let (sender, connection) = handshake.map_err(|error| outcome_of(&error))?;
    // The end of the connection is seen by each of its requests.
    Ok((sender, async move { drop(connection.await) }))
}

/// Runs what an HTTP/2 connection wants to run beside itself on the worker's own thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        // Ends with its connection, at the latest with the worker's runtime.
        drop(tokio::task::spawn_local(future));
    }
}

/// What a poll of a connection showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Closed,
    /// The target sent bytes that belong to no answer.
    Surplus,
}

fn poll_connection(
    connection: &mut Option<Box<Http1Connection>>,
    cx: &mut Context<'_>,
) -> Progress {
    let Some(open) = connection else { return Progress::Closed };
    match Pin::new(&mut **open).poll(cx) {
        Poll::Pending => Progress::Open,
        Poll::Ready(ended) => {
            *connection = None;
            let io = ended.as_ref().err().is_none_or(|error| {
                error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>)
            });
            if io { Progress::Closed } else { Progress::Surplus }
        }
    }
}

/// Polls the connection and the talk on it in one task, until the talk is over.
async fn together(
    connection: &mut Option<Box<Http1Connection>>,
    waker: &JointWaker,
    talk: impl Future<Output = Result<RequestOutcome, Failure>>,
) -> Result<RequestOutcome, Failure> {
    let mut talk = std::pin::pin!(talk);
    // The connection may see the surplus before the talk has read the answer.
    let mut surplus = false;
    poll_fn(|cx| {
        waker.poll(cx, |cx| {
            surplus |= poll_connection(connection, cx) == Progress::Surplus;
            let Poll::Ready(answer) = talk.as_mut().poll(cx) else { return Poll::Pending };
            // Back to idle, and a look for bytes beyond the answer.
            surplus |= poll_connection(connection, cx) == Progress::Surplus;
            let wrong = answer.is_ok() && surplus;
            Poll::Ready(if wrong { Ok(RequestOutcome::Body) } else { answer })
        })
    })
    .await
}

/// Reads the body to its end and checks it.
async fn read(
    response: Response<Incoming>,
    needle: Option<&Bytes>,
    head_only: bool,
) -> Result<RequestOutcome, Failure> {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let sized = body.size_hint().exact().is_some();
    let mut search = needle.map(|needle| Search::new(needle));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Ended(body_outcome(&error, sized)))?;
        if let (Some(search), Some(bytes)) = (&mut search, frame.data_ref()) {
            search.feed(bytes);
        }
    }
    match search {
        Some(search) if !search.found() && !head_only => Ok(RequestOutcome::Body),
        Some(_) | None => Ok(RequestOutcome::Status(status)),
    }
}

fn failure(error: &hyper::Error) -> Failure {
    if error.is_canceled() { Failure::NotSent } else { Failure::Ended(outcome_of(error)) }
}

/// The class of a failure before the whole head of the answer. A head that is no HTTP is a wrong
/// answer, as a wrong body is.
pub(crate) fn outcome_of(error: &hyper::Error) -> RequestOutcome {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        RequestOutcome::Reset
    } else if error.is_parse() {
        RequestOutcome::Body
    } else {
        source_outcome(error).unwrap_or(RequestOutcome::Other)
    }
}

/// The class of a failure within the body: an orderly end before the promised length is a wrong
/// length, anything else on the wire a reset.
pub(crate) fn body_outcome(error: &hyper::Error, sized: bool) -> RequestOutcome {
    let io_kind = io_source(error).map(io::Error::kind);
    let ended = error.is_incomplete_message() || io_kind == Some(io::ErrorKind::UnexpectedEof);
    match (ended, sized) {
        (true, true) => RequestOutcome::Body,
        (true, false) => RequestOutcome::Reset,
        (false, _) => source_outcome(error).unwrap_or(RequestOutcome::Body),
    }
}

fn io_source(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = inner.source();
    }
    None
}

/// By the operating system's word where there is one; an HTTP/2 stream that was cut is a reset.
fn source_outcome(error: &hyper::Error) -> Option<RequestOutcome> {
    match io_source(error) {
        Some(io) => Some(class(io)),
        None if error.is_timeout() => Some(RequestOutcome::Timeout),
        None => error.to_string().contains("http2").then_some(RequestOutcome::Reset),
    }
}
