//! A bad line: what the agent sends comes late, is lost now and then, or passes slowly. A queue of
//! the kernel's on every interface but the loopback does it, so everything that leaves the agent is
//! hit, its answers to others included: a round trip is late by one delay.

use std::ffi::CStr;
use std::fmt::Write as _;

use nix::errno::Errno;

use super::kernel::{
    ACK, CREATE, DUMP, EXCLUSIVE, Kernel, REQUEST, attribute, attributes, message, u32_at,
};
use super::routes::loopback;
use super::{NetError, interface_name, sorted};

// From linux/rtnetlink.h and linux/pkt_sched.h.
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_BURST: u16 = 6;
const ROOT: u32 = u32::MAX;
const LINKLAYER_ETHERNET: u8 = 1;

/// Length of a queue's fixed part.
const QUEUE: usize = 20;
/// Marks the queues that are ours: no command makes one of this number by itself.
const HANDLE: u32 = 82 << 16;
/// The kernel counts a queue's times in units of so many nanoseconds.
const TICK_NS: u32 = 64;
/// So many packets may wait for their time.
const WAITING_PACKETS: u32 = 1000;
/// So much may pass at once before the rate counts; two packets of the usual size.
const BURST_BYTES: u32 = 3200;
/// So much may wait; what comes on top is lost.
const WAITING_BYTES: u32 = 64 * 1024;

/// What a line does to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Each comes so many milliseconds late, at most 4 s.
    Late(u32),
    /// So many of a hundred are lost.
    Lossy(u32),
    /// So many kilobits pass in a second.
    Slow(u32),
}

impl Line {
    /// Reads `delay MS`, `loss PERCENT` or `rate KBIT`.
    pub(super) fn read(kind: &str, number: &str) -> Option<Self> {
        let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
        match kind {
            "delay" => (number <= 4000).then_some(Self::Late(number)),
            "loss" => (number <= 100).then_some(Self::Lossy(number)),
            "rate" => (number <= 1_000_000).then_some(Self::Slow(number)),
            _ => None,
        }
    }

    fn kind(self) -> &'static CStr {
        match self {
            Self::Late(_) | Self::Lossy(_) => c"netem",
            Self::Slow(_) => c"tbf",
        }
    }

    fn options(self) -> Vec<u8> {
        match self {
            Self::Late(ms) => netem(ms * (1_000_000 / TICK_NS), 0),
            Self::Lossy(percent) => {
                let share = (u64::from(u32::MAX) * u64::from(percent) + 50) / 100;
                netem(0, u32::try_from(share).unwrap_or(u32::MAX))
            }
            Self::Slow(kbit) => tbf(kbit * 125),
        }
    }

    fn body(self, interface: u32) -> Vec<u8> {
        let mut body = queue(interface, HANDLE, ROOT);
        attribute(&mut body, TCA_KIND, self.kind().to_bytes_with_nul());
        attribute(&mut body, TCA_OPTIONS, &self.options());
        body
    }
}

/// `struct tc_netem_qopt`: latency in ticks, waiting packets, loss, gap, duplicates, jitter.
fn netem(latency: u32, loss: u32) -> Vec<u8> {
    let fields = [latency, WAITING_PACKETS, loss, 0, 0, 0];
    fields.map(u32::to_ne_bytes).concat()
}

