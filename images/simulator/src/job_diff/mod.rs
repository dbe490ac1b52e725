//! How two versions of a job differ, field by field, as `nomad job plan` and
//! `nomad job history -p` show it.
//!
//! Both versions are taken apart as JSON. What Nomad does not compare (`spread`, `migrate`,
//! `lifecycle`, a task's `restart`) is not compared here either.

mod fields;
mod objects;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

pub use fields::{FieldDiff, Kind};
pub use objects::ObjectDiff;

use crate::scheduler::DesiredUpdates;
use crate::types::Job;
use fields::{differences, simple};
use objects::{
    anonymous, compound, elements, listed, networks, plain, services, templates, texts, whole, with,
};

/// A job, before and after.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct JobDiff {
    #[serde(rename = "Type")]
    pub kind: Kind,
    #[serde(rename = "ID")]
    pub id: String,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
    pub task_groups: Option<Vec<GroupDiff>>,
}

/// A group, before and after.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct GroupDiff {
    #[serde(rename = "Type")]
    pub kind: Kind,
    pub name: String,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
    pub tasks: Option<Vec<TaskDiff>>,
    /// How many allocations are created, destroyed, ...
    pub updates: Option<BTreeMap<&'static str, usize>>,
}

/// A task, before and after.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct TaskDiff {
    #[serde(rename = "Type")]
    pub kind: Kind,
    pub name: String,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
    /// What the change leads to.
    pub annotations: Option<Vec<&'static str>>,
}

/// Fields of a job that are the servers' or tell of its state.
const NOT_OF_THE_JOB: &[&str] = &[
    "ID",
    "Status",
    "StatusDescription",
    "Version",
    "Stable",
    "CreateIndex",
    "ModifyIndex",
    "JobModifyIndex",
    "SubmitTime",
    "Payload",
];

/// Times of a group that it may have or not: told only where the group was there before.
const OPTIONAL_TIMES: &[&str] = &[
    "MaxClientDisconnect",
    "ShutdownDelay",
    "StopAfterClientDisconnect",
];

impl JobDiff {
    /// How `new` differs from what was there before it.
    #[must_use]
    pub fn of(old: Option<&Job>, new: &Job) -> Self {
        let (before, after) = (json!(old), json!(new));
        let (old_flat, new_flat) = (
            simple(&before, NOT_OF_THE_JOB),
            simple(&after, NOT_OF_THE_JOB),
        );
        let mut found = Self {
            kind: Kind::Added,
            id: new.id.clone(),
            fields: listed(differences(&old_flat, &new_flat, false)),
            objects: listed(job_objects(&before, &after)),
            task_groups: listed(by_name(&before["TaskGroups"], &after["TaskGroups"], group)),
        };
        if old.is_some() {
            let objects = found.objects.iter().flatten().map(|one| one.kind);
            let groups = found.task_groups.iter().flatten().map(|one| one.kind);
            let same = objects.chain(groups).all(|kind| kind == Kind::None);
            found.kind = if same && found.fields.is_none() {
                Kind::None
            } else {
                Kind::Edited
            };
        }
        found
    }

    /// Notes what the scheduler would do for it.
    pub fn annotate(&mut self, desired: &BTreeMap<String, DesiredUpdates>) {
        for group in self.task_groups.iter_mut().flatten() {
            if let Some(desired) = desired.get(&group.name) {
                group.updates = Some(counts(desired));
            }
            let count = group.fields.iter_mut().flatten();
            for field in count.filter(|field| field.name == "Count") {
                let number = |text: &str| text.parse::<i64>().unwrap_or(0);
                let more = number(&field.new) > number(&field.old);
                field.annotations = Some(vec![if more { CREATE } else { DESTROY }]);
            }
            let kind = group.kind;
            for task in group.tasks.iter_mut().flatten() {
                task.annotate(kind);
            }
        }
    }
}

