//! The Docker engine, as far as the harness needs it: plain data in, plain data out.
//!
//! The trait [`DockerEngine`] is the seam: everything above it is tried without Docker on the
//! engine of `fake.rs`. Only `live.rs` and `connect.rs` name the client library.

pub mod archive;
mod connect;
#[cfg(test)]
pub(crate) mod fake;
pub mod labels;
mod live;
pub mod probe;
mod request;
mod subnets;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::spec::Subnet;

pub use connect::{ConnectError, Origin, connect};
pub use live::Docker;
pub use subnets::{SubnetTaken, Surroundings, free_subnets};

/// Labels of a Docker object.
pub type Labels = BTreeMap<String, String>;

/// What is known of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFacts {
    /// Its own ID, Podman's where its containers are: two engines are the same if and only if theirs are.
    pub id: String,
    /// Its version, as `28.5.2`.
    pub version: String,
    /// The API's version that both sides speak, as `1.41`.
    pub api_version: String,
    /// Architecture of its containers unless asked otherwise, in Docker's words.
    pub arch: String,
    /// Whether it runs in this machine's kernel, and not in a virtual machine or elsewhere.
    pub local: bool,
}

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// `sha256:...`.
    pub id: String,
    /// As the image itself says, in Docker's words.
    pub arch: String,
    /// Names that point to it.
    pub tags: Vec<String>,
    /// Environment of its processes, `KEY=VALUE`; empty in a list.
    pub env: Vec<String>,
    /// Its labels.
    pub labels: Labels,
}

/// An image to be made of another one and files on top of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPlan {
    /// Its name with its tag.
    pub name: String,
    /// The image below, by name or ID.
    pub base: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Environment of its processes besides the base's, `KEY=VALUE`.
    pub env: Vec<String>,
    /// Its labels.
    pub labels: Labels,
    /// Labels of the container that it is made in, which is never started.
    pub tool: Labels,
}

/// A network to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub subnet: Subnet,
    /// Its labels.
    pub labels: Labels,
}

/// A network that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its ID: names need not be unique.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its IPv4 addresses.
    pub subnets: Vec<Subnet>,
    /// Its labels.
    pub labels: Labels,
}

/// A volume that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// Which network a container is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// None but its own loopback.
    None,
    /// A network, at a fixed address.
    Network {
        /// The network's ID.
        id: String,
        /// The address.
        address: Ipv4Addr,
        /// A second address, of 169.254.0.0/16: who has one reaches all others in the network that do.
        link_local: Option<Ipv4Addr>,
    },
    /// The one of another container, shared: same interfaces, same routes.
    Shared {
        /// The other container's ID or name.
        container: String,
    },
}

/// A volume of a container, made along with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePlan {
    /// Its name.
    pub name: String,
    /// Where the container sees it.
    pub path: String,
    /// Its labels.
    pub labels: Labels,
    /// Its size in bytes, for one in memory that is empty again once no running container has it;
    /// `None` for one on the engine's disk, as large as that.
    pub size: Option<u64>,
}

/// A port of a container that this machine's loopback forwards to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// The port in the container (TCP).
    pub container: u16,
    /// The port on 127.0.0.1.
    pub host: u16,
}

/// A container to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPlan {
    /// Its name, unique on the engine.
    pub name: String,
    /// Its image.
    pub image: String,
    /// `linux/amd64`: always said, since an engine that is left to choose warns or errs.
    pub platform: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// `UID` or `UID:GID`.
    pub user: String,
    /// Host name; empty for a shared network.
    pub hostname: String,
    /// Its labels.
    pub labels: Labels,
    /// Its network.
    pub network: Attachment,
    /// Names that it finds at these addresses, whatever name servers say.
    pub hosts: Vec<(String, Ipv4Addr)>,
    /// Its volumes.
    pub volumes: Vec<VolumePlan>,
    /// Its published ports.
    pub ports: Vec<PublishedPort>,
    /// Whether Docker's own init is process 1 and reaps orphans.
    pub init: bool,
    /// Capabilities besides the usual ones, as `NET_ADMIN`.
    pub capabilities: Vec<String>,
    /// Kernel settings of its namespaces.
    pub sysctls: Labels,
}

