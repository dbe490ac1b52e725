//! `rehearse lever`.

use std::process::ExitCode;

use clap::ValueEnum;
use nomad_harness::spec::AgentName;
use nomad_harness::target::aws::{LeverError, Machines};

use super::Context;
use super::failure::Failure;
use super::live::{AttachArgs, Where};
use super::output::{self, Format};

/// Pull one lever of a live cluster by hand.
///
/// Without `--yes`, shows which machine it would be and whether it may be touched. What is done is in
/// the heal journal first, and `rehearse heal` undoes it.
#[derive(clap::Args)]
pub struct Args {
    /// What to do.
    #[arg(value_enum)]
    lever: Lever,
    /// The agent, as `server-2`.
    agent: String,
    /// Where the cluster runs.
    #[arg(long, value_enum)]
    target: Where,
    #[command(flatten)]
    attach: AttachArgs,
}

/// The levers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lever {
    /// Stop the machine (EC2).
    Stop,
    /// Start the machine, or the service where the machine runs.
    Start,
    /// Reboot the machine (EC2).
    Reboot,
    /// End the machine for good (EC2); only `terraform apply` makes another.
    Terminate,
    /// Kill the agent's process; it stays dead until `start` (Systems Manager).
    Kill,
    /// Freeze the agent's process (Systems Manager).
    Pause,
    /// Thaw it (Systems Manager).
    Resume,
    /// Drop packets between it and all other agents (Systems Manager).
    Isolate,
    /// Undo `isolate` (Systems Manager).
    Rejoin,
}

impl Lever {
    /// Whether it does harm that Systems Manager alone can do, and undo: it has to reach every machine
    /// then, as for scenarios. What heals is tried in any case.
    fn is_by_systems_manager(self) -> bool {
        matches!(self, Self::Kill | Self::Pause | Self::Isolate)
    }
}

/// Pulls it.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.target == Where::Docker {
        return Err(
            Failure::input("the levers of clusters on Docker are in scenarios")
                .hint("rehearse stop NAME server-2"),
        );
    }
    let attached = args.attach.look(context).await?;
    let agent = AgentName(args.agent);
    let Some(machine) = attached.attachment.agent(&agent) else {
        let known: Vec<&str> = attached
            .attachment
            .agents
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let known = known.join(", ");
        return Err(Failure::input(format!(
            "there is no agent `{agent}` (there are {known})"
        )));
    };
    let possible = args.lever.to_possible_value();
    let verb = possible
        .as_ref()
        .map_or("", |value| value.get_name())
        .to_owned();
    let absent = attached.discovery.without_ssm();
    let absent = absent.filter(|_| args.lever.is_by_systems_manager());
    if !args.attach.yes {
        let machine = format!("`{agent}` (`{}`)", machine.instance_id);
        let would = match &absent {
            None => format!("{verb} {machine}"),
            Some(_) => format!("refuse to {verb} {machine}: the lever is absent"),
        };
        attached.show(context.format, &[would]);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(why) = absent {
        return Err(Failure::input(format!("`{verb}` is absent: {why}"))
            .hint("aws ssm describe-instance-information    # whom Systems Manager reaches"));
    }
    let machines = attached.machines(context)?;
    let said = pull(args.lever, &machines, &agent).await?;
    let line = format!("{verb}: `{agent}` (`{}`){said}", machine.instance_id);
    match context.format {
        Format::Json => output::json(&serde_json::json!({ "done": line })),
        Format::Text => output::text(&line),
    }
    Ok(ExitCode::SUCCESS)
}

async fn pull(lever: Lever, machines: &Machines, agent: &AgentName) -> Result<String, LeverError> {
    match lever {
        Lever::Stop => machines.stop(agent).await?,
        Lever::Start => {
            let machine = machines.start(agent).await?;
            let ip = machine
                .public_ip
                .map_or("none".to_owned(), |ip| ip.to_string());
            return Ok(format!(", public address {ip}"));
        }
        Lever::Reboot => machines.reboot(agent).await?,
        Lever::Terminate => machines.terminate(agent).await?,
        Lever::Kill => machines.kill(agent).await?,
        Lever::Pause => machines.pause(agent).await?,
        Lever::Resume => machines.resume(agent).await?,
        Lever::Isolate => {
            let others = machines.attachment().agents.iter();
            let others = others.filter(|other| other.name != *agent);
            let peers: Vec<_> = others.map(|other| other.private_ip).collect();
            machines.isolate(agent, &peers).await?;
        }
        Lever::Rejoin => machines.rejoin(agent).await?,
    }
    Ok(String::new())
}
