//! The writer: counters written through all servers in turn, to see for how long nobody takes a
//! write and whether every acknowledged one survives.
//!
//! Portable writes: variables exist from Nomad 1.4 on only, so each write registers a job that
//! places nothing (count 0) and whose meta carries the counter. One lane for each server.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::writer_book::Book;
use super::writer_lane::{Lane, Notebook, Notes};
use super::{Beside, Breach, Outcome, Workload};
use crate::directory::Directory;
use crate::grammar::{Arg, Number, Type, Word};
use crate::measure::{Measure, quantile};
use crate::nomad::ApiError;
use crate::poll::{self, Look};
use crate::timeline::{Kind, Recorder, Sample, Series, millis};

/// As scripts name it.
pub(super) const WORD: Word<Workload> = Word {
    name: "writer",
    about: "writes counters through all servers in turn, and checks at its stop that every \
            acknowledged one is there",
    args: &[Arg::required("rate", Type::Rate, "writes a second")],
    takes: &[
        Number {
            name: "writes_acknowledged",
            about: "writes that the cluster acknowledged",
        },
        Number {
            name: "writes_failed",
            about: "attempts that failed",
        },
        Number {
            name: "write_gap_ms",
            about: "longest time without an acknowledgement",
        },
        Number {
            name: "write_ms_p50",
            about: "how long half of the writes took at most",
        },
        Number {
            name: "write_ms_p99",
            about: "how long 99 of 100 writes took at most",
        },
    ],
    build: |args| Workload::Writer {
        rate: args.rate("rate"),
    },
};

/// How the writer's jobs are called.
pub const JOB_PREFIX: &str = "rehearse-writer-";
/// How long reading back may take: the cluster has a leader by then.
const READ_WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn run(beside: Beside, rate: u32) -> Outcome {
    let servers: Vec<_> = beside.agents.servers().cloned().collect();
    let lanes = u32::try_from(servers.len()).unwrap_or(1).max(1);
    let every = Duration::from_secs(1) * lanes / rate.max(1);
    let notes = Notebook::new(&beside);
    let datacenter = beside
        .agents
        .ask(|api| async move { api.agent_self().await })
        .await
        .map(|agent| agent.config.datacenter);
    let datacenter = match datacenter {
        Ok(datacenter) => datacenter,
        Err(error) => return broken_from_the_start(&error),
    };
    let run = uuid::Uuid::new_v4().simple().to_string()[..6].to_owned();
    let books = join_all((0..servers.len()).map(|number| {
        let lane = Lane {
            name: format!("{JOB_PREFIX}{run}-{}", number + 1),
            number,
            servers: &servers,
            datacenter: &datacenter,
            notebook: notes.clone(),
        };
        lane.write(&beside, every)
    }))
    .await;
    let books: Vec<_> = books.into_iter().flatten().collect();
    let ended = Instant::now();
    let read = books.iter().map(|book| read_back(&beside.agents, book));
    let broken = join_all(read).await.concat();
    tidy_up(&beside.agents, &books).await;
    sum_up(&beside, notes.close(), broken, ended, books.len())
}

fn broken_from_the_start(error: &ApiError) -> Outcome {
    let what = format!("the writer could not start: {error}");
    Outcome {
        summary: what.clone(),
        breaches: vec![Breach { what, timed: true }],
        ..Outcome::default()
    }
}

/// Reads a job and its versions as the leader has them, and compares with the book.
async fn read_back(agents: &Directory, book: &Book) -> Vec<Breach> {
    let job = &book.job;
    let what = format!("reading back `{job}`");
    let found = poll::eventually(READ_WITHIN, Duration::from_millis(200), &what, || async {
        let read = agents
            .ask(|api| async move {
                let stored = api.job(job).await?;
                Ok((stored, api.job_versions(job).await?))
            })
            .await;
        match read {
            Ok(found) => Look::Done(Some(found)),
            Err(error) if error.status() == Some(404) => Look::Done(None),
            Err(error) => Look::failed(&error),
        }
    })
    .await;
    let lost = |what| Breach { what, timed: false };
    match found {
        Ok(Some((stored, versions))) => book
            .compare(&stored, &versions)
            .into_iter()
            .map(lost)
            .collect(),
        Ok(None) if book.may_be_absent() => Vec::new(),
        Ok(None) => vec![lost(format!(
            "`{job}` is gone with its {} acknowledged writes",
            book.acked
        ))],
        Err(error) => vec![Breach {
            what: error.to_string(),
            timed: true,
        }],
    }
}

