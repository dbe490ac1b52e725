//! Bringing up and sweeping on an engine in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use semver::Version;

use super::*;
use crate::docker::fake::{FakeContainer, FakeDocker, NOMAD_IMAGE};
use crate::docker::{
    ContainerPlan, DockerEngine as _, Labels, NetworkFacts, NetworkPlan, Trouble, labels,
};
use crate::engine::{EngineKind, EngineRequest, Next, Program};
use crate::environment::Environment;
use crate::owner::Owner;
use crate::progress::{Event, Progress};
use crate::spec::{AgentName, Arch, ClusterSpec};
use crate::target::{AgentState, Capability, ControlError, Target as _};

struct Place {
    docker: Arc<FakeDocker>,
    environment: Environment,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            docker: Arc::new(FakeDocker::new()),
            environment: Environment {
                state_root: folder.path().join("state"),
                cache_root: folder.path().join("cache"),
                // Any program of the agents' architecture: nothing runs here.
                agent: Some(
                    concat!(env!("CARGO_MANIFEST_DIR"), "/../images/probe/probe-amd64").into(),
                ),
                ..Environment::default()
            },
            _folder: folder,
        }
    }

    /// Where the built-in program runs in the agents' image.
    fn equipped() -> Self {
        let place = Self::new();
        let said = "Nomad v1.8.3\nUsage: nomad agent\n".to_owned();
        let says = vec![("rehearse-version".to_owned(), said)];
        place.docker.with(|state| state.says = says);
        place
    }

    /// Returns one with a cluster `demo`, which nobody answers for: it was kept to be looked at.
    async fn kept() -> Self {
        let place = Self::new();
        let kept = place.up_with(&spec(), true, &Progress::silent()).await;
        kept.unwrap_err();
        place
    }

    fn root(&self) -> StateRoot {
        StateRoot::new(&self.environment.state_root)
    }

    async fn open(&self) -> DockerCluster {
        let root = self.root();
        let cluster = DockerCluster::open("demo", &root, self.docker.clone());
        cluster.await.unwrap()
    }

    async fn up(&self, spec: &ClusterSpec) -> Result<DockerCluster, UpError> {
        self.up_with(spec, false, &Progress::silent()).await
    }

    async fn up_with(
        &self,
        spec: &ClusterSpec,
        keep: bool,
        progress: &Progress,
    ) -> Result<DockerCluster, UpError> {
        let never = Box::pin(std::future::pending());
        self.up_until(spec, keep, progress, never).await
    }

    async fn up_until(
        &self,
        spec: &ClusterSpec,
        keep: bool,
        progress: &Progress,
        interrupt: futures::future::BoxFuture<'_, ()>,
    ) -> Result<DockerCluster, UpError> {
        let request = EngineRequest {
            kind: EngineKind::Image,
            image: Some(NOMAD_IMAGE.to_owned()),
            ..EngineRequest::default()
        };
        let options = Options {
            timeout: Some(Duration::from_millis(120)),
            keep,
            ephemeral: false,
        };
        let docker = self.docker.clone();
        let environment = &self.environment;
        bring_up(
            spec,
            &request,
            &options,
            environment,
            docker,
            progress,
            interrupt,
        )
        .await
    }

    /// Checks that neither the engine nor the disk holds anything of ours.
    fn assert_nothing_left(&self, after: &str) {
        assert_eq!(self.docker.left(), Vec::<String>::new(), "{after}");
        let folders = self.root().clusters().unwrap();
        assert!(folders.is_empty(), "{after}: {folders:?}");
    }
}

fn spec() -> ClusterSpec {
    ClusterSpec::new("demo", Arch::Amd64)
}

fn spec_of_fixed_size() -> ClusterSpec {
    ClusterSpec {
        data_size: Some("64MiB".parse().unwrap()),
        ..spec()
    }
}

