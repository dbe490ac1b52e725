//! The client against servers in memory.

use std::net::Ipv4Addr;
use std::path::Path;

use super::*;
use crate::clock;
use crate::scheduler::world::from_hcl;
use crate::types::{
    AllocClientStatus, AllocDesiredStatus, AllocatedPort, Job, SECOND, TaskStateKind,
};

/// A client's configuration for tests.
pub(crate) fn config(data_dir: &Path) -> ClientConfig {
    ClientConfig {
        data_dir: data_dir.to_owned(),
        name: "client-1".to_owned(),
        region: "global".to_owned(),
        datacenter: "dc1".to_owned(),
        node_class: String::new(),
        node_pool: String::new(),
        meta: BTreeMap::new(),
        options: BTreeMap::new(),
        cpu_total: Some(4000),
        memory_mb: Some(1024),
        min_dynamic_port: 20_000,
        max_dynamic_port: 32_000,
        ip: Ipv4Addr::LOCALHOST,
        http_addr: SocketAddr::from(([127, 0, 0, 1], 4646)),
        tls_enabled: false,
        raw_exec: true,
        version: "1.8.3".to_owned(),
    }
}

/// A client that no server has anything for.
pub(crate) fn idle(data_dir: &Path) -> Client {
    start(&Arc::new(Fake::default()), data_dir)
}

/// Servers in memory: one node, whatever allocations the test wants.
#[derive(Default)]
pub(super) struct Fake {
    state: Mutex<FakeState>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct FakeState {
    node: Option<Node>,
    statuses: Vec<NodeStatus>,
    allocs: BTreeMap<String, Allocation>,
    /// Calls to `update_allocs`.
    updates: usize,
    /// While set, every call fails with this text.
    refusing: Option<String>,
}

impl Fake {
    fn lock(&self) -> std::sync::MutexGuard<'_, FakeState> {
        self.state.lock().expect("no test panics with it")
    }