impl ContainerPlan {
    /// Returns the plan of a container that lives for a moment, alone: no network, no volume, no
    /// host name, root unless another user is put in.
    #[must_use]
    pub fn alone(name: String, image: String, platform: String, command: Vec<String>) -> Self {
        Self {
            name,
            image,
            platform,
            command,
            env: Vec::new(),
            user: String::new(),
            hostname: String::new(),
            labels: Labels::new(),
            network: Attachment::None,
            hosts: Vec::new(),
            volumes: Vec::new(),
            ports: Vec::new(),
            init: false,
            capabilities: Vec::new(),
            sysctls: Labels::new(),
        }
    }
}

/// What a container does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made and never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Its process ended.
    Exited {
        /// Exit code; 128 + signal.
        code: i64,
        /// Whether the kernel killed it for want of memory.
        oom_killed: bool,
    },
}

/// A container in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerFacts {
    /// Its ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// What it does; in a list, the exit code of an ended one is not told (it is -1).
    pub state: ContainerState,
    /// Its image as it was asked for, or an ID where the name is gone.
    pub image: String,
    /// What it is granted; in a list this is not told (nothing is limited).
    pub limits: Limits,
}

/// What a container is granted of the machine; `None` is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Processors.
    pub cpus: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
}

/// A container's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The container's name.
    pub container: String,
    /// The container's labels.
    pub labels: Labels,
    /// Exit code.
    pub code: i64,
}

/// What a command in a container said, piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Out(Bytes),
    /// Standard error.
    Err(Bytes),
}

impl Output {
    /// Returns the bytes, whichever way they came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Out(bytes) | Self::Err(bytes) => bytes,
        }
    }
}

/// A command that runs in a container.
pub struct Running {
    /// What it says, until it ends.
    pub output: BoxStream<'static, Result<Output, DockerError>>,
    /// Its ID, to ask for the exit code with [`DockerEngine::exec_code`].
    pub id: String,
}

/// What kind of trouble it is, so that callers can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answers.
    Unreachable,
    /// This user may not.
    Permission,
    /// There is no such object.
    NotFound,
    /// There is such an object already, or it is in use.
    Conflict,
    /// The addresses belong to another network.
    SubnetTaken,
    /// Somebody else listens on the port.
    PortTaken,
    /// The engine's disk is full.
    DiskFull,
    /// The image is of another architecture.
    OtherPlatform,
    /// The engine is not allowed to give that capability.
    NotPermitted,
    /// Its processes could not all be frozen at that moment; they run on. On cgroup v1 the engine's
    /// runtime calls its own freezing "a game of chances" (runc, `libcontainer/cgroups/fs/freezer.go`).
    NotFrozen,
    /// Podman has no program to start containers with, which is a package of its own.
    NoInit,
    /// Anything else.
    Other,
}

/// The engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{object}`")]
pub struct DockerError {
    /// The verb, as `create container`.
    pub action: &'static str,
    /// What it was done to.
    pub object: String,
    /// What kind of trouble it is.
    pub trouble: Trouble,
    /// The engine's words.
    #[source]
    pub source: EngineSaid,
}

/// The engine's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EngineSaid(pub String);