const CREATE: &str = "forces create";
const DESTROY: &str = "forces destroy";
const IN_PLACE: &str = "forces in-place update";
const DESTRUCTIVE: &str = "forces create/destroy update";

fn counts(desired: &DesiredUpdates) -> BTreeMap<&'static str, usize> {
    let all = [
        ("ignore", desired.ignore),
        ("create", desired.place),
        ("migrate", desired.migrate),
        ("destroy", desired.stop),
        ("canary", desired.canary),
        ("in-place update", desired.in_place_update),
        ("create/destroy update", desired.destructive_update),
    ];
    all.into_iter().filter(|(_, count)| *count != 0).collect()
}

impl TaskDiff {
    fn annotate(&mut self, group: Kind) {
        if self.kind == Kind::None {
            return;
        }
        let whole_group = matches!(group, Kind::Added | Kind::Deleted);
        let what = match self.kind {
            Kind::Added if whole_group => CREATE,
            Kind::Deleted if whole_group => DESTROY,
            _ if self.is_destructive() => DESTRUCTIVE,
            _ => IN_PLACE,
        };
        self.annotations = Some(vec![what]);
    }

    fn is_destructive(&self) -> bool {
        let mut fields = self.fields.iter().flatten();
        let mut objects = self.objects.iter().flatten();
        let mild = |one: &ObjectDiff| matches!(one.name, "Service" | "Constraint" | "LogConfig");
        fields.any(|field| field.name != "KillTimeout") || !objects.all(mild)
    }
}

fn job_objects(old: &Value, new: &Value) -> Vec<ObjectDiff> {
    let mut found = Vec::new();
    let changed = |one: &ObjectDiff| one.kind != Kind::None;
    let datacenters = texts("Datacenters", &old["Datacenters"], &new["Datacenters"]);
    found.extend(datacenters.filter(changed));
    found.extend(conditions(old, new));
    let periodic = (&old["Periodic"], &new["Periodic"]);
    found.extend(compound("Periodic", periodic, &[], true, |old, new| {
        let specs = texts("Specs", &old["Specs"], &new["Specs"]);
        specs.filter(changed).into_iter().collect()
    }));
    let launched = (&old["ParameterizedJob"], &new["ParameterizedJob"]);
    found.extend(compound(
        "ParameterizedJob",
        launched,
        &[],
        true,
        |old, new| {
            let set = |name| texts(name, &old[name], &new[name]);
            [set("MetaOptional"), set("MetaRequired")]
                .into_iter()
                .flatten()
                .collect()
        },
    ));
    found
}

/// `constraint` and `affinity`, which jobs, groups and tasks have.
fn conditions(old: &Value, new: &Value) -> Vec<ObjectDiff> {
    let mut found = anonymous(&old["Constraints"], &new["Constraints"], |old, new| {
        plain("Constraint", old, new, &[])
    });
    found.extend(anonymous(
        &old["Affinities"],
        &new["Affinities"],
        |old, new| plain("Affinity", old, new, &[]),
    ));
    found
}

