//! What a word of the scenario language is: its name, its arguments, and how a value is made of
//! them. The tables of steps, faults, probes, picks and workloads stand in their own folders, in
//! these types; the reader, the checks and the reference in `docs/writing-scenarios.md` are made
//! from the tables, so that none of them can know another language. Data, no I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use agent::nearest;
use serde_json::Value as Json;

/// A word that stands for something: a probe, a workload, a way to pick agents.
pub struct Word<T: 'static> {
    /// As it is written.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub about: &'static str,
    /// What it takes.
    pub args: &'static [Arg],
    /// The numbers that it leaves for later steps.
    pub takes: &'static [Number],
    /// Makes the value; the arguments are checked before.
    pub build: fn(&Args) -> T,
}

/// A number that a workload takes.
pub struct Number {
    /// `leaderless_ms`: the last word is the unit.
    pub name: &'static str,
    /// What it says.
    pub about: &'static str,
}

/// An argument.
pub struct Arg {
    /// As it is written.
    pub name: &'static str,
    /// What may be given.
    pub of: Type,
    /// Whether it may be left out.
    pub need: Need,
    /// What it is for, in a line.
    pub about: &'static str,
}

impl Arg {
    /// An argument that must be given.
    #[must_use]
    pub const fn required(name: &'static str, of: Type, about: &'static str) -> Self {
        Self {
            name,
            of,
            need: Need::Required,
            about,
        }
    }

    /// An argument that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, of: Type, about: &'static str) -> Self {
        Self {
            name,
            of,
            need: Need::Optional,
            about,
        }
    }
}

/// Whether an argument may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must be given.
    Required,
    /// It may be left out; what then happens stands in its `about`.
    Optional,
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A time with its unit, as `"15s"`.
    Duration,
    /// A whole number from 0.
    Count,
    /// A whole number from 1.
    Rate,
    /// A text.
    Text,
    /// `true` or `false`.
    Flag,
    /// The ID of a job that an earlier step submits.
    Job,
    /// The label of a port of the step's job.
    Port,
    /// A group of the step's job.
    Group,
    /// A job's file, or a built-in job.
    JobFile,
    /// Values for the `variable` blocks of the step's job.
    JobVariables,
    /// Which agents.
    Agents,
    /// `server` or `client`.
    Role,
    /// A region that the scenario needs.
    Region,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An object of texts.
    Texts,
    /// A list of texts.
    Words,
    /// Any value.
    Json,
    /// An object that maps paths into a JSON reply to values.
    Paths,
    /// A duration where the measure's name ends in `_ms`, else a number.
    Limit,
    /// A name for a number that the step takes.
    NewMeasure,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duration => "a duration, as `\"15s\"`",
            Self::Count => "a whole number from 0",
            Self::Rate => "a whole number from 1",
            Self::Text => "a text in quotes",
            Self::Flag => "`true` or `false`",
            Self::Job => "the ID of a submitted job",
            Self::Port => "the label of a port of the job",
            Self::Group => "a group of the job",
            Self::JobFile => "a path to a job file, or `builtin.NAME`",
            Self::JobVariables => "values for the job's variables, as `{ version = \"2\" }`",
            Self::Agents => "a pick of agents, as `leader` or `\"server-1\"`",
            Self::Role => "`server` or `client`",
            Self::Region => "a region of `needs`, in quotes",
            Self::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                return f.write_str(&quoted.join(" or "));
            }
            Self::Texts => "an object of texts, as `{ key = \"value\" }`",
            Self::Words => "a list of texts, as `[\"program\", \"argument\"]`",
            Self::Json => "any value",
            Self::Paths => "an object, as `{ \"Servers[0].Voter\" = true }`",
            Self::Limit => "a duration where the measure's name ends in `_ms`, else a number",
            Self::NewMeasure => "a name that ends in `_ms`",
        })
    }
}

/// A job's text, found and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct JobText {
    /// What a step calls it: the file's name without its ending.
    pub name: String,
    /// The job's ID.
    pub id: String,
    /// The job in HCL, the variables given set in it.
    pub hcl: String,
}

/// The value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of `Duration`.
    Duration(Duration),
    /// Of `Count` and `Rate`.
    Count(u64),
    /// Of `Limit`, in milliseconds for durations.
    Number(f64),
    /// Of all that is written as a word or a text.
    Text(String),
    /// Of `Flag`.
    Flag(bool),
    /// Of `JobFile`.
    Job(JobText),
    /// Of `Agents`: a word of the table of picks, with its arguments.
    Word(&'static str, Args),
    /// Of `Texts`, and the names in a pick by name.
    Texts(BTreeMap<String, String>),
    /// Of `Words`.
    Words(Vec<String>),
    /// Of `Json`.
    Json(Json),
    /// Of `Paths`.
    Paths(BTreeMap<String, Json>),
}

