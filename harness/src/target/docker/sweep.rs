//! What is there, by labels alone; what of it is garbage; and its removal. A cluster that came up
//! whole is never garbage, unless it was to live no longer than its maker (tests). Of all others
//! the maker decides: garbage if that process is gone, or, where nobody can tell, if the time
//! is over that any `up` takes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use futures::stream;
use serde::Serialize;

use super::folder::{self, Folder, FolderError, Phase, StateRoot};
use crate::docker::{
    ContainerFacts, ContainerState, DockerEngine, DockerError, Labels, NetworkFacts, Trouble,
    VolumeFacts, labels,
};
use crate::owner::{Owner, now_secs};
use crate::poll;

/// Looks at what is left before giving up: an engine may still be making what a killed process
/// asked for.
const ROUNDS_MAX: usize = 20;
/// And of those where a network is all that is left: what holds it is a container, or nothing.
const NETWORK_ROUNDS_MAX: usize = 5;
/// How many containers are removed at a time. Docker may miscount who is on a network of which a hundred are
/// removed at once (moby/moby#42119), and then keeps it until it is restarted; it is slower so, too.
const AT_ONCE: usize = 8;
/// Time between two such looks.
const ROUND: Duration = Duration::from_millis(150);

/// Something could not be swept or listed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// A folder is of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Objects come back, or do not go.
    #[error("run `{run}` of cluster `{cluster}` is not gone after {tries} tries: {left}")]
    Stays {
        /// The run.
        run: String,
        /// The cluster.
        cluster: String,
        /// How often its removal was tried.
        tries: usize,
        /// What is left.
        left: String,
        /// Whether that is nothing but networks.
        networks_only: bool,
    },
}

impl SweepError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Docker(error) => error.hint(),
            Self::Folder(error) => error.hint(),
            // Docker counts a network's endpoints, and now and then counts one too many when the
            // start of a container is broken off; at its start it counts anew.
            Self::Stays { networks_only, .. } if *networks_only => Some(
                "sudo systemctl restart docker && rehearse sweep    # Docker holds a network for \
                 containers that are gone"
                    .to_owned(),
            ),
            Self::Stays { run, .. } => Some(format!(
                "docker ps -a --filter label={}={run}    # and: docker network ls, docker volume ls",
                labels::RUN
            )),
        }
    }
}

/// All objects of one `up`.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) run: String,
    cluster: String,
    owner: Option<Owner>,
    expires: Option<u64>,
    folder: Option<PathBuf>,
    engine: Option<String>,
    ready: bool,
    ephemeral: bool,
    containers: Vec<ContainerFacts>,
    networks: Vec<NetworkFacts>,
    volumes: Vec<VolumeFacts>,
}

impl Run {
    /// Takes over what an object's labels say of the whole run.
    fn learn(&mut self, tags: &Labels) {
        let text = |key| labels::get(tags, key);
        if labels::is_tool(tags) && self.owner.is_some() {
            return;
        }
        let cluster = text(labels::CLUSTER).unwrap_or_default();
        self.cluster = cluster.to_owned();
        self.owner = text(labels::OWNER).and_then(|owner| owner.parse().ok());
        self.expires = text(labels::EXPIRES).and_then(|secs| secs.parse().ok());
        if let Some(path) = text(labels::FOLDER) {
            self.folder = Some(PathBuf::from(path));
        }
        if let Some(engine) = text(labels::ENGINE) {
            self.engine = Some(engine.to_owned());
        }
        self.ready |= text(labels::READY).is_some();
        self.ephemeral |= text(labels::EPHEMERAL).is_some();
    }

    /// Returns whether nobody wants it any more.
    pub(super) fn is_garbage(&self) -> bool {
        if self.ready && !self.ephemeral {
            return false;
        }
        match self.owner.as_ref().and_then(Owner::lives) {
            Some(lives) => !lives,
            None => self.expires.is_some_and(|expires| expires < now_secs()),
        }
    }

    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    fn is_networks_only(&self) -> bool {
        self.containers.is_empty() && self.volumes.is_empty()
    }

    fn agents(&self) -> impl Iterator<Item = &ContainerFacts> {
        let all = self.containers.iter();
        all.filter(|container| labels::is_agent(&container.labels))
    }