/// Labels of a run whose maker is gone.
fn tags_of_the_dead(run: &str, cluster: &str) -> Labels {
    let this = Owner::this().to_string();
    let dead = this.rsplit_once('/').unwrap().0.to_owned() + "/1";
    [
        (labels::RUN, run),
        (labels::CLUSTER, cluster),
        (labels::OWNER, &dead),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

#[tokio::test]
async fn whatever_call_fails_nothing_is_left() {
    // A version's container (made, started), the built-in program on top of the image, a container
    // that tries it, a network, and three calls for each of six agents.
    let calls = 2 + 1 + 2 + 1 + 3 * 6;
    assert_eq!(failures_of(&spec(), Place::new).await, calls);
    // And what keeps their data.
    let fixed = failures_of(&spec_of_fixed_size(), Place::equipped).await;
    assert_eq!(fixed, calls + 2);
}

/// Fails one call after the other; returns how many there are.
async fn failures_of(spec: &ClusterSpec, place: impl Fn() -> Place) -> usize {
    let mut failures = 0;
    for number in 0.. {
        let place = place();
        place
            .docker
            .with(|state| state.fails = Some((number, Trouble::Other)));
        let outcome = place.up(spec).await;
        let asked = place.docker.with(|state| state.calls.get(number).cloned());
        let Some(asked) = asked else { break };
        let error = outcome.expect_err(&asked);
        place.assert_nothing_left(&format!("{asked}: {error}"));
        failures += 1;
    }
    failures
}

#[tokio::test]
async fn without_the_built_in_program_nothing_keeps_data_of_a_fixed_size() {
    let place = Place::new();
    let error = place.up(&spec_of_fixed_size()).await.unwrap_err();
    assert!(matches!(error, UpError::NoKeeper), "{error}");
    assert!(error.hint().unwrap().contains("without --data-size"));
    place.assert_nothing_left("no keeper");
}

#[tokio::test]
async fn data_of_a_fixed_size_are_kept_by_a_container_that_goes_with_the_cluster() {
    let place = Place::equipped();
    let spec = spec_of_fixed_size();
    let kept = place.up_with(&spec, true, &Progress::silent()).await;
    kept.unwrap_err();
    let root = place.root();
    let cluster = place.open().await;
    let containers = place.docker.with(|state| state.containers.clone());
    let agents: Vec<_> = containers
        .values()
        .filter(|made| labels::is_agent(&made.plan.labels))
        .map(|made| &made.plan)
        .collect();
    let keeper = containers
        .iter()
        .find(|(_, made)| made.plan.name == "rehearse-demo-keeper");
    let (keeper_id, keeper) = keeper.unwrap();
    assert_eq!((agents.len(), containers.len()), (6, 7));
    for agent in agents {
        let own = &agent.volumes[0];
        assert_eq!(own.size, Some(64 << 20));
        let there = keeper.plan.volumes.iter().find(|one| one.name == own.name);
        let there = there.unwrap();
        assert_eq!((there.size, &there.labels), (own.size, &own.labels));
    }

    let listed = list(place.docker.as_ref(), &root).await.unwrap();
    assert_eq!((listed[0].agents, &listed[0].health), (6, &Health::Running));
    assert!(cluster.capabilities().contains(&Capability::Fill));
    assert_eq!(cluster.lacks(Capability::Fill).await, None);

    // An end of Docker, or of the machine.
    place.docker.die(keeper_id, 137);
    let gone = "the agents' data were in memory, and nothing keeps them any more";
    assert_eq!(cluster.lacks(Capability::Fill).await.unwrap(), gone);
    let agent = cluster.agents()[0].name.clone();
    cluster.kill(&agent).await.unwrap();
    let error = cluster.start_agents(&[agent]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the data of cluster `demo` were in memory (`--data-size`), and are gone"
    );
    assert!(error.hint().unwrap().starts_with("rehearse down demo"));
    let silent = Progress::silent();
    tear_down("demo", place.docker.as_ref(), &root, &silent)
        .await
        .unwrap();
    place.assert_nothing_left("down");
}

#[tokio::test]
async fn an_unready_cluster_says_what_is_missing_and_leaves_nothing() {
    let place = Place::new();
    let error = place.up(&spec()).await.unwrap_err();
    let UpError::NotReady { unready, .. } = &error else {
        panic!("{error}");
    };
    let names: Vec<&str> = unready
        .missing
        .iter()
        .map(|m| m.condition.as_str())
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("cluster `demo` was not ready within 0.1 s\n  missing: "),
        "{text}"
    );
    assert!(text.contains("every server agrees on one leader: `server-1`: no connection"));
    assert!(text.ends_with("`server-1` logged nothing"), "{text}");
    assert_eq!(
        error.hint().unwrap(),
        "rehearse up demo --keep    # leaves it there, for rehearse logs demo AGENT"
    );
    place.assert_nothing_left("timeout");
}

#[tokio::test]
async fn what_is_kept_can_be_looked_at_and_removed() {
    let place = Place::new();
    let error = place
        .up_with(&spec(), true, &Progress::silent())
        .await
        .unwrap_err();
    assert_eq!(error.hint().unwrap(), "rehearse logs demo server-1");
    let swept = sweep(place.docker.as_ref(), &place.root()).await.unwrap();
    assert_eq!(swept.swept, [], "what is kept is no garbage");
    let root = place.root();
    assert_eq!(place.open().await.agents().len(), 6);
    let silent = Progress::silent();
    let removed = tear_down("demo", place.docker.as_ref(), &root, &silent).await;
    assert_eq!(removed.unwrap().len(), 1);
    place.assert_nothing_left("down");
}

#[tokio::test]
async fn an_upgraded_agent_keeps_all_but_its_program() {
    let place = Place::kept().await;
    let root = place.root();
    let folder = root.cluster("demo");
    let mut record = folder.read().unwrap();
    let program = Program {
        info: record.engine.clone(),
        version: Version::new(1, 9, 4),
        image: "nomad:newer".to_owned(),
        command: vec!["/bin/newer".to_owned()],
        env: Vec::new(),
        tools: false,
        reason: "asked for".to_owned(),
    };
    record.next = Some(Next {
        version: program.version.clone(),
        programs: [(Arch::Amd64, program)].into(),
    });
    folder.write(&record).unwrap();
    let all = || {
        place.docker.with(|state| {
            let one = |(id, made): (&String, &FakeContainer)| {
                let what = (id.clone(), made.plan.clone(), made.files.clone());
                (made.plan.name.clone(), what)
            };
            state.containers.iter().map(one).collect::<BTreeMap<_, _>>()
        })
    };
    let volumes = || place.docker.with(|state| state.volumes.clone());
    let (before, volumes_before) = (all(), volumes());

    let cluster = place.open().await;
    assert_eq!(cluster.next_version(), Some(Version::new(1, 9, 4)));
    assert_eq!(cluster.lacks(Capability::Upgrade).await, None);
    let agent = cluster.agents()[1].name.clone();
    cluster.upgrade(&agent).await.unwrap();

    let after = all();
    assert_eq!(volumes(), volumes_before, "its data stays");
    assert!(before.keys().eq(after.keys()), "{:?}", after.keys());
    for (name, (id, plan, files)) in &before {
        let (new_id, new_plan, new_files) = &after[name];
        if !name.ends_with(&agent.0) {
            assert_eq!((id, plan, files), (new_id, new_plan, new_files));
            continue;
        }
        assert_ne!(id, new_id);
        assert_eq!(new_files, files);
        assert_eq!(new_plan.image, "nomad:newer");
        assert_eq!(new_plan.command[0], "/bin/newer");
        let as_before = ContainerPlan {
            image: plan.image.clone(),
            command: plan.command.clone(),
            env: plan.env.clone(),
            ..new_plan.clone()
        };
        assert_eq!(as_before, *plan);
    }
    let told = cluster.lacks(Capability::Upgrade).await.unwrap();
    assert!(told.starts_with("`server-2` was upgraded"), "{told}");
    let record = folder.read().unwrap();
    let upgraded: Vec<bool> = record.agents.iter().map(|one| one.upgraded).collect();
    assert_eq!(upgraded, [false, true, false, false, false, false]);
    assert_eq!(record.agents[1].image, "nomad:newer");
}

#[tokio::test]
async fn an_agent_that_cannot_be_frozen_at_once_is_frozen_a_moment_later() {
    let place = Place::kept().await;
    let cluster = place.open().await;
    let agent = cluster.agents()[1].name.clone();

    place.docker.with(|state| state.freezes_refused = 3);
    cluster.pause(&agent).await.unwrap();
    assert_eq!(cluster.state(&agent).await.unwrap(), AgentState::Paused);
    cluster.resume(&agent).await.unwrap();

    place
        .docker
        .with(|state| state.freezes_refused = usize::MAX);
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    let error = cluster.pause(&agent).await.unwrap_err();
    assert_eq!(
        error.source.to_string(),
        "cannot pause container `rehearse-demo-server-2`"
    );
    assert!(start.elapsed() >= control::FREEZE_WITHIN);
    assert_eq!(cluster.state(&agent).await.unwrap(), AgentState::Running);
}

#[tokio::test]
async fn the_engine_is_restarted_only_when_its_command_is_given_and_is_seen_to_have_been_away() {
    let place = Place::kept().await;
    let mut cluster = place.open().await;
    assert!(!cluster.capabilities().contains(&Capability::RestartEngine));
    let told = |error: ControlError| format!("{error}: {}", error.source);
    let error = cluster.restart_engine().await.unwrap_err();
    assert_eq!(
        told(error),
        "cannot restart the engine of `the cluster`: nobody gave a command for it"
    );

    cluster.allow_engine_restart("exit 3".to_owned());
    assert!(cluster.capabilities().contains(&Capability::RestartEngine));
    assert_eq!(cluster.lacks(Capability::RestartEngine).await, None);
    let error = told(cluster.restart_engine().await.unwrap_err());
    assert!(
        error.contains("`exit 3` ended with exit status: 3"),
        "{error}"
    );

    // A command that restarts nothing, or another engine.
    cluster.allow_engine_restart("true".to_owned());
    let error = told(cluster.restart_engine().await.unwrap_err());
    assert!(
        error.contains("`true` ended well, and within 3 s"),
        "{error}"
    );

    let docker = place.docker.clone();
    let listened = async |wanted: bool| {
        while (docker.listeners() > 0) != wanted {
            tokio::task::yield_now().await;
        }
    };
    listened(false).await;
    let refusals = 3;
    let (outcome, ()) = futures::join!(cluster.restart_engine(), async {
        listened(true).await;
        docker.restart(refusals);
    });
    outcome.unwrap();
    assert_eq!(place.docker.with(|state| state.facts_refused), 0);
    for agent in cluster.agents() {
        let ended = cluster.state(&agent.name).await.unwrap();
        assert!(matches!(ended, AgentState::Exited { .. }), "{ended:?}");
        cluster.engine_is_back().await.unwrap();
        cluster.start(&agent.name).await.unwrap();
    }
}

#[tokio::test]
async fn the_engine_is_not_restarted_below_data_that_are_in_memory() {
    let place = Place::equipped();
    let spec = spec_of_fixed_size();
    let kept = place.up_with(&spec, true, &Progress::silent()).await;
    kept.unwrap_err();
    let mut cluster = place.open().await;
    cluster.allow_engine_restart("true".to_owned());
    let why = cluster.lacks(Capability::RestartEngine).await.unwrap();
    assert!(why.contains("in memory (`--data-size 64MiB`)"), "{why}");
}

#[tokio::test]
async fn an_agent_that_dies_is_named_with_its_log() {
    let place = Place::new();
    place.docker.with(|state| {
        state.dies = Some(("client-2".to_owned(), 1));
        let said = "==> Error starting agent: no disk\n".to_owned();
        state.says.push(("client-2".to_owned(), said));
    });
    let error = place.up(&spec()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`client-2` of cluster `demo` ended with exit code 1 while the cluster came up\n  \
         last lines of `client-2`:\n    ==> Error starting agent: no disk"
    );
    place.assert_nothing_left("death");
}

#[tokio::test]
async fn an_agent_that_ends_at_its_start_is_told_with_what_it_ran_on() {
    let place = Place::kept().await;
    let root = place.root();
    let folder = root.cluster("demo");
    let mut record = folder.read().unwrap();
    record.agents[1].emulated = true;
    record.agents[1].plan.arch = Arch::S390x;
    folder.write(&record).unwrap();
    place.docker.with(|state| {
        state.dies = Some(("server-".to_owned(), 255));
        // What a container's init says there: it looks for a shell to run a text of an unknown format.
        let said = "exec /usr/local/bin/nomad failed: No such file or directory\n".to_owned();
        state.says.push(("server-".to_owned(), said));
        let probed = "exec /probe: exec format error\n".to_owned();
        state.says.push(("probe".to_owned(), probed));
    });
    let cluster = place.open().await;
    let names: Vec<AgentName> = cluster.agents().iter().map(|a| a.name.clone()).collect();

    cluster.stop_agents(&names).await.unwrap();
    let error = cluster.start_agents(&names[1..2]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`server-2` on s390x (emulated) of cluster `demo` ended with exit code 255 after its start: \
         s390x programs do not work in containers here: no emulator is registered; last seen: \
         `exec /probe: exec format error`\n  last lines of `server-2`:\n    \
         exec /usr/local/bin/nomad failed: No such file or directory"
    );
    assert_eq!(
        error.hint().unwrap(),
        "rehearse doctor    # says what mends emulation here"
    );
    // A program of this machine's own does not fail for want of an emulator.
    let error = cluster.start_agents(&names[..1]).await.unwrap_err();
    let told = "`server-1` of cluster `demo` ended with exit code 255 after its start\n";
    assert!(error.to_string().starts_with(told), "{error}");
    assert_eq!(error.hint().unwrap(), "rehearse logs demo server-1");
}

#[tokio::test]
async fn an_agent_that_runs_and_does_not_answer_is_named() {
    let place = Place::kept().await;
    let cluster = place.open().await;
    let client = cluster.agents()[3].name.clone();
    cluster
        .stop_agents(std::slice::from_ref(&client))
        .await
        .unwrap();
    tokio::time::pause();
    let silent = cluster.start_agents(std::slice::from_ref(&client)).await;
    assert_eq!(silent.unwrap(), [client]);
}

#[tokio::test]
async fn a_taken_subnet_is_passed_over() {
    let place = Place::new();
    place.docker.with(|state| {
        state.hidden_subnets = vec!["10.208.0.0/13".parse().unwrap()];
    });
    let error = place
        .up_with(&spec(), true, &Progress::silent())
        .await
        .unwrap_err();
    assert!(matches!(error, UpError::NotReady { .. }), "{error}");
    let record = place.root().cluster("demo").read().unwrap();
    let taken: crate::spec::Subnet = "10.208.0.0/13".parse().unwrap();
    assert!(!taken.overlaps(record.subnet), "{}", record.subnet);
    let addresses = place.docker.with(|state| {
        let of = |c: &crate::docker::fake::FakeContainer| c.plan.network.clone();
        state.containers.values().map(of).collect::<Vec<_>>()
    });
    for attachment in addresses {
        let crate::docker::Attachment::Network { address, .. } = attachment else {
            panic!("{attachment:?}");
        };
        let own = crate::spec::Subnet::new(address, 32).unwrap();
        assert!(record.subnet.overlaps(own), "{address}");
    }
}

#[tokio::test]
async fn a_taken_port_is_replaced_and_written_down() {
    let place = Place::new();
    place.docker.with(|state| state.ports_refused = 2);
    let error = place
        .up_with(&spec(), true, &Progress::silent())
        .await
        .unwrap_err();
    assert!(matches!(error, UpError::NotReady { .. }), "{error}");
    let (ports, taken) = place.docker.with(|state| {
        let port = |c: &crate::docker::fake::FakeContainer| c.plan.ports[0].host;
        let ports: Vec<u16> = state.containers.values().map(port).collect();
        (ports, state.taken_ports.clone())
    });
    assert_eq!(taken.len(), 2);
    assert_eq!(ports.len(), 6, "the refused ones were removed");
    assert!(ports.iter().all(|port| !taken.contains(port)));
    for agent in place.open().await.agents() {
        let port: u16 = agent.api_addr.rsplit(':').next().unwrap().parse().unwrap();
        assert!(
            ports.contains(&port),
            "{} is not at {ports:?}",
            agent.api_addr
        );
    }
}

#[tokio::test]
async fn an_interrupt_leaves_nothing() {
    let place = Place::new();
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let sender = std::sync::Mutex::new(Some(sender));
    let progress = Progress::new(move |event| {
        if matches!(event, Event::Started { .. })
            && let Some(sender) = sender.lock().unwrap().take()
        {
            sender.send(()).unwrap();
        }
    });
    let interrupt = Box::pin(async { receiver.await.unwrap() });
    let error = place
        .up_until(&spec(), true, &progress, interrupt)
        .await
        .unwrap_err();
    assert!(matches!(error, UpError::Interrupted { .. }), "{error}");
    place.assert_nothing_left("interrupt, even with keep");
}

#[tokio::test]
async fn a_panic_leaves_nothing() {
    let place = Place::new();
    let progress = Progress::new(|event| {
        assert!(!matches!(event, Event::Started { .. }), "planted");
    });
    let spec = spec();
    let up = place.up_with(&spec, false, &progress);
    let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(up)).await;
    assert!(outcome.is_err(), "the panic goes on");
    place.assert_nothing_left("panic");
}

