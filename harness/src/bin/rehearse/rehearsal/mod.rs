//! What `run` and `soak` share: the clusters that are played on, the hands that play, and the
//! desk where everything that is told comes together.

mod crew;
mod desk;
mod stage;

use std::process::ExitCode;

use nomad_harness::report::{Report, Verdict};
use nomad_harness::runner::{Folder, Interrupt};
use nomad_harness::scenario::Scenario;

use super::cluster_args::ClusterArgs;
use super::failure::Failure;
use super::{Context, up};

pub use crew::{Ground, Orders, play};
pub use desk::Desk;

/// One scenario to be played once.
#[derive(Clone, Debug)]
pub struct Work {
    /// The scenario.
    pub scenario: Scenario,
    /// Where its random choices come from.
    pub seed: u64,
}

/// Returns an interrupt that comes when the user, or the system, asks this process to end.
pub fn interrupt() -> Interrupt {
    let (interrupter, interrupt) = Interrupt::new();
    tokio::spawn(async move {
        up::interrupted().await;
        interrupter.interrupt();
    });
    interrupt
}

/// Sees whether reports can be written, before anything starts.
pub fn try_out(folder: &std::path::Path) -> Result<(), Failure> {
    Folder::try_out(folder)
        .map_err(|error| Failure::environment(error).hint("rehearse run --report DIR"))
}

/// Returns what is played on; what makes no sense of it is told before anything starts.
pub fn ground(
    on: Option<String>,
    cluster: ClusterArgs,
    context: &Context,
) -> Result<Ground, Failure> {
    if let Some(name) = on {
        context.root().cluster(&name).read()?;
        return Ok(Ground::Given { name });
    }
    cluster.check()?;
    Ok(Ground::Own {
        args: Box::new(cluster),
    })
}

/// Returns a seed that people can type.
pub fn any_seed() -> u64 {
    u64::from(rand::random::<u32>())
}

/// Whether a run's cluster is of no further interest.
fn passed(report: &Report) -> bool {
    matches!(report.verdict, Verdict::Passed | Verdict::Skipped)
}

/// Returns the exit code of several runs. What was cut short proved nothing, and reports that are
/// not where they belong are no success.
fn exit_code(reports: &[Report], complete: bool, written: bool) -> ExitCode {
    let verdict = Verdict::of_all(reports.iter().map(|report| report.verdict));
    ExitCode::from(code(verdict, complete, written))
}

fn code(verdict: Verdict, complete: bool, written: bool) -> u8 {
    let verdict = match (verdict, complete) {
        (Verdict::Passed | Verdict::Skipped, false) => Verdict::Inconclusive,
        (verdict, _) => verdict,
    };
    match (verdict.exit_code(), written) {
        (0, false) => super::failure::ENVIRONMENT,
        (code, _) => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_short_or_not_written_is_no_success() {
        // Exit codes cannot be compared, their words can.
        let shown = |complete, written| format!("{:?}", exit_code(&[], complete, written));
        assert_eq!(shown(true, true), format!("{:?}", ExitCode::from(31)));
        assert_eq!(code(Verdict::Passed, true, true), 0);
        assert_eq!(code(Verdict::Passed, false, true), 31);
        assert_eq!(code(Verdict::Passed, true, false), 10);
        assert_eq!(code(Verdict::Failed, false, false), 30);
    }
}
