//! The engine that there really is, by its HTTP API. Every error says what was done to what; the
//! client library's own texts leave that out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models;
use bollard::query_parameters as query;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::{
    Attachment, ContainerFacts, ContainerPlan, ContainerState, Death, DockerEngine, DockerError,
    EngineFacts, EngineSaid, ImageFacts, LabelFilter, Labels, LayerPlan, Limits, NetworkFacts,
    NetworkPlan, Output, Running, Trouble, VolumeFacts,
};
use crate::poll;
use crate::spec::Subnet;

/// How long pulling, loading and making an image may take, and the wait for a container's end.
const LONG_ANSWER_MAX: Duration = Duration::from_secs(600);
/// How long an engine may be silent in the midst of a log that it is to read to its present end.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A connection to a Docker engine. Clones share it.
#[derive(Clone, Debug)]
pub struct Docker {
    pub(super) client: bollard::Docker,
    /// The same, for what may take long: images, and containers that are waited for.
    patient: bollard::Docker,
    /// Whether it was reached by a socket of this machine.
    by_socket: bool,
    /// Whether it is Podman that speaks Docker's API.
    podman: bool,
}

impl Docker {
    pub(super) fn new(client: bollard::Docker, by_socket: bool, podman: bool) -> Self {
        Self {
            patient: client.clone().with_timeout(LONG_ANSWER_MAX),
            client,
            by_socket,
            podman,
        }
    }

    /// Changes what a container is granted.
    async fn update(
        &self,
        action: &'static str,
        id: &str,
        body: models::ContainerUpdateBody,
    ) -> Result<(), DockerError> {
        let outcome = self.client.update_container(id, body).await;
        outcome.map(drop).map_err(|error| wrap(action, id, error))
    }
}

/// Says of a failed call what was done to what, and which kind of trouble it is.
pub(super) fn wrap(action: &'static str, object: &str, error: Error) -> DockerError {
    let said = match &error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        Error::RequestTimeoutError => "no answer in time".to_owned(),
        other => innermost(other),
    };
    DockerError {
        action,
        object: object.to_owned(),
        trouble: classify(&error, &said),
        source: EngineSaid(said),
    }
}

/// Returns the last cause's text: `No such file or directory` and not `client error (Connect)`.
fn innermost(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn classify(error: &Error, said: &str) -> Trouble {
    let said = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // Words first: engines answer all of these with 500, some versions with 400 or 409.
    if has(&["no space left on device"]) {
        return Trouble::DiskFull;
    }
    if has(&["pool overlaps", "address space", "conflicts with network"]) {
        return Trouble::SubnetTaken;
    }
    if has(&[
        "port is already allocated",
        "address already in use",
        "ports are not available",
    ]) {
        return Trouble::PortTaken;
    }
    if has(&[
        "found but",
        "does not match the specified platform",
        "no matching manifest",
    ]) {
        return Trouble::OtherPlatform;
    }
    // Answered with 403, and no matter of rights.
    if has(&["has active endpoints"]) {
        return Trouble::Conflict;
    }
    if has(&["unable to apply caps", "operation not permitted"]) {
        return Trouble::NotPermitted;
    }
    if has(&["container-init binary not found"]) {
        return Trouble::NoInit;
    }
    if has(&["unable to freeze"]) {
        return Trouble::NotFrozen;
    }
    match error {
        Error::DockerResponseServerError { status_code, .. } => match status_code {
            404 => Trouble::NotFound,
            409 => Trouble::Conflict,
            403 => Trouble::Permission,
            _ => Trouble::Other,
        },
        Error::SocketNotFoundError(_) => Trouble::Unreachable,
        other => of_system(other),
    }
}

/// Looks for an error of the operating system among the causes.
fn of_system(error: &Error) -> Trouble {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(current) = cause {
        if let Some(system) = current.downcast_ref::<std::io::Error>() {
            return match system.kind() {
                std::io::ErrorKind::PermissionDenied => Trouble::Permission,
                std::io::ErrorKind::StorageFull => Trouble::DiskFull,
                _ => Trouble::Unreachable,
            };
        }
        cause = current.source();
    }
    match error {
        Error::HyperResponseError { .. }
        | Error::HyperLegacyError { .. }
        | Error::RequestTimeoutError => Trouble::Unreachable,
        _ => Trouble::Other,
    }
}

/// Makes "it is gone already" a success.
fn gone_is_fine(outcome: Result<(), DockerError>) -> Result<(), DockerError> {
    match outcome {
        Err(error) if error.trouble == Trouble::NotFound => Ok(()),
        other => other,
    }
}

fn filters(filter: LabelFilter<'_>) -> HashMap<String, Vec<String>> {
    let labels = filter
        .iter()
        .map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => (*key).to_owned(),
        })
        .collect();
    HashMap::from([("label".to_owned(), labels)])
}