async fn tidy_up(agents: &Directory, books: &[Book]) {
    let purges = books.iter().map(async |book| {
        let job = &book.job;
        let purged = agents
            .ask(|api| async move { api.stop_job(job, true).await })
            .await;
        if let Err(error) = purged {
            tracing::warn!("cannot purge `{job}`: {error}");
        }
    });
    join_all(purges).await;
}

fn sum_up(
    beside: &Beside,
    mut notes: Notes,
    broken: Vec<Breach>,
    ended: Instant,
    jobs: usize,
) -> Outcome {
    let lost = broken.len();
    notes.breaches.extend(broken);
    notes.acks.sort_by_key(|(at, _)| *at);
    let name = "writes through all servers";
    let samples = samples(&beside.recorder, &notes);
    beside.recorder.keep_series(Series::of(name, samples));
    let mut took: Vec<_> = notes.acks.iter().map(|(_, took)| millis(*took)).collect();
    took.sort_by(f64::total_cmp);
    let mut measures = vec![
        Measure::count("writes_acknowledged", notes.acks.len()),
        Measure::count("writes_failed", notes.failed.len()),
    ];
    if let Some((from, gap)) = longest_gap(&notes.acks, ended) {
        measures.push(Measure::new("write_gap_ms", millis(gap)));
        let words = format!("no write was acknowledged for {:.0} ms", millis(gap));
        beside.recorder.record_at(from, Kind::Measured, None, words);
    } else {
        notes.breaches.push(Breach {
            what: "no write was acknowledged".to_owned(),
            timed: true,
        });
    }
    for (name, share) in [("write_ms_p50", 0.5), ("write_ms_p99", 0.99)] {
        measures.extend(quantile(&took, share).map(|value| Measure::new(name, value)));
    }
    Outcome {
        summary: format!(
            "{} writes acknowledged in {jobs} jobs, {} attempts failed, {lost} laws broken",
            notes.acks.len(),
            notes.failed.len()
        ),
        measures,
        breaches: notes.breaches,
    }
}

fn samples(recorder: &Recorder, notes: &Notes) -> Vec<Sample> {
    let written = notes
        .acks
        .iter()
        .map(|(at, took)| (*at, Some(millis(*took))));
    let failed = notes.failed.iter().map(|at| (*at, None));
    let sample = |(at, took_ms)| Sample {
        at_ms: recorder.at_ms(at),
        took_ms,
    };
    written.chain(failed).map(sample).collect()
}

/// Returns when the longest time without an acknowledgement began, and how long it was. The time
/// from the last one to the end counts.
fn longest_gap(acks: &[(Instant, Duration)], ended: Instant) -> Option<(Instant, Duration)> {
    let moments: Vec<_> = acks.iter().map(|(at, _)| *at).collect();
    let ends = moments.iter().skip(1).copied().chain([ended]);
    moments
        .iter()
        .zip(ends)
        .map(|(from, to)| (*from, to.saturating_duration_since(*from)))
        .max_by_key(|(_, gap)| *gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_may_be_the_last() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let acks: Vec<_> = [0, 50, 3050, 3100]
            .into_iter()
            .map(|ms| (at(ms), Duration::ZERO))
            .collect();
        let (from, gap) = longest_gap(&acks, at(3200)).expect("there are some");
        assert_eq!((from, gap), (at(50), Duration::from_secs(3)));
        let (from, gap) = longest_gap(&acks, at(9000)).expect("there are some");
        assert_eq!((from, gap), (at(3100), Duration::from_millis(5900)));
        assert_eq!(longest_gap(&[], at(0)), None);
    }
}
