//! What the servers do to keep house.

use serde_json::{Value, json};

use super::answer::Expect as _;
use super::case::{Case, Law, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Housekeeping";

pub(super) const CASES: &[Case] = &[
    law!(summaries_are_reconciled_without_an_answer),
    law!(collecting_garbage_wants_a_management_token),
    law!(collecting_garbage_forgets_what_is_over).alone(),
];

async fn summaries_are_reconciled_without_an_answer(ground: &Ground) -> Law {
    ground
        .put("system/reconcile/summaries", &json!({}))
        .await?
        .empty()
}

async fn collecting_garbage_wants_a_management_token(ground: &Ground) -> Law {
    let rules = "namespace \"default\" { policy = \"write\" }";
    let writer = ground.with_rules("writer", rules).await?;
    writer
        .exchange(&Exchange::new("PUT", "system/gc"))
        .await?
        .refuses(403, "Permission denied")
}

async fn collecting_garbage_forgets_what_is_over(ground: &Ground) -> Law {
    let (over, on) = (
        given::batch(ground, "once", 0),
        given::waiting(ground, "web"),
    );
    ground.evaluate(&on).await?;
    let eval = ground.evaluate(&over).await?;
    let path = format!("job/{}", given::id(&over));
    let dead = |job: &Value| job["Status"] == "dead";
    ground.until("a dead job", &path, dead).await?;
    ground.put("system/gc", &json!({})).await?.empty()?;
    // It is an evaluation of the servers' own, done a moment later.
    let gone = || async {
        match ground.get(&path).await {
            Ok(answer) if answer.status == 404 => crate::poll::Look::Done(()),
            Ok(answer) => crate::poll::Look::NotYet(format!("HTTP {}", answer.status)),
            Err(broken) => crate::poll::Look::Never(broken.seen),
        }
    };
    let (soon, tick) = (
        std::time::Duration::from_secs(20),
        std::time::Duration::from_millis(100),
    );
    crate::poll::eventually(soon, tick, "a job that is gone", gone).await?;
    let eval = eval["ID"].as_str().unwrap_or_default();
    ground
        .get(&format!("evaluation/{eval}"))
        .await?
        .refuses(404, "eval not found")?;
    ground.get(&format!("job/{}", given::id(&on))).await?.good()
}
