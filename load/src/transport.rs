//! One byte stream to the target, plain or TLS, and how failures on the way to it are classed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use harness_core::load::RequestOutcome;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::target::Target;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP; boxed since its state is large.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects; the caller limits the time. The error is the outcome of the request that wanted it.
pub(crate) async fn connect(target: &Target) -> Result<Transport, RequestOutcome> {
    let tcp = TcpStream::connect(&target.addresses[..]).await.map_err(|error| class(&error))?;
    tcp.set_nodelay(true).map_err(|error| class(&error))?;
    match &target.tls {
        None => Ok(Transport::Plain(tcp)),
        Some(tls) => {
            let stream = tls.connector.connect(tls.name.clone(), tcp).await;
            let stream = stream.map_err(|error| tls_class(&error))?;
            Ok(Transport::Tls(Box::new(stream)))
        }
    }
}

/// The class of a failure of the operating system.
pub(crate) fn class(error: &io::Error) -> RequestOutcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => RequestOutcome::Refused,
        io::ErrorKind::TimedOut => RequestOutcome::Timeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => RequestOutcome::Reset,
        _ => RequestOutcome::Other,
    }
}

/// A handshake that TLS itself refused is `tls`; one that the network cut off is not.
pub(crate) fn tls_class(error: &io::Error) -> RequestOutcome {
    let Some(inner) = error.get_ref() else { return class(error) };
    // A connector may put an error of the handshake into another one.
    match inner.downcast_ref::<io::Error>() {
        Some(inner) => tls_class(inner),
        None if inner.is::<rustls::Error>() => RequestOutcome::Tls,
        None => class(error),
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }
}
