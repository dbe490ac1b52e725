//! `rehearse`: a secured Nomad cluster on local Docker, and scenarios on it. The only place that
//! prints, reads the command line, and ends the process.

mod cluster_args;
mod completions;
mod conformance;
mod doctor;
mod down;
mod env;
mod exec;
mod failure;
mod lint;
mod logs;
mod ls;
mod matrix;
mod output;
mod pki;
mod plan;
mod run;
mod scenario;
mod start;
mod status;
mod stop;
mod sweep;
mod up;
mod view;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use nomad_harness::docker::{self, Docker};
use nomad_harness::environment::Environment;
use nomad_harness::target::docker::{DockerCluster, StateRoot};

use failure::Failure;
use output::Format;

/// Rehearse a secured HashiCorp Nomad cluster on local Docker before it meets AWS.
///
/// `rehearse up` stands up 3 servers and 3 clients with mutual TLS, a gossip key and ACLs;
/// `rehearse run` runs scenarios on a cluster and measures what happens; `rehearse down` removes
/// every trace.
///
/// Exit codes: 0 passed; 1 our bug; 2 bad command line or input; 10 the environment (Docker,
/// disk); 20 the cluster did not come up; 30 failed; 31 inconclusive; 40 drift; 130 interrupted.
#[derive(Parser)]
#[command(name = "rehearse", version, arg_required_else_help = true)]
struct Cli {
    /// How data is printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Args),
    Run(run::Args),
    Scenario(scenario::Args),
    Conformance(conformance::Args),
    Status(status::Args),
    Env(env::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Stop(stop::Args),
    Start(start::Args),
    Down(down::Args),
    Ls(ls::Args),
    Sweep(sweep::Args),
    Doctor(doctor::Args),
    Plan(plan::Args),
    Lint(lint::Args),
    Matrix(matrix::Args),
    Pki(pki::Args),
    Completions(completions::Args),
}

/// What every command works with.
struct Context {
    environment: Environment,
    format: Format,
}

impl Context {
    async fn docker(&self) -> Result<Arc<Docker>, Failure> {
        Ok(Arc::new(docker::connect(&self.environment).await?))
    }

    fn root(&self) -> StateRoot {
        StateRoot::new(&self.environment.state_root)
    }

    /// Opens a cluster that came up earlier.
    async fn open(&self, name: &str) -> Result<DockerCluster, Failure> {
        // The folder first: a wrong name is told without asking Docker.
        self.root().cluster(name).read()?;
        let docker = self.docker().await?;
        Ok(DockerCluster::open(name, &self.root(), docker).await?)
    }
}

fn main() -> ExitCode {
    // Inside containers this program is the agent, its workload and its tools.
    let args = agent::tools::arguments();
    if let Some(first) = args.first()
        && agent::SUBCOMMANDS.contains(&first.as_str())
    {
        return agent::main(&args);
    }
    let cli = Cli::parse_from(std::env::args_os().map(as_clap_has_it));
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::environment(error).report(),
    };
    let context = Context {
        environment: Environment::of_process(),
        format: cli.format,
    };
    let outcome = runtime.block_on(dispatch(cli.command, &context));
    // A log that is followed may have a read under way that never ends.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Terraform and Nomad write `-var NAME=VALUE`, with one dash; clap knows two only.
fn as_clap_has_it(arg: OsString) -> OsString {
    match arg.to_str() {
        Some("-var") => "--var".into(),
        Some(text) if text.starts_with("-var=") => format!("-{text}").into(),
        _ => arg,
    }
}

async fn dispatch(command: Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(args) => up::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Scenario(args) => scenario::run(args, context),
        Command::Conformance(args) => conformance::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Env(args) => env::run(args, context).await,
        Command::Logs(args) => logs::run(args, context).await,
        Command::Exec(args) => exec::run(args, context).await,
        Command::Stop(args) => stop::run(args, context).await,
        Command::Start(args) => start::run(args, context).await,
        Command::Down(args) => down::run(args, context).await,
        Command::Ls(args) => ls::run(args, context).await,
        Command::Sweep(args) => sweep::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Plan(args) => plan::run(&args, context),
        Command::Lint(args) => lint::run(&args, context),
        Command::Matrix(args) => matrix::run(&args, context),
        Command::Pki(args) => pki::run(&args, context),
        Command::Completions(args) => completions::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_given_with_one_dash_or_two() {
        for form in [
            &["-var", "writes=1"][..],
            &["-var=writes=1"],
            &["--var", "writes=1"],
        ] {
            let args = ["rehearse", "scenario", "check"].iter().chain(form);
            let args = args.map(|arg| as_clap_has_it(OsString::from(arg)));
            assert!(Cli::try_parse_from(args).is_ok(), "{form:?}");
        }
    }
}
