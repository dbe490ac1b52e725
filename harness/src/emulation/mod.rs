//! Whether programs of another architecture really work in this Docker engine's containers.
//!
//! A look at the kernel's list of emulators decides nothing: QEMU 7.2 and 10.0.2 register well
//! and break the first Go program that lists network interfaces, and a program of this machine's
//! own architecture under a foreign label runs natively unnoticed. So [`probe`] runs a tiny
//! program of that architecture (`images/probe`, carried in this one) in a container without
//! network, and [`judge`] turns its log and its end into a verdict: each kind of failure has its
//! own sentence, and [`mend`] the command against it where this process runs.

mod judge;
mod mend;
mod probe;

pub use judge::{End, Fault, NotWorking, Rates, Working, fault_in_log, judge};
pub use mend::{Place, mend};
pub use probe::{ProbeError, probe};
