//! When a cluster is ready: a list of named conditions, each looked at on its own and at the same
//! time as the others. What is missing, and on which agent, is told while waiting and at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all, try_join_all};
use semver::Version;

use crate::nomad::{Api, ApiError, Query, Token};
use crate::poll::{Look, PollError, eventually};
use crate::progress::{Event, Progress};
use crate::spec::{AgentName, Role};
use crate::target::{AgentInfo, Target};

use super::DockerCluster;

/// Time between two looks at what cannot be waited on inside Nomad.
const INTERVAL: Duration = Duration::from_millis(25);
/// Longest blocking query: short, so that a server which freezes is noticed.
const BLOCK_MAX: Duration = Duration::from_secs(5);
/// From here on the bootstrap's secret may be chosen, which makes the call safe to repeat.
const CHOSEN_SECRET: Version = Version::new(1, 3, 2);

/// A condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub condition: String,
    /// The agent that is to blame, where it is one.
    pub agent: Option<AgentName>,
    /// What is there instead.
    pub seen: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.condition, self.seen)
    }
}

/// A cluster that did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// How long it was waited for.
    pub after: Duration,
    /// Every condition that was not met at the end, in the order of the list.
    pub missing: Vec<Missing>,
    /// Whether waiting on would have been of no use.
    pub hopeless: bool,
}

/// One condition's name, and its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    Leader,
    Acl,
    Voters,
    Autopilot,
    Nodes,
}

impl Condition {
    fn name(self) -> &'static str {
        match self {
            Self::Leader => "every server agrees on one leader",
            Self::Acl => "access control of every server answers to the management token only",
            Self::Voters => "every server votes",
            Self::Autopilot => "autopilot is healthy",
            Self::Nodes => "every node is ready and eligible, its drivers healthy",
        }
    }
}

/// The list.
const ALL: [Condition; 5] = [
    Condition::Leader,
    Condition::Acl,
    Condition::Voters,
    Condition::Autopilot,
    Condition::Nodes,
];

/// What a look found wrong, and on whom.
type Seen = (Option<AgentName>, String);

/// What is known of all conditions in one region, and who is told of changes.
struct Board<'a> {
    /// The region, where it is another than the cluster's first.
    region: Option<&'a str>,
    start: Instant,
    deadline: Duration,
    progress: &'a Progress,
    unmet: Mutex<BTreeMap<Condition, Seen>>,
}

impl<'a> Board<'a> {
    fn new(
        region: Option<&'a str>,
        deadline: Duration,
        progress: &'a Progress,
        conditions: &[Condition],
    ) -> Self {
        let nothing = || (None, "nothing seen yet".to_owned());
        Self {
            region,
            start: Instant::now(),
            deadline,
            progress,
            unmet: Mutex::new(conditions.iter().map(|c| (*c, nothing())).collect()),
        }
    }

