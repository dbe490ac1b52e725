//! Whether an agent program can find its servers by asking AWS: one that its owner built may lack that.

use super::assembly::BUILT_IN;
use super::{EngineError, Program, Workshop, image};
use crate::docker::DockerEngine;
use crate::environment::Environment;
use crate::progress::Progress;
use crate::spec::Arch;

/// Tries whether a program has go-discover's `aws`; `None` where its image has nothing to try that with. The
/// program's own text is looked through: its version tells nothing of how it was built.
///
/// # Errors
/// [`EngineError::Docker`].
pub async fn asks_aws(
    program: &Program,
    arch: Arch,
    environment: &Environment,
    docker: &dyn DockerEngine,
) -> Result<Option<bool>, EngineError> {
    let (true, Some(file)) = (program.tools, program.command.first()) else {
        return Ok(None);
    };
    let shop = Workshop {
        arch,
        environment,
        docker,
        progress: &Progress::silent(),
    };
    let command = [BUILT_IN, "cloud", "can", file].map(str::to_owned);
    let said = image::run_once(&shop, &program.image, &command).await?;
    Ok(match said.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    })
}
