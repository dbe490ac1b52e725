//! `rehearse compare NAME --with DIR`: a cluster here and a configuration for AWS, key by key.

use std::path::Path;
use std::process::ExitCode;

use nomad_harness::parity::config::{self, Agent, Configurations, Difference, Said, Setting};
use nomad_harness::parity::drifts;
use nomad_harness::runner;
use nomad_harness::target::docker::DockerCluster;
use nomad_harness::terraform::Configuration;
use nomad_harness::terraform::aws::{AgentFiles, AwsCluster};
use nomad_harness::{lint, spec};

use super::Context;
use super::failure::Failure;
use super::first_boot;
use super::output::{self, Format};
use super::plan::ValueArgs;
use super::view::View;

/// The two differ.
const DRIFT: u8 = 40;

/// What no comparison of files can tell.
fn unseen(cluster: &DockerCluster) -> Vec<String> {
    let spec = &cluster.record().spec;
    let closed = spec
        .adoption
        .as_ref()
        .is_some_and(|one| !one.filters.is_empty());
    let groups = match closed {
        true => {
            "security groups: what they closed between agents when the cluster was made is closed here; whether \
             they are the same still is not looked at"
        }
        false => {
            "security groups: here every agent reaches every other on every port (rehearse lint DIR judges them)"
        }
    };
    let mut unseen = vec![
        groups.to_owned(),
        "subnets, tags, disks, the metadata service, instance roles, images: AWS alone has them"
            .to_owned(),
    ];
    if !cluster.engine_info().time_scale.is_one() {
        unseen.push(
            "what the timers predict: here they run faster than the configuration says (--time-scale)".to_owned(),
        );
    }
    unseen
}

/// Compares, and says what differs.
pub async fn run(
    name: &str,
    dir: &Path,
    values: &ValueArgs,
    html: Option<&Path>,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let (configuration, mut aws) = values.read(dir, true)?;
    let left_out = aws.take_out_others();
    let cluster = context.open(name).await?;
    let reading = executed(&cluster, &mut aws, context).await?;
    let here = agents_here(&cluster).await?;
    let (there, not_shown) = agents_there(&aws);
    let mut outcome = config::compare(&here, &there, &|agent, key| declared(&cluster, agent, key));
    outcome.not_compared.extend(not_shown);
    outcome.not_compared.extend(left_out);
    outcome.not_compared.extend(reading);
    outcome.not_compared.extend(unseen(&cluster));
    add_version(&cluster, &configuration, &aws, &mut outcome);
    add_architecture(&cluster, &aws, &mut outcome);
    let label = cluster.engine_info().label();
    let sides = format!("here: {label}; there: {}", dir.display());
    match context.format {
        Format::Json => output::json(&outcome),
        Format::Text => {
            output::text(&sides);
            output::text(drifts::to_text(&outcome).trim_end());
        }
    }
    if let Some(path) = html {
        let page = drifts::to_html(&outcome, &sides);
        runner::write_whole(path, &page).map_err(Failure::environment)?;
    }
    output::add_to_build_summary(&drifts::to_markdown(&outcome, &sides));
    Ok(match outcome.drifts().next() {
        Some(_) => ExitCode::from(DRIFT),
        None => ExitCode::SUCCESS,
    })
}

/// Reads the other side as it was read when the cluster was made of it: by executing it. Returns what was not.
async fn executed(
    cluster: &DockerCluster,
    aws: &mut AwsCluster,
    context: &Context,
) -> Result<Vec<String>, Failure> {
    if cluster.record().spec.adoption.is_none() {
        return Ok(Vec::new());
    }
    let docker = context.docker().await?;
    let view = View::new();
    let reading = first_boot::take(aws, None, docker.as_ref(), context, &view).await?;
    Ok(reading.not_executed)
}

fn settings(files: &AgentFiles) -> Vec<Setting> {
    let settings = files.settings().into_iter();
    settings
        .map(|setting| Setting {
            value: setting.value.to_json(),
            place: Some(setting.site.to_string()),
            key: setting.key,
        })
        .collect()
}

async fn agents_here(cluster: &DockerCluster) -> Result<Vec<Agent>, Failure> {
    let mut agents = Vec::new();
    for record in &cluster.record().agents {
        let text = cluster.configuration(&record.plan.name).await?;
        let path = format!("{}:/etc/nomad.d/nomad.hcl", record.plan.name);
        let files = AgentFiles::of(&[(path, text)]);
        // What cannot be read must not look like an agent that says nothing.
        if let Some(file) = files.unreadable.first() {
            return Err(Failure::environment(format!(
                "`{}` does not parse: {}",
                file.path, file.reason
            )));
        }
        agents.push(Agent {
            name: record.plan.name.to_string(),
            role: record.plan.role,
            settings: settings(&files),
        });
    }
    Ok(agents)
}

fn agents_there(aws: &AwsCluster) -> (Vec<Agent>, Vec<String>) {
    let mut agents = Vec::new();
    let mut unseen = Vec::new();
    for machine in &aws.machines {
        match machine.role.filter(|_| !machine.agent.is_empty()) {
            Some(role) => agents.push(Agent {
                name: machine.name.known().unwrap_or(&machine.address).clone(),
                role,
                settings: settings(&machine.agent),
            }),
            None => unseen.push(format!(
                "`{}` ({}): its user data shows no agent's configuration",
                machine.address, machine.site
            )),
        }
    }
    (agents, unseen)
}

/// What the cluster declared when it was made of another configuration.
fn declared(cluster: &DockerCluster, agent: &Agent, key: &str) -> Option<String> {
    let adoption = cluster.record().spec.adoption.as_ref()?;
    let adopted = adoption
        .agents
        .iter()
        .find(|one| one.name.as_str() == agent.name)?;
    let change = adopted
        .substitutions
        .iter()
        .find(|change| change.key == key)?;
    Some(change.why.clone())
}

fn add_version(
    cluster: &DockerCluster,
    configuration: &Configuration,
    aws: &AwsCluster,
    outcome: &mut Configurations,
) {
    let here = cluster.record().version.to_string();
    let Some((version, site)) = lint::nomad_version(configuration, aws) else {
        outcome
            .not_compared
            .push("Nomad's version: the configuration does not tell it".to_owned());
        return;
    };
    if version.to_string() == here {
        outcome.alike += 1;
        return;
    }
    outcome.differences.push(Difference {
        key: "Nomad's version".to_owned(),
        agents: Vec::new(),
        here: Said {
            value: Some(here),
            place: None,
        },
        there: Said {
            value: Some(version.to_string()),
            place: Some(site.to_string()),
        },
        declared: None,
    });
}

fn add_architecture(cluster: &DockerCluster, aws: &AwsCluster, outcome: &mut Configurations) {
    let here = cluster.record().spec.arch;
    let Some(there) = aws.arch().filter(|there| *there != here) else {
        return;
    };
    // AWS has no s390x: what is compared is what agents do, not what they run on.
    let why = if here == spec::Arch::S390x {
        "AWS has no s390x: semantics alone are compared"
    } else {
        "instance types decide there, this machine decides here"
    };
    outcome.differences.push(Difference {
        key: "architecture".to_owned(),
        agents: Vec::new(),
        here: Said {
            value: Some(here.to_string()),
            place: None,
        },
        there: Said {
            value: Some(there.to_string()),
            place: None,
        },
        declared: Some(why.to_owned()),
    });
}
