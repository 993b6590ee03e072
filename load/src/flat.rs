//! A request as it goes over an HTTP/1.1 connection (RFC 9112, section 3): head and body in one
//! piece, so that one write sends it.
//!
//! Pure. What may stand in a head was checked when its parts were made.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::{Method, Request};

/// Head and body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flat {
    /// As they go over the wire.
    pub(crate) bytes: Bytes,
    /// The answer has no body, whatever its head says.
    pub(crate) head_only: bool,
}

/// Writes a request down. Its length is said unless it says so itself, or asks for chunks: then
/// the body is one chunk.
pub(crate) fn flatten(request: &Request<Full<Bytes>>) -> Flat {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str());
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let body = whole(request.body());
    if request.headers().contains_key(TRANSFER_ENCODING) {
        out.extend_from_slice(b"\r\n");
        if !body.is_empty() {
            out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            out.extend_from_slice(&body);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
    } else {
        let says = request.headers().contains_key(CONTENT_LENGTH);
        if !says && (!body.is_empty() || expects_body(request.method())) {
            out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&body);
    }
    Flat { bytes: Bytes::from(out), head_only: request.method() == Method::HEAD }
}

/// Methods with which an absent body is said to be empty (RFC 9110, section 8.6).
fn expects_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// A full body gives all it has at once.
fn whole(body: &Full<Bytes>) -> Bytes {
    let mut body = body.clone();
    if body.is_end_stream() {
        return Bytes::new();
    }
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(&mut body).poll_frame(&mut cx) {
        std::task::Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        std::task::Poll::Ready(None) | std::task::Poll::Pending => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, header: Option<(&str, &str)>, body: &'static str, expected: &str) {
        let mut request = Request::builder().method(method).uri("/a?b=c").header("host", "x:1");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let flat = flatten(&request.body(Full::new(Bytes::from(body))).unwrap());
        assert_eq!(std::str::from_utf8(&flat.bytes).unwrap(), expected);
        assert_eq!(flat.head_only, method == "HEAD");
    }

    #[test]
    fn heads_and_bodies() {
        check("GET", None, "", "GET /a?b=c HTTP/1.1\r\nhost: x:1\r\n\r\n");
        check("HEAD", None, "", "HEAD /a?b=c HTTP/1.1\r\nhost: x:1\r\n\r\n");
        let head = "POST /a?b=c HTTP/1.1\r\nhost: x:1\r\n";
        check("POST", None, "ab", &format!("{head}content-length: 2\r\n\r\nab"));
        check("POST", None, "", &format!("{head}content-length: 0\r\n\r\n"));
        let own = Some(("content-length", "2"));
        check("POST", own, "ab", &format!("{head}content-length: 2\r\n\r\nab"));
        let chunks = Some(("transfer-encoding", "chunked"));
        let coding = "transfer-encoding: chunked\r\n\r\n";
        check("POST", chunks, "ab", &format!("{head}{coding}2\r\nab\r\n0\r\n\r\n"));
        check("POST", chunks, "", &format!("{head}{coding}0\r\n\r\n"));
    }
}