fn labels(map: Option<HashMap<String, String>>) -> Labels {
    map.unwrap_or_default().into_iter().collect()
}

fn output(log: bollard::container::LogOutput) -> Output {
    match log {
        bollard::container::LogOutput::StdErr { message } => Output::Err(message),
        other => Output::Out(other.into_bytes()),
    }
}

impl Docker {
    /// Makes a volume, with what its driver is told.
    async fn make_volume(
        &self,
        name: &str,
        labels: &Labels,
        options: Option<HashMap<String, String>>,
    ) -> Result<(), DockerError> {
        let request = models::VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            driver_opts: options,
            ..models::VolumeCreateRequest::default()
        };
        let made = self.client.create_volume(request).await;
        made.map(drop)
            .map_err(|error| wrap("create volume", name, error))
    }

    /// Puts files into a container that never ran, and makes an image of it.
    async fn fill_and_commit(
        &self,
        plan: &LayerPlan,
        id: &str,
        layer: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), DockerError> {
        let failed = |error| wrap("make image", &plan.name, error);
        let options = query::UploadToContainerOptionsBuilder::new()
            .path("/")
            .build();
        self.patient
            .upload_to_container(id, Some(options), bollard::body_try_stream(layer))
            .await
            .map_err(failed)?;
        let (repo, tag) = plan.name.rsplit_once(':').unwrap_or((&plan.name, "latest"));
        let options = query::CommitContainerOptionsBuilder::new()
            .container(id)
            .repo(repo)
            .tag(tag)
            .build();
        // The engine adds the container's own labels; emptied they say nothing of the image.
        let emptied = plan.tool.keys().map(|key| (key.clone(), String::new()));
        let labels = emptied.chain(plan.labels.clone()).collect();
        let config = models::ContainerConfig {
            env: Some(plan.env.clone()),
            labels: Some(labels),
            ..models::ContainerConfig::default()
        };
        let committed = self.patient.commit_container(options, config).await;
        committed.map(drop).map_err(failed)
    }
}

/// How long Podman may take to clean up after a container that has ended.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
const SETTLED_INTERVAL: Duration = Duration::from_millis(50);

/// Asks until the answer is one of Docker's: of a container that has ended and is not cleaned up yet Podman says
/// `stopped`, which Docker's API does not know.
async fn settled<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let begin = Instant::now();
    loop {
        match ask().await {
            Err(Error::JsonDataError { .. }) if begin.elapsed() < SETTLED_WITHIN => {
                poll::rest(SETTLED_INTERVAL).await;
            }
            told => return told,
        }
    }
}

/// Ends a log with an error once nothing comes for [`SILENCE_MAX`].
fn never_silent(
    log: BoxStream<'static, Result<Output, DockerError>>,
    id: String,
) -> BoxStream<'static, Result<Output, DockerError>> {
    let silent = move |_| DockerError {
        action: "read the log of container",
        object: id.clone(),
        trouble: Trouble::Unreachable,
        source: EngineSaid(format!("nothing more within {SILENCE_MAX:?}, and no end")),
    };
    let pieces = stream::unfold(Some((log, silent)), |open| async {
        let (mut log, silent) = open?;
        match tokio::time::timeout(SILENCE_MAX, log.next()).await {
            Ok(piece) => Some((piece?, Some((log, silent)))),
            Err(elapsed) => Some((Err(silent(elapsed)), None)),
        }
    });
    pieces.boxed()
}

