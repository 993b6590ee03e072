//! Free addresses that stay ours over restarts.
//!
//! Ports lie outside the kernel's range for outgoing connections, so that neither an outgoing
//! connection nor a self-connection takes the port of an instance that is down. Against other
//! labs each is claimed by an abstract socket name, which leaves no file and ends with us.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};

use tokio::net::TcpSocket;

use crate::clock::monotonic_us;

/// Below it live well-known services.
const LOWEST: u16 = 20_000;
/// A range with fewer ports is not worth searching.
const RANGE_MIN: u16 = 2_000;

/// Claimed addresses; dropping them gives the claims back.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) addresses: Vec<SocketAddr>,
    /// One name per address; held, never read.
    names: Vec<UnixDatagram>,
}

/// Claims `count` free ports of 127.0.0.1, or as many as there are.
pub(super) fn claim(count: usize) -> Claims {
    let range =
        range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    let size = u64::from(range.end() - range.start()) + 1;
    let begin = (monotonic_us() ^ (u64::from(std::process::id()) << 20)) % size;
    let mut claims = Claims { addresses: Vec::new(), names: Vec::new() };
    for step in 0..size {
        if claims.addresses.len() == count {
            break;
        }
        let offset = u16::try_from((begin + step) % size).expect("the range has 16 bits");
        let port = range.start() + offset;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let name = UnixAddress::from_abstract_name(format!("gameday-lab-port-{port}"));
        let Ok(claim) = name.and_then(|name| UnixDatagram::bind_addr(&name)) else { continue };
        if is_free(address) {
            claims.addresses.push(address);
            claims.names.push(claim);
        }
    }
    claims
}

/// Whether anybody may take the address, also one who does not set `SO_REUSEADDR`, as the socket
/// that keeps a port for the interposer: connections of an earlier owner may still be winding up.
fn is_free(address: SocketAddr) -> bool {
    TcpSocket::new_v4().and_then(|socket| socket.bind(address)).is_ok()
}

/// The ports below the kernel's range, or those above it, or all.
fn range(kernel: &str) -> RangeInclusive<u16> {
    let mut numbers = kernel.split_ascii_whitespace().filter_map(|text| text.parse::<u16>().ok());
    let (low, high) = (numbers.next().unwrap_or(32_768), numbers.next().unwrap_or(60_999));
    if low >= LOWEST + RANGE_MIN {
        LOWEST..=low - 1
    } else if high <= u16::MAX - RANGE_MIN {
        high + 1..=u16::MAX
    } else {
        LOWEST..=u16::MAX
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_range_avoids_outgoing_connections() {
        assert_eq!(range("32768\t60999\n"), 20_000..=32_767);
        assert_eq!(range("1024 50000"), 50_001..=65_535);
        assert_eq!(range("1024 65535"), 20_000..=65_535);
        assert_eq!(range(""), 20_000..=32_767);
    }

    #[test]
    fn a_port_whose_connections_wind_up_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut caller = TcpStream::connect(address).unwrap();
        // The side that closes first keeps the port in TIME_WAIT.
        drop(listener.accept().unwrap());
        assert_eq!(caller.read(&mut [0]).unwrap(), 0);
        drop((caller, listener));
        assert!(TcpListener::bind(address).is_ok(), "whoever sets SO_REUSEADDR may have it");
        assert!(!is_free(address));
    }

    #[test]
    fn two_claims_share_no_port() {
        let (first, second) = (claim(30), claim(30));
        assert_eq!((first.addresses.len(), second.addresses.len()), (30, 30));
        let shared = first.addresses.iter().find(|one| second.addresses.contains(one));
        assert_eq!(shared, None);
    }
}
