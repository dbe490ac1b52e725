//! `rehearse compare`.

use std::path::PathBuf;
use std::process::ExitCode;

use nomad_harness::causes::with_causes;
use nomad_harness::parity::{self, Side, SideError, Tolerances};
use nomad_harness::runner;

use super::Context;
use super::drift;
use super::failure::Failure;
use super::output::{self, Format};
use super::plan::ValueArgs;

/// Compare runs: verdicts, the order of events, measures as ratios, and what agents are configured with.
///
/// Any sides will do: the simulator and Nomad, two architectures, two versions, Docker and AWS. A
/// side is a run's folder, a folder of such folders, a `result.json` or a `results.json`; where a
/// scenario ran several times, its middle counts. All are compared with the first. Exit code: 0
/// without drift, 40 with, 31 where no run could be compared.
#[derive(clap::Args)]
pub struct Args {
    /// The sides; with `--with`, the name of a cluster that is here.
    #[arg(value_name = "DIR|FILE", required = true, num_args = 1..)]
    sides: Vec<PathBuf>,
    /// Compare the configuration of a cluster's agents, key by key, with that of a Terraform
    /// configuration for AWS.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["tolerance", "slack"])]
    with: Option<PathBuf>,
    #[command(flatten)]
    values: ValueArgs,
    /// What a measure may differ by, as `leaderless_ms=1.5` (times), `requests_lost=exact` or
    /// `*_p99=free`; may be given often, the last that fits counts.
    #[arg(long, value_name = "NAME=TIMES")]
    tolerance: Vec<String>,
    /// Times that differ by no more than this are never drift, whatever their ratio.
    #[arg(long, value_name = "TIME", value_parser = nomad_harness::scenario::duration)]
    slack: Option<std::time::Duration>,
    /// Write the comparison there as a page, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Compares, and says what differs.
pub async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    if let Some(dir) = &args.with {
        let [name] = args.sides.as_slice() else {
            return Err(
                Failure::input("`--with` takes the name of one cluster").hint("rehearse ls")
            );
        };
        let (name, html) = (name.to_string_lossy(), args.html.as_deref());
        return drift::run(&name, dir, &args.values, html, context).await;
    }
    if args.sides.len() < 2 {
        let hint = "rehearse compare target/rehearsals/A target/rehearsals/B    # or: compare NAME --with DIR";
        return Err(Failure::input("a comparison takes two sides or more").hint(hint));
    }
    let mut wrong = Vec::new();
    let mut tolerances = Tolerances::default();
    if let Some(slack) = args.slack {
        tolerances.set_slack(slack.as_secs_f64() * 1_000.0);
    }
    for text in &args.tolerance {
        wrong.extend(tolerances.add(text).err().map(|error| error.to_string()));
    }
    let mut sides = Vec::new();
    for path in &args.sides {
        match Side::read(path) {
            Ok(side) => sides.push(side),
            // Its line and column are told; its source would say them again.
            Err(error @ SideError::Json { .. }) => wrong.push(error.to_string()),
            Err(error) => wrong.push(with_causes(&error)),
        }
    }
    if !wrong.is_empty() {
        let hint = "rehearse compare target/rehearsals/A target/rehearsals/B";
        return Err(Failure::input(wrong.join("\nerror: ")).hint(hint));
    }
    let comparison = parity::compare(&sides, &tolerances);
    match context.format {
        Format::Json => output::json(&comparison),
        Format::Text => output::text(&parity::to_text(&comparison)),
    }
    if let Some(path) = &args.html {
        runner::write_whole(path, &parity::to_html(&comparison)).map_err(Failure::environment)?;
    }
    output::add_to_build_summary(&parity::to_markdown(&comparison));
    Ok(ExitCode::from(comparison.exit_code()))
}
