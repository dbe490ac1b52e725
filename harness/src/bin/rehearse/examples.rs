//! An example for the help of every command, in one place so that none is without. Those of
//! `rehearse job` stand with it.

/// What `rehearse --help` ends with.
const FIRST: &str = "Example:
  rehearse up
  rehearse run leader-failover --on default
  rehearse down";

/// Command, as it is typed after `rehearse`, and an example.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("up", "rehearse up demo --servers 3 --clients 5"),
    ("tour", "rehearse tour --yes"),
    ("run", "rehearse run 'leader-*' --seed 42 --repeat 3"),
    ("soak", "rehearse soak --for 30m --seed 7"),
    (
        "compare",
        "rehearse compare target/simulated target/nomad --tolerance 'leaderless_ms=1.5'",
    ),
    ("report", "rehearse report open target/rehearsals"),
    ("report open", "rehearse report open target/rehearsals"),
    ("report serve", "rehearse report serve target/rehearsals"),
    ("scenario", "rehearse scenario show leader-failover"),
    (
        "scenario check",
        "rehearse scenario check mine.scenario.hcl",
    ),
    ("scenario list", "rehearse scenario list"),
    ("scenario show", "rehearse scenario show leader-failover"),
    ("scenario new", "rehearse scenario new mine"),
    ("scenario fmt", "rehearse scenario fmt --check scenarios"),
    ("job", "rehearse job run jobs/whoami.nomad.hcl"),
    (
        "conformance",
        "rehearse conformance --filter deployment --on demo",
    ),
    ("top", "rehearse top demo --once"),
    ("status", "rehearse status demo"),
    ("env", "rehearse env demo client-1 --shell fish"),
    ("logs", "rehearse logs demo server-1 -f"),
    (
        "exec",
        "rehearse exec demo client-1 -- /usr/local/bin/rehearse-agent df -kP /",
    ),
    ("stop", "rehearse stop demo client-2"),
    ("start", "rehearse start demo client-2"),
    ("down", "rehearse down demo"),
    ("ls", "rehearse ls --format json"),
    ("sweep", "rehearse sweep --images"),
    ("doctor", "rehearse doctor"),
    ("plan", "rehearse plan terraform/ --var-file my.tfvars"),
    ("lint", "rehearse lint terraform/ --fail-on warning"),
    (
        "lever",
        "rehearse lever stop server-2 --target aws --attach cluster.json --yes",
    ),
    (
        "heal",
        "rehearse heal --target aws --attach cluster.json --yes",
    ),
    ("config", "rehearse config show --all"),
    ("config show", "rehearse config show --all"),
    ("matrix", "rehearse matrix --when nightly"),
    ("pki", "rehearse pki create --dir pki"),
    ("pki create", "rehearse pki create --dir pki"),
    ("pki show", "rehearse pki show --dir pki"),
    ("pki rotate", "rehearse pki rotate --dir pki"),
    ("pki verify", "rehearse pki verify --dir pki"),
    ("completions", "rehearse completions bash"),
    ("man", "rehearse man /usr/local/share/man/man1"),
];

/// Puts the examples at the end of the commands' help.
pub fn with_examples(command: clap::Command) -> clap::Command {
    EXAMPLES
        .iter()
        .fold(command.after_help(FIRST), |command, (name, example)| {
            at(command, name, &|sub| {
                sub.after_help(format!("Example:\n  {example}"))
            })
        })
}

/// Changes a command that may be a command's command.
fn at(
    command: clap::Command,
    path: &str,
    change: &dyn Fn(clap::Command) -> clap::Command,
) -> clap::Command {
    match path.split_once(' ') {
        Some((name, rest)) => command.mut_subcommand(name, |sub| at(sub, rest, change)),
        None => command.mut_subcommand(path, change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn every_command_has_an_example_that_is_taken() {
        let cli = with_examples(Cli::command());
        let mut commands = vec![&cli];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands());
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("`{name}` has no example"));
            let examples: Vec<_> = help.lines().map(str::trim).collect();
            let mut examples = examples
                .into_iter()
                .filter(|line| line.starts_with("rehearse "));
            let example = examples
                .next()
                .unwrap_or_else(|| panic!("`{name}`: {help}"));
            for example in std::iter::once(example).chain(examples) {
                let words = example.split(' ').map(|word| word.trim_matches('\''));
                let words = words.map(|word| crate::as_clap_has_it(word.into()));
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
            }
        }
    }

    #[test]
    fn the_help_of_a_command_ends_with_its_example() {
        let mut command = with_examples(Cli::command());
        let sub = command.find_subcommand_mut("up").unwrap();
        let help = sub.render_long_help().to_string();
        assert!(help.trim_end().ends_with(EXAMPLES[0].1), "{help}");
    }
}