#[tokio::test]
async fn what_is_left_of_another_and_stays_is_told_and_keeps_nobody() {
    let place = Place::new();
    let tags = [
        (labels::RUN, "r0"),
        (labels::CLUSTER, "old"),
        (labels::EXPIRES, "1"),
    ];
    let labels = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    place.docker.with(|state| {
        state.networks.push(NetworkFacts {
            id: "n0".to_owned(),
            name: "rehearse-old".to_owned(),
            subnets: Vec::new(),
            labels: labels.into(),
        });
        state.stuck_networks.push("n0".to_owned());
    });
    let told = Arc::new(std::sync::Mutex::new(String::new()));
    let heard = told.clone();
    let progress = Progress::new(move |event| {
        if let Event::Note(note) = event {
            heard.lock().unwrap().push_str(&note);
        }
    });
    let error = place.up_with(&spec(), false, &progress).await.unwrap_err();
    assert!(matches!(error, UpError::NotReady { .. }), "{error}");
    let told = told.lock().unwrap().clone();
    assert!(
        told.contains("run `r0` of cluster `old` is not gone after 5 tries: rehearse-old; sudo"),
        "{told}"
    );
    // Nor does it keep the rest from being swept: here what a killed `up` left, and a folder.
    let tags = tags_of_the_dead("r1", "dead");
    let volume = place.docker.create_volume("rehearse-dead-server-1", &tags);
    volume.await.unwrap();
    std::fs::create_dir_all(place.root().cluster("half").path()).unwrap();
    let swept = sweep(place.docker.as_ref(), &place.root()).await.unwrap();
    let names: Vec<&str> = swept.swept.iter().map(|s| s.cluster.as_str()).collect();
    assert_eq!(names, ["dead", "half"]);
    let [error] = &swept.stays[..] else {
        panic!("{swept:?}");
    };
    assert!(matches!(error, SweepError::Stays { .. }), "{error}");
    assert!(error.hint().unwrap().contains("systemctl restart docker"));
}

