//! User data executed: `rehearse plan --run`, and `rehearse up --from` for what the agents are given.

use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt as _;
use nomad_harness::boot::{self, BootError, Booted, Subject, Terms};
use nomad_harness::causes;
use nomad_harness::docker::{DockerEngine, labels, remove_labelled};
use nomad_harness::engine;
use nomad_harness::spec::Arch;
use nomad_harness::terraform::aws::{AwsCluster, Machine};
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::up;
use super::view::View;

/// User data failed.
const FAILED: u8 = 30;
/// How long a first boot may take that is run for its agent's configuration alone.
const LIMIT: Duration = Duration::from_secs(20);
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
    let (subjects, mut not_run) = subjects(cluster);
    let (mut to_run, mut ignored) = (Vec::new(), Vec::new());
    for (_, subject) in &subjects {
        match boot::nothing_to_run(&subject.user_data) {
            Some(why) => ignored.push(format!(
                "`{}`: its user data has nothing to run: {why}",
                subject.label
            )),
            None => to_run.push(subject),
        }
    }
    let some_ignored = !ignored.is_empty();
    not_run.extend(ignored);
    let docker = context.docker().await?;
    let view = View::new();
    let again = true;
    let terms = terms(base_image, limit, again, docker.as_ref(), context, &view).await?;
    drop(view);
    let show = |booted: &Booted| {
        if context.format == Format::Text {
            output::text(&boot::render(booted));
        }
    };
    let runs = boot_all(docker.as_ref(), &to_run, &terms, show);
    let booted = unless_interrupted(docker.as_ref(), &terms.run, runs).await??;
    let fails = some_ignored || booted.is_empty() || booted.iter().any(Booted::fails);
    let outcome = Outcome {
        image: terms.image.clone(),
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

/// Runs the user data of several machines, some of them at a time; each is shown as soon as it is its turn.
async fn boot_all(
    docker: &dyn DockerEngine,
    subjects: &[&Subject],
    terms: &Terms,
    show: impl Fn(&Booted),
) -> Result<Vec<Booted>, BootError> {
    let runs = subjects
        .iter()
        .map(|subject| boot::boot(docker, subject, terms));
    let mut runs = futures::stream::iter(runs).buffered(TOGETHER);
    let mut booted = Vec::new();
    while let Some(one) = runs.next().await {
        let one = one?;
        show(&one);
        booted.push(one);
    }
    Ok(booted)
}

/// Does what makes containers of a run; who interrupts it leaves none.
async fn unless_interrupted<T>(
    docker: &dyn DockerEngine,
    run: &str,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => Ok(done),
        () = up::interrupted() => {
            remove_labelled(docker, labels::RUN, run).await?;
            Err(Failure::interrupted())
        }
    }
}

/// How user data is to be run here.
async fn terms(
    base_image: Option<&str>,
    limit: Duration,
    again: bool,
    docker: &dyn DockerEngine,
    context: &Context,
    view: &View,
) -> Result<Terms, Failure> {
    let arch = Arch::host()
        .ok_or_else(|| Failure::environment("this machine's architecture is not supported"))?;
    let environment = &context.environment;
    let image = engine::workbench(base_image, arch, environment, docker, view.progress()).await?;
    Ok(Terms {
        image,
        platform: arch.platform(),
        limit,
        run: format!("boot-{}", std::process::id()),
        again,
    })
}

/// How the agents' configuration was found.
pub struct Reading {
    /// Machines whose user data was executed.
    executed: usize,
    /// Those whose was not, and why.
    pub not_executed: Vec<String>,
}

impl Reading {
    /// Says it, a line each.
    pub fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.executed > 0 {
            let agents = match self.not_executed.as_slice() {
                [] => "every agent",
                _ => "any other agent",
            };
            lines.push(format!(
                "the configuration of {agents} is what its machine's first boot leaves, which was executed here \
                 without network"
            ));
        }
        lines.extend(self.not_executed);
        lines
    }
}

