//! Nomad's JSON shapes, where they differ from how the objects are kept and logged.
//!
//! Full evaluations and allocations leave empty fields out; everything else is complete.

use serde_json::{Map, Value, json};

use crate::clock;
use crate::jobspec::Unsaid;
use crate::state::State;
use crate::types::{
    AclToken, AllocClientStatus, Allocation, Deployment, EvalStatus, Evaluation, Job, JobStatus,
    Node, NodeResources,
};

/// Disk of every allocation in MiB: Nomad's default, and no other is taken here.
const DISK_MB: i64 = 300;

/// An object's fields.
fn fields(value: impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        other => unreachable!("a struct serialises to an object: {other:?}"),
    }
}

/// Drops what Go's `omitempty` drops.
fn without_empty(mut object: Map<String, Value>) -> Value {
    object.retain(|_, value| match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(inner) => !inner.is_empty(),
    });
    Value::Object(object)
}

/// A full node; the secret stays here.
pub fn node(node: &Node) -> Value {
    let mut object = fields(node);
    object.insert("SecretID".to_owned(), json!(""));
    object.insert(
        "NodeResources".to_owned(),
        node_resources(&node.node_resources),
    );
    object.insert("ReservedResources".to_owned(), reserved());
    let has = &node.node_resources;
    let has = of_old(has.cpu_total, has.memory_mb, has.disk_mb);
    object.insert("Resources".to_owned(), has);
    object.insert("Reserved".to_owned(), of_old(0, 0, 0));
    object.insert("DrainStrategy".to_owned(), drain_strategy(node));
    object.insert("LastDrain".to_owned(), last_drain(node));
    object.insert("HostVolumes".to_owned(), Value::Null);
    object.insert("ComputedClass".to_owned(), json!(computed_class(node)));
    Value::Object(object)
}

/// Nodes of the same class are alike in all that is not unique to one. Nomad's number is another:
/// only whether two are equal means something.
fn computed_class(node: &Node) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let shared = |(key, _): &(&String, &String)| !key.starts_with("unique.");
    for attribute in node.attributes.iter().chain(&node.meta).filter(shared) {
        attribute.hash(&mut hasher);
    }
    (&node.datacenter, &node.node_class, &node.node_pool).hash(&mut hasher);
    format!("v1:{}", hasher.finish())
}

/// A node as lists show it.
pub fn node_stub(node: &Node, resources: bool) -> Value {
    let address = match node.http_addr.parse::<std::net::SocketAddr>() {
        Ok(address) => address.ip().to_string(),
        Err(_) => String::new(),
    };
    let mut stub = json!({
        "ID": node.id,
        "Name": node.name,
        "Address": address,
        "Datacenter": node.datacenter,
        "NodeClass": node.node_class,
        "NodePool": node.node_pool,
        "Version": node.attributes.get("nomad.version").cloned().unwrap_or_default(),
        "Drain": node.drain,
        "SchedulingEligibility": node.scheduling_eligibility,
        "Status": node.status,
        "StatusDescription": node.status_description,
        "Drivers": node.drivers,
        "HostVolumes": null,
        "LastDrain": last_drain(node),
        "CreateIndex": node.create_index,
        "ModifyIndex": node.modify_index,
    });
    if resources {
        stub["NodeResources"] = node_resources(&node.node_resources);
        stub["ReservedResources"] = reserved();
    }
    stub
}

fn drain_strategy(node: &Node) -> Value {
    node.drain_strategy.map_or(Value::Null, |strategy| {
        json!({
            "Deadline": strategy.deadline,
            "IgnoreSystemJobs": strategy.ignore_system_jobs,
            "ForceDeadline": clock::rfc3339(strategy.force_deadline),
            "StartedAt": clock::rfc3339(strategy.started_at),
        })
    })
}

fn last_drain(node: &Node) -> Value {
    node.last_drain.as_ref().map_or(Value::Null, |last| {
        json!({
            "StartedAt": clock::rfc3339(last.started_at),
            "UpdatedAt": clock::rfc3339(last.updated_at),
            "Status": last.status,
            "AccessorID": last.accessor_id,
            "Meta": last.meta,
        })
    })
}

fn node_resources(resources: &NodeResources) -> Value {
    json!({
        "Cpu": { "CpuShares": resources.cpu_total },
        "Memory": { "MemoryMB": resources.memory_mb },
        "Disk": { "DiskMB": resources.disk_mb },
        "Networks": [{ "Mode": "host", "IP": resources.ip, "CIDR": format!("{}/32", resources.ip) }],
        "Devices": null,
        "MinDynamicPort": resources.min_dynamic_port,
        "MaxDynamicPort": resources.max_dynamic_port,
    })
}

