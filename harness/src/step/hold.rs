//! Lets time pass, with or without something that must hold all the while.

use std::time::Duration;

use super::{Scene, StepError};
use crate::poll::{self, Look};
use crate::probe::Condition;

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn run(
    scene: &mut Scene<'_>,
    that: Option<&Condition>,
    lasting: Duration,
) -> Result<String, StepError> {
    let Some(that) = that else {
        poll::rest(lasting).await;
        return Ok("passed".to_owned());
    };
    let agents = scene.untouched();
    let looks = poll::throughout(lasting, INTERVAL, &that.to_string(), || async {
        match that.look(&agents).await {
            Look::Done(_) => Ok(()),
            Look::NotYet(seen) | Look::Never(seen) => Err(seen),
        }
    })
    .await?;
    Ok(format!("held at each of {looks} looks"))
}
