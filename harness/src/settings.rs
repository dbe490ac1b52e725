//! `rehearse.hcl`: attributes are options, blocks are commands. All that is wrong is told at once, each
//! with its place.
//!
//! What there is to say comes with the command line's own definition (`clap`): what an option takes, and
//! how a wrong value is refused, is said in one place. Here and not with the command, so that its reader is
//! tried as those of users' other files are.

use std::fmt;
use std::ops::Range;

use agent::hcl_text::{self, SyntaxError};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Body, Structure};

use crate::grammar::suggest;

/// What every variable's name begins with.
pub const PREFIX: &str = "REHEARSE_";
/// The cluster that is meant where none is named: also of commands that take it without an option.
pub const CLUSTER: &str = "cluster";

/// A consent is given for one command, by whoever types it.
const CONSENTS: [&str; 2] = ["yes", "restart-engine-with"];

/// Returns the variable that says an option: `--nomad-version` is `REHEARSE_NOMAD_VERSION`. Hidden
/// options and consents have none, and cannot stand in the file.
#[must_use]
pub fn variable(arg: &Arg) -> Option<String> {
    let usual = !["help", "version"].contains(&arg.get_id().as_str()) && !arg.is_hide_set();
    let long = arg
        .get_long()
        .filter(|long| usual && !CONSENTS.contains(long))?;
    Some(PREFIX.to_owned() + &key(long).to_uppercase())
}

/// How an option is called in the file.
#[must_use]
pub fn key(long: &str) -> String {
    long.replace('-', "_")
}

/// The names of a command's options, as the file has them.
fn keys(command: &Command) -> Vec<String> {
    let settable = command
        .get_arguments()
        .filter(|arg| variable(arg).is_some());
    settable.filter_map(Arg::get_long).map(key).collect()
}

/// An option, as the file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The command whose block it stands in, as `["job", "run"]`; none for all commands.
    pub path: Vec<String>,
    /// The option's name, as in the file.
    pub key: String,
    /// Its values: one, unless the option may be given often.
    pub values: Vec<String>,
    /// Where it stands: `rehearse.hcl:3:1`.
    pub place: String,
}

/// The file cannot be used: all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

/// Returns what the file says at its top for a key, as far as it can be read.
#[must_use]
pub fn top_level_text(text: &str, key: &str) -> Option<String> {
    let body = hcl_text::parse_body(text).ok()?;
    let value = &body.get_attribute(key)?.value;
    value.as_str().map(str::to_owned)
}

