//! `rehearse config`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::settings::{FILE, Origin, Shown};

/// Show what is set for all commands: by `rehearse.hcl` in this folder or above it, and by the
/// environment.
///
/// An option stands in the file under its own name with underscores, at the top for all commands that
/// have it, or in a block called as the command. Its variable is called alike: `--nomad-version` is
/// `nomad_version`, and REHEARSE_NOMAD_VERSION. What counts: the command line, then the environment,
/// then the file, then what is built in. REHEARSE_CONFIG names another file, or none if it is empty.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every option that is set, with the place that says so.
    Show {
        /// Those that are built in, too.
        #[arg(long)]
        all: bool,
    },
}

/// Shows.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let Command::Show { all } = args.command;
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut shown = context.settings.shown(&environment);
    shown.retain(|one| all || one.origin != Origin::Default);
    let file = context
        .settings
        .file
        .as_ref()
        .map(|path| path.display().to_string());
    match context.format {
        Format::Json => {
            let options: Vec<_> = shown.iter().map(as_json).collect();
            output::json(&json!({ "file": file, "options": options }));
        }
        Format::Text => output::text(&text(file.as_deref(), &shown)),
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(one: &Shown) -> serde_json::Value {
    json!({
        "command": one.command,
        "option": one.key,
        "value": one.value,
        "origin": one.origin.to_string(),
    })
}

/// A line for each value; commands that have it alike share one.
fn text(file: Option<&str>, shown: &[Shown]) -> String {
    let head = match file {
        Some(file) => format!("file: {file}"),
        None => format!("no `{FILE}` in this folder or above it"),
    };
    let mut lines: BTreeMap<(&str, &str, String), Vec<&str>> = BTreeMap::new();
    for one in shown {
        let line = (one.key.as_str(), one.value.as_str(), one.origin.to_string());
        lines.entry(line).or_default().push(&one.command);
    }
    if lines.is_empty() {
        return head + "\nnothing is set";
    }
    let row = |((key, value, origin), commands): ((&str, &str, String), Vec<&str>)| {
        let commands = match commands.as_slice() {
            [""] => "all".to_owned(),
            names => names.join(", "),
        };
        vec![key.to_owned(), value.to_owned(), origin, commands]
    };
    let rows: Vec<_> = lines.into_iter().map(row).collect();
    let table = output::table(&["Option", "Value", "From", "Commands"], &rows);
    format!("{head}\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_have_a_value_alike_share_a_line() {
        let one = |command: &str| Shown {
            command: command.to_owned(),
            key: "engine".to_owned(),
            value: "simulator".to_owned(),
            origin: Origin::File("rehearse.hcl:1:1".to_owned()),
        };
        let text = text(Some("rehearse.hcl"), &[one("up"), one("run")]);
        assert!(
            text.ends_with("engine  simulator  rehearse.hcl:1:1  up, run"),
            "{text}"
        );
    }
}
