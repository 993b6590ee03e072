//! One blocking request, for commands that run outside any async runtime.
//!
//! One connection per request; no redirects, no chunked answers (the lab sends none).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use thiserror::Error;

/// A larger answer is cut and will not parse.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a blocking request failed.
#[derive(Debug, Error)]
pub(crate) enum BlockingError {
    /// The connection could not be made, or broke, or was too slow.
    #[error("no answer from {0}")]
    Connection(SocketAddr, #[source] std::io::Error),
    /// What came back is not HTTP.
    #[error("{0} does not speak HTTP")]
    NotHttp(SocketAddr),
}

/// Sends `method path` and gives status and body; each read and write ends within `limit`.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    limit: Duration,
) -> Result<(u16, Vec<u8>), BlockingError> {
    let failed = |error| BlockingError::Connection(address, error);
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(failed)?;
    stream.set_read_timeout(Some(limit)).map_err(failed)?;
    stream.set_write_timeout(Some(limit)).map_err(failed)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(failed)?;
    parse(&answer).ok_or(BlockingError::NotHttp(address))
}

fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_taken_apart() {
        let good = b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{}";
        assert_eq!(parse(good), Some((503, b"{}".to_vec())));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
    }
}