#[tokio::test]
async fn a_name_in_use_is_refused_and_nothing_of_it_touched() {
    let place = Place::kept().await;
    let before = place.docker.left();
    let error = place.up(&spec()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is a cluster `demo` already (running)"
    );
    assert_eq!(
        error.hint().unwrap(),
        "rehearse down demo    # or: rehearse up OTHER_NAME"
    );
    assert_eq!(place.docker.left(), before);
    let lock = place.root().lock("other").unwrap();
    let error = place
        .up(&ClusterSpec::new("other", Arch::Amd64))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("by another process"), "{error}");
    drop(lock);
}

#[tokio::test]
async fn what_a_killed_up_left_is_swept_and_nothing_else() {
    let place = Place::new();
    let strangers = NetworkPlan {
        name: "strangers".to_owned(),
        subnet: "10.1.2.0/24".parse().unwrap(),
        labels: Labels::new(),
    };
    place.docker.create_network(&strangers).await.unwrap();
    let tags = tags_of_the_dead("r1", "demo");
    let network = NetworkPlan {
        name: "rehearse-demo".to_owned(),
        subnet: "10.1.3.0/24".parse().unwrap(),
        labels: tags.clone(),
    };
    place.docker.create_network(&network).await.unwrap();
    place
        .docker
        .create_volume("rehearse-demo-server-1", &tags)
        .await
        .unwrap();
    let Sweep { swept, stays } = sweep(place.docker.as_ref(), &place.root()).await.unwrap();
    assert_eq!((swept.len(), stays.len()), (1, 0));
    assert_eq!(
        swept[0].to_string(),
        "removed what was left of `demo` (run r1): 1 network, 1 volume"
    );
    let networks = place.docker.networks().await.unwrap();
    assert_eq!(networks.len(), 1);
    assert_eq!(networks[0].name, "strangers");
}

