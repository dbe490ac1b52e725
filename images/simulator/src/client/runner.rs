//! Runs one allocation: its tasks, what they are together, and whether that is healthy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, watch};

use super::checks::{CheckResult, Checks};
use super::events;
use super::health::{HealthRule, Verdict};
use super::lifecycle::{self, Phase};
use super::store::{Record, Store};
use super::task::{News, Order, Place, TaskRunner, kill_timeout};
use super::updates::Updates;
use crate::clock;
use crate::drivers::raw_exec::Found;
use crate::types::{
    AllocClientStatus, AllocDeploymentStatus, AllocDesiredStatus, Allocation, Nanos, Task,
    TaskEvent, TaskGroup, TaskState, TaskStateKind,
};

/// How often health is looked at (Nomad's `healthLookback`... interval of its checks).
const HEALTH_TICK: Duration = Duration::from_millis(500);

/// What the client tells an allocation's runner.
#[derive(Debug)]
pub(super) enum Message {
    /// The servers changed it.
    Update(Arc<Allocation>),
    /// A user restarts one task, or all.
    Restart {
        /// Which one.
        task: Option<String>,
        /// Also those that have ended.
        ended_too: bool,
    },
    /// A user signals one task, or all.
    Signal(Option<String>, Signal),
    /// It is garbage: end it and forget it.
    Destroy,
}

/// What an allocation is on this node.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Its namespace.
    pub namespace: String,
    /// Its tasks.
    pub tasks: BTreeMap<String, TaskState>,
    /// The process that leads each running task's group.
    pub processes: BTreeMap<String, i32>,
    /// What the checks of its services found last, by their IDs.
    pub checks: BTreeMap<String, CheckResult>,
}

/// Tells when a server was last heard of.
pub(super) type Heard = Arc<dyn Fn() -> Nanos + Send + Sync>;

/// What a runner needs.
pub(super) struct Setup {
    pub(super) place: Arc<Place>,
    pub(super) store: Store,
    pub(super) updates: Updates,
    pub(super) heard: Heard,
    pub(super) messages: mpsc::UnboundedReceiver<Message>,
    /// Becomes true when nothing of it runs any more.
    pub(super) done: watch::Sender<bool>,
    /// The same of the one that it replaces, if that is on this node.
    pub(super) previous: Option<watch::Receiver<bool>>,
}

/// See the module.
pub(super) struct AllocRunner {
    setup: Setup,
    alloc: watch::Sender<Arc<Allocation>>,
    states: BTreeMap<String, TaskState>,
    started: BTreeMap<String, Nanos>,
    orders: BTreeMap<String, mpsc::UnboundedSender<Order>>,
    processes: BTreeMap<String, Found>,
    view: watch::Sender<View>,
    /// What tasks tell comes by this; a copy is given to each.
    tell: mpsc::UnboundedSender<(String, News)>,
    /// Tasks whose turn has not come.
    waiting: BTreeSet<String>,
    /// Tasks whose process has run.
    ran: BTreeSet<String>,
    deployment_status: Option<AllocDeploymentStatus>,
    health: Option<HealthRule>,
    checks: Checks,
    killing: bool,
}

/// The task for whose sake the others are killed, and the event that tells them so.
type Culprit<'a> = (&'a str, fn(&str) -> TaskEvent);

impl AllocRunner {
    /// Prepares the runner of an allocation, with what is remembered of it.
    pub(super) fn new(setup: Setup, alloc: Arc<Allocation>, record: Option<Record>) -> Self {
        let record = record.unwrap_or_default();
        let mut states = record.task_states;
        for task in tasks_of(&alloc) {
            states.entry(task.name).or_default();
        }
        let health = HealthRule::of(&alloc, clock::now());
        let view = watch::Sender::new(View {
            namespace: alloc.namespace.clone(),
            tasks: states.clone(),
            ..View::default()
        });
        Self {
            checks: Checks::new(view.clone()),
            setup,
            alloc: watch::Sender::new(alloc),
            states,
            started: BTreeMap::new(),
            orders: BTreeMap::new(),
            processes: record.processes,
            view,
            // Replaced when it runs.
            tell: mpsc::unbounded_channel().0,
            waiting: BTreeSet::new(),
            ran: BTreeSet::new(),
            deployment_status: record.deployment_status,
            health,
            killing: false,
        }
    }