impl DockerError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self.trouble {
            Trouble::Unreachable => "rehearse doctor",
            Trouble::Permission => "sudo usermod -aG docker $USER    # then log in anew",
            Trouble::DiskFull => "docker system df && rehearse sweep --images",
            Trouble::NotPermitted => "rehearse doctor    # shows what containers may do here",
            Trouble::NoInit => {
                "sudo apt-get install catatonit    # what Podman starts containers with"
            }
            Trouble::NotFrozen => {
                "rehearse doctor    # its cgroup version: with 1, what waits for the disk cannot be frozen"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Only objects that carry all of these labels; a value of `None` asks for the key only.
pub type LabelFilter<'a> = &'a [(&'a str, Option<&'a str>)];

/// What the harness asks of an engine. Objects are named by ID or by name.
#[async_trait]
pub trait DockerEngine: Send + Sync {
    /// Returns what is known of the engine.
    async fn facts(&self) -> Result<EngineFacts, DockerError>;

    /// Returns the image, `None` where the engine has no such one.
    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, DockerError>;
    /// Returns the images that carry the labels.
    async fn images(&self, filter: LabelFilter<'_>) -> Result<Vec<ImageFacts>, DockerError>;
    /// Takes in a docker-archive.
    async fn load_image(
        &self,
        name: &str,
        archive: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), DockerError>;
    /// Makes an image of another one and a tar of files on top of it.
    async fn layer_image(
        &self,
        plan: &LayerPlan,
        layer: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), DockerError>;
    /// Gets an image from its registry.
    async fn pull_image(&self, reference: &str, platform: &str) -> Result<(), DockerError>;
    /// Removes a name, and the image with the last one. Refused while a container uses it.
    async fn remove_image(&self, reference: &str) -> Result<(), DockerError>;

    /// Returns all networks.
    async fn networks(&self) -> Result<Vec<NetworkFacts>, DockerError>;
    /// Makes a bridge network, and returns its ID.
    async fn create_network(&self, plan: &NetworkPlan) -> Result<String, DockerError>;
    /// Removes a network; one that is gone is no error.
    async fn remove_network(&self, id: &str) -> Result<(), DockerError>;

    /// Returns the volumes that carry the labels.
    async fn volumes(&self, filter: LabelFilter<'_>) -> Result<Vec<VolumeFacts>, DockerError>;
    /// Makes an empty volume.
    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), DockerError>;
    /// Removes a volume; one that is gone is no error.
    async fn remove_volume(&self, name: &str) -> Result<(), DockerError>;

    /// Returns the containers that carry the labels, ended ones too.
    async fn containers(&self, filter: LabelFilter<'_>)
    -> Result<Vec<ContainerFacts>, DockerError>;
    /// Returns one container.
    async fn container(&self, id: &str) -> Result<ContainerFacts, DockerError>;
    /// Makes a container and its volume, and returns its ID.
    async fn create_container(&self, plan: &ContainerPlan) -> Result<String, DockerError>;
    /// Unpacks a tar at the container's root.
    async fn upload(&self, id: &str, tar: Bytes) -> Result<(), DockerError>;
    /// Returns the paths that were added or changed since the image.
    async fn changes(&self, id: &str) -> Result<Vec<String>, DockerError>;
    /// Returns a tar of a file or folder; its names begin with the last part of the path.
    async fn download(&self, id: &str, path: &str) -> Result<Bytes, DockerError>;
    /// Starts a container.
    async fn start_container(&self, id: &str) -> Result<(), DockerError>;
    /// Ends a container's process with SIGTERM, and with SIGKILL after `grace_secs`.
    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), DockerError>;
    /// Ends a container's process with SIGKILL.
    async fn kill_container(&self, id: &str) -> Result<(), DockerError>;
    /// Sends a signal to a container's process, as `HUP`.
    async fn signal_container(&self, id: &str, signal: &str) -> Result<(), DockerError>;
    /// Grants a container only so many processors; `None` grants all again.
    async fn limit_cpus(&self, id: &str, cpus: Option<f64>) -> Result<(), DockerError>;
    /// Returns how many bytes of memory a running container holds, files that are cached not
    /// counted.
    async fn memory_held(&self, id: &str) -> Result<u64, DockerError>;
    /// Grants a container only so many bytes of memory and no swap; `None` grants all again.
    async fn limit_memory(&self, id: &str, bytes: Option<u64>) -> Result<(), DockerError>;
    /// Freezes a container.
    async fn pause_container(&self, id: &str) -> Result<(), DockerError>;
    /// Thaws a container.
    async fn unpause_container(&self, id: &str) -> Result<(), DockerError>;
    /// Removes a container, whatever it does; one that is gone is no error.
    async fn remove_container(&self, id: &str) -> Result<(), DockerError>;
    /// Waits until the container's process ended, and returns its exit code.
    async fn wait_container(&self, id: &str) -> Result<i64, DockerError>;
    /// Returns what a container said: the last `tail` lines, and with `follow` what comes.
    fn logs(
        &self,
        id: &str,
        tail: Option<usize>,
        follow: bool,
    ) -> BoxStream<'static, Result<Output, DockerError>>;
    /// Starts a command in a container.
    async fn exec(&self, id: &str, command: &[String]) -> Result<Running, DockerError>;
    /// Returns the exit code of a command that ended.
    async fn exec_code(&self, exec: &str) -> Result<i64, DockerError>;
    /// Tells of every container with the labels whose process ends from now on.
    fn deaths(&self, filter: LabelFilter<'_>) -> BoxStream<'static, Death>;
}

/// Removes the containers that a label has with a value.
///
/// # Errors
///
/// When the engine does not let them go.
pub async fn remove_labelled(
    docker: &dyn DockerEngine,
    label: &str,
    value: &str,
) -> Result<(), DockerError> {
    for container in docker.containers(&[(label, Some(value))]).await? {
        docker.remove_container(&container.id).await?;
    }
    Ok(())
}
