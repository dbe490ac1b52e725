//! What ends a run from outside its steps: an interruption, or an agent that died and nobody had
//! asked it to. Such a death is neither pass nor fail: it is found out, and said with what the
//! target knows of it.

use std::fmt;
use std::time::Duration;

use futures::future::join_all;

use super::Interrupt;
use crate::emulation::fault_in_log;
use crate::poll;
use crate::spec::AgentName;
use crate::step::Ledger;
use crate::target::{AgentState, Target};

/// How often the agents' processes are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A death is believed when it is seen again after this long: a fault may just be coming or going.
const CONFIRM_AFTER: Duration = Duration::from_millis(300);
/// Lines of a dead agent's log in which its emulator's words are looked for: it says but one.
const LOG_LINES: usize = 3;

/// Why a run is cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Somebody wants it to end.
    Interrupted,
    /// An agent's process ended unasked.
    Died {
        /// Which.
        agent: AgentName,
        /// It, with what it runs on where that is emulated.
        called: String,
        /// How.
        state: AgentState,
        /// Whether its log says that its emulator did not start it.
        unstarted: bool,
    },
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Died {
                called,
                state,
                unstarted,
                ..
            } => {
                match state {
                    AgentState::Exited {
                        oom_killed: true, ..
                    } => write!(f, "{called} was killed by the kernel (out of memory)"),
                    AgentState::Exited { code, .. } => {
                        write!(f, "{called} ended by itself with exit code {code}")
                    }
                    _ => write!(f, "{called} is gone"),
                }?;
                if *unstarted {
                    f.write_str(" (its emulator did not start it: rehearse doctor)")?;
                }
                f.write_str(", so nothing is proved about Nomad")
            }
        }
    }
}

/// Looks after the agents' processes.
pub(super) struct Watch<'t> {
    pub(super) target: &'t dyn Target,
    pub(super) ledger: Ledger,
}

impl Watch<'_> {
    /// Returns when the run is to be cut short.
    pub(super) async fn cut(&self, interrupt: Interrupt) -> Cut {
        tokio::select! {
            biased;
            () = interrupt.raised() => Cut::Interrupted,
            died = self.first_death() => died,
        }
    }

    async fn first_death(&self) -> Cut {
        loop {
            if let Some(died) = self.dead_now().await {
                return died;
            }
            poll::rest(EVERY).await;
        }
    }

    /// Looks once, twice where somebody seems dead.
    pub(super) async fn dead_now(&self) -> Option<Cut> {
        let first = self.dead_unasked().await;
        if first.is_empty() {
            return None;
        }
        poll::rest(CONFIRM_AFTER).await;
        let again = self.dead_unasked().await;
        let (agent, state) = again
            .into_iter()
            .find(|(agent, _)| first.iter().any(|(other, _)| other == agent))?;
        Some(Cut::Died {
            called: self.target.called(&agent),
            unstarted: self.unstarted(&agent).await,
            agent,
            state,
        })
    }

    /// Says whether an emulated agent ended because its emulation is gone.
    async fn unstarted(&self, agent: &AgentName) -> bool {
        if !self.target.agent(agent).is_some_and(|info| info.emulated) {
            return false;
        }
        let log = self.target.logs(agent, LOG_LINES).await;
        log.is_ok_and(|log| fault_in_log(&log).is_some())
    }

    async fn dead_unasked(&self) -> Vec<(AgentName, AgentState)> {
        // Asked before and after: a fault may come or go while the target is asked.
        let before = self.ledger.may_be_down();
        let states = join_all(self.target.agents().iter().map(|agent| async {
            let state = self.target.state(&agent.name).await;
            (agent.name.clone(), state)
        }))
        .await;
        let after = self.ledger.may_be_down();
        states
            .into_iter()
            .filter(|(agent, _)| !before.contains(agent) && !after.contains(agent))
            .filter_map(|(agent, state)| match state {
                Ok(ended @ (AgentState::Exited { .. } | AgentState::Gone)) => Some((agent, ended)),
                // A target that does not answer says nothing about its agents; the steps that
                // need it will find out themselves.
                Ok(AgentState::Running | AgentState::Paused) | Err(_) => None,
            })
            .collect()
    }
}