    /// What is known of it, kept up to date.
    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Runs until the allocation is destroyed.
    pub(super) async fn run(mut self) {
        let (news_to_us, mut news) = mpsc::unbounded_channel();
        self.tell = news_to_us;
        if self.waits_for_previous().await {
            self.begin();
        } else {
            self.never_ran();
        }
        self.publish();
        loop {
            let ticks = self.health.is_some() || self.patience().is_some();
            tokio::select! {
                message = self.setup.messages.recv() => match message {
                    None => return,
                    Some(Message::Destroy) => {
                        self.destroy(&mut news).await;
                        return;
                    }
                    Some(message) => self.handle(message),
                },
                Some((task, item)) = news.recv() => {
                    self.note(&task, item);
                    while let Ok((task, item)) = news.try_recv() {
                        self.note(&task, item);
                    }
                    self.judge_health();
                    self.publish();
                }
                () = clock::sleep(clock::scaled(HEALTH_TICK)), if ticks => {
                    let news = self.judge_health() | self.lose_patience();
                    if news {
                        self.publish();
                    }
                }
            }
        }
    }

    /// How long it is kept running while no server is heard of; `None` for ever.
    fn patience(&self) -> Option<Nanos> {
        if self.killing {
            return None;
        }
        group_of(&self.alloc.borrow())?.stop_on_client_after()
    }

    /// Ends it where no server was heard of for too long; whether it did.
    fn lose_patience(&mut self) -> bool {
        let heard = (self.setup.heard)();
        let Some(patience) = self.patience().filter(|_| heard > 0) else {
            return false;
        };
        let silence = u64::try_from(clock::now() - heard).unwrap_or(0);
        if Duration::from_nanos(silence) < clock::scaled_nanos(patience) {
            return false;
        }
        tracing::info!(target: "client.alloc_runner", alloc_id = self.alloc.borrow().id, "stopping alloc due to heartbeat");
        self.health = None;
        self.kill(None);
        true
    }

    fn is_wanted(&self) -> bool {
        self.alloc.borrow().desired_status == AllocDesiredStatus::Run
    }

    /// Waits until the allocation that this one replaces has let go of its ports; false where
    /// this one is not wanted any more by then.
    async fn waits_for_previous(&mut self) -> bool {
        let Some(mut previous) = self.setup.previous.take() else {
            return self.is_wanted();
        };
        loop {
            tokio::select! {
                // An error means that its runner is gone, and all of it.
                _ended = previous.wait_for(|done| *done) => return self.is_wanted(),
                message = self.setup.messages.recv() => match message {
                    Some(Message::Update(alloc)) => {
                        self.alloc.send_replace(alloc);
                        if !self.is_wanted() {
                            return false;
                        }
                    }
                    Some(Message::Destroy) | None => return false,
                    Some(Message::Restart { .. } | Message::Signal(..)) => {}
                },
            }
        }
    }

    /// Starts what has not ended. After a restart of the client, a process that survived it is
    /// taken up again; one that did not (it died with the container) is started again.
    fn begin(&mut self) {
        let mut survivors = Vec::new();
        for (name, state) in &mut self.states {
            let found = self.processes.get(name).filter(|found| found.is_alive());
            match (state.state, found) {
                (TaskStateKind::Dead, _) => {
                    self.ran.insert(name.clone());
                }
                (TaskStateKind::Running, Some(found)) => survivors.push((name.clone(), *found)),
                _ => {
                    events::push(state, events::received());
                    self.waiting.insert(name.clone());
                }
            }
        }
        self.processes.clear();
        self.watch_checks();
        for (name, found) in survivors {
            self.ran.insert(name.clone());
            self.start(&name, Some(found));
        }
        self.next_tasks();
    }

