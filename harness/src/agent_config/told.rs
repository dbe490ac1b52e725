//! What an agent says of its own configuration (`agent/self`), in the words of configuration files.
//!
//! Nomad shows its types (`Server.HeartbeatGrace`, nanoseconds) and not its files (`server.heartbeat_grace`,
//! `10s`); zero, empty and null mean that a key is not set, and what Nomad takes then is not told
//! (`command/agent/config.go`, `nomad/structs/config/*`, from 1.1.2 to 2.0.5).
//!
//! Only keys of the table are taken over: never a secret, since none stands in it; nor what each agent has to
//! itself (name, addresses, folders, certificates). Of maps whose keys or values the user chooses nothing is
//! taken but the names that are listed here: who knows what stands in the others.

mod table;

use std::collections::BTreeMap;

use agent::config::Part;
use agent::jobspec::duration;
use serde_json::{Value, json};

use table::{AGENT, CLIENT, OPTIONS, SERVER, SWITCHES};

/// An agent's own account of its configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// By key, as files have them.
    pub settings: BTreeMap<String, Value>,
    /// Keys, or blocks, that its files set and that it does not act on: the simulator says so.
    pub inert: Vec<String>,
}

/// How a value stands in the answer.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A text; empty where it is not set.
    Text,
    /// A truth value, or null.
    Flag,
    /// A number; 0 where it is not set.
    Count,
    /// A number or null: 0 is a value.
    Exact,
    /// A duration in nanoseconds; 0 where it is not set.
    Nanos,
    /// A duration as text; empty where it is not set.
    Time,
    /// Texts whose order means nothing.
    Texts,
}

/// Reads an answer of `agent/self`; `None` where it holds no configuration.
#[must_use]
pub fn told(answer: &Value) -> Option<Told> {
    let config = &answer["config"];
    let is = |role: &str| config[role]["Enabled"].as_bool();
    let (server, client) = (is("Server"), is("Client"));
    // Every Nomad tells both.
    if server.is_none() && client.is_none() {
        return None;
    }
    let mut told = Told::default();
    take(config, AGENT, &mut told.settings);
    if server == Some(true) {
        take(config, SERVER, &mut told.settings);
        // The key itself is never shown; that there is one, Serf tells.
        if answer["stats"]["serf"]["encrypted"] == "true" {
            told.settings
                .insert("server.encrypt".to_owned(), json!("set"));
        }
    }
    if client == Some(true) {
        take(config, CLIENT, &mut told.settings);
        chosen(config, &mut told.settings);
    }
    let inert = answer["stats"]["runtime"]["inert_keys"].as_str();
    let inert = inert.unwrap_or_default().split(',');
    told.inert = inert
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect();
    Some(told)
}

fn take(config: &Value, parts: &[Part<Form>], settings: &mut BTreeMap<String, Value>) {
    for (key, place, form) in parts.iter().flat_map(Part::rows) {
        let value = config.pointer(&place).and_then(|value| read(value, form));
        if let Some(value) = value {
            settings.insert(key, value);
        }
    }
}

/// Takes what is listed here of the maps and blocks that carry labels.
fn chosen(config: &Value, settings: &mut BTreeMap<String, Value>) {
    for name in OPTIONS {
        if let Some(value) = config["Client"]["Options"][name].as_str() {
            settings.insert(format!("client.options.{name}"), json!(value));
        }
    }
    for plugin in config["Plugins"].as_array().into_iter().flatten() {
        for (label, switch) in SWITCHES {
            let value = &plugin["Config"][switch];
            if plugin["Name"] == *label && (value.is_boolean() || value.is_string()) {
                let key = format!("plugin.{label}.config.{switch}");
                settings.insert(key, value.clone());
            }
        }
    }
    for volume in config["Client"]["HostVolumes"]
        .as_array()
        .into_iter()
        .flatten()
    {
        if let (Some(name), Some(value)) = (volume["Name"].as_str(), volume["ReadOnly"].as_bool()) {
            let key = format!("client.host_volume.{name}.read_only");
            settings.insert(key, json!(value));
        }
    }
}

fn read(value: &Value, form: Form) -> Option<Value> {
    match form {
        Form::Text => value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(Value::from),
        Form::Flag => value.as_bool().map(Value::from),
        Form::Count => number(value).filter(|number| number.as_f64() != Some(0.0)),
        Form::Exact => number(value),
        Form::Nanos => value.as_i64().filter(|nanos| *nanos != 0).map(time),
        Form::Time => {
            let text = value.as_str().filter(|text| !text.is_empty())?;
            Some(duration::parse(text).map_or_else(|_| json!(text), time))
        }
        Form::Texts => {
            let list = value.as_array().filter(|list| !list.is_empty())?;
            let mut texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            texts.sort_unstable();
            Some(json!(texts))
        }
    }
}

/// A whole number as such, whatever Go's type is.
fn number(value: &Value) -> Option<Value> {
    let number = value.as_f64()?;
    let whole = number.fract() == 0.0 && number.abs() < 9e15;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "its fraction is zero and it is small"
    )]
    let value = match whole {
        true => json!(number as i64),
        false => json!(number),
    };
    Some(value)
}

/// As people write it: `5m`, not `5m0s`.
fn time(nanos: i64) -> Value {
    let mut text = duration::format(nanos);
    for (long, short) in [("m0s", 2), ("h0m", 2)] {
        if text.ends_with(long) {
            text.truncate(text.len() - short);
        }
    }
    text.into()
}

#[cfg(test)]
mod tests;
