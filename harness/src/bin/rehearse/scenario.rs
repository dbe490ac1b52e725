//! `rehearse scenario`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use nomad_harness::scenario::{self, LibraryError, Problem, Scenario, Script};
use nomad_harness::step::Step;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};

/// Where a user's own scenarios are looked for.
const FOLDER: &str = "scenarios";

/// What a new scenario begins as.
const TEMPLATE: &str = include_str!("template.scenario.hcl");

/// Write and check scenarios.
///
/// A scenario is a script in HCL: `docs/writing-scenarios.md`. Those that come with the program
/// are known by their names; your own are found in `./scenarios` or by their path.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read scenarios, and tell all that is wrong with them; run nothing.
    Check {
        #[command(flatten)]
        which: Which,
    },
    /// List the scenarios.
    List,
    /// Show what scenarios do, step by step.
    Show {
        #[command(flatten)]
        which: Which,
        /// Print the script itself.
        #[arg(long)]
        source: bool,
    },
    /// Begin a scenario of your own, in a file to be filled in.
    New {
        /// Its name: lower case, digits and dashes.
        name: String,
        /// Where the file goes.
        #[arg(long, value_name = "DIR", default_value = FOLDER)]
        folder: PathBuf,
    },
    /// Lay scripts out in the one way.
    Fmt {
        /// The files; without any, those in `./scenarios`.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Change nothing; fail where something would change.
        #[arg(long)]
        check: bool,
    },
}

/// Which scenarios, and with which values.
#[derive(clap::Args)]
pub struct Which {
    /// Names, in which `*` stands for any text and `?` for any character, or paths of files;
    /// without any, all scenarios.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// A value for a variable of the scenarios.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    vars: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not as `NAME=VALUE`"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Which {
    /// Finds and reads the scenarios; tells all that is wrong with all of them.
    pub fn read(&self) -> Result<Vec<Scenario>, Failure> {
        let scripts = self.find()?;
        let given: BTreeMap<_, _> = self.vars.iter().cloned().collect();
        let mut scenarios = Vec::new();
        let mut problems: Vec<Problem> = Vec::new();
        for script in &scripts {
            match script.read(&given) {
                Ok(scenario) => scenarios.push(scenario),
                Err(error) => problems.extend(error.problems),
            }
        }
        if !problems.is_empty() {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            return Err(Failure::input(lines.join("\n")).hint("docs/writing-scenarios.md"));
        }
        self.refuse_unknown(&scenarios)?;
        Ok(scenarios)
    }

    fn find(&self) -> Result<Vec<Script>, Failure> {
        scenario::chosen(&self.patterns, Path::new(FOLDER)).map_err(|errors| {
            let words: Vec<_> = errors.iter().map(in_words).collect();
            Failure::input(words.join("\n")).hint("rehearse scenario list")
        })
    }

    /// A value that no scenario takes is a slip of the hand.
    fn refuse_unknown(&self, scenarios: &[Scenario]) -> Result<(), Failure> {
        let known: Vec<_> = scenarios
            .iter()
            .flat_map(|scenario| scenario.variables.iter())
            .map(|variable| variable.name.as_str())
            .collect();
        let wrong: Vec<_> = self
            .vars
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(name, _)| {
                let hint = nomad_harness::grammar::suggest(name, known.iter().copied());
                format!("no scenario that was chosen has a variable `{name}`{hint}")
            })
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::input(wrong.join("\n")))
    }
}

fn in_words(error: &LibraryError) -> String {
    match error {
        LibraryError::Read { source, .. } => format!("{error}: {source}"),
        LibraryError::Unmatched { .. } => error.to_string(),
    }
}

pub fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Check { which } => {
            let scenarios = which.read()?;
            match context.format {
                Format::Json => output::json(&scenarios),
                Format::Text if scenarios.len() == 1 => output::text("1 scenario is right"),
                Format::Text => output::text(&format!("{} scenarios are right", scenarios.len())),
            }
        }
        Command::List => list(&scenarios_that_can_be_read()?, context.format),
        Command::Show { which, source } => show(&which, source, context.format)?,
        Command::New { name, folder } => new(&name, &folder)?,
        Command::Fmt { files, check } => return lay_out(files, check),
    }
    Ok(ExitCode::SUCCESS)
}

fn scenarios_that_can_be_read() -> Result<Vec<Scenario>, Failure> {
    let all = Which {
        patterns: Vec::new(),
        vars: Vec::new(),
    };
    all.read()
}

/// Prints names and what they show.
pub fn list(scenarios: &[Scenario], format: Format) {
    if format == Format::Json {
        output::json(&scenarios);
        return;
    }
    let rows: Vec<_> = scenarios
        .iter()
        .map(|one| vec![one.name.clone(), one.description.clone()])
        .collect();
    output::text(&output::table(&["Scenario", "Shows"], &rows));
}

