//! The configuration as `agent/self` shows it: Nomad 1.8.3's shapes and defaults, and what the files say.
//!
//! As in Nomad, keys have the names of its types and not those of files (`Server.HeartbeatGrace`), durations are
//! nanoseconds or the file's text, by field, and what is not set is zero, empty or null: what Nomad takes then is
//! not told. Shown is what was configured, acted on or not (`stats.runtime.inert_keys` names the latter). No
//! secrets: where Nomad shows `<redacted>` nothing is shown, and response headers are left out.

mod table;

use serde_json::{Value as Json, json};

use super::hcl::{Block, Value};
use super::reader::parse_duration;
use table::{AGENT, CLIENT, SERVER};

/// Keys of one block of files, which are fields of one type of Nomad's. Who reads the JSON has a table of his
/// own, of fewer keys: from one table, a wrong name would be wrong on both sides and so never be seen.
pub struct Part<F: 'static> {
    /// The block, dotted; empty for the outermost.
    pub key: &'static str,
    /// Its place in `config` of the answer, a JSON pointer.
    pub place: &'static str,
    /// The key in the block, the field's name, and its form.
    pub rows: &'static [(&'static str, &'static str, F)],
}

impl<F: Copy> Part<F> {
    /// Returns each key in full, its place in full, and its form.
    pub fn rows(&self) -> impl Iterator<Item = (String, String, F)> {
        self.rows.iter().map(|(key, field, form)| {
            let dot = if self.key.is_empty() { "" } else { "." };
            let key = format!("{}{dot}{key}", self.key);
            (key, format!("{}/{field}", self.place), *form)
        })
    }
}

/// What Nomad shows where nothing is set (`DefaultConfig` of `command/agent/config.go`, and Go's zeros).
const DEFAULTS: &str = include_str!("defaults.json");

/// How a key of the files stands in the JSON.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// As it is.
    Plain,
    /// A text, whatever the file has.
    Text,
    /// Nanoseconds.
    Nanos,
    /// A list, or one text.
    List,
    /// Keys that the user chose, with texts.
    Map,
    /// A block that is null where it is not set.
    Open(fn() -> Json),
}

/// Returns `config` of `agent/self`, but for what is known only once everything is read: addresses, names, roles
/// and TLS.
pub(super) fn of(files: &Block) -> Json {
    let mut shown: Json = serde_json::from_str(DEFAULTS).expect("our own file is JSON");
    shown["Plugins"] = plugins(files);
    let parts = AGENT.iter().chain(SERVER).chain(CLIENT);
    for (key, place, form) in parts.flat_map(Part::rows) {
        let value = find(files, &key).and_then(|value| written(value, form));
        if let (Some(slot), Some(value)) = (shown.pointer_mut(&place), value) {
            *slot = value;
        }
    }
    shown
}

fn raft_boltdb() -> Json {
    json!({ "NoFreelistSync": false })
}

fn drain() -> Json {
    json!({ "Deadline": null, "Force": null, "IgnoreSystemJobs": null })
}

/// In Go's struct what the block does not say is false.
fn scheduler() -> Json {
    json!({
        "SchedulerAlgorithm": "", "MemoryOversubscriptionEnabled": false, "RejectJobRegistration": false,
        "PauseEvalBroker": false,
        "PreemptionConfig": {
            "SystemSchedulerEnabled": false, "SysBatchSchedulerEnabled": false,
            "BatchSchedulerEnabled": false, "ServiceSchedulerEnabled": false,
        },
    })
}

/// Only the drivers' own switches: what else stands there may be a registry's password.
fn plugins(files: &Block) -> Json {
    let Some(Value::Block(labels)) = find(files, "plugin") else {
        return Json::Null;
    };
    let plugin = |item: &super::hcl::Item| {
        let Value::Block(block) = &item.value else {
            return json!({ "Name": item.key, "Args": null, "Config": null });
        };
        let switches = match find(block, "config") {
            Some(Value::Block(config)) => config
                .items
                .iter()
                .filter(|one| matches!(one.value, Value::Bool(_)))
                .map(|one| (one.key.clone(), plain(&one.value)))
                .collect(),
            _ => serde_json::Map::new(),
        };
        json!({ "Name": item.key, "Args": null, "Config": switches })
    };
    labels.items.iter().map(plugin).collect()
}

fn find<'a>(block: &'a Block, path: &str) -> Option<&'a Value> {
    let (key, rest) = match path.split_once('.') {
        Some((key, rest)) => (key, Some(rest)),
        None => (path, None),
    };
    let value = &block.items.iter().find(|item| item.key == key)?.value;
    match (rest, value) {
        (None, value) => Some(value),
        (Some(rest), Value::Block(inner)) => find(inner, rest),
        (Some(_), _) => None,
    }
}

