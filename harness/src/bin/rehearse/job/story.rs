//! What Nomad's event stream tells of one job, in words, each change once.

use std::collections::BTreeMap;

use nomad_harness::nomad::types::{AllocStub, Deployment, Evaluation, Job, JobRegistered};
use serde_json::Value;

/// How it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the job says.
    Good,
    /// Otherwise.
    Bad,
    /// Somebody must promote it.
    WaitsForPromotion,
}

/// What is known so far.
#[derive(Debug)]
pub struct Story {
    version: u64,
    eval: String,
    /// The registration's index.
    since: u64,
    /// Whether its work ends by itself.
    runs_out: bool,
    /// Bytes of the stream that were heard.
    read: usize,
    evals: BTreeMap<String, String>,
    allocs: BTreeMap<String, String>,
    deployment: Option<Deployment>,
    told: BTreeMap<String, String>,
    unplaced: bool,
}

impl Story {
    /// Begins with a registration.
    pub fn of(job: &Job, reply: &JobRegistered) -> Self {
        Self {
            version: job.version,
            eval: reply.eval_id.clone(),
            since: reply.eval_create_index,
            runs_out: job.job_type.ends_with("batch"),
            read: 0,
            evals: BTreeMap::new(),
            allocs: BTreeMap::new(),
            deployment: None,
            told: BTreeMap::new(),
            unplaced: false,
        }
    }

    /// Hears what the stream has said so far; returns lines about what is new.
    pub fn hear(&mut self, stream: &[u8]) -> Vec<String> {
        let new = &stream[self.read..];
        // The last line may be incomplete yet.
        let whole = new.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.read += whole;
        let text = String::from_utf8_lossy(&new[..whole]).into_owned();
        // Nomad begins with an older event where the one asked for is not in its buffer yet: that of
        // the same job's purge, say.
        let since = Some(self.since);
        let frames = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|frame: &Value| frame["Index"].as_u64() >= since);
        let events = frames.flat_map(|frame| match &frame["Events"] {
            Value::Array(events) => events.clone(),
            _ => Vec::new(),
        });
        events.filter_map(|event| self.event(&event)).collect()
    }

    fn event(&mut self, event: &Value) -> Option<String> {
        let payload = &event["Payload"];
        let (key, line) = match event["Topic"].as_str()? {
            "Evaluation" => self.evaluation(read(&payload["Evaluation"])?),
            "Allocation" => self.allocation(&read(&payload["Allocation"])?),
            "Deployment" => self.deployment(read(&payload["Deployment"])?),
            _ => return None,
        };
        let known = self.told.insert(key, line.clone());
        (known.as_ref() != Some(&line)).then_some(line)
    }

    fn evaluation(&mut self, eval: Evaluation) -> (String, String) {
        let mut line = format!(
            "evaluation {} ({}): {}",
            short(&eval.id),
            eval.triggered_by,
            eval.status
        );
        for (group, why) in &eval.failed_tg_allocs {
            line.push_str(&format!("; no place for `{group}`: {}", no_place(why)));
            self.unplaced |= eval.id == self.eval;
        }
        self.evals.insert(eval.id.clone(), eval.status);
        (eval.id, line)
    }

    fn allocation(&mut self, alloc: &AllocStub) -> (String, String) {
        let mut line = format!("allocation {} {}", short(&alloc.id), alloc.name);
        if !alloc.node_name.is_empty() {
            line.push_str(&format!(" on {}", alloc.node_name));
        }
        line.push_str(&format!(": {}", alloc.client_status));
        if alloc.is_told_to_stop() && alloc.client_status == "running" {
            line.push_str(", told to stop");
        }
        let health = alloc.deployment_status.as_ref().and_then(|s| s.healthy);
        match health {
            Some(true) if !alloc.is_told_to_stop() => line.push_str(", healthy"),
            Some(false) => line.push_str(", unhealthy"),
            _ => {}
        }
        // The stream's allocations name no version of their job, as lists do. What was made since is of this
        // registration, and so is what its evaluation updated in place.
        let made = alloc.create_index >= self.since;
        let updated = alloc.eval_id == self.eval && !alloc.is_told_to_stop();
        if made || updated || self.allocs.contains_key(&alloc.id) {
            let status = alloc.client_status.clone();
            self.allocs.insert(alloc.id.clone(), status);
        }
        (alloc.id.clone(), line)
    }

    fn deployment(&mut self, deployment: Deployment) -> (String, String) {
        let line = format!(
            "deployment {} of version {}: {}",
            short(&deployment.id),
            deployment.job_version,
            deployment.status_description
        );
        let id = deployment.id.clone();
        if deployment.job_version == self.version {
            self.deployment = Some(deployment);
        }
        (id, line)
    }

    /// How it came out, once it has.
    pub fn ending(&self) -> Option<Ending> {
        let evaluated = self.evals.get(&self.eval).is_some_and(|s| s == "complete");
        if !evaluated {
            return None;
        }
        if self.unplaced {
            return Some(Ending::Bad);
        }
        if let Some(deployment) = &self.deployment {
            return match deployment.status.as_str() {
                "successful" => Some(Ending::Good),
                "failed" | "cancelled" => Some(Ending::Bad),
                _ if waits(deployment) => Some(Ending::WaitsForPromotion),
                _ => None,
            };
        }
        let done = |status: &String| match status.as_str() {
            "pending" => false,
            "running" => !self.runs_out,
            _ => true,
        };
        if !self.allocs.values().all(done) {
            return None;
        }
        let failed = self.allocs.values().any(|status| status == "failed");
        Some(if failed { Ending::Bad } else { Ending::Good })
    }
}

