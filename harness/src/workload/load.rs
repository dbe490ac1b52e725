//! A load on a service: requests at a stated rate to its healthy instances in turn, each on a
//! connection of its own, to see whether the service answers throughout.
//!
//! An instance that was told to stop may fail its last requests: the list that routes is up to
//! 100 ms old. Such failures are counted apart; every other failure breaks the law.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::instances::{Instance, Instances};
use super::{Beside, Breach, Outcome, Workload};
use crate::grammar::{Arg, Number, Type, Word};
use crate::measure::{Measure, quantile};
use crate::probe::{http, service};
use crate::timeline::{Kind, Recorder, Sample, Series, millis};

/// As scripts name it.
pub(super) const WORD: Word<Workload> = Word {
    name: "load",
    about: "asks the healthy instances of a job in turn, each request on a connection of its own; \
            every failure at an instance that was not told to stop breaks the law",
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required("port", Type::Port, "the label of the port"),
        Arg::required("rate", Type::Rate, "requests a second"),
        Arg::optional(
            "tolerant",
            Type::Flag,
            "`true`: failures are counted and break no law, for where clients are meant to fail; \
             `false` where it is left out",
        ),
    ],
    takes: &[
        Number {
            name: "requests_answered",
            about: "requests that were answered",
        },
        Number {
            name: "requests_lost",
            about: "requests that failed at instances not told to stop, or found no instance",
        },
        Number {
            name: "requests_lost_to_stops",
            about: "requests that failed at instances told to stop",
        },
        Number {
            name: "request_ms_p50",
            about: "how long half of the requests took at most",
        },
        Number {
            name: "request_ms_p99",
            about: "how long 99 of 100 requests took at most",
        },
        Number {
            name: "service_gap_ms",
            about: "longest time without an answer",
        },
    ],
    build: |args| Workload::Load {
        job: args.text("job"),
        port: args.text("port"),
        rate: args.rate("rate"),
        tolerant: args.opt_flag("tolerant").unwrap_or(false),
    },
};

/// What is asked of whom.
pub(super) struct Order {
    pub(super) job: String,
    pub(super) port: String,
    pub(super) rate: u32,
    pub(super) tolerant: bool,
}

/// What became of one request.
struct Request {
    to: Instance,
    sent: Instant,
    ended: Instant,
    /// What was wrong, if anything.
    fault: Option<String>,
}

#[derive(Default)]
struct Tally {
    done: Vec<Request>,
    /// Ticks at which there was no healthy instance to ask.
    nobody: usize,
    failing: bool,
}

pub(super) async fn run(beside: Beside, order: Order) -> Outcome {
    let Order {
        job,
        port,
        rate,
        tolerant,
    } = order;
    let instances = Instances::default();
    instances.read(&beside, &job, &port).await;
    let mut tally = Tally::default();
    tokio::select! {
        () = instances.keep(&beside, &job, &port) => {}
        () = send(&beside, &instances, rate, &mut tally) => {}
    }
    // The last failures may be of instances whose end was not seen yet.
    instances.read(&beside, &job, &port).await;
    let mut outcome = sum_up(&beside, &job, &instances, &tally);
    if tolerant {
        outcome.breaches.clear();
    }
    outcome
}

/// Sends until the stop, then waits for the answers that are still out.
async fn send(beside: &Beside, instances: &Instances, rate: u32, tally: &mut Tally) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let stopped = beside.stopped();
    tokio::pin!(stopped);
    let mut out = JoinSet::new();
    let mut turn = 0_usize;
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            _ = ticks.tick() => {}
            Some(request) = out.join_next() => {
                tally.enter(beside, request);
                continue;
            }
        }
        let routable = instances.routable();
        if routable.is_empty() {
            tally.nobody += 1;
            continue;
        }
        let instance = routable[turn % routable.len()].clone();
        turn += 1;
        let at = beside.agents.way_to(instance.at);
        out.spawn(ask(instance, at));
    }
    while let Some(request) = out.join_next().await {
        tally.enter(beside, request);
    }
}

