//! `rehearse up`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use nomad_harness::lint;
use nomad_harness::spec::{Adoption, CloudJoin, ClusterSpec, Role, Substitution};
use nomad_harness::target::docker::{DockerCluster, Options, bring_up};
use nomad_harness::target::{AgentInfo, EngineInfo, Target as _};
use nomad_harness::terraform::Configuration;
use nomad_harness::terraform::aws::{AwsCluster, adopt};
use serde::Serialize;

use super::cluster_args::ClusterArgs;
use super::failure::Failure;
use super::first_boot;
use super::output::{self, Format};
use super::plan::ValueArgs;
use super::view::View;
use super::words;
use super::{Context, env};

/// Bring up a secured cluster, and wait until it is ready.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster's name.
    #[arg(default_value = words::default_cluster())]
    name: String,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Stand up the agents of a Terraform configuration for AWS: same names, same configuration but
    /// for what cannot be the same here, which is printed key by key.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["servers", "clients", "server_arch", "client_arch", "agent_arch", "region", "datacenter"])]
    from: Option<PathBuf>,
    /// Image that stands for the machines' own when their user data is executed; without it, one is made of
    /// this machine's shell and usual programs.
    #[arg(long, requires = "from", value_name = "REFERENCE")]
    boot_image: Option<String>,
    /// Leave the ports open between the agents that the configuration's security groups close.
    #[arg(long, requires = "from")]
    open_ports: bool,
    /// Put the servers' addresses in the place of `provider=aws ...`, instead of answering for AWS.
    #[arg(long, requires = "from")]
    static_join: bool,
    #[command(flatten)]
    values: ValueArgs,
    /// Leave what was made when the cluster does not come up.
    #[arg(long)]
    keep: bool,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Up<'a> {
    name: &'a str,
    engine: &'a EngineInfo,
    ready_after_ms: u128,
    subnet: String,
    agents: &'a [AgentInfo],
    folder: String,
    env: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adoption: Option<&'a Adoption>,
}

/// Brings the cluster up.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let (mut spec, request) = args.cluster.read(&args.name)?;
    let mut connected = None;
    if let Some(from) = &args.from {
        let (configuration, mut aws) = args.values.read(from, false)?;
        let mut notes = aws.take_out_others();
        let docker = connected.insert(context.docker().await?);
        let view = View::new();
        let base = args.boot_image.as_deref();
        let reading = first_boot::take(&mut aws, base, docker.as_ref(), context, &view).await?;
        drop(view);
        notes.extend(reading.lines());
        take_over(&mut spec, &configuration, &aws, from, notes)?;
        if args.open_ports
            && let Some(adoption) = &mut spec.adoption
        {
            adoption.filters.clear();
        }
        if args.static_join
            && let Some(CloudJoin::Answered(_)) =
                spec.adoption.as_ref().and_then(|one| one.cloud.as_ref())
            && let Some(adoption) = &mut spec.adoption
        {
            let why = "so `--static-join` says".to_owned();
            adoption.cloud = Some(CloudJoin::Replaced(why));
        }
    }
    // What makes no sense is told before Docker is asked.
    spec.validate()
        .map_err(nomad_harness::target::docker::UpError::Spec)?;
    let docker = match connected {
        Some(docker) => docker,
        None => context.docker().await?,
    };
    let options = Options {
        timeout: args.cluster.timeout,
        keep: args.keep,
        ephemeral: false,
    };
    let view = View::new();
    let cluster = bring_up(
        &spec,
        &request,
        &options,
        &context.environment,
        docker,
        view.progress(),
        interrupted().boxed(),
    )
    .await?;
    drop(view);
    report(&cluster, start.elapsed(), context.format);
    Ok(ExitCode::SUCCESS)
}

/// Makes the spec that of another configuration's agents.
fn take_over(
    spec: &mut ClusterSpec,
    configuration: &Configuration,
    cluster: &AwsCluster,
    from: &Path,
    reading: Vec<String>,
) -> Result<(), Failure> {
    let mut agents = adopt(configuration, cluster, from).map_err(|error| {
        let told = reading.iter().map(|note| format!("\n  {note}"));
        let told: String = told.collect();
        Failure::input(format!("{error}{told}")).hint(format!("rehearse lint {}", from.display()))
    })?;
    agents.adoption.reading = reading;
    let version = lint::nomad_version(configuration, cluster);
    agents.adoption.version = version.map(|(version, site)| Substitution {
        key: "Nomad's version".to_owned(),
        why: format!("another one is at hand here (`--nomad-version {version}` asks for theirs)"),
        theirs: Some(version.to_string()),
        ours: None,
        place: Some(site.to_string()),
    });
    let number = |role: Role| {
        let of_role = agents.adoption.agents.iter().filter(|one| one.role == role);
        u16::try_from(of_role.count()).unwrap_or(u16::MAX)
    };
    (spec.servers, spec.clients) = (number(Role::Server), number(Role::Client));
    (spec.region, spec.datacenter) = (agents.region, agents.datacenter);
    spec.adoption = Some(agents.adoption);
    Ok(())
}

