//! Search by the start of a name.

use serde_json::json;

use super::answer::{Expect as _, items};
use super::case::{Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Search";

pub(super) const CASES: &[Case] = &[
    law!(jobs_and_nodes_are_found),
    law!(a_search_in_all_contexts_names_them),
    law!(twenty_are_found_at_most),
    law!(a_search_finds_what_may_be_seen_only),
];

async fn jobs_and_nodes_are_found(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let node = ground.a_node().await?;
    for (context, prefix, expected) in [
        ("jobs", given::id(&job), given::id(&job)),
        ("nodes", &node[..8], node.as_str()),
    ] {
        let body = json!({ "Prefix": prefix, "Context": context });
        let found = ground.post("search", &body).await?.value()?;
        let matches = items(&found["Matches"][context]);
        let has = matches.iter().any(|one| one == expected);
        demand!(has, "`{expected}` is not in {found}");
        demand!(found["Truncations"][context] == false, "got {found}");
    }
    Ok(())
}

async fn a_search_in_all_contexts_names_them(ground: &Ground) -> Law {
    let body = json!({ "Prefix": ground.named("none"), "Context": "all" });
    let found = ground.post("search", &body).await?.value()?;
    let matches = found["Matches"].as_object();
    let count = matches.map_or(0, serde_json::Map::len);
    demand!(
        matches.is_some_and(|all| all.contains_key("jobs")),
        "got {found}"
    );
    demand!(count > 1, "got {found}");
    Ok(())
}

async fn twenty_are_found_at_most(ground: &Ground) -> Law {
    for number in 0..21 {
        let job = given::waiting(ground, &format!("many-{number}"));
        ground.register(&job).await?;
    }
    let body = json!({ "Prefix": ground.named("many-"), "Context": "jobs" });
    let found = ground.post("search", &body).await?.value()?;
    let count = items(&found["Matches"]["jobs"]).len();
    demand!(count == 20, "{count} are found");
    demand!(found["Truncations"]["jobs"] == true, "got {found}");
    Ok(())
}

async fn a_search_finds_what_may_be_seen_only(ground: &Ground) -> Law {
    let reader = ground
        .with_rules("reader", "node { policy = \"read\" }")
        .await?;
    let of = |context: &str| {
        let body = json!({ "Prefix": "", "Context": context });
        Exchange::new("POST", "search").json(&body)
    };
    reader.exchange(&of("nodes")).await?.good()?;
    reader
        .exchange(&of("jobs"))
        .await?
        .refuses(403, "Permission denied")
}
