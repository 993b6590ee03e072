//! Pipes through which bulk passes from socket to socket inside the kernel (splice(2)), and the
//! small stock of them that all connections of the data thread share.
//!
//! A pipe is lent while it holds bytes, so idle connections have none. When none is left, bytes are
//! copied instead.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// So many pipes exist at most; each has two descriptors.
pub(super) const PIPES_MAX: usize = 64;
/// One filling takes at most this much.
pub(super) const FILL_BYTES_MAX: usize = 256 * 1024;
/// Asked of the kernel for each pipe. It counts pages, and a page may be a whole piece of a
/// socket's queue. Where it is refused, the kernel's default serves.
const PIPE_BYTES: usize = 128 * 1024;

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { free: Vec::new(), lent: 0 }) };
}

#[derive(Debug)]
struct Stock {
    free: Vec<Ends>,
    lent: usize,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Ends {
    fn new() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // A smaller pipe is slower and not wrong.
        fcntl_setpipe_size(&write, PIPE_BYTES).map(|_| ()).unwrap_or_default();
        Some(Self { read, write })
    }
}

/// What a direction reads from or writes to.
pub(super) trait Endpoint {
    /// The kernel's socket, where there is one: then bulk need not be copied.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Endpoint for ReadHalf<'_> {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self.as_ref())
    }
}

impl Endpoint for WriteHalf<'_> {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self.as_ref())
    }
}

/// A pipe that is lent to one direction.
#[derive(Debug)]
pub(super) struct Pipe {
    /// `None` only while it is dropped.
    ends: Option<Ends>,
    bytes: usize,
}

impl Pipe {
    /// An empty one; `None` when all are lent, or the process has no descriptors left.
    pub(super) fn take() -> Option<Self> {
        STOCK.with_borrow_mut(|stock| {
            if stock.lent == PIPES_MAX {
                return None;
            }
            let ends = stock.free.pop().or_else(Ends::new)?;
            stock.lent += 1;
            Some(Self { ends: Some(ends), bytes: 0 })
        })
    }

    /// How much it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what the socket has; 0 at the end of its stream. Only for an empty pipe: a full one
    /// would look like a socket that has nothing.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        socket: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        assert!(self.bytes == 0, "a pipe is filled only when it is empty");
        let ends = self.ends.as_ref().expect("it is there until the drop");
        let moved = loop {
            ready!(socket.poll_read_ready(cx))?;
            let moved = socket.try_io(Interest::READABLE, || {
                Ok(splice(socket, None, &ends.write, None, FILL_BYTES_MAX, flags())?)
            });
            match moved {
                Err(error) if is_passing(&error) => {}
                moved => break moved?,
            }
        };
        self.bytes = moved;
        Poll::Ready(Ok(moved))
    }

    /// Writes what the socket takes of it, at least one byte.
    pub(super) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        socket: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        let ends = self.ends.as_ref().expect("it is there until the drop");
        let moved = loop {
            ready!(socket.poll_write_ready(cx))?;
            let moved = socket.try_io(Interest::WRITABLE, || {
                Ok(splice(&ends.read, None, socket, None, self.bytes, flags())?)
            });
            match moved {
                Err(error) if is_passing(&error) => {}
                moved => break moved?,
            }
        };
        if moved == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.bytes -= moved;
        Poll::Ready(Ok(moved))
    }

    /// Its bytes in memory. The pipe goes back to the stock.
    pub(super) fn into_bytes(mut self) -> io::Result<Bytes> {
        let mut all = vec![0; self.bytes];
        while self.bytes > 0 {
            let ends = self.ends.as_ref().expect("it is there until the drop");
            let at = all.len() - self.bytes;
            match rustix::io::read(&ends.read, &mut all[at..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.bytes -= length,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all.into())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let ends = self.ends.take();
        // After the thread's own end there is no stock; then the descriptors are closed here.
        let returned = STOCK.try_with(|stock| {
            let mut stock = stock.borrow_mut();
            stock.lent -= 1;
            // With bytes left in it, it is of no use to another.
            stock.free.extend(ends.filter(|_| self.bytes == 0));
        });
        returned.unwrap_or_default();
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

/// Whether it is worth another look at once: the look waits where there is nothing.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