/// What is other here than there: one line a key and role, however many agents it is of.
fn declared(adoption: &Adoption) -> String {
    let mut lines: BTreeMap<(Role, &str), (usize, &Substitution)> = BTreeMap::new();
    for agent in &adoption.agents {
        for change in &agent.substitutions {
            let entry = lines
                .entry((agent.role, &change.key))
                .or_insert((0, change));
            entry.0 += 1;
        }
    }
    let mut text = format!(
        "agents as in {}, but for what is declared here",
        adoption.source
    );
    let here = if adoption.filters.is_empty() {
        text.push_str("; its security groups are not enforced: every agent reaches every other");
        "open here"
    } else {
        text.push_str(
            "; what its security groups close between agents is closed here, too, but for the ports of \
             replies (32768 to 60999), ICMP, and what comes from this machine",
        );
        "closed here"
    };
    for note in &adoption.reading {
        text.push_str(&format!("\n  {note}"));
    }
    for closed in &adoption.closed_there {
        text.push_str(&format!("\n  closed there, {here}: {closed}"));
    }
    if let Some(cloud) = &adoption.cloud {
        text.push_str(&format!("\n  {}", cloud.text()));
    }
    if let Some(CloudJoin::Answered(cloud)) = &adoption.cloud {
        text.push_str("; ids and account are made up, and so are zones that are not known");
        for unsure in &cloud.unsure {
            text.push_str(&format!("\n  not known, and taken for granted: {unsure}"));
        }
    }
    if let Some(version) = &adoption.version {
        text.push_str(&format!("\n  {}", in_a_line(version)));
    }
    for ((role, _), (count, change)) in lines {
        text.push_str(&format!("\n  {count} {role}s: {}", in_a_line(change)));
    }
    text
}

/// What is other here, and why.
fn in_a_line(change: &Substitution) -> String {
    let or_nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let place = change.place.as_ref();
    format!(
        "{}: {} there, {} here: {}{}",
        change.key,
        or_nothing(&change.theirs),
        or_nothing(&change.ours),
        change.why,
        place.map_or_else(String::new, |place| format!("  {place}"))
    )
}

fn report(cluster: &DockerCluster, after: Duration, format: Format) {
    let variables = env::variables(cluster, &cluster.agents()[0]);
    if format == Format::Json {
        output::json(&Up {
            name: cluster.name(),
            engine: cluster.engine(),
            ready_after_ms: after.as_millis(),
            subnet: cluster.record().subnet.to_string(),
            agents: cluster.agents(),
            folder: cluster.folder().path().display().to_string(),
            env: variables,
            adoption: cluster.record().spec.adoption.as_ref(),
        });
        return;
    }
    if let Some(adoption) = &cluster.record().spec.adoption {
        output::text(&declared(adoption));
    }
    let name = cluster.name();
    let argument = if name == words::default_cluster() {
        String::new()
    } else {
        format!(" {name}")
    };
    output::text(&format!(
        "cluster `{name}` is ready after {:.1} s: {}, {}, {}{}\n  \
         eval \"$(rehearse env{argument})\"    # then nomad, curl, Terraform work\n  \
         rehearse status{argument}\n  \
         rehearse down{argument}",
        after.as_secs_f64(),
        counted(cluster, Role::Server),
        counted(cluster, Role::Client),
        regions(cluster),
        cluster.engine().label(),
    ));
}

/// Says which regions there are, where there are several.
fn regions(cluster: &DockerCluster) -> String {
    match cluster.regions().as_slice() {
        [_] => String::new(),
        several => format!("regions {}, ", several.join(", ")),
    }
}

/// Says how many agents of a role there are, and on what: `3 servers on s390x (emulated)`.
fn counted(cluster: &DockerCluster, role: Role) -> String {
    let mut platforms: BTreeMap<String, usize> = BTreeMap::new();
    for agent in cluster.agents().iter().filter(|agent| agent.role == role) {
        *platforms.entry(agent.platform()).or_default() += 1;
    }
    let of = |(platform, count): (&String, &usize)| match count {
        1 => format!("1 {role} on {platform}"),
        _ => format!("{count} {role}s on {platform}"),
    };
    if platforms.is_empty() {
        return format!("no {role}s");
    }
    let texts: Vec<String> = platforms.iter().map(of).collect();
    texts.join(", ")
}

/// Ends when the user or the system asks the process to end.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let of = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => signals.recv().await,
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = of(SignalKind::interrupt()) => {}
        _ = of(SignalKind::terminate()) => {}
        _ = of(SignalKind::hangup()) => {}
    }
}
