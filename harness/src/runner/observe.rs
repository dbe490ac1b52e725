//! Looks on while the steps run: what each agent is (leader, follower, ready, down) and how
//! deployments go, for the page that a person looks at. It judges nothing: laws are for the
//! scenario's own probes and watches, which look more often and know what to demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;

use crate::directory::{Directory, Entry};
use crate::nomad::ApiError;
use crate::nomad::types::NodeStub;
use crate::poll;
use crate::spec::AgentName;
use crate::timeline::{Kind, Recorder, Standing, Stretches, millis};

/// How often each server is asked who leads: finer than a page can show of most runs.
const SERVERS_EVERY: Duration = Duration::from_millis(250);
/// How often one server is asked for nodes and deployments.
const REST_EVERY: Duration = Duration::from_millis(500);
/// After how long a server counts as silent.
const ANSWER_WITHIN: Duration = Duration::from_millis(400);

/// Tasks that look until they are stopped.
pub(super) struct Observer {
    stretches: Arc<Mutex<Stretches>>,
    recorder: Recorder,
    task: JoinHandle<()>,
}

impl Observer {
    pub(super) fn start(agents: &Directory, recorder: &Recorder) -> Self {
        let stretches = Arc::<Mutex<Stretches>>::default();
        let look = Look {
            agents: agents.clone(),
            recorder: recorder.clone(),
            stretches: Arc::clone(&stretches),
        };
        let task = tokio::spawn(look.on());
        Self {
            stretches,
            recorder: recorder.clone(),
            task,
        }
    }

    /// Stops, and hands over what was seen.
    pub(super) fn stop(self) {
        self.task.abort();
        let seen = std::mem::take(&mut *lock(&self.stretches));
        let end_ms = millis(self.recorder.elapsed());
        self.recorder.keep_stretches(seen.end(end_ms));
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Look {
    agents: Directory,
    recorder: Recorder,
    stretches: Arc<Mutex<Stretches>>,
}

impl Look {
    async fn on(self) {
        let servers: Vec<_> = self.agents.servers().cloned().collect();
        let regions = self.agents.by_region();
        let mut looks: Vec<BoxFuture<'_, ()>> = Vec::new();
        looks.extend(servers.iter().map(|server| self.at_server(server).boxed()));
        looks.extend(regions.iter().map(|agents| self.at_nodes(agents).boxed()));
        looks.extend(
            regions
                .iter()
                .map(|agents| self.at_deployments(agents).boxed()),
        );
        join_all(looks).await;
    }

    async fn at_server(&self, server: &Entry) {
        let api = server.api.stale().timeout(ANSWER_WITHIN);
        loop {
            let standing = self.standing(server, api.leader().await);
            self.enter(&server.info.name, standing);
            poll::rest(SERVERS_EVERY).await;
        }
    }

    fn standing(&self, server: &Entry, said: Result<Option<String>, ApiError>) -> Standing {
        match said {
            Ok(Some(leader)) => match self.agents.at(&leader) {
                Some(leader) if leader.info.name == server.info.name => Standing::Leader,
                _ => Standing::Follower,
            },
            Ok(None) => Standing::NoLeader,
            Err(error) if error.status().is_some() => Standing::NoLeader,
            Err(_) => Standing::Silent,
        }
    }

    async fn at_nodes(&self, agents: &Directory) {
        loop {
            let nodes = agents
                .ask(|api| async move { api.stale().timeout(ANSWER_WITHIN).nodes().await })
                .await;
            // Where nobody answers, nothing is known, and what was so last goes on.
            for node in nodes.unwrap_or_default() {
                self.enter(&AgentName(node.name.clone()), of_node(&node));
            }
            poll::rest(REST_EVERY).await;
        }
    }

    async fn at_deployments(&self, agents: &Directory) {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut is_first = true;
        loop {
            let all = agents
                .ask(|api| async move { api.stale().timeout(ANSWER_WITHIN).deployments().await })
                .await;
            if let Ok(mut all) = all {
                all.sort_by_key(|one| one.create_index);
                for one in all {
                    let before = known.insert(one.id.clone(), one.status.clone());
                    // What went on before the run is none of its events.
                    if !is_first && before.as_ref() != Some(&one.status) {
                        let words = format!(
                            "`{}` version {}: {}",
                            one.job_id, one.job_version, one.status
                        );
                        self.recorder.record(Kind::Deployment, None, words);
                    }
                }
                is_first = false;
            }
            poll::rest(REST_EVERY).await;
        }
    }

    fn enter(&self, agent: &AgentName, standing: Standing) {
        let at_ms = millis(self.recorder.elapsed());
        lock(&self.stretches).enter(agent, standing, at_ms);
    }
}

fn of_node(node: &NodeStub) -> Standing {
    if node.status != "ready" {
        Standing::Down
    } else if node.scheduling_eligibility == "eligible" {
        Standing::Ready
    } else {
        Standing::Ineligible
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
