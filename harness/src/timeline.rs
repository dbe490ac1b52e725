//! What happened, when, in order: the one stream of events that the live log, the reports and the
//! run folder are made from.

mod series;
mod stretch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::spec::AgentName;

pub use series::{Sample, Series, Slice};
pub use stretch::{Standing, Stretch, Stretches};

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The run began.
    RunStarted,
    /// The run is over, cluster healed.
    RunEnded,
    /// A step began.
    StepStarted,
    /// A step was satisfied.
    StepPassed,
    /// A step found a law broken.
    StepFailed,
    /// A step was cut short by trouble of our own.
    StepCut,
    /// A fault is about to be injected.
    Injecting,
    /// A fault is in.
    Injected,
    /// A fault is about to be healed.
    Healing,
    /// A fault is healed.
    Healed,
    /// A server changed its mind about who leads.
    LeaderSeen,
    /// An agent stopped or started answering.
    Reachability,
    /// An allocation came, went or changed its state.
    Allocation,
    /// A deployment changed.
    Deployment,
    /// A workload began, ended or met its first error in a row.
    Workload,
    /// A number was taken.
    Measured,
    /// An agent's process ended and nobody had asked for it.
    AgentDied,
    /// This program was not scheduled for a while.
    Stalled,
    /// Anything else worth a line.
    Note,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the run began.
    pub at_ms: f64,
    /// The same moment on the wall clock, RFC 3339.
    pub wall: String,
    /// The agent it happened to, if it was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<AgentName>,
    /// What sort of thing.
    pub kind: Kind,
    /// In words.
    pub detail: String,
}

/// All that happened in a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// What each agent was, by agent and time.
    #[serde(default)]
    pub stretches: Vec<Stretch>,
    /// What the workloads saw.
    #[serde(default)]
    pub series: Vec<Series>,
}

impl Timeline {
    /// Returns the events of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind == kind)
    }
}

/// Who wants to hear of events as they happen.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// The pen: clones write to the same timeline, from any task.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    start: Instant,
    started_at: OffsetDateTime,
    timeline: Mutex<Timeline>,
    listener: Option<Listener>,
}

impl Recorder {
    /// Starts a timeline now.
    #[must_use]
    pub fn new(listener: Option<Listener>) -> Self {
        Self {
            inner: Arc::new(Inner {
                start: Instant::now(),
                started_at: OffsetDateTime::now_utc(),
                timeline: Mutex::new(Timeline::default()),
                listener,
            }),
        }
    }

    /// Returns how long ago the timeline began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.inner.start.elapsed()
    }

    /// Returns when the timeline began, RFC 3339.
    #[must_use]
    pub fn started_at(&self) -> String {
        rfc3339(self.inner.started_at)
    }

    /// Records something that happened now.
    pub fn record(&self, kind: Kind, agent: Option<&AgentName>, detail: impl Into<String>) {
        self.record_at(Instant::now(), kind, agent, detail);
    }

    /// Records something that happened at a known moment.
    pub fn record_at(
        &self,
        at: Instant,
        kind: Kind,
        agent: Option<&AgentName>,
        detail: impl Into<String>,
    ) {
        let offset = at.saturating_duration_since(self.inner.start);
        let event = Event {
            at_ms: millis(offset),
            wall: rfc3339(self.inner.started_at + offset),
            agent: agent.cloned(),
            kind,
            detail: detail.into(),
        };
        if let Some(listener) = &self.inner.listener {
            listener(&event);
        }
        let mut timeline = self.lock();
        let place = timeline
            .events
            .partition_point(|earlier| earlier.at_ms <= event.at_ms);
        timeline.events.insert(place, event);
    }

    /// Returns how long after the begin a moment is, in milliseconds.
    #[must_use]
    pub fn at_ms(&self, moment: Instant) -> f64 {
        millis(moment.saturating_duration_since(self.inner.start))
    }

    /// Keeps what each agent was.
    pub fn keep_stretches(&self, stretches: Vec<Stretch>) {
        self.lock().stretches = stretches;
    }

    /// Keeps what a workload saw; one that saw nothing leaves nothing.
    pub fn keep_series(&self, series: Series) {
        if !series.slices.is_empty() {
            self.lock().series.push(series);
        }
    }

    /// Returns what was recorded so far.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Timeline> {
        let timeline = self.inner.timeline.lock();
        timeline.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a duration in milliseconds, to the microsecond.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    // A run of years would be needed to lose a microsecond.
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

fn rfc3339(moment: OffsetDateTime) -> String {
    let whole = moment
        .replace_nanosecond(moment.microsecond() * 1_000)
        .unwrap_or(moment);
    whole
        .format(&Rfc3339)
        .expect("a moment of our days has an RFC 3339 form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stand_in_the_order_of_their_moments() {
        let recorder = Recorder::new(None);
        let later = Instant::now() + Duration::from_millis(500);
        recorder.record_at(later, Kind::Note, None, "second");
        recorder.record(Kind::Note, None, "first");
        let details: Vec<_> = recorder
            .timeline()
            .events
            .into_iter()
            .map(|event| event.detail)
            .collect();
        assert_eq!(details, ["first", "second"]);
    }

    #[test]
    fn a_timeline_survives_its_json() {
        let recorder = Recorder::new(None);
        recorder.record(
            Kind::Injected,
            Some(&AgentName("server-1".into())),
            "killed",
        );
        let timeline = recorder.timeline();
        let text = serde_json::to_string(&timeline).expect("plain data");
        assert!(text.contains(r#""kind":"injected""#), "{text}");
        let back: Timeline = serde_json::from_str(&text).expect("our own words");
        assert_eq!(back, timeline);
    }
}
