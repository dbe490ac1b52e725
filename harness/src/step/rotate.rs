//! Rotations of what the agents trust each other by, as operators do them while all goes on.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError, with_causes};
use crate::grammar::{Arg, Type};
use crate::nomad::ApiError;
use crate::pick::Pick;
use crate::poll::{self, Look};
use crate::spec::AgentName;
use crate::target::Paper;

/// How long an agent may take to show its new certificate: a reload is done in a moment.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);
/// How long the servers may take to agree on their keys: each change is a question to all by gossip,
/// which waits for some seconds.
const AGREED_WITHIN: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(200);

pub(super) const GOSSIP_KEY: Form = Form {
    name: "rotate_gossip_key",
    about: "gives the servers a new gossip key: installs it, uses it, removes the old one, and writes \
            it into their configuration",
    label: Label::None,
    args: &[],
    choice: Choice::Free,
    steps: false,
    example: "rotate_gossip_key {}",
    build: |_| Step::RotateGossipKey,
};

pub(super) const CERTIFICATE: Form = Form {
    name: "rotate_certificate",
    about: "gives agents new certificates of the same authority, which they take up at a SIGHUP, \
            without a restart",
    label: Label::None,
    args: &[Arg::required("on", Type::Agents, "whom")],
    choice: Choice::Free,
    steps: false,
    example: r#"rotate_certificate {
  on = leader
}"#,
    build: |statement| Step::RotateCertificate {
        on: Pick::of(statement.args.word("on")),
    },
};

pub(super) async fn gossip_key(scene: &Scene<'_>) -> Result<String, StepError> {
    let old = scene.target.gossip_key();
    let old = old.ok_or_else(|| StepError::Inconclusive {
        why: "the cluster's gossip key is not known".to_owned(),
    })?;
    let new = BASE64.encode(rand::random::<[u8; 32]>());
    for (verb, key) in [("install", &new), ("use", &new), ("remove", &old)] {
        let what = format!("gossip key: {verb}");
        // What is done already changes nothing; a removed key is gone at the second try, too.
        let again = if verb == "remove" {
            Again::IfNothingHappened
        } else {
            Again::Yes
        };
        write(scene, &what, again, |api| async move {
            api.change_gossip_keys(verb, key).await
        })
        .await?;
    }
    let seen = agreed(scene, &new).await?;
    // Gossip is one for all regions.
    for server in scene.everywhere().servers() {
        let name = &server.info.name;
        scene.target.give_gossip_key(name, &new, false).await?;
    }
    scene.target.keep_gossip_key(&new).await?;
    Ok(seen)
}

/// Waits until every server has this key and no other.
async fn agreed(scene: &Scene<'_>, key: &str) -> Result<String, StepError> {
    let agents = scene.untouched();
    let what = "every server has the new gossip key, and no other";
    let seen = poll::eventually(scene.allowed(AGREED_WITHIN), INTERVAL, what, || async {
        let keys = agents
            .ask(|api| async move { api.gossip_keys().await })
            .await;
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => return Look::failed(&error),
        };
        // Keys are secrets: only their number is told.
        let (count, with) = (keys.keys.len(), keys.keys.get(key).copied());
        let seen = format!(
            "{count} keys, {} of {} servers have the new one",
            with.unwrap_or(0),
            keys.num_nodes
        );
        if count == 1 && with == Some(keys.num_nodes) && keys.num_nodes > 0 {
            Look::Done(seen)
        } else {
            Look::NotYet(seen)
        }
    })
    .await?;
    Ok(seen)
}

pub(super) async fn certificate(scene: &Scene<'_>, on: &Pick) -> Result<String, StepError> {
    let picked = scene.pick(on).await?;
    let (shown, key) = scene.target.caller_certificate(Paper::Own).await?;
    for agent in &picked {
        let before = served(scene, agent, (&shown, &key)).await;
        let before = before.map_err(|error| StepError::Inconclusive {
            why: format!(
                "{} was not asked for its certificate: {}",
                scene.target.called(agent),
                with_causes(&error)
            ),
        })?;
        scene.target.give_certificate(agent, Paper::Own).await?;
        scene.target.reload(agent).await?;
        let what = format!("{} shows its new certificate", scene.target.called(agent));
        poll::eventually(scene.allowed(SHOWN_WITHIN), INTERVAL, &what, || async {
            match served(scene, agent, (&shown, &key)).await {
                Ok(now) if now != before => Look::Done(()),
                Ok(_) => Look::NotYet("it shows the old one".to_owned()),
                Err(error) => Look::failed(&error),
            }
        })
        .await?;
    }
    let words: Vec<_> = picked.iter().map(|name| format!("`{name}`")).collect();
    Ok(format!("new certificates at {}", words.join(", ")))
}

/// Returns the certificate that an agent shows on a new connection.
async fn served(
    scene: &Scene<'_>,
    agent: &AgentName,
    shown: (&str, &str),
) -> Result<Vec<u8>, ApiError> {
    let entry = scene.agents.get(agent);
    let entry = entry.expect("agents are picked from the cluster's own");
    entry.api.showing(Some(shown))?.certificate_served().await
}