    /// Returns how it is, where it should have so many agents.
    fn health(&self, total: usize) -> Health {
        let running = self
            .agents()
            .filter(|c| matches!(c.state, ContainerState::Running | ContainerState::Paused))
            .count();
        if !self.ready {
            return if self.is_garbage() {
                Health::Garbage
            } else {
                Health::ComingUp
            };
        }
        match running {
            0 if total == 0 => Health::Gone,
            0 => Health::Stopped,
            _ if running == total => Health::Running,
            _ => Health::Partly { running, total },
        }
    }

    /// Returns how it is, for an error.
    pub(super) fn describe(&self) -> String {
        self.health(self.agents().count()).to_string()
    }

    /// Removes all its objects, and its folder.
    pub(super) async fn remove(self, docker: &dyn DockerEngine) -> Result<Swept, SweepError> {
        let mut swept = Swept {
            cluster: self.cluster.clone(),
            run: self.run.clone(),
            containers: self.containers.len(),
            networks: self.networks.len(),
            volumes: self.volumes.len(),
            folder: false,
        };
        let (run, folder) = (self.run.clone(), self.folder.clone());
        remove_objects(docker, self).await?;
        if let Some(path) = folder
            && folder::belongs_to(&path, &run)
        {
            remove_folder(path)?;
            swept.folder = true;
        }
        Ok(swept)
    }
}

fn remove_folder(path: PathBuf) -> Result<(), FolderError> {
    std::fs::remove_dir_all(&path).map_err(|source| FolderError::Disk {
        action: "remove",
        path,
        source,
    })
}

/// Removes objects until a look finds none. Containers go first: they hold the others.
pub(super) async fn remove_objects(
    docker: &dyn DockerEngine,
    found: Run,
) -> Result<(), SweepError> {
    let (run, cluster) = (found.run.clone(), found.cluster.clone());
    let mut left = found;
    let mut tries = 0;
    let mut networks_alone = 0;
    let refusal = loop {
        let refusal = remove_once(docker, &left).await.err();
        tries += 1;
        let look = collect(docker, &[(labels::RUN, Some(&run))]).await?;
        match look.into_iter().next() {
            None => return Ok(()),
            Some(found) => left = found,
        }
        networks_alone = if left.is_networks_only() {
            networks_alone + 1
        } else {
            0
        };
        if tries == ROUNDS_MAX || networks_alone == NETWORK_ROUNDS_MAX {
            break refusal;
        }
        poll::rest(ROUND).await;
    };
    if let Some(error) = refusal {
        return Err(error.into());
    }
    let networks_only = left.is_networks_only();
    let names = left
        .containers
        .iter()
        .map(|c| c.name.clone())
        .chain(left.networks.iter().map(|n| n.name.clone()))
        .chain(left.volumes.iter().map(|v| v.name.clone()));
    Err(SweepError::Stays {
        run,
        cluster,
        tries,
        left: names.collect::<Vec<_>>().join(", "),
        networks_only,
    })
}

/// Tries to remove every object once; one refusal does not keep the others.
async fn remove_once(docker: &dyn DockerEngine, run: &Run) -> Result<(), DockerError> {
    let containers = run
        .containers
        .iter()
        .map(|c| docker.remove_container(&c.id));
    let containers = stream::iter(containers).buffer_unordered(AT_ONCE);
    let gone = first_error(containers.collect().await);
    let networks = run.networks.iter().map(|n| docker.remove_network(&n.id));
    let volumes = run.volumes.iter().map(|v| docker.remove_volume(&v.name));
    let (networks, volumes) = futures::join!(join_all(networks), join_all(volumes));
    gone.and(first_error(networks)).and(first_error(volumes))
}

fn first_error(outcomes: Vec<Result<(), DockerError>>) -> Result<(), DockerError> {
    // Two who remove the same object get in each other's way; the next look tells.
    let harmless = |error: &DockerError| error.trouble == Trouble::Conflict;
    let failed = outcomes.into_iter().filter_map(Result::err);
    failed.filter(|error| !harmless(error)).try_for_each(Err)
}