#[tokio::test]
async fn settings_that_the_version_does_not_read_are_refused_before_anything_is_made() {
    let place = Place::new();
    let mut spec = spec();
    spec.set
        .insert("server.start_timeout".to_owned(), "1s".to_owned());
    spec.set
        .insert("client.colour".to_owned(), "red".to_owned());
    let error = place.up(&spec).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown agent configuration key `client.colour`\n\
         agent configuration key `server.start_timeout` is new in 1.10.1 and so unknown in \
         Nomad 1.8.3"
    );
    let made = place
        .docker
        .with(|state| state.calls.iter().any(|c| c.contains("network")));
    assert!(!made);
    place.assert_nothing_left("settings");
}

#[tokio::test]
async fn containers_are_made_as_planned() {
    let place = Place::kept().await;
    let mut shown = place.docker.with(|state| {
        let by_name = |name: &str| {
            let found = state
                .containers
                .values()
                .find(|c| c.plan.name.ends_with(name));
            found.unwrap().clone()
        };
        let (server, client) = (by_name("server-2"), by_name("client-3"));
        format!(
            "{:#?}\n{}\n\n{:#?}\n{}",
            server.plan,
            server.files.join("\n"),
            client.plan,
            client.files.join("\n")
        )
    });
    let record = place.root().cluster("demo").read().unwrap();
    for (text, word) in [
        (record.run.clone(), "RUN"),
        (Owner::this().to_string(), "OWNER"),
        (place.environment.state_root.display().to_string(), "STATE"),
    ] {
        shown = shown.replace(&text, word);
    }
    let network = record.subnet.to_string().replace(".0/24", ".");
    shown = shown.replace(&network, "NETWORK.");
    for agent in &record.agents {
        shown = shown.replace(&format!("host: {}", agent.api_port), "host: PORT");
    }
    let expires = regex_free_number(&shown, "\"rehearse.expires\": \"");
    shown = shown.replace(&expires, "EXPIRES");
    insta::assert_snapshot!(shown);
}

