//! Whether a cluster may be used: before the first step, and by the next scenario. And the jobs
//! that a run leaves: they go.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};

use crate::directory::Directory;
use crate::poll::{self, Look, PollError};
use crate::probe::Condition;
use crate::spec::Role;
use crate::step::Scene;
use crate::target::{AgentState, Target};
use crate::workload::WRITER_JOB_PREFIX;

/// How long a cluster may take to be healthy: a server that came back is so after autopilot's
/// 10 s of stabilisation, a client after at most 10 s, and a late election may come before.
const WITHIN: Duration = Duration::from_secs(60);
/// How long the tasks of a stopped job may take to end: twice their longest `kill_timeout`.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
/// How many jobs are purged at a time: each is a Raft entry and waits for a disk.
const SIDE_BY_SIDE: usize = 8;
const INTERVAL: Duration = Duration::from_millis(100);

/// Returns which agents have no process that runs, and how they are: no waiting brings them back.
pub(super) async fn not_running(target: &dyn Target) -> Option<String> {
    let looks = target.agents().iter().map(|agent| async {
        // A target that does not answer says nothing; the health that is waited for will.
        let how = match target.state(&agent.name).await.ok()? {
            AgentState::Running => return None,
            AgentState::Paused => "is paused".to_owned(),
            AgentState::Exited { code, .. } => format!("has ended (exit code {code})"),
            AgentState::Gone => "is gone".to_owned(),
        };
        Some(format!("`{}` {how}", agent.name))
    });
    let found: Vec<String> = join_all(looks).await.into_iter().flatten().collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// Waits until one leader is named by all, every server votes and is healthy, and every client
/// is ready, in every region.
pub(super) async fn wait(scene: &Scene<'_>) -> Result<(), PollError> {
    for agents in scene.everywhere().by_region() {
        wait_for(scene, &agents).await?;
    }
    Ok(())
}

async fn wait_for(scene: &Scene<'_>, agents: &Directory) -> Result<(), PollError> {
    let conditions = [
        Condition::Leader,
        Condition::Voters {
            healthy: Some(agents.servers().count()),
        },
        Condition::Nodes {
            ready: Some(agents.of_role(Role::Client).count()),
        },
    ];
    for condition in conditions {
        poll::eventually(
            scene.allowed(WITHIN),
            INTERVAL,
            &condition.to_string(),
            || condition.look(agents),
        )
        .await?;
    }
    Ok(())
}

/// Stops and purges the jobs that the run submitted; returns what could not be removed.
pub(super) async fn remove_jobs(scene: &Scene<'_>) -> Vec<String> {
    let agents = scene.everywhere().without(&scene.ledger.touched());
    let mut notes = Vec::new();
    for left in &scene.jobs() {
        let (job, agents) = (&left.id, agents.of_region(left.region.as_deref()));
        if let Err(error) = remove(&agents, job).await {
            notes.push(format!("`{job}` was not removed: {error}"));
        }
        // The children of a periodic or parameterized job are jobs that outlive it.
        notes.extend(purge_all(&agents, &format!("{job}/")).await);
    }
    for agents in agents.by_region() {
        // The writer removes its jobs itself, unless it was cut short.
        notes.extend(purge_all(&agents, WRITER_JOB_PREFIX).await);
    }
    notes
}

/// Stops and purges all jobs whose IDs begin so; returns what could not be removed.
async fn purge_all(agents: &Directory, prefix: &str) -> Vec<String> {
    let left = agents
        .ask(|api| async move { api.jobs_with_prefix(prefix).await })
        .await;
    let left = match left {
        Ok(left) => left,
        Err(error) => return vec![format!("jobs `{prefix}...` were not looked for: {error}")],
    };
    let purge = |job: String| async move {
        let purged = agents.ask(|api| {
            let job = job.clone();
            async move { api.stop_job(&job, true).await }
        });
        let error = purged.await.err()?;
        Some(format!("`{job}` was not removed: {error}"))
    };
    let purged = stream::iter(left).map(purge).buffered(SIDE_BY_SIDE);
    purged.filter_map(std::future::ready).collect().await
}

async fn remove(agents: &Directory, job: &str) -> Result<(), PollError> {
    stop(agents, job, false).await?;
    let what = format!("the tasks of `{job}` ended");
    poll::eventually(STOPPED_WITHIN, INTERVAL, &what, || async {
        let left = agents
            .ask(|api| async move { api.job_allocations(job).await })
            .await;
        let left = match left {
            Ok(left) => left,
            Err(error) => return Look::failed(&error),
        };
        let running = left
            .iter()
            .filter(|alloc| ["pending", "running"].contains(&alloc.client_status.as_str()))
            .count();
        if running == 0 {
            Look::Done(())
        } else {
            Look::NotYet(format!("{running} still run"))
        }
    })
    .await?;
    stop(agents, job, true).await
}

async fn stop(agents: &Directory, job: &str, purge: bool) -> Result<(), PollError> {
    let verb = if purge { "purging" } else { "stopping" };
    let what = format!("{verb} `{job}`");
    poll::eventually(STOPPED_WITHIN, INTERVAL, &what, || async {
        let stopped = agents
            .ask(|api| async move { api.stop_job(job, purge).await })
            .await;
        stopped.map_or_else(|error| Look::failed(&error), |_| Look::Done(()))
    })
    .await
}
