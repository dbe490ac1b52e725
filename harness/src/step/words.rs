//! How a step is called in logs and reports.

use std::fmt;
use std::time::Duration;

use super::Step;
use crate::pick::Pick;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit {
                name, to: Some(to), ..
            } => write!(f, "submit `{name}` to region `{to}`"),
            Self::Submit { name, .. } => write!(f, "submit `{name}`"),
            Self::Expect { that, within, .. } => {
                write!(f, "expect {that} within {} s", within.as_secs_f64())
            }
            Self::Hold { that, lasting } => match that {
                Some(that) => write!(f, "expect {that} for {} s", lasting.as_secs_f64()),
                None => write!(f, "let {} s pass", lasting.as_secs_f64()),
            },
            Self::Never { that, lasting } => {
                write!(f, "expect never {that} for {} s", lasting.as_secs_f64())
            }
            Self::Inject { fault, on } => write!(f, "{fault} {on}"),
            Self::Heal { fault, of: None } => write!(f, "heal {fault}"),
            Self::Heal {
                fault,
                of: Some(role),
            } => write!(f, "heal {fault} of {role}s"),
            Self::Restart { on } => write!(f, "stop and start {on}"),
            Self::Upgrade { on } => write!(f, "upgrade {on}"),
            Self::Start { workload } => write!(f, "start {workload}"),
            Self::StopAll => f.write_str("stop the workloads and judge what they saw"),
            Self::Measure {
                name,
                at_most,
                at_least,
            } => {
                write!(f, "expect {name}")?;
                if let Some(limit) = at_least {
                    write!(f, " at least {limit}")?;
                }
                match at_most {
                    Some(limit) => write!(f, " at most {limit}"),
                    None => Ok(()),
                }
            }
            Self::Scale { job, group, count } => {
                write!(f, "scale group `{group}` of `{job}` to {count}")
            }
            Self::Promote { job } => write!(f, "promote the canaries of `{job}`"),
            Self::Revert { job, version } => write!(f, "revert `{job}` to version {version}"),
            Self::StopJob { job, purge: true } => write!(f, "stop and purge job `{job}`"),
            Self::StopJob { job, .. } => write!(f, "stop job `{job}`"),
            Self::Dispatch { job, times: 1, .. } => write!(f, "dispatch `{job}`"),
            Self::Dispatch { job, times, .. } => write!(f, "dispatch `{job}` {times} times"),
            Self::Signal { job, signal } => write!(f, "send {signal} to a task of `{job}`"),
            Self::Drain {
                on,
                deadline,
                force,
                ignore_system_jobs,
            } => drain(f, on, *deadline, *force, *ignore_system_jobs),
            Self::TransferLeadership { to } => write!(f, "hand the leadership to {to}"),
            Self::Snapshot => f.write_str("take a snapshot"),
            Self::Restore => f.write_str("restore the snapshot"),
            Self::RotateGossipKey => f.write_str("rotate the gossip key"),
            Self::RotateCertificate { on } => write!(f, "rotate the certificate of {on}"),
            Self::Exec { on, command, .. } => write!(f, "run `{}` at {on}", command.join(" ")),
            Self::Call(call) => write!(f, "{call}"),
            Self::Parallel { steps } => list(f, "side by side", steps),
            Self::InRegion { region, steps } => list(f, &format!("in region `{region}`"), steps),
            Self::ForEach { agents, steps } => list(f, &format!("for each of {agents}"), steps),
        }
    }
}

fn drain(
    f: &mut fmt::Formatter<'_>,
    on: &Pick,
    deadline: Option<Duration>,
    force: bool,
    ignore_system_jobs: bool,
) -> fmt::Result {
    write!(f, "drain {on}")?;
    if let Some(deadline) = deadline {
        write!(f, " within {} s", deadline.as_secs_f64())?;
    }
    if force {
        f.write_str(" at once")?;
    }
    if ignore_system_jobs {
        f.write_str(", system jobs left alone")?;
    }
    Ok(())
}

fn list(f: &mut fmt::Formatter<'_>, head: &str, steps: &[Step]) -> fmt::Result {
    let words: Vec<_> = steps.iter().map(ToString::to_string).collect();
    write!(f, "{head}: {}", words.join("; "))
}