#[async_trait]
impl DockerEngine for Docker {
    async fn facts(&self) -> Result<EngineFacts, DockerError> {
        let failed = |error| wrap("ask", "engine", error);
        let info = self.client.info().await.map_err(failed)?;
        let agreed = self.client.client_version();
        let system = info.operating_system.unwrap_or_default();
        let version = info.server_version.unwrap_or_default();
        let (id, version) = if self.podman {
            // Podman makes up another ID for each answer: it is where it keeps its containers.
            let place = [info.name, info.docker_root_dir].map(Option::unwrap_or_default);
            (
                format!("podman {}", place.join(" ")),
                format!("{version} (Podman)"),
            )
        } else {
            (info.id.unwrap_or_default(), version)
        };
        Ok(EngineFacts {
            id,
            version,
            api_version: format!("{}.{}", agreed.major_version, agreed.minor_version),
            arch: info.architecture.unwrap_or_default(),
            local: self.by_socket && cfg!(target_os = "linux") && system != "Docker Desktop",
        })
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, DockerError> {
        match self.client.inspect_image(reference).await {
            Ok(image) => {
                let config = image.config.unwrap_or_default();
                Ok(Some(ImageFacts {
                    id: image.id.unwrap_or_default(),
                    arch: image.architecture.unwrap_or_default(),
                    tags: image.repo_tags.unwrap_or_default(),
                    env: config.env.unwrap_or_default(),
                    labels: labels(config.labels),
                }))
            }
            Err(error) => match wrap("inspect image", reference, error) {
                error if error.trouble == Trouble::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn images(&self, filter: LabelFilter<'_>) -> Result<Vec<ImageFacts>, DockerError> {
        let options = query::ListImagesOptionsBuilder::new()
            .filters(&filters(filter))
            .build();
        let images = self
            .client
            .list_images(Some(options))
            .await
            .map_err(|error| wrap("list", "images", error))?;
        let facts = |image: models::ImageSummary| ImageFacts {
            id: image.id,
            arch: String::new(),
            tags: image.repo_tags,
            env: Vec::new(),
            labels: image.labels.into_iter().collect(),
        };
        Ok(images.into_iter().map(facts).collect())
    }

    async fn load_image(
        &self,
        name: &str,
        archive: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), DockerError> {
        let options = query::ImportImageOptionsBuilder::new().quiet(true).build();
        self.patient
            .import_image_stream(options, archive, None)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(|error| wrap("load image", name, error))
    }

    async fn layer_image(
        &self,
        plan: &LayerPlan,
        layer: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), DockerError> {
        let (_, tag) = plan.name.rsplit_once(':').unwrap_or(("", &plan.name));
        let id = self
            .create_container(&ContainerPlan {
                labels: plan.tool.clone(),
                ..ContainerPlan::alone(
                    format!("rehearse-layer-{tag}"),
                    plan.base.clone(),
                    plan.platform.clone(),
                    vec!["never-started".to_owned()],
                )
            })
            .await?;
        let made = self.fill_and_commit(plan, &id, layer).await;
        self.remove_container(&id).await?;
        made
    }

    async fn pull_image(&self, reference: &str, platform: &str) -> Result<(), DockerError> {
        let options = query::CreateImageOptionsBuilder::new()
            .from_image(reference)
            .platform(platform)
            .build();
        self.patient
            .create_image(Some(options), None, None)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(|error| wrap("pull image", reference, error))
    }

    async fn remove_image(&self, reference: &str) -> Result<(), DockerError> {
        let outcome = self
            .client
            .remove_image(reference, None::<query::RemoveImageOptions>, None)
            .await
            .map(drop)
            .map_err(|error| wrap("remove image", reference, error));
        gone_is_fine(outcome)
    }

    async fn networks(&self) -> Result<Vec<NetworkFacts>, DockerError> {
        let networks = self
            .client
            .list_networks(None::<query::ListNetworksOptions>)
            .await
            .map_err(|error| wrap("list", "networks", error))?;
        let facts = |network: models::Network| NetworkFacts {
            id: network.id.unwrap_or_default(),
            name: network.name.unwrap_or_default(),
            subnets: network
                .ipam
                .and_then(|ipam| ipam.config)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|config| config.subnet?.parse::<Subnet>().ok())
                .collect(),
            labels: labels(network.labels),
        };
        Ok(networks.into_iter().map(facts).collect())
    }

    async fn create_network(&self, plan: &NetworkPlan) -> Result<String, DockerError> {
        let config = models::IpamConfig {
            subnet: Some(plan.subnet.to_string()),
            gateway: Some(plan.subnet.gateway().to_string()),
            ..models::IpamConfig::default()
        };
        let request = models::NetworkCreateRequest {
            name: plan.name.clone(),
            driver: Some("bridge".to_owned()),
            ipam: Some(models::Ipam {
                config: Some(vec![config]),
                ..models::Ipam::default()
            }),
            labels: Some(plan.labels.clone().into_iter().collect()),
            ..models::NetworkCreateRequest::default()
        };
        let made = self
            .client
            .create_network(request)
            .await
            .map_err(|error| wrap("create network", &plan.name, error))?;
        Ok(made.id)
    }

    async fn remove_network(&self, id: &str) -> Result<(), DockerError> {
        let outcome = self.client.remove_network(id).await;
        gone_is_fine(outcome.map_err(|error| wrap("remove network", id, error)))
    }

    async fn volumes(&self, filter: LabelFilter<'_>) -> Result<Vec<VolumeFacts>, DockerError> {
        let options = query::ListVolumesOptionsBuilder::new()
            .filters(&filters(filter))
            .build();
        let volumes = self
            .client
            .list_volumes(Some(options))
            .await
            .map_err(|error| wrap("list", "volumes", error))?;
        let facts = |volume: models::Volume| VolumeFacts {
            name: volume.name,
            labels: volume.labels.into_iter().collect(),
        };
        let volumes = volumes.volumes.unwrap_or_default();
        Ok(volumes.into_iter().map(facts).collect())
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), DockerError> {
        self.make_volume(name, labels, None).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        let outcome = self
            .client
            .remove_volume(name, None::<query::RemoveVolumeOptions>)
            .await;
        gone_is_fine(outcome.map_err(|error| wrap("remove volume", name, error)))
    }

    async fn containers(
        &self,
        filter: LabelFilter<'_>,
    ) -> Result<Vec<ContainerFacts>, DockerError> {
        let options = query::ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters(filter))
            .build();
        let containers = settled(|| self.client.list_containers(Some(options.clone())))
            .await
            .map_err(|error| wrap("list", "containers", error))?;
        Ok(containers.into_iter().map(summary).collect())
    }

    async fn container(&self, id: &str) -> Result<ContainerFacts, DockerError> {
        let inspect = || {
            let no_options = None::<query::InspectContainerOptions>;
            self.client.inspect_container(id, no_options)
        };
        let found = settled(inspect)
            .await
            .map_err(|error| wrap("inspect container", id, error))?;
        let config = found.config.unwrap_or_default();
        Ok(ContainerFacts {
            id: found.id.unwrap_or_default(),
            name: bare_name(&found.name.unwrap_or_default()),
            labels: labels(config.labels),
            state: state(&found.state.unwrap_or_default()),
            image: config.image.unwrap_or_default(),
            limits: limits(&found.host_config.unwrap_or_default()),
        })
    }

    async fn create_container(&self, plan: &ContainerPlan) -> Result<String, DockerError> {
        if self.podman {
            // It would make them without their labels, by which they are found and removed.
            for volume in &plan.volumes {
                let options = volume.size.map(super::request::in_memory);
                self.make_volume(&volume.name, &volume.labels, options)
                    .await?;
            }
        }
        let options = query::CreateContainerOptionsBuilder::new()
            .name(&plan.name)
            .platform(&plan.platform)
            .build();
        let made = self
            .client
            .create_container(Some(options), super::request::body(plan))
            .await
            .map_err(|error| wrap("create container", &plan.name, error))?;
        Ok(made.id)
    }

    async fn upload(&self, id: &str, tar: Bytes) -> Result<(), DockerError> {
        let options = query::UploadToContainerOptionsBuilder::new()
            .path("/")
            .build();
        self.client
            .upload_to_container(id, Some(options), bollard::body_full(tar))
            .await
            .map_err(|error| wrap("copy files into container", id, error))
    }

    async fn changes(&self, id: &str) -> Result<Vec<String>, DockerError> {
        let found = self
            .client
            .container_changes(id)
            .await
            .map_err(|error| wrap("list changes of container", id, error))?;
        let there = found
            .unwrap_or_default()
            .into_iter()
            .filter(|change| !matches!(change.kind, models::ChangeType::_2));
        Ok(there.map(|change| change.path).collect())
    }

    async fn download(&self, id: &str, path: &str) -> Result<Bytes, DockerError> {
        let options = query::DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let object = format!("{id}:{path}");
        let mut pieces = self.client.download_from_container(id, Some(options));
        let mut tar = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece =
                piece.map_err(|error| wrap("copy files out of container", &object, error))?;
            tar.extend_from_slice(&piece);
        }
        Ok(tar.into())
    }

    async fn start_container(&self, id: &str) -> Result<(), DockerError> {
        self.client
            .start_container(id, None::<query::StartContainerOptions>)
            .await
            .map_err(|error| wrap("start container", id, error))
    }

    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), DockerError> {
        let options = query::StopContainerOptionsBuilder::new()
            .t(i32::try_from(grace_secs).unwrap_or(i32::MAX))
            .build();
        self.client
            .stop_container(id, Some(options))
            .await
            .map_err(|error| wrap("stop container", id, error))
    }