/// Returns all runs whose objects carry the labels.
pub(super) async fn collect(
    docker: &dyn DockerEngine,
    filter: &[(&str, Option<&str>)],
) -> Result<Vec<Run>, DockerError> {
    let (containers, networks, volumes) = futures::try_join!(
        docker.containers(filter),
        docker.networks(),
        docker.volumes(filter)
    )?;
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let of = |tags: &Labels| -> Option<String> {
        let carries = |(key, value): &(&str, Option<&str>)| {
            labels::get(tags, key).is_some_and(|found| value.is_none_or(|value| value == found))
        };
        let run = labels::get(tags, labels::RUN)?.to_owned();
        filter.iter().all(carries).then_some(run)
    };
    let entry = |runs: &mut BTreeMap<String, Run>, run: String, tags: &Labels| {
        let known = runs.entry(run.clone()).or_default();
        known.run = run;
        known.learn(tags);
    };
    for network in networks {
        if let Some(run) = of(&network.labels) {
            entry(&mut runs, run.clone(), &network.labels);
            runs.entry(run).or_default().networks.push(network);
        }
    }
    for container in containers {
        if let Some(run) = of(&container.labels) {
            entry(&mut runs, run.clone(), &container.labels);
            runs.entry(run).or_default().containers.push(container);
        }
    }
    for volume in volumes {
        if let Some(run) = of(&volume.labels) {
            entry(&mut runs, run.clone(), &volume.labels);
            runs.entry(run).or_default().volumes.push(volume);
        }
    }
    Ok(runs.into_values().filter(|run| !run.is_empty()).collect())
}

/// How a cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Health {
    /// All agents run.
    Running,
    /// Some agents run.
    Partly {
        /// How many.
        running: usize,
        /// Of how many.
        total: usize,
    },
    /// No agent runs; `start` brings it back.
    Stopped,
    /// An `up` is at work.
    ComingUp,
    /// An `up` was killed half-way; `sweep` removes it.
    Garbage,
    /// Its folder is there, its containers are not.
    Gone,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Partly { running, total } => write!(f, "{running} of {total} agents running"),
            Self::Stopped => f.write_str("stopped"),
            Self::ComingUp => f.write_str("coming up"),
            Self::Garbage => f.write_str("left half-made"),
            Self::Gone => f.write_str("gone, its folder is left"),
        }
    }
}

/// A cluster in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterSummary {
    /// Its name.
    pub name: String,
    /// How it is.
    #[serde(flatten)]
    pub health: Health,
    /// Its agents' program, as `simulator 1.8.3`.
    pub engine: Option<String>,
    /// Number of agents.
    pub agents: usize,
    /// Its folder.
    pub folder: Option<PathBuf>,
}

/// Returns all clusters of this engine, and those that are but a folder.
///
/// # Errors
/// [`SweepError`].
pub async fn list(
    docker: &dyn DockerEngine,
    root: &StateRoot,
) -> Result<Vec<ClusterSummary>, SweepError> {
    let (runs, engine) =
        futures::try_join!(collect(docker, &[(labels::CLUSTER, None)]), docker.facts())?;
    let mut clusters: Vec<ClusterSummary> = runs
        .iter()
        .map(|run| {
            // A container that somebody removed is told by the folder alone.
            let planned = root.cluster(&run.cluster).read().ok();
            let planned = planned.filter(|record| record.run == run.run);
            let seen = run.agents().count();
            let agents = planned.map_or(seen, |record| record.agents.len().max(seen));
            ClusterSummary {
                name: run.cluster.clone(),
                health: run.health(agents),
                engine: run.engine.clone(),
                agents,
                folder: run.folder.clone(),
            }
        })
        .collect();
    for folder in root.clusters()? {
        let Ok(record) = folder.read() else { continue };
        if record.docker == engine.id && !runs.iter().any(|run| run.run == record.run) {
            clusters.push(ClusterSummary {
                name: folder.name().to_owned(),
                health: Health::Gone,
                engine: Some(format!("{} {}", record.engine.kind, record.engine.version)),
                agents: 0,
                folder: Some(folder.path().to_owned()),
            });
        }
    }
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(clusters)
}

/// What was removed of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// The cluster.
    pub cluster: String,
    /// The run.
    pub run: String,
    /// Number of containers.
    pub containers: usize,
    /// Number of networks.
    pub networks: usize,
    /// Number of volumes.
    pub volumes: usize,
    /// Whether a folder was removed.
    pub folder: bool,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.cluster.is_empty() {
            "no cluster"
        } else {
            &self.cluster
        };
        write!(f, "removed what was left of `{name}` (run {}):", self.run)?;
        let mut parts = Vec::new();
        for (count, one) in [
            (self.containers, "container"),
            (self.networks, "network"),
            (self.volumes, "volume"),
            (usize::from(self.folder), "folder"),
        ] {
            match count {
                0 => {}
                1 => parts.push(format!("1 {one}")),
                _ => parts.push(format!("{count} {one}s")),
            }
        }
        write!(f, " {}", parts.join(", "))
    }
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Sweep {
    /// What was removed.
    pub swept: Vec<Swept>,
    /// Why something stays, for each run of which something does.
    pub stays: Vec<SweepError>,
}