    /// Wants an allocation (again, changed).
    pub(super) fn want(&self, mut alloc: Allocation) {
        self.changed.send_modify(|index| {
            *index += 1;
            alloc.alloc_modify_index = *index;
            self.lock().allocs.insert(alloc.id.clone(), alloc);
        });
    }

    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Allocation)) {
        let mut alloc = self.get(id);
        change(&mut alloc);
        self.want(alloc);
    }

    pub(super) fn forget(&self, id: &str) {
        self.changed.send_modify(|index| {
            *index += 1;
            self.lock().allocs.remove(id);
        });
    }

    pub(super) fn get(&self, id: &str) -> Allocation {
        self.lock().allocs[id].clone()
    }

    fn check(&self) -> Result<(), ServersError> {
        match self.lock().refusing.clone() {
            Some(text) => Err(ServersError::Refused(text)),
            None => Ok(()),
        }
    }

    fn reply() -> HeartbeatReply {
        HeartbeatReply {
            ttl: Duration::from_millis(50),
            servers: vec![SocketAddr::from(([127, 0, 0, 1], 4647))],
        }
    }

    /// Waits for a condition on an allocation.
    pub(super) async fn until(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&Allocation) -> bool,
    ) -> Allocation {
        for _ in 0..1000 {
            let alloc = self.get(id);
            if wanted(&alloc) {
                return alloc;
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} did not become {what}: {:#?}", self.get(id));
    }

    pub(super) async fn until_status(&self, id: &str, status: AllocClientStatus) -> Allocation {
        let what = format!("{status:?}");
        self.until(id, &what, |a| a.client_status == status).await
    }
}

#[async_trait]
impl Servers for Fake {
    async fn register(&self, node: &Node) -> Result<HeartbeatReply, ServersError> {
        self.check()?;
        self.lock().node = Some(node.clone());
        Ok(Self::reply())
    }

    async fn heartbeat(
        &self,
        node_id: &str,
        _secret_id: &str,
        status: NodeStatus,
    ) -> Result<HeartbeatReply, ServersError> {
        self.check()?;
        let mut state = self.lock();
        if state.node.as_ref().is_none_or(|node| node.id != node_id) {
            return Err(ServersError::Refused("node not found".to_owned()));
        }
        state.statuses.push(status);
        Ok(Self::reply())
    }

    async fn allocs(
        &self,
        _node_id: &str,
        _secret_id: &str,
        index: u64,
        wait: Duration,
    ) -> Result<(u64, Vec<Allocation>), ServersError> {
        self.check()?;
        let mut changed = self.changed.subscribe();
        let waited = changed.wait_for(|now| *now > index);
        // Timing out is an answer, too.
        let _timed_out = tokio::time::timeout(wait, waited).await;
        let index = *self.changed.borrow();
        Ok((index, self.lock().allocs.values().cloned().collect()))
    }

    async fn update_allocs(
        &self,
        _node_id: &str,
        _secret_id: &str,
        allocs: Vec<Allocation>,
    ) -> Result<(), ServersError> {
        self.check()?;
        let mut state = self.lock();
        state.updates += 1;
        for report in allocs {
            if let Some(alloc) = state.allocs.get_mut(&report.id) {
                alloc.client_status = report.client_status;
                alloc.client_description = report.client_description;
                alloc.task_states = report.task_states;
                if report.deployment_status.is_some() {
                    alloc.deployment_status = report.deployment_status;
                }
            }
        }
        Ok(())
    }
}

/// A job whose task runs `script`; `extra` goes into the task, `group` into the group.
fn job(kind: &str, script: &str, group: &str, extra: &str) -> Job {
    from_hcl(&format!(
        r#"
job "j" {{
  type = "{kind}"
  group "g" {{
    {group}
    task "t" {{
      driver = "raw_exec"
      config {{
        command = "sh"
        args    = ["-c", <<EOT
{script}
EOT
        ]
      }}
      {extra}
    }}
  }}
}}
"#
    ))
}

pub(super) fn alloc(id: &str, job: Job) -> Allocation {
    Allocation {
        id: id.to_owned(),
        name: "j.g[0]".to_owned(),
        namespace: "default".to_owned(),
        job_id: job.id.clone(),
        task_group: "g".to_owned(),
        job: Some(job),
        ports: vec![AllocatedPort {
            label: "http".to_owned(),
            value: 20_123,
            to: 0,
            host_ip: "127.0.0.1".to_owned(),
        }],
        ..Allocation::default()
    }
}

pub(super) struct Rig {
    pub(super) servers: Arc<Fake>,
    client: Option<Client>,
    dir: tempfile::TempDir,
}

impl Rig {
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let servers = Arc::new(Fake::default());
        let client = Some(start(&servers, dir.path()));
        Self {
            servers,
            client,
            dir,
        }
    }

    pub(super) fn client(&self) -> &Client {
        self.client.as_ref().expect("it runs")
    }

    pub(super) fn log(&self, alloc: &str) -> String {
        let path = self.client().alloc_dir(alloc).join("alloc/logs/t.stdout.0");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// The client restarts; its tasks' processes die with its container.
    async fn restart(&mut self, alloc: &str) {
        let pid = self.log(alloc);
        let pid = pid
            .lines()
            .last()
            .and_then(|l| l.parse().ok())
            .expect("the task told its ID");
        // The old one must not see the end of its tasks.
        drop(self.client.take());
        clock::sleep(Duration::from_millis(50)).await;
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL).expect("it ran");
        self.client = Some(start(&self.servers, self.dir.path()));
    }
}

fn start(servers: &Arc<Fake>, dir: &Path) -> Client {
    let servers: Arc<dyn Servers> = Arc::clone(servers) as Arc<dyn Servers>;
    Client::start(config(dir), servers).expect("it starts")
}

