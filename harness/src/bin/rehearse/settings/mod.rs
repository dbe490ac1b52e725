//! What is typed on every command line, said once: by the project's `rehearse.hcl`, or by the
//! environment. A flag wins over a variable, a variable over the file, the file over what is built in.
//!
//! Both go through the command line's own definition (`clap`): what an option takes, and how a wrong
//! value is refused, is said in one place.

mod file;

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory as _, Parser as _};
use nomad_harness::grammar::nearest;
pub use nomad_harness::settings::SettingsError;
use nomad_harness::settings::{self, CLUSTER, PREFIX, Setting, key, variable};

use super::cluster_args::ClusterArgs;
use super::words;
use super::{Cli, examples};

/// The file's name.
pub const FILE: &str = "rehearse.hcl";
/// Names the file in place of the search; empty: none is read.
const NAMED: &str = "REHEARSE_CONFIG";

/// What the project's file says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    entries: Vec<Setting>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A variable of the environment, by name.
    Environment(String),
    /// A place in the file: its name, line and column.
    File(String),
    /// Built in.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "${name}"),
            Self::File(place) => f.write_str(place),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Reads the project's file, and returns the command line with what it and the environment say.
/// What is wrong with the file comes beside it: help is to be had all the same.
pub fn command_line(folder: &Path) -> (Command, Result<Settings, SettingsError>) {
    let found = find(folder).and_then(|found| {
        found
            .map(|path| file::text(&path).map(|text| (path, text)))
            .transpose()
    });
    let text = match &found {
        Ok(Some((_, text))) => text.as_str(),
        _ => "",
    };
    let variable = std::env::var(cluster_names().0).ok();
    let cluster = variable.filter(|name| !name.is_empty());
    if let Some(name) = cluster.or_else(|| settings::top_level_text(text, CLUSTER)) {
        words::set_default_cluster(name);
    }
    let command = examples::with_examples(Cli::command());
    let settings = found.and_then(|found| match found {
        None => Ok(Settings::default()),
        Some((path, text)) => {
            let file = path.display().to_string();
            let entries = settings::read(&file, &text, &command, &refused)?;
            Ok(Settings {
                file: Some(path),
                entries,
            })
        }
    });
    let said = settings.as_ref().map_or(&[][..], |s| s.entries.as_slice());
    (with_all(command, said, &[]), settings)
}

/// What is refused whatever else is asked for; others, as `agent_arch`, are judged together.
const JUDGED_ALONE: [&str; 4] = ["servers", "clients", "region", "datacenter"];

/// Returns why there can be no cluster of what an entry says.
fn refused(entry: &Setting) -> Option<String> {
    // The region of certificates alone is no cluster's.
    let of_certificates = entry.path.first().is_some_and(|command| command == "pki");
    if of_certificates || !JUDGED_ALONE.contains(&entry.key.as_str()) {
        return None;
    }
    // With an architecture, as this machine's own may be one that no agent can have.
    let words = ["rehearse", "--arch=amd64"].map(str::to_owned).into_iter();
    let values = entry.values.iter();
    let words = words.chain(values.map(|value| format!("--{}={value}", entry.key)));
    // The command line's own reader has taken it, or no command that makes a cluster has it.
    let asked = OneCluster::try_parse_from(words).ok()?;
    Some(asked.cluster.check().err()?.in_a_line())
}