fn reserved() -> Value {
    json!({
        "Cpu": { "CpuShares": 0 },
        "Memory": { "MemoryMB": 0 },
        "Disk": { "DiskMB": 0 },
        "Networks": { "ReservedHostPorts": "" },
    })
}

/// A full job, with the parts of Nomad's that are never set here.
pub fn job(job: &Job) -> Value {
    let mut object = fields(job);
    object.insert("Multiregion".to_owned(), Value::Null);
    for no in ["NomadTokenID", "VaultToken", "ConsulToken"] {
        object.insert(no.to_owned(), json!(""));
    }
    let groups = object.get_mut("TaskGroups").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten() {
        group["EphemeralDisk"] = json!({ "Sticky": false, "SizeMB": DISK_MB, "Migrate": false });
    }
    Value::Object(object)
}

/// A job as its file says it: `null` for what that leaves out, and for what the servers set.
pub fn job_as_written(written: &Job, unsaid: &Unsaid) -> Value {
    let mut shown = job(written);
    for (name, value) in shown.as_object_mut().into_iter().flatten() {
        let left_out = value.as_str() == Some("")
            || value.as_u64() == Some(0)
            || name == "Type" && unsaid.job_type
            || matches!(name.as_str(), "AllAtOnce" | "Stop" | "Stable" | "Status");
        if left_out {
            *value = Value::Null;
        }
    }
    let groups = shown["TaskGroups"].as_array_mut();
    for (group, unsaid) in groups.into_iter().flatten().zip(&unsaid.counts) {
        group["EphemeralDisk"] = Value::Null;
        if *unsaid {
            group["Count"] = Value::Null;
        }
    }
    shown
}

/// A job as lists show it; there is no `Version` in it.
pub fn job_stub(state: &State, job: &Job, meta: bool) -> Value {
    let mut stub = json!({
        "ID": job.id,
        "ParentID": job.parent_id,
        "Name": job.name,
        "Namespace": job.namespace,
        "Datacenters": job.datacenters,
        "NodePool": job.node_pool,
        "Multiregion": null,
        "Type": job.job_type,
        "Priority": job.priority,
        "Periodic": job.is_periodic(),
        "ParameterizedJob": job.is_parameterized(),
        "Stop": job.stop,
        "Status": job.status,
        "StatusDescription": job.status_description,
        "JobSummary": job_summary(state, job),
        "CreateIndex": job.create_index,
        "ModifyIndex": job.modify_index,
        "JobModifyIndex": job.job_modify_index,
        "SubmitTime": job.submit_time,
    });
    if meta {
        stub["Meta"] = json!(job.meta);
    }
    stub
}

/// How many allocations of each group are in which state.
pub fn job_summary(state: &State, job: &Job) -> Value {
    let mut groups = Map::new();
    for group in &job.task_groups {
        groups.insert(group.name.clone(), counts(state, job, &group.name));
    }
    for alloc in state.allocs_of_job(&job.namespace, &job.id) {
        if !groups.contains_key(&alloc.task_group) {
            let counts = counts(state, job, &alloc.task_group);
            groups.insert(alloc.task_group.clone(), counts);
        }
    }
    json!({
        "JobID": job.id,
        "Namespace": job.namespace,
        "Summary": groups,
        "Children": children(state, job),
        "CreateIndex": job.create_index,
        "ModifyIndex": summary_index(state, job),
    })
}

/// How many jobs that this one launched are in which state.
fn children(state: &State, job: &Job) -> Value {
    let of = |status: JobStatus| {
        let children = state.children_of(job);
        children.filter(|child| child.status == status).count()
    };
    json!({
        "Pending": of(JobStatus::Pending),
        "Running": of(JobStatus::Running),
        "Dead": of(JobStatus::Dead),
    })
}

/// Last index at which something changed that a summary counts.
pub fn summary_index(state: &State, job: &Job) -> u64 {
    let allocs = state.allocs_of_job(&job.namespace, &job.id);
    let newest = allocs.map(|alloc| alloc.modify_index).max();
    let child = state.children_of(job).map(|child| child.modify_index).max();
    newest.max(child).unwrap_or(0).max(job.modify_index)
}

fn counts(state: &State, job: &Job, group: &str) -> Value {
    let of = |status: AllocClientStatus| {
        let allocs = state.allocs_of_job(&job.namespace, &job.id);
        let counted = allocs.filter(|a| a.task_group == group && a.client_status == status);
        counted.count()
    };
    json!({
        "Queued": queued(state, job, group),
        "Starting": of(AllocClientStatus::Pending),
        "Running": of(AllocClientStatus::Running),
        "Complete": of(AllocClientStatus::Complete),
        "Failed": of(AllocClientStatus::Failed),
        "Lost": of(AllocClientStatus::Lost),
        "Unknown": of(AllocClientStatus::Unknown),
    })
}

