//! An image of the user's, or HashiCorp's: pulled if it is not there, its architecture checked.
//!
//! Missing: the built-in program beside the user's. Jobs that run it as their workload want an
//! image that has it.

use futures::StreamExt as _;
use semver::Version;

use super::images::{Known, Memory};
use super::{EngineError, EngineRequest, Program, Workshop, binary};
use crate::agent_config::CONFIG_DIR;
use crate::docker::{Attachment, ContainerPlan, ImageFacts, Labels, labels};
use crate::owner::Owner;
use crate::progress::Event;
use crate::target::EngineInfo;

/// Gets the image that was named.
pub(super) async fn provide(
    shop: &Workshop<'_>,
    request: &EngineRequest,
) -> Result<Program, EngineError> {
    let reference = request.image.as_deref().ok_or(EngineError::NoImage)?;
    let image = match shop.docker.image(reference).await? {
        Some(image) => image,
        None => pull(shop, reference).await?,
    };
    if image.arch != shop.arch.to_string() {
        return Err(EngineError::ImageArch {
            reference: reference.to_owned(),
            found: image.arch,
            expected: shop.arch,
        });
    }
    let memory = Memory::of(shop);
    let version = match memory.get(&image.id).and_then(|known| known.version) {
        Some(version) => version,
        None => {
            let command = ["nomad".to_owned(), "version".to_owned()];
            let version = ask_version(shop, reference, &command).await?;
            let known = Known {
                name: reference.to_owned(),
                version: Some(version.clone()),
            };
            memory.put(&image.id, &known);
            version
        }
    };
    if let Some(expected) = &request.version
        && *expected != version
    {
        return Err(EngineError::OtherVersion {
            subject: reference.to_owned(),
            found: version,
            expected: expected.clone(),
        });
    }
    Ok(Program {
        info: EngineInfo {
            kind: "image".to_owned(),
            version: version.to_string(),
            simulated: false,
        },
        version,
        image: reference.to_owned(),
        command: ["nomad", "agent", "-config", CONFIG_DIR]
            .map(str::to_owned)
            .to_vec(),
        // HashiCorp's entry point warns and sleeps; ours replaces it, this is for wrappers.
        env: vec!["NOMAD_SKIP_DOCKER_IMAGE_WARN=1".to_owned()],
        tools: false,
        reason: "the image was given".to_owned(),
    })
}

async fn pull(shop: &Workshop<'_>, reference: &str) -> Result<ImageFacts, EngineError> {
    shop.progress.tell(Event::Image {
        name: reference.to_owned(),
        bytes: None,
    });
    let failed = |source| EngineError::Pull {
        reference: reference.to_owned(),
        arch: shop.arch,
        source,
    };
    let platform = shop.arch.platform();
    let pulled = shop.docker.pull_image(reference, &platform).await;
    pulled.map_err(failed)?;
    let absent = || EngineError::ImageArch {
        reference: reference.to_owned(),
        found: "nothing".to_owned(),
        expected: shop.arch,
    };
    shop.docker.image(reference).await?.ok_or_else(absent)
}

/// Runs a command in a container of its own and reads a Nomad version from what it says.
pub(super) async fn ask_version(
    shop: &Workshop<'_>,
    image: &str,
    command: &[String],
) -> Result<Version, EngineError> {
    let run = uuid::Uuid::new_v4().simple().to_string();
    let owner = Owner::this();
    let tags: Labels = [
        (labels::RUN, run.clone()),
        (labels::ROLE, "tool".to_owned()),
        (labels::OWNER, owner.to_string()),
        (labels::EXPIRES, owner.expiry_soon().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let id = shop
        .docker
        .create_container(&ContainerPlan {
            name: format!("rehearse-version-{}", &run[..12]),
            image: image.to_owned(),
            platform: shop.arch.platform(),
            command: command.to_vec(),
            env: Vec::new(),
            user: super::assembly::USER.to_string(),
            hostname: String::new(),
            labels: tags,
            network: Attachment::None,
            volume: None,
            ports: Vec::new(),
            init: false,
            capabilities: Vec::new(),
            sysctls: Labels::new(),
        })
        .await?;
    let said = said_by(shop, &id).await;
    shop.docker.remove_container(&id).await?;
    binary::read_version(image, &said?)
}

async fn said_by(shop: &Workshop<'_>, id: &str) -> Result<String, EngineError> {
    shop.docker.start_container(id).await?;
    shop.docker.wait_container(id).await?;
    let mut log = shop.docker.logs(id, None, false);
    let mut said = Vec::new();
    while let Some(piece) = log.next().await {
        said.extend_from_slice(piece?.bytes());
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}