/// A command line that says a cluster and nothing else.
#[derive(clap::Parser)]
struct OneCluster {
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Variables that stand for no option: of this program, of the one in containers, and of the tests.
const OTHERS: &[&str] = &[
    NAMED,
    agent::TIME_SCALE,
    "REHEARSE_AGENT",
    "REHEARSE_ANNOUNCED_VERSION",
    "REHEARSE_PLANT",
    "REHEARSE_RELEASE_KEY_ADDRESS",
    "REHEARSE_REQUIRE_DOCKER",
    "REHEARSE_REQUIRE_EMULATION",
    "REHEARSE_REQUIRE_MOTO",
    "REHEARSE_TERRAFORM_PLUGINS",
    "REHEARSE_UPDATE_DOCS",
];

/// Returns what to say of variables that look like one of ours and are none. Others may be of whoever
/// calls this program, and are nobody's mistake.
pub fn misspelt(command: &Command, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = vec![cluster_names().0];
    known.extend(OTHERS.iter().map(ToString::to_string));
    variables_of(command, &mut known);
    let ours = names.filter(|name| name.starts_with(PREFIX) && !known.contains(name));
    let told = ours.filter_map(|name| {
        // The names without what they have in common.
        let words = known.iter().filter_map(|one| one.strip_prefix(PREFIX));
        let near = nearest(name.strip_prefix(PREFIX)?, words)?;
        Some(format!(
            "the variable {name} is not known and counts for nothing (did you mean {PREFIX}{near}?)"
        ))
    });
    told.collect()
}

fn variables_of(command: &Command, found: &mut Vec<String>) {
    found.extend(command.get_arguments().filter_map(variable));
    command
        .get_subcommands()
        .for_each(|sub| variables_of(sub, found));
}

/// Looks for the file in the folder and above it.
fn find(folder: &Path) -> Result<Option<PathBuf>, SettingsError> {
    if let Some(named) = std::env::var_os(NAMED) {
        return Ok((!named.is_empty()).then(|| PathBuf::from(named)));
    }
    let found = folder
        .ancestors()
        .map(|above| above.join(FILE))
        .find(|path| path.is_file());
    found.map(file::trusted).transpose()
}

/// Lets variables say every option of a command and those below it, and the file its defaults.
fn with_all(command: Command, said: &[Setting], path: &[String]) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let command = command.mut_args(|arg| with_one(arg, said, path));
    names.into_iter().fold(command, |command, name| {
        let below = [path, std::slice::from_ref(&name)].concat();
        command.mut_subcommand(name, |sub| with_all(sub, said, &below))
    })
}

/// A text for the rest of the process: its command line is made once or twice, and `clap` takes no
/// other without a copy of all it has.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn with_one(arg: Arg, said: &[Setting], path: &[String]) -> Arg {
    let Some(name) = variable(&arg) else {
        return arg;
    };
    // Not in the help: the rule is said once, in the documents.
    let arg = arg.env(kept(name)).hide_env(true);
    let long = arg.get_long().map(key).unwrap_or_default();
    match innermost(said, path, &long) {
        Some(setting) if matches!(arg.get_action(), ArgAction::Append) => {
            arg.default_values(setting.values.iter().cloned().map(kept))
        }
        Some(setting) => arg.default_value(kept(setting.values.concat())),
        None => arg,
    }
}

/// The entry that counts for an option of a command: the one nearest to it.
fn innermost<'a>(said: &'a [Setting], path: &[String], key: &str) -> Option<&'a Setting> {
    let counts = |one: &&Setting| one.key == key && path.starts_with(&one.path);
    said.iter().filter(counts).max_by_key(|one| one.path.len())
}

/// The variable and the key that name the cluster.
fn cluster_names() -> (String, String) {
    let variable = PREFIX.to_owned() + &CLUSTER.to_uppercase();
    (variable, CLUSTER.to_owned())
}

/// A value that an option has before the command line is read.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The command, as `job run`; empty for all.
    pub command: String,
    /// The option, as in the file.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Who says so.
    pub origin: Origin,
}

impl Settings {
    /// Returns every option's value and its origin. Options without any value are left out.
    pub fn shown(&self, environment: &dyn Fn(&str) -> Option<String>) -> Vec<Shown> {
        let mut shown = Vec::new();
        self.show(&Cli::command(), &[], environment, &mut shown);
        shown
    }