fn show(which: &Which, source: bool, format: Format) -> Result<(), Failure> {
    if source {
        for script in which.find()? {
            output::text(script.text.trim_end());
        }
        return Ok(());
    }
    let scenarios = which.read()?;
    match format {
        Format::Json => output::json(&scenarios),
        Format::Text => {
            let texts: Vec<_> = scenarios.iter().map(shown).collect();
            output::text(&texts.join("\n\n"));
        }
    }
    Ok(())
}

fn shown(scenario: &Scenario) -> String {
    let mut lines = vec![
        format!("{}: {}", scenario.name, scenario.description),
        format!(
            "needs {} servers, {} clients{}{}{}{}",
            scenario.servers,
            scenario.clients,
            match scenario.regions.as_slice() {
                [] => String::new(),
                regions => format!(" in each of the regions `{}`", regions.join("`, `")),
            },
            scenario
                .needs()
                .iter()
                .map(|one| format!(", `{}`", one.word()))
                .collect::<String>(),
            scenario
                .nomad
                .as_ref()
                .map_or_else(String::new, |wanted| format!(", Nomad {wanted}")),
            scenario
                .max_time_scale
                .map_or_else(String::new, |most| format!(", time scale {most} at most")),
        ),
    ];
    for variable in &scenario.variables {
        let value = variable.value.as_ref();
        lines.push(format!(
            "variable {} = {} ({}): {}",
            variable.name,
            value.map_or_else(String::new, ToString::to_string),
            variable.of,
            variable.description
        ));
    }
    steps(&scenario.steps, "", &mut lines);
    lines.join("\n")
}

fn steps(all: &[Step], above: &str, lines: &mut Vec<String>) {
    for (number, step) in all.iter().enumerate() {
        let number = format!("{above}{}", number + 1);
        let indent = "  ".repeat(above.matches('.').count() + 1);
        let words = match step {
            Step::Parallel { .. } => "side by side:".to_owned(),
            Step::ForEach { agents, .. } => format!("for each of {agents}:"),
            Step::InRegion { region, .. } => format!("in region `{region}`:"),
            _ => step.to_string(),
        };
        lines.push(format!("{indent}{number}. {words}"));
        steps(step.inner(), &format!("{number}."), lines);
    }
}

fn new(name: &str, folder: &Path) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(legal) {
        return Err(Failure::input(format!(
            "`{name}` cannot be a scenario's name: lower case, digits and dashes"
        )));
    }
    let path = folder.join(format!("{name}{}", scenario::ENDING));
    if path.exists() {
        let shown = path.display();
        return Err(Failure::input(format!("`{shown}` is there already")));
    }
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, TEMPLATE.replace("NAME", name)));
    written.map_err(|error| {
        Failure::environment(format!("cannot write `{}`: {error}", path.display()))
    })?;
    output::text(&format!(
        "{}\nrehearse scenario check {name}\nrehearse run {name}",
        path.display()
    ));
    Ok(())
}

fn lay_out(files: Vec<PathBuf>, check: bool) -> Result<ExitCode, Failure> {
    let files = if files.is_empty() {
        own_files()?
    } else {
        files
    };
    let mut crooked = false;
    for path in files {
        let shown = path.display().to_string();
        let failed = |error| Failure::input(format!("`{shown}`: {error}"));
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let laid_out = scenario::format(&shown, &text).map_err(Failure::input)?;
        if laid_out == text {
            continue;
        }
        crooked = true;
        output::text(&shown);
        if !check {
            std::fs::write(&path, laid_out).map_err(Failure::environment)?;
        }
    }
    Ok(if check && crooked {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

fn own_files() -> Result<Vec<PathBuf>, Failure> {
    let scripts = scenario::scripts(Path::new(FOLDER));
    let scripts = scripts.map_err(|error| Failure::input(in_words(&error)))?;
    let own = scripts.into_iter().filter(|one| one.folder.is_some());
    Ok(own.map(|script| PathBuf::from(script.file)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_scenario_is_right_and_laid_out() {
        let folder = tempfile::tempdir().expect("a folder of our own");
        new("mine", folder.path()).expect("it can be written");
        let path = folder.path().join("mine.scenario.hcl");
        let script = Script::at(&path).expect("it was written");
        let scenario = script.read(&BTreeMap::new()).expect("it is right");
        assert_eq!(scenario.name, "mine");
        let laid_out = scenario::format("x", &script.text).expect("it is HCL");
        assert_eq!(laid_out, script.text);
        assert!(new("mine", folder.path()).is_err(), "it is there already");
        assert!(new("My Own", folder.path()).is_err());
    }

    #[test]
    fn a_value_that_nobody_takes_is_refused() {
        let which = Which {
            patterns: vec!["leader-failover".to_owned()],
            vars: vec![("writs".to_owned(), "1".to_owned())],
        };
        assert!(which.read().is_err());
        assert!(pair("writes").is_err());
    }
}