    /// Puts the questions of its services' checks, as long as it is wanted.
    fn watch_checks(&mut self) {
        let alloc = Arc::clone(&self.alloc.borrow());
        let ip = self.setup.place.node.node_resources.ip.as_str();
        self.checks.follow(&alloc, ip);
    }

    /// Starts the tasks whose turn has come, and ends sidecars that nobody needs any more.
    fn next_tasks(&mut self) {
        let tasks = tasks_of(&self.alloc.borrow());
        let ran = |name: &str| self.ran.contains(name);
        let ready: Vec<&Task> = tasks
            .iter()
            .filter(|task| self.waiting.contains(&task.name))
            .filter(|task| Phase::of(task).may_start(&tasks, &self.states, &ran))
            .collect();
        for task in ready {
            self.waiting.remove(&task.name);
            self.start(&task.name, None);
        }
        if self.killing || !lifecycle::main_is_over(&tasks, &self.states) {
            return;
        }
        for task in tasks.iter().filter(|task| Phase::of(task).is_sidecar()) {
            self.kill_task(task, Some(events::main_dead()), Duration::ZERO);
        }
    }

    fn start(&mut self, name: &str, found: Option<Found>) {
        let (orders, receiver) = mpsc::unbounded_channel();
        let runner = TaskRunner {
            name: name.to_owned(),
            place: Arc::clone(&self.setup.place),
            alloc: self.alloc.subscribe(),
            orders: receiver,
            news: self.tell.clone(),
            found,
        };
        self.orders.insert(name.to_owned(), orders);
        tokio::spawn(runner.run());
    }

    /// Runs tasks that have ended once more, because a user wants it.
    fn start_again(&mut self, reason: &'static str) {
        if self.killing {
            return;
        }
        for (name, state) in &mut self.states {
            if state.state == TaskStateKind::Dead {
                events::push(state, events::restart_signaled(reason));
                events::push(state, events::restarting(0, Some("")));
                state.state = TaskStateKind::Pending;
                state.failed = false;
                state.restarts += 1;
                state.last_restart = clock::rfc3339(clock::now());
                self.ran.remove(name);
                self.waiting.insert(name.clone());
            }
        }
        self.next_tasks();
        self.publish();
    }

