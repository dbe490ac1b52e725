//! What the writer knows to be stored, and the check of it against what the cluster gives back.
//!
//! Each lane writes a counter into the meta of a job of its own, one higher each time, and a
//! write starts only when the one before was answered. A write of unknown fate closes the job's
//! book: the lane goes on with a new job, so that a late arrival cannot undo what came after.
//! Since each register that changes a job raises its version by exactly one (from 0), the version
//! counts the writes that were stored: one lost in the middle is seen too, not only the last.

use crate::nomad::types::Job;

/// The key of the counter in the job's meta.
pub(super) const COUNTER: &str = "counter";

/// One job, and what is known of the writes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Book {
    /// The job.
    pub(super) job: String,
    /// The highest counter that was acknowledged; 0 for none.
    pub(super) acked: u64,
    /// `JobModifyIndex` of that acknowledgement.
    pub(super) index: u64,
    /// Whether a write with the next counter may have been stored too.
    pub(super) one_unknown: bool,
}

impl Book {
    pub(super) fn new(job: String) -> Self {
        Self {
            job,
            acked: 0,
            index: 0,
            one_unknown: false,
        }
    }

    /// Whether there need not be such a job at all.
    pub(super) fn may_be_absent(&self) -> bool {
        self.acked == 0
    }

    /// Enters an acknowledgement.
    ///
    /// # Errors
    /// The law that it breaks: Raft's indexes only rise.
    pub(super) fn acknowledge(&mut self, counter: u64, index: u64) -> Result<(), String> {
        let before = self.index;
        self.acked = counter;
        self.index = index;
        if index <= before {
            return Err(format!(
                "write {counter} to `{}` was acknowledged at index {index}, the one before at \
                 {before}",
                self.job
            ));
        }
        Ok(())
    }

    /// Compares with what the cluster gives back: the job and its kept versions, newest first.
    /// Returns the laws that are broken.
    pub(super) fn compare(&self, job: &Job, versions: &[Job]) -> Vec<String> {
        let name = &self.job;
        let mut broken = Vec::new();
        let Some(stored) = counter(job) else {
            return vec![format!("`{name}` came back without its counter")];
        };
        let most = self.acked + u64::from(self.one_unknown);
        if stored < self.acked {
            broken.push(format!(
                "acknowledged write {} to `{name}` is lost: it came back with {stored}",
                self.acked
            ));
        }
        if stored > most {
            broken.push(format!(
                "`{name}` came back with {stored}, which was never written (at most {most} was)"
            ));
        }
        if job.version + 1 != stored {
            broken.push(format!(
                "`{name}` came back with counter {stored} and version {}: {} writes were stored, \
                 {stored} acknowledged",
                job.version,
                job.version + 1
            ));
        }
        if job.job_modify_index < self.index {
            broken.push(format!(
                "`{name}` came back with index {}, older than the acknowledged {}",
                job.job_modify_index, self.index
            ));
        }
        let newest = versions.first().map(|version| version.version);
        if newest != Some(job.version) {
            broken.push(format!(
                "the newest kept version of `{name}` is {newest:?}, the job's is {}",
                job.version
            ));
        }
        for pair in versions.windows(2) {
            if pair[0].version != pair[1].version + 1 {
                broken.push(format!(
                    "the kept versions of `{name}` leap from {} to {}",
                    pair[1].version, pair[0].version
                ));
            }
        }
        for version in versions {
            if counter(version) != Some(version.version + 1) {
                broken.push(format!(
                    "version {} of `{name}` carries counter {:?}",
                    version.version,
                    counter(version)
                ));
            }
        }
        broken
    }
}

fn counter(job: &Job) -> Option<u64> {
    job.meta.get(COUNTER)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(version: u64, counter: u64) -> Job {
        Job {
            id: "w".into(),
            version,
            job_modify_index: 100 + version,
            meta: [(COUNTER.to_owned(), counter.to_string())].into(),
            ..Job::default()
        }
    }

    fn history(newest: u64) -> Vec<Job> {
        (newest.saturating_sub(5)..=newest)
            .rev()
            .map(|version| stored(version, version + 1))
            .collect()
    }

    fn book(acked: u64, one_unknown: bool) -> Book {
        Book {
            job: "w".into(),
            acked,
            index: 99 + acked,
            one_unknown,
        }
    }

    #[test]
    fn what_was_acknowledged_and_is_there_breaks_nothing() {
        let broken = book(40, false).compare(&stored(39, 40), &history(39));
        assert_eq!(broken, Vec::<String>::new());
    }

    #[test]
    fn a_lost_last_write_is_seen() {
        let broken = book(40, false).compare(&stored(38, 39), &history(38));
        assert!(broken[0].contains("write 40 to `w` is lost"), "{broken:?}");
    }

    #[test]
    fn a_write_lost_in_the_middle_is_seen() {
        // 40 writes were acknowledged, 39 versions are there: one of them went missing.
        let mut versions = history(38);
        versions[0] = stored(38, 40);
        let broken = book(40, false).compare(&stored(38, 40), &versions);
        assert!(!broken.is_empty());
    }

    #[test]
    fn a_write_of_unknown_fate_may_be_there_or_not() {
        let book = book(40, true);
        assert!(book.compare(&stored(39, 40), &history(39)).is_empty());
        assert!(book.compare(&stored(40, 41), &history(40)).is_empty());
        assert!(!book.compare(&stored(41, 42), &history(41)).is_empty());
    }

    #[test]
    fn an_index_that_falls_is_seen() {
        let mut book = Book::new("w".into());
        assert!(book.acknowledge(1, 10).is_ok());
        assert!(book.acknowledge(2, 10).is_err());
    }

    #[test]
    fn a_hole_in_the_history_is_seen() {
        let mut versions = history(39);
        versions.remove(2);
        assert!(
            !book(40, false)
                .compare(&stored(39, 40), &versions)
                .is_empty()
        );
    }
}