/// What the newest evaluation could not place.
fn queued(state: &State, job: &Job, group: &str) -> i64 {
    let evals = state.evals.values();
    evals
        .filter(|e| e.job_id == job.id && e.namespace == job.namespace)
        .filter(|e| e.status == EvalStatus::Complete || e.status == EvalStatus::Blocked)
        .filter_map(|e| Some((e.modify_index, *e.queued_allocations.get(group)?)))
        // Of those written together, the blocked one counts nothing.
        .max()
        .map(|(_, queued)| queued)
        .unwrap_or(0)
}

/// A full evaluation.
pub fn eval(eval: &Evaluation) -> Value {
    without_empty(eval_object(eval))
}

/// An evaluation with its empty fields, as filters see it.
pub fn eval_fields(eval: &Evaluation) -> Value {
    Value::Object(eval_object(eval))
}

fn eval_object(eval: &Evaluation) -> Map<String, Value> {
    let mut object = fields(eval);
    let until = match eval.wait_until {
        0 => Value::Null,
        at => json!(clock::rfc3339(at)),
    };
    object.insert("WaitUntil".to_owned(), until);
    object
}

/// A full allocation.
pub fn alloc(alloc: &Allocation) -> Value {
    without_empty(alloc_object(alloc))
}

/// An allocation with its empty fields, as filters see it.
pub fn alloc_fields(alloc: &Allocation) -> Value {
    Value::Object(alloc_object(alloc))
}

fn alloc_object(alloc: &Allocation) -> Map<String, Value> {
    let mut object = fields(alloc);
    for internal in ["Ports", "Cpu", "MemoryMb", "Reschedules", "UnknownSince"] {
        object.remove(internal);
    }
    if let Some(running) = &alloc.job {
        object.insert("Job".to_owned(), job(running));
    }
    object.insert("TaskStates".to_owned(), task_states(alloc));
    object.insert("DeploymentStatus".to_owned(), deployment_status(alloc));
    object.insert("AllocatedResources".to_owned(), allocated(alloc));
    let whole = of_old(alloc.cpu, alloc.memory_mb, DISK_MB);
    object.insert("Resources".to_owned(), whole);
    object.insert("SharedResources".to_owned(), of_old(0, 0, DISK_MB));
    object.insert("TaskResources".to_owned(), of_tasks(alloc));
    object.insert("RescheduleTracker".to_owned(), tracker(alloc));
    object
}

/// Resources as Nomad told them before 0.9, and does still: command lines of 1.1 read them.
fn of_old(cpu: i64, memory_mb: i64, disk_mb: i64) -> Value {
    json!({
        "CPU": cpu,
        "Cores": 0,
        "MemoryMB": memory_mb,
        "MemoryMaxMB": 0,
        "DiskMB": disk_mb,
        "IOPS": 0,
        "Networks": null,
        "Devices": null,
    })
}

fn of_tasks(alloc: &Allocation) -> Value {
    let groups = alloc.job.iter().flat_map(|job| &job.task_groups);
    let mut groups = groups.filter(|group| group.name == alloc.task_group);
    let tasks = groups.next().map_or(&[][..], |group| &group.tasks);
    let of_task = |task: &crate::types::Task| {
        let asked = task.resources.clone().unwrap_or_default();
        let told = of_old(asked.cpu, asked.memory_mb, 0);
        (task.name.clone(), told)
    };
    Value::Object(tasks.iter().map(of_task).collect())
}

/// An allocation as lists show it.
pub fn alloc_stub(alloc: &Allocation, resources: bool, with_tasks: bool) -> Value {
    let job = alloc.job.as_ref();
    let mut stub = json!({
        "ID": alloc.id,
        "EvalID": alloc.eval_id,
        "Name": alloc.name,
        "Namespace": alloc.namespace,
        "NodeID": alloc.node_id,
        "NodeName": alloc.node_name,
        "JobID": alloc.job_id,
        "JobType": job.map(|job| job.job_type).unwrap_or_default(),
        "JobVersion": alloc.job_version(),
        "TaskGroup": alloc.task_group,
        "DesiredStatus": alloc.desired_status,
        "DesiredDescription": alloc.desired_description,
        "DesiredTransition": alloc.desired_transition,
        "ClientStatus": alloc.client_status,
        "ClientDescription": alloc.client_description,
        "TaskStates": if with_tasks { task_states(alloc) } else { Value::Null },
        "DeploymentStatus": deployment_status(alloc),
        "FollowupEvalID": alloc.followup_eval_id,
        "NextAllocation": alloc.next_allocation,
        "RescheduleTracker": tracker(alloc),
        "PreemptedAllocations": null,
        "PreemptedByAllocation": "",
        "CreateIndex": alloc.create_index,
        "ModifyIndex": alloc.modify_index,
        "CreateTime": alloc.create_time,
        "ModifyTime": alloc.modify_time,
    });
    if resources {
        stub["AllocatedResources"] = allocated(alloc);
    }
    stub
}

