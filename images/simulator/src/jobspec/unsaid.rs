//! What a job file leaves out, where the job that is read from it cannot show it.

use hcl_edit::structure::{Block, Body};

/// What a job file leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaid {
    /// The job's type; it is a service then.
    pub job_type: bool,
    /// Of each group, in the job's order, its count; it is 1 then.
    pub counts: Vec<bool>,
}

/// Looks at a file whose `dynamic` blocks are unfolded.
pub(super) fn of(body: &Body) -> Unsaid {
    let Some(job) = body.get_blocks("job").next() else {
        return Unsaid::default();
    };
    let groups = job.body.get_blocks("group");
    let groups = groups.map(|group: &Block| !group.body.has_attribute("count"));
    // A task without a group gets one.
    let bare = job.body.get_blocks("task").map(|_| true);
    Unsaid {
        job_type: !job.body.has_attribute("type"),
        counts: groups.chain(bare).collect(),
    }
}