fn written(value: &Value, form: Form) -> Option<Json> {
    match (form, value) {
        (Form::Plain, value) => Some(match (value, plain(value)) {
            // Nomad takes numbers and truth values as texts, too.
            (Value::Text(text), as_text) => serde_json::from_str(text)
                .ok()
                .filter(|read: &Json| read.is_number() || read.is_boolean())
                .unwrap_or(as_text),
            (_, as_it_is) => as_it_is,
        }),
        (Form::Text, Value::Text(text)) => Some(text.clone().into()),
        (Form::Text, value) => Some(plain(value).to_string().into()),
        (Form::Nanos, Value::Text(text)) => {
            let nanos = parse_duration(text)?.as_nanos();
            u64::try_from(nanos).ok().map(Json::from)
        }
        (Form::Nanos, value @ Value::Number(_)) => Some(plain(value)),
        (Form::List, single @ Value::Text(_)) => Some(json!([plain(single)])),
        (Form::List, list @ Value::List(_)) => Some(plain(list)),
        (Form::Map, Value::Block(block)) => Some(texts(block)),
        (Form::Open(open), Value::Block(_)) => Some(open()),
        (Form::Nanos | Form::List | Form::Map | Form::Open(_), _) => None,
    }
}

fn texts(block: &Block) -> Json {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => plain(other).to_string(),
    };
    let pairs = block.items.iter();
    let pairs = pairs.map(|item| (item.key.clone(), Json::from(text(&item.value))));
    Json::Object(pairs.collect())
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Text(text) => text.clone().into(),
        Value::Bool(flag) => (*flag).into(),
        // Whole numbers stand as such, as Go's integers do.
        #[allow(
            clippy::cast_possible_truncation,
            reason = "its fraction is zero and it is small"
        )]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            (*number as i64).into()
        }
        Value::Number(number) => (*number).into(),
        Value::List(list) => list.iter().map(plain).collect(),
        Value::Block(block) => {
            let pairs = block.items.iter();
            let pairs = pairs.map(|item| (item.key.clone(), plain(&item.value)));
            Json::Object(pairs.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hcl;
    use super::*;

    fn shown(text: &str) -> Json {
        of(&hcl::parse(text).expect("it is HCL"))
    }

    #[test]
    fn what_is_not_set_is_as_nomad_shows_it() {
        let shown = shown("");
        let parts = AGENT.iter().chain(SERVER).chain(CLIENT);
        for (key, place, form) in parts.flat_map(Part::rows) {
            // What is inside a block that is not set is not there.
            let closed = place.contains("/RaftBoltConfig/")
                || place.contains("/Drain/")
                || place.contains("/DefaultSchedulerConfig/");
            assert!(closed || shown.pointer(&place).is_some(), "{key} {form:?}");
        }
        assert_eq!(shown["Server"]["HeartbeatGrace"], 0);
        assert_eq!(shown["Server"]["DefaultSchedulerConfig"], Json::Null);
        assert_eq!(shown["Client"]["GCInterval"], 60_000_000_000_u64);
        assert_eq!(shown["Client"]["Drain"], Json::Null);
    }

    #[test]
    fn what_is_set_has_nomads_shapes() {
        let shown = shown(
            "server {\n heartbeat_grace = \"1m30s\"\n raft_multiplier = \"5\"\n eval_gc_threshold = \"2h\"\n \
             encrypt = \"hush\"\n default_scheduler_config { scheduler_algorithm = \"spread\" }\n \
             raft_boltdb { no_freelist_sync = true }\n server_join { retry_join = [\"10.0.0.1\"] }\n}\n\
             client {\n meta { rack = 1 }\n gc_disk_usage_threshold = 85.5\n \
             drain_on_shutdown { deadline = \"10m\" }\n}\n\
             acl { replication_token = \"hush\" }\nvault { token = \"hush\" }\nconsul { token = \"hush\" }\n\
             http_api_response_headers { secret = \"hush\" }\n\
             plugin \"docker\" { config { allow_privileged = true auth { token = \"hush\" } } }\n",
        );
        let server = &shown["Server"];
        assert_eq!(server["HeartbeatGrace"], 90_000_000_000_u64);
        assert_eq!(server["RaftMultiplier"], 5);
        assert_eq!(server["EvalGCThreshold"], "2h");
        assert_eq!(server["ServerJoin"]["RetryJoin"], json!(["10.0.0.1"]));
        assert_eq!(server["RaftBoltConfig"]["NoFreelistSync"], true);
        let scheduler = &server["DefaultSchedulerConfig"];
        assert_eq!(scheduler["SchedulerAlgorithm"], "spread");
        assert_eq!(
            scheduler["PreemptionConfig"]["SystemSchedulerEnabled"],
            false
        );
        let client = &shown["Client"];
        assert_eq!(client["Meta"], json!({ "rack": "1" }));
        assert_eq!(client["GCDiskUsageThreshold"], 85.5);
        assert_eq!(client["Drain"]["Deadline"], "10m");
        assert_eq!(
            shown["Plugins"][0]["Config"],
            json!({ "allow_privileged": true })
        );
        assert!(!shown.to_string().contains("hush"), "{shown}");
    }
}
