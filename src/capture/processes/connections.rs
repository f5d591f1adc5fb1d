//! What went over the TCP connections of processes. `/proc/PID/io` does not see what `recv` and
//! `send` move, so a source that polls over plain HTTP would look dead.
//!
//! The kernel tells of each connection how many bytes were received and acknowledged (`sock_diag`);
//! `/proc/PID/fd` tells whose it is. Keep-alive probes carry no bytes, so a peer that only is there
//! does not make a hung source look alive. Where the kernel does not answer, there are none.

use std::collections::{BTreeMap, HashSet};
use std::mem::MaybeUninit;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::process::Process;

/// A message of the kernel's: a header of 16 bytes, then its body.
const HEADER: usize = 16;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ENDS: [u16; 2] = [2, 3];
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// A header and a `struct inet_diag_req_v2`.
const REQUEST: u32 = 16 + 56;
/// `AF_INET` and `AF_INET6`.
const FAMILIES: [u8; 2] = [2, 10];
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `INET_DIAG_INFO`: the attribute that holds a `tcp_info`.
const INFO: u16 = 2;
/// All states but `TCP_TIME_WAIT` and `TCP_LISTEN`.
const STATES: u32 = 0xfff & !(1 << 6) & !(1 << 10);
/// `struct inet_diag_msg`, whose last field is the inode.
const SOCKET: usize = 72;
/// Where `tcp_info` has `tcpi_bytes_acked` and `tcpi_bytes_received`.
const ACKNOWLEDGED: usize = 120;
const RECEIVED: usize = 128;

/// Bytes of each connection, by the inode of its socket.
pub type Connections = BTreeMap<u64, u64>;

/// Whether there is a new connection since an earlier look, or bytes went over one that was there.
pub fn moved(earlier: &Connections, now: &Connections) -> bool {
    now.iter().any(|(inode, bytes)| earlier.get(inode).is_none_or(|before| bytes > before))
}

/// The connections of these processes.
pub fn of(processes: &[Process]) -> Connections {
    let owned: HashSet<u64> = processes.iter().flat_map(Process::sockets).collect();
    if owned.is_empty() {
        return Connections::new();
    }
    let mut found = Connections::new();
    for family in FAMILIES {
        // A kernel that has no such family, or a sandbox that forbids to ask, knows of none.
        let _ = ask(family, &mut |inode, bytes| {
            if owned.contains(&inode) {
                found.insert(inode, bytes);
            }
        });
    }
    found
}

fn ask(family: u8, found: &mut impl FnMut(u64, u64)) -> Result<(), Errno> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    send(&kernel, &request(family), SendFlags::empty())?;
    let mut space = vec![MaybeUninit::uninit(); 1 << 16];
    loop {
        // Each part of the answer is there at once.
        let ((datagram, _), _) = recv(&kernel, &mut space[..], RecvFlags::DONTWAIT)?;
        if !read(datagram, found) {
            return Ok(());
        }
    }
}

fn request(family: u8) -> Vec<u8> {
    let mut message = REQUEST.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    // A sequence number and the sender, which the kernel fills in.
    message.extend([0; 8]);
    message.extend([family, TCP, 1 << (INFO - 1), 0]);
    message.extend(STATES.to_ne_bytes());
    // Of any address.
    message.resize(REQUEST as usize, 0);
    message
}

/// Reads the messages of one datagram; whether more follow.
fn read(mut datagram: &[u8], found: &mut impl FnMut(u64, u64)) -> bool {
    while let (Some(length), Some(kind)) = (u32_at(datagram, 0), u16_at(datagram, 4)) {
        let length = length as usize;
        if ENDS.contains(&kind) || length < HEADER {
            return false;
        }
        if let Some((inode, bytes)) = datagram.get(HEADER..length).and_then(connection) {
            found(inode, bytes);
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

fn connection(message: &[u8]) -> Option<(u64, u64)> {
    let inode = u32_at(message, SOCKET - 4)?;
    let mut attributes = message.get(SOCKET..)?;
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length).max(4);
        if kind == INFO {
            let info = attributes.get(4..length)?;
            let bytes = u64_at(info, ACKNOWLEDGED)?.wrapping_add(u64_at(info, RECEIVED)?);
            return Some((u64::from(inode), bytes));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn inode(socket: &impl AsFd) -> u64 {
        rustix::fs::fstat(socket).expect("a socket").st_ino
    }

    #[test]
    fn bytes_of_our_own_connection_are_counted_and_its_mere_being_there_is_not() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let mut ours = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
            let (mut theirs, _) = listener.accept().expect("accepted");
            let us = [Process::read(rustix::process::getpid()).expect("we run")];
            let look = || of(&us).get(&inode(&ours)).copied();
            let before = look().expect("it is found");
            assert_eq!(look(), Some(before), "nothing went over it");
            theirs.write_all(b"some news").expect("sent");
            assert_eq!(look(), Some(before + 9));
            let mut news = [0; 9];
            ours.read_exact(&mut news).expect("received");
            assert_eq!(of(&us)[&inode(&ours)], before + 9, "reading it is not more");
            assert!(!of(&us).contains_key(&inode(&listener)));
        }
    }

    #[test]
    fn more_bytes_and_new_connections_are_a_sign() {
        let of = |pairs: &[(u64, u64)]| pairs.iter().copied().collect::<Connections>();
        assert!(moved(&of(&[(1, 10)]), &of(&[(1, 11)])));
        assert!(moved(&of(&[(1, 10)]), &of(&[(1, 10), (2, 0)])), "a new one");
        assert!(!moved(&of(&[(1, 10)]), &of(&[(1, 10)])), "one that is only there");
        assert!(!moved(&of(&[(1, 10), (2, 5)]), &of(&[(1, 10)])), "one that was closed");
    }

    #[test]
    fn what_the_kernel_never_sends_does_no_harm() {
        let mut found = |_, _| panic!("nothing is there");
        for junk in [&[][..], &[1; 3], &[0; 16], &[255; 90]] {
            read(junk, &mut found);
        }
        let mut short = 100_u32.to_ne_bytes().to_vec();
        short.extend([20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        short.resize(100, 0);
        assert!(read(&short, &mut found), "a socket without the attribute");
    }
}