/// Times that have not come are Go's zero time.
fn task_states(alloc: &Allocation) -> Value {
    let mut states = json!(alloc.task_states);
    for state in states.as_object_mut().into_iter().flat_map(Map::values_mut) {
        for key in ["LastRestart", "StartedAt", "FinishedAt"] {
            zero_time(&mut state[key]);
        }
    }
    states
}

fn deployment_status(alloc: &Allocation) -> Value {
    let mut status = json!(alloc.deployment_status);
    if status.is_object() {
        zero_time(&mut status["Timestamp"]);
    }
    status
}

fn zero_time(time: &mut Value) {
    if time == "" {
        *time = json!(clock::rfc3339(0));
    }
}

fn tracker(alloc: &Allocation) -> Value {
    if alloc.reschedules.is_empty() {
        return Value::Null;
    }
    json!({ "Events": alloc.reschedules })
}

fn allocated(alloc: &Allocation) -> Value {
    let groups = alloc.job.iter().flat_map(|job| &job.task_groups);
    let group = groups
        .into_iter()
        .find(|group| group.name == alloc.task_group);
    let mut tasks = Map::new();
    for task in group.iter().flat_map(|group| &group.tasks) {
        let asked = task.resources.clone().unwrap_or_default();
        let given = json!({
            "Cpu": { "CpuShares": asked.cpu },
            "Memory": { "MemoryMB": asked.memory_mb, "MemoryMaxMB": 0 },
            "Networks": null,
            "Devices": null,
        });
        tasks.insert(task.name.clone(), given);
    }
    let ip = alloc.ports.first().map(|port| port.host_ip.clone());
    let labelled = |port: &crate::types::AllocatedPort| {
        json!({
            "Label": port.label,
            "Value": port.value,
            "To": port.to,
            "HostNetwork": "default",
        })
    };
    let networks = ip.map(|ip| {
        let ports: Vec<_> = alloc.ports.iter().map(labelled).collect();
        json!([{ "Mode": "host", "IP": ip, "DynamicPorts": ports, "ReservedPorts": null }])
    });
    json!({
        "Tasks": tasks,
        "TaskLifecycles": null,
        "Shared": { "DiskMB": DISK_MB, "Networks": networks, "Ports": alloc.ports },
    })
}

/// A deployment.
pub fn deployment(deployment: &Deployment) -> Value {
    let mut object = fields(deployment);
    let mut groups = Map::new();
    for (name, group) in &deployment.task_groups {
        let mut shown = fields(group);
        let by = clock::rfc3339(group.require_progress_by);
        shown.insert("RequireProgressBy".to_owned(), json!(by));
        if group.placed_canaries.is_empty() {
            shown.insert("PlacedCanaries".to_owned(), Value::Null);
        }
        groups.insert(name.clone(), Value::Object(shown));
    }
    object.insert("TaskGroups".to_owned(), Value::Object(groups));
    object.insert("EvalPriority".to_owned(), json!(0));
    Value::Object(object)
}

/// A whole token, for management and its holder.
pub fn token(state: &State, token: &AclToken) -> Value {
    let mut object = fields(token);
    // As roles are called now; those that are gone are not shown.
    let links = token.roles.iter().flatten();
    let roles = links.filter_map(|link| state.acl_roles.get(&link.id));
    let roles: Vec<_> = roles
        .map(|role| json!({ "ID": role.id, "Name": role.name }))
        .collect();
    let none = roles.is_empty();
    object.insert(
        "Roles".to_owned(),
        if none { Value::Null } else { json!(roles) },
    );
    let ttl = match token.expiration_ttl {
        0 => String::new(),
        ttl => crate::jobspec::duration::format(ttl),
    };
    object.insert("ExpirationTTL".to_owned(), json!(ttl));
    let expires = match token.expiration_time {
        0 => Value::Null,
        at => json!(clock::rfc3339(at)),
    };
    object.insert("ExpirationTime".to_owned(), expires);
    Value::Object(object)
}

/// A token as lists show it.
pub fn token_stub(state: &State, token: &AclToken) -> Value {
    let mut stub = self::token(state, token);
    if let Some(fields) = stub.as_object_mut() {
        fields.remove("SecretID");
        fields.remove("ExpirationTTL");
    }
    stub
}