    /// It was stopped before it started, or while the client was away.
    fn never_ran(&mut self) {
        self.killing = true;
        self.health = None;
        self.waiting.clear();
        for state in self.states.values_mut() {
            if state.state != TaskStateKind::Dead {
                state.state = TaskStateKind::Dead;
                state.finished_at = clock::rfc3339(clock::now());
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Update(alloc) => self.update(alloc),
            Message::Restart { task, ended_too } => {
                let reason = match task {
                    Some(_) => "User requested task to restart",
                    None if ended_too => "User requested all tasks to restart",
                    None => "User requested running tasks to restart",
                };
                self.order(task.as_deref(), || Order::Restart(reason));
                if ended_too {
                    self.start_again(reason);
                }
            }
            Message::Signal(task, signal) => self.order(task.as_deref(), || Order::Signal(signal)),
            Message::Destroy => {}
        }
    }

    fn order(&self, task: Option<&str>, order: impl Fn() -> Order) {
        for (name, orders) in &self.orders {
            if task.is_none_or(|task| task == name) {
                // A task that is over takes no orders.
                let _ended = orders.send(order());
            }
        }
    }

    fn update(&mut self, alloc: Arc<Allocation>) {
        let old = self.alloc.send_replace(Arc::clone(&alloc));
        if alloc.deployment_id != old.deployment_id {
            self.deployment_status = None;
            self.health = HealthRule::of(&alloc, clock::now());
        } else if alloc
            .deployment_status
            .as_ref()
            .is_some_and(|s| s.healthy.is_some())
        {
            // Known to the servers, whoever found it.
            self.health = None;
        }
        if alloc.desired_status != AllocDesiredStatus::Run && !self.is_done() {
            self.health = None;
            self.kill(None);
        } else if !self.killing && !self.is_done() {
            self.watch_checks();
        }
        if self.is_wanted() && alloc.client_status == AllocClientStatus::Unknown {
            // The servers had lost sight of it: they are told again how it is.
            for state in self.states.values_mut() {
                events::push(state, events::reconnected());
            }
            self.publish();
        }
        self.save();
    }

    /// Ends every task, because of `cause` where that was another one.
    fn kill(&mut self, cause: Option<Culprit<'_>>) {
        if self.killing {
            return;
        }
        self.killing = true;
        self.checks.stop();
        let alloc = Arc::clone(&self.alloc.borrow());
        // The group's own delay is for its services to be forgotten; a failure has none.
        let delay = group_of(&alloc).and_then(|group| group.shutdown_delay);
        let delay = delay.filter(|_| cause.is_none()).unwrap_or(0);
        for task in tasks_of(&alloc) {
            let reason = cause.map(|(name, event)| event(name));
            self.kill_task(&task, reason, clock::scaled_nanos(delay));
        }
        self.next_tasks();
    }

    /// Ends one task; those that clean up have their turn after the others.
    fn kill_task(&mut self, task: &Task, reason: Option<TaskEvent>, delay: Duration) {
        let Some(state) = self.states.get_mut(&task.name) else {
            return;
        };
        let cleans_up = Phase::of(task) == Phase::Poststop;
        if self.waiting.contains(&task.name) && !cleans_up {
            self.waiting.remove(&task.name);
            if let Some(reason) = reason {
                events::push(state, reason);
            }
            state.state = TaskStateKind::Dead;
            state.finished_at = clock::rfc3339(clock::now());
        } else if state.state == TaskStateKind::Dead {
            // Nomad tells those that are over, too.
            events::push(state, events::killing(kill_timeout(task)));
        } else if let Some(orders) = self.orders.get(&task.name).filter(|_| !cleans_up) {
            // It may end by itself meanwhile.
            let _ended = orders.send(Order::Kill { reason, delay });
        }
    }

    /// Takes in what a task tells.
    fn note(&mut self, task: &str, news: News) {
        let now = clock::now();
        let shown = clock::rfc3339(now);
        let Some(state) = self.states.get_mut(task) else {
            return;
        };
        match news {
            News::Event(event) => events::push(state, event),
            News::Running { process } => {
                self.processes.insert(task.to_owned(), process);
                self.ran.insert(task.to_owned());
                // After a restart of the client it was running all along, as Nomad has it.
                if state.state != TaskStateKind::Running {
                    state.started_at = shown;
                }
                state.state = TaskStateKind::Running;
                self.started.insert(task.to_owned(), now);
            }
            News::Restarting => {
                state.state = TaskStateKind::Pending;
                state.restarts += 1;
                state.last_restart = shown;
                self.started.remove(task);
                self.processes.remove(task);
            }
            News::Dead { failed } => {
                state.state = TaskStateKind::Dead;
                state.failed = failed;
                state.finished_at = shown;
                self.started.remove(task);
                self.processes.remove(task);
                self.after_death(task, failed);
            }
        }
        self.next_tasks();
    }

    /// A failed task takes its siblings with it; so does the leader, however it ends.
    fn after_death(&mut self, task: &str, failed: bool) {
        if self.is_done() {
            return;
        }
        let tasks = tasks_of(&self.alloc.borrow());
        let leads = tasks.iter().any(|t| t.leader && t.name == task);
        if failed {
            self.kill(Some((task, events::sibling_failed)));
        } else if leads {
            self.kill(Some((task, |_| events::leader_dead())));
        }
    }

    /// Looks at the health; returns whether it was decided now.
    fn judge_health(&mut self) -> bool {
        let Some(rule) = &self.health else {
            return false;
        };
        let tasks = tasks_of(&self.alloc.borrow());
        let now = clock::now();
        let passing = self.checks.passing_since(now);
        let checks = !rule.by_checks || passing.is_some_and(|at| rule.is_enough(at, now));
        let healthy = match rule.judge(&tasks, &self.states, &self.started, checks, now) {
            Verdict::Undecided => return false,
            Verdict::Healthy => true,
            Verdict::Unhealthy(reasons) => {
                for (task, why) in reasons {
                    if let Some(state) = self.states.get_mut(&task) {
                        events::push(state, events::unhealthy(&why));
                    }
                }
                false
            }
        };
        self.health = None;
        let old = self.alloc.borrow().deployment_status.clone();
        self.deployment_status = Some(AllocDeploymentStatus {
            healthy: Some(healthy),
            timestamp: clock::rfc3339(clock::now()),
            ..old.unwrap_or_default()
        });
        true
    }

    fn is_done(&self) -> bool {
        self.states.values().all(|s| s.state == TaskStateKind::Dead)
    }

    /// Stores the state and reports it.
    fn publish(&mut self) {
        self.save();
        self.view.send_modify(|view| {
            view.tasks.clone_from(&self.states);
            let processes = self.processes.iter();
            view.processes = processes
                .map(|(task, found)| (task.clone(), found.pid))
                .collect();
        });
        let alloc = Arc::clone(&self.alloc.borrow());
        let (client_status, description) = status_of(self.states.values());
        self.setup.updates.push(Allocation {
            id: alloc.id.clone(),
            node_id: alloc.node_id.clone(),
            job_id: alloc.job_id.clone(),
            namespace: alloc.namespace.clone(),
            task_group: alloc.task_group.clone(),
            client_status,
            client_description: description.to_owned(),
            task_states: self.states.clone(),
            deployment_status: self.deployment_status.clone(),
            ..Allocation::default()
        });
        self.setup.done.send_replace(self.is_done());
    }

    fn save(&self) {
        let record = Record {
            alloc: Allocation::clone(&self.alloc.borrow()),
            task_states: self.states.clone(),
            deployment_status: self.deployment_status.clone(),
            processes: self.processes.clone(),
        };
        if let Err(error) = self.setup.store.save(&record) {
            tracing::error!(target: "client.alloc_runner", alloc_id = record.alloc.id, %error, "failed to store state");
        }
    }

    async fn destroy(&mut self, news: &mut mpsc::UnboundedReceiver<(String, News)>) {
        self.kill(None);
        // Nothing more comes once every task's runner is gone.
        while !self.is_done() {
            match news.recv().await {
                Some((task, item)) => self.note(&task, item),
                None => break,
            }
        }
        let id = self.alloc.borrow().id.clone();
        let gone = self
            .setup
            .store
            .remove(&id)
            .and_then(|()| std::fs::remove_dir_all(&self.setup.place.alloc_dir));
        if let Err(error) = gone {
            tracing::debug!(target: "client.gc", alloc_id = id, %error, "allocation directory not removed");
        }
        self.setup.done.send_replace(true);
    }
}

fn group_of(alloc: &Allocation) -> Option<&TaskGroup> {
    let mut groups = alloc.job.iter().flat_map(|job| &job.task_groups);
    groups.find(|group| group.name == alloc.task_group)
}

/// Tasks of an allocation's group.
fn tasks_of(alloc: &Allocation) -> Vec<Task> {
    let group = group_of(alloc);
    group.map(|group| group.tasks.clone()).unwrap_or_default()
}

/// What the tasks are together, in Nomad's words.
fn status_of<'a>(states: impl Iterator<Item = &'a TaskState>) -> (AllocClientStatus, &'static str) {
    let (mut pending, mut running, mut failed) = (false, false, false);
    for state in states {
        match state.state {
            TaskStateKind::Pending => pending = true,
            TaskStateKind::Running => running = true,
            TaskStateKind::Dead => failed |= state.failed,
        }
    }
    if failed {
        (AllocClientStatus::Failed, "Failed tasks")
    } else if running {
        (AllocClientStatus::Running, "Tasks are running")
    } else if pending {
        (AllocClientStatus::Pending, "No tasks have started")
    } else {
        (AllocClientStatus::Complete, "All tasks have completed")
    }
}
