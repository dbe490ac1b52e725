//! What a case stands on: the cluster's agents, names of its own, waits, and what is to be undone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use semver::Version;
use serde_json::{Value, json};

use super::answer::{Expect as _, items, told};
use super::case::Broken;
use super::run::Options;
use crate::directory::{Directory, Entry};
use crate::nomad::{Answer, Api, Exchange, Token};
use crate::poll::{Look, eventually};
use crate::spec::Role;

/// How long something may take to come about.
const SOON: Duration = Duration::from_secs(40);
/// How often it is looked.
const TICK: Duration = Duration::from_millis(100);

/// What a case stands on.
pub struct Ground {
    /// All agents.
    pub(super) directory: Directory,
    /// The version whose laws are asked for.
    pub(super) version: Version,
    /// The certificate of the cluster's authority, PEM.
    pub(super) authority: String,
    /// The clients' datacenter.
    pub(super) datacenter: String,
    /// The region.
    pub(super) region: String,
    name: String,
    patience: u32,
    undo: Mutex<Vec<Exchange>>,
}

impl Ground {
    pub(super) fn new(
        directory: Directory,
        version: Version,
        options: &Options,
        name: String,
    ) -> Self {
        Self {
            directory,
            version,
            authority: options.authority.clone(),
            datacenter: options.datacenter.clone(),
            region: options.region.clone(),
            name,
            patience: options.patience.max(1),
            undo: Mutex::new(Vec::new()),
        }
    }

    /// Whether the laws of this version or a later one are asked for.
    pub(super) fn at_least(&self, major: u64, minor: u64, patch: u64) -> bool {
        self.version >= Version::new(major, minor, patch)
    }