/// Gives every machine the agent's configuration that its first boot leaves, and returns how it went. Where a
/// first boot cannot be run, or fails, what was read off the user data stays. Fails where it is interrupted.
pub async fn take(
    cluster: &mut AwsCluster,
    base_image: Option<&str>,
    docker: &dyn DockerEngine,
    context: &Context,
    view: &View,
) -> Result<Reading, Failure> {
    let terms = match terms(base_image, LIMIT, false, docker, context, view).await {
        Ok(terms) => terms,
        Err(failure) => {
            let why = failure.in_a_line();
            let why = format!("their configuration is read off the user data, not executed: {why}");
            return Ok(Reading {
                executed: 0,
                not_executed: vec![why],
            });
        }
    };
    let (subjects, left_out) = subjects(cluster);
    let runs = subjects
        .iter()
        .map(|(at, subject)| async { (*at, left(docker, subject, &terms).await) });
    let all = futures::stream::iter(runs).buffered(TOGETHER).collect();
    let outcomes: Vec<_> = unless_interrupted(docker, &terms.run, all).await?;
    let mut reading = Reading {
        executed: 0,
        not_executed: left_out,
    };
    for (at, outcome) in outcomes {
        let machine = &mut cluster.machines[at];
        match outcome {
            Ok(files) => {
                machine.booted(&files);
                reading.executed += 1;
            }
            Err(why) => reading.not_executed.push(format!(
                "`{}`: its configuration is read off the user data: {why}",
                machine.address
            )),
        }
    }
    Ok(reading)
}

/// The agent's files that a first boot leaves.
async fn left(
    docker: &dyn DockerEngine,
    subject: &Subject,
    terms: &Terms,
) -> Result<Vec<(String, String)>, String> {
    if let Some(why) = boot::nothing_to_run(&subject.user_data) {
        return Err(format!("nothing of it can be run: {why}"));
    }
    let booted = boot::boot(docker, subject, terms)
        .await
        .map_err(|error| causes::with_causes(&error))?;
    if !booted.is_well() {
        return Err(format!("executed here, it {}", boot::ended(&booted.first)));
    }
    let files = boot::agent_files(&booted);
    if files.is_empty() {
        return Err("executed here, it leaves no configuration where the agent looks".to_owned());
    }
    Ok(files)
}

/// The machines whose user data is wholly known, by their number; for the others, why they are left out.
fn subjects(cluster: &AwsCluster) -> (Vec<(usize, Subject)>, Vec<String>) {
    let region = cluster
        .region
        .known()
        .cloned()
        .unwrap_or_else(|| "us-east-1".to_owned());
    let mut subjects = Vec::new();
    let mut left_out = Vec::new();
    let name = |machine: &Machine| machine.name.known().unwrap_or(&machine.address).clone();
    let label = |machine: &Machine| {
        let own = name(machine);
        let others = cluster.machines.iter().filter(|one| name(one) == own);
        match others.count() {
            1 => own,
            _ => format!("{own} ({})", machine.address),
        }
    };
    for (at, machine) in cluster.machines.iter().enumerate() {
        match user_data(machine) {
            Ok(user_data) => subjects.push((
                at,
                Subject {
                    name: name(machine),
                    label: label(machine),
                    user_data,
                    secrets: cluster.secrets.clone(),
                    arch: machine.arch.unwrap_or(Arch::Amd64).to_string(),
                    region: region.clone(),
                    zone: machine.zone(&region),
                },
            )),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nomad_harness::terraform::{Inputs, read};

    use super::*;

    #[test]
    fn machines_of_one_name_are_told_apart_by_their_addresses() {
        let scratch = tempfile::tempdir().unwrap();
        let text = r##"
resource "aws_instance" "server" {
  count     = 2
  user_data = "#!/bin/sh\n"
  tags      = { Name = "server" }
}
resource "aws_instance" "client" {
  user_data = "#!/bin/sh\n"
  tags      = { Name = "client" }
}
"##;
        std::fs::write(scratch.path().join("main.tf"), text).unwrap();
        let configuration = read(scratch.path(), &Inputs::default()).unwrap();
        let (subjects, _) = subjects(&AwsCluster::of(&configuration, Path::new(".")));
        let labels: Vec<&str> = { subjects.iter() }
            .map(|(_, subject)| subject.label.as_str())
            .collect();
        assert_eq!(
            labels,
            [
                "server (aws_instance.server[0])",
                "server (aws_instance.server[1])",
                "client"
            ]
        );
    }
}