    async fn kill_container(&self, id: &str) -> Result<(), DockerError> {
        self.signal_container(id, "KILL").await
    }

    async fn signal_container(&self, id: &str, signal: &str) -> Result<(), DockerError> {
        let options = query::KillContainerOptionsBuilder::new()
            .signal(signal)
            .build();
        self.client
            .kill_container(id, Some(options))
            .await
            .map_err(|error| wrap("signal container", id, error))
    }

    async fn limit_cpus(&self, id: &str, cpus: Option<f64>) -> Result<(), DockerError> {
        const PERIOD_MICROS: f64 = 100_000.0;
        let quota = cpus.map_or(-1, |cpus| (cpus * PERIOD_MICROS).max(1000.0) as i64);
        let body = models::ContainerUpdateBody {
            cpu_period: Some(PERIOD_MICROS as i64),
            cpu_quota: Some(quota),
            ..models::ContainerUpdateBody::default()
        };
        self.update("limit the processors of container", id, body)
            .await
    }

    async fn memory_held(&self, id: &str) -> Result<u64, DockerError> {
        let options = query::StatsOptionsBuilder::new()
            .stream(false)
            .one_shot(true)
            .build();
        let mut told = self.client.stats(id, Some(options)).boxed();
        let told = told.next().await.transpose();
        let told = told.map_err(|error| wrap("read the memory of container", id, error))?;
        let memory = told.and_then(|stats| stats.memory_stats);
        let Some((memory, usage)) = memory.and_then(|m| m.usage.map(|usage| (m, usage))) else {
            return Err(DockerError {
                action: "read the memory of container",
                object: id.to_owned(),
                trouble: Trouble::Other,
                source: EngineSaid("the engine does not tell it".to_owned()),
            });
        };
        // As `docker stats` does it: cgroup v1's name, then v2's.
        let stats = memory.stats.unwrap_or_default();
        let cached = ["total_inactive_file", "inactive_file"];
        let cached = cached.iter().find_map(|name| stats.get(*name)).copied();
        Ok(usage.saturating_sub(cached.unwrap_or(0)))
    }