/// Whether all its canaries are healthy, and nobody promoted them.
fn waits(deployment: &Deployment) -> bool {
    let asked = deployment
        .task_groups
        .values()
        .filter(|g| g.desired_canaries > 0);
    let mut asked = asked.peekable();
    asked.peek().is_some()
        && asked.all(|g| !g.promoted && g.healthy_allocs >= g.desired_canaries)
        && deployment
            .status_description
            .contains("requires manual promotion")
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(without_nulls(value.clone())).ok()
}

/// Go encodes an empty list or map as `null`: as good as absent.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, inner)| !inner.is_null())
            .map(|(key, inner)| (key, without_nulls(inner)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Why no node was good enough.
fn no_place(why: &Value) -> String {
    let mut parts = vec![format!("{} nodes looked at", why["NodesEvaluated"])];
    for (key, said) in [
        ("ConstraintFiltered", "filtered by"),
        ("DimensionExhausted", "exhausted:"),
    ] {
        for (what, count) in why[key].as_object().into_iter().flatten() {
            parts.push(format!("{count} {said} {what}"));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn story(job_type: &str) -> Story {
        let job = Job {
            job_type: job_type.to_owned(),
            ..Job::default()
        };
        let reply = JobRegistered {
            eval_id: "eval-0001".to_owned(),
            ..JobRegistered::default()
        };
        Story::of(&job, &reply)
    }

    fn frame(topic: &str, payload: &Value) -> String {
        let event = json!({ "Topic": topic, "Payload": { topic: payload } });
        format!("{}\n", json!({ "Index": 1, "Events": [event] }))
    }

    fn evaluated() -> String {
        let eval =
            json!({ "ID": "eval-0001", "TriggeredBy": "job-register", "Status": "complete" });
        frame("Evaluation", &eval)
    }

    fn placed(status: &str) -> String {
        let alloc = json!({ "ID": "alloc-001", "Name": "a.g[0]", "DesiredStatus": "run", "ClientStatus": status, "TaskStates": null });
        frame("Allocation", &alloc)
    }

    #[test]
    fn each_change_is_told_once_and_half_a_line_waits() {
        let mut story = story("service");
        let stream = format!(
            "{{}}\n{}{}{}",
            placed("pending"),
            placed("pending"),
            placed("running")
        );
        let bytes = stream.as_bytes();
        assert!(story.hear(&bytes[..20]).is_empty());
        let told = story.hear(bytes);
        assert_eq!(
            told,
            [
                "allocation alloc-00 a.g[0]: pending",
                "allocation alloc-00 a.g[0]: running"
            ]
        );
        assert!(story.hear(bytes).is_empty());
    }

    #[test]
    fn what_was_before_the_registration_is_not_told() {
        let reply = JobRegistered {
            eval_create_index: 1,
            ..JobRegistered::default()
        };
        let mut story = Story::of(&Job::default(), &reply);
        let older = evaluated().replace("\"Index\":1", "\"Index\":0");
        assert!(story.hear(older.as_bytes()).is_empty());
        let both = older + &evaluated();
        assert_eq!(story.hear(both.as_bytes()).len(), 1);
    }

    #[test]
    fn without_a_deployment_running_is_enough_for_a_service_and_not_for_a_batch() {
        for (kind, status, ending) in [
            ("service", "pending", None),
            ("service", "running", Some(Ending::Good)),
            ("batch", "running", None),
            ("batch", "complete", Some(Ending::Good)),
            ("batch", "failed", Some(Ending::Bad)),
        ] {
            let mut story = story(kind);
            story.hear(format!("{}{}", placed(status), evaluated()).as_bytes());
            assert_eq!(story.ending(), ending, "{kind} {status}");
        }
    }

    /// A system job at version 1: the allocation of version 0 ends, and one is made in its place or it is
    /// updated. Payloads as Nomad 1.1.2 and the simulator send them: without `JobVersion`.
    #[test]
    fn a_later_version_waits_for_its_own_allocations() {
        let reply = JobRegistered {
            eval_id: "eval-0001".to_owned(),
            eval_create_index: 50,
            ..JobRegistered::default()
        };
        let job = Job {
            job_type: "system".to_owned(),
            version: 1,
            ..Job::default()
        };
        let alloc = |id: &str, made: u64, eval: &str, desired: &str, status: &str| {
            let alloc = json!({ "ID": id, "EvalID": eval, "CreateIndex": made, "DesiredStatus": desired, "ClientStatus": status });
            frame("Allocation", &alloc)
        };
        let placed = |status: &str| alloc("new", 51, "eval-0001", "run", status);
        let updated = |status: &str| alloc("old", 20, "eval-0001", "run", status);
        let old = alloc("old", 20, "eval-0000", "stop", "running");
        for (stream, ending) in [
            (old.clone() + &placed("pending"), None),
            (old.clone() + &placed("running"), Some(Ending::Good)),
            (old + &placed("failed"), Some(Ending::Bad)),
            (updated("pending"), None),
            (updated("failed"), Some(Ending::Bad)),
        ] {
            let mut story = Story::of(&job, &reply);
            let stream = (stream.clone() + &evaluated()).replace("\"Index\":1", "\"Index\":51");
            story.hear(stream.as_bytes());
            assert_eq!(story.ending(), ending, "{stream}");
        }
    }

    #[test]
    fn a_deployment_decides() {
        for (status, said, ending) in [
            ("running", "Deployment is running", None),
            (
                "running",
                "Deployment is running but requires manual promotion",
                Some(Ending::WaitsForPromotion),
            ),
            ("successful", "done", Some(Ending::Good)),
            ("failed", "no", Some(Ending::Bad)),
        ] {
            let group = json!({ "DesiredCanaries": 1, "HealthyAllocs": 1 });
            let deployment = json!({ "ID": "d", "Status": status, "StatusDescription": said, "TaskGroups": { "g": group } });
            let mut story = story("service");
            let stream = format!("{}{}", frame("Deployment", &deployment), evaluated());
            story.hear(stream.as_bytes());
            assert_eq!(story.ending(), ending, "{said}");
        }
    }
}
