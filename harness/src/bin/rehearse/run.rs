//! `rehearse run`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Context;
use super::cluster_args::ClusterArgs;
use super::failure::Failure;
use super::live::{self, AttachArgs, Where};
use super::rehearsal::{self, Desk, Orders, Work};
use super::scenario::{self, Which};

/// Run scenarios, on a cluster of their own or on one that is there.
///
/// Every run writes a folder with `result.json`, `timeline.json` and the page `report.html`; what
/// did not pass leaves the agents' logs there too. Beside the folders: `results.json`,
/// `junit.xml`, `summary.md` and `index.html` over all runs. Exit code: 0 when all passed, 30
/// when a law was broken, 31 when nothing was proved.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// List the scenarios, and run none.
    #[arg(long)]
    list: bool,
    /// Where the cluster runs. On AWS it is one that Terraform made, given by `--attach`; without
    /// `--yes`, only what would be done is shown.
    #[arg(long, value_enum, default_value_t = Where::Docker)]
    target: Where,
    #[command(flatten)]
    attach: AttachArgs,
    /// Run on this cluster, which stays; without it, fresh ones are made and removed. A job of the same ID as
    /// one of a scenario's is replaced there, and removed with it.
    #[arg(long, value_name = "NAME")]
    on: Option<String>,
    /// How many clusters run side by side, at most: fewer where memory or processors do not bear
    /// them.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "on", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Where random choices come from; without it, chosen and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// How often each scenario is run; each time with the next seed.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Let scenarios restart the Docker engine, with this command, as `sudo systemctl restart docker`:
    /// everybody's containers on that engine end with it. Without one, such scenarios are skipped.
    #[arg(long, value_name = "COMMAND")]
    restart_engine_with: Option<String>,
    /// Leave the cluster and its jobs as they are when a run does not pass, and end there.
    #[arg(long)]
    keep_failed: bool,
    /// Where the runs' folders go.
    #[arg(long, value_name = "DIR", default_value = "target/rehearsals")]
    report: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs what is asked for, and says what was proved.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let scenarios = args.which.read()?;
    if args.list {
        scenario::list(&scenarios, context.format);
        return Ok(ExitCode::SUCCESS);
    }
    let live = args.target == Where::Aws;
    if live && (args.on.is_some() || args.jobs > 1) {
        return Err(Failure::input(
            "`--target aws` does not go with `--on` or `--jobs`: the cluster is the attached one",
        ));
    }
    if !live && (args.attach.attach.is_some() || args.attach.yes) {
        return Err(Failure::input(
            "`--attach` and `--yes` go with `--target aws`",
        ));
    }
    if args.restart_engine_with.is_some() && (live || args.jobs > 1) {
        return Err(Failure::input(
            "`--restart-engine-with` does not go with `--jobs`, whose other clusters it would end, or with \
             `--target aws`",
        ));
    }
    rehearsal::try_out(&args.report)?;
    let first_seed = args.seed.unwrap_or_else(rehearsal::any_seed);
    let works = (0..args.repeat)
        .flat_map(|turn| {
            let seed = first_seed.wrapping_add(turn);
            let of = move |scenario| Work { scenario, seed };
            scenarios.iter().cloned().map(of)
        })
        .collect();
    if live {
        return live::run(&args.attach, works, &args.report, args.keep_failed, context).await;
    }
    let ground = rehearsal::ground(args.on, args.cluster, context)?;
    let desk = Desk::open(&args.report, context.format, args.jobs > 1);
    let orders = Orders {
        context,
        ground: &ground,
        desk: &desk,
        reports: &args.report,
        keep_failed: args.keep_failed,
        interrupt: rehearsal::interrupt(),
        jobs: usize::from(args.jobs),
        restart_engine_with: args.restart_engine_with.as_deref(),
        until: None,
    };
    let played = rehearsal::play(&orders, works).await;
    drop(orders);
    desk.close_after(played)
}
