//! Reading `matrix.hcl`: every name in it is looked up, and all that is wrong is told at once,
//! each with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Block, Body, Structure};
use semver::Version;

use super::{Group, Matrix, Occasion, expand};
use crate::engine::release;
use crate::spec::Arch;

/// Something in the file that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// The file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(file, problems))]
pub struct MatrixError {
    /// The file's name.
    pub file: String,
    /// All that is wrong, in the file's order.
    pub problems: Vec<Problem>,
}

fn lines(file: &str, problems: &[Problem]) -> String {
    let line = |p: &Problem| format!("{file}:{}:{}: {}", p.line, p.column, p.message);
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads and expands a matrix. `scenarios` are the names of all there are.
///
/// # Errors
/// [`MatrixError`], with every problem.
pub fn read(file: &str, text: &str, scenarios: &[String]) -> Result<Matrix, MatrixError> {
    let text = agent::without_mark(text);
    let body = agent::hcl_text::parse_body(text).map_err(|error| MatrixError {
        file: file.to_owned(),
        problems: vec![Problem {
            line: error.line,
            column: error.column,
            message: error.message,
        }],
    })?;
    let mut reader = Reader {
        text,
        scenarios,
        problems: Vec::new(),
    };
    let groups = reader.file(&body);
    let runners = reader.runners(&body);
    let cells: Vec<_> = groups
        .iter()
        .flat_map(|group| expand(group, &runners))
        .collect();
    reader.same_twice(
        &cells
            .iter()
            .map(|cell| cell.name.as_str())
            .collect::<Vec<_>>(),
    );
    for cell in cells.iter().filter(|cell| cell.runner.is_empty()) {
        reader.tell(
            None,
            format!(
                "cell `{}` has no runner: `runners` misses an architecture",
                cell.name
            ),
        );
    }
    if reader.problems.is_empty() {
        Ok(Matrix { cells })
    } else {
        let mut problems = reader.problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(MatrixError {
            file: file.to_owned(),
            problems,
        })
    }
}

struct Reader<'a> {
    text: &'a str,
    scenarios: &'a [String],
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn tell(&mut self, span: Option<Range<usize>>, message: impl fmt::Display) {
        let before = &self.text[..span.map_or(0, |span| span.start).min(self.text.len())];
        let last = before.rfind('\n').map_or(0, |at| at + 1);
        self.problems.push(Problem {
            line: before.matches('\n').count() + 1,
            column: before[last..].chars().count() + 1,
            message: message.to_string(),
        });
    }

    fn file(&mut self, body: &Body) -> Vec<Group> {
        let mut groups = Vec::new();
        for structure in body {
            match structure {
                Structure::Block(block) if block.ident.as_str() == "cells" => {
                    groups.extend(self.group(block));
                }
                Structure::Attribute(attribute) if attribute.key.as_str() == "runners" => {}
                other => self.tell(
                    other.span(),
                    "unknown entry (expected `cells \"NAME\" { ... }` or `runners = { ... }`)",
                ),
            }
        }
        if groups.is_empty() && self.problems.is_empty() {
            self.tell(None, "no `cells \"NAME\" { ... }`: nothing would run");
        }
        groups
    }

    fn runners(&mut self, body: &Body) -> BTreeMap<Arch, String> {
        let mut runners = BTreeMap::new();
        let Some(attribute) = body.get_attribute("runners") else {
            self.tell(None, "`runners` is missing");
            return runners;
        };
        let Some(object) = attribute.value.as_object() else {
            self.tell(attribute.value.span(), "expected `{ ARCH = \"LABEL\" }`");
            return runners;
        };
        for (key, value) in object {
            let word = match key {
                ObjectKey::Ident(word) => word.as_str(),
                ObjectKey::Expression(word) => word.as_str().unwrap_or_default(),
            };
            match (word.parse::<Arch>(), value.expr().as_str()) {
                (Ok(arch), Some(label)) => drop(runners.insert(arch, label.to_owned())),
                (Err(error), _) => self.tell(key.span(), error),
                (Ok(_), None) => self.tell(value.expr().span(), "expected a label in quotes"),
            }
        }
        runners
    }

    fn group(&mut self, block: &Block) -> Option<Group> {
        const KEYS: [&str; 6] = [
            "when",
            "engine",
            "versions",
            "archs",
            "emulated",
            "scenarios",
        ];
        let Some(name) = block.labels.first().filter(|_| block.labels.len() == 1) else {
            self.tell(block.span(), "expected one name: `cells \"NAME\" { ... }`");
            return None;
        };
        let name = name.as_str().to_owned();
        for structure in &block.body {
            let known = structure
                .as_attribute()
                .is_some_and(|attribute| KEYS.contains(&attribute.key.as_str()));
            if !known {
                let expected = KEYS.map(|key| format!("`{key}`")).join(", ");
                self.tell(
                    structure.span(),
                    format!("unknown entry (expected {expected})"),
                );
            }
        }
        let problems = self.problems.len();
        let when = self.words(block, "when", true, |word, _| {
            let found = Occasion::ALL.iter().find(|(name, _)| *name == word);
            found
                .map(|(_, occasion)| *occasion)
                .ok_or_else(|| format!("unknown occasion `{word}` (expected `change`, `nightly`)"))
        });
        let read_arch = |word: &str, _: &[String]| word.parse::<Arch>().map_err(|e| e.to_string());
        let archs = self.words(block, "archs", true, read_arch);
        let emulated = self.words(block, "emulated", false, read_arch);
        if let Some(arch) = emulated.iter().find(|arch| !archs.contains(arch)) {
            let place = block
                .body
                .get_attribute("emulated")
                .and_then(|a| a.value.span());
            self.tell(
                place,
                format!("`{arch}` is emulated, and not among `archs`"),
            );
        }
        let engine = self.engine(block);
        let versions = self.versions(block, &engine, &archs);
        let mut scenarios = self.words(block, "scenarios", false, |word, all| {
            if all.iter().any(|name| name == word) {
                Ok(word.to_owned())
            } else {
                let expected: Vec<_> = all.iter().map(|name| format!("`{name}`")).collect();
                let expected = expected.join(", ");
                Err(format!("unknown scenario `{word}` (expected {expected})"))
            }
        });
        if scenarios.is_empty() {
            scenarios = self.scenarios.to_vec();
        }
        (self.problems.len() == problems).then_some(Group {
            name,
            when,
            engine,
            versions,
            archs,
            emulated,
            scenarios,
        })
    }

    /// Reads a list of words; each is looked up by `find`, which also gets the scenarios' names.
    fn words<T>(
        &mut self,
        block: &Block,
        key: &str,
        required: bool,
        find: impl Fn(&str, &[String]) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(attribute) = block.body.get_attribute(key) else {
            if required {
                self.tell(block.span(), format!("`{key}` is missing"));
            }
            return Vec::new();
        };
        let items: Option<Vec<(&Expression, &str)>> = attribute.value.as_array().and_then(|list| {
            list.iter()
                .map(|item| Some((item, item.as_str()?)))
                .collect()
        });
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            self.tell(attribute.value.span(), "expected a list: [\"...\"]");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (item, word) in items {
            match find(word, self.scenarios) {
                Ok(value) => found.push(value),
                Err(message) => self.tell(item.span(), message),
            }
        }
        found
    }

    fn engine(&mut self, block: &Block) -> String {
        match block.body.get_attribute("engine") {
            None => self.tell(block.span(), "`engine` is missing"),
            Some(attribute) => match attribute.value.as_str() {
                Some(word @ ("simulator" | "release")) => return word.to_owned(),
                _ => self.tell(
                    attribute.value.span(),
                    "unknown engine (expected `simulator` or `release`)",
                ),
            },
        }
        String::new()
    }

    fn versions(&mut self, block: &Block, engine: &str, archs: &[Arch]) -> Vec<Version> {
        let wants = engine == "release";
        if let (false, Some(attribute)) = (wants, block.body.get_attribute("versions")) {
            self.tell(attribute.span(), "`versions` is for engine `release` only");
            return Vec::new();
        }
        self.words(block, "versions", wants, |word, _| {
            let version: Version = word
                .parse()
                .map_err(|_| format!("`{word}` is no version (expected one as `1.8.4`)"))?;
            for &arch in archs {
                release::available(&version, arch).map_err(|error| error.to_string())?;
            }
            if !release::is_known(&version) {
                let nearest = release::nearest(&version);
                return Err(format!(
                    "Nomad `{version}` is of a line that is not known here; there is {nearest}"
                ));
            }
            Ok(version)
        })
    }

    fn same_twice(&mut self, names: &[&str]) {
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                self.tell(
                    None,
                    format!("cell `{name}` is there twice: name the groups apart"),
                );
            }
        }
    }
}
