//! A cluster for tests: the real state, scheduler and deployment watcher, with clients that do
//! as they are told, in steps that the test chooses.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::jobspec;
use crate::scheduler::{self, Outcome};
use crate::state::{Command, State};
use crate::types::{
    AllocClientStatus, AllocDeploymentStatus, AllocDesiredStatus, Allocation, Deployment,
    DriverInfo, EvalStatus, EvalTrigger, Evaluation, Job, Nanos, Node, NodeResources, NodeStatus,
    SECOND,
};

/// See the module.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: Nanos,
    next_eval: usize,
}

/// A job file with one group `web` of `count`; `extra` goes into the group.
pub(crate) fn job(count: i64, version: &str, extra: &str) -> Job {
    let text = format!(
        r#"
job "whoami" {{
  datacenters = ["dc1"]
  group "web" {{
    count = {count}
    network {{
      port "http" {{}}
    }}
    {extra}
    task "server" {{
      driver = "raw_exec"
      config {{
        command = "/bin/server"
      }}
      env {{
        VERSION = "{version}"
      }}
      resources {{
        cpu    = 100
        memory = 100
      }}
    }}
  }}
}}
"#
    );
    from_hcl(&text)
}

/// Parses and completes a job file.
pub(crate) fn from_hcl(text: &str) -> Job {
    let mut job = jobspec::parse(text, &BTreeMap::new()).unwrap_or_else(|e| panic!("{e:#?}"));
    jobspec::canonicalize(&mut job);
    let errors = jobspec::validate(&job);
    assert!(errors.is_empty(), "{errors:#?}");
    job
}

impl World {
    /// A cluster with `n` equal nodes of 1000 MHz and 1000 MiB.
    pub(crate) fn with_nodes(n: usize) -> Self {
        let mut world = Self {
            state: State::default(),
            now: 1_000_000 * SECOND,
            next_eval: 0,
        };
        for i in 1..=n {
            world.add_node(&format!("n{i}"));
        }
        world
    }

    /// Adds a ready node.
    pub(crate) fn add_node(&mut self, id: &str) {
        let mut node = Node {
            id: id.to_owned(),
            name: id.to_owned(),
            datacenter: "dc1".to_owned(),
            node_pool: "default".to_owned(),
            node_resources: NodeResources {
                cpu_total: 1000,
                memory_mb: 1000,
                min_dynamic_port: 20_000,
                max_dynamic_port: 20_100,
                ip: "10.0.0.1".to_owned(),
                ..NodeResources::default()
            },
            ..Node::default()
        };
        let healthy = DriverInfo {
            detected: true,
            healthy: true,
            ..DriverInfo::default()
        };
        node.drivers.insert("raw_exec".to_owned(), healthy);
        node.attributes.insert("rack".to_owned(), format!("r-{id}"));
        let now = self.now;
        self.write(Command::NodeRegister { node, now });
        self.set_node(id, NodeStatus::Ready);
    }

    /// Gives a node another attribute.
    pub(crate) fn add_attribute(&mut self, id: &str, name: &str, value: &str) {
        let mut node = Node::clone(&self.state.nodes[id]);
        node.attributes.insert(name.to_owned(), value.to_owned());
        let now = self.now;
        self.write(Command::NodeRegister { node, now });
        self.set_node(id, NodeStatus::Ready);
    }

    /// Changes a node's status, and evaluates the jobs on it as a leader does.
    pub(crate) fn set_node(&mut self, id: &str, status: NodeStatus) {
        let mut jobs: Vec<Job> = self
            .state
            .allocs_of_node(id)
            .filter_map(|a| a.job.clone())
            .collect();
        jobs.dedup_by_key(|job| job.id.clone());
        let evals = jobs
            .iter()
            .map(|job| self.eval(job, EvalTrigger::NodeUpdate))
            .collect();
        self.write(Command::NodeStatus {
            id: id.to_owned(),
            status,
            message: String::new(),
            now: self.now,
            evals,
        });
    }

    /// A pending evaluation of a job.
    pub(crate) fn eval(&mut self, job: &Job, triggered_by: EvalTrigger) -> Evaluation {
        self.next_eval += 1;
        Evaluation {
            id: format!("eval-{}", self.next_eval),
            namespace: job.namespace.clone(),
            job_id: job.id.clone(),
            priority: job.priority,
            eval_type: job.job_type,
            triggered_by,
            status: EvalStatus::Pending,
            ..Evaluation::default()
        }
    }

    /// Applies a command, which must not be refused.
    pub(crate) fn write(&mut self, command: Command) {
        let index = self.state.index + 1;
        let shown = format!("{command:?}");
        let applied = self.state.apply(index, &command);
        assert_eq!(applied.refused, None, "{shown}");
    }

    /// Registers a job with its evaluation.
    pub(crate) fn register(&mut self, job: &Job) {
        let eval = Some(self.eval(job, EvalTrigger::JobRegister));
        self.write(Command::JobRegister {
            job: job.clone(),
            eval,
            enforce_index: None,
            submission: None,
            now: self.now,
        });
    }

    /// Stops a job.
    pub(crate) fn stop(&mut self, job: &Job) {
        let eval = Some(self.eval(job, EvalTrigger::JobDeregister));
        self.write(Command::JobDeregister {
            namespace: job.namespace.clone(),
            id: job.id.clone(),
            purge: false,
            eval,
            now: self.now,
        });
    }

    /// Evaluates a job at once.
    pub(crate) fn evaluate(&mut self, job: &Job) -> Outcome {
        let eval = self.eval(job, EvalTrigger::NodeUpdate);
        self.run(&eval)
    }

