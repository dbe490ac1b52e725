//! Runs one task: starts its process, starts it again as its policy allows, ends it when told.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use nix::sys::signal::Signal;
use tokio::sync::{mpsc, watch};

use super::events;
use super::lifecycle::Phase;
use super::restarts::{Next, Restarts};
use super::taskenv::{Parts, TaskDirs, TaskEnv};
use super::templates;
use crate::clock;
use crate::drivers::raw_exec::{
    self, Exit, Found, Process, Rotation, StartError, TaskConfig, signal_named,
};
use crate::plant::{self, Plant};
use crate::types::{Allocation, JobType, Nanos, Node, SECOND, Task, TaskEvent};

/// Nomad's `client.max_kill_timeout` as it is by default.
const MAX_KILL_TIMEOUT: Nanos = 30 * SECOND;

/// How long a task may take to end when told to.
pub(super) fn kill_timeout(task: &Task) -> Nanos {
    task.kill_timeout
        .unwrap_or(5 * SECOND)
        .min(MAX_KILL_TIMEOUT)
}

/// What is the same for all tasks of an allocation.
pub(super) struct Place {
    pub(super) node: Arc<Node>,
    pub(super) region: String,
    /// `data_dir/alloc/<id>`.
    pub(super) alloc_dir: std::path::PathBuf,
}

/// What an allocation tells its task.
#[derive(Debug)]
pub(super) enum Order {
    /// End, for that reason where it needs one.
    Kill {
        /// Why.
        reason: Option<TaskEvent>,
        /// What the group waits before it (scaled).
        delay: Duration,
    },
    /// End and start again, because a user wants it, for the reason given.
    Restart(&'static str),
    /// Deliver a signal.
    Signal(Signal),
}

/// What a task tells its allocation.
#[derive(Debug)]
pub(super) enum News {
    /// Something happened.
    Event(TaskEvent),
    /// The process runs.
    Running {
        /// It leads the task's process group.
        process: Found,
    },
    /// It ended, and will be started again.
    Restarting,
    /// It is over.
    Dead {
        /// Whether that is a failure.
        failed: bool,
    },
}

/// How one process ended.
enum End {
    Exited(Exit),
    Killed,
    Restart,
    /// The client ends; the process stays.
    Abandoned,
}

/// See the module.
pub(super) struct TaskRunner {
    pub(super) name: String,
    pub(super) place: Arc<Place>,
    /// The allocation as the servers want it now.
    pub(super) alloc: watch::Receiver<Arc<Allocation>>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) news: mpsc::UnboundedSender<(String, News)>,
    /// Its process, where it runs already.
    pub(super) found: Option<Found>,
}

impl TaskRunner {
    /// Runs the task to its end.
    pub(super) async fn run(mut self) {
        if self.found.is_none() {
            self.event(events::setup());
        }
        let failed = match self.set_up().and_then(|()| self.put_payload()) {
            Ok(()) => self.keep_running().await,
            Err(why) => {
                self.event(events::setup_failure(&why));
                Some(true)
            }
        };
        if let Some(failed) = failed {
            self.tell(News::Dead { failed });
        }
    }

    fn tell(&self, news: News) {
        // The allocation's runner outlives its tasks.
        let _ended = self.news.send((self.name.clone(), news));
    }

    fn event(&self, event: TaskEvent) {
        self.tell(News::Event(event));
    }

    /// The task as the job says now.
    fn task(&self) -> Option<Task> {
        let alloc = self.alloc.borrow();
        let job = alloc.job.as_ref()?;
        let group = job
            .task_groups
            .iter()
            .find(|g| g.name == alloc.task_group)?;
        group.tasks.iter().find(|t| t.name == self.name).cloned()
    }

    fn dirs(&self) -> TaskDirs {
        TaskDirs::below(&self.place.alloc_dir, &self.name)
    }

