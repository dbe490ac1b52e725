//! Job versions, and the status of a job that follows from its evaluations and allocations.

use std::sync::Arc;

use super::Refusal;
use crate::plant::{self, Plant};
use crate::state::{Command, State, Table};
use crate::types::{
    EvalStatus, Evaluation, Job, JobStatus, JobSubmission, JobType, Nanos, SECOND, ScalingEvent,
};

/// Nomad keeps this many versions of a job (`structs.JobDefaultTrackedVersions`).
const VERSIONS_KEPT: usize = 6;

/// Nomad keeps this many scaling events of a group (`structs.JobTrackedScalingEvents`).
const EVENTS_KEPT: usize = 20;

impl State {
    pub(super) fn change_jobs(&mut self, index: u64, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::JobRegister {
                job,
                eval,
                enforce_index,
                submission,
                now,
            } => {
                self.check_enforced(job, *enforce_index)?;
                self.note_launch(job, *now);
                if !self.is_same_spec(job) {
                    self.upsert_job(index, job, submission.as_ref(), *now);
                }
                self.upsert_job_eval(index, eval.as_ref());
                self.derive_job_status(index, &job.namespace, &job.id);
                Ok(())
            }
            Command::ScalingEvent {
                namespace,
                job_id,
                group,
                event,
            } => {
                let of_job = self.scaling_events.entry(Self::job_key(namespace, job_id));
                let events = of_job.or_default().entry(group.clone()).or_default();
                let create_index = index;
                events.insert(
                    0,
                    ScalingEvent {
                        create_index,
                        ..event.clone()
                    },
                );
                events.truncate(EVENTS_KEPT);
                self.touch(Table::Jobs, index);
                Ok(())
            }
            Command::JobDeregister {
                namespace,
                id,
                purge,
                eval,
                now,
            } => {
                self.deregister_job(index, namespace, id, *purge, *now);
                self.upsert_job_eval(index, eval.as_ref());
                self.derive_job_status(index, namespace, id);
                Ok(())
            }
            Command::JobStable {
                namespace,
                id,
                version,
                stable,
            } => self.mark_stable(index, namespace, id, *version, *stable),
            other => unreachable!("not about jobs: {other:?}"),
        }
    }

    /// A periodic job's registration counts as its first launch, so that no launch is missed
    /// before there was one; later ones are those of its children.
    fn note_launch(&mut self, job: &Job, now: Nanos) {
        let key = Self::job_key(&job.namespace, &job.id);
        if job.is_periodic() {
            self.periodic_launches.entry(key).or_insert(now);
        } else {
            // Otherwise a job that is made periodic again would catch up on everything.
            self.periodic_launches.remove(&key);
        }
        let at = job.id.strip_prefix(&job.parent_id);
        let at = at.and_then(|rest| rest.strip_prefix("/periodic-")?.parse::<Nanos>().ok());
        let parent = Self::job_key(&job.namespace, &job.parent_id);
        if let (Some(last), Some(at)) = (self.periodic_launches.get_mut(&parent), at) {
            *last = (*last).max(at * SECOND);
        }
    }

    fn check_enforced(&self, job: &Job, enforce: Option<u64>) -> Result<(), Refusal> {
        let enforce = enforce.filter(|_| !plant::is(Plant::EnforceIndexIgnored));
        let Some(wanted) = enforce else {
            return Ok(());
        };
        let start = format!("Enforcing job modify index {wanted}: ");
        match (self.job(&job.namespace, &job.id), wanted) {
            (None, 0) => Ok(()),
            (None, _) => Err(start + "job does not exist"),
            (Some(_), 0) => Err(start + "job already exists"),
            (Some(old), _) if old.job_modify_index == wanted => Ok(()),
            (Some(old), _) => Err(format!(
                "{start}job exists with conflicting job modify index: {}",
                old.job_modify_index
            )),
        }
    }

    /// Whether registering `job` would change nothing that its submitter decides.
    #[must_use]
    pub fn is_same_spec(&self, job: &Job) -> bool {
        self.job(&job.namespace, &job.id).is_some_and(|old| {
            let mut new = job.clone();
            new.status = old.status;
            new.status_description.clone_from(&old.status_description);
            new.stable = old.stable;
            new.version = old.version;
            new.submit_time = old.submit_time;
            new.create_index = old.create_index;
            new.modify_index = old.modify_index;
            new.job_modify_index = old.job_modify_index;
            new == **old
        })
    }

    /// Stores a new version of a job; whether it differs is the caller's to know.
    pub(super) fn upsert_job(
        &mut self,
        index: u64,
        job: &Job,
        submission: Option<&JobSubmission>,
        now: Nanos,
    ) {
        let mut job = job.clone();
        let earlier = job.version;
        job.modify_index = index;
        job.job_modify_index = index;
        job.submit_time = now;
        let key = Self::job_key(&job.namespace, &job.id);
        if let Some(old) = self.jobs.get(&key) {
            job.create_index = old.create_index;
            job.version = old.version + 1;
        } else {
            job.create_index = index;
            job.version = 0;
        }
        job.status = self.status_of(&job);
        let job = Arc::new(job);
        let versions = self.job_versions.entry(key.clone()).or_default();
        versions.insert(0, Arc::clone(&job));
        forget_oldest(versions);
        self.keep_submission(index, &job, earlier, submission);
        self.jobs.insert(key, job);
        self.touch(Table::Jobs, index);
    }

    /// Where none comes with a version, it is that of the version which the job was made from: of
    /// the one reverted to, or of the one that is stopped or scaled.
    fn keep_submission(
        &mut self,
        index: u64,
        job: &Job,
        earlier: u64,
        given: Option<&JobSubmission>,
    ) {
        let kept = || self.submission_of(&job.namespace, &job.id, earlier);
        let Some(given) = given.or_else(|| kept().map(|kept| &**kept)) else {
            return;
        };
        let submission = JobSubmission {
            namespace: job.namespace.clone(),
            job_id: job.id.clone(),
            version: job.version,
            job_modify_index: index,
            ..given.clone()
        };
        let key = Self::job_key(&job.namespace, &job.id);
        let all = self.job_submissions.entry(key).or_default();
        all.insert(0, Arc::new(submission));
        all.truncate(VERSIONS_KEPT);
    }

    fn deregister_job(&mut self, index: u64, namespace: &str, id: &str, purge: bool, now: Nanos) {
        let key = Self::job_key(namespace, id);
        let Some(old) = self.jobs.get(&key) else {
            return;
        };
        if purge {
            self.jobs.remove(&key);
            self.job_versions.remove(&key);
            self.job_submissions.remove(&key);
            self.periodic_launches.remove(&key);
            self.scaling_events.remove(&key);
            self.touch(Table::Jobs, index);
        } else {
            let mut stopped = Job::clone(old);
            stopped.stop = true;
            self.upsert_job(index, &stopped, None, now);
        }
    }

    fn mark_stable(
        &mut self,
        index: u64,
        namespace: &str,
        id: &str,
        version: u64,
        stable: bool,
    ) -> Result<(), Refusal> {
        let found = self
            .versions_of(namespace, id)
            .iter()
            .find(|job| job.version == version);
        let Some(found) = found else {
            return Err(format!("job {id:?} at version {version} not found"));
        };
        let mut job = Job::clone(found);
        job.stable = stable;
        self.replace_job(index, job);
        Ok(())
    }

    /// Writes back a version that exists, with only its modify index raised.
    pub(super) fn replace_job(&mut self, index: u64, mut job: Job) {
        job.modify_index = index;
        let key = Self::job_key(&job.namespace, &job.id);
        let job = Arc::new(job);
        let current = self.jobs.get_mut(&key);
        if let Some(current) = current.filter(|current| current.version == job.version) {
            *current = Arc::clone(&job);
        }
        let versions = self.job_versions.entry(key).or_default();
        if let Some(kept) = versions.iter_mut().find(|kept| kept.version == job.version) {
            *kept = job;
        }
        self.touch(Table::Jobs, index);
    }

    /// An evaluation made for a registration carries the index that the job got by it.
    pub(super) fn upsert_job_eval(&mut self, index: u64, eval: Option<&Evaluation>) {
        let Some(eval) = eval else { return };
        let mut eval = eval.clone();
        let job = self.job(&eval.namespace, &eval.job_id);
        eval.job_modify_index = job.map_or(index, |job| job.job_modify_index);
        self.upsert_evals(index, &[eval]);
    }

    /// Brings a job's status in line with its evaluations and allocations.
    pub(super) fn derive_job_status(&mut self, index: u64, namespace: &str, id: &str) {
        let Some(job) = self.job(namespace, id) else {
            return;
        };
        let status = self.status_of(job);
        if status != job.status {
            let mut job = Job::clone(job);
            job.status = status;
            self.replace_job(index, job);
        }
    }

    /// Nomad's `getJobStatus`.
    fn status_of(&self, job: &Job) -> JobStatus {
        if job.job_type == JobType::System || job.is_periodic() || job.is_parameterized() {
            return if job.stop {
                JobStatus::Dead
            } else {
                JobStatus::Running
            };
        }
        let mut worked = false;
        for alloc in self.allocs_of_job(&job.namespace, &job.id) {
            if !alloc.is_terminal() {
                return JobStatus::Running;
            }
            worked = true;
        }
        let evals = self.evals.values();
        for eval in evals.filter(|e| e.job_id == job.id && e.namespace == job.namespace) {
            if matches!(eval.status, EvalStatus::Pending | EvalStatus::Blocked) {
                return JobStatus::Pending;
            }
            worked = true;
        }
        if worked {
            JobStatus::Dead
        } else {
            JobStatus::Pending
        }
    }
}

/// Drops the oldest version above the limit, but never the only stable one.
fn forget_oldest(versions: &mut Vec<Arc<Job>>) {
    if versions.len() <= VERSIONS_KEPT {
        return;
    }
    if versions.iter().position(|job| job.stable) == Some(VERSIONS_KEPT) {
        versions.swap(VERSIONS_KEPT - 1, VERSIONS_KEPT);
    }
    versions.truncate(VERSIONS_KEPT);
}