    /// Returns a name that no other case uses.
    pub(super) fn named(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// Returns the first server's API.
    pub(super) fn api(&self) -> Result<&Api, Broken> {
        Ok(&self.first(Role::Server)?.api)
    }

    /// Returns the first agent of a role.
    pub(super) fn first(&self, role: Role) -> Result<&Entry, Broken> {
        let mut found = self.directory.of_role(role);
        let missing = || Broken::new(format!("the cluster has no {role}"));
        found.next().ok_or_else(missing)
    }

    /// Sends a request to the first server.
    pub(super) async fn ask(&self, asked: Exchange) -> Result<Answer, Broken> {
        Ok(self.api()?.exchange(&asked).await?)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Broken> {
        self.ask(Exchange::new("GET", path)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Answer, Broken> {
        self.ask(Exchange::new("PUT", path).json(body)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Broken> {
        self.ask(Exchange::new("POST", path).json(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Broken> {
        self.ask(Exchange::new("DELETE", path)).await
    }

    /// Reads JSON.
    pub(super) async fn read(&self, path: &str) -> Result<Value, Broken> {
        self.get(path).await?.value()
    }

    /// Writes, and reads the JSON that comes back.
    pub(super) async fn write(&self, path: &str, body: &Value) -> Result<Value, Broken> {
        self.put(path, body).await?.value()
    }

    /// Remembers what is to be done when the case ends, last first.
    pub(super) fn at_the_end(&self, asked: Exchange) {
        let mut undo = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
        undo.push(asked);
    }

    /// Undoes all that was remembered; returns what could not be undone.
    pub(super) async fn undo(&self) -> Vec<String> {
        let mut left = Vec::new();
        loop {
            let last = {
                let mut undo = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
                undo.pop()
            };
            let Some(asked) = last else { return left };
            // What is gone already is as good as undone, and what cannot be asked for at all was
            // never made.
            match self.ask(asked).await {
                Ok(answer) if answer.status < 300 || matches!(answer.status, 404 | 501) => {}
                // Some of Nomad's parts say so with another status.
                Ok(answer) if answer.status == 500 && answer.text().contains("not found") => {}
                Ok(answer) => left.push(format!("{}: {}", answer.call, told(&answer.text()))),
                Err(broken) => left.push(broken.seen),
            }
        }
    }

    /// Forgets a job whole when the case ends.
    pub(super) fn forget(&self, id: &str) {
        let id = id.replace('/', "%2F");
        self.at_the_end(Exchange::new("DELETE", &format!("job/{id}?purge=true")));
    }

    /// Registers a job, which is forgotten when the case ends; returns the reply.
    pub(super) async fn register(&self, job: &Value) -> Result<Value, Broken> {
        let id = job["ID"].as_str().unwrap_or_default();
        self.forget(id);
        self.write("jobs", &json!({ "Job": job })).await
    }

    /// Registers a job and waits until its evaluation is done; returns the evaluation.
    pub(super) async fn evaluate(&self, job: &Value) -> Result<Value, Broken> {
        let reply = self.register(job).await?;
        self.done(&reply).await
    }

    /// Registers a job and waits until so many of its allocations run; returns their stubs.
    pub(super) async fn start(&self, job: &Value, count: usize) -> Result<Vec<Value>, Broken> {
        self.register(job).await?;
        let id = job["ID"].as_str().unwrap_or_default();
        self.running(id, count).await
    }

    /// Waits until so many of a job's allocations run, and no other is meant to.
    pub(super) async fn running(&self, id: &str, count: usize) -> Result<Vec<Value>, Broken> {
        let path = format!("job/{id}/allocations");
        let what = format!("{count} running allocations");
        let wanted = |alloc: &&Value| alloc["DesiredStatus"] == "run";
        let so = |allocs: &Value| {
            let meant: Vec<_> = items(allocs).iter().filter(wanted).collect();
            meant.len() == count && meant.iter().all(|alloc| alloc["ClientStatus"] == "running")
        };
        let allocs = self.until(&what, &path, so).await?;
        Ok(items(&allocs).iter().filter(wanted).cloned().collect())
    }

    /// Waits until the evaluation that a write's reply names is done; returns it.
    pub(super) async fn done(&self, reply: &Value) -> Result<Value, Broken> {
        let id = reply["EvalID"].as_str().unwrap_or_default();
        if id.is_empty() {
            return Err(Broken::new(format!(
                "expected an evaluation's ID in the reply, got {}",
                told(&reply.to_string())
            )));
        }
        let over = |eval: &Value| eval["Status"] != "pending";
        self.until(
            "the evaluation to be done",
            &format!("evaluation/{id}"),
            over,
        )
        .await
    }

    /// Waits until a job's newest deployment has this status; returns it.
    pub(super) async fn deployed(&self, id: &str, status: &str) -> Result<Value, Broken> {
        let what = format!("a deployment that is {status}");
        let path = format!("job/{id}/deployment");
        self.until(&what, &path, |found| found["Status"] == status)
            .await
    }

    /// Waits until what a path answers is so; returns it.
    pub(super) async fn until(
        &self,
        what: &str,
        path: &str,
        so: impl Fn(&Value) -> bool,
    ) -> Result<Value, Broken> {
        let so = &so;
        let look = || async {
            match self.get(path).await {
                Ok(answer) if answer.status == 404 => Look::NotYet(answer.text()),
                Ok(answer) => match answer.value() {
                    Ok(value) if so(&value) => Look::Done(Ok(value)),
                    Ok(value) => Look::NotYet(told(&value.to_string())),
                    Err(broken) => Look::Done(Err(broken)),
                },
                Err(broken) => Look::Done(Err(broken)),
            }
        };
        eventually(SOON * self.patience, TICK, what, look).await?
    }

    /// Returns the nodes that are ready and eligible, as the list shows them.
    pub(super) async fn nodes(&self) -> Result<Vec<Value>, Broken> {
        let nodes = self.read("nodes").await?;
        let usable = |node: &&Value| {
            node["Status"] == "ready" && node["SchedulingEligibility"] == "eligible"
        };
        Ok(items(&nodes).iter().filter(usable).cloned().collect())
    }

    /// Returns the ID of the node whose agent is the first client.
    pub(super) async fn a_node(&self) -> Result<String, Broken> {
        let name = self.first(Role::Client)?.info.name.clone();
        let nodes = self.nodes().await?;
        let found = nodes.iter().find(|node| node["Name"] == name.as_str());
        let id = found.and_then(|node| node["ID"].as_str());
        let missing = || Broken::new(format!("no usable node is called `{name}`"));
        id.map(str::to_owned).ok_or_else(missing)
    }

    /// Makes a client token with a policy of these rules, both forgotten when the case ends;
    /// returns a client of the first server that carries it.
    pub(super) async fn with_rules(&self, what: &str, rules: &str) -> Result<Api, Broken> {
        let policy = self.named(what);
        self.at_the_end(Exchange::new("DELETE", &format!("acl/policy/{policy}")));
        let body = json!({ "Name": policy, "Rules": rules });
        self.put(&format!("acl/policy/{policy}"), &body)
            .await?
            .good()?;
        let token = self
            .token(&json!({ "Name": policy, "Type": "client", "Policies": [policy] }))
            .await?;
        let secret = token["SecretID"].as_str().unwrap_or_default();
        Ok(self.api()?.with_token(Token::new(secret)))
    }

    /// Makes a token that every server knows, and that is forgotten when the case ends.
    pub(super) async fn token(&self, body: &Value) -> Result<Value, Broken> {
        let token = self.write("acl/token", body).await?;
        let accessor = token["AccessorID"].as_str().unwrap_or_default();
        self.at_the_end(Exchange::new("DELETE", &format!("acl/token/{accessor}")));
        let secret = Token::new(token["SecretID"].as_str().unwrap_or_default());
        for server in self.directory.servers() {
            known(&server.api.with_token(secret.clone()), self.patience).await?;
        }
        Ok(token)
    }
}

/// Waits until a server knows the token: each judges by its own state, which may be a moment old.
async fn known(api: &Api, patience: u32) -> Result<(), Broken> {
    let look = || async {
        match api
            .exchange(&Exchange::new("GET", "acl/token/self?stale"))
            .await
        {
            Ok(answer) if matches!(answer.status, 403 | 404) => Look::NotYet(answer.text()),
            Ok(_) => Look::Done(Ok(())),
            Err(error) => Look::Done(Err(error.into())),
        }
    };
    eventually(SOON * patience, TICK, "a server knows the token", look).await?
}