/// Removes all garbage: half-made clusters whose maker is gone, helpers of killed processes,
/// folders without a cluster. A run that cannot be removed keeps no other.
///
/// # Errors
/// [`SweepError`] if there is no telling what is garbage; the rest stays for the next sweep.
pub async fn sweep(docker: &dyn DockerEngine, root: &StateRoot) -> Result<Sweep, SweepError> {
    let mut sweep = Sweep::default();
    let mut given_up = Vec::new();
    let mut clean_looks = 0;
    // What a killed process asked for last may appear only now: two clean looks in a row are
    // wanted once anything was found.
    for _ in 0..ROUNDS_MAX {
        if sweep_once(docker, root, &mut sweep, &mut given_up).await? {
            clean_looks = 0;
        } else {
            clean_looks += 1;
            if sweep.swept.is_empty() || clean_looks > 1 {
                break;
            }
        }
        poll::rest(ROUND).await;
    }
    Ok(sweep)
}

/// Looks once, and returns whether it removed anything. Runs that it gave up are not tried again.
async fn sweep_once(
    docker: &dyn DockerEngine,
    root: &StateRoot,
    sweep: &mut Sweep,
    given_up: &mut Vec<String>,
) -> Result<bool, SweepError> {
    let before = sweep.swept.len();
    let runs = collect(docker, &[(labels::RUN, None)]).await?;
    let alive: Vec<String> = runs.iter().map(|run| run.run.clone()).collect();
    let tried = runs.into_iter().filter(|run| !given_up.contains(&run.run));
    let removals = tried.map(async |run| {
        let name = run.run.clone();
        let outcome = if run.is_garbage() {
            run.remove(docker).await.map(Some)
        } else {
            sweep_tools(docker, run).await
        };
        (name, outcome)
    });
    for (run, outcome) in join_all(removals).await {
        match outcome {
            Ok(swept) => sweep.swept.extend(swept),
            Err(error) => {
                given_up.push(run);
                sweep.stays.push(error);
            }
        }
    }
    let folders = root.clusters()?;
    if !folders.is_empty() {
        let engine = docker.facts().await?.id;
        for folder in folders {
            sweep
                .swept
                .extend(sweep_folder(root, &folder, &engine, &alive)?);
        }
    }
    Ok(sweep.swept.len() > before)
}

/// Removes helpers of killed processes beside a cluster that lives.
async fn sweep_tools(docker: &dyn DockerEngine, run: Run) -> Result<Option<Swept>, SweepError> {
    let dead = |container: &&ContainerFacts| {
        let tags = &container.labels;
        let owner = labels::get(tags, labels::OWNER).and_then(|o| o.parse::<Owner>().ok());
        labels::is_tool(tags) && owner.and_then(|owner| owner.lives()) == Some(false)
    };
    let tools: Vec<&ContainerFacts> = run.containers.iter().filter(dead).collect();
    if tools.is_empty() {
        return Ok(None);
    }
    try_join_all(tools.iter().map(|tool| docker.remove_container(&tool.id))).await?;
    Ok(Some(Swept {
        cluster: run.cluster.clone(),
        run: run.run.clone(),
        containers: tools.len(),
        networks: 0,
        volumes: 0,
        folder: false,
    }))
}

