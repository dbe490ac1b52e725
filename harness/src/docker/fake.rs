//! An engine in memory, for tests: keeps what it is asked to make, and fails when told to. Its
//! containers run nothing; what they would say is set beforehand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::broadcast;

use super::{
    Attachment, ContainerFacts, ContainerPlan, ContainerState, Death, DockerEngine, DockerError,
    EngineFacts, EngineSaid, ImageFacts, LabelFilter, Labels, LayerPlan, Limits, NetworkFacts,
    NetworkPlan, Output, Running, Trouble, VolumeFacts, labels,
};
use crate::spec::Subnet;

/// A container that was made.
#[derive(Clone, Debug)]
pub(crate) struct FakeContainer {
    pub(crate) plan: ContainerPlan,
    pub(crate) state: ContainerState,
    pub(crate) files: Vec<String>,
    pub(crate) limits: Limits,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) images: Vec<ImageFacts>,
    pub(crate) networks: Vec<NetworkFacts>,
    /// Networks whose endpoints are miscounted: they cannot be removed.
    pub(crate) stuck_networks: Vec<String>,
    pub(crate) volumes: Vec<VolumeFacts>,
    pub(crate) containers: BTreeMap<String, FakeContainer>,
    /// What was asked, as `create container rehearse-demo-server-1`.
    pub(crate) calls: Vec<String>,
    /// The call, by its number from 0, that fails, and how.
    pub(crate) fails: Option<(usize, Trouble)>,
    /// Calls that change something and were answered; removals are not counted.
    pub(crate) counted: usize,
    /// Subnets of which the engine finds out only when a network is to be made there.
    pub(crate) hidden_subnets: Vec<Subnet>,
    /// Ports that somebody else listens on.
    pub(crate) taken_ports: BTreeSet<u16>,
    /// Every first port that is asked for counts as taken, this many times.
    pub(crate) ports_refused: usize,
    /// The engine does not tell of itself, this many times.
    pub(crate) facts_refused: usize,
    /// Nothing can be frozen, this many times.
    pub(crate) freezes_refused: usize,
    /// What a container says, by a part of its name.
    pub(crate) says: Vec<(String, String)>,
    /// A container that ends as soon as it starts, by a part of its name.
    pub(crate) dies: Option<(String, i64)>,
    next_id: usize,
}

/// An engine in memory.
pub(crate) struct FakeDocker {
    pub(crate) state: Mutex<State>,
    deaths: Mutex<broadcast::Sender<Death>>,
}

/// The reference of an image that says it is Nomad 1.8.3.
pub(crate) const NOMAD_IMAGE: &str = "nomad:test";

impl FakeDocker {
    pub(crate) fn new() -> Self {
        let image = ImageFacts {
            id: "sha256:nomad".to_owned(),
            arch: "amd64".to_owned(),
            tags: vec![NOMAD_IMAGE.to_owned()],
            env: Vec::new(),
            labels: Labels::new(),
        };
        let state = State {
            images: vec![image],
            says: vec![("rehearse-version".to_owned(), "Nomad v1.8.3\n".to_owned())],
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            deaths: Mutex::new(broadcast::Sender::new(16)),
        }
    }

    /// How many listen for deaths.
    pub(crate) fn listeners(&self) -> usize {
        self.deaths.lock().expect("nobody panics").receiver_count()
    }

    /// Ends all containers and every stream, and does not answer `refusals` times.
    pub(crate) fn restart(&self, refusals: usize) {
        self.with(|state| {
            for container in state.containers.values_mut() {
                container.state = ContainerState::Exited {
                    code: 137,
                    oom_killed: false,
                };
            }
            state.facts_refused = refusals;
        });
        *self.deaths.lock().expect("nobody panics") = broadcast::Sender::new(16);
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(
            &mut self
                .state
                .lock()
                .expect("tests do not panic while holding it"),
        )
    }

    /// Returns the names of all objects that carry a label of ours.
    pub(crate) fn left(&self) -> Vec<String> {
        let ours = |tags: &Labels| labels::get(tags, labels::RUN).is_some();
        self.with(|state| {
            let containers = state.containers.values().map(|c| c.plan.name.clone());
            let networks = state.networks.iter().filter(|n| ours(&n.labels));
            let volumes = state.volumes.iter().filter(|v| ours(&v.labels));
            containers
                .chain(networks.map(|n| format!("network {}", n.name)))
                .chain(volumes.map(|v| format!("volume {}", v.name)))
                .collect()
        })
    }

    /// Notes a call, and fails it if its turn has come.
    fn call(&self, action: &'static str, object: &str) -> Result<(), DockerError> {
        let due = self.with(|state| {
            state.calls.push(format!("{action} {object}"));
            let number = state.counted;
            state.counted += 1;
            state.fails.filter(|(turn, _)| *turn == number)
        });
        match due {
            None => Ok(()),
            Some((_, trouble)) => Err(refused(action, object, trouble, "told to fail")),
        }
    }