/// Groups, or tasks, in the order of their names.
fn by_name<T>(old: &Value, new: &Value, tell: impl Fn(&Value, &Value) -> T) -> Vec<T> {
    let (old, new) = (elements(old), elements(new));
    let names = old.iter().chain(new).filter_map(|one| one["Name"].as_str());
    let named = |list: &[Value], name: &str| {
        let mut all = list.iter();
        all.find(|one| one["Name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let names: BTreeSet<&str> = names.collect();
    names
        .into_iter()
        .map(|name| tell(&named(old, name), &named(new, name)))
        .collect()
}

fn kind_and_name(old: &Value, new: &Value) -> (Kind, String) {
    let kind = match (old, new) {
        (Value::Null, _) => Kind::Added,
        (_, Value::Null) => Kind::Deleted,
        (old, new) if old == new => Kind::None,
        _ => Kind::Edited,
    };
    let one = if new.is_null() { old } else { new };
    (kind, one["Name"].as_str().unwrap_or_default().to_owned())
}

fn group(old: &Value, new: &Value) -> GroupDiff {
    let (kind, name) = kind_and_name(old, new);
    let left_out = [&["Name"], OPTIONAL_TIMES].concat();
    let (mut old_flat, mut new_flat) = (simple(old, &left_out), simple(new, &left_out));
    if !old.is_null() && !new.is_null() {
        for time in OPTIONAL_TIMES {
            for (flat, group) in [(&mut old_flat, old), (&mut new_flat, new)] {
                if let Some(nanos) = group[*time].as_i64() {
                    flat.insert((*time).to_owned(), nanos.to_string());
                }
            }
        }
    }
    GroupDiff {
        kind,
        name,
        fields: listed(differences(&old_flat, &new_flat, false)),
        objects: listed(group_objects(old, new)),
        tasks: listed(by_name(&old["Tasks"], &new["Tasks"], task)),
        updates: None,
    }
}

fn group_objects(old: &Value, new: &Value) -> Vec<ObjectDiff> {
    let mut found = conditions(old, new);
    let pair = |name: &str, unset: &Value| (with(&old[name], unset), with(&new[name], unset));
    let (a, b) = pair("RestartPolicy", &json!({ "RenderTemplates": false }));
    found.extend(plain("RestartPolicy", &a, &b, &[]));
    let (a, b) = pair("ReschedulePolicy", &json!({}));
    found.extend(plain("ReschedulePolicy", &a, &b, &[]));
    // Every group has the same.
    let disk = json!({ "Sticky": false, "SizeMB": 300, "Migrate": false });
    let disk_of = |group: &Value| {
        if group.is_null() {
            Value::Null
        } else {
            disk.clone()
        }
    };
    found.extend(plain("EphemeralDisk", &disk_of(old), &disk_of(new), &[]));
    found.extend(plain(
        "Update",
        &old["Update"],
        &new["Update"],
        &["Stagger"],
    ));
    found.extend(whole(
        "Disconnect",
        &old["Disconnect"],
        &new["Disconnect"],
        true,
    ));
    found.extend(networks(&old["Networks"], &new["Networks"]));
    let scaling = (&old["Scaling"], &new["Scaling"]);
    found.extend(compound(
        "Scaling",
        scaling,
        &["Type"],
        false,
        |old, new| {
            let policy = whole("Policy", &old["Policy"], &new["Policy"], false);
            policy.into_iter().collect()
        },
    ));
    found.extend(services(&old["Services"], &new["Services"]));
    found
}

fn task(old: &Value, new: &Value) -> TaskDiff {
    let (kind, name) = kind_and_name(old, new);
    let flat = |task: &Value| simple(task, &["Name", "Config"]);
    let mut found = conditions(old, new);
    found.extend(whole("Config", &old["Config"], &new["Config"], true));
    let unset = json!({ "Cores": 0, "MemoryMaxMB": 0, "IOPS": 0 });
    let resources = |task: &Value| with(&task["Resources"], &unset);
    let (a, b) = (resources(old), resources(new));
    found.extend(compound("Resources", (&a, &b), &[], true, |old, new| {
        networks(&old["Networks"], &new["Networks"])
    }));
    let logs = |task: &Value| with(&task["LogConfig"], &json!({ "Disabled": false }));
    found.extend(plain("LogConfig", &logs(old), &logs(new), &[]));
    let payload = "DispatchPayload";
    found.extend(plain(payload, &old[payload], &new[payload], &[]));
    found.extend(services(&old["Services"], &new["Services"]));
    found.extend(templates(&old["Templates"], &new["Templates"]));
    TaskDiff {
        kind,
        name,
        fields: listed(differences(&flat(old), &flat(new), false)),
        objects: listed(found),
        annotations: None,
    }
}
