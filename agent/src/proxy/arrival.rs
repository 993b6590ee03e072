//! When bytes reached this machine, by the kernel's own stamp.
//!
//! A proxy that sleeps is woken late, by some tens or hundreds of microseconds, and a delay that
//! counted from its read would be longer by that. The kernel stamps what a socket receives with the
//! wall clock; delays count by the monotonic one. Between the two only an age is carried over, and
//! none that a step of the wall clock may be part of: such bytes count from their read, which is
//! late and never early.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd as _;
use std::task::{Context, Poll, ready};

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::clock::{monotonic_nanos, wall_nanos};

/// The two clocks are read one after the other. If they differ by so much more or less than at
/// the last look, in nanoseconds, the wall clock was set.
const STEP_NANOS_MIN: u64 = 20_000;

thread_local! {
    static WALL: RefCell<Wall> = RefCell::new(Wall::at(wall_nanos(), monotonic_nanos()));
}

/// Whether the kernel stamps what a socket receives. It costs every socket of the machine a
/// little, so it is asked for only while bytes are delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamps {
    Off,
    On,
    /// The kernel does not: bytes count from their read.
    Refused,
}

impl Stamps {
    /// Goes over to stamps, or to none, where that is a change.
    pub(super) fn turn(&mut self, socket: Option<&TcpStream>, are_wanted: bool) {
        let is_change = match self {
            Self::Off => are_wanted,
            Self::On => !are_wanted,
            Self::Refused => false,
        };
        let Some(socket) = socket.filter(|_| is_change) else { return };
        // So that a step between now and the first read is known for one.
        WALL.with_borrow_mut(|wall| wall.look(wall_nanos(), monotonic_nanos()));
        *self = match setsockopt(socket, ReceiveTimestampns, &are_wanted) {
            Ok(()) if are_wanted => Self::On,
            Ok(()) => Self::Off,
            Err(_) => Self::Refused,
        };
    }
}

/// Reads what the socket has: how much, 0 at the end of its stream, and when the last of it came,
/// in nanoseconds of the monotonic clock.
pub(super) fn poll_read(
    cx: &mut Context<'_>,
    socket: &TcpStream,
    buffer: &mut [u8],
) -> Poll<io::Result<(usize, u64)>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        match socket.try_io(Interest::READABLE, || receive(socket, buffer)) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            received => {
                let (length, stamp) = received?;
                let (wall, now) = (wall_nanos(), monotonic_nanos());
                let came = WALL.with_borrow_mut(|clock| clock.came(stamp, wall, now));
                return Poll::Ready(Ok((length, came)));
            }
        }
    }
}

fn receive(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
    let mut said = nix::cmsg_space!(TimeSpec);
    let mut pieces = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut said), flags)?;
    let stamp = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => {
            let seconds = u64::try_from(at.tv_sec()).ok()?;
            Some(seconds * 1_000_000_000 + u64::try_from(at.tv_nsec()).ok()?)
        }
        _ => None,
    });
    Ok((received.bytes, stamp))
}

/// The wall clock against the monotonic one. All in nanoseconds.
#[derive(Debug)]
struct Wall {
    /// How much it was ahead at the last look.
    ahead: u64,
    /// When a step was last noticed, by the monotonic clock; it was before that.
    stepped: u64,
}

impl Wall {
    fn at(wall: u64, now: u64) -> Self {
        Self { ahead: wall.wrapping_sub(now), stepped: now }
    }

    /// Both clocks, read one after the other.
    fn look(&mut self, wall: u64, now: u64) {
        let ahead = wall.wrapping_sub(now);
        if ahead.abs_diff(self.ahead) >= STEP_NANOS_MIN {
            self.stepped = now;
        }
        self.ahead = ahead;
    }

    /// When bytes came that were stamped by the wall clock and read `now`. Never before they did:
    /// an age that reaches back over a step is no age.
    fn came(&mut self, stamp: Option<u64>, wall: u64, now: u64) -> u64 {
        self.look(wall, now);
        let age = stamp.map_or(0, |stamp| wall.saturating_sub(stamp));
        let came = now.saturating_sub(age);
        if came > self.stepped { came } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;
    /// The wall clock of these tests, when the monotonic one says 0.
    const WALL_AT_ZERO: u64 = 400_000 * HOUR;

    fn came(wall: &mut Wall, stepped_by: i64, stamp: u64, now: u64) -> u64 {
        let at = (WALL_AT_ZERO + now).checked_add_signed(stepped_by).unwrap();
        wall.came(Some(stamp), at, now)
    }

    #[test]
    fn bytes_came_when_the_kernel_says_so() {
        let mut wall = Wall::at(WALL_AT_ZERO + HOUR, HOUR);
        let stamp = WALL_AT_ZERO + HOUR + 5_000_000;
        assert_eq!(came(&mut wall, 0, stamp, HOUR + 5_300_000), HOUR + 5_000_000);
        // The clocks are not read at one instant; a stamp may seem to lie ahead.
        let stamp = WALL_AT_ZERO + 2 * HOUR + 400;
        assert_eq!(came(&mut wall, 900, stamp, 2 * HOUR), 2 * HOUR - 500);
        assert_eq!(came(&mut wall, 0, stamp, 2 * HOUR), 2 * HOUR);
        assert_eq!(wall.came(None, WALL_AT_ZERO + 3 * HOUR, 3 * HOUR), 3 * HOUR);
    }

    #[test]
    fn what_a_step_is_part_of_is_no_age() {
        let hour = i64::try_from(HOUR).unwrap();
        for step in [hour, -hour, 30_000, -30_000] {
            let mut wall = Wall::at(WALL_AT_ZERO + HOUR, HOUR);
            let stamp = WALL_AT_ZERO + 2 * HOUR;
            let read = 2 * HOUR + 100_000;
            // Stamped, stepped, read; and another one of the same wake.
            assert_eq!(came(&mut wall, step, stamp, read), read, "{step}");
            assert_eq!(came(&mut wall, step, stamp, read + 10_000), read + 10_000, "{step}");
            // What came after the step is known well.
            let stamp = (WALL_AT_ZERO + 3 * HOUR).checked_add_signed(step).unwrap();
            assert_eq!(came(&mut wall, step, stamp, 3 * HOUR + 700), 3 * HOUR, "{step}");
        }
    }
}