    /// Ends a container's process.
    pub(crate) fn die(&self, name_or_id: &str, code: i64) {
        let death = self.with(|state| {
            let id = Self::id_of(state, name_or_id).expect("it was made");
            let container = state.containers.get_mut(&id).expect("it was found");
            container.state = ContainerState::Exited {
                code,
                oom_killed: false,
            };
            Death {
                container: container.plan.name.clone(),
                labels: container.plan.labels.clone(),
                code,
            }
        });
        // Nobody may be listening.
        drop(self.deaths.lock().expect("nobody panics").send(death));
    }

    fn id_of(state: &State, name_or_id: &str) -> Option<String> {
        let named =
            |(id, c): &(&String, &FakeContainer)| *id == name_or_id || c.plan.name == name_or_id;
        state
            .containers
            .iter()
            .find(named)
            .map(|(id, _)| id.clone())
    }

    /// Changes a container.
    fn change<T>(
        &self,
        action: &'static str,
        id: &str,
        change: impl FnOnce(&mut FakeContainer) -> T,
    ) -> Result<T, DockerError> {
        self.with(|state| {
            let found = Self::id_of(state, id).and_then(|id| state.containers.get_mut(&id));
            found
                .map(change)
                .ok_or_else(|| refused(action, id, Trouble::NotFound, "No such container"))
        })
    }
}

fn refused(action: &'static str, object: &str, trouble: Trouble, said: &str) -> DockerError {
    DockerError {
        action,
        object: object.to_owned(),
        trouble,
        source: EngineSaid(said.to_owned()),
    }
}

fn matches(tags: &Labels, filter: &[(String, Option<String>)]) -> bool {
    filter.iter().all(|(key, value)| {
        let found = labels::get(tags, key);
        found.is_some_and(|found| value.as_deref().is_none_or(|value| value == found))
    })
}

fn owned(filter: LabelFilter<'_>) -> Vec<(String, Option<String>)> {
    let own = |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(str::to_owned));
    filter.iter().map(own).collect()
}

fn facts(id: &str, container: &FakeContainer) -> ContainerFacts {
    ContainerFacts {
        id: id.to_owned(),
        name: container.plan.name.clone(),
        labels: container.plan.labels.clone(),
        state: container.state.clone(),
        image: container.plan.image.clone(),
        limits: container.limits,
    }
}