fn event_types(alloc: &Allocation) -> Vec<&str> {
    let events = &alloc.task_states["t"].events;
    events.iter().map(|e| e.event_type.as_str()).collect()
}

#[tokio::test]
async fn a_node_registers_and_is_ready_with_its_first_heartbeat() {
    let rig = Rig::start();
    for _ in 0..500 {
        if rig.servers.lock().statuses.len() > 2 {
            break;
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    let state = rig.servers.lock();
    assert!(state.statuses.len() > 2, "it keeps its heartbeat");
    assert_eq!(state.statuses[0], NodeStatus::Ready);
    let node = state.node.as_ref().expect("it registered");
    assert_eq!(node.id, rig.client().node_id());
    assert_eq!(node.attributes["driver.raw_exec"], "1");
    drop(state);
    assert_eq!(rig.client().stats().known_servers.len(), 1);
}

#[tokio::test]
async fn a_node_that_the_servers_forgot_registers_again() {
    let rig = Rig::start();
    let registered = || rig.servers.lock().node.is_some();
    for _ in 0..2 {
        for _ in 0..500 {
            if registered() {
                break;
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
        assert!(registered());
        rig.servers.lock().node = None;
    }
}

#[tokio::test]
async fn a_task_runs_and_is_told_about_itself() {
    let rig = Rig::start();
    let script = "echo $NOMAD_ALLOC_ID $NOMAD_PORT_http ${NOMAD_TASK_NAME}; exec sleep 1000";
    rig.servers
        .want(alloc("a1", job("service", script, "", "")));
    let found = rig
        .servers
        .until_status("a1", AllocClientStatus::Running)
        .await;
    assert_eq!(found.client_description, "Tasks are running");
    assert_eq!(event_types(&found), ["Received", "Task Setup", "Started"]);
    for _ in 0..500 {
        if !rig.log("a1").is_empty() {
            break;
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.log("a1"), "a1 20123 t\n");

    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    let found = rig
        .servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    assert_eq!(
        event_types(&found)[3..],
        ["Killing", "Terminated", "Killed"]
    );
    let state = &found.task_states["t"];
    assert_eq!(
        state.events[4].details["signal"], "2",
        "SIGINT is the default"
    );
    assert!(!state.failed);

    rig.servers.forget("a1");
    for _ in 0..500 {
        if !rig.client().alloc_dir("a1").exists() {
            break;
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    assert!(!rig.client().alloc_dir("a1").exists(), "garbage is removed");
    assert_eq!(rig.client().stats().num_allocations, 0);
}

#[tokio::test]
async fn a_task_that_ignores_its_signal_is_killed_after_its_timeout() {
    let rig = Rig::start();
    let extra = "kill_timeout = \"300ms\"\n kill_signal = \"SIGTERM\"";
    let script = "trap '' TERM; while true; do sleep 0.05; done";
    rig.servers
        .want(alloc("a1", job("service", script, "", extra)));
    rig.servers
        .until_status("a1", AllocClientStatus::Running)
        .await;
    clock::sleep(Duration::from_millis(200)).await;
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    let found = rig
        .servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    let events = &found.task_states["t"].events;
    let end = events.iter().find(|e| e.event_type == "Terminated");
    assert_eq!(end.expect("it ended").details["signal"], "9");
    let killing = events.iter().find(|e| e.event_type == "Killing");
    assert_eq!(
        killing.expect("it was told").display_message,
        "Sent interrupt. Waiting 300ms before force killing"
    );
}

const RESTARTS: &str =
    "restart {\n attempts = 1\n interval = \"30s\"\n delay = \"50ms\"\n mode = \"fail\"\n }";

#[tokio::test]
async fn a_failing_task_is_restarted_and_then_fails_its_allocation() {
    let rig = Rig::start();
    rig.servers
        .want(alloc("a1", job("service", "exit 7", RESTARTS, "")));
    let found = rig
        .servers
        .until_status("a1", AllocClientStatus::Failed)
        .await;
    assert_eq!(found.client_description, "Failed tasks");
    assert_eq!(
        event_types(&found),
        [
            "Received",
            "Task Setup",
            "Started",
            "Terminated",
            "Restarting",
            "Started",
            "Terminated",
            "Not Restarting",
            "Alloc Unhealthy"
        ]
    );
    let state = &found.task_states["t"];
    assert_eq!((state.restarts, state.failed), (1, true));
    assert_eq!(state.events[3].display_message, "Exit Code: 7");
    assert_eq!(
        state.events[7].display_message,
        "Exceeded allowed attempts 1 in interval 30s and mode is \"fail\""
    );
}

#[tokio::test]
async fn a_missing_program_fails_the_task_at_once() {
    let rig = Rig::start();
    let mut job = job("service", "", RESTARTS, "");
    let config = job.task_groups[0].tasks[0]
        .config
        .as_mut()
        .expect("it has one");
    config.insert("command".to_owned(), "no-such-program".into());
    rig.servers.want(alloc("a1", job));
    let found = rig
        .servers
        .until_status("a1", AllocClientStatus::Failed)
        .await;
    let types = event_types(&found);
    assert_eq!(types[2..4], ["Driver Failure", "Not Restarting"]);
    assert!(
        found.task_states["t"].events[2]
            .display_message
            .contains("binary \"no-such-program\" could not be found"),
    );
}

#[tokio::test]
async fn a_batch_task_that_succeeds_completes_its_allocation() {
    let rig = Rig::start();
    rig.servers
        .want(alloc("a1", job("batch", "exit 0", "", "")));
    let found = rig
        .servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    assert_eq!(found.client_description, "All tasks have completed");
    assert_eq!(
        event_types(&found),
        ["Received", "Task Setup", "Started", "Terminated"]
    );
}

const UPDATE: &str = "update {\n health_check = \"task_states\"\n min_healthy_time = \"300ms\"\n healthy_deadline = \"5s\"\n }";

#[tokio::test]
async fn an_allocation_of_a_deployment_becomes_healthy_once_it_ran_for_long_enough() {
    let rig = Rig::start();
    let mut wanted = alloc("a1", job("service", "exec sleep 1000", UPDATE, ""));
    wanted.deployment_id = "d1".to_owned();
    rig.servers.want(wanted);
    let judged = |a: &Allocation| a.deployment_status.as_ref().and_then(|s| s.healthy);
    let found = rig
        .servers
        .until("a1", "healthy", |a| judged(a) == Some(true))
        .await;
    let started = found.task_states["t"].events[2].time;
    assert!(clock::now() - started >= 3 * SECOND / 10);
    assert_eq!(found.client_status, AllocClientStatus::Running);

    // Another deployment asks again.
    rig.servers.change("a1", |a| {
        a.deployment_id = "d2".to_owned();
        a.deployment_status = None;
    });
    let found = rig
        .servers
        .until("a1", "healthy", |a| judged(a) == Some(true))
        .await;
    assert_eq!(found.deployment_id, "d2");
    assert_eq!(found.task_states["t"].restarts, 0);
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
}

#[tokio::test]
async fn an_allocation_that_does_not_start_in_time_is_unhealthy() {
    let rig = Rig::start();
    let group = format!(
        "{}\n restart {{\n attempts = 5\n interval = \"30s\"\n delay = \"5s\"\n }}",
        UPDATE.replace("5s", "700ms")
    );
    let mut wanted = alloc("a1", job("service", "exit 1", &group, ""));
    wanted.deployment_id = "d1".to_owned();
    rig.servers.want(wanted);
    let judged = |a: &Allocation| a.deployment_status.as_ref().and_then(|s| s.healthy);
    let found = rig
        .servers
        .until("a1", "unhealthy", |a| judged(a) == Some(false))
        .await;
    assert_eq!(event_types(&found).last(), Some(&"Alloc Unhealthy"));
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
}

#[tokio::test]
async fn a_replacement_on_the_same_node_waits_until_its_predecessor_has_ended() {
    let rig = Rig::start();
    let slow = "trap 'sleep 0.5; exit 0' INT; while true; do sleep 0.02; done";
    rig.servers.want(alloc("a1", job("service", slow, "", "")));
    rig.servers
        .until_status("a1", AllocClientStatus::Running)
        .await;
    clock::sleep(Duration::from_millis(200)).await;
    let mut next = alloc("a2", job("service", "exec sleep 1000", "", ""));
    next.previous_allocation = "a1".to_owned();
    rig.servers.want(next);
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    let second = rig
        .servers
        .until_status("a2", AllocClientStatus::Running)
        .await;
    let first = rig.servers.get("a1");
    assert_eq!(first.client_status, AllocClientStatus::Complete);
    let ended = first.task_states["t"].events.last().expect("it ended").time;
    let started = second.task_states["t"].events[2].time;
    assert!(started >= ended, "{started} {ended}");
    rig.servers
        .change("a2", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a2", AllocClientStatus::Complete)
        .await;
}

#[tokio::test]
async fn a_user_restarts_and_signals_a_task() {
    let rig = Rig::start();
    let script = "trap 'echo hup' HUP; echo up; while true; do sleep 0.02; done";
    rig.servers
        .want(alloc("a1", job("service", script, "", "")));
    rig.servers
        .until_status("a1", AllocClientStatus::Running)
        .await;
    let until = async |text: &str| {
        for _ in 0..500 {
            if rig.log("a1") == text {
                return;
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
        panic!("expected {text:?}, found {:?}", rig.log("a1"));
    };
    until("up\n").await;
    rig.client()
        .signal("a1", Some("t"), "SIGHUP")
        .expect("it runs");
    until("up\nhup\n").await;
    rig.client().restart("a1", None, false).expect("it runs");
    until("up\nhup\nup\n").await;
    let restarted = |a: &Allocation| a.task_states["t"].restarts == 1;
    rig.servers.until("a1", "restarted", restarted).await;
    assert_eq!(
        rig.client().restart("a9", None, false),
        Err(OrderError::UnknownAllocation("a9".to_owned()))
    );
    assert_eq!(
        rig.client().signal("a1", Some("x"), "HUP"),
        Err(OrderError::NoTask)
    );
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    assert_eq!(
        rig.client().restart("a1", None, false),
        Err(OrderError::NotRunning)
    );
}

#[tokio::test]
async fn a_restarted_client_starts_its_unfinished_tasks_again() {
    let mut rig = Rig::start();
    let script = "echo $$; exec sleep 1000";
    rig.servers
        .want(alloc("a1", job("service", script, "", "")));
    rig.servers
        .until_status("a1", AllocClientStatus::Running)
        .await;
    rig.servers
        .want(alloc("a2", job("batch", "exit 0", "", "")));
    rig.servers
        .until_status("a2", AllocClientStatus::Complete)
        .await;
    let node = rig.client().node_id().to_owned();
    rig.restart("a1").await;
    assert_eq!(rig.client().node_id(), node);
    let twice = |a: &Allocation| {
        let events = a.task_states["t"].events.iter();
        events.filter(|e| e.event_type == "Started").count() == 2
    };
    let found = rig.servers.until("a1", "running again", twice).await;
    assert_eq!(found.task_states["t"].state, TaskStateKind::Running);
    assert_eq!(rig.log("a1").lines().count(), 2);
    let batch = rig.servers.get("a2");
    assert_eq!(
        event_types(&batch).len(),
        4,
        "what is done is not done again"
    );
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
}

#[tokio::test]
async fn a_server_that_is_behind_does_not_stop_what_it_has_not_heard_of() {
    let rig = Rig::start();
    let script = "exec sleep 1000";
    rig.servers
        .want(alloc("a1", job("service", script, "", "")));
    rig.servers
        .want(alloc("a2", job("batch", "exit 0", "", "")));
    rig.servers
        .until_status("a1", AllocClientStatus::Running)
        .await;
    rig.servers
        .until_status("a2", AllocClientStatus::Complete)
        .await;
    let lists = |allocs: &[&str]| -> Vec<Allocation> {
        allocs.iter().map(|id| rig.servers.get(id)).collect()
    };
    let client = &rig.client().allocs;
    assert!(!client.is_collected(&lists(&["a2"])), "`a1` lives");
    assert!(client.is_collected(&lists(&["a1"])), "`a2` has ended");
    let mut older = lists(&["a1"]);
    older[0].alloc_modify_index = 0;
    assert!(!client.is_collected(&older));
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
}

#[tokio::test]
async fn reports_are_sent_in_batches() {
    let rig = Rig::start();
    for i in 0..5 {
        rig.servers
            .want(alloc(&format!("a{i}"), job("batch", "exit 0", "", "")));
    }
    for i in 0..5 {
        rig.servers
            .until_status(&format!("a{i}"), AllocClientStatus::Complete)
            .await;
    }
    let updates = rig.servers.lock().updates;
    assert!(
        updates < 15,
        "{updates} calls for 5 allocations of several events"
    );
}

#[tokio::test]
async fn a_client_that_comes_back_finds_its_running_tasks_again() {
    let mut rig = Rig::start();
    let script = "echo $$; trap 'echo bye; exit' INT; while true; do sleep 0.02; done";
    rig.servers
        .want(alloc("a1", job("service", script, "", "")));
    rig.servers
        .until_status("a1", AllocClientStatus::Running)
        .await;
    let process = async |rig: &Rig| {
        for _ in 0..500 {
            let view = rig.client().allocation("a1").unwrap_or_default();
            if let Some(pid) = view.processes.get("t") {
                return *pid;
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
        panic!("the task has no process");
    };
    let before = process(&rig).await;
    drop(rig.client.take());
    // Taken up before any server answers.
    rig.servers.lock().refusing = Some("No cluster leader".to_owned());
    clock::sleep(Duration::from_millis(50)).await;
    rig.client = Some(start(&rig.servers, rig.dir.path()));
    assert_eq!(process(&rig).await, before);
    rig.servers.lock().refusing = None;
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    let stopped = rig
        .servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    let started = event_types(&stopped);
    let started = started.iter().filter(|kind| **kind == "Started").count();
    assert_eq!(started, 1, "it was not started twice");
    let text = rig.log("a1");
    assert!(text.ends_with("bye\n"), "its output is read on: {text:?}");
    assert_eq!(text.lines().count(), 2, "{text:?}");
}

#[tokio::test]
async fn a_client_that_hears_of_no_server_stops_what_asks_for_it() {
    let rig = Rig::start();
    let patient = job("service", "exec sleep 1000", "", "");
    let mut impatient = patient.clone();
    impatient.task_groups[0].disconnect = Some(crate::types::Disconnect {
        stop_on_client_after: Some(SECOND),
        ..crate::types::Disconnect::default()
    });
    for (id, job) in [("a1", impatient), ("a2", patient)] {
        rig.servers.want(alloc(id, job));
        rig.servers
            .until_status(id, AllocClientStatus::Running)
            .await;
    }
    rig.servers.lock().refusing = Some("No cluster leader".to_owned());
    let state = |id: &str| rig.client().allocation(id).unwrap_or_default().tasks["t"].state;
    for _ in 0..1000 {
        if state("a1") == TaskStateKind::Dead {
            break;
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(state("a1"), TaskStateKind::Dead);
    assert_eq!(state("a2"), TaskStateKind::Running);
    rig.servers.lock().refusing = None;
    rig.servers
        .change("a2", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a2", AllocClientStatus::Complete)
        .await;
}
