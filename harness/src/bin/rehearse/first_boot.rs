//! `rehearse plan --run`: user data executed.

use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt as _;
use nomad_harness::boot::{self, Booted, Subject, Terms};
use nomad_harness::engine;
use nomad_harness::spec::Arch;
use nomad_harness::terraform::aws::{AwsCluster, Machine};
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::view::View;

/// User data failed.
const FAILED: u8 = 30;
/// Machines at a time.
const TOGETHER: usize = 3;

/// What came of all machines.
#[derive(Serialize)]
struct Outcome {
    /// The image that stood for the machines'.
    image: String,
    /// Machines whose user data was run.
    booted: Vec<Booted>,
    /// Machines whose user data was not, and why.
    not_run: Vec<String>,
}

/// Runs the user data of every machine, and shows what came of it.
pub async fn run(
    cluster: &AwsCluster,
    base_image: Option<&str>,
    limit: Duration,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let arch = Arch::host()
        .ok_or_else(|| Failure::environment("this machine's architecture is not supported"))?;
    let (subjects, mut not_run) = subjects(cluster);
    let (mut to_run, mut ignored) = (Vec::new(), Vec::new());
    for subject in &subjects {
        match boot::nothing_to_run(&subject.user_data) {
            Some(why) => ignored.push(format!(
                "`{}`: its user data has nothing to run: {why}",
                subject.name
            )),
            None => to_run.push(subject),
        }
    }
    let some_ignored = !ignored.is_empty();
    not_run.extend(ignored);
    let docker = context.docker().await?;
    let view = View::new();
    let environment = &context.environment;
    let image = engine::workbench(
        base_image,
        arch,
        environment,
        docker.as_ref(),
        view.progress(),
    )
    .await?;
    drop(view);
    let terms = Terms {
        image: image.clone(),
        platform: arch.platform(),
        limit,
    };
    let runs = to_run
        .into_iter()
        .map(|subject| boot::boot(docker.as_ref(), subject, &terms));
    let mut runs = futures::stream::iter(runs).buffered(TOGETHER);
    let mut booted = Vec::new();
    while let Some(one) = runs.next().await {
        let one = one?;
        if context.format == Format::Text {
            output::text(&boot::render(&one));
        }
        booted.push(one);
    }
    let fails = some_ignored || booted.is_empty() || booted.iter().any(Booted::fails);
    let outcome = Outcome {
        image,
        booted,
        not_run,
    };
    match context.format {
        Format::Json => output::json(&outcome),
        Format::Text => {
            for reason in &outcome.not_run {
                output::text(&format!("not run: {reason}"));
            }
            output::text(&format!(
                "{} run in `{}`, without network: what is downloaded and every secret is a stand-in",
                outcome.booted.len(),
                outcome.image
            ));
        }
    }
    Ok(if fails {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// The machines whose user data is wholly known; for the others, why they are left out.
fn subjects(cluster: &AwsCluster) -> (Vec<Subject>, Vec<String>) {
    let region = cluster
        .region
        .known()
        .cloned()
        .unwrap_or_else(|| "us-east-1".to_owned());
    let mut subjects = Vec::new();
    let mut left_out = Vec::new();
    for machine in &cluster.machines {
        match user_data(machine) {
            Ok(user_data) => subjects.push(Subject {
                name: machine.name.known().unwrap_or(&machine.address).clone(),
                user_data,
                arch: machine.arch.unwrap_or(Arch::Amd64).to_string(),
                region: region.clone(),
            }),
            Err(why) => left_out.push(format!("`{}`: {why}", machine.address)),
        }
    }
    (subjects, left_out)
}

fn user_data(machine: &Machine) -> Result<String, String> {
    let data = &machine.user_data;
    if let Some(cause) = data.unknown.first() {
        return Err(format!(
            "its user data holds `{}`, {} ({}); give it by `--assume ADDRESS=VALUE`",
            cause.what, cause.why, data.site
        ));
    }
    data.text
        .clone()
        .ok_or_else(|| format!("no text of user data is known ({})", data.site))
}
