//! Two questions to the kernel by netlink, for which a container from scratch has no program.
//!
//! Netlink speaks the machine's own byte order (its few network-order fields are zero here).

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::Attempt;

// Numbers of `linux/netlink.h`, `linux/rtnetlink.h`, `linux/pkt_sched.h` and
// `linux/netfilter/nf_tables.h`.
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWQDISC: u16 = 36;
const TC_H_ROOT: u32 = 0xFFFF_FFFF;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETGEN: u16 = 16;

/// Interface number of the loopback, in every network namespace.
const LOOPBACK: i32 = 1;

/// How long the kernel may take to answer, in seconds.
const ANSWER_MAX_SECS: i64 = 5;

/// Puts a netem discipline that delays nothing on the loopback.
pub(super) fn try_netem() -> Attempt {
    // struct tcmsg: family and padding, interface, handle, parent, info.
    let mut body = vec![0; 4];
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(0x0001_0000_u32.to_ne_bytes());
    body.extend(TC_H_ROOT.to_ne_bytes());
    body.extend(0_u32.to_ne_bytes());
    attribute(&mut body, TCA_KIND, b"netem\0");
    // struct tc_netem_qopt: latency, limit (packets), loss, gap, duplicate, jitter.
    let options: Vec<u8> = [0, 1000, 0, 0, 0, 0]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
    attribute(&mut body, TCA_OPTIONS, &options);
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    judge(ask(SockProtocol::NetlinkRoute, RTM_NEWQDISC, flags, &body))
}

/// Asks nf_tables for the number of its rule set's generation.
pub(super) fn try_nftables() -> Attempt {
    let question = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
    // struct nfgenmsg: family, version, resource.
    judge(ask(
        SockProtocol::NetlinkNetFilter,
        question,
        NLM_F_REQUEST,
        &[0; 4],
    ))
}

fn judge(outcome: Result<(), Errno>) -> Attempt {
    match outcome {
        // There is one already: it was put there by trying before.
        Ok(()) | Err(Errno::EEXIST) => Attempt::Works,
        Err(Errno::EPERM | Errno::EACCES) => Attempt::Refused,
        // No such discipline; no such subsystem; no such protocol family.
        Err(
            Errno::ENOENT
            | Errno::EINVAL
            | Errno::EPROTONOSUPPORT
            | Errno::EAFNOSUPPORT
            | Errno::EOPNOTSUPP,
        ) => Attempt::Missing,
        Err(other) => Attempt::Failed(other.desc().to_owned()),
    }
}

/// Appends an attribute, padded to four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("these attributes are short");
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Sends one message and reads the kernel's verdict.
fn ask(protocol: SockProtocol, kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
    let socket: OwnedFd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        protocol,
    )?;
    setsockopt(
        &socket,
        sockopt::ReceiveTimeout,
        &TimeVal::seconds(ANSWER_MAX_SECS),
    )?;
    // struct nlmsghdr: length, type, flags, sequence, port.
    let length = u32::try_from(body.len() + 16).expect("these messages are short");
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), &message, &kernel, MsgFlags::empty())?;
    let mut reply = [0; 4096];
    let received = recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    verdict(&reply[..received])
}

/// Reads the error in a reply; any other reply than an error is an answer.
fn verdict(reply: &[u8]) -> Result<(), Errno> {
    let (Some(kind), Some(code)) = (reply.get(4..6), reply.get(16..20)) else {
        return Err(Errno::EBADMSG);
    };
    if kind != NLMSG_ERROR.to_ne_bytes() {
        return Ok(());
    }
    let code = i32::from_ne_bytes(code.try_into().expect("four bytes"));
    match code {
        0 => Ok(()),
        code => Err(Errno::from_raw(-code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_say_their_own_length() {
        let mut body = Vec::new();
        attribute(&mut body, TCA_KIND, b"netem\0");
        assert_eq!(body.len(), 12);
        assert_eq!(&body[..2], 10_u16.to_ne_bytes());
        assert_eq!(&body[4..], b"netem\0\0\0");
    }

    #[test]
    fn a_verdict_is_the_kernels_and_a_stump_is_none() {
        let reply = |code: i32| {
            let mut reply = vec![0; 20];
            reply[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
            reply[16..].copy_from_slice(&code.to_ne_bytes());
            reply
        };
        assert_eq!(verdict(&reply(0)), Ok(()));
        assert_eq!(verdict(&reply(-1)), Err(Errno::EPERM));
        assert_eq!(judge(verdict(&reply(-2))), Attempt::Missing);
        assert_eq!(judge(verdict(&reply(-1))), Attempt::Refused);
        assert_eq!(verdict(&[0; 7]), Err(Errno::EBADMSG));
    }
}
