//! What is typed on every command line, said once: by the project's `rehearse.hcl`, or by the
//! environment. A flag wins over a variable, a variable over the file, the file over what is built in.
//!
//! Both go through the command line's own definition (`clap`): what an option takes, and how a wrong
//! value is refused, is said in one place.

mod file;

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::words;
use super::{Cli, examples};
use file::Setting;
pub use file::SettingsError;

/// The file's name.
pub const FILE: &str = "rehearse.hcl";
/// Names the file in place of the search; empty: none is read.
const NAMED: &str = "REHEARSE_CONFIG";
/// What every variable's name begins with.
const PREFIX: &str = "REHEARSE_";
/// The cluster that is meant where none is named: also of commands that take it without an option.
const CLUSTER: &str = "cluster";

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

/// A consent is given for one command, by whoever types it.
const CONSENTS: [&str; 2] = ["yes", "restart-engine-with"];

/// Returns the variable that says an option: `--nomad-version` is `REHEARSE_NOMAD_VERSION`. Hidden
/// options and consents have none, and cannot stand in the file.
fn variable(arg: &Arg) -> Option<String> {
    let usual = !["help", "version"].contains(&arg.get_id().as_str()) && !arg.is_hide_set();
    let long = arg
        .get_long()
        .filter(|long| usual && !CONSENTS.contains(long))?;
    Some(PREFIX.to_owned() + &key(long).to_uppercase())
}

/// How an option is called in the file.
fn key(long: &str) -> String {
    long.replace('-', "_")
}

/// The names of a command's options, as the file has them.
fn keys(command: &Command) -> Vec<String> {
    let settable = command
        .get_arguments()
        .filter(|arg| variable(arg).is_some());
    settable.filter_map(Arg::get_long).map(key).collect()
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
    let variable = std::env::var(PREFIX.to_owned() + &CLUSTER.to_uppercase()).ok();
    let cluster = variable.filter(|name| !name.is_empty());
    if let Some(name) = cluster.or_else(|| file::top_level_text(text, CLUSTER)) {
        words::set_default_cluster(name);
    }
    let command = examples::with_examples(Cli::command());
    let settings = found.and_then(|found| match found {
        None => Ok(Settings::default()),
        Some((path, text)) => {
            let entries = file::read(&path.display().to_string(), &text, &command)?;
            Ok(Settings {
                file: Some(path),
                entries,
            })
        }
    });
    let said = settings.as_ref().map_or(&[][..], |s| s.entries.as_slice());
    (with_all(command, said, &[]), settings)
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
            let (Some(variable), Some(long)) = (variable(arg), arg.get_long()) else {
                continue;
            };
            let key = key(long);
            let defaults = arg.get_default_values().iter();
            let default: Vec<_> = defaults.map(|one| one.to_string_lossy()).collect();
            let (value, origin) = if let Some(value) = environment(&variable) {
                (value, Origin::Environment(variable))
            } else if let Some(setting) = innermost(&self.entries, path, &key) {
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

    fn settings(text: &str) -> Settings {
        let entries = file::read(FILE, text, &Cli::command()).unwrap();
        Settings {
            file: None,
            entries,
        }
    }

    /// What a command's option is after a command line was read with the file's values.
    fn value(text: &str, line: &[&str], option: &str) -> Vec<String> {
        let command = with_all(Cli::command(), &settings(text).entries, &[]);
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
        let settings = settings("engine = \"simulator\"\n\nup {\n  servers = 5\n}\n");
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
        assert_eq!(of("up", "plant"), None);
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
