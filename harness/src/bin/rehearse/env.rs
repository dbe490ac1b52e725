//! `rehearse env`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::ValueEnum;
use nomad_harness::spec::Role;
use nomad_harness::target::docker::DockerCluster;
use nomad_harness::target::{AgentInfo, AgentState, Target as _};

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::words;

/// Print the environment that makes `nomad`, `curl` and Terraform talk to the cluster.
///
/// sh, bash and zsh take it as `eval "$(rehearse env)"`, fish as `rehearse env --shell fish | source`, PowerShell
/// as `rehearse env --shell powershell | Invoke-Expression`.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster, and the agent to talk to (a running server unless it is said).
    #[arg(value_name = words::CLUSTER_AND_AGENTS)]
    words: Vec<String>,
    /// The shell that reads it.
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,
}

/// A shell's way to set a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// sh, bash and zsh.
    #[value(aliases = ["bash", "zsh"])]
    Sh,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
}

/// Prints the variables.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let named = words::sort(&args.words)?;
    let cluster = context.open(&named.cluster).await?;
    let agent = match named.agents.as_slice() {
        [] => running_server(&cluster).await,
        [one] => {
            let names = cluster.named(std::slice::from_ref(one))?;
            let agent = cluster.agents().iter().find(|agent| agent.name == names[0]);
            agent.expect("the name is of the list").clone()
        }
        _ => return Err(Failure::input("only one agent can be talked to")),
    };
    let variables = variables(&cluster, &agent);
    match context.format {
        Format::Json => output::json(&variables),
        Format::Text => {
            let lines = variables
                .iter()
                .map(|(key, value)| args.shell.line(key, value));
            output::text(&lines.collect::<Vec<_>>().join("\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the first server that runs; the first of all when none does.
pub async fn running_server(cluster: &DockerCluster) -> AgentInfo {
    for agent in cluster.agents().iter().filter(|a| a.role == Role::Server) {
        if matches!(cluster.state(&agent.name).await, Ok(AgentState::Running)) {
            return agent.clone();
        }
    }
    cluster.agents()[0].clone()
}

/// Returns the variables that Nomad's command line and its API clients read.
pub fn variables(cluster: &DockerCluster, agent: &AgentInfo) -> BTreeMap<&'static str, String> {
    let spec = &cluster.record().spec;
    let files = cluster.folder().cli_files(&spec.region);
    let region = agent.region.as_ref().unwrap_or(&spec.region);
    let api = cluster.api(&agent.name);
    let token = api.token().map(|token| token.secret().to_owned());
    BTreeMap::from([
        ("NOMAD_ADDR", agent.api_addr.clone()),
        ("NOMAD_REGION", region.clone()),
        ("NOMAD_TOKEN", token.unwrap_or_default()),
        ("NOMAD_CACERT", files.ca.display().to_string()),
        ("NOMAD_CLIENT_CERT", files.certificate.display().to_string()),
        ("NOMAD_CLIENT_KEY", files.key.display().to_string()),
    ])
}

impl Shell {
    fn line(self, key: &str, value: &str) -> String {
        match self {
            Self::Sh => format!("export {key}='{}'", value.replace('\'', r"'\''")),
            Self::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("set -gx {key} '{value}';")
            }
            Self::Powershell => format!("$env:{key} = '{}'", value.replace('\'', "''")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_that_reads_it_can_be_named() {
        for name in ["sh", "bash", "zsh"] {
            let shell = Shell::from_str(name, false).expect(name);
            assert_eq!(shell.line("K", "v"), "export K='v'", "{name}");
        }
    }

    #[test]
    fn a_quote_in_a_path_stays_a_quote() {
        let path = r"/home/o'neil/a\b";
        assert_eq!(Shell::Sh.line("K", path), r"export K='/home/o'\''neil/a\b'");
        assert_eq!(
            Shell::Fish.line("K", path),
            r"set -gx K '/home/o\'neil/a\\b';"
        );
        assert_eq!(
            Shell::Powershell.line("K", path),
            r"$env:K = '/home/o''neil/a\b'"
        );
    }
}
