//! A report for people at a terminal: a line for each thing that happens, and a summary.

use super::{Report, Verdict};
use crate::measure::Measure;
use crate::spec::AgentName;
use crate::spent::Spent;
use crate::target::{AgentInfo, EngineInfo};
use crate::timeline::{Event, Kind};

/// Returns the line for an event while a run is under way; `None` where it is only of interest
/// in the run folder. Every line names the engine, and where some of the `agents` are emulated,
/// every agent's architecture.
#[must_use]
pub fn live_line(engine: &EngineInfo, agents: &[AgentInfo], event: &Event) -> Option<String> {
    let mark = match event.kind {
        Kind::StepStarted => ">",
        Kind::StepPassed => "ok",
        Kind::StepFailed => "FAILED",
        Kind::StepCut => "CUT",
        Kind::AgentDied => "DIED",
        Kind::Stalled | Kind::RunStarted | Kind::RunEnded | Kind::Workload | Kind::Note => "",
        Kind::Injected | Kind::Healed => "!",
        Kind::LeaderSeen => "~",
        Kind::Injecting
        | Kind::Healing
        | Kind::Reachability
        | Kind::Allocation
        | Kind::Deployment
        | Kind::Measured => return None,
    };
    let who =
        event
            .agent
            .as_ref()
            .map_or_else(String::new, |agent| match platform(agents, agent) {
                Some(platform) => format!("`{agent}` on {platform} "),
                None => format!("`{agent}` "),
            });
    let words = match event.kind {
        Kind::Injected => format!("{who}injected: {}", event.detail),
        Kind::Healed => format!("{who}healed: {}", event.detail),
        _ => format!("{who}{}", event.detail),
    };
    let seconds = event.at_ms / 1000.0;
    Some(format!("{} {seconds:8.2}s {mark:>6} {words}", engine.tag()))
}

/// Returns what an agent runs on, where it is not what all of them and this machine are.
fn platform(agents: &[AgentInfo], name: &AgentName) -> Option<String> {
    let emulated = agents.iter().any(|agent| agent.emulated);
    let agent = agents.iter().find(|agent| agent.name == *name)?;
    emulated.then(|| agent.platform())
}

/// Returns a table of several runs, and what is to be known of each that did not pass.
#[must_use]
pub fn summary(reports: &[Report]) -> String {
    let mut lines = Vec::new();
    for report in reports {
        lines.push(format!(
            "{:<12} {:<18} {:>6.1}s  {}  seed {}",
            report.verdict,
            report.scenario,
            report.took_ms / 1000.0,
            report.engine_label,
            report.seed
        ));
        for measure in &report.measures {
            lines.push(format!("    {}", measured(measure)));
        }
        if report.verdict != Verdict::Passed {
            lines.extend(why(report));
        }
        for note in &report.notes {
            lines.push(format!("    note: {note}"));
        }
        if let Some(evidence) = &report.evidence {
            lines.push(format!("    evidence: {evidence}"));
        }
    }
    lines.extend(spent(reports));
    lines.push(tally(reports));
    lines.join("\n")
}

fn measured(measure: &Measure) -> String {
    let value = number(measure.value);
    let mut line = format!("{:<24} {value:>10}", measure.name);
    let limits = [
        ("<=", ">!", measure.at_most),
        (">=", "<!", measure.at_least),
    ];
    for (kept, broken, limit) in limits {
        let Some(limit) = limit else { continue };
        let sign = if measure.is_within() { kept } else { broken };
        line.push_str(&format!(" {sign} {}", number(limit)));
    }
    line
}

/// Counts have no fraction; milliseconds are told to a tenth.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn why(report: &Report) -> Vec<String> {
    let reason = report.reason.as_deref().unwrap_or("no reason given");
    let place = report
        .steps
        .last()
        .filter(|step| step.verdict != Verdict::Passed)
        .map_or_else(String::new, |step| {
            format!(", step {} of {}", step.number, report.steps_total)
        });
    vec![format!(
        "{}: `{}`{place}: {reason}",
        report.verdict, report.scenario
    )]
}

/// Says how the time of all runs together was spent.
fn spent(reports: &[Report]) -> Option<String> {
    let all: Spent = reports.iter().filter_map(|report| report.spent).sum();
    let overhead = all.overhead_percent()?;
    let seconds = |ms: f64| ms / 1000.0;
    Some(format!(
        "time: {:.1} s waiting for the agents, {:.1} s held by scripts, {:.1} s our own ({overhead:.1} % of the waits)",
        seconds(all.nomad_ms),
        seconds(all.held_ms),
        seconds(all.harness_ms)
    ))
}

fn tally(reports: &[Report]) -> String {
    let count = |verdict| reports.iter().filter(|r| r.verdict == verdict).count();
    let words: Vec<_> = [
        Verdict::Passed,
        Verdict::Failed,
        Verdict::Inconclusive,
        Verdict::Skipped,
    ]
    .into_iter()
    .filter(|verdict| count(*verdict) > 0)
    .map(|verdict| format!("{} {verdict}", count(verdict)))
    .collect();
    let simulated = if reports.iter().any(|report| report.engine.simulated) {
        " (SIMULATED: nothing here ran on Nomad itself)"
    } else {
        ""
    };
    format!("{}{simulated}", words.join(", "))
}
