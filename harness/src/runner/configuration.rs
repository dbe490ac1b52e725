//! Reads the agents' own configuration beside the steps, and no step waits for it. Who has not answered a moment
//! after the last one was not read, and the report says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::agent_config;
use crate::causes::with_causes;
use crate::directory::{Directory, Entry};
use crate::nomad::ApiError;
use crate::report::{Answer, Configuration};
use crate::spec::AgentName;

/// For how long it goes on once the run is over: a short run may end before a busy machine has answered.
const GRACE: Duration = Duration::from_secs(2);

/// A task that asks every agent once.
pub(super) struct Reading {
    agents: Directory,
    answers: Arc<Mutex<Vec<(AgentName, Answer)>>>,
    task: JoinHandle<()>,
}

impl Reading {
    pub(super) fn start(agents: &Directory) -> Self {
        let answers = Arc::<Mutex<Vec<(AgentName, Answer)>>>::default();
        let (all, into) = (agents.clone(), Arc::clone(&answers));
        let task = tokio::spawn(async move {
            join_all(all.all().iter().map(|entry| async {
                let answer = ask(entry).await;
                let mut into = into.lock().unwrap_or_else(PoisonError::into_inner);
                into.push((entry.info.name.clone(), answer));
            }))
            .await;
        });
        Self {
            agents: agents.clone(),
            answers,
            task,
        }
    }

    /// Returns what is said by now, or within [`GRACE`].
    pub(super) async fn end(mut self) -> Configuration {
        // Whether all have answered or the time is over: what is there is what counts.
        drop(tokio::time::timeout(GRACE, &mut self.task).await);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = self.agents.all().iter().map(|entry| {
            let name = &entry.info.name;
            let at = answers.iter().position(|(who, _)| who == name);
            let answer = match at {
                Some(at) => answers.swap_remove(at).1,
                None => Err("no answer until the run was over".to_owned()),
            };
            (name.clone(), entry.info.role, answer)
        });
        Configuration::of(answers.collect())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask(entry: &Entry) -> Answer {
    match entry.api.agent_self_whole().await {
        Ok(answer) => {
            let told = agent_config::told(&answer);
            let told = told.ok_or("its answer holds no configuration of servers or clients")?;
            Ok((told.settings, told.inert))
        }
        // What cannot be read may hold what nobody is to read.
        Err(ApiError::Decode { reason, .. }) => Err(format!("its answer is no JSON: {reason}")),
        Err(error) => Err(with_causes(&error)),
    }
}
