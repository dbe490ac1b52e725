//! Hands the leadership to another server on purpose, as before maintenance.

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};
use crate::pick::Pick;

pub(super) const FORM: Form = Form {
    name: "transfer_leadership",
    about: "hands the leadership over to another server, without an election by timeout; Nomad can \
            from 1.7 on",
    label: Label::None,
    args: &[Arg::required("to", Type::Agents, "to whom")],
    choice: Choice::Free,
    steps: false,
    example: r#"transfer_leadership {
  to = follower
}"#,
    build: |statement| Step::TransferLeadership {
        to: Pick::of(statement.args.word("to")),
    },
};

pub(super) async fn run(scene: &Scene<'_>, to: &Pick) -> Result<String, StepError> {
    let picked = scene.pick(to).await?;
    let chosen = picked.first().and_then(|name| scene.agents.get(name));
    let Some(entry) = chosen else {
        return Err(StepError::Inconclusive {
            why: format!("{to} is nobody"),
        });
    };
    let (name, ip) = (&entry.info.name, entry.info.address.to_string());
    let what = format!("handing the leadership to `{name}`");
    // To hand it to whom it was handed to already changes nothing.
    let peer = write(scene, &what, Again::Yes, |api| {
        let ip = ip.clone();
        async move {
            let peers = api.raft_configuration().await?.servers;
            let of = |address: &str| address.rsplit_once(':').is_some_and(|(host, _)| host == ip);
            let Some(peer) = peers.into_iter().find(|peer| of(&peer.address)) else {
                return Ok(None);
            };
            api.transfer_leadership(&peer.id).await?;
            Ok(Some(peer.id))
        }
    })
    .await?;
    match peer {
        Some(_) => Ok(format!("handed to `{name}`")),
        None => Err(StepError::Failed {
            why: format!("`{name}` is no peer in Raft's configuration"),
            timed: true,
        }),
    }
}