/// Removes a folder whose cluster has no object any more on this engine, unless an `up` is about
/// to make some.
fn sweep_folder(
    root: &StateRoot,
    folder: &Folder,
    engine: &str,
    runs: &[String],
) -> Result<Option<Swept>, SweepError> {
    // The lock first: whoever holds it works on that very folder.
    let _lock = match root.lock(folder.name()) {
        Ok(lock) => lock,
        Err(FolderError::Busy { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (run, lost) = match folder.read() {
        Ok(record) => {
            let lost = record.docker == engine && !runs.contains(&record.run);
            let waits =
                record.phase == Phase::ComingUp && folder::maker_lives(&record) == Some(true);
            (record.run, lost && !waits)
        }
        // A folder without a record was killed before it had one, and holds nothing yet.
        Err(FolderError::Absent { .. }) => (String::new(), true),
        Err(_) => return Ok(None),
    };
    if !lost {
        return Ok(None);
    }
    folder.remove()?;
    Ok(Some(Swept {
        cluster: folder.name().to_owned(),
        run,
        containers: 0,
        networks: 0,
        volumes: 0,
        folder: true,
    }))
}

/// What stands in the way of a new cluster.
pub(super) enum InTheWay {
    /// Nothing.
    Nothing,
    /// A cluster of that name.
    Cluster(String),
}

/// Removes all garbage for an `up` of `name`, whose lock the caller holds, and says whether the
/// name is free. One look when there is nothing: this is on the way of every `up`. What is left of
/// others and cannot be removed is told, and is no reason not to come up.
pub(super) async fn clear_for(
    docker: &dyn DockerEngine,
    folder: &Folder,
    engine: &str,
    told: &(dyn Fn(String) + Sync),
) -> Result<InTheWay, SweepError> {
    let runs = collect(docker, &[(labels::RUN, None)]).await?;
    let (garbage, kept): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(Run::is_garbage);
    let found = !garbage.is_empty();
    let removals = garbage.into_iter().map(async |run| {
        let ours = run.cluster == folder.name();
        (ours, run.remove(docker).await)
    });
    for (ours, outcome) in join_all(removals).await {
        match outcome {
            Ok(swept) => told(swept.to_string()),
            Err(error) if ours => return Err(error),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                let hint = error.hint().map(|hint| format!("; {hint}"));
                let (cause, hint) = (cause.unwrap_or_default(), hint.unwrap_or_default());
                told(format!("{error}{cause}{hint}"));
            }
        }
    }
    if let Some(run) = kept.iter().find(|run| run.cluster == folder.name()) {
        return Ok(InTheWay::Cluster(run.describe()));
    }
    match folder.read() {
        Ok(record) if record.docker != engine => {
            return Ok(InTheWay::Cluster("on another Docker engine".to_owned()));
        }
        Ok(_) | Err(FolderError::Absent { .. }) => folder.remove()?,
        Err(error) => return Err(error.into()),
    }
    if found {
        // Late answers to the killed process: a look more, for the names that are wanted now.
        poll::rest(ROUND).await;
        let filter = [(labels::CLUSTER, Some(folder.name()))];
        for run in collect(docker, &filter).await? {
            if run.is_garbage() {
                told(run.remove(docker).await?.to_string());
            }
        }
    }
    Ok(InTheWay::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(ready: bool, ephemeral: bool, owner: &str, expires: u64) -> Run {
        let mut tags: Labels = [
            (labels::RUN, "r1".to_owned()),
            (labels::CLUSTER, "demo".to_owned()),
            (labels::OWNER, owner.to_owned()),
            (labels::EXPIRES, expires.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if ready {
            tags.insert(labels::READY.to_owned(), "true".to_owned());
        }
        if ephemeral {
            tags.insert(labels::EPHEMERAL.to_owned(), "true".to_owned());
        }
        let mut run = Run::default();
        run.learn(&tags);
        run
    }

    #[test]
    fn only_what_nobody_wants_is_garbage() {
        let (living, far) = (Owner::this().to_string(), now_secs() + 1000);
        let dead = living.rsplit_once('/').unwrap().0.to_owned() + "/1";
        let elsewhere = "elsewhere-1/2/3/4";
        for (ready, ephemeral, owner, expires, garbage) in [
            (true, false, dead.as_str(), 1, false),
            (true, false, elsewhere, 1, false),
            (false, false, living.as_str(), 1, false),
            (false, false, dead.as_str(), far, true),
            (false, false, elsewhere, far, false),
            (false, false, elsewhere, 1, true),
            (true, true, living.as_str(), 1, false),
            (true, true, dead.as_str(), far, true),
            (true, true, elsewhere, 1, true),
            (false, false, "nonsense", far, false),
            (false, false, "nonsense", 1, true),
        ] {
            assert_eq!(
                run(ready, ephemeral, owner, expires).is_garbage(),
                garbage,
                "ready {ready}, ephemeral {ephemeral}, owner {owner}, expires {expires}"
            );
        }
    }
}
