//! `rehearse conformance`.

use std::process::ExitCode;
use std::sync::Arc;

use nomad_harness::conformance::{self, Case, Kept, Outcome, Score};
use nomad_harness::docker::Docker;
use nomad_harness::progress::Progress;
use nomad_harness::target::Target as _;
use nomad_harness::target::docker::{
    DockerCluster, Options as UpOptions, UpError, bring_up, tear_down,
};
use semver::Version;
use serde::Serialize;

use super::Context;
use super::cluster_args::ClusterArgs;
use super::failure::Failure;
use super::output::{self, Format};
use super::up;
use super::view::View;

/// Exit code when a law was broken.
const BROKEN: u8 = 30;

/// Check laws of Nomad's API and scheduling, on a cluster of its own or on one that is there.
///
/// Every law names its section of docs/nomad-facts.md and the versions that it binds. What the
/// simulator answers with 501 counts as not kept. Exit code: 0 when every law is kept, else 30.
#[derive(clap::Args)]
pub struct Args {
    /// Only laws whose name or section contains one of these.
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// List the laws, and check none.
    #[arg(long)]
    list: bool,
    /// Check this cluster, which stays; without it, a fresh one is made and removed.
    #[arg(long, value_name = "NAME")]
    on: Option<String>,
    /// How many laws are checked at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 6)]
    parallel: usize,
    /// Time for everything, in times of what a native cluster needs.
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    patience: u32,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Checks what is asked for, and says what is kept.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let cases = conformance::cases();
    let named = |text: &String| {
        let has = |case: &Case| case.name.contains(text) || case.section.contains(text);
        cases.iter().any(has)
    };
    if let Some(unknown) = args.filter.iter().find(|text| !named(text)) {
        let problem = format!("no law's name or section contains `{unknown}`");
        return Err(Failure::input(problem).hint("rehearse conformance --list"));
    }
    if args.list {
        list(&cases, &args.filter, context.format);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.on {
        let cluster = context.open(name).await?;
        let score = check(&args, context, &cluster, &cases).await?;
        return Ok(show(&score, context.format));
    }
    let name = format!("conformance-{:08x}", rand::random::<u32>());
    let docker = context.docker().await?;
    let cluster = made(&args, context, &name, docker.clone()).await?;
    let score = tokio::select! {
        score = check(&args, context, &cluster, &cases) => Some(score),
        () = up::interrupted() => None,
    };
    drop(cluster);
    tear_down(&name, docker.as_ref(), &context.root(), &Progress::silent()).await?;
    match score {
        Some(score) => Ok(show(&score?, context.format)),
        None => Ok(ExitCode::from(130)),
    }
}

async fn made(
    args: &Args,
    context: &Context,
    name: &str,
    docker: Arc<Docker>,
) -> Result<DockerCluster, Failure> {
    let (spec, request) = args.cluster.read(name)?;
    spec.validate().map_err(UpError::Spec)?;
    let options = UpOptions {
        timeout: args.cluster.timeout,
        keep: false,
        ephemeral: true,
    };
    let view = View::new();
    let cluster = bring_up(
        &spec,
        &request,
        &options,
        &context.environment,
        docker,
        view.progress(),
        Box::pin(up::interrupted()),
    );
    Ok(cluster.await?)
}

async fn check(
    args: &Args,
    context: &Context,
    cluster: &DockerCluster,
    cases: &[Case],
) -> Result<Score, Failure> {
    let engine = cluster.engine();
    let version: Version = engine.version.parse().map_err(|_| {
        let text = format!("`{}` is no version of Nomad", engine.version);
        Failure::input(text).hint("rehearse up --nomad-version VERSION")
    })?;
    let spec = &cluster.record().spec;
    let authority = cluster.folder().read_cli(&spec.region);
    let options = conformance::Options {
        filter: args.filter.clone(),
        parallel: args.parallel,
        authority: authority.map_err(Failure::environment)?.0,
        datacenter: spec.datacenter.clone(),
        region: spec.region.clone(),
        patience: args.patience,
    };
    eprintln!("{}: checking", engine.label());
    let quiet = context.format == Format::Json;
    let told = |outcome: &Outcome| {
        if let Some(line) = line(outcome).filter(|_| !quiet) {
            eprintln!("{line}");
        }
    };
    Ok(conformance::run(cluster, cases, &version, &options, told).await)
}

/// Returns what is told of a law while the others are still being checked.
fn line(outcome: &Outcome) -> Option<String> {
    let word = match &outcome.kept {
        Kept::Yes => "kept",
        Kept::No { .. } => "BROKEN",
        Kept::NotSimulated { .. } => "not simulated",
        Kept::Exempt { .. } => return None,
    };
    let took = outcome.took_ms;
    Some(format!("{word:>13}  {} ({took} ms)", outcome.name))
}

fn show(score: &Score, format: Format) -> ExitCode {
    match format {
        Format::Json => output::json(score),
        Format::Text => output::text(&score.text()),
    }
    if score.is_full() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BROKEN)
    }
}

/// A law, as `--list` tells it.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    section: &'static str,
    versions: String,
}

fn list(cases: &[Case], filter: &[String], format: Format) {
    let named = |case: &&Case| {
        let has = |text: &String| case.name.contains(text) || case.section.contains(text);
        filter.is_empty() || filter.iter().any(has)
    };
    let listed: Vec<_> = cases
        .iter()
        .filter(named)
        .map(|case| Listed {
            name: case.name,
            section: case.section,
            versions: versions(case),
        })
        .collect();
    if format == Format::Json {
        output::json(&listed);
        return;
    }
    let rows: Vec<_> = listed
        .iter()
        .map(|one| {
            vec![
                one.section.to_owned(),
                one.name.to_owned(),
                one.versions.clone(),
            ]
        })
        .collect();
    output::text(&output::table(&["Facts", "Law", "Versions"], &rows));
}

fn versions(case: &Case) -> String {
    let text = |(major, minor, patch): (u64, u64, u64)| format!("{major}.{minor}.{patch}");
    match (case.since.map(text), case.until.map(text)) {
        (None, None) => "all".to_owned(),
        (Some(since), None) => format!("from {since}"),
        (None, Some(until)) => format!("before {until}"),
        (Some(since), Some(until)) => format!("from {since}, before {until}"),
    }
}