    async fn limit_memory(&self, id: &str, bytes: Option<u64>) -> Result<(), DockerError> {
        let memory = bytes.map_or(ALL_MEMORY, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let body = models::ContainerUpdateBody {
            memory: Some(memory),
            // Memory and swap together. Never -1: an engine does not hand that on, and the kernel
            // refuses more memory than both together.
            memory_swap: Some(memory),
            ..models::ContainerUpdateBody::default()
        };
        self.update("limit the memory of container", id, body).await
    }

    async fn pause_container(&self, id: &str) -> Result<(), DockerError> {
        let outcome = self.client.pause_container(id).await;
        outcome.map_err(|error| wrap("pause container", id, error))
    }

    async fn unpause_container(&self, id: &str) -> Result<(), DockerError> {
        let outcome = self.client.unpause_container(id).await;
        outcome.map_err(|error| wrap("unpause container", id, error))
    }

    async fn remove_container(&self, id: &str) -> Result<(), DockerError> {
        let options = query::RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let outcome = self.client.remove_container(id, Some(options)).await;
        gone_is_fine(outcome.map_err(|error| wrap("remove container", id, error)))
    }

    async fn wait_container(&self, id: &str) -> Result<i64, DockerError> {
        let options = query::WaitContainerOptionsBuilder::new()
            .condition("not-running")
            .build();
        let mut ends = self.patient.wait_container(id, Some(options)).boxed();
        match ends.next().await {
            Some(Ok(end)) => Ok(end.status_code),
            // The library makes an error of every exit code but 0.
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(wrap("wait for container", id, error)),
            None => Err(DockerError {
                action: "wait for container",
                object: id.to_owned(),
                trouble: Trouble::Unreachable,
                source: EngineSaid("the engine closed the connection".to_owned()),
            }),
        }
    }

    fn logs(
        &self,
        id: &str,
        tail: Option<usize>,
        follow: bool,
    ) -> BoxStream<'static, Result<Output, DockerError>> {
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = query::LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(follow)
            .tail(&tail)
            .build();
        let object = id.to_owned();
        let log = self
            .client
            .logs(id, Some(options))
            .map_ok(output)
            .map_err(move |error| wrap("read the log of container", &object, error))
            .boxed();
        match follow {
            true => log,
            false => never_silent(log, id.to_owned()),
        }
    }

