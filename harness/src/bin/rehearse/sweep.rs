//! `rehearse sweep`.

use std::process::ExitCode;

use nomad_harness::docker::{DockerEngine, Trouble, labels};
use nomad_harness::target::docker::{StateRoot, Sweep, SweepError, sweep};

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};

/// Remove what killed runs left: containers, networks, volumes, folders.
#[derive(clap::Args)]
pub struct Args {
    /// Remove the agents' images too, those that no container uses.
    #[arg(long)]
    images: bool,
}

/// Sweeps.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let docker = context.docker().await?;
    let Sweep { swept, stays } = sweep(docker.as_ref(), &context.root()).await?;
    context.root().remove_stale_locks();
    let images = if args.images {
        sweep_images(docker.as_ref()).await?
    } else {
        Vec::new()
    };
    if context.format == Format::Json {
        output::json(&serde_json::json!({ "swept": swept, "images": images }));
    } else {
        for one in &swept {
            output::text(&one.to_string());
        }
        for image in &images {
            output::text(&format!("removed image {image}"));
        }
        if swept.is_empty() && images.is_empty() && stays.is_empty() {
            output::text("nothing to sweep");
        }
    }
    // Each is told, and the last is the command's.
    let mut stays = stays.into_iter().map(Failure::from);
    let Some(last) = stays.next_back() else {
        return Ok(ExitCode::SUCCESS);
    };
    for failure in stays {
        failure.show();
    }
    Err(last)
}

/// Sweeps on the way to something else, and says so on standard error.
pub async fn leftovers(docker: &dyn DockerEngine, root: &StateRoot) -> Result<(), SweepError> {
    let Sweep { swept, stays } = sweep(docker, root).await?;
    swept.iter().for_each(|one| eprintln!("note: {one}"));
    for error in stays {
        match error {
            // `rehearse sweep` says what mends it; nothing else has to wait for that.
            SweepError::Stays {
                networks_only: true,
                ..
            } => eprintln!("note: {error}"),
            error => return Err(error),
        }
    }
    Ok(())
}

async fn sweep_images(docker: &dyn DockerEngine) -> Result<Vec<String>, Failure> {
    let mut removed = Vec::new();
    for image in docker.images(&[(labels::ORIGIN, None)]).await? {
        for tag in image.tags {
            match docker.remove_image(&tag).await {
                Ok(()) => removed.push(tag),
                // A container uses it.
                Err(error) if error.trouble == Trouble::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(removed)
}
