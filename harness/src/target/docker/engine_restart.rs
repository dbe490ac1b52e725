//! The end and start of the Docker engine itself, by a command that whoever runs a scenario gives: how an
//! engine is restarted differs, and all containers of that engine are hit, whosever they are.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::StreamExt as _;

use super::DockerCluster;
use crate::docker::labels;
use crate::poll::{self, Look, PollError};
use crate::target::Capability;

/// How long the command may take: an engine gives containers 15 s to end (`--shutdown-timeout`), and
/// systemd gives the engine 90 s.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);
/// How long after the command the engine may take until it is seen to have ended.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
/// How long it may take until it answers again.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The engine was not restarted.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// Nobody allowed it.
    #[error("nobody gave a command for it")]
    NotAllowed,
    /// The command cannot be run.
    #[error("cannot run `{command}`")]
    Run {
        /// As given.
        command: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The command says no.
    #[error("`{command}` ended with {status}: run it by hand to see what it says")]
    Failed {
        /// As given.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The command does not end.
    #[error("`{command}` had not ended after {} s, and was killed", COMMAND_WITHIN.as_secs())]
    Endless {
        /// As given.
        command: String,
    },
    /// The engine went on as if nothing were.
    #[error(
        "`{command}` ended well, and within {} s the engine had not ended: does it restart this engine?",
        ENDS_WITHIN.as_secs()
    )]
    WentOn {
        /// As given.
        command: String,
    },
    /// The engine does not come back.
    #[error(transparent)]
    Silent(#[from] PollError),
}

impl DockerCluster {
    /// Lets scenarios restart the engine, with a command for a shell (`/bin/sh -c`). Everybody's
    /// containers on that engine end with it.
    pub fn allow_engine_restart(&mut self, command: String) {
        self.restart_engine_with = Some(command);
        self.capabilities.insert(Capability::RestartEngine);
    }

    /// Why the engine must not be restarted below this cluster, although that is allowed.
    pub(super) fn bears_a_restart_of_the_engine(&self) -> Result<(), String> {
        if !self.record.spec.further_regions.is_empty() {
            return Err("a step is for one region, and an engine is all regions'".to_owned());
        }
        match self.record.spec.data_size {
            Some(size) => Err(format!(
                "the agents' data are in memory (`--data-size {size}`), and end with the engine"
            )),
            None => Ok(()),
        }
    }

    /// Restarts the engine, and returns when it answers again.
    pub(super) async fn end_and_start_engine(&self) -> Result<(), RestartError> {
        let command = self.restart_engine_with.as_ref();
        let command = command.ok_or(RestartError::NotAllowed)?.clone();
        // An engine that ends ends this, too: nothing else tells that it was away.
        let deaths = self.docker.deaths(&[(labels::RUN, Some("nobody's"))]);
        let away = tokio::spawn(deaths.for_each(|_| std::future::ready(())));
        let away_handle = away.abort_handle();
        let outcome = async {
            run(&command).await?;
            let ended = tokio::time::timeout(ENDS_WITHIN, away).await;
            ended.map_err(|_| RestartError::WentOn { command })?.ok();
            Ok(self.engine_answers().await?)
        };
        let outcome = outcome.await;
        away_handle.abort();
        outcome
    }

    /// Waits until the engine answers.
    pub(super) async fn engine_answers(&self) -> Result<(), PollError> {
        let what = "the Docker engine answers";
        poll::eventually(ANSWERS_WITHIN, LOOK_AGAIN, what, || async {
            match self.docker.facts().await {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(format!("{error}: {}", error.source)),
            }
        })
        .await
    }
}

/// What it prints is nobody's: a command that leaves an engine behind would hold a pipe open for ever.
async fn run(command: &str) -> Result<(), RestartError> {
    let failed = |source| RestartError::Run {
        command: command.to_owned(),
        source,
    };
    let mut running = tokio::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    match tokio::time::timeout(COMMAND_WITHIN, running.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(RestartError::Failed {
            command: command.to_owned(),
            status,
        }),
        Ok(Err(source)) => Err(failed(source)),
        Err(_) => Err(RestartError::Endless {
            command: command.to_owned(),
        }),
    }
}
