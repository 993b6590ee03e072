//! The few messages to the kernel's netfilter that no program says for us: a rule that hands
//! packets to a queue, and the queue itself.
//!
//! The layouts are those of `linux/netlink.h`, `linux/netfilter/nfnetlink.h`, `nf_tables.h`,
//! `nf_tables_compat.h`, `nfnetlink_queue.h` and `xt_NFQUEUE.h`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

/// What waits to be read by us, at most; the kernel lets further packets pass.
const RECEIVED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A message about one packet is far smaller, without the packet itself.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_CREATE`, `NLM_F_APPEND`.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
/// `NLMSG_ERROR`, which is also how a success is acknowledged.
const ANSWER: u16 = 2;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `NFPROTO_INET` and `NFPROTO_IPV4`.
const INET: u8 = 1;
const IPV4: u8 = 2;
/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES` and `NFNL_SUBSYS_QUEUE`.
const NFTABLES: u16 = 10;
const QUEUE: u16 = 3 << 8;
/// `NFT_MSG_NEWRULE` there.
const NEW_RULE: u16 = (NFTABLES << 8) | 6;
/// `NFQNL_MSG_PACKET`, `NFQNL_MSG_VERDICT` and `NFQNL_MSG_CONFIG` there.
const PACKET: u16 = QUEUE;
const VERDICT: u16 = QUEUE | 1;
const CONFIG: u16 = QUEUE | 2;
/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;
/// `NFQA_CFG_F_FAIL_OPEN` and `NFQA_CFG_F_GSO`: what the queue has no room for passes, and large
/// packets are not cut.
const FLAGS: u32 = 1 | 4;
/// A head of netlink, and the one of netfilter behind it, in bytes.
const HEAD_BYTES: usize = 20;

/// One attribute, padded.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("ours are short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

fn number(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

/// One message; `about` is the queue's number, or the part of netfilter that a batch is for.
fn message((kind, flags): (u16, u16), (family, about): (u8, u16), body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEAD_BYTES + body.len()).expect("ours are short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend([kind.to_ne_bytes(), (REQUEST | flags).to_ne_bytes()].concat());
    // Answers are not told apart: one question is asked at a time.
    bytes.extend([1_u32.to_ne_bytes(), 0_u32.to_ne_bytes()].concat());
    bytes.extend([family, 0]);
    bytes.extend(about.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A socket to netfilter, in the namespace of the calling thread.
fn open() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

fn ask(socket: &OwnedFd, question: &[u8]) -> io::Result<()> {
    send(socket, question, SendFlags::empty())?;
    let mut answer = vec![0; MESSAGE_BYTES_MAX];
    let (_, length) = recv(socket, &mut answer[..], RecvFlags::empty())?;
    let field = |at: usize| answer[..length].get(at..at + 4).and_then(|four| four.try_into().ok());
    let (kind, code) = (field(4).map(u32::from_ne_bytes), field(16).map(i32::from_ne_bytes));
    match (kind.map(|kind| kind & 0xffff == u32::from(ANSWER)), code) {
        (Some(true), Some(0)) => Ok(()),
        (Some(true), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::Error::other("an answer that netfilter does not give")),
    }
}

/// Adds a rule to a chain of an `inet` table: its packets go to the queue, and pass where nobody
/// holds the queue. `nft` has words for it only where the kernel has a queue of nft's own; this is
/// the one of `iptables`, which all have.
pub(super) fn add_rule(table: &str, chain: &str, queue: u16) -> io::Result<()> {
    // `xt_NFQ_info_v3`: the first queue, how many, `NFQ_FLAG_BYPASS`; padded to eight bytes.
    let info = [queue, 1, 1, 0].map(u16::to_ne_bytes).concat();
    let target = [text(1, "NFQUEUE"), number(2, 3), attribute(3, &info)].concat();
    let expression = [text(1, "target"), attribute(2 | NESTED, &target)].concat();
    let expressions = attribute(1 | NESTED, &expression);
    let rule = [text(1, table), text(2, chain), attribute(4 | NESTED, &expressions)].concat();
    let batch = [
        message((BEGIN, 0), (0, NFTABLES), &[]),
        message((NEW_RULE, ACK | CREATE | APPEND), (INET, 0), &rule),
        message((END, 0), (0, NFTABLES), &[]),
    ];
    ask(&open()?, &batch.concat())
}

/// A queue that this process holds. When it is gone, packets pass.
pub(super) struct Queue {
    socket: OwnedFd,
    number: u16,
}

impl Queue {
    /// Takes a queue that nobody holds, in the namespace of the calling thread. It holds so many
    /// packets at most; further ones pass.
    pub(super) fn take(number_of_it: u16, packets_max: u32) -> io::Result<Self> {
        let queue = Self { socket: open()?, number: number_of_it };
        set_socket_recv_buffer_size_force(&queue.socket, RECEIVED_BYTES_MAX)?;
        // `NFQNL_CFG_CMD_BIND` for IPv4.
        queue.set(&attribute(1, &[1, 0, 0, IPV4]))?;
        // `NFQNL_COPY_META`: the packets themselves stay where they are.
        queue.set(&attribute(2, &[0, 0, 0, 0, 1]))?;
        queue.set(&[number(3, packets_max), number(4, FLAGS), number(5, FLAGS)].concat())?;
        Ok(queue)
    }

    fn set(&self, what: &[u8]) -> io::Result<()> {
        ask(&self.socket, &message((CONFIG, ACK), (0, self.number), what))
    }

    /// The next packet's number; `None` when there is none now.
    pub(super) fn next(&self) -> io::Result<Option<u32>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        loop {
            match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) => {
                    let length = length.min(bytes.len());
                    if let Some(packet) = packet(&bytes[..length]) {
                        return Ok(Some(packet));
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                // Some were too many, and have passed.
                Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets a packet go on.
    pub(super) fn release(&self, packet: u32) -> io::Result<()> {
        let verdict = [ACCEPT.to_be_bytes(), packet.to_be_bytes()].concat();
        let said = message((VERDICT, 0), (0, self.number), &attribute(2, &verdict));
        send(&self.socket, &said, SendFlags::empty()).map(|_| ()).map_err(io::Error::from)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The number of the packet that a message is about.
fn packet(message: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let mut rest = message.get(HEAD_BYTES..).filter(|_| kind == PACKET)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        if kind == 1 {
            return Some(u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_messages_say_their_length() {
        assert_eq!(text(1, "ab"), [&7_u16.to_ne_bytes()[..], &[1, 0, b'a', b'b', 0, 0]].concat());
        let one = message((CONFIG, ACK), (0, 7), &number(3, 9));
        assert_eq!(one.len(), 28);
        assert_eq!(one[..4], 28_u32.to_ne_bytes());
        assert_eq!(one[18..20], [0, 7], "the queue's number");
    }

    #[test]
    fn packets_are_read_and_other_messages_are_none() {
        let attributes = [number(4, 1), attribute(1, &[0, 0, 1, 2, 8, 0, 1])].concat();
        let one = message((PACKET, 0), (IPV4, 7), &attributes);
        assert_eq!(packet(&one), Some(258));
        assert_eq!(packet(&message((CONFIG, 0), (IPV4, 7), &attributes)), None);
        assert_eq!(packet(&one[..24]), None);
        assert_eq!(packet(&message((PACKET, 0), (IPV4, 7), &[0; 8])), None);
        assert_eq!(packet(&[]), None);
    }
}