async fn ask(to: Instance, at: (Ipv4Addr, u16)) -> Request {
    let sent = Instant::now();
    let answer = http::get(at, service::ANSWER_WITHIN).await;
    let ended = Instant::now();
    let fault = match answer {
        // Another allocation may have been given the port meanwhile: that answer is not its.
        Ok(body) => match service::said(&body, "alloc") {
            Some(alloc) if alloc != to.alloc => Some(format!("answered by allocation {alloc}")),
            _ => None,
        },
        Err(error) => Some(error.to_string()),
    };
    Request {
        to,
        sent,
        ended,
        fault,
    }
}

impl Tally {
    fn enter(&mut self, beside: &Beside, request: Result<Request, tokio::task::JoinError>) {
        let Ok(request) = request else { return };
        if let (Some(fault), false) = (&request.fault, self.failing) {
            let words = format!(
                "a request to `{}` on `{}` fails: {fault}",
                request.to.name, request.to.node
            );
            beside.recorder.record(Kind::Workload, None, words);
        }
        self.failing = request.fault.is_some();
        self.done.push(request);
    }
}

fn sum_up(beside: &Beside, job: &str, instances: &Instances, tally: &Tally) -> Outcome {
    let mut outcome = Outcome::default();
    let seen = Series::of(
        format!("requests to `{job}`"),
        samples(&beside.recorder, tally),
    );
    beside.recorder.keep_series(seen);
    let (failed, answered): (Vec<_>, Vec<_>) = tally
        .done
        .iter()
        .partition(|request| request.fault.is_some());
    let (excused, lost): (Vec<_>, Vec<_>) = failed
        .into_iter()
        .partition(|request| instances.was_told_to_stop(&request.to.alloc, request.ended));
    if answered.is_empty() {
        outcome.breaches.push(Breach {
            what: format!("`{job}` answered no request"),
            timed: true,
        });
    }
    if let Some(first) = lost.first() {
        let since_start = beside.recorder.elapsed() - first.sent.elapsed();
        outcome.breaches.push(Breach {
            what: format!(
                "{} requests to `{job}` failed at instances that were not told to stop; the \
                 first at {:.1} s to `{}` on `{}`: {}",
                lost.len(),
                since_start.as_secs_f64(),
                first.to.name,
                first.to.node,
                first.fault.as_deref().unwrap_or_default()
            ),
            timed: true,
        });
    }
    if tally.nobody > 0 {
        outcome.breaches.push(Breach {
            what: format!(
                "`{job}` had no healthy instance at {} requests",
                tally.nobody
            ),
            timed: true,
        });
    }
    outcome.measures = vec![
        Measure::count("requests_answered", answered.len()),
        Measure::count("requests_lost", lost.len() + tally.nobody),
        Measure::count("requests_lost_to_stops", excused.len()),
    ];
    outcome.measures.extend(latencies(&answered));
    outcome.summary = format!(
        "`{job}`: {} requests answered, {} lost, {} more at instances told to stop; {}",
        answered.len(),
        lost.len() + tally.nobody,
        excused.len(),
        by_node(&answered)
    );
    outcome
}

fn samples(recorder: &Recorder, tally: &Tally) -> Vec<Sample> {
    let sample = |request: &Request| Sample {
        at_ms: recorder.at_ms(request.ended),
        took_ms: match request.fault {
            Some(_) => None,
            None => Some(millis(request.ended - request.sent)),
        },
    };
    tally.done.iter().map(sample).collect()
}

fn latencies(answered: &[&Request]) -> Vec<Measure> {
    let mut took: Vec<_> = answered
        .iter()
        .map(|request| millis(request.ended - request.sent))
        .collect();
    took.sort_by(f64::total_cmp);
    let mut measures: Vec<_> = [("request_ms_p50", 0.5), ("request_ms_p99", 0.99)]
        .into_iter()
        .filter_map(|(name, share)| Some(Measure::new(name, quantile(&took, share)?)))
        .collect();
    let mut moments: Vec<_> = answered.iter().map(|request| request.ended).collect();
    moments.sort();
    let gap = moments.windows(2).map(|pair| pair[1] - pair[0]).max();
    measures.extend(gap.map(|gap| Measure::new("service_gap_ms", millis(gap))));
    measures
}

fn by_node(answered: &[&Request]) -> String {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for request in answered {
        *count.entry(request.to.node.as_str()).or_default() += 1;
    }
    let words: Vec<_> = count
        .iter()
        .map(|(node, count)| format!("{node} {count}"))
        .collect();
    words.join(", ")
}
