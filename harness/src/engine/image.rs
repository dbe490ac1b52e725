//! An image of the user's, or HashiCorp's: pulled if it is not there, its architecture checked. The
//! built-in program, which jobs run as their workload, is put on top of it where it runs there.

use futures::StreamExt as _;
use semver::Version;

use super::assembly::{self, BUILT_IN};
use super::images::{self, Known, Memory};
use super::{EngineError, EngineRequest, Program, Workshop, binary, simulator};
use crate::agent_config::CONFIG_DIR;
use crate::docker::{ContainerPlan, ImageFacts, labels};
use crate::progress::Event;
use crate::target::EngineInfo;

/// Gets the image that was named.
pub(super) async fn provide(
    shop: &Workshop<'_>,
    request: &EngineRequest,
) -> Result<Program, EngineError> {
    let reference = request.image.as_deref().ok_or(EngineError::NoImage)?;
    let image = have(shop, reference).await?;
    let memory = Memory::of(shop);
    let version = match memory.get(&image.id).and_then(|known| known.version) {
        Some(version) => version,
        None => {
            let command = ["nomad".to_owned(), "version".to_owned()];
            let version = ask_version(shop, &image.id, &command).await?;
            let known = Known {
                name: reference.to_owned(),
                version: Some(version.clone()),
                tools: None,
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
    let equipped = equip(shop, &image).await?;
    Ok(Program {
        info: EngineInfo {
            kind: "image".to_owned(),
            version: version.to_string(),
            simulated: false,
            ..EngineInfo::default()
        },
        version,
        tools: equipped.is_some(),
        // By its ID: the same reference may mean another image for another architecture.
        image: equipped.unwrap_or(image.id),
        command: ["nomad", "agent", "-config", CONFIG_DIR]
            .map(str::to_owned)
            .to_vec(),
        // HashiCorp's entry point warns and sleeps; ours replaces it, this is for wrappers.
        env: vec!["NOMAD_SKIP_DOCKER_IMAGE_WARN=1".to_owned()],
        reason: "the image was given".to_owned(),
    })
}

/// Returns an image that the engine has or gets, of the architecture at hand.
pub(super) async fn have(shop: &Workshop<'_>, reference: &str) -> Result<ImageFacts, EngineError> {
    let fits = |image: &ImageFacts| image.arch == shop.arch.to_string();
    let other = |found: String| EngineError::ImageArch {
        reference: reference.to_owned(),
        found,
        expected: shop.arch,
    };
    match shop.docker.image(reference).await? {
        None => {
            let image = pull(shop, reference).await?;
            if fits(&image) {
                Ok(image)
            } else {
                Err(other(image.arch))
            }
        }
        Some(image) if fits(&image) => Ok(image),
        // The reference may name an image for each of several architectures; an engine of the old
        // kind keeps the one that was pulled last.
        Some(image) => match pull(shop, reference).await {
            Ok(pulled) if fits(&pulled) => Ok(pulled),
            Ok(_) | Err(_) => Err(other(image.arch)),
        },
    }
}

/// Puts the built-in program on top of an image; `None` where there is no program, or it does not
/// run there (a program that wants glibc on an image of musl).
async fn equip(shop: &Workshop<'_>, base: &ImageFacts) -> Result<Option<String>, EngineError> {
    let Ok(program) = simulator::find(shop).await else {
        return Ok(None);
    };
    assembly::check_program(shop, &program)?;
    let mut recipe = assembly::on(base, shop.arch);
    assembly::add_bare_built_in(&mut recipe, &program);
    assembly::set_origin(&mut recipe, &format!("image on {}", base.id), &[&program]);
    let fingerprint = recipe.fingerprint().map_err(EngineError::Assembly)?;
    let known = images::ensure(shop, recipe).await?;
    let tools = tools_run(shop, &fingerprint, known.clone()).await?;
    Ok(tools.then_some(known.name))
}

/// Tries whether the built-in program runs in an image, and remembers it.
pub(super) async fn tools_run(
    shop: &Workshop<'_>,
    fingerprint: &str,
    mut known: Known,
) -> Result<bool, EngineError> {
    if let Some(tools) = known.tools {
        return Ok(tools);
    }
    let command = [BUILT_IN, "agent", "-help"].map(str::to_owned);
    let said = run_once(shop, &known.name, &command).await;
    let runs = said.is_ok_and(|said| said.contains("Usage: nomad agent"));
    if !runs {
        shop.progress.tell(Event::Note(
            "the built-in program does not run in this image: jobs that have it as their workload \
             (those of the scenarios) will fail; a static one runs anywhere: ci/build-static.sh, \
             then REHEARSE_AGENT=PATH"
                .to_owned(),
        ));
    }
    known.tools = Some(runs);
    Memory::of(shop).put(fingerprint, &known);
    Ok(runs)
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
    binary::read_version(image, &run_once(shop, image, command).await?)
}

/// Runs a command in a container of its own and returns what it says.
pub(super) async fn run_once(
    shop: &Workshop<'_>,
    image: &str,
    command: &[String],
) -> Result<String, EngineError> {
    let run = uuid::Uuid::new_v4().simple().to_string();
    let id = shop
        .docker
        .create_container(&ContainerPlan {
            user: assembly::USER.to_string(),
            labels: labels::of_tool(&run),
            ..ContainerPlan::alone(
                format!("rehearse-version-{}", &run[..12]),
                image.to_owned(),
                shop.arch.platform(),
                command.to_vec(),
            )
        })
        .await?;
    let said = said_by(shop, &id).await;
    shop.docker.remove_container(&id).await?;
    said
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
