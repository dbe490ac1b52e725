//! Whether a job's canaries wait for a promotion.

use super::{Condition, deployment};
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "canaries",
    about: "exactly so many canaries of the job's newest version are healthy, and the deployment \
            waits for a promotion",
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required("healthy", Type::Count, "how many"),
    ],
    takes: &[],
    build: |args| Condition::Canaries {
        job: args.text("job"),
        healthy: args.opt_size("healthy").unwrap_or_default(),
    },
};

/// Done when the running deployment of the present version has exactly `healthy` healthy canaries.
pub async fn look(agents: &Directory, job: &str, healthy: usize) -> Look<String> {
    let asked = agents
        .ask(|api| async move {
            let registered = api.job(job).await?;
            let deployment = api.latest_deployment(job).await?;
            Ok((registered, deployment, api.job_allocations(job).await?))
        })
        .await;
    let (registered, deployment, allocations) = match asked {
        Ok(asked) => asked,
        Err(error) => return Look::failed(&error),
    };
    let Some(deployment) = deployment.filter(|one| one.job_version == registered.version) else {
        return Look::NotYet(format!(
            "no deployment yet of version {}",
            registered.version
        ));
    };
    let count = allocations
        .iter()
        .filter(|alloc| alloc.job_version == registered.version)
        .filter(|alloc| alloc.is_running() && alloc.is_healthy())
        .filter(|alloc| {
            let status = alloc.deployment_status.as_ref();
            status.is_some_and(|status| status.canary)
        })
        .count();
    let seen = format!(
        "{count} healthy canaries, {}",
        deployment::in_words(&deployment)
    );
    match deployment.status.as_str() {
        "running" if count == healthy => Look::Done(seen),
        "failed" | "cancelled" | "successful" => Look::Never(seen),
        _ => Look::NotYet(seen),
    }
}