/// Reads the file's text by what the command line takes. `refused` tells what is wrong with an entry that the
/// command line's own reader takes.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn read(
    file: &str,
    text: &str,
    command: &Command,
    refused: &dyn Fn(&Setting) -> Option<String>,
) -> Result<Vec<Setting>, SettingsError> {
    let body = hcl_text::parse_body(text).map_err(|error| {
        let SyntaxError {
            line,
            column,
            message,
            ..
        } = error;
        SettingsError(vec![format!("{file}:{line}:{column}: {message}")])
    })?;
    let mut reader = Reader {
        file,
        text,
        root: command,
        refused,
        settings: Vec::new(),
        problems: Vec::new(),
    };
    reader.body(&body, command, &[]);
    if reader.problems.is_empty() {
        Ok(reader.settings)
    } else {
        Err(SettingsError(reader.problems))
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    root: &'a Command,
    refused: &'a dyn Fn(&Setting) -> Option<String>,
    settings: Vec<Setting>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn place(&self, span: Option<Range<usize>>) -> String {
        let before = &self.text[..span.map_or(0, |span| span.start).min(self.text.len())];
        let last = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        format!(
            "{}:{line}:{}",
            self.file,
            before[last..].chars().count() + 1
        )
    }

    fn tell(&mut self, span: Option<Range<usize>>, message: impl fmt::Display) {
        let place = self.place(span);
        self.problems.push(format!("{place}: {message}"));
    }

    fn body(&mut self, body: &Body, command: &Command, path: &[String]) {
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => self.attribute(attribute, command, path),
                Structure::Block(block) => {
                    let name = block.ident.as_str();
                    let known = command.get_subcommands().map(Command::get_name);
                    let known: Vec<&str> = known.collect();
                    if !block.labels.is_empty() {
                        self.tell(block.labels[0].span(), format!("`{name}` takes no label"));
                    } else if let Some(below) = command.find_subcommand(name) {
                        let path = [path, &[name.to_owned()]].concat();
                        self.body(&block.body, below, &path);
                    } else {
                        let hint = suggest(name, known);
                        self.tell(
                            block.ident.span(),
                            format!("unknown command `{name}`{hint}"),
                        );
                    }
                }
            }
        }
    }

    fn attribute(&mut self, attribute: &Attribute, command: &Command, path: &[String]) {
        let name = key(attribute.key.as_str());
        let mut takers = Vec::new();
        takers_of(command, path, &name, &mut takers);
        let anywhere = path.is_empty() && name == CLUSTER;
        if takers.is_empty() && CONSENTS.iter().any(|long| key(long) == name) {
            let message = format!(
                "`{name}` is a consent: whoever types a command gives it there, and no file does"
            );
            self.tell(attribute.key.span(), message);
            return;
        }
        if takers.is_empty() && !anywhere {
            let mut known = Vec::new();
            known_below(command, &mut known);
            known.sort();
            known.dedup();
            let hint = suggest(&name, known.iter().map(String::as_str));
            let of = match path {
                [] => "no command has".to_owned(),
                _ => format!("`{}` has not", path.join(" ")),
            };
            let message = format!("unknown option `{name}`: {of} it{hint}");
            self.tell(attribute.key.span(), message);
            return;
        }
        if self
            .settings
            .iter()
            .any(|one| one.path == path && one.key == name)
        {
            self.tell(attribute.key.span(), format!("`{name}` stands here twice"));
            return;
        }
        let values = match values(&attribute.value) {
            Ok(values) => values,
            Err(message) => {
                self.tell(attribute.value.span(), format!("`{name}` {message}"));
                return;
            }
        };
        for (at, arg) in &takers {
            if let Err(message) = self.taken(at, arg, &attribute.value, &values) {
                self.tell(attribute.value.span(), message);
                return;
            }
        }
        let setting = Setting {
            path: path.to_vec(),
            key: name,
            values,
            place: self.place(attribute.key.span()),
        };
        match (self.refused)(&setting) {
            Some(message) => self.tell(attribute.key.span(), message),
            None => self.settings.push(setting),
        }
    }

    /// Puts the values to the command line's own reader.
    fn taken(
        &self,
        path: &[String],
        arg: &Arg,
        value: &Expression,
        values: &[String],
    ) -> Result<(), String> {
        let long = arg.get_long().unwrap_or_default();
        let name = key(long);
        let flag = !arg.get_action().takes_values();
        let often = matches!(arg.get_action(), ArgAction::Append);
        match value {
            Expression::Bool(_) if flag => return Ok(()),
            _ if flag => return Err(format!("`{name}` takes `true` or `false`")),
            Expression::Array(_) if !often => {
                return Err(format!("`{name}` takes one value and no list"));
            }
            _ => {}
        }
        let words = values.iter().map(|value| format!("--{long}={value}"));
        let line = std::iter::once("rehearse".to_owned())
            .chain(path.iter().cloned())
            .chain(words);
        let Err(error) = self.root.clone().try_get_matches_from(line) else {
            return Ok(());
        };
        match error.kind() {
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                let choices = match error.get(ContextKind::ValidValue) {
                    Some(ContextValue::Strings(known)) => {
                        Some(format!("expected {}", known.join(", ")))
                    }
                    _ => None,
                };
                let why = why
                    .or(choices)
                    .unwrap_or_else(|| "it is not taken".to_owned());
                let of = match path {
                    [] => String::new(),
                    _ => format!(" of `{}`", path.join(" ")),
                };
                Err(format!(
                    "`{name}`{of} cannot be `{}`: {why}",
                    values.join(", ")
                ))
            }
            // What else is missing on that line is not the file's to say.
            _ => Ok(()),
        }
    }
}

/// The commands at and below this one that have the option.
fn takers_of(command: &Command, path: &[String], name: &str, found: &mut Vec<(Vec<String>, Arg)>) {
    if keys(command).iter().any(|known| known == name) {
        let arg = command
            .get_arguments()
            .find(|arg| arg.get_long().is_some_and(|long| key(long) == name));
        found.extend(arg.map(|arg| (path.to_vec(), arg.clone())));
    }
    for sub in command.get_subcommands() {
        let below = [path, &[sub.get_name().to_owned()]].concat();
        takers_of(sub, &below, name, found);
    }
}

fn known_below(command: &Command, known: &mut Vec<String>) {
    known.extend(keys(command));
    command
        .get_subcommands()
        .for_each(|sub| known_below(sub, known));
}

/// Returns a value as the command line would have it.
fn values(value: &Expression) -> Result<Vec<String>, String> {
    let plain = |value: &Expression| match value {
        Expression::String(text) => Some(text.as_str().to_owned()),
        Expression::Number(number) => Some(number.to_string()),
        Expression::Bool(yes) => Some(yes.to_string()),
        _ => None,
    };
    let wrong = || "takes a text, a number, `true`, `false`, or a list of these".to_owned();
    match value {
        Expression::Array(list) => {
            let items: Option<Vec<String>> = list.iter().map(plain).collect();
            items.ok_or_else(wrong)
        }
        other => plain(other).map(|one| vec![one]).ok_or_else(wrong),
    }
}
