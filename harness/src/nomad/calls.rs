//! The calls of Nomad's API that the harness makes, typed. Reads go to the leader unless the
//! handle is [`Api::stale`]; how long a call may take is [`Api::timeout`].

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};

use super::api::{Api, ApiError};
use super::query::{Query, Reply};
use super::types::{
    AclToken, AgentSelf, AllocStub, Allocation, AutopilotHealth, Deployment, DeploymentUpdate,
    DrainSpec, Evaluation, Job, JobPlan, JobRegistered, JobVersions, Members, Node, NodeStub,
    NodeUpdate, RaftConfiguration,
};

/// How long a server holds a call while there is no leader (`nomad/config.go`,
/// `RPCHoldTimeout`).
pub const SERVER_HOLD: Duration = Duration::from_secs(5);

/// Percent-encodes what stands between two slashes: job names may carry slashes.
pub(super) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl Api {
    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        Ok(self.get(path, &Query::default()).await?.value)
    }

    async fn write<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, ApiError> {
        Ok(self.put(path, &Query::default(), body).await?.value)
    }

    /// Returns the leader's RPC address, as `10.0.0.2:4647`; `None` where a stale answer knows
    /// none. Without `stale`, no leader is an error after [`SERVER_HOLD`].
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn leader(&self) -> Result<Option<String>, ApiError> {
        let leader: Option<String> = self.read("status/leader").await?;
        Ok(leader.filter(|address| !address.is_empty()))
    }

    /// Returns the Raft peers' RPC addresses.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn peers(&self) -> Result<Vec<String>, ApiError> {
        Ok(self
            .read::<Option<_>>("status/peers")
            .await?
            .unwrap_or_default())
    }

    /// Returns the servers that gossip knows, as this agent sees them.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn members(&self) -> Result<Members, ApiError> {
        self.read("agent/members").await
    }

    /// Returns what the agent says of itself.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn agent_self(&self) -> Result<AgentSelf, ApiError> {
        self.read("agent/self").await
    }

    /// Returns all of it, as it comes: the configuration's form is each version's own.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn agent_self_whole(&self) -> Result<serde_json::Value, ApiError> {
        self.read("agent/self").await
    }

    /// Returns who votes in Raft. Wants a management token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn raft_configuration(&self) -> Result<RaftConfiguration, ApiError> {
        self.read("operator/raft/configuration").await
    }

    /// Returns autopilot's view; an unhealthy cluster (HTTP 429) is an answer, not an error.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn autopilot_health(&self) -> Result<AutopilotHealth, ApiError> {
        Ok(self.get_or("operator/autopilot/health", 429).await?.value)
    }

    /// Makes the first management token. A chosen secret is honoured from 1.3.2 on; older
    /// servers ignore it and answer with one of their own.
    ///
    /// # Errors
    /// [`ApiError`]; 400 when it was done before.
    pub async fn acl_bootstrap(&self, secret: Option<&str>) -> Result<AclToken, ApiError> {
        let body = secret.map_or(json!({}), |secret| json!({ "BootstrapSecret": secret }));
        self.write("acl/bootstrap", &body).await
    }

    /// Returns the token that this handle sends.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn token_self(&self) -> Result<AclToken, ApiError> {
        self.read("acl/token/self").await
    }

    /// Returns the nodes (clients).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn nodes(&self) -> Result<Vec<NodeStub>, ApiError> {
        Ok(self.read::<Option<_>>("nodes").await?.unwrap_or_default())
    }

    /// Returns one node by its whole ID.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn node(&self, id: &str) -> Result<Node, ApiError> {
        self.read(&format!("node/{}", segment(id))).await
    }

    /// Returns the job that a text in HCL says, as JSON for [`Api::register`].
    ///
    /// # Errors
    /// [`ApiError`]; 400 with line and column when the text is wrong.
    pub async fn parse_job(&self, hcl: &str) -> Result<Value, ApiError> {
        let body = json!({ "JobHCL": hcl, "Canonicalize": true });
        self.post_value("jobs/parse", &body).await
    }

    /// Registers a job.
    ///
    /// # Errors
    /// [`ApiError`]; 500 with a list when the job does not make sense.
    pub async fn register(&self, job: &Value) -> Result<JobRegistered, ApiError> {
        self.write("jobs", &json!({ "Job": job })).await
    }

    /// Returns what registering the job would do; stores nothing.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn plan(&self, job: &Value) -> Result<JobPlan, ApiError> {
        let id = job.get("ID").and_then(Value::as_str).unwrap_or_default();
        let body = json!({ "Job": job, "Diff": true });
        self.write(&format!("job/{}/plan", segment(id)), &body)
            .await
    }

    /// Returns a job.
    ///
    /// # Errors
    /// [`ApiError`]; 404 when there is none.
    pub async fn job(&self, id: &str) -> Result<Job, ApiError> {
        self.read(&format!("job/{}", segment(id))).await
    }

    /// Returns the versions kept of a job (the newest 6 unless configured), newest first.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn job_versions(&self, id: &str) -> Result<Vec<Job>, ApiError> {
        let reply: JobVersions = self.read(&format!("job/{}/versions", segment(id))).await?;
        Ok(reply.versions)
    }

    /// Returns a job's allocations, stopped ones too while they are kept.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn job_allocations(&self, id: &str) -> Result<Vec<AllocStub>, ApiError> {
        let path = format!("job/{}/allocations", segment(id));
        Ok(self.read::<Option<_>>(&path).await?.unwrap_or_default())
    }

    /// As [`Api::job_allocations`], once anything about them is newer than `index`, at the latest
    /// after `wait`; with the index to ask with next.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn job_allocations_since(
        &self,
        id: &str,
        index: u64,
        wait: Duration,
    ) -> Result<Reply<Vec<AllocStub>>, ApiError> {
        let path = format!("job/{}/allocations", segment(id));
        let query = Query::default().blocking(index, wait);
        let reply = self.get::<Option<Vec<AllocStub>>>(&path, &query).await?;
        Ok(reply.map(Option::unwrap_or_default))
    }

    /// Returns the IDs of the jobs whose ID begins so.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn jobs_with_prefix(&self, prefix: &str) -> Result<Vec<String>, ApiError> {
        let query = Query::default().param("prefix", prefix);
        let jobs = self.get::<Option<Vec<Job>>>("jobs", &query).await?.value;
        let jobs = jobs.unwrap_or_default().into_iter();
        Ok(jobs
            .map(|job| job.id)
            .filter(|id| id.starts_with(prefix))
            .collect())
    }

    /// Returns a job's evaluations.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn job_evaluations(&self, id: &str) -> Result<Vec<Evaluation>, ApiError> {
        let path = format!("job/{}/evaluations", segment(id));
        Ok(self.read::<Option<_>>(&path).await?.unwrap_or_default())
    }

    /// Returns all deployments.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn deployments(&self) -> Result<Vec<Deployment>, ApiError> {
        Ok(self
            .read::<Option<_>>("deployments")
            .await?
            .unwrap_or_default())
    }

    /// Returns a job's deployments.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn job_deployments(&self, id: &str) -> Result<Vec<Deployment>, ApiError> {
        let path = format!("job/{}/deployments", segment(id));
        Ok(self.read::<Option<_>>(&path).await?.unwrap_or_default())
    }

    /// Returns a job's newest deployment, `None` where there was none.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn latest_deployment(&self, id: &str) -> Result<Option<Deployment>, ApiError> {
        self.read(&format!("job/{}/deployment", segment(id))).await
    }

    /// Returns an evaluation.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn evaluation(&self, id: &str) -> Result<Evaluation, ApiError> {
        self.read(&format!("evaluation/{}", segment(id))).await
    }

    /// Returns a deployment.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn deployment(&self, id: &str) -> Result<Deployment, ApiError> {
        self.read(&format!("deployment/{}", segment(id))).await
    }

    /// Promotes all canaries of a deployment.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn promote_deployment(&self, id: &str) -> Result<DeploymentUpdate, ApiError> {
        let body = json!({ "DeploymentID": id, "All": true });
        self.write(&format!("deployment/promote/{}", segment(id)), &body)
            .await
    }

    /// Marks a deployment as failed.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn fail_deployment(&self, id: &str) -> Result<DeploymentUpdate, ApiError> {
        self.write(&format!("deployment/fail/{}", segment(id)), &json!({}))
            .await
    }

    /// Stops a job; `purge` forgets it too. Stopping what does not exist is no error.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn stop_job(&self, id: &str, purge: bool) -> Result<JobRegistered, ApiError> {
        let query = Query::default().param("purge", purge.to_string());
        Ok(self
            .delete(&format!("job/{}", segment(id)), &query)
            .await?
            .value)
    }

    /// Changes the count of one group.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn scale(
        &self,
        id: &str,
        group: &str,
        count: u32,
    ) -> Result<JobRegistered, ApiError> {
        let body = json!({ "Target": { "Group": group }, "Count": count });
        self.write(&format!("job/{}/scale", segment(id)), &body)
            .await
    }

    /// Registers an older version of a job once more, as a new version.
    ///
    /// # Errors
    /// [`ApiError`]; 500 when it is the present version, or is not kept any more.
    pub async fn revert_job(&self, id: &str, version: u64) -> Result<JobRegistered, ApiError> {
        let body = json!({ "JobID": id, "JobVersion": version });
        self.write(&format!("job/{}/revert", segment(id)), &body)
            .await
    }

    /// Starts a child of a parameterized job; returns the child's ID.
    ///
    /// # Errors
    /// [`ApiError`]; 500 when a required meta is missing.
    pub async fn dispatch_job(
        &self,
        id: &str,
        meta: &BTreeMap<String, String>,
        payload: Option<&str>,
    ) -> Result<String, ApiError> {
        let payload = payload.map(|payload| BASE64.encode(payload));
        let body = json!({ "Meta": meta, "Payload": payload });
        let reply: Value = self
            .write(&format!("job/{}/dispatch", segment(id)), &body)
            .await?;
        let child = reply.get("DispatchedJobID").and_then(Value::as_str);
        Ok(child.unwrap_or_default().to_owned())
    }

    /// Returns an allocation whole.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn allocation(&self, id: &str) -> Result<Allocation, ApiError> {
        self.read(&format!("allocation/{}", segment(id))).await
    }

    /// Makes a node eligible for new work, or not.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn set_eligibility(
        &self,
        node_id: &str,
        eligible: bool,
    ) -> Result<NodeUpdate, ApiError> {
        let word = if eligible { "eligible" } else { "ineligible" };
        let body = json!({ "Eligibility": word });
        self.write(&format!("node/{}/eligibility", segment(node_id)), &body)
            .await
    }

    /// Drains a node; `None` ends its drain. `mark_eligible` is read when a drain ends.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn drain(
        &self,
        node_id: &str,
        spec: Option<&DrainSpec>,
        mark_eligible: bool,
    ) -> Result<NodeUpdate, ApiError> {
        let spec = spec.map(|spec| {
            json!({ "Deadline": spec.deadline, "IgnoreSystemJobs": spec.ignore_system_jobs })
        });
        let body = json!({ "DrainSpec": spec, "MarkEligible": mark_eligible });
        self.write(&format!("node/{}/drain", segment(node_id)), &body)
            .await
    }
}
