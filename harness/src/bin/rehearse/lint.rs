//! `rehearse lint`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use nomad_harness::lint::{self, JobFile, Severity};

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::plan::SourceArgs;

/// The configuration is not what it should be.
const DRIFT: u8 = 40;

/// Find what is wrong with a cluster's Terraform configuration and its jobs, before it is made.
///
/// A finding is silenced by a comment on its line or the one above: `# rehearse:ignore RULE reason`.
/// Exit code 40 if anything at least as bad as `--fail-on` is found.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// A job's file that the cluster is to run, or a folder of them; may be given often. Those in DIR and
    /// below (`*.nomad.hcl`, `*.nomad`) are looked at without being named.
    #[arg(long, value_name = "PATH")]
    jobs: Vec<PathBuf>,
    /// Print SARIF 2.1.0, which code hosts show beside the lines.
    #[arg(long, conflicts_with = "rules")]
    sarif: bool,
    /// List the rules, and check nothing.
    #[arg(long)]
    rules: bool,
    /// The least that makes the exit code 40.
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

#[derive(Clone, Copy, ValueEnum)]
enum FailOn {
    /// Errors.
    Error,
    /// Warnings, too.
    Warning,
}

/// Reads, checks, tells.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.rules {
        list(context.format);
        return Ok(ExitCode::SUCCESS);
    }
    // What a missing value decides is not judged; all else is.
    let (configuration, cluster) = args.source.read(true)?;
    let findings = lint::check(&configuration, &cluster, &jobs(args)?);
    match context.format {
        _ if args.sarif => output::json(&lint::sarif(&findings)),
        Format::Json => output::json(&findings),
        Format::Text => output::text(lint::text(&findings).trim_end()),
    }
    let least = match args.fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
    };
    let fails = findings.iter().any(|finding| finding.severity <= least);
    Ok(if fails {
        ExitCode::from(DRIFT)
    } else {
        ExitCode::SUCCESS
    })
}

fn jobs(args: &Args) -> Result<Vec<JobFile>, Failure> {
    let dir = Some(&args.source.dir).filter(|dir| dir.is_dir());
    let mut jobs: Vec<JobFile> = Vec::new();
    for path in dir.into_iter().chain(&args.jobs) {
        for job in JobFile::find(path).map_err(Failure::input)? {
            if !jobs.iter().any(|known| known.path == job.path) {
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}

fn list(format: Format) {
    let rules: Vec<_> = lint::rules().collect();
    if format == Format::Json {
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| serde_json::json!({ "rule": rule.id, "severity": rule.severity, "why": rule.why, "mend": rule.mend }))
            .collect();
        output::json(&rules);
        return;
    }
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            let severity = match rule.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            vec![rule.id.to_owned(), severity.to_owned(), rule.why.to_owned()]
        })
        .collect();
    output::text(&output::table(&["Rule", "Severity", "Why"], &rows));
}