/// The checked arguments of one word. Asking for one that the word's table does not have, or not
/// of that kind, is an error in the table: the tests build every word once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args(BTreeMap<&'static str, Value>);

macro_rules! getters {
    ($($get:ident, $opt:ident, $variant:ident, $of:ty, $what:literal;)*) => {$(
        #[doc = concat!("Returns ", $what, "; `None` where it is left out.")]
        #[must_use]
        pub fn $opt(&self, name: &str) -> Option<$of> {
            match self.0.get(name) {
                Some(Value::$variant(value)) => Some(value.clone()),
                _ => None,
            }
        }

        #[doc = concat!("Returns ", $what, ".")]
        ///
        /// # Panics
        /// When it is not there, which the reader rules out.
        #[must_use]
        pub fn $get(&self, name: &str) -> $of {
            self.$opt(name)
                .unwrap_or_else(|| panic!("`{name}` is required, and checked before"))
        }
    )*};
}

impl Args {
    /// Adds an argument.
    pub fn put(&mut self, name: &'static str, value: Value) {
        self.0.insert(name, value);
    }

    /// Whether it is given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns a count that fits this machine's.
    #[must_use]
    pub fn opt_size(&self, name: &str) -> Option<usize> {
        self.opt_count(name)
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Returns a rate; whoever asks for more than 2^32 a second gets that.
    ///
    /// # Panics
    /// When it is not there, which the reader rules out.
    #[must_use]
    pub fn rate(&self, name: &str) -> u32 {
        u32::try_from(self.count(name)).unwrap_or(u32::MAX)
    }

    /// Returns the agents picked: the word, and what it takes.
    ///
    /// # Panics
    /// When it is not there, which the reader rules out.
    #[must_use]
    pub fn word(&self, name: &str) -> (&'static str, &Args) {
        self.opt_word(name)
            .unwrap_or_else(|| panic!("`{name}` is required, and checked before"))
    }

    /// Returns the agents picked, `None` where it is left out.
    #[must_use]
    pub fn opt_word(&self, name: &str) -> Option<(&'static str, &Args)> {
        match self.0.get(name) {
            Some(Value::Word(word, args)) => Some((word, args)),
            _ => None,
        }
    }

    getters! {
        duration, opt_duration, Duration, Duration, "a duration";
        count, opt_count, Count, u64, "a count";
        number, opt_number, Number, f64, "a limit";
        text, opt_text, Text, String, "a text";
        flag, opt_flag, Flag, bool, "a flag";
        job_text, opt_job_text, Job, JobText, "a job's text";
        texts, opt_texts, Texts, BTreeMap<String, String>, "an object of texts";
        words, opt_words, Words, Vec<String>, "a list of texts";
        json, opt_json, Json, Json, "any value";
        paths, opt_paths, Paths, BTreeMap<String, Json>, "paths with their values";
    }
}

/// Returns ` (did you mean ...?)`, or where nothing is near ` (expected ...)`.
#[must_use]
pub fn suggest<'k>(word: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!(" (did you mean `{near}`?)");
    }
    let all: Vec<_> = known.into_iter().map(|word| format!("`{word}`")).collect();
    if all.is_empty() {
        return " (there is none)".to_owned();
    }
    format!(" (expected {})", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_understood_and_another_word_is_not() {
        let known = ["kill", "stop", "pause", "restart"];
        assert_eq!(nearest("kil", known), Some("kill"));
        assert_eq!(nearest("klil", known), Some("kill"));
        assert_eq!(nearest("Restart", known), Some("restart"));
        assert_eq!(nearest("explode", known), None);
        assert_eq!(nearest("bogus", ["logs", "group"]), None);
        assert_eq!(
            nearest("restrat-engnie", ["restart-engine"]),
            Some("restart-engine")
        );
    }

    #[test]
    fn where_nothing_is_near_all_is_told() {
        assert_eq!(
            suggest("explode", ["kill", "stop"]),
            " (expected `kill`, `stop`)"
        );
        let none: [&str; 0] = [];
        assert_eq!(suggest("explode", none), " (there is none)");
    }
}
