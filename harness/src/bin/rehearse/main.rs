//! `rehearse`: a secured Nomad cluster on local Docker, and scenarios on it. The only place that
//! prints, reads the command line, and ends the process.

mod cluster_args;
mod compare;
mod completions;
mod config;
mod conformance;
mod doctor;
#[cfg(test)]
mod documented;
mod down;
mod drift;
mod env;
mod examples;
mod exec;
mod failure;
mod first_boot;
mod heal;
mod job;
mod lever;
mod lint;
mod live;
mod logs;
mod ls;
mod man;
mod matrix;
mod output;
mod pki;
mod plan;
mod rehearsal;
mod report;
mod run;
mod scenario;
mod settings;
mod soak;
mod start;
mod status;
mod stop;
mod sweep;
mod top;
mod tour;
mod up;
mod view;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{FromArgMatches as _, Parser, Subcommand};
use nomad_harness::docker::{self, Docker};
use nomad_harness::environment::Environment;
use nomad_harness::target::docker::{DockerCluster, StateRoot};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    Tour(tour::Args),
    Up(up::Args),
    Run(run::Args),
    Soak(soak::Args),
    Compare(compare::Args),
    Report(report::Args),
    Scenario(scenario::Args),
    Job(job::Args),
    Conformance(conformance::Args),
    Status(status::Args),
    Top(top::Args),
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
    Lever(lever::Args),
    Heal(heal::Args),
    Matrix(matrix::Args),
    Config(config::Args),
    Pki(pki::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// What every command works with.
struct Context {
    environment: Environment,
    format: Format,
    settings: settings::Settings,
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

/// Has the libraries' own messages written, where `RUST_LOG` says which, as `debug` or `hyper=info`.
fn tell_what_the_libraries_do() {
    let asked = std::env::var("RUST_LOG").ok();
    if let Some(Ok(targets)) = asked.map(|text| text.parse::<Targets>()) {
        let written = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        tracing_subscriber::registry()
            .with(written)
            .with(targets)
            .init();
    }
}

fn main() -> ExitCode {
    // Inside containers this program is the agent, its workload and its tools.
    let args = agent::tools::arguments();
    if let Some(first) = args.first()
        && agent::is_part(first)
    {
        return agent::main(&args);
    }
    let folder = std::env::current_dir().unwrap_or_default();
    let (command, settings) = settings::command_line(&folder);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for told in settings::misspelt(&command, names) {
        eprintln!("warning: {told}");
    }
    let matches = command.get_matches_from(std::env::args_os().map(as_clap_has_it));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return Failure::input(error).report(),
    };
    tell_what_the_libraries_do();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::environment(error).report(),
    };
    let context = Context {
        environment: Environment {
            is_program: true,
            ..Environment::of_process()
        },
        format: cli.format,
        settings,
    };
    let outcome = runtime.block_on(dispatch(cli.command, &context));
    // A log that is followed may have a read under way that never ends.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => match output::unprinted() {
            Some(error) => {
                Failure::environment(format!("cannot write to standard output: {error}")).report()
            }
            None => code,
        },
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
        Command::Tour(args) => tour::run(args, context).await,
        Command::Up(args) => up::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Soak(args) => soak::run(args, context).await,
        Command::Compare(args) => compare::run(&args, context).await,
        Command::Report(args) => report::run(args).await,
        Command::Scenario(args) => scenario::run(args, context),
        Command::Job(args) => job::run(args, context).await,
        Command::Conformance(args) => conformance::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Top(args) => top::run(args, context).await,
        Command::Env(args) => env::run(args, context).await,
        Command::Logs(args) => logs::run(args, context).await,
        Command::Exec(args) => exec::run(args, context).await,
        Command::Stop(args) => stop::run(args, context).await,
        Command::Start(args) => start::run(args, context).await,
        Command::Down(args) => down::run(args, context).await,
        Command::Ls(args) => ls::run(args, context).await,
        Command::Sweep(args) => sweep::run(args, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Plan(args) => plan::run(&args, context).await,
        Command::Lint(args) => lint::run(&args, context),
        Command::Lever(args) => lever::run(args, context).await,
        Command::Heal(args) => heal::run(args, context).await,
        Command::Matrix(args) => matrix::run(&args, context),
        Command::Config(args) => config::run(&args, context),
        Command::Pki(args) => pki::run(&args, context),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
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
