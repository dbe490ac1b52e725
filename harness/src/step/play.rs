//! Runs a step as part of a run: with its lines in the timeline, and cut short when the run is.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Scene, Step, StepError, with_causes};
use crate::timeline::Kind;

/// Which step of a scenario it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: String,
    of: Option<usize>,
}

impl Place {
    /// The `number`-th (from 1) step of `total`.
    #[must_use]
    pub fn new(number: usize, total: usize) -> Self {
        Self {
            path: number.to_string(),
            of: Some(total),
        }
    }

    /// The `number`-th (from 1) step inside this one.
    pub(super) fn inner(&self, number: usize) -> Self {
        Self {
            path: format!("{}.{number}", self.path),
            of: None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.of {
            Some(total) => write!(f, "step {} of {total}", self.path),
            None => write!(f, "step {}", self.path),
        }
    }
}

impl Step {
    /// Runs the step and records what became of it; returns what was seen in the end.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn play<'a>(
        &'a self,
        scene: &'a Scene<'_>,
        place: Place,
    ) -> BoxFuture<'a, Result<String, StepError>> {
        async move {
            let recorder = &scene.recorder;
            recorder.record(Kind::StepStarted, None, format!("{place}: {self}"));
            let outcome = if self.can_be_cut() {
                tokio::select! {
                    biased;
                    error = scene.is_cut() => Err(error),
                    outcome = self.run(scene, &place) => outcome,
                }
            } else {
                self.run(scene, &place).await
            };
            match &outcome {
                Ok(seen) => recorder.record(Kind::StepPassed, None, seen.clone()),
                Err(error) => {
                    let kind = match error {
                        StepError::Failed { .. } => Kind::StepFailed,
                        StepError::Inconclusive { .. } => Kind::StepCut,
                    };
                    recorder.record(kind, None, with_causes(error));
                }
            }
            outcome
        }
        .boxed()
    }
}
