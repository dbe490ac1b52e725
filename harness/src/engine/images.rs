//! Having an image taken in by the Docker engine once: the file's names, sizes and times tell
//! whether it was made before, so that a warm start reads no program at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{EngineError, Workshop};
use crate::docker::archive::{ImageArchive, ImageRecipe};
use crate::docker::{LayerPlan, labels};
use crate::progress::Event;

/// Images remembered; older ones are made again.
const REMEMBERED_MAX: usize = 64;

/// What is remembered of an image that was made here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Its name.
    pub(super) name: String,
    /// Which Nomad is inside, once it was asked.
    pub(super) version: Option<Version>,
    /// Whether the built-in program runs in it, once that was tried.
    #[serde(default)]
    pub(super) tools: Option<bool>,
}

/// The file that remembers: fingerprint → image.
pub(super) struct Memory {
    path: PathBuf,
}

impl Memory {
    pub(super) fn of(shop: &Workshop<'_>) -> Self {
        Self {
            path: shop.environment.cache_root.join("images.json"),
        }
    }

    pub(super) fn get(&self, fingerprint: &str) -> Option<Known> {
        self.read().remove(fingerprint)
    }

    /// Remembers an image. A cache that cannot be written costs time at the next start, no more.
    pub(super) fn put(&self, fingerprint: &str, known: &Known) {
        let mut all = self.read();
        while all.len() >= REMEMBERED_MAX {
            all.pop_first();
        }
        all.insert(fingerprint.to_owned(), known.clone());
        let text = serde_json::to_string_pretty(&all).expect("text and versions are JSON");
        if let Err(error) = replace(&self.path, &text) {
            tracing::debug!(%error, path = %self.path.display(), "image cache not written");
        }
    }

    fn read(&self) -> BTreeMap<String, Known> {
        std::fs::read_to_string(&self.path)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }
}

/// Writes a file so that a reader sees the old or the new text, never a half.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// Makes sure that the engine has the image, and returns what is known of it.
pub(super) async fn ensure(shop: &Workshop<'_>, recipe: ImageRecipe) -> Result<Known, EngineError> {
    let fingerprint = recipe.fingerprint().map_err(EngineError::Assembly)?;
    let memory = Memory::of(shop);
    if let Some(known) = memory.get(&fingerprint)
        && is_there(shop, &known.name).await?
    {
        return Ok(known);
    }
    let origin = recipe.labels.get(labels::ORIGIN).cloned();
    let sealing = tokio::task::spawn_blocking(move || recipe.seal(super::assembly::REPOSITORY));
    let archive = sealing
        .await
        .expect("sealing an image does not panic")
        .map_err(EngineError::Assembly)?;
    let known = Known {
        name: archive.name().to_owned(),
        version: None,
        tools: None,
    };
    if !is_there(shop, &known.name).await? {
        load(shop, archive).await?;
        if let Some(origin) = origin {
            forget_older(shop, &origin, &known.name).await;
        }
    }
    memory.put(&fingerprint, &known);
    Ok(known)
}

async fn is_there(shop: &Workshop<'_>, name: &str) -> Result<bool, EngineError> {
    Ok(shop.docker.image(name).await?.is_some())
}

async fn load(shop: &Workshop<'_>, archive: ImageArchive) -> Result<(), EngineError> {
    let name = archive.name().to_owned();
    shop.progress.tell(Event::Image {
        name: name.clone(),
        bytes: Some(archive.size()),
    });
    let recipe = archive.recipe();
    if let Some(base) = recipe.base.clone() {
        let plan = LayerPlan {
            name: name.clone(),
            base,
            platform: shop.arch.platform(),
            env: recipe.env.clone(),
            labels: recipe.labels.clone(),
            tool: labels::of_tool(&uuid::Uuid::new_v4().simple().to_string()),
        };
        shop.docker.layer_image(&plan, archive.layer()).await?;
    } else {
        shop.docker.load_image(&name, archive.stream()).await?;
    }
    let loaded = shop.docker.image(&name).await?;
    // Some engines answer a refused archive with success.
    let found = loaded.map_or_else(|| "nothing".to_owned(), |image| image.arch);
    if found == shop.arch.to_string() {
        Ok(())
    } else {
        Err(EngineError::ImageArch {
            reference: name,
            found,
            expected: shop.arch,
        })
    }
}

/// Removes images of the same origin that were made earlier: every build of the program makes a
/// new one. One that a container uses is refused by the engine, and stays.
async fn forget_older(shop: &Workshop<'_>, origin: &str, newest: &str) {
    let filter = [(labels::ORIGIN, Some(origin))];
    let Ok(images) = shop.docker.images(&filter).await else {
        return;
    };
    let older = images
        .into_iter()
        .flat_map(|image| image.tags)
        .filter(|tag| tag != newest);
    for tag in older {
        if let Err(error) = shop.docker.remove_image(&tag).await {
            tracing::debug!(%error, tag, "older image stays");
        }
    }
}
