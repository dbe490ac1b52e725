//! Jobs for cases: small ones, whose tasks run the workload that every image carries.

use serde_json::{Value, json};

use super::ground::Ground;

/// The workload inside every image.
const PROGRAM: &str = "/usr/local/bin/rehearse-agent";
const SECOND: i64 = 1_000_000_000;

/// A batch job of one task that ends at once with this code, and is not tried again.
pub(super) fn batch(ground: &Ground, what: &str, code: u8) -> Value {
    let code = code.to_string();
    let mut job = job(ground, what, "batch", &["workload", "-exit", code.as_str()]);
    job["TaskGroups"][0]["ReschedulePolicy"] = json!({ "Attempts": 0, "Unlimited": false });
    job
}

/// A service job of one small web server on a port of its own, healthy after 0.1 s.
pub(super) fn service(ground: &Ground, what: &str) -> Value {
    let mut job = job(ground, what, "service", &["workload"]);
    let group = &mut job["TaskGroups"][0];
    group["Networks"] = json!([{ "DynamicPorts": [{ "Label": "http" }] }]);
    group["ReschedulePolicy"] = json!({
        "Attempts": 0, "Unlimited": false, "Delay": 5 * SECOND, "DelayFunction": "constant",
        "Interval": 60 * SECOND,
    });
    group["Update"] = json!({
        "MaxParallel": 1,
        "HealthCheck": "task_states",
        "MinHealthyTime": SECOND / 10,
        "HealthyDeadline": 30 * SECOND,
        "ProgressDeadline": 60 * SECOND,
        "Stagger": 30 * SECOND,
    });
    job
}

/// A system job of one small web server on every node.
pub(super) fn system(ground: &Ground, what: &str) -> Value {
    let mut job = job(ground, what, "system", &["workload"]);
    job["TaskGroups"][0]["Networks"] = json!([{ "DynamicPorts": [{ "Label": "http" }] }]);
    job
}

/// A service job of so many web servers.
pub(super) fn services(ground: &Ground, what: &str, count: u32) -> Value {
    let mut job = service(ground, what);
    job["TaskGroups"][0]["Count"] = json!(count);
    job
}

/// A service job that no node may take: it stays pending, and no capacity that comes free makes
/// the scheduler look again.
pub(super) fn waiting(ground: &Ground, what: &str) -> Value {
    let mut job = service(ground, what);
    job["Constraints"] = json!([
        { "LTarget": "${attr.kernel.name}", "Operand": "=", "RTarget": "nothing" },
    ]);
    job
}

/// A service job that fits nowhere.
pub(super) fn too_large(ground: &Ground, what: &str) -> Value {
    let mut job = service(ground, what);
    job["TaskGroups"][0]["Tasks"][0]["Resources"]["CPU"] = json!(1_000_000);
    job
}

/// The same job, so changed that its allocations must be replaced.
pub(super) fn changed(job: &Value, mark: &str) -> Value {
    let mut job = job.clone();
    job["TaskGroups"][0]["Tasks"][0]["Env"] = json!({ "MARK": mark });
    job
}

/// Sets the workload's arguments.
pub(super) fn with_arguments(mut job: Value, arguments: &[&str]) -> Value {
    job["TaskGroups"][0]["Tasks"][0]["Config"]["args"] = json!(arguments);
    job
}

/// A job's ID.
pub(super) fn id(job: &Value) -> &str {
    job["ID"].as_str().unwrap_or_default()
}

/// A job's first group.
pub(super) fn group(job: &mut Value) -> &mut Value {
    &mut job["TaskGroups"][0]
}

/// A job's first task.
pub(super) fn task(job: &mut Value) -> &mut Value {
    &mut job["TaskGroups"][0]["Tasks"][0]
}

fn job(ground: &Ground, what: &str, kind: &str, arguments: &[&str]) -> Value {
    let id = ground.named(what);
    json!({
        "ID": id,
        "Name": id,
        "Type": kind,
        "Datacenters": [ground.datacenter],
        "TaskGroups": [{
            "Name": "web",
            "Count": 1,
            "RestartPolicy": {
                "Attempts": 0, "Mode": "fail", "Interval": 60 * SECOND, "Delay": SECOND,
            },
            "Tasks": [{
                "Name": "main",
                "Driver": "raw_exec",
                "Config": { "command": PROGRAM, "args": arguments },
                "Resources": { "CPU": 20, "MemoryMB": 16 },
                "LogConfig": { "MaxFiles": 1, "MaxFileSizeMB": 1 },
            }],
        }],
    })
}
