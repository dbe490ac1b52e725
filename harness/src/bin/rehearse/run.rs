//! `rehearse run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use nomad_harness::docker::Docker;
use nomad_harness::engine::EngineRequest;
use nomad_harness::report::{self, Report, Verdict};
use nomad_harness::runner::{self, Folder, Interrupt};
use nomad_harness::scenario::Scenario;
use nomad_harness::spec::ClusterSpec;
use nomad_harness::target::Target as _;
use nomad_harness::target::docker::{DockerCluster, Options, bring_up, tear_down};

use super::Context;
use super::cluster_args::ClusterArgs;
use super::failure::Failure;
use super::output::{self, Format};
use super::scenario::{self, Which};
use super::up;
use super::view::View;

/// Run scenarios, on a cluster of their own or on one that is there.
///
/// Every run writes a folder with `result.json` and `timeline.json`; what did not pass leaves the
/// agents' logs there too. Exit code: 0 when all passed, 30 when a law was broken, 31 when
/// nothing was proved.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// List the scenarios, and run none.
    #[arg(long)]
    list: bool,
    /// Run on this cluster, which stays; without it, a fresh one is made and removed.
    #[arg(long, value_name = "NAME")]
    on: Option<String>,
    /// Where random choices come from; without it, chosen and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// How often each scenario is run; each time with the next seed.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
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
    let (interrupter, interrupt) = Interrupt::new();
    tokio::spawn(async move {
        up::interrupted().await;
        interrupter.interrupt();
    });
    let mut stage = Stage::set(&args, context, interrupt.clone()).await?;
    let mut reports = Vec::new();
    let played = play(&args, context, &mut stage, &scenarios, &mut reports).await;
    let kept = args.keep_failed && reports.iter().any(|report| !passed(report));
    let cleared = stage.clear(kept).await;
    show(&args, context.format, &reports)?;
    played?;
    cleared?;
    let verdict = Verdict::of_all(reports.iter().map(|report| report.verdict));
    Ok(ExitCode::from(verdict.exit_code()))
}

async fn play(
    args: &Args,
    context: &Context,
    stage: &mut Stage<'_>,
    scenarios: &[Scenario],
    reports: &mut Vec<Report>,
) -> Result<(), Failure> {
    let first_seed = args
        .seed
        .unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let interrupt = stage.interrupt.clone();
    for turn in 0..args.repeat {
        for scenario in scenarios {
            if interrupt.is_raised() {
                return Ok(());
            }
            let folder = Folder::create(&args.report, &scenario.name)
                .map_err(|error| Failure::environment(error).hint("rehearse run --report DIR"))?;
            let cluster = stage.cluster().await?;
            let engine = cluster.engine().clone();
            let quiet = context.format == Format::Json;
            let options = runner::Options {
                seed: first_seed.wrapping_add(turn),
                folder: Some(folder),
                keep_failed: args.keep_failed,
                interrupt: interrupt.clone(),
                listener: Some(Box::new(move |event| {
                    if let Some(line) = report::live_line(&engine, event).filter(|_| !quiet) {
                        eprintln!("{line}");
                    }
                })),
            };
            let report = runner::run(scenario, cluster, options).await;
            let stop = args.keep_failed && !passed(&report);
            let fit = report.cluster_fit;
            reports.push(report);
            if stop {
                return Ok(());
            }
            if !fit {
                stage.give_up_cluster().await?;
            }
        }
    }
    Ok(())
}

fn passed(report: &Report) -> bool {
    matches!(report.verdict, Verdict::Passed | Verdict::Skipped)
}

/// Prints what was proved, and leaves it for build servers beside the runs' folders.
fn show(args: &Args, format: Format, reports: &[Report]) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(&reports),
        Format::Text if reports.is_empty() => {}
        Format::Text => output::text(&report::summary(reports)),
    }
    for (name, text) in [
        ("junit.xml", report::to_junit(reports)),
        ("summary.md", report::to_markdown(reports)),
    ] {
        std::fs::write(args.report.join(name), text).map_err(Failure::environment)?;
    }
    Ok(())
}

/// The cluster that is played on: a given one, or ones of our own.
struct Stage<'c> {
    context: &'c Context,
    docker: Arc<Docker>,
    interrupt: Interrupt,
    /// What a cluster of our own is made from; `None` where one is given.
    own: Option<(ClusterSpec, EngineRequest, Options)>,
    cluster: Option<DockerCluster>,
}

impl<'c> Stage<'c> {
    async fn set(args: &Args, context: &'c Context, interrupt: Interrupt) -> Result<Self, Failure> {
        if let Some(name) = &args.on {
            return Ok(Self {
                context,
                cluster: Some(context.open(name).await?),
                docker: context.docker().await?,
                interrupt,
                own: None,
            });
        }
        let name = format!("run-{:08x}", rand::random::<u32>());
        let (spec, request) = args.cluster.read(&name)?;
        spec.validate()
            .map_err(nomad_harness::target::docker::UpError::Spec)?;
        let options = Options {
            timeout: args.cluster.timeout(&spec),
            keep: args.keep_failed,
            // One that is to be kept is no garbage when this process ends.
            ephemeral: !args.keep_failed,
        };
        Ok(Self {
            context,
            docker: context.docker().await?,
            interrupt,
            own: Some((spec, request, options)),
            cluster: None,
        })
    }

    /// Returns the cluster; makes one where there is none.
    async fn cluster(&mut self) -> Result<&DockerCluster, Failure> {
        if self.cluster.is_none() {
            let (spec, request, options) = self
                .own
                .as_ref()
                .expect("a given cluster is never given up");
            let view = View::new();
            let interrupt = self.interrupt.clone();
            let made = bring_up(
                spec,
                request,
                options,
                &self.context.environment,
                self.docker.clone(),
                view.progress(),
                Box::pin(async move { interrupt.raised().await }),
            )
            .await?;
            self.cluster = Some(made);
        }
        Ok(self.cluster.as_ref().expect("it was just made"))
    }

    /// Removes a cluster of our own that is not what it was; a given one stays as it is.
    async fn give_up_cluster(&mut self) -> Result<(), Failure> {
        if self.own.is_some()
            && let Some(cluster) = self.cluster.take()
        {
            let name = cluster.name().to_owned();
            drop(cluster);
            let view = View::new();
            let root = self.context.root();
            tear_down(&name, self.docker.as_ref(), &root, view.progress()).await?;
        }
        Ok(())
    }

    /// Removes what is ours, unless it is to be kept.
    async fn clear(mut self, kept: bool) -> Result<(), Failure> {
        match &self.cluster {
            Some(cluster) if kept => {
                let name = cluster.name();
                eprintln!("kept: cluster `{name}` (rehearse status {name}; rehearse down {name})");
                Ok(())
            }
            _ => self.give_up_cluster().await,
        }
    }
}
