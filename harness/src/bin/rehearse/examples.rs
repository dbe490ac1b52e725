//! An example for the help of every command, in one place so that none is without. Those of
//! `rehearse job` stand with it.

/// Command, and how it is typed.
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
    ("scenario", "rehearse scenario show leader-failover"),
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
    ("matrix", "rehearse matrix --when nightly"),
    ("pki", "rehearse pki create --dir pki"),
    ("completions", "rehearse completions bash"),
    ("man", "rehearse man /usr/local/share/man/man1"),
];

/// Puts the examples at the end of the commands' help.
pub fn with_examples(command: clap::Command) -> clap::Command {
    EXAMPLES.iter().fold(command, |command, (name, example)| {
        command.mut_subcommand(name, |sub| sub.after_help(format!("Example:\n  {example}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn every_command_has_an_example_that_is_taken() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let found = EXAMPLES.iter().find(|(known, _)| *known == name);
            let (_, example) = found.unwrap_or_else(|| panic!("`{name}` has no example"));
            let words = example.split(' ').map(|word| word.trim_matches('\''));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
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
