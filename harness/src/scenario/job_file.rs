//! Job files that a script names: found, read as far as a script needs to know them, and their
//! variables set. Whether the job makes sense, the cluster says when it is submitted.

use std::collections::BTreeSet;
use std::path::Path;

use agent::hcl_text;
use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, Traversal};
use hcl_edit::structure::{Attribute, Block, Body};
use serde_json::{Map, Value as Json};

use super::library;
use super::problem::Problem;
use super::reader::{Place, Reader};
use super::value::{kind_of, root_and_name};
use crate::grammar::{JobText, suggest};

/// What a script needs to know of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JobFacts {
    pub(super) groups: BTreeSet<String>,
    pub(super) ports: BTreeSet<String>,
}

/// A job file that was found and parsed.
pub(super) struct JobFile {
    /// How messages name the file.
    file: String,
    /// What steps call it.
    name: String,
    text: String,
    body: Body,
    id: String,
    pub(super) facts: JobFacts,
}

impl Reader<'_> {
    /// Finds the job that an expression names, and reads its file.
    pub(super) fn job_file(&mut self, expr: &Expression) -> Option<JobFile> {
        let found = match expr {
            Expression::Traversal(traversal) if root_is(traversal, "builtin") => {
                self.built_in_job(traversal)
            }
            _ => match self.value(expr)? {
                Json::String(path) => self.job_at(&path, expr.span()),
                other => {
                    let message = format!(
                        "a path in quotes or `builtin.NAME` is expected, and this is {}",
                        kind_of(&other)
                    );
                    self.tell(expr.span(), message);
                    None
                }
            },
        };
        let read = found.and_then(|(file, name, text)| self.parse_job(file, name, text));
        self.jobs_unknown |= read.is_none();
        read
    }

    fn built_in_job(&mut self, traversal: &Traversal) -> Option<(String, String, String)> {
        let name = root_and_name(traversal).map_or("", |(_, name)| name);
        if let Some(text) = library::job(name) {
            let file = format!("builtin.{name}");
            return Some((file, name.to_owned(), text.to_owned()));
        }
        let hint = suggest(name, library::job_names());
        self.tell(
            traversal.span(),
            format!("unknown built-in job `{name}`{hint}"),
        );
        None
    }

    fn job_at(&mut self, path: &str, place: Place) -> Option<(String, String, String)> {
        let Some(folder) = self.folder else {
            self.tell(place, "a built-in scenario uses built-in jobs only");
            return None;
        };
        let at = folder.join(path);
        match std::fs::read_to_string(&at) {
            Ok(text) => {
                let name = at.file_name().unwrap_or_default().to_string_lossy();
                let name = name.split('.').next().unwrap_or_default().to_owned();
                let text = agent::without_mark(&text).to_owned();
                Some((at.display().to_string(), name, text))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let hint = neighbours(&at, path);
                let shown = at.display();
                self.tell(place, format!("job file `{shown}` does not exist{hint}"));
                None
            }
            Err(error) => {
                let shown = at.display();
                self.tell(place, format!("job file `{shown}` cannot be read: {error}"));
                None
            }
        }
    }

    fn parse_job(&mut self, file: String, name: String, text: String) -> Option<JobFile> {
        let body = match hcl_text::parse_body(&text) {
            Ok(body) => body,
            Err(error) => {
                self.problems.push(Problem::syntax(&file, error));
                return None;
            }
        };
        let jobs: Vec<_> = body.get_blocks("job").collect();
        let label = jobs.first().and_then(|job| job.labels.first());
        let (Some(job), Some(id), 1) = (jobs.first(), label, jobs.len()) else {
            let message = "expected one `job \"NAME\" { ... }`";
            let problem = Problem::at(&file, &text, None, message);
            self.problems.push(problem);
            return None;
        };
        let (id, facts) = (id.as_str().to_owned(), facts(job));
        Some(JobFile {
            file,
            name,
            text,
            body,
            id,
            facts,
        })
    }

    /// Sets the variables of a job, and returns its text.
    pub(super) fn job_text(
        &mut self,
        mut job: JobFile,
        given: Option<(Map<String, Json>, Place)>,
    ) -> Option<JobText> {
        let (given, place) = given.unwrap_or_default();
        let names: Vec<_> = job
            .body
            .get_blocks("variable")
            .filter_map(|block| Some(block.labels.first()?.as_str().to_owned()))
            .collect();
        let mut good = true;
        for name in given.keys().filter(|name| !names.contains(name)) {
            let hint = suggest(name, names.iter().map(String::as_str));
            let message = format!("`{}` has no variable `{name}`{hint}", job.file);
            self.tell(place.clone(), message);
            good = false;
        }
        let mut unset = Vec::new();
        for block in job.body.get_blocks_mut("variable") {
            let Some(name) = block.labels.first().map(|label| label.as_str().to_owned()) else {
                continue;
            };
            match given.get(&name) {
                Some(value) => {
                    block.body.remove_attribute("default");
                    block.body.push(default(value));
                }
                None if !block.body.has_attribute("default") => {
                    let message = format!(
                        "job variable `{name}` has no default: `submit` must give it in \
                         `variables`"
                    );
                    unset.push(Problem::at(&job.file, &job.text, block.span(), message));
                }
                None => {}
            }
        }
        good &= unset.is_empty();
        self.problems.extend(unset);
        let hcl = if given.is_empty() {
            job.text
        } else {
            job.body.to_string()
        };
        good.then_some(JobText {
            name: job.name,
            id: job.id,
            hcl,
        })
    }
}

impl JobFile {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

fn root_is(traversal: &Traversal, word: &str) -> bool {
    matches!(&traversal.expr, Expression::Variable(root) if root.as_str() == word)
}

fn default(value: &Json) -> Attribute {
    let value = match value {
        Json::Bool(flag) => Expression::from(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Expression::from(whole),
            None => hcl_edit::Number::from_f64(number.as_f64().unwrap_or_default())
                .map_or_else(Expression::null, Expression::from),
        },
        Json::String(text) => Expression::from(text.as_str()),
        other => Expression::from(other.to_string()),
    };
    Attribute::new(hcl_edit::Ident::new("default"), value)
}

fn facts(job: &Block) -> JobFacts {
    let label = |block: &Block| Some(block.labels.first()?.as_str().to_owned());
    let mut facts = JobFacts::default();
    let groups = job.body.get_blocks("group");
    for group in groups {
        facts.groups.extend(label(group));
        for network in group.body.get_blocks("network") {
            let ports = network.body.get_blocks("port");
            facts.ports.extend(ports.filter_map(label));
        }
    }
    facts
}

/// Names the file in the same folder that was perhaps meant.
fn neighbours(at: &Path, path: &str) -> String {
    let wanted = at.file_name().unwrap_or_default().to_string_lossy();
    let folder = at
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    let names: Vec<_> = folder
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let near = crate::grammar::nearest(&wanted, names.iter().map(String::as_str));
    let built_in = library::job_names().find(|name| *name == path);
    match (near, built_in) {
        (_, Some(name)) => format!(" (did you mean `builtin.{name}`?)"),
        (Some(near), None) => format!(" (did you mean `{near}`?)"),
        (None, None) => String::new(),
    }
}
