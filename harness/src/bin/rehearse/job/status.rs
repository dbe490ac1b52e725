//! `rehearse job status` and `rehearse job stop`.

use std::process::ExitCode;

use nomad_harness::nomad::ApiError;
use nomad_harness::nomad::types::{AllocStub, Deployment, Job};
use serde::Serialize;

use super::run::api;
use crate::Context;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::words;

/// Show a job: its version, its deployment, its allocations.
#[derive(clap::Args)]
#[command(after_help = "Example:
  rehearse job status whoami")]
pub struct Args {
    /// The job.
    job: String,
    /// The cluster.
    #[arg(long, value_name = "NAME", default_value = words::default_cluster())]
    cluster: String,
}

/// Stop a job; with `--purge`, forget it.
#[derive(clap::Args)]
#[command(after_help = "Example:
  rehearse job stop whoami --purge")]
pub struct StopArgs {
    /// The job.
    job: String,
    /// The cluster.
    #[arg(long, value_name = "NAME", default_value = words::default_cluster())]
    cluster: String,
    /// Forget the job and its versions.
    #[arg(long)]
    purge: bool,
}

/// All that is shown.
#[derive(Serialize)]
struct Shown {
    job: Job,
    deployment: Option<Deployment>,
    allocations: Vec<AllocStub>,
}

/// Shows the job.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (_cluster, api) = api(&args.cluster, context).await?;
    let job = api.job(&args.job).await.map_err(|e| failed(&args.job, e))?;
    let shown = Shown {
        deployment: api
            .latest_deployment(&job.id)
            .await
            .map_err(Failure::environment)?,
        allocations: api
            .job_allocations(&job.id)
            .await
            .map_err(Failure::environment)?,
        job,
    };
    match context.format {
        Format::Json => output::json(&shown),
        Format::Text => output::text(&shown.text()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops the job.
pub async fn stop(args: StopArgs, context: &Context) -> Result<ExitCode, Failure> {
    let (_cluster, api) = api(&args.cluster, context).await?;
    api.job(&args.job).await.map_err(|e| failed(&args.job, e))?;
    let stopped = api.stop_job(&args.job, args.purge).await;
    stopped.map_err(Failure::environment)?;
    output::text(&format!("job `{}`: stopped", args.job));
    Ok(ExitCode::SUCCESS)
}

fn failed(job: &str, error: ApiError) -> Failure {
    match error.status() {
        Some(404) => Failure::input(format!("there is no job `{job}`")).hint("rehearse status"),
        _ => Failure::environment(error),
    }
}

impl Shown {
    fn text(&self) -> String {
        let Job {
            id,
            job_type,
            version,
            status,
            ..
        } = &self.job;
        let mut lines = vec![format!(
            "job `{id}`: {job_type}, version {version}, {status}"
        )];
        if let Some(deployment) = &self.deployment {
            lines.push(format!(
                "deployment of version {}: {}",
                deployment.job_version, deployment.status_description
            ));
        }
        let mut allocations: Vec<_> = self.allocations.iter().collect();
        allocations.sort_by_key(|alloc| (&alloc.name, alloc.create_index));
        let rows: Vec<Vec<String>> = allocations.into_iter().map(cells).collect();
        if !rows.is_empty() {
            let head = ["Allocation", "ID", "Version", "Node", "Wanted", "State"];
            lines.push(String::new());
            lines.push(output::table(&head, &rows));
        }
        lines.join("\n")
    }
}

fn cells(alloc: &AllocStub) -> Vec<String> {
    vec![
        alloc.name.clone(),
        alloc.id.get(..8).unwrap_or(&alloc.id).to_owned(),
        alloc.job_version.to_string(),
        alloc.node_name.clone(),
        alloc.desired_status.clone(),
        alloc.client_status.clone(),
    ]
}
