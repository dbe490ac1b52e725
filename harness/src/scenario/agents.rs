//! Picks of agents: `leader`, `any(client)`, `node_running("web")`, `"server-1"`.

use std::collections::BTreeMap;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, FuncCall};
use serde_json::Value as Json;

use super::reader::{Place, Reader};
use super::value::kind_of;
use crate::grammar::{Arg, Args, Type, Value, Word, suggest};
use crate::pick::{BY_NAME, PICKS, Pick};

impl Reader<'_> {
    /// Reads which agents are meant.
    pub(super) fn agents(&mut self, expr: &Expression) -> Option<Value> {
        let read = match expr {
            Expression::Variable(word) => self.pick_word(word.as_str(), expr.span()),
            Expression::FuncCall(call) => self.pick_call(call),
            _ => {
                let quoted = matches!(expr, Expression::String(_));
                match self.value(expr)? {
                    Json::String(text) => self.agent_text(&text, quoted, expr.span()),
                    Json::Array(names) => self.agent_names(&names, expr.span()),
                    other => {
                        let message = format!(
                            "{} is expected, and this is {}",
                            Type::Agents,
                            kind_of(&other)
                        );
                        self.tell(expr.span(), message);
                        None
                    }
                }
            }
        };
        self.picked = true;
        read
    }

    fn pick(&mut self, word: &str, place: Place) -> Option<&'static Word<Pick>> {
        let found = PICKS.iter().find(|known| known.name == word);
        if found.is_none() {
            let hint = suggest(word, PICKS.iter().map(|known| known.name));
            self.tell(place, format!("unknown pick `{word}`{hint}"));
        }
        found
    }

    fn pick_word(&mut self, word: &str, place: Place) -> Option<Value> {
        let known = self.pick(word, place.clone())?;
        if let Some(arg) = known.args.first() {
            let example = match arg.of {
                Type::Role => "server",
                _ => "\"JOB\"",
            };
            let message = format!("`{word}` takes {}: `{word}({example})`", arg.of);
            self.tell(place, message);
            return None;
        }
        if known.name == "each" && self.turns == 0 {
            self.tell(place, "`each` means something inside `for_each` only");
            return None;
        }
        if known.name == "last" && !self.picked {
            self.tell(place, "`last` wants a step before this that picks agents");
            return None;
        }
        Some(Value::Word(known.name, Args::default()))
    }

    fn pick_call(&mut self, call: &FuncCall) -> Option<Value> {
        let place = call.name.name.span();
        let known = self.pick(call.name.name.as_str(), place.clone())?;
        let name = known.name;
        let mut given = call.args.iter();
        let (Some(arg), Some(expr), None) = (known.args.first(), given.next(), given.next()) else {
            let takes = known.args.len();
            let message = format!(
                "`{name}` takes {takes} argument(s), not {}",
                call.args.iter().count()
            );
            self.tell(place, message);
            return None;
        };
        let value = self.pick_argument(arg, expr)?;
        let mut args = Args::default();
        args.put(arg.name, value);
        Some(Value::Word(name, args))
    }

    fn pick_argument(&mut self, arg: &Arg, expr: &Expression) -> Option<Value> {
        if arg.of == Type::Role {
            return self.role(expr);
        }
        match self.value(expr)? {
            Json::String(job) if self.jobs.contains_key(&job) || self.jobs_unknown => {
                Some(Value::Text(job))
            }
            Json::String(job) => {
                let hint = suggest(&job, self.jobs.keys().map(String::as_str));
                let message = format!("no step before this submits job `{job}`{hint}");
                self.tell(expr.span(), message);
                None
            }
            other => {
                let message = format!("{} is expected, and this is {}", arg.of, kind_of(&other));
                self.tell(expr.span(), message);
                None
            }
        }
    }

    /// Reads `server` or `client`.
    pub(super) fn role(&mut self, expr: &Expression) -> Option<Value> {
        const ROLES: [&str; 2] = ["server", "client"];
        let word = match expr {
            Expression::Variable(word) => word.as_str().to_owned(),
            other => self.value(other)?.as_str().unwrap_or_default().to_owned(),
        };
        if ROLES.contains(&word.as_str()) {
            return Some(Value::Text(word));
        }
        let hint = suggest(&word, ROLES);
        self.tell(expr.span(), format!("unknown role `{word}`{hint}"));
        None
    }

    /// A text is a name; a variable may also hold a word.
    fn agent_text(&mut self, text: &str, quoted: bool, place: Place) -> Option<Value> {
        if PICKS.iter().any(|known| known.name == text) {
            if quoted {
                let message = format!("`{text}` is a word, not a name: write it without quotes");
                self.tell(place, message);
                return None;
            }
            return self.pick_word(text, place);
        }
        self.agent_names(&[Json::from(text)], place)
    }

    fn agent_names(&mut self, names: &[Json], place: Place) -> Option<Value> {
        let mut texts = BTreeMap::new();
        if names.is_empty() {
            self.tell(place.clone(), "an empty list picks nobody");
            return None;
        }
        for (number, name) in names.iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            let further = self.regions.iter().skip(1);
            let mut inside =
                further.filter_map(|region| name.strip_prefix(region)?.strip_prefix('-'));
            let plain = inside.next().unwrap_or(name);
            let of = |role: &str| plain.strip_prefix(role)?.parse::<usize>().ok();
            let (of_role, there) = match (of("server-"), of("client-")) {
                (Some(number), _) => (number, self.servers),
                (_, Some(number)) => (number, self.clients),
                _ => {
                    let words = PICKS.iter().map(|known| known.name);
                    let hint = crate::grammar::nearest(name, words)
                        .map_or_else(String::new, |near| format!(", or the word `{near}`"));
                    let message = format!(
                        "`{name}` is no agent's name (expected one as `server-1` or \
                         `client-2`{hint})"
                    );
                    self.tell(place.clone(), message);
                    return None;
                }
            };
            if !(1..=there).contains(&of_role) {
                let message = format!(
                    "there may be no `{name}`: the scenario needs {} servers and {} clients",
                    self.servers, self.clients
                );
                self.tell(place.clone(), message);
                return None;
            }
            texts.insert(format!("{number:03}"), name.to_owned());
        }
        let mut args = Args::default();
        args.put("names", Value::Texts(texts));
        Some(Value::Word(BY_NAME, args))
    }
}