#[async_trait]
impl DockerEngine for FakeDocker {
    async fn facts(&self) -> Result<EngineFacts, DockerError> {
        let refuses = self.with(|state| {
            let left = state.facts_refused;
            state.facts_refused = left.saturating_sub(1);
            left > 0
        });
        if refuses {
            let said = "connection refused";
            return Err(refused("ask", "engine", Trouble::Unreachable, said));
        }
        Ok(EngineFacts {
            id: "fake".to_owned(),
            version: "0".to_owned(),
            api_version: "1.41".to_owned(),
            arch: "x86_64".to_owned(),
            local: false,
        })
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, DockerError> {
        Ok(self.with(|state| {
            let named = |image: &&ImageFacts| image.tags.iter().any(|tag| tag == reference);
            state.images.iter().find(named).cloned()
        }))
    }

    async fn images(&self, filter: LabelFilter<'_>) -> Result<Vec<ImageFacts>, DockerError> {
        let filter = owned(filter);
        Ok(self.with(|state| {
            let fits = |image: &&ImageFacts| matches(&image.labels, &filter);
            state.images.iter().filter(fits).cloned().collect()
        }))
    }

    async fn load_image(
        &self,
        name: &str,
        archive: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), DockerError> {
        self.call("load image", name)?;
        archive.for_each(|_| std::future::ready(())).await;
        self.with(|state| {
            state.images.push(ImageFacts {
                id: format!("sha256:{name}"),
                arch: "amd64".to_owned(),
                tags: vec![name.to_owned()],
                env: Vec::new(),
                labels: Labels::new(),
            });
        });
        Ok(())
    }

    async fn layer_image(
        &self,
        plan: &LayerPlan,
        layer: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), DockerError> {
        self.call("layer image", &format!("{} on {}", plan.name, plan.base))?;
        layer.for_each(|_| std::future::ready(())).await;
        self.with(|state| {
            state.images.push(ImageFacts {
                id: format!("sha256:{}", plan.name),
                arch: "amd64".to_owned(),
                tags: vec![plan.name.clone()],
                env: Vec::new(),
                labels: plan.labels.clone(),
            });
        });
        Ok(())
    }

    async fn pull_image(&self, reference: &str, _: &str) -> Result<(), DockerError> {
        Err(refused(
            "pull image",
            reference,
            Trouble::NotFound,
            "no such image",
        ))
    }

    async fn remove_image(&self, reference: &str) -> Result<(), DockerError> {
        self.with(|state| {
            state
                .images
                .retain(|image| !image.tags.iter().any(|tag| tag == reference));
        });
        Ok(())
    }

    async fn networks(&self) -> Result<Vec<NetworkFacts>, DockerError> {
        Ok(self.with(|state| state.networks.clone()))
    }

    async fn create_network(&self, plan: &NetworkPlan) -> Result<String, DockerError> {
        self.call("create network", &plan.name)?;
        self.with(|state| {
            let known = state.networks.iter().flat_map(|n| &n.subnets);
            let mut taken = known.chain(&state.hidden_subnets);
            if taken.any(|subnet| subnet.overlaps(plan.subnet)) {
                let said = "Pool overlaps with other one on this address space";
                return Err(refused(
                    "create network",
                    &plan.name,
                    Trouble::SubnetTaken,
                    said,
                ));
            }
            state.networks.push(NetworkFacts {
                id: format!("id-{}", plan.name),
                name: plan.name.clone(),
                subnets: vec![plan.subnet],
                labels: plan.labels.clone(),
            });
            Ok(format!("id-{}", plan.name))
        })
    }

    async fn remove_network(&self, id: &str) -> Result<(), DockerError> {
        self.with(|state| {
            let used = state.containers.values().any(|container| {
                matches!(&container.plan.network, Attachment::Network { id: of, .. } if of == id)
            });
            if used || state.stuck_networks.iter().any(|stuck| stuck == id) {
                let said = "network has active endpoints";
                return Err(refused("remove network", id, Trouble::Conflict, said));
            }
            state.networks.retain(|network| network.id != id);
            Ok(())
        })
    }

    async fn volumes(&self, filter: LabelFilter<'_>) -> Result<Vec<VolumeFacts>, DockerError> {
        let filter = owned(filter);
        Ok(self.with(|state| {
            let fits = |volume: &&VolumeFacts| matches(&volume.labels, &filter);
            state.volumes.iter().filter(fits).cloned().collect()
        }))
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), DockerError> {
        self.call("create volume", name)?;
        self.with(|state| {
            state.volumes.push(VolumeFacts {
                name: name.to_owned(),
                labels: labels.clone(),
            });
        });
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        self.with(|state| {
            let mounts =
                |container: &FakeContainer| container.plan.volumes.iter().any(|v| v.name == name);
            if state.containers.values().any(mounts) {
                return Err(refused("remove volume", name, Trouble::Conflict, "in use"));
            }
            state.volumes.retain(|volume| volume.name != name);
            Ok(())
        })
    }

    async fn containers(
        &self,
        filter: LabelFilter<'_>,
    ) -> Result<Vec<ContainerFacts>, DockerError> {
        let filter = owned(filter);
        Ok(self.with(|state| {
            let fits = |(_, c): &(&String, &FakeContainer)| matches(&c.plan.labels, &filter);
            let found = state.containers.iter().filter(fits);
            found.map(|(id, container)| facts(id, container)).collect()
        }))
    }

    async fn container(&self, id: &str) -> Result<ContainerFacts, DockerError> {
        self.change("inspect container", id, |c| facts(id, c))
    }

    async fn create_container(&self, plan: &ContainerPlan) -> Result<String, DockerError> {
        self.call("create container", &plan.name)?;
        self.with(|state| {
            if Self::id_of(state, &plan.name).is_some() {
                let said = "The container name is already in use";
                return Err(refused(
                    "create container",
                    &plan.name,
                    Trouble::Conflict,
                    said,
                ));
            }
            for volume in &plan.volumes {
                if !state.volumes.iter().any(|known| known.name == volume.name) {
                    state.volumes.push(VolumeFacts {
                        name: volume.name.clone(),
                        labels: volume.labels.clone(),
                    });
                }
            }
            state.next_id += 1;
            let id = format!("id-{}", state.next_id);
            let container = FakeContainer {
                plan: plan.clone(),
                state: ContainerState::Created,
                files: Vec::new(),
                limits: Limits::default(),
            };
            state.containers.insert(id.clone(), container);
            Ok(id)
        })
    }

    async fn upload(&self, id: &str, tar: Bytes) -> Result<(), DockerError> {
        self.call("copy files into container", id)?;
        let mut archive = tar::Archive::new(tar.as_ref());
        let entries = archive.entries().expect("it is a tar");
        let describe = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let entry = entry.expect("it is whole");
            let path = entry.path().expect("it has a path").display().to_string();
            let header = entry.header();
            let (mode, owner) = (header.mode().unwrap_or(0), header.uid().unwrap_or(0));
            format!("{mode:o} {owner} /{path}")
        };
        let files: Vec<String> = entries.map(describe).collect();
        self.change("copy files into container", id, |c| c.files = files)
    }