    fn set_up(&self) -> Result<(), String> {
        let dirs = self.dirs();
        let shared = dirs.shared.clone();
        let all = [
            shared.join("data"),
            shared.join("tmp"),
            dirs.logs(),
            dirs.local(),
            dirs.secrets(),
            dirs.task.join("tmp"),
        ];
        for dir in all {
            std::fs::create_dir_all(&dir)
                .map_err(|e| format!("failed to build task directory {}: {e}", dir.display()))?;
        }
        Ok(())
    }

    /// Puts a dispatched job's payload where the task wants it.
    fn put_payload(&self) -> Result<(), String> {
        let job = self.alloc.borrow().job.clone().unwrap_or_default();
        let wanted = self.task().and_then(|task| task.dispatch_payload);
        let (Some(payload), Some(wanted)) = (job.payload, wanted) else {
            return Ok(());
        };
        let local = self.dirs().local();
        let path = local.join(&wanted.file);
        let inside = std::path::Path::new(&wanted.file)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return Err(format!(
                "dispatch_payload file {:?} escapes the task directory",
                wanted.file
            ));
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(payload);
        let bytes = bytes.map_err(|e| format!("failed to decode the payload: {e}"))?;
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, bytes))
            .map_err(|e| {
                format!(
                    "failed to write dispatch_payload to {}: {e}",
                    path.display()
                )
            })
    }

    /// Starts the process again and again; returns whether the task failed, `None` where the
    /// client ends before it.
    async fn keep_running(&mut self) -> Option<bool> {
        let kind = self.alloc.borrow().job.as_ref().map(|job| job.job_type);
        let phase = self.task().map(|task| Phase::of(&task));
        let ends = matches!(kind, Some(JobType::Batch | JobType::Sysbatch));
        // What prepares or cleans up is done once; what accompanies goes on.
        let on_success = match phase {
            Some(phase) if phase.is_ephemeral() => false,
            Some(phase) if phase.is_sidecar() => true,
            _ => !ends,
        };
        let mut restarts = Restarts::new(on_success, clock::now());
        loop {
            let Some(task) = self.task() else {
                self.event(events::driver_failure("the job has no such task"));
                return Some(true);
            };
            if let Some(problem) = raw_exec::config_problem(task.config.as_ref()) {
                self.event(events::failed_validation(&problem));
                self.event(events::not_restarting("Error was unrecoverable"));
                return Some(true);
            }
            let found = self.found.take();
            let end = match self.start(&task, found) {
                Ok(running) => {
                    let process = running.found();
                    // The one that was found may have ended just now.
                    if found != Some(process) {
                        self.event(events::started());
                    }
                    self.tell(News::Running { process });
                    self.attend(running).await
                }
                Err(error) => {
                    self.event(events::driver_failure(&error.to_string()));
                    self.event(events::not_restarting("Error was unrecoverable"));
                    return Some(true);
                }
            };
            let exit = match end {
                End::Abandoned => return None,
                End::Killed => return Some(false),
                End::Restart => {
                    self.tell(News::Restarting);
                    continue;
                }
                End::Exited(exit) => exit,
            };
            self.event(events::terminated(exit));
            let policy = self
                .task()
                .and_then(|t| t.restart_policy)
                .unwrap_or_default();
            match restarts.after_exit(&policy, exit, clock::now()) {
                Next::Done => return Some(false),
                Next::Fail(reason) => {
                    self.event(events::not_restarting(&reason));
                    return Some(true);
                }
                Next::Restart {
                    delay,
                    told,
                    reason,
                } => {
                    self.event(events::restarting(told, reason));
                    self.tell(News::Restarting);
                    if self.is_killed_within(delay).await {
                        return Some(false);
                    }
                }
            }
        }
    }

    /// Starts the task's process, or takes up the one that is found.
    fn start(&self, task: &Task, found: Option<Found>) -> Result<Process, StartError> {
        let alloc = Arc::clone(&self.alloc.borrow());
        let job = alloc.job.clone().unwrap_or_default();
        let group = job.task_groups.iter().find(|g| g.name == alloc.task_group);
        let dirs = self.dirs();
        let parts = Parts {
            node: &self.place.node,
            region: &self.place.region,
            alloc: &alloc,
            job: &job,
            group: group.expect("the task was found in it"),
            task,
            dirs: &dirs,
        };
        let env = TaskEnv::new(&parts, std::env::vars());
        let env = templates::write(task, &dirs, env).map_err(StartError::Template)?;
        let config = task.config.clone().unwrap_or_default();
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => env.replace(text),
            other => other.to_string(),
        };
        let args = config.get("args").and_then(serde_json::Value::as_array);
        let logs = task.log_config.clone();
        let (max_files, size) = logs.map_or((10, 10), |l| (l.max_files, l.max_file_size_mb));
        let config = TaskConfig {
            name: self.name.clone(),
            command: config.get("command").map(text).unwrap_or_default(),
            args: args.into_iter().flatten().map(text).collect(),
            env: env.vars().clone(),
            log_dir: dirs.logs(),
            dir: dirs.task,
            rotation: Rotation {
                max_files: usize::try_from(max_files).unwrap_or(1).max(1),
                max_bytes: u64::try_from(size).unwrap_or(1).max(1) * 1024 * 1024,
            },
        };
        let attached = found.and_then(|found| Process::attach(&config, found));
        attached.map_or_else(|| Process::start(&config), Ok)
    }

    /// Waits for the process to end, or ends it when told.
    async fn attend(&mut self, mut process: Process) -> End {
        loop {
            let order = tokio::select! {
                exit = process.wait() => return End::Exited(exit),
                order = self.orders.recv() => order,
            };
            match order {
                Some(Order::Signal(signal)) => {
                    self.event(events::signaling(signal.as_str()));
                    process.signal(signal);
                }
                Some(Order::Restart(reason)) => {
                    self.event(events::restart_signaled(reason));
                    self.end(process).await;
                    self.event(events::restarting(0, Some("")));
                    return End::Restart;
                }
                Some(Order::Kill { reason, delay }) => {
                    if let Some(reason) = reason {
                        self.event(reason);
                    }
                    clock::sleep(delay).await;
                    let task = self.task().unwrap_or_default();
                    self.event(events::killing(kill_timeout(&task)));
                    self.end(process).await;
                    self.event(events::killed());
                    return End::Killed;
                }
                None => return End::Abandoned,
            }
        }
    }

    /// Asks the process to end, and makes it end after its `kill_timeout`.
    async fn end(&mut self, mut process: Process) {
        let task = self.task().unwrap_or_default();
        let timeout = kill_timeout(&task);
        clock::sleep(clock::scaled_nanos(task.shutdown_delay)).await;
        let asks = if plant::is(Plant::KillTimeoutIgnored) {
            Signal::SIGKILL
        } else {
            signal_named(&task.kill_signal).unwrap_or(Signal::SIGINT)
        };
        process.signal(asks);
        let patience = clock::scaled_nanos(timeout);
        let waited = tokio::time::timeout(patience, process.wait()).await;
        let exit = if let Ok(exit) = waited {
            exit
        } else {
            process.signal(Signal::SIGKILL);
            process.wait().await
        };
        self.event(events::terminated(exit));
    }

    /// Waits before a restart; a user's restart ends the wait, a kill the task.
    async fn is_killed_within(&mut self, delay: Duration) -> bool {
        let wait = clock::sleep(delay);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return false,
                order = self.orders.recv() => match order {
                    Some(Order::Kill { reason, .. }) => {
                        if let Some(reason) = reason {
                            self.event(reason);
                        }
                        return true;
                    }
                    Some(Order::Restart(_)) => return false,
                    Some(Order::Signal(_)) => {}
                    // The client ends.
                    None => return true,
                },
            }
        }
    }
}