    async fn exec(&self, id: &str, command: &[String]) -> Result<Running, DockerError> {
        let failed = |error| wrap("run a command in container", id, error);
        let config = models::ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..models::ExecConfig::default()
        };
        let made = self.client.create_exec(id, config).await.map_err(failed)?;
        let started = self
            .client
            .start_exec(&made.id, None::<bollard::exec::StartExecOptions>)
            .await
            .map_err(failed)?;
        let bollard::exec::StartExecResults::Attached { output: said, .. } = started else {
            unreachable!("a command that is not detached is attached");
        };
        let object = id.to_owned();
        Ok(Running {
            output: said
                .map_ok(output)
                .map_err(move |error| wrap("run a command in container", &object, error))
                .boxed(),
            id: made.id,
        })
    }

    async fn exec_code(&self, exec: &str) -> Result<i64, DockerError> {
        let found = self
            .client
            .inspect_exec(exec)
            .await
            .map_err(|error| wrap("inspect command", exec, error))?;
        Ok(found.exit_code.unwrap_or(-1))
    }

    fn deaths(&self, filter: LabelFilter<'_>) -> BoxStream<'static, Death> {
        let mut filters = filters(filter);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), vec!["die".to_owned()]);
        let options = query::EventsOptionsBuilder::new().filters(&filters).build();
        let death = |event: models::EventMessage| {
            let attributes = labels(event.actor?.attributes);
            Some(Death {
                container: attributes.get("name")?.clone(),
                code: attributes
                    .get("exitCode")
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(-1),
                labels: attributes,
            })
        };
        self.client
            .events(Some(options))
            .filter_map(move |event| std::future::ready(event.ok().and_then(death)))
            .boxed()
    }
}

