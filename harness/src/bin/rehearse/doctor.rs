//! `rehearse doctor`: what this machine can do, what is missing, what that costs, what mends it.

use std::process::ExitCode;

use nomad_harness::docker::remove_labelled;
use nomad_harness::doctor::{self, Finding, Level};

use super::Context;
use super::failure::Failure;
use super::output::{self, Format, wrap};
use super::up::interrupted;

/// Exit code when no cluster can start: the environment's fault.
const ENVIRONMENT: u8 = 10;
/// The user, or the system, asked to end.
const INTERRUPTED: u8 = 130;

/// Columns of a terminal that nobody widened.
const COLUMNS: usize = 80;
/// Columns before what was found: the level and the subject.
const HEAD: usize = 22;
/// Columns before cost and command.
const INDENT: usize = 7;

/// Try what this machine can do, and say what is missing, what that costs, and what mends it.
///
/// Small containers are started and removed. Exit code 10 when no cluster can start here.
#[derive(clap::Args)]
pub struct Args {}

/// Looks, and prints what was found.
pub async fn run(_: Args, context: &Context) -> Result<ExitCode, Failure> {
    let run = format!("doctor-{}", std::process::id());
    let evidence = tokio::select! {
        evidence = doctor::look(&context.environment, &run) => evidence,
        () = interrupted() => {
            let docker = context.docker().await?;
            remove_labelled(docker.as_ref(), doctor::LABEL, &run).await?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let findings = doctor::judge(&evidence);
    match context.format {
        Format::Json => output::json(&as_json(&findings)),
        Format::Text => output::text(&as_table(&findings)),
    }
    Ok(match doctor::can_start(&findings) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(ENVIRONMENT),
    })
}

fn as_json(findings: &[Finding]) -> serde_json::Value {
    serde_json::json!({
        "can_start": doctor::can_start(findings),
        "findings": findings,
    })
}

fn as_table(findings: &[Finding]) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        let head = format!(" {:<5} {:<14}", finding.level.word(), finding.subject);
        let found = wrap(&finding.found, COLUMNS - HEAD);
        for (at, line) in found.iter().enumerate() {
            let head = if at == 0 { head.as_str() } else { "" };
            lines.push(format!("{head:<HEAD$}{line}"));
        }
        if let Some(cost) = &finding.cost {
            for line in wrap(&format!("costs: {cost}"), COLUMNS - INDENT) {
                lines.push(format!("{:INDENT$}{line}", ""));
            }
        }
        if let Some(mend) = &finding.mend {
            // One line however long: it is there to be copied.
            lines.push(format!("{:INDENT$}$ {mend}", ""));
        }
    }
    lines.push(String::new());
    lines.push(summary(findings));
    lines.join("\n")
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|one| one.level == level).count();
    let counted: Vec<String> = [Level::Ok, Level::Note, Level::Warn, Level::Fail]
        .into_iter()
        .filter(|level| count(*level) > 0)
        .map(|level| format!("{} {}", count(level), level.word()))
        .collect();
    let verdict = match doctor::can_start(findings) {
        true => "a cluster can start here",
        false => "no cluster can start here",
    };
    format!("{verdict} ({})", counted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(level: Level) -> Finding {
        Finding {
            subject: "net-admin".to_owned(),
            level,
            found: "a container with NET_ADMIN is refused: unable to apply caps: operation not \
                    permitted: unknown"
                .to_owned(),
            cost: Some(
                "scenarios that isolate agents or spoil their network are skipped".to_owned(),
            ),
            mend: Some("sudo something".to_owned()),
        }
    }

    #[test]
    fn a_table_fits_the_terminal_and_ends_with_the_verdict() {
        let table = as_table(&[finding(Level::Warn), finding(Level::Fail)]);
        assert!(
            table.lines().all(|line| line.chars().count() <= COLUMNS),
            "{table}"
        );
        assert!(
            table.starts_with(" warn  net-admin      a container with NET_ADMIN"),
            "{table}"
        );
        assert!(table.contains("\n       $ sudo something\n"), "{table}");
        assert!(
            table.ends_with("no cluster can start here (1 warn, 1 fail)"),
            "{table}"
        );
    }

    #[test]
    fn json_says_whether_a_cluster_can_start() {
        let json = as_json(&[finding(Level::Note)]);
        assert_eq!(json["can_start"], true);
        assert_eq!(json["findings"][0]["level"], "note");
        assert_eq!(json["findings"][0]["mend"], "sudo something");
    }
}
