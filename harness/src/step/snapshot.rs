//! Keeps the servers' whole state, and brings it back: into the same cluster, or into one that has
//! lost everything. Such a one knows no token either, so that its ACL system is bootstrapped first
//! with a token that the snapshot then replaces.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::nomad::{Api, ApiError, Token};
use crate::poll::{self, Look};

/// How long it may take until a snapshot is in: a cluster that begins anew elects a leader first.
const RESTORED_WITHIN: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(200);

pub(super) const SNAPSHOT: Form = Form {
    name: "snapshot",
    about: "takes a snapshot of the servers' state and keeps it for `restore`",
    label: Label::None,
    args: &[],
    choice: Choice::Free,
    steps: false,
    example: "snapshot {}",
    build: |_| Step::Snapshot,
};

pub(super) const RESTORE: Form = Form {
    name: "restore",
    about: "brings the last snapshot back; where the servers have lost everything, their ACL system \
            is bootstrapped first, and the snapshot brings the old tokens back",
    label: Label::None,
    args: &[],
    choice: Choice::Free,
    steps: false,
    example: "restore {}",
    build: |_| Step::Restore,
};

pub(super) async fn take(scene: &Scene<'_>) -> Result<String, StepError> {
    let snapshot = write(scene, "taking a snapshot", Again::Yes, |api| async move {
        api.snapshot().await
    })
    .await?;
    // The head of gzip; a server that failed half-way sends less or something else.
    if !snapshot.starts_with(&[0x1f, 0x8b]) {
        return Err(StepError::Failed {
            why: format!("the snapshot ({} bytes) is no gzip archive", snapshot.len()),
            timed: false,
        });
    }
    let seen = format!("{} bytes", snapshot.len());
    scene.keep_snapshot(snapshot);
    Ok(seen)
}

pub(super) async fn restore(scene: &Scene<'_>) -> Result<String, StepError> {
    let Some(snapshot) = scene.snapshot() else {
        return Err(StepError::Inconclusive {
            why: "there is no snapshot to restore".to_owned(),
        });
    };
    let agents = scene.untouched();
    let what = "restoring the snapshot";
    // A cluster hands its first token out once: it is kept for the next try.
    let first = Mutex::new(None);
    let seen = poll::eventually(scene.allowed(RESTORED_WITHIN), INTERVAL, what, || async {
        let mut last = "no server to ask".to_owned();
        for entry in agents.servers() {
            match put(&entry.api, &snapshot, &first).await {
                Ok(seen) => return Look::Done(seen),
                Err(error) => last = error.to_string(),
            }
        }
        Look::NotYet(last)
    })
    .await?;
    Ok(seen)
}

/// Restores, with a token of the cluster's own where it does not know ours.
async fn put(api: &Api, snapshot: &[u8], first: &Mutex<Option<Token>>) -> Result<String, ApiError> {
    match api.restore(snapshot).await {
        Ok(()) => return Ok("restored".to_owned()),
        Err(error) if error.is_unknown_token() => {}
        Err(error) => return Err(error),
    }
    let known = lock(first).clone();
    let token = match known {
        Some(token) => token,
        None => api.without_token().acl_bootstrap(None).await?.secret_id,
    };
    *lock(first) = Some(token.clone());
    api.with_token(token).restore(snapshot).await?;
    Ok("restored into a cluster that knew nothing".to_owned())
}

fn lock(first: &Mutex<Option<Token>>) -> MutexGuard<'_, Option<Token>> {
    first.lock().unwrap_or_else(PoisonError::into_inner)
}