/// Returns the digits that follow `head`.
fn regex_free_number(text: &str, head: &str) -> String {
    let (_, rest) = text.split_once(head).unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[tokio::test]
async fn an_enterprise_build_needs_a_licence_and_it_goes_to_servers_alone() {
    let mut place = Place::new();
    place.docker.with(|state| {
        state.says = vec![(
            "rehearse-version".to_owned(),
            "Nomad v1.8.3+ent\n".to_owned(),
        )];
    });
    let refused = place.up(&spec()).await.unwrap_err();
    assert!(
        refused.to_string().contains("Enterprise build"),
        "{refused}"
    );
    assert!(refused.hint().unwrap().contains("--license FILE"));
    place.assert_nothing_left("without a licence");

    let secret = "02MV4UU43BK5HGYYTOJZWFQMTMNNEWU33JJZ5";
    let path = place
        .environment
        .state_root
        .parent()
        .unwrap()
        .join("license");
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    place.environment.license_path = Some(path);
    // No agent answers here; what was made is kept to be looked at.
    place
        .up_with(&spec(), true, &Progress::silent())
        .await
        .unwrap_err();
    let containers = place.docker.with(|state| state.containers.clone());
    let agents = containers.values().filter(|made| !made.files.is_empty());
    let mut seen = 0;
    for made in agents {
        let role = labels::get(&made.plan.labels, labels::ROLE).unwrap();
        let has = made
            .files
            .iter()
            .any(|file| file.ends_with("nomad.d/license.hclic"));
        assert_eq!(has, role == "server", "{:?}", made.files);
        assert!(!format!("{made:?}").contains(secret));
        seen += 1;
    }
    assert_eq!(seen, 6);
    let folder = place.environment.state_root.join("demo");
    let kept = folder.join("license.hclic");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), secret);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let record = std::fs::read_to_string(folder.join("cluster.json")).unwrap();
    assert!(record.contains("/etc/nomad.d/license.hclic"), "{record}");
    assert!(!record.contains(secret));
}