fn bare_name(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

fn summary(container: models::ContainerSummary) -> ContainerFacts {
    use models::ContainerSummaryStateEnum as Listed;
    let ended = ContainerState::Exited {
        code: -1,
        oom_killed: false,
    };
    let names = container.names.unwrap_or_default();
    ContainerFacts {
        id: container.id.unwrap_or_default(),
        name: bare_name(names.first().map_or("", String::as_str)),
        labels: labels(container.labels),
        state: match container.state {
            Some(Listed::CREATED) => ContainerState::Created,
            Some(Listed::RUNNING | Listed::RESTARTING) => ContainerState::Running,
            Some(Listed::PAUSED) => ContainerState::Paused,
            _ => ended,
        },
        image: container.image.unwrap_or_default(),
        limits: Limits::default(),
    }
}

/// What an engine is told, and tells, when all of the memory is granted: it refuses -1, and 0
/// changes nothing. It is the kernel's own limit, in whole pages.
const ALL_MEMORY: i64 = i64::MAX - 4095;

fn limits(config: &models::HostConfig) -> Limits {
    let period = config.cpu_period.filter(|period| *period > 0);
    let quota = config.cpu_quota.filter(|quota| *quota > 0);
    let memory = config.memory.filter(|bytes| *bytes < ALL_MEMORY);
    Limits {
        cpus: quota
            .zip(period)
            .map(|(quota, period)| quota as f64 / period as f64),
        memory: memory
            .and_then(|bytes| u64::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0),
    }
}

fn state(state: &models::ContainerState) -> ContainerState {
    use models::ContainerStateStatusEnum as Status;
    match state.status {
        Some(Status::CREATED) => ContainerState::Created,
        Some(Status::RUNNING | Status::RESTARTING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        _ => ContainerState::Exited {
            code: state.exit_code.unwrap_or(-1),
            oom_killed: state.oom_killed.unwrap_or(false),
        },
    }
}

/// Marks what the seam's attachments mean to the engine.
impl Attachment {
    pub(super) fn mode(&self) -> Option<String> {
        match self {
            Self::None => Some("none".to_owned()),
            Self::Network { id, .. } => Some(id.clone()),
            Self::Shared { container } => Some(format!("container:{container}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_none_of_dockers_is_asked_for_again() {
        let asked = std::cell::Cell::new(0);
        let stopped = || async {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => Err(Error::JsonDataError {
                    message: "unknown variant `stopped`".to_owned(),
                    column: 631,
                }),
                _ => Ok(()),
            }
        };
        settled(stopped).await.unwrap();
        assert_eq!(asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_does_not_end_is_told() {
        let piece = || Ok(Output::Out(Bytes::from_static(b"line")));
        let whole = stream::iter([piece(), piece()]).boxed();
        let read = never_silent(whole, "c".to_owned());
        assert_eq!(read.collect::<Vec<_>>().await.len(), 2);
        let stuck = stream::iter([piece()]).chain(stream::pending()).boxed();
        let read: Vec<_> = never_silent(stuck, "c".to_owned()).collect().await;
        assert_eq!(read.len(), 2);
        let error = read[1].as_ref().unwrap_err();
        assert_eq!(error.trouble, Trouble::Unreachable);
        assert!(error.to_string().contains("log of container"), "{error}");
    }

    #[test]
    fn engines_words_tell_the_kind_of_trouble() {
        for (status_code, message, expected) in [
            (500, "write /x: no space left on device", Trouble::DiskFull),
            (500, "Pool overlaps with other one", Trouble::SubnetTaken),
            (
                500,
                "Cannot pause container 85: OCI runtime pause failed: unable to freeze: unknown",
                Trouble::NotFrozen,
            ),
            (
                500,
                "container create: container-init binary not found on the host: stat /usr/libexec/podman/catatonit",
                Trouble::NoInit,
            ),
            (403, "network x has active endpoints", Trouble::Conflict),
            (404, "No such container: x", Trouble::NotFound),
            (500, "whatever", Trouble::Other),
        ] {
            let message = message.to_owned();
            let error = Error::DockerResponseServerError {
                status_code,
                message,
            };
            assert_eq!(wrap("pause container", "x", error).trouble, expected);
        }
    }
}
