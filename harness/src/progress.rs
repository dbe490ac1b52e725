//! What is told while a cluster comes up or goes: data for whoever watches. The library prints
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::spec::AgentName;

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The agents' program was chosen.
    Engine {
        /// How every output names it.
        label: String,
        /// The architecture that it is for.
        arch: crate::spec::Arch,
        /// Why this one.
        reason: String,
    },
    /// A release is on its way.
    Download {
        /// Bytes here.
        received: u64,
        /// Bytes of the whole, once known.
        total: Option<u64>,
    },
    /// An image is being taken in by the engine.
    Image {
        /// Its name.
        name: String,
        /// Its size in bytes, where it is made here.
        bytes: Option<u64>,
    },
    /// An agent's container runs.
    Started {
        /// The agent.
        agent: AgentName,
    },
    /// A condition of readiness is not met yet.
    Waiting {
        /// Its name.
        condition: String,
        /// What is there instead.
        seen: String,
    },
    /// A condition of readiness is met.
    Met {
        /// Its name.
        condition: String,
        /// Since the beginning.
        after: Duration,
    },
    /// A leftover was removed, or something is not as it should be.
    Note(String),
    /// What was made is being removed.
    TearingDown {
        /// The cluster.
        cluster: String,
    },
}

/// Who is told.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Event) + Send + Sync>);

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress(..)")
    }
}

impl Progress {
    /// Tells `listener`.
    #[must_use]
    pub fn new(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Tells nobody.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(drop)
    }

    /// Passes a piece of news on.
    pub fn tell(&self, event: Event) {
        (self.0)(event);
    }
}
