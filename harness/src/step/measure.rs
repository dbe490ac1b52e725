//! Sets a limit on a number that was taken before, and demands that it is kept.

use super::{Scene, StepError};

pub(super) fn run(scene: &mut Scene<'_>, name: &str, at_most: f64) -> Result<String, StepError> {
    let taken: Vec<_> = scene.measures.iter().map(|one| one.name.clone()).collect();
    let measure = scene.measures.iter_mut().rfind(|one| one.name == name);
    let Some(measure) = measure else {
        return Err(StepError::Inconclusive {
            why: format!("`{name}` was not measured; there are {}", taken.join(", ")),
        });
    };
    measure.at_most = Some(at_most);
    let seen = format!("{name} is {}", measure.value);
    if measure.is_within() {
        return Ok(seen);
    }
    Err(StepError::Failed {
        why: format!("{seen}, allowed is at most {at_most}"),
        timed: name.ends_with("_ms"),
    })
}
