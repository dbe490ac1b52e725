//! Experiments of the doctor on the engine that there really is: what it says of itself, and
//! whether a container with one or another privilege starts and can do what it was promised.
//!
//! Not part of the seam [`super::DockerEngine`]: no cluster needs any of this.

use std::time::Duration;

use bollard::models;
use bollard::query_parameters as query;
use futures::StreamExt as _;

use super::live::{Docker, wrap};
use super::{ContainerPlan, DockerEngine as _, DockerError, Labels, Output, Trouble};

/// How long one experiment may take: a tiny program that prints a line and ends.
const TRIAL_MAX: Duration = Duration::from_secs(30);

/// What an engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineReport {
    /// How it stores images and containers, as `overlay2`.
    pub storage_driver: String,
    /// Its folder, on the machine that it runs on.
    pub root: String,
    /// Cgroup version, as `2`.
    pub cgroup_version: String,
    /// Memory of the machine that it runs on, in bytes.
    pub memory: u64,
    /// Processors of the machine that it runs on.
    pub processors: u64,
    /// That machine's system, as `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// Whether it runs as an ordinary user.
    pub rootless: bool,
}

/// What a container of the doctor's may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// What every container may.
    Usual,
    /// One more capability, as `NET_ADMIN`.
    Capability(&'static str),
    /// Everything (`docker run --privileged`).
    All,
}

/// What became of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The program ran and ended.
    Ran {
        /// Its exit code; 128 + signal.
        code: i64,
        /// What it printed on standard output.
        out: String,
        /// What it, or the engine in its place, printed on standard error.
        err: String,
    },
    /// The engine would not or could not start it, in the engine's words.
    Refused(String),
    /// It did not end within this time.
    Hung(Duration),
}

/// A program for experiments.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// Its image, which the engine has.
    pub image: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// Labels of its containers, by which they are found again.
    pub labels: Labels,
}

impl Docker {
    /// Returns what the engine says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn report(&self) -> Result<EngineReport, DockerError> {
        let info = self
            .client
            .info()
            .await
            .map_err(|error| wrap("inspect", "engine", error))?;
        let positive = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok());
        let security = info.security_options.unwrap_or_default();
        Ok(EngineReport {
            storage_driver: info.driver.unwrap_or_default(),
            root: info.docker_root_dir.unwrap_or_default(),
            cgroup_version: info
                .cgroup_version
                .map(|version| version.to_string())
                .unwrap_or_default(),
            memory: positive(info.mem_total).unwrap_or(0),
            processors: positive(info.ncpu).unwrap_or(0),
            system: info.operating_system.unwrap_or_default(),
            rootless: security.iter().any(|option| option.contains("rootless")),
        })
    }

    /// Runs the specimen once with a privilege, and removes its container again.
    ///
    /// # Errors
    /// Only where the engine itself fails; a container that it refuses is an outcome.
    pub async fn try_container(
        &self,
        specimen: &Specimen,
        name: &str,
        privilege: Privilege,
    ) -> Result<Trial, DockerError> {
        let id = match self.create_trial(specimen, name, privilege).await {
            Ok(id) => id,
            Err(error) => return refused(error),
        };
        let outcome = tokio::time::timeout(TRIAL_MAX, self.run_trial(&id)).await;
        let removed = self.remove_container(&id).await;
        let trial = match outcome {
            Ok(outcome) => outcome?,
            Err(_) => Trial::Hung(TRIAL_MAX),
        };
        removed.map(|()| trial)
    }

    async fn create_trial(
        &self,
        specimen: &Specimen,
        name: &str,
        privilege: Privilege,
    ) -> Result<String, DockerError> {
        let plan = ContainerPlan {
            env: specimen.env.clone(),
            // Root: an ordinary user gets none of the capabilities that are asked for.
            user: "0:0".to_owned(),
            labels: specimen.labels.clone(),
            capabilities: match privilege {
                Privilege::Capability(one) => vec![one.to_owned()],
                Privilege::Usual | Privilege::All => Vec::new(),
            },
            ..ContainerPlan::alone(
                name.to_owned(),
                specimen.image.clone(),
                specimen.platform.clone(),
                specimen.command.clone(),
            )
        };
        let mut body = super::request::body(&plan);
        let host = body
            .host_config
            .get_or_insert_with(models::HostConfig::default);
        host.privileged = Some(privilege == Privilege::All);
        let options = query::CreateContainerOptionsBuilder::new()
            .name(name)
            .platform(&plan.platform)
            .build();
        let made = self
            .client
            .create_container(Some(options), body)
            .await
            .map_err(|error| wrap("create container", name, error))?;
        Ok(made.id)
    }

    async fn run_trial(&self, id: &str) -> Result<Trial, DockerError> {
        if let Err(error) = self.start_container(id).await {
            return refused(error);
        }
        let code = self.wait_container(id).await?;
        let (mut out, mut err) = (String::new(), String::new());
        let mut log = self.logs(id, None, false);
        while let Some(said) = log.next().await {
            let said = said?;
            let text = String::from_utf8_lossy(said.bytes());
            match &said {
                Output::Out(_) => out.push_str(&text),
                Output::Err(_) => err.push_str(&text),
            }
        }
        Ok(Trial::Ran { code, out, err })
    }
}

/// Tells an engine that refuses from one that is gone.
fn refused(error: DockerError) -> Result<Trial, DockerError> {
    match error.trouble {
        Trouble::Unreachable | Trouble::Permission => Err(error),
        _ => Ok(Trial::Refused(error.source.to_string())),
    }
}
