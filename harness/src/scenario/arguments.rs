//! The arguments of a block, checked against the tables that know them.

use std::collections::BTreeMap;
use std::time::Duration;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block};
use serde_json::Value as Json;

use super::duration;
use super::reader::{Place, Reader};
use super::value::kind_of;
use crate::grammar::{Arg, Args, Need, Type, Value, suggest};
use crate::step::check_path;

/// What the arguments of a block are about, as far as other arguments say.
#[derive(Default)]
struct About {
    job: Option<String>,
    /// Whether limits are times.
    timed: bool,
}

impl Reader<'_> {
    /// Reads the arguments of a block. `label` is the block's label, where it has one.
    pub(super) fn arguments(
        &mut self,
        block: &Block,
        known: &[&'static Arg],
        label: Option<&str>,
    ) -> Args {
        let mut args = Args::default();
        let mut about = About {
            job: None,
            timed: label.is_some_and(|name| name.ends_with("_ms")),
        };
        let attributes: Vec<&Attribute> = block.body.attributes().collect();
        for attribute in &attributes {
            let name = attribute.key.as_str();
            if !known.iter().any(|arg| arg.name == name) {
                let names: Vec<_> = known.iter().map(|arg| arg.name).collect();
                let whose = whose(block);
                let hint = suggest(name, names);
                self.tell(
                    attribute.key.span(),
                    format!("unknown argument `{name}` of {whose}{hint}"),
                );
            }
        }
        // The job first: groups, ports and variables are looked up in it.
        let mut ordered: Vec<&'static Arg> = known.to_vec();
        ordered.sort_by_key(|arg| !matches!(arg.of, Type::Job | Type::JobFile));
        for arg in ordered {
            let given = attributes.iter().find(|one| one.key.as_str() == arg.name);
            match given {
                Some(attribute) if arg.of == Type::JobFile => {
                    if let Some(value) = self.job_argument(&attribute.value, block) {
                        args.put(arg.name, value);
                    }
                }
                // Read together with the job.
                Some(_) if arg.of == Type::JobVariables => {}
                Some(attribute) => {
                    let value = self.argument(arg, &attribute.value, &about);
                    if let (Type::Job, Some(Value::Text(job))) = (arg.of, &value) {
                        about.job = Some(job.clone());
                    }
                    if let Some(value) = value {
                        args.put(arg.name, value);
                    }
                }
                None if arg.need == Need::Required => {
                    let whose = whose(block);
                    self.tell(
                        block.ident.span(),
                        format!("{whose} lacks `{}`, {}: {}", arg.name, arg.about, arg.of),
                    );
                }
                None => {}
            }
        }
        args
    }

    /// Reads one argument.
    fn argument(&mut self, arg: &Arg, expr: &Expression, about: &About) -> Option<Value> {
        match arg.of {
            Type::Agents => self.agents(expr),
            Type::Role => self.role(expr),
            _ => {
                let value = self.value(expr)?;
                let read = self.typed(arg, &value, expr.span(), about);
                match read {
                    Ok(value) => Some(value),
                    Err(message) => {
                        self.tell(expr.span(), message);
                        None
                    }
                }
            }
        }
    }

    fn typed(
        &mut self,
        arg: &Arg,
        value: &Json,
        place: Place,
        about: &About,
    ) -> Result<Value, String> {
        let other = || {
            format!(
                "`{}` takes {}, and this is {}",
                arg.name,
                arg.of,
                kind_of(value)
            )
        };
        let text = || value.as_str().map(str::to_owned).ok_or_else(other);
        Ok(match arg.of {
            Type::Duration => Value::Duration(time(arg, value).unwrap_or_else(|| Err(other()))?),
            Type::Count => Value::Count(value.as_u64().ok_or_else(other)?),
            Type::Rate => Value::Count(value.as_u64().filter(|n| *n > 0).ok_or_else(other)?),
            Type::Text => Value::Text(text()?),
            Type::Flag => Value::Flag(value.as_bool().ok_or_else(other)?),
            Type::Json => Value::Json(value.clone()),
            Type::Job => Value::Text(self.known_job(text()?)?),
            Type::Region => Value::Text(self.known_region(text()?)?),
            Type::Port | Type::Group => {
                let word = text()?;
                self.of_job(arg.of, &word, about)?;
                Value::Text(word)
            }
            Type::Choice(words) => {
                let word = text()?;
                if !words.contains(&word.as_str()) {
                    let hint = suggest(&word, words.iter().copied());
                    return Err(format!("`{}` cannot be `{word}`{hint}", arg.name));
                }
                Value::Text(word)
            }
            Type::Texts => Value::Texts(texts(value).ok_or_else(other)?),
            Type::Words => Value::Words(words(value).ok_or_else(other)?),
            Type::Paths => {
                let entries = value.as_object().ok_or_else(other)?;
                for path in entries.keys() {
                    check_path(path)?;
                }
                let pairs = entries.iter().map(|(k, v)| (k.clone(), v.clone()));
                Value::Paths(pairs.collect())
            }
            Type::Limit => Value::Number(limit(arg, value, about.timed)?),
            Type::NewMeasure => {
                let name = text()?;
                self.new_measure(&name, place)?;
                Value::Text(name)
            }
            Type::Agents | Type::Role | Type::JobFile | Type::JobVariables => {
                return Err(other());
            }
        })
    }

    /// Returns a region's name, if the scenario needs that one.
    pub(super) fn known_region(&self, name: String) -> Result<String, String> {
        if self.regions.contains(&name) {
            return Ok(name);
        }
        let hint = suggest(&name, self.regions.iter().map(String::as_str));
        Err(format!("`needs` names no region `{name}`{hint}"))
    }

    fn job_argument(&mut self, expr: &Expression, block: &Block) -> Option<Value> {
        let variables = block.body.get_attribute("variables").map(|attribute| {
            let place = attribute.value.span();
            match self.value(&attribute.value) {
                Some(Json::Object(values)) => (values, place),
                Some(other) => {
                    let message = format!(
                        "`variables` takes {}, and this is {}",
                        Type::JobVariables,
                        kind_of(&other)
                    );
                    self.tell(place.clone(), message);
                    (serde_json::Map::new(), place)
                }
                None => (serde_json::Map::new(), place),
            }
        });
        let file = self.job_file(expr)?;
        self.jobs.insert(file.id().to_owned(), file.facts.clone());
        self.job_text(file, variables).map(Value::Job)
    }

    fn known_job(&self, job: String) -> Result<String, String> {
        if self.jobs.contains_key(&job) || self.jobs_unknown {
            return Ok(job);
        }
        let hint = suggest(&job, self.jobs.keys().map(String::as_str));
        Err(format!("no step before this submits job `{job}`{hint}"))
    }

    /// Checks that the job has such a group or port.
    fn of_job(&self, of: Type, word: &str, about: &About) -> Result<(), String> {
        let facts = about.job.as_ref().and_then(|job| self.jobs.get(job));
        let (Some(facts), Some(job)) = (facts, &about.job) else {
            return Ok(());
        };
        let (known, what) = match of {
            Type::Port => (&facts.ports, "port"),
            _ => (&facts.groups, "group"),
        };
        if known.contains(word) {
            return Ok(());
        }
        let hint = suggest(word, known.iter().map(String::as_str));
        Err(format!("job `{job}` has no {what} `{word}`{hint}"))
    }

    fn new_measure(&mut self, name: &str, _: Place) -> Result<(), String> {
        if !name.ends_with("_ms") {
            return Err(format!(
                "`{name}` is a time in milliseconds, which its name must say (did you mean \
                 `{name}_ms`?)"
            ));
        }
        self.measures.insert(name.to_owned());
        Ok(())
    }
}