    /// Runs one evaluation and writes what came of it.
    pub(crate) fn run(&mut self, eval: &Evaluation) -> Outcome {
        let outcome = scheduler::process(&self.state, eval, self.now);
        if !outcome.is_noop() {
            self.write(Command::PlanResult {
                plan: outcome.plan.clone(),
                now: self.now,
            });
        }
        self.write(Command::EvalUpsert {
            evals: outcome.evals.clone(),
        });
        outcome
    }

    /// Runs every evaluation that is due; returns whether there was one.
    pub(crate) fn schedule(&mut self) -> bool {
        let due: Vec<_> = self
            .state
            .evals
            .values()
            .filter(|e| e.status == EvalStatus::Pending && e.wait_until <= self.now)
            .cloned()
            .collect();
        for eval in &due {
            self.run(eval);
        }
        !due.is_empty()
    }

    /// Runs the blocked evaluations again, as new capacity makes a leader do.
    pub(crate) fn unblock(&mut self) {
        let blocked: Vec<_> = self
            .state
            .evals
            .values()
            .filter(|e| e.status == EvalStatus::Blocked)
            .cloned()
            .collect();
        for eval in &blocked {
            self.run(eval);
        }
    }

    /// Asks the deployment watcher and writes what it wants; returns whether it wanted anything.
    pub(crate) fn watch(&mut self) -> bool {
        let advance = crate::deployments::advance(&self.state, self.now);
        let any = !advance.commands.is_empty();
        for command in advance.commands {
            self.write(command);
        }
        any
    }

    /// Clients on live nodes start what is pending and end what is to stop.
    pub(crate) fn clients(&mut self) -> bool {
        let mut reports = Vec::new();
        for alloc in self.state.allocs.values() {
            let node = self.state.nodes.get(&alloc.node_id);
            if node.is_none_or(|node| node.status != NodeStatus::Ready) {
                continue;
            }
            let wanted = alloc.desired_status == AllocDesiredStatus::Run;
            let status = match (wanted, alloc.client_status) {
                (true, AllocClientStatus::Pending) => AllocClientStatus::Running,
                (false, AllocClientStatus::Pending | AllocClientStatus::Running) => {
                    AllocClientStatus::Complete
                }
                _ => continue,
            };
            let mut report = Allocation::clone(alloc);
            report.client_status = status;
            reports.push(report);
        }
        let any = !reports.is_empty();
        for report in reports {
            self.report(report);
        }
        any
    }

    /// Writes a client's report.
    pub(crate) fn report(&mut self, report: Allocation) {
        self.write(Command::AllocClientUpdate {
            allocs: vec![report],
            evals: Vec::new(),
            now: self.now,
        });
    }

    /// A client calls an allocation healthy or not.
    pub(crate) fn set_health(&mut self, id: &str, healthy: bool) {
        let mut report = Allocation::clone(&self.state.allocs[id]);
        report.deployment_status = Some(AllocDeploymentStatus {
            healthy: Some(healthy),
            ..AllocDeploymentStatus::default()
        });
        self.report(report);
    }

    /// A client calls an allocation failed (and unhealthy, within a deployment).
    pub(crate) fn fail(&mut self, id: &str) {
        let mut report = Allocation::clone(&self.state.allocs[id]);
        report.client_status = AllocClientStatus::Failed;
        if !report.deployment_id.is_empty() {
            report.deployment_status = Some(AllocDeploymentStatus {
                healthy: Some(false),
                ..AllocDeploymentStatus::default()
            });
        }
        let job = report.job.clone().expect("it has a job");
        let eval = self.eval(&job, EvalTrigger::AllocFailure);
        self.write(Command::AllocClientUpdate {
            allocs: vec![report],
            evals: vec![eval],
            now: self.now,
        });
    }

    /// Running allocations of a deployment that nobody has judged yet.
    pub(crate) fn unjudged(&self) -> Vec<String> {
        let waiting = self.state.allocs.values().filter(|a| {
            a.client_status == AllocClientStatus::Running
                && a.desired_status == AllocDesiredStatus::Run
                && !a.deployment_id.is_empty()
                && a.deployment_status
                    .as_ref()
                    .is_none_or(|s| s.healthy.is_none())
        });
        waiting.map(|a| a.id.clone()).collect()
    }

    /// Lets servers and clients do everything that is due but judging health.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            let moved = self.schedule() | self.clients() | self.watch();
            if !moved {
                return;
            }
        }
        panic!("the cluster does not settle");
    }

    /// As [`World::settle`], with every allocation found healthy.
    pub(crate) fn settle_healthy(&mut self) {
        for _ in 0..200 {
            self.settle();
            let Some(id) = self.unjudged().into_iter().next() else {
                return;
            };
            self.set_health(&id, true);
        }
        panic!("the cluster does not settle");
    }

    /// Allocations that are to run, by name.
    pub(crate) fn wanted(&self) -> Vec<Arc<Allocation>> {
        let mut wanted: Vec<_> = self
            .state
            .allocs
            .values()
            .filter(|a| !a.is_terminal())
            .cloned()
            .collect();
        wanted.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        wanted
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.wanted().iter().map(|a| a.name.clone()).collect()
    }

    /// The job's newest deployment.
    pub(crate) fn deployment(&self) -> Arc<Deployment> {
        let found = self.state.deployments_of_job("default", "whoami");
        found.into_iter().next().expect("there is a deployment")
    }

    /// Evaluations in a status.
    pub(crate) fn evals(&self, status: EvalStatus) -> Vec<Arc<Evaluation>> {
        let all = self.state.evals.values();
        all.filter(|e| e.status == status).cloned().collect()
    }
}