    async fn changes(&self, id: &str) -> Result<Vec<String>, DockerError> {
        self.change("list changes of container", id, |_| Vec::new())
    }

    async fn download(&self, id: &str, _: &str) -> Result<Bytes, DockerError> {
        self.change("copy files out of container", id, |_| Bytes::new())
    }

    async fn start_container(&self, id: &str) -> Result<(), DockerError> {
        self.call("start container", id)?;
        let ports = self.change("start container", id, |c| c.plan.ports.clone())?;
        let taken = self.with(|state| {
            if !ports.is_empty() && state.ports_refused > 0 {
                state.ports_refused -= 1;
                state.taken_ports.extend(ports.iter().map(|port| port.host));
            }
            ports
                .iter()
                .any(|port| state.taken_ports.contains(&port.host))
        });
        if taken {
            let said = "port is already allocated";
            return Err(refused("start container", id, Trouble::PortTaken, said));
        }
        let name = self.change("start container", id, |c| {
            c.state = ContainerState::Running;
            c.plan.name.clone()
        })?;
        let dies = self.with(|state| state.dies.clone());
        if let Some((part, code)) = dies
            && name.contains(&part)
        {
            self.die(id, code);
        }
        Ok(())
    }

    async fn stop_container(&self, id: &str, _: u32) -> Result<(), DockerError> {
        self.kill_container(id).await
    }

    async fn kill_container(&self, id: &str) -> Result<(), DockerError> {
        let ended = ContainerState::Exited {
            code: 137,
            oom_killed: false,
        };
        self.change("kill container", id, |c| c.state = ended)
    }

    async fn signal_container(&self, id: &str, _: &str) -> Result<(), DockerError> {
        self.call("signal container", id)
    }

    async fn limit_cpus(&self, id: &str, cpus: Option<f64>) -> Result<(), DockerError> {
        self.call("limit the processors of container", id)?;
        self.change("limit the processors of container", id, |c| {
            c.limits.cpus = cpus
        })
    }

    async fn memory_held(&self, id: &str) -> Result<u64, DockerError> {
        self.change("read the memory of container", id, |_| 20 << 20)
    }

    async fn limit_memory(&self, id: &str, bytes: Option<u64>) -> Result<(), DockerError> {
        self.call("limit the memory of container", id)?;
        self.change("limit the memory of container", id, |c| {
            c.limits.memory = bytes
        })
    }

    async fn pause_container(&self, id: &str) -> Result<(), DockerError> {
        let refuses = self.with(|state| {
            let left = state.freezes_refused;
            state.freezes_refused = left.saturating_sub(1);
            left > 0
        });
        if refuses {
            let said = "unable to freeze";
            return Err(refused("pause container", id, Trouble::NotFrozen, said));
        }
        self.change("pause container", id, |c| c.state = ContainerState::Paused)
    }

    async fn unpause_container(&self, id: &str) -> Result<(), DockerError> {
        self.change("unpause container", id, |c| {
            c.state = ContainerState::Running
        })
    }

    async fn remove_container(&self, id: &str) -> Result<(), DockerError> {
        self.with(|state| {
            if let Some(id) = Self::id_of(state, id) {
                state.containers.remove(&id);
            }
        });
        Ok(())
    }

    async fn wait_container(&self, id: &str) -> Result<i64, DockerError> {
        self.change("wait for container", id, |_| 0)
    }

    fn logs(
        &self,
        id: &str,
        _: Option<usize>,
        _: bool,
    ) -> BoxStream<'static, Result<Output, DockerError>> {
        let text = self.with(|state| {
            let id = Self::id_of(state, id)?;
            let name = &state.containers.get(&id)?.plan.name;
            let said = state.says.iter().find(|(part, _)| name.contains(part));
            said.map(|(_, text)| text.clone())
        });
        let output = Output::Out(text.unwrap_or_default().into());
        futures::stream::iter([Ok(output)]).boxed()
    }

    async fn exec(&self, id: &str, _: &[String]) -> Result<Running, DockerError> {
        self.change("run a command in container", id, |_| Running {
            output: futures::stream::empty().boxed(),
            id: "exec".to_owned(),
        })
    }

    async fn exec_code(&self, _: &str) -> Result<i64, DockerError> {
        Ok(0)
    }

    fn deaths(&self, filter: LabelFilter<'_>) -> BoxStream<'static, Death> {
        let filter = owned(filter);
        let receiver = self.deaths.lock().expect("nobody panics").subscribe();
        let next = |mut receiver: broadcast::Receiver<Death>| async move {
            receiver.recv().await.ok().map(|death| (death, receiver))
        };
        futures::stream::unfold(receiver, next)
            .filter(move |death| std::future::ready(matches(&death.labels, &filter)))
            .boxed()
    }
}
