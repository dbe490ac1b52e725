//! Talking to the kernel's router: requests and replies as rtnetlink has them (`man 7 rtnetlink`).

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

use super::NetError;

// From linux/netlink.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACK: u16 = 0x4;
pub(super) const DUMP: u16 = 0x300;
pub(super) const REPLACE: u16 = 0x100;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;

/// Length of a message's head.
const HEAD: usize = 16;

/// A conversation with the kernel's router.
pub(super) struct Kernel {
    socket: OwnedFd,
}

impl Kernel {
    pub(super) fn open() -> Result<Self, NetError> {
        let failed = |reason| NetError::Kernel {
            action: "talk to the kernel's router".to_owned(),
            reason,
        };
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .map_err(failed)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(failed)?;
        Ok(Self { socket })
    }

    /// Sends a request and returns the bodies of its replies, up to the last.
    pub(super) fn ask(&self, request: &[u8], action: &str) -> Result<Vec<Vec<u8>>, NetError> {
        let failed = |reason| NetError::Kernel {
            action: action.to_owned(),
            reason,
        };
        let nonsense = || NetError::Reply {
            action: action.to_owned(),
        };
        let fd = self.socket.as_raw_fd();
        send(fd, request, MsgFlags::empty()).map_err(failed)?;
        let mut bodies = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = recv(fd, &mut buffer, MsgFlags::empty()).map_err(failed)?;
            let mut rest = &buffer[..length];
            while rest.len() >= HEAD {
                let whole = u32_at(rest, 0).ok_or_else(nonsense)? as usize;
                let body = rest.get(HEAD..whole).ok_or_else(nonsense)?;
                match u16_at(rest, 4).ok_or_else(nonsense)? {
                    NLMSG_DONE => return Ok(bodies),
                    NLMSG_ERROR => {
                        let code = u32_at(body, 0).ok_or_else(nonsense)?;
                        let code = i32::from_ne_bytes(code.to_ne_bytes());
                        return match code {
                            0 => Ok(bodies),
                            code => Err(failed(Errno::from_raw(-code))),
                        };
                    }
                    _ => bodies.push(body.to_vec()),
                }
                rest = rest.get(aligned(whole)..).unwrap_or_default();
            }
        }
    }
}

/// Puts a message's head before its body.
pub(super) fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEAD + body.len()).expect("a few dozen bytes");
    let mut message = Vec::with_capacity(HEAD + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and port: one request at a time, answered by the kernel.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// Adds an attribute to a body.
pub(super) fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = 4 + value.len();
    body.extend(u16::try_from(length).expect("a few bytes").to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len() + aligned(length) - length, 0);
}

/// Reads the attributes of a body behind its fixed part of `fixed` bytes, up to where it is cut
/// short.
pub(super) fn attributes(body: &[u8], fixed: usize) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    let mut rest = body.get(fixed..).unwrap_or_default();
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..length) else {
            break;
        };
        found.push((kind, value));
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    found
}

fn aligned(length: usize) -> usize {
    length.max(1).next_multiple_of(4)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_ne_bytes(pair))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(four))
}