    /// Returns a condition as it is told.
    fn named(&self, condition: Condition) -> String {
        match (self.region, condition) {
            (None, _) => condition.name().to_owned(),
            (Some(region), Condition::Acl) => {
                format!(
                    "region `{region}`: the first region's management token is known by replication"
                )
            }
            (Some(region), _) => format!("region `{region}`: {}", condition.name()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Condition, Seen>> {
        self.unmet.lock().expect("nobody panics while holding it")
    }

    fn see(&self, condition: Condition, agent: Option<&AgentName>, seen: &str) {
        let news = (agent.cloned(), seen.to_owned());
        let before = self.lock().insert(condition, news.clone());
        if before.as_ref() != Some(&news) {
            self.progress.tell(Event::Waiting {
                condition: self.named(condition),
                seen: news.1,
            });
        }
    }

    fn meet(&self, condition: Condition) {
        drop(self.lock().remove(&condition));
        self.progress.tell(Event::Met {
            condition: self.named(condition),
            after: self.start.elapsed(),
        });
    }

    /// Looks until the condition is met, or the deadline of all is over.
    async fn until<T, F, Fut>(&self, condition: Condition, look: F) -> Result<T, PollError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Found>>,
    {
        let found = self.step_towards(condition, look).await?;
        self.meet(condition);
        Ok(found)
    }

    /// As [`Board::until`], for a step which alone does not meet the condition.
    async fn step_towards<T, F, Fut>(
        &self,
        condition: Condition,
        mut look: F,
    ) -> Result<T, PollError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Found>>,
    {
        let left = self.deadline.saturating_sub(self.start.elapsed());
        let probe = || {
            let looking = look();
            async {
                match looking.await {
                    Ok(found) => Look::Done(found),
                    Err(found) => {
                        self.see(condition, found.agent.as_ref(), &found.seen);
                        if found.hopeless {
                            Look::Never(found.seen)
                        } else {
                            Look::NotYet(found.seen)
                        }
                    }
                }
            }
        };
        eventually(left, INTERVAL, &self.named(condition), probe).await
    }
}

/// A look that found something else.
struct Found {
    agent: Option<AgentName>,
    seen: String,
    hopeless: bool,
}

impl Found {
    fn not_yet(agent: Option<&AgentInfo>, seen: impl Into<String>) -> Self {
        Self {
            agent: agent.map(|agent| agent.name.clone()),
            seen: seen.into(),
            hopeless: false,
        }
    }

    /// While agents start, a refused call is no verdict: only an agent's own final word is.
    fn call(agent: &AgentInfo, error: &ApiError) -> Self {
        let reason = match error {
            ApiError::Unreachable { reason, .. } => format!("no connection ({reason})"),
            ApiError::Broken { .. } => "not listening yet".to_owned(),
            ApiError::TimedOut { after, .. } => format!("no answer within {after:?}"),
            ApiError::Status { status, body, .. } => {
                format!("HTTP {status}: {}", body.trim())
            }
            other => other.to_string(),
        };
        Self {
            agent: Some(agent.name.clone()),
            seen: format!("{}: {reason}", agent.called()),
            hopeless: matches!(error, ApiError::BadAddress { .. } | ApiError::BadPem { .. }),
        }
    }
}

/// The agents of a cluster's region, as the conditions see them.
struct Agents<'a> {
    servers: Vec<(&'a AgentInfo, Api)>,
    clients: Vec<&'a AgentInfo>,
}

impl<'a> Agents<'a> {
    fn of(cluster: &'a DockerCluster, region: Option<&str>) -> Self {
        let with_api = |agent: &'a AgentInfo| (agent, cluster.api(&agent.name));
        let role = |role: Role| move |agent: &&AgentInfo| agent.role == role;
        let here = move |agent: &&AgentInfo| agent.region.as_deref() == region;
        let all = || cluster.agents().iter().filter(here);
        Self {
            servers: all().filter(role(Role::Server)).map(with_api).collect(),
            clients: all().filter(role(Role::Client)).collect(),
        }
    }

    fn with_token(&self, token: &Token) -> Vec<(&'a AgentInfo, Api)> {
        let with = |(agent, api): &(&'a AgentInfo, Api)| (*agent, api.with_token(token.clone()));
        self.servers.iter().map(with).collect()
    }
}

/// Returns a secret for the management token, where the version lets it be chosen.
pub(super) fn chosen_secret(version: &Version) -> Option<Token> {
    (*version >= CHOSEN_SECRET).then(|| Token::new(uuid::Uuid::new_v4().to_string()))
}

/// Waits until the first region of a cluster that was just made is ready, and returns its management token.
pub(super) async fn first_time(
    cluster: &DockerCluster,
    secret: Option<Token>,
    deadline: Duration,
    progress: &Progress,
    on_token: &(dyn Fn(&Token) + Sync),
) -> Result<Token, Unready> {
    let board = Board::new(None, deadline, progress, &ALL);
    let agents = Agents::of(cluster, None);
    let after_token = async {
        let token = bootstrap(&board, &agents, secret).await?;
        on_token(&token);
        rest(&board, &agents, &token).await?;
        Ok(token)
    };
    let outcome = futures::future::try_join(one_leader(&board, &agents), after_token).await;
    outcome
        .map(|((), token)| token)
        .map_err(|error| unready(&board, &error))
}

/// Waits until a further region that was just made is ready: it knows the first region's token by then.
pub(super) async fn first_time_further(
    cluster: &DockerCluster,
    region: &str,
    token: &Token,
    deadline: Duration,
    progress: &Progress,
) -> Result<(), Unready> {
    let board = Board::new(Some(region), deadline, progress, &ALL);
    let agents = Agents::of(cluster, Some(region));
    let after_token = async {
        access(&board, agents.with_token(token)).await?;
        rest(&board, &agents, token).await
    };
    let outcome = futures::future::try_join(one_leader(&board, &agents), after_token).await;
    outcome.map(drop).map_err(|error| unready(&board, &error))
}

/// Waits until a cluster that was stopped is ready again, in all its regions.
pub(super) async fn again(
    cluster: &DockerCluster,
    token: &Token,
    deadline: Duration,
    progress: &Progress,
) -> Result<(), Unready> {
    let regions = cluster.record.spec.regions_of_agents();
    let waits = regions.map(|region| again_in(cluster, region, token, deadline, progress));
    try_join_all(waits).await.map(drop)
}

async fn again_in(
    cluster: &DockerCluster,
    region: Option<&str>,
    token: &Token,
    deadline: Duration,
    progress: &Progress,
) -> Result<(), Unready> {
    let board = Board::new(region, deadline, progress, &ALL);
    let agents = Agents::of(cluster, region);
    let known = access(&board, agents.with_token(token));
    // The servers remember nodes as they were: what counts is that each client has spoken since.
    let clients: Vec<(&AgentInfo, Api)> = agents
        .clients
        .iter()
        .map(|agent| (*agent, cluster.api(&agent.name)))
        .collect();
    let after_registration = async {
        try_join_all(clients.iter().map(|client| registered(&board, client))).await?;
        rest(&board, &agents, token).await
    };
    let outcome =
        futures::future::try_join3(one_leader(&board, &agents), known, after_registration);
    outcome
        .await
        .map(drop)
        .map_err(|error| unready(&board, &error))
}

fn unready(board: &Board<'_>, error: &PollError) -> Unready {
    let unmet = board.lock();
    Unready {
        after: board.start.elapsed(),
        missing: unmet
            .iter()
            .map(|(condition, (agent, seen))| Missing {
                condition: board.named(*condition),
                agent: agent.clone(),
                seen: seen.clone(),
            })
            .collect(),
        hopeless: matches!(error, PollError::Hopeless { .. }),
    }
}

/// The conditions that need the management token.
async fn rest(board: &Board<'_>, agents: &Agents<'_>, token: &Token) -> Result<(), PollError> {
    let servers = agents.with_token(token);
    let all: Vec<BoxFuture<'_, Result<(), PollError>>> = vec![
        Box::pin(voters(board, &servers)),
        Box::pin(autopilot(board, &servers)),
        Box::pin(nodes(board, &servers, &agents.clients)),
    ];
    try_join_all(all).await.map(drop)
}

async fn one_leader(board: &Board<'_>, agents: &Agents<'_>) -> Result<(), PollError> {
    let look = || async {
        let asked = agents
            .servers
            .iter()
            .map(|(agent, api)| async move { (*agent, api.stale().leader().await) });
        let mut leader: Option<String> = None;
        for (agent, answer) in join_all(asked).await {
            match answer {
                Ok(Some(seen)) if leader.as_ref().is_none_or(|known| *known == seen) => {
                    leader = Some(seen);
                }
                Ok(Some(seen)) => {
                    let other = leader.unwrap_or_default();
                    let seen = format!("{} says {seen}, others {other}", agent.called());
                    return Err(Found::not_yet(Some(agent), seen));
                }
                Ok(None) => {
                    let seen = format!("{} knows none", agent.called());
                    return Err(Found::not_yet(Some(agent), seen));
                }
                Err(error) => return Err(Found::call(agent, &error)),
            }
        }
        Ok(())
    };
    board.until(Condition::Leader, look).await
}

/// Makes the first management token. Any server passes the call to the leader, and waits inside
/// for there to be one.
async fn bootstrap(
    board: &Board<'_>,
    agents: &Agents<'_>,
    secret: Option<Token>,
) -> Result<Token, PollError> {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let look = || {
        let number = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (agent, api) = &agents.servers[number % agents.servers.len()];
        let secret = secret.clone();
        async move {
            let chosen = secret.as_ref().map(Token::secret);
            let error = match api.acl_bootstrap(chosen).await {
                Ok(made) => return Ok(made.secret_id),
                Err(error) => error,
            };
            let done_before = error
                .body()
                .is_some_and(|body| body.contains("already done"));
            if done_before {
                // An earlier call came through and its reply got lost.
                if let Some(secret) = secret
                    && api.with_token(secret.clone()).token_self().await.is_ok()
                {
                    return Ok(secret);
                }
                let mut found = Found::call(agent, &error);
                found.hopeless = true;
                return Err(found);
            }
            Err(Found::call(agent, &error))
        }
    };
    let token = board.step_towards(Condition::Acl, look).await?;
    access(board, agents.with_token(&token)).await?;
    Ok(token)
}

/// The token is known to every server, and without one there is no access. Each is asked for what it knows
/// itself: who passes the question on to the leader may refuse the token a moment later.
async fn access(board: &Board<'_>, servers: Vec<(&AgentInfo, Api)>) -> Result<(), PollError> {
    let look = || async {
        let asked = servers.iter().map(|(agent, api)| admits(agent, api));
        try_join_all(asked).await.map(drop)
    };
    board.until(Condition::Acl, look).await
}

/// One server's own view of who may do what.
async fn admits(agent: &AgentInfo, api: &Api) -> Result<(), Found> {
    let api = api.stale();
    let refused = api.without_token().nodes().await;
    match refused {
        Err(error) if error.status() == Some(403) => {}
        Err(error) => return Err(Found::call(agent, &error)),
        Ok(_) => {
            return Err(Found::not_yet(
                Some(agent),
                format!("{} lists nodes to anybody", agent.called()),
            ));
        }
    }
    match api.token_self().await {
        Ok(token) if token.token_type == "management" => Ok(()),
        Ok(token) => Err(Found::not_yet(
            Some(agent),
            format!(
                "to {} the token is of type `{}`",
                agent.called(),
                token.token_type
            ),
        )),
        Err(error) => Err(Found::call(agent, &error)),
    }
}

async fn voters(board: &Board<'_>, servers: &[(&AgentInfo, Api)]) -> Result<(), PollError> {
    let (agent, api) = &servers[0];
    let look = || async {
        let raft = api.raft_configuration().await;
        let raft = raft.map_err(|error| Found::call(agent, &error))?;
        let votes = |info: &AgentInfo| {
            let address = format!("{}:{}", info.address, crate::spec::RPC_PORT);
            raft.servers
                .iter()
                .any(|peer| peer.voter && peer.address == address)
        };
        let missing = servers.iter().find(|(info, _)| !votes(info));
        match missing {
            None if raft.servers.len() == servers.len() => Ok(()),
            None => Err(Found::not_yet(
                None,
                format!("{} peers, expected {}", raft.servers.len(), servers.len()),
            )),
            Some((info, _)) => Err(Found::not_yet(
                Some(info),
                format!("{} does not vote", info.called()),
            )),
        }
    };
    board.until(Condition::Voters, look).await
}

async fn autopilot(board: &Board<'_>, servers: &[(&AgentInfo, Api)]) -> Result<(), PollError> {
    let (agent, api) = &servers[0];
    let look = || async {
        let health = api.autopilot_health().await;
        let health = health.map_err(|error| Found::call(agent, &error))?;
        if health.healthy && health.servers.len() == servers.len() {
            return Ok(());
        }
        let ill = health.servers.iter().find(|server| !server.healthy);
        let of = |address: &str| {
            let host = address.split(':').next().unwrap_or(address);
            let info = servers
                .iter()
                .find(|(info, _)| info.address.to_string() == host);
            info.map(|(info, _)| *info)
        };
        Err(match ill {
            Some(server) => {
                let agent = of(&server.address);
                let called = agent.map_or_else(|| format!("`{}`", server.name), |a| a.called());
                let seen = format!("{called} is not healthy (gossip: {})", server.serf_status);
                Found::not_yet(agent, seen)
            }
            None => Found::not_yet(
                None,
                format!(
                    "{} of {} servers judged",
                    health.servers.len(),
                    servers.len()
                ),
            ),
        })
    };
    board.until(Condition::Autopilot, look).await
}

async fn nodes(
    board: &Board<'_>,
    servers: &[(&AgentInfo, Api)],
    clients: &[&AgentInfo],
) -> Result<(), PollError> {
    let (agent, api) = &servers[0];
    let index = std::sync::atomic::AtomicU64::new(0);
    let look = || async {
        use std::sync::atomic::Ordering::Relaxed;
        let query = Query::default().blocking(index.load(Relaxed), BLOCK_MAX);
        let listed = api
            .get::<Vec<crate::nomad::types::NodeStub>>("nodes", &query)
            .await;
        let listed = listed.map_err(|error| {
            index.store(0, Relaxed);
            Found::call(agent, &error)
        })?;
        index.store(listed.index.unwrap_or(0), Relaxed);
        for client in clients {
            let node = listed
                .value
                .iter()
                .find(|node| node.name == client.name.as_str());
            if let Some(seen) = unready_node(node) {
                let seen = format!("{} {seen}", client.called());
                return Err(Found::not_yet(Some(client), seen));
            }
        }
        Ok(())
    };
    board.until(Condition::Nodes, look).await
}

/// The client's own process has been granted a time to live by a server.
async fn registered(board: &Board<'_>, client: &(&AgentInfo, Api)) -> Result<(), PollError> {
    let (agent, api) = client;
    let look = || async {
        let itself = api.agent_self().await;
        let itself = itself.map_err(|error| Found::call(agent, &error))?;
        match itself.stat("client", "heartbeat_ttl") {
            None | Some("" | "0s") => Err(Found::not_yet(
                Some(agent),
                format!("{} has not registered again", agent.called()),
            )),
            Some(_) => Ok(()),
        }
    };
    board.step_towards(Condition::Nodes, look).await
}

/// Returns what a node lacks.
fn unready_node(node: Option<&crate::nomad::types::NodeStub>) -> Option<String> {
    let Some(node) = node else {
        return Some("is not registered".to_owned());
    };
    if node.status != "ready" {
        return Some(format!("is {}", node.status));
    }
    if node.scheduling_eligibility != "eligible" {
        return Some(format!("is {}", node.scheduling_eligibility));
    }
    match node.drivers.get("raw_exec") {
        Some(driver) if driver.detected && driver.healthy => None,
        Some(driver) => Some(format!(
            "has driver `raw_exec` not healthy: {}",
            driver.health_description
        )),
        None => Some("has no driver `raw_exec`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomad::types::{DriverInfo, NodeStub};
    use crate::spec::Arch;

    fn node(status: &str, eligibility: &str, healthy: bool) -> NodeStub {
        let driver = DriverInfo {
            detected: true,
            healthy,
            health_description: "Undetected".to_owned(),
            ..DriverInfo::default()
        };
        NodeStub {
            name: "client-1".to_owned(),
            status: status.to_owned(),
            scheduling_eligibility: eligibility.to_owned(),
            drivers: BTreeMap::from([("raw_exec".to_owned(), driver)]),
            ..NodeStub::default()
        }
    }

    #[test]
    fn a_node_is_ready_only_with_all_of_it() {
        let seen = |node| unready_node(Some(&node)).unwrap_or_default();
        assert_eq!(seen(node("ready", "eligible", true)), "");
        assert_eq!(
            seen(node("initializing", "eligible", true)),
            "is initializing"
        );
        assert_eq!(seen(node("ready", "ineligible", true)), "is ineligible");
        assert!(seen(node("ready", "eligible", false)).contains("not healthy: Undetected"));
        assert_eq!(unready_node(None).unwrap(), "is not registered");
        let mut bare = node("ready", "eligible", true);
        bare.drivers.clear();
        assert_eq!(seen(bare), "has no driver `raw_exec`");
    }

    #[tokio::test]
    async fn a_deadline_names_every_condition_that_is_missing() {
        let progress = Progress::silent();
        let conditions = [Condition::Leader, Condition::Nodes];
        let board = Board::new(
            Some("west"),
            Duration::from_millis(80),
            &progress,
            &conditions,
        );
        let agent = AgentInfo {
            name: AgentName::new(Role::Client, 2),
            role: Role::Client,
            region: Some("west".to_owned()),
            address: [10, 0, 0, 1].into(),
            arch: Arch::S390x,
            emulated: true,
            api_addr: String::new(),
        };
        let never = || async {
            let seen = format!("{} is initializing", agent.called());
            Err::<(), _>(Found::not_yet(Some(&agent), seen))
        };
        let (leader, nodes) = futures::join!(
            board.until(Condition::Leader, || async { Ok::<(), Found>(()) }),
            board.until(Condition::Nodes, never)
        );
        leader.unwrap();
        let unready = unready(&board, &nodes.unwrap_err());
        assert!(!unready.hopeless);
        assert_eq!(unready.missing.len(), 1, "{unready:?}");
        assert_eq!(unready.missing[0].agent, Some(agent.name));
        assert_eq!(
            unready.missing[0].to_string(),
            "region `west`: every node is ready and eligible, its drivers healthy: `client-2` on s390x (emulated) is \
             initializing"
        );
    }
}
