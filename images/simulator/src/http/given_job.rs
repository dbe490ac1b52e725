//! A job as submitters send it: Go's JSON, with nulls for what is left out and with fields
//! that the simulator does not honour. Those are refused by name, never dropped.

use serde_json::{Value, json};

use super::reply::ApiError;
use crate::client::template;
use crate::jobspec;
use crate::state::multierror;
use crate::types::Job;

/// Types of jobs; none is a service.
const TYPES: &[&str] = &["", "service", "batch", "system", "sysbatch"];

/// Fields with a default of Nomad's that changes nothing here, as canonical jobs carry them.
fn is_harmless(name: &str, value: &Value) -> bool {
    match name {
        "EphemeralDisk" => *value == json!({ "Sticky": false, "SizeMB": 300, "Migrate": false }),
        // Set by the servers, or by clients that send back what they read.
        "NomadTokenID" => true,
        "AddressMode" => is_empty(value) || matches!(value.as_str(), Some("auto" | "host")),
        "Cluster" => is_empty(value) || *value == "default",
        "Consul" => value.as_object().is_none_or(|fields| {
            let defaults = [json!(""), json!("default")];
            fields.values().all(|value| defaults.contains(value))
        }),
        _ => is_empty(value),
    }
}

/// Whether a value is what Go leaves where nothing is said.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// Reads a job and fills what it leaves out.
///
/// # Errors
/// 400 where it is no job, 501 where it asks for what is not simulated.
pub fn read(given: Option<Value>) -> Result<Job, ApiError> {
    let (job, problems) = read_whole(given)?;
    if problems.is_empty() {
        return Ok(job);
    }
    Err(ApiError::server(multierror(&problems)))
}

/// The same, with all that is wrong with a job whose type is none: its other problems are looked
/// for as if it were a service.
///
/// # Errors
/// As [`read`].
pub fn read_whole(given: Option<Value>) -> Result<(Job, Vec<String>), ApiError> {
    let mut given = match given {
        None | Some(Value::Null) => return Err(ApiError::bad("Job must be specified")),
        Some(given) => given,
    };
    drop_nulls(&mut given);
    let unknown_type = given["Type"].as_str().filter(|kind| !TYPES.contains(kind));
    let unknown_type = unknown_type.map(|kind| format!("Invalid job type: {kind:?}"));
    if unknown_type.is_some() {
        given["Type"] = json!("service");
    }
    let parsed = serde_json::from_value::<Job>(given.clone());
    let mut job = parsed.map_err(|error| ApiError::bad(error.to_string()))?;
    if job.id.is_empty() {
        return Err(ApiError::bad("Job ID hasn't been provided"));
    }
    let mut unknown = Vec::new();
    not_honoured(&given, &json!(job), "Job", &mut unknown);
    let tasks = job.task_groups.iter().flat_map(|group| &group.tasks);
    for task in tasks {
        let templates = task.templates.iter().flatten();
        let refused = templates.filter_map(template::not_simulated);
        unknown.extend(refused.map(|what| format!("{what} in task `{}`", task.name)));
    }
    unknown.extend(checks_not_simulated(&job));
    if !unknown.is_empty() {
        return Err(ApiError::not_simulated(&unknown.join(", ")));
    }
    // The servers' to say, though jobs that were read and are sent back carry it.
    job.stable = false;
    jobspec::canonicalize(&mut job);
    let mut problems = Vec::new();
    if let Some(unknown_type) = unknown_type {
        problems.push(unknown_type);
        problems.extend(jobspec::validate(&job));
    }
    Ok((job, problems))
}

/// Checks that Consul would run, or that need a certificate.
fn checks_not_simulated(job: &Job) -> Vec<String> {
    let mut found = Vec::new();
    for group in &job.task_groups {
        let of_tasks = group.tasks.iter().flat_map(|task| &task.services);
        for service in group.services.iter().chain(of_tasks).flatten() {
            for check in service.checks.iter().flatten() {
                let what = format!("check `{}` of service `{}`", check.name, service.name);
                if service.provider != "nomad" {
                    found.push(format!("{what}, whose provider is not Nomad"));
                } else if !matches!(check.protocol.as_str(), "" | "http") {
                    found.push(format!("{what} by `{}`", check.protocol));
                }
            }
        }
    }
    found
}

/// Go writes `null` for what is left out.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Collects the paths in `given` that reading it did not keep.
fn not_honoured(given: &Value, kept: &Value, path: &str, unknown: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, value) in given {
                match kept.get(name) {
                    Some(kept) => not_honoured(value, kept, &format!("{path}.{name}"), unknown),
                    None if is_harmless(name, value) => {}
                    None => unknown.push(format!("`{path}.{name}`")),
                }
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (at, (given, kept)) in given.iter().zip(kept).enumerate() {
                not_honoured(given, kept, &format!("{path}[{at}]"), unknown);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(group: &Value) -> Value {
        json!({ "ID": "web", "Priority": null, "TaskGroups": [group], "Periodic": null })
    }

    #[test]
    fn nulls_and_defaults_are_as_good_as_nothing() {
        let given = job(&json!({
            "Name": "web",
            "Count": 1,
            "Volumes": {},
            "EphemeralDisk": { "Sticky": false, "SizeMB": 300, "Migrate": false },
            "Tasks": null,
        }));
        let job = read(Some(given)).unwrap();
        assert_eq!((job.priority, job.namespace.as_str()), (50, "default"));
    }

    #[test]
    fn every_field_that_is_not_honoured_is_named() {
        let given = job(&json!({
            "Name": "web",
            "Volumes": { "data": { "Type": "host" } },
            "Tasks": [{ "Name": "web", "Artifacts": [{ "GetterSource": "https://a" }] }],
        }));
        let error = read(Some(given)).unwrap_err().to_string();
        assert!(error.contains("`Job.TaskGroups[0].Volumes`"), "{error}");
        assert!(
            error.contains("`Job.TaskGroups[0].Tasks[0].Artifacts`"),
            "{error}"
        );
    }

    #[test]
    fn a_drivers_configuration_is_kept_whole() {
        let config =
            json!({ "command": "/bin/a", "args": ["-x"], "nested": { "a": [1, { "b": 2 }] } });
        let given = job(&json!({ "Name": "web", "Tasks": [{ "Name": "web", "Config": config }] }));
        let job = read(Some(given)).unwrap();
        assert_eq!(json!(job.task_groups[0].tasks[0].config), config);
    }

    #[test]
    fn no_job_and_no_id_are_bad_requests() {
        assert_eq!(
            read(None).unwrap_err(),
            ApiError::bad("Job must be specified")
        );
        let error = read(Some(json!({ "Name": "web" }))).unwrap_err();
        assert_eq!(error, ApiError::bad("Job ID hasn't been provided"));
    }
}