/// `struct tc_tbf_qopt`: rate, peak rate (each a `struct tc_ratespec`), waiting bytes, burst in
/// ticks, MTU; and the burst in bytes.
fn tbf(bytes_per_s: u32) -> Vec<u8> {
    let mut parms = vec![0, LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    parms.extend(bytes_per_s.to_ne_bytes());
    parms.extend([0; 12]);
    let burst_ns = u64::from(BURST_BYTES) * 1_000_000_000 / u64::from(bytes_per_s);
    let burst = u32::try_from(burst_ns / u64::from(TICK_NS)).unwrap_or(u32::MAX);
    parms.extend([WAITING_BYTES, burst, 0].map(u32::to_ne_bytes).concat());
    let mut options = Vec::new();
    attribute(&mut options, TCA_TBF_PARMS, &parms);
    attribute(&mut options, TCA_TBF_BURST, &BURST_BYTES.to_ne_bytes());
    options
}

/// `struct tcmsg`.
fn queue(interface: u32, handle: u32, parent: u32) -> Vec<u8> {
    [0, interface, handle, parent, 0]
        .map(u32::to_ne_bytes)
        .concat()
}

/// Makes the line of every interface but the loopback so.
pub(super) fn shape(kernel: &Kernel, line: Line) -> Result<String, NetError> {
    let (all, loopback) = (interfaces()?, loopback()?);
    let mut text = String::new();
    for index in all.into_iter().filter(|index| *index != loopback) {
        put(kernel, line, index)?;
        writeln!(text, "shaped {}", interface_name(index)).expect("a string takes any text");
    }
    Ok(text)
}

/// The interfaces' numbers.
fn interfaces() -> Result<Vec<u32>, NetError> {
    let found = nix::net::if_::if_nameindex().map_err(|reason| NetError::Kernel {
        action: "list interfaces".to_owned(),
        reason,
    })?;
    Ok(found.iter().map(nix::net::if_::Interface::index).collect())
}

fn put(kernel: &Kernel, line: Line, interface: u32) -> Result<(), NetError> {
    let flags = REQUEST | ACK | CREATE | EXCLUSIVE;
    let request = message(RTM_NEWQDISC, flags, &line.body(interface));
    kernel.ask(&request, "shape the line").map(drop)
}

/// Whether this kernel has such lines: makes the loopback's so, and undoes it.
pub(super) fn try_shape(kernel: &Kernel, line: Line) -> Result<String, NetError> {
    let loopback = loopback()?;
    put(kernel, line, loopback).map_err(|error| match error {
        NetError::Kernel {
            reason: Errno::ENOENT,
            ..
        } => NetError::NoQueue(line.kind().to_string_lossy().into_owned()),
        other => other,
    })?;
    remove(kernel, loopback)?;
    Ok("this kernel can shape a line\n".to_owned())
}

fn remove(kernel: &Kernel, interface: u32) -> Result<(), NetError> {
    let request = queue(interface, HANDLE, ROOT);
    let request = message(RTM_DELQDISC, REQUEST | ACK, &request);
    kernel.ask(&request, "undo the line's shape").map(drop)
}

/// Removes the queues of ours.
pub(super) fn heal(kernel: &Kernel) -> Result<String, NetError> {
    let mut text = String::new();
    for body in all(kernel)?.iter().filter(|body| is_ours(body)) {
        remove(kernel, u32_at(body, 4).unwrap_or_default())?;
        write!(text, "removed {}", line(body)).expect("a string takes any text");
    }
    Ok(text)
}

/// Writes the queues of ours one a line; an interface's own is no news.
pub(super) fn state(kernel: &Kernel) -> Result<String, NetError> {
    let all = all(kernel)?;
    let ours = all.iter().filter(|body| is_ours(body));
    Ok(sorted(ours.map(|body| line(body)).collect()))
}

fn all(kernel: &Kernel) -> Result<Vec<Vec<u8>>, NetError> {
    let request = message(RTM_GETQDISC, REQUEST | DUMP, &queue(0, 0, 0));
    match kernel.ask(&request, "list queues") {
        // A kernel without them.
        Err(NetError::Kernel {
            reason: Errno::EOPNOTSUPP,
            ..
        }) => Ok(Vec::new()),
        outcome => outcome,
    }
}

fn is_ours(body: &[u8]) -> bool {
    u32_at(body, 8) == Some(HANDLE)
}

fn line(body: &[u8]) -> String {
    let attributes = attributes(body, QUEUE);
    let kind = attributes.iter().find(|(kind, _)| *kind == TCA_KIND);
    let kind = kind.and_then(|(_, value)| CStr::from_bytes_until_nul(value).ok());
    let kind = kind.map(CStr::to_string_lossy).unwrap_or_default();
    let index = u32_at(body, 4).unwrap_or_default();
    format!("queue {kind} interface {}\n", interface_name(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_line_is_read_with_its_number() {
        assert_eq!(Line::read("delay", "100"), Some(Line::Late(100)));
        assert_eq!(Line::read("loss", "10"), Some(Line::Lossy(10)));
        assert_eq!(Line::read("rate", "256"), Some(Line::Slow(256)));
        for (kind, number) in [
            ("delay", "0"),
            ("delay", "4001"),
            ("loss", "101"),
            ("rate", "-1"),
            ("jitter", "1"),
        ] {
            assert_eq!(Line::read(kind, number), None, "{kind} {number}");
        }
    }

    /// The same bytes as the command `tc` of iproute2 6.1 sends for `delay 100ms`, `loss 10%`.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_options_are_those_that_tc_sends() {
        assert_eq!(
            hex(&Line::Late(100).options()),
            "84d71700e803000000000000000000000000000000000000"
        );
        assert_eq!(
            hex(&Line::Lossy(10).options()),
            "00000000e80300009a999919000000000000000000000000"
        );
    }

    #[test]
    fn only_queues_of_ours_are_ours() {
        assert!(is_ours(&Line::Slow(256).body(7)));
        assert!(!is_ours(&queue(7, 1 << 16, ROOT)));
        let body = Line::Slow(256).body(4_000_000);
        assert_eq!(line(&body), "queue tbf interface 4000000\n");
    }
}
