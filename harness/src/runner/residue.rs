//! Whether anything of a fault stayed behind in an agent's network or limits: their state after
//! healing is compared with that before the first step.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::causes::with_causes;
use crate::scenario::Scenario;
use crate::spec::AgentName;
use crate::step::Scene;
use crate::target::{ControlError, Target};

/// The agents' networks and limits, or why they are not known.
pub(super) type States = BTreeMap<AgentName, Result<String, String>>;

/// Reads the state of every agent, if the scenario injects anything.
pub(super) fn read<'t>(target: &'t dyn Target, scenario: &Scenario) -> BoxFuture<'t, States> {
    let injects = !scenario.needs().is_empty();
    let agents = target.agents().iter().filter(|_| injects);
    let names: Vec<_> = agents.map(|agent| agent.name.clone()).collect();
    async move { read_of(target, &names).await }.boxed()
}

async fn read_of(target: &dyn Target, names: &[AgentName]) -> States {
    join_all(names.iter().map(|name| async move {
        let state = async {
            let network = target.network_state(name).await?;
            Ok::<_, ControlError>(network + &target.limits(name).await?)
        };
        let state = state.await;
        (name.clone(), state.map_err(|error| with_causes(&error)))
    }))
    .await
    .into_iter()
    .collect()
}

/// What the comparison says.
pub(super) struct Residue {
    /// Whether all that could be compared is what it was.
    pub is_clean: bool,
    /// What is to be said of it.
    pub notes: Vec<String>,
}

/// Compares the states of those whom a fault touched with what they were.
pub(super) async fn compare(scene: &Scene<'_>, before: States) -> Residue {
    let touched: Vec<_> = scene
        .ledger
        .ever_touched()
        .into_iter()
        .filter(|name| before.contains_key(name))
        .collect();
    let after = read_of(scene.target, &touched).await;
    let (mut is_clean, mut notes) = (true, Vec::new());
    for (name, state) in after {
        match (&before[&name], &state) {
            (Ok(was), Ok(is)) if was == is => {}
            (Ok(was), Ok(is)) => {
                is_clean = false;
                notes.push(format!(
                    "`{name}`'s network or limits are not what they were: {}",
                    first_difference(was, is)
                ));
            }
            (Err(why), _) | (_, Err(why)) => {
                notes.push(format!(
                    "`{name}`'s network and limits were not compared: {why}"
                ));
            }
        }
    }
    Residue { is_clean, notes }
}

fn first_difference(was: &str, is: &str) -> String {
    let gone = was.lines().find(|line| !is.lines().any(|l| l == *line));
    let new = is.lines().find(|line| !was.lines().any(|l| l == *line));
    match (gone, new) {
        (Some(gone), Some(new)) => format!("`{gone}` became `{new}`"),
        (Some(gone), None) => format!("`{gone}` is gone"),
        (None, Some(new)) => format!("`{new}` is new"),
        (None, None) => "its lines come in another order".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        assert_eq!(first_difference("a\nb", "a\nb\nc"), "`c` is new");
        assert_eq!(first_difference("a\nb", "a"), "`b` is gone");
        assert_eq!(first_difference("a", "b"), "`a` became `b`");
    }
}
