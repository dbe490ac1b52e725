//! How the newest deployment of a job stands.

use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::nomad::types::Deployment;
use crate::poll::Look;

use super::{Condition, allocations};

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "deployment",
    about: "the deployment of the job's present version came to its end",
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::optional(
            "status",
            Type::Choice(&[SUCCESSFUL, FAILED]),
            "how; `\"successful\"` where it is left out",
        ),
    ],
    takes: &[],
    build: |args| Condition::Deployment {
        job: args.text("job"),
        status: args.opt_text("status").unwrap_or(SUCCESSFUL.to_owned()),
    },
};

/// Every instance became healthy.
const SUCCESSFUL: &str = "successful";
/// It did not; whether the job was reverted is another question.
const FAILED: &str = "failed";

/// Done when the deployment of the job's present version ended so; never when it ended otherwise.
pub async fn look(agents: &Directory, job: &str, wanted: &str) -> Look<String> {
    let registered = agents.ask(|api| async move { api.job(job).await }).await;
    let registered = match registered {
        Ok(registered) => registered,
        Err(error) => return Look::failed(&error),
    };
    let deployment = agents
        .ask(|api| async move { api.latest_deployment(job).await })
        .await;
    let deployment = match deployment {
        Ok(Some(deployment)) => deployment,
        Ok(None) => return Look::NotYet(format!("`{job}` has no deployment yet")),
        Err(error) => return Look::failed(&error),
    };
    let seen = in_words(&deployment);
    if deployment.job_version < registered.version {
        return Look::NotYet(format!(
            "none yet of version {}, only {seen}",
            registered.version
        ));
    }
    match deployment.status.as_str() {
        status if status == wanted => Look::Done(seen),
        SUCCESSFUL | FAILED | "cancelled" => Look::Never(seen),
        _ => Look::NotYet(match unhealthy(agents, job).await {
            Some(why) => format!("{seen}; {why}"),
            None => seen,
        }),
    }
}

/// Returns a deployment's state and counts.
#[must_use]
pub fn in_words(deployment: &Deployment) -> String {
    let groups: Vec<_> = deployment
        .task_groups
        .iter()
        .map(|(name, group)| {
            format!(
                "`{name}` {} of {} healthy, {} placed, {} unhealthy",
                group.healthy_allocs,
                group.desired_total,
                group.placed_allocs,
                group.unhealthy_allocs
            )
        })
        .collect();
    format!(
        "deployment of version {} is {} ({}): {}",
        deployment.job_version,
        deployment.status,
        deployment.status_description,
        groups.join(", ")
    )
}

/// Returns what the allocations say where one has failed: a deployment alone does not tell why.
async fn unhealthy(agents: &Directory, job: &str) -> Option<String> {
    let allocations = agents
        .ask(|api| async move { api.job_allocations(job).await })
        .await
        .ok()?;
    allocations
        .iter()
        .any(|alloc| alloc.client_status == "failed")
        .then(|| allocations::in_words(&allocations))
}
