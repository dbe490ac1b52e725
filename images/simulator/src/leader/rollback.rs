//! Where a failed deployment goes back to.

use crate::state::State;
use crate::types::{Deployment, Job};

/// The job version that a failing deployment reverts to, and the description that says so
/// (or why it does not).
#[must_use]
pub fn rollback(state: &State, deployment: &Deployment, why: &str) -> (Option<Job>, String) {
    let wanted = deployment.task_groups.values().any(|g| g.auto_revert);
    if !wanted {
        return (None, why.to_owned());
    }
    let versions = state.versions_of(&deployment.namespace, &deployment.job_id);
    let Some(stable) = versions.iter().find(|job| job.stable) else {
        let text = format!("{why} - no stable job version to auto revert to");
        return (None, text);
    };
    let version = stable.version;
    if state.is_same_spec(stable) {
        let text = format!(
            "{why} - not rolling back to stable job version {version} as current job has same specification"
        );
        return (None, text);
    }
    let text = format!("{why} - rolling back to job version {version}");
    (Some(Job::clone(stable)), text)
}
