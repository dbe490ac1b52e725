//! `rehearse soak`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nomad_harness::scenario::{self, ENDING, Script};
use nomad_harness::soak::{self, Plan};
use nomad_harness::{grammar, runner};

use super::Context;
use super::cluster_args::ClusterArgs;
use super::failure::Failure;
use super::output;
use super::rehearsal::{self, Desk, Orders, Work};

/// Let random faults loose on a cluster with workloads, and check throughout that Nomad keeps its
/// promises.
///
/// No acknowledged write is lost; no term has two leaders; somebody leads within bounds while the
/// faults are tolerable; after each, the cluster is whole again. The schedule comes from the seed
/// and is a scenario like any other: it lies beside the report, and `rehearse run` takes it.
#[derive(clap::Args)]
pub struct Args {
    /// For how long, as `30m`. What is under way then is healed and judged.
    #[arg(long = "for", value_name = "TIME", value_parser = scenario::duration)]
    lasting: Duration,
    /// Where the schedule and all random choices come from; without it, chosen and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Leave out this fault; may be given often.
    #[arg(long, value_name = "FAULT")]
    without: Vec<String>,
    /// Print the schedule, and run nothing.
    #[arg(long)]
    print: bool,
    /// Run on this cluster, which stays; without it, a fresh one is made and removed.
    #[arg(long, value_name = "NAME")]
    on: Option<String>,
    /// Leave the cluster as it is when the soak does not pass.
    #[arg(long)]
    keep_failed: bool,
    /// Where the run's folder goes.
    #[arg(long, value_name = "DIR", default_value = "target/rehearsals")]
    report: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Soaks, and says what was proved.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let seed = args.seed.unwrap_or_else(rehearsal::any_seed);
    let script = schedule(&args, seed)?;
    if args.print {
        output::text(script.text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let scenario = script.read(&BTreeMap::new()).map_err(Failure::input)?;
    rehearsal::try_out(&args.report)?;
    let kept = args.report.join(&script.file);
    runner::write_whole(&kept, &script.text).map_err(Failure::environment)?;
    let ground = rehearsal::ground(args.on, args.cluster, context)?;
    let desk = Desk::open(&args.report, context.format, false);
    desk.say(&format!(
        "schedule: {} (again: rehearse run {0} --seed {seed})",
        kept.display()
    ));
    let orders = Orders {
        context,
        ground: &ground,
        desk: &desk,
        reports: &args.report,
        keep_failed: args.keep_failed,
        interrupt: rehearsal::interrupt(),
        jobs: 1,
        restart_engine_with: None,
        until: Some(args.lasting),
    };
    let played = rehearsal::play(&orders, vec![Work { scenario, seed }]).await;
    drop(orders);
    desk.close_after(played)
}

fn schedule(args: &Args, seed: u64) -> Result<Script, Failure> {
    let known = soak::faults();
    let unknown: Vec<String> = args
        .without
        .iter()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| {
            let hint = grammar::suggest(name, known.iter().copied());
            format!("no soak has a fault `{name}`{hint}")
        })
        .collect();
    if !unknown.is_empty() {
        return Err(Failure::input(unknown.join("\n")));
    }
    let plan = Plan {
        seed,
        lasting: args.lasting,
        without: args.without.iter().cloned().collect::<BTreeSet<_>>(),
    };
    let text = soak::script(&plan)
        .ok_or_else(|| Failure::input("every fault is left out, so there is nothing to soak in"))?;
    let name = soak::name(seed);
    Ok(Script {
        file: format!("{name}{ENDING}"),
        name,
        text,
        folder: None,
    })
}