    fn show(
        &self,
        command: &Command,
        path: &[String],
        environment: &dyn Fn(&str) -> Option<String>,
        shown: &mut Vec<Shown>,
    ) {
        for arg in command.get_arguments() {
            let named = variable(arg).zip(arg.get_long().map(key));
            // Where the cluster has no option, it is said at the top of the file, and for all.
            let (said_at, named) = match named {
                None if words::is_cluster(arg) => (&[][..], Some(cluster_names())),
                named => (path, named),
            };
            let Some((variable, key)) = named else {
                continue;
            };
            let defaults = arg.get_default_values().iter();
            let mut default: Vec<_> = defaults.map(|one| one.to_string_lossy()).collect();
            if default.is_empty() && words::is_cluster(arg) {
                default.push(words::default_cluster().into());
            }
            let (value, origin) = if let Some(value) = environment(&variable) {
                (value, Origin::Environment(variable))
            } else if let Some(setting) = innermost(&self.entries, said_at, &key) {
                (
                    setting.values.join(", "),
                    Origin::File(setting.place.clone()),
                )
            } else if default.is_empty() {
                continue;
            } else {
                (default.join(", "), Origin::Default)
            };
            shown.push(Shown {
                command: path.join(" "),
                key,
                value,
                origin,
            });
        }
        for sub in command.get_subcommands() {
            let below = [path, &[sub.get_name().to_owned()]].concat();
            self.show(sub, &below, environment, shown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches as _;

    fn said(text: &str) -> Settings {
        let entries = settings::read(FILE, text, &Cli::command(), &refused).unwrap();
        Settings {
            file: None,
            entries,
        }
    }

    /// What a command's option is after a command line was read with the file's values.
    fn value(text: &str, line: &[&str], option: &str) -> Vec<String> {
        let command = with_all(Cli::command(), &said(text).entries, &[]);
        let line = std::iter::once("rehearse").chain(line.iter().copied());
        let matches = command.try_get_matches_from(line).unwrap();
        assert!(Cli::from_arg_matches(&matches).is_ok());
        let mut of = &matches;
        while let Some((_, below)) = of.subcommand() {
            of = below;
        }
        let raw = of.get_raw(option).into_iter().flatten();
        raw.map(|one| one.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_variable_that_is_nearly_one_of_ours_is_told() {
        let names = [
            "REHEARSE_ENGINE",
            "REHEARSE_ENGIN",
            "REHEARSE_NOMAD_BINRY",
            "REHEARSE_CLUSTER",
            "REHEARSE_TIME_SCALE",
            "REHEARSE_OF_ANOTHER_TOOL_ALTOGETHER",
            "HOME",
        ];
        let told = misspelt(&Cli::command(), names.into_iter().map(str::to_owned));
        let not_known = "is not known and counts for nothing";
        assert_eq!(
            told,
            [
                format!("the variable REHEARSE_ENGIN {not_known} (did you mean REHEARSE_ENGINE?)"),
                format!(
                    "the variable REHEARSE_NOMAD_BINRY {not_known} (did you mean REHEARSE_NOMAD_BINARY?)"
                ),
            ]
        );
    }

    #[test]
    fn what_makes_no_cluster_is_told_at_its_place() {
        let text = "servers = 2\nup {\n  clients = 9999\n  nonsense = 1\n  datacenter = \"a b\"\n  region = \"east,-\"\n}\npki {\n  region = \"-\"\n}\n";
        let read = |text: &str| settings::read(FILE, text, &Cli::command(), &refused);
        let told = read(text).unwrap_err().0;
        let heads = [
            "rehearse.hcl:1:1: 2 servers cannot be: expected 1, 3 or 5",
            "rehearse.hcl:3:3: 9999 clients are too many: expected at most ",
            "rehearse.hcl:4:3: unknown option `nonsense`: ",
            "rehearse.hcl:5:3: datacenter `a b` is not allowed: expected ",
            "rehearse.hcl:6:3: further region `-` is not allowed: expected ",
        ];
        assert_eq!(told.len(), heads.len(), "{told:#?}");
        for (line, head) in told.iter().zip(heads) {
            assert!(line.starts_with(head), "{line}\n{head}");
        }
        let fine = "servers = 5\nclients = 0\nregion = \"east,west\"\ntimeout = 9\n";
        assert_eq!(read(fine).unwrap().len(), 4);
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_innermost_entry_over_others() {
        let text = "timeout = 9\n\nup {\n  timeout = 8\n  keep    = true\n  set     = [\"a.b=1\", \"c.d=2\"]\n}\n";
        assert_eq!(value(text, &["run", "x"], "timeout"), ["9"]);
        assert_eq!(value(text, &["up"], "timeout"), ["8"]);
        assert_eq!(value(text, &["up", "--timeout", "7"], "timeout"), ["7"]);
        assert_eq!(value(text, &["up"], "keep"), ["true"]);
        assert_eq!(value(text, &["up"], "set"), ["a.b=1", "c.d=2"]);
        assert_eq!(value(text, &["up", "--set", "e=3"], "set"), ["e=3"]);
    }

    #[test]
    fn the_environment_wins_over_the_file_and_each_value_says_its_origin() {
        let settings = said("engine = \"simulator\"\n\nup {\n  servers = 5\n}\n");
        let environment = |name: &str| (name == "REHEARSE_SERVERS").then(|| "1".to_owned());
        let shown = settings.shown(&environment);
        let of = |command: &str, key: &str| {
            let one = shown
                .iter()
                .find(|one| one.command == command && one.key == key);
            one.map(|one| (one.value.as_str(), one.origin.to_string()))
        };
        let place = "rehearse.hcl:1:1".to_owned();
        assert_eq!(of("up", "engine"), Some(("simulator", place)));
        let variable = "$REHEARSE_SERVERS".to_owned();
        assert_eq!(of("up", "servers"), Some(("1", variable)));
        assert_eq!(of("up", "region"), Some(("global", "default".to_owned())));
        assert_eq!(of("up", "image"), None);
        // The cluster, of commands that take it without an option.
        for command in [
            "up", "down", "status", "top", "logs", "exec", "env", "start", "stop",
        ] {
            let cluster = of(command, CLUSTER).expect(command);
            assert_eq!(cluster.1, "default", "{command}");
        }
        assert_eq!(of("up", "plant"), None);
    }

    #[test]
    fn the_cluster_is_shown_for_each_command_that_takes_one() {
        let settings =
            said("cluster = \"mine\"\n\njob {\n  run {\n    cluster = \"other\"\n  }\n}\n");
        let shown = settings.shown(&|_| None);
        let of = |command: &str| {
            let mut all = shown.iter().filter(|one| one.key == CLUSTER);
            all.find(|one| one.command == command)
                .map(|one| one.value.as_str())
        };
        let with_mine = [
            "up", "down", "status", "top", "logs", "exec", "env", "start", "stop", "job stop",
        ];
        for command in with_mine {
            assert_eq!(of(command), Some("mine"), "{command}");
        }
        assert_eq!(of("job run"), Some("other"));
        assert_eq!(of("ls"), None);
        let shown = settings.shown(&|name| (name == "REHEARSE_CLUSTER").then(|| "env".to_owned()));
        let of_env = shown
            .iter()
            .filter(|one| one.key == CLUSTER && one.value == "env");
        assert_eq!(
            of_env.count(),
            shown.iter().filter(|one| one.key == CLUSTER).count()
        );
    }

    #[test]
    fn every_variable_is_free_of_those_with_a_meaning_of_their_own() {
        fn variables(command: &Command, found: &mut Vec<String>) {
            found.extend(command.get_arguments().filter_map(variable));
            command
                .get_subcommands()
                .for_each(|sub| variables(sub, found));
        }
        let mut found = Vec::new();
        variables(&Cli::command(), &mut found);
        assert!(found.contains(&"REHEARSE_NOMAD_VERSION".to_owned()));
        for own in [
            NAMED,
            "REHEARSE_AGENT",
            "REHEARSE_PLANT",
            "REHEARSE_REQUIRE_DOCKER",
            // Nothing agrees to a change of a live cluster, or to an end of others' containers, but
            // the one who types it.
            "REHEARSE_YES",
            "REHEARSE_RESTART_ENGINE_WITH",
        ] {
            assert!(!found.iter().any(|name| name == own), "{own}");
        }
    }
}