/// Returns how messages call a block: with its label.
fn whose(block: &Block) -> String {
    match block.labels.first() {
        Some(label) => format!("`{} \"{}\"`", block.ident.as_str(), label.as_str()),
        None => format!("`{}`", block.ident.as_str()),
    }
}

/// Reads a time; `None` where the value is of another kind altogether.
fn time(arg: &Arg, value: &Json) -> Option<Result<Duration, String>> {
    let name = arg.name;
    match value {
        Json::Number(number) => Some(Err(format!(
            "`{name}` is a duration and needs a unit (did you mean `\"{number}s\"`?)"
        ))),
        Json::String(text) => Some(match duration::parse(text) {
            Ok(Duration::ZERO) => Err(format!("`{name}` must be longer than nothing")),
            read => read,
        }),
        _ => None,
    }
}

/// Reads a limit on a number: a time in milliseconds, or a plain number.
fn limit(arg: &Arg, value: &Json, timed: bool) -> Result<f64, String> {
    let name = arg.name;
    match (timed, value) {
        (false, Json::Number(number)) => Ok(number.as_f64().unwrap_or(f64::NAN)),
        (true, Json::String(text)) => Ok(duration::parse(text)?.as_secs_f64() * 1000.0),
        (true, Json::Number(number)) => Err(format!(
            "the measure is a time, and `{name}` needs a unit (did you mean `\"{number}ms\"`?)"
        )),
        (false, Json::String(text)) => Err(format!(
            "the measure is no time, and `{name}` takes a number without quotes and unit, not \
             `\"{text}\"`"
        )),
        _ => Err(format!(
            "`{name}` takes {}, and this is {}",
            arg.of,
            kind_of(value)
        )),
    }
}

fn words(value: &Json) -> Option<Vec<String>> {
    let items = value.as_array().filter(|items| !items.is_empty())?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn texts(value: &Json) -> Option<BTreeMap<String, String>> {
    let entries = value.as_object()?.iter();
    entries
        .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
