//! What came to a good end: allocations of a batch job, and of the children that a periodic or
//! parameterized job had.

use super::{Condition, allocations};
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::nomad::types::AllocStub;
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "completed",
    about: "exactly so many allocations of a job and of its children came to a good end, no other \
            is left, and none failed",
    args: &[
        Arg::required("job", Type::Job, "the job, or the parent"),
        Arg::required("allocations", Type::Count, "how many"),
    ],
    takes: &[],
    build: |args| Condition::Completed {
        job: args.text("job"),
        allocations: args.opt_size("allocations").unwrap_or_default(),
    },
};

/// Done when exactly `wanted` allocations are complete and all others are, too.
pub async fn look(agents: &Directory, job: &str, wanted: usize) -> Look<String> {
    let (all, known) = tokio::join!(
        agents.ask(|api| async move { api.all_allocations().await }),
        agents.ask(|api| async move { api.job(job).await }),
    );
    let (all, known) = match (all, known) {
        (Ok(all), Ok(known)) => (all, known),
        (_, Err(error)) if error.status() == Some(404) => {
            return Look::NotYet(format!("there is no job `{job}`"));
        }
        (Err(error), _) | (_, Err(error)) => return Look::failed(&error),
    };
    judge(&own(all, job, known.create_index), wanted)
}

/// The allocations of a job and its children. Those of an earlier job of that name stay after it was purged,
/// until Nomad collects its garbage: they are older than the job.
fn own(mut all: Vec<AllocStub>, job: &str, since: u64) -> Vec<AllocStub> {
    let children = format!("{job}/");
    all.retain(|alloc| {
        let named = alloc.job_id == job || alloc.job_id.starts_with(&children);
        named && alloc.create_index > since
    });
    all
}

fn judge(all: &[AllocStub], wanted: usize) -> Look<String> {
    let count = |status: &str| {
        let those = all.iter().filter(|alloc| alloc.client_status == status);
        those.count()
    };
    let seen = allocations::in_words(all);
    let (complete, failed) = (count("complete"), count("failed"));
    if failed > 0 || complete > wanted {
        Look::Never(seen)
    } else if complete == wanted && all.len() == wanted {
        Look::Done(seen)
    } else {
        Look::NotYet(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(states: &[&str]) -> Vec<AllocStub> {
        let one = |state: &&str| AllocStub {
            client_status: (*state).to_owned(),
            ..AllocStub::default()
        };
        states.iter().map(one).collect()
    }

    #[test]
    fn what_an_earlier_job_of_that_name_left_is_not_counted() {
        let alloc = |job: &str, at: u64| AllocStub {
            job_id: job.to_owned(),
            create_index: at,
            ..AllocStub::default()
        };
        let all = vec![
            alloc("batch", 9),
            alloc("batch/dispatch-1", 9),
            alloc("batch", 11),
            alloc("batch/dispatch-2", 12),
            alloc("batches", 13),
        ];
        let left: Vec<u64> = own(all, "batch", 10)
            .iter()
            .map(|one| one.create_index)
            .collect();
        assert_eq!(left, [11, 12]);
    }

    #[test]
    fn one_too_few_is_not_yet_and_one_that_failed_is_never() {
        let complete = "complete";
        assert!(matches!(judge(&of(&[complete; 3]), 3), Look::Done(_)));
        assert!(matches!(
            judge(&of(&[complete, complete]), 3),
            Look::NotYet(_)
        ));
        let running = of(&[complete, complete, complete, "running"]);
        assert!(matches!(judge(&running, 3), Look::NotYet(_)));
        assert!(matches!(judge(&of(&[complete; 4]), 3), Look::Never(_)));
        assert!(matches!(
            judge(&of(&[complete, "failed"]), 2),
            Look::Never(_)
        ));
    }
}
