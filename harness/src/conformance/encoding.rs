//! How requests and answers look on the wire.

use serde_json::json;

use super::answer::{Expect as _, items, lacks};
use super::case::{Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Requests and answers";

pub(super) const CASES: &[Case] = &[
    law!(answers_are_json),
    law!(answers_are_indented_when_asked),
    law!(answers_are_not_indented_unless_asked),
    law!(answers_are_compressed_when_accepted),
    law!(errors_are_plain_text),
    law!(a_body_that_is_no_json_is_a_bad_request),
    law!(a_body_that_is_missing_is_a_bad_request),
    law!(put_and_post_write_alike),
    law!(an_unknown_path_is_404),
    law!(the_root_leads_to_the_web_page),
    law!(an_empty_list_is_no_null),
    law!(full_evaluations_leave_out_what_is_empty),
    law!(full_allocations_leave_out_what_is_empty),
    law!(durations_are_nanoseconds),
    law!(a_bearers_token_counts_too).since(1, 3, 2),
    law!(lists_are_given_in_pages).since(1, 3, 0),
    law!(lists_are_filtered_by_an_expression).since(1, 3, 0),
];

async fn answers_are_json(ground: &Ground) -> Law {
    for path in ["jobs", "status/leader", "agent/members"] {
        let answer = ground.get(path).await?.status(200)?;
        let kind = answer.header("content-type").unwrap_or_default();
        demand!(kind.starts_with("application/json"), "{path} is `{kind}`");
    }
    Ok(())
}

async fn answers_are_indented_when_asked(ground: &Ground) -> Law {
    for query in ["?pretty", "?pretty=1", "?pretty=true"] {
        let answer = ground.get(&format!("agent/members{query}")).await?;
        let text = answer.status(200)?.text();
        let indented = text.starts_with("{\n  ") || text.starts_with("{\n    ");
        demand!(indented && text.ends_with("}\n"), "{query}: `{text:.80}`");
    }
    Ok(())
}

async fn answers_are_not_indented_unless_asked(ground: &Ground) -> Law {
    for query in ["", "?pretty=0"] {
        let answer = ground.get(&format!("agent/members{query}")).await?;
        let text = answer.status(200)?.text();
        demand!(!text.contains('\n'), "{query}: `{text:.80}`");
    }
    Ok(())
}

async fn answers_are_compressed_when_accepted(ground: &Ground) -> Law {
    let asked = Exchange::new("GET", "nodes").header("Accept-Encoding", "gzip");
    let answer = ground.ask(asked).await?.status(200)?;
    let encoding = answer.header("content-encoding");
    demand!(encoding == Some("gzip"), "the encoding is {encoding:?}");
    demand!(answer.body.starts_with(&[0x1f, 0x8b]), "it is no gzip");
    Ok(())
}

async fn errors_are_plain_text(ground: &Ground) -> Law {
    let answer = ground.get("job/nowhere").await?.status(404)?;
    let kind = answer.header("content-type").unwrap_or_default();
    demand!(kind.starts_with("text/plain"), "it is `{kind}`");
    demand!(answer.text() == "job not found", "got `{}`", answer.text());
    Ok(())
}

async fn a_body_that_is_no_json_is_a_bad_request(ground: &Ground) -> Law {
    for path in ["jobs", "validate/job", "jobs/parse", "search"] {
        let asked = Exchange::new("PUT", path).raw("{nonsense");
        ground.ask(asked).await?.status(400)?;
    }
    Ok(())
}

async fn a_body_that_is_missing_is_a_bad_request(ground: &Ground) -> Law {
    for path in ["jobs", "job/nowhere/revert", "job/nowhere/plan"] {
        let asked = Exchange::new("PUT", path);
        ground.ask(asked).await?.status(400)?;
    }
    Ok(())
}

async fn put_and_post_write_alike(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    ground.post("jobs", &json!({ "Job": job })).await?.good()?;
    let path = format!("job/{}", given::id(&job));
    ground.post(&path, &json!({ "Job": job })).await?.good()?;
    ground.put(&path, &json!({ "Job": job })).await?.good()
}

async fn an_unknown_path_is_404(ground: &Ground) -> Law {
    ground.get("nothing/of/the/kind").await?.status(404)?;
    let asked = Exchange::at_root("GET", "/nothing");
    ground.ask(asked).await?.status(404).map(drop)
}

async fn the_root_leads_to_the_web_page(ground: &Ground) -> Law {
    let answer = ground.ask(Exchange::at_root("GET", "/")).await?;
    let answer = answer.status(307)?;
    let place = answer.header("location").unwrap_or_default();
    demand!(place == "/ui/", "it leads to `{place}`");
    Ok(())
}

async fn an_empty_list_is_no_null(ground: &Ground) -> Law {
    let prefix = ground.named("nobody");
    let jobs = ground.read(&format!("jobs?prefix={prefix}")).await?;
    demand!(jobs == json!([]), "jobs: {jobs}");
    let path = format!("job/{prefix}/allocations");
    let allocs = ground.read(&path).await?;
    demand!(allocs == json!([]), "allocations: {allocs}");
    Ok(())
}

async fn full_evaluations_leave_out_what_is_empty(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    let eval = ground.evaluate(&job).await?;
    let lacking = lacks(&eval, &["ID", "Type", "Status", "JobID", "TriggeredBy"]);
    demand!(lacking.is_empty(), "it lacks {lacking:?}");
    for key in [
        "NextEval",
        "PreviousEval",
        "BlockedEval",
        "NodeID",
        "FailedTGAllocs",
    ] {
        demand!(eval.get(key).is_none(), "it has an empty `{key}`: {eval}");
    }
    Ok(())
}

async fn full_allocations_leave_out_what_is_empty(ground: &Ground) -> Law {
    let job = given::service(ground, "web");
    let allocs = ground.start(&job, 1).await?;
    let id = allocs[0]["ID"].as_str().unwrap_or_default();
    let alloc = ground.read(&format!("allocation/{id}")).await?;
    let keys = [
        "ID",
        "Job",
        "TaskStates",
        "AllocatedResources",
        "Metrics",
        "NodeName",
    ];
    let lacking = lacks(&alloc, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}");
    for key in [
        "PreviousAllocation",
        "NextAllocation",
        "FollowupEvalID",
        "DesiredDescription",
    ] {
        demand!(alloc.get(key).is_none(), "it has an empty `{key}`");
    }
    Ok(())
}

async fn durations_are_nanoseconds(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    given::task(&mut job)["KillTimeout"] = json!(7_000_000_000_u64);
    ground.register(&job).await?;
    let job = ground.read(&format!("job/{}", given::id(&job))).await?;
    let group = &job["TaskGroups"][0];
    let seen = &group["Tasks"][0]["KillTimeout"];
    demand!(*seen == 7_000_000_000_u64, "the kill timeout is {seen}");
    let seen = &group["Update"]["HealthyDeadline"];
    demand!(*seen == 30_000_000_000_u64, "the deadline is {seen}");
    Ok(())
}

async fn a_bearers_token_counts_too(ground: &Ground) -> Law {
    let api = ground.api()?;
    let secret = api.token().map(|token| token.secret().to_owned());
    let bearer = format!("Bearer {}", secret.unwrap_or_default());
    let asked = Exchange::new("GET", "nodes").header("Authorization", &bearer);
    api.without_token().exchange(&asked).await?.good()
}

async fn lists_are_given_in_pages(ground: &Ground) -> Law {
    let jobs = ["a", "b", "c"].map(|what| given::waiting(ground, what));
    for job in &jobs {
        ground.register(job).await?;
    }
    let list = format!("jobs?prefix={}&per_page=2", ground.named(""));
    let first = ground.get(&list).await?.status(200)?;
    let next = first.header("x-nomad-nexttoken").unwrap_or_default();
    let rest = ground.get(&format!("{list}&next_token={next}")).await?;
    demand!(!next.is_empty(), "there is no token for the next page");
    let end = rest.header("x-nomad-nexttoken").map(str::to_owned);
    let (first, rest) = (first.value()?, rest.value()?);
    let sizes = (items(&first).len(), items(&rest).len());
    demand!(sizes == (2, 1), "the pages hold {sizes:?}");
    demand!(end.is_none(), "the last page leads on to {end:?}");
    Ok(())
}

async fn lists_are_filtered_by_an_expression(ground: &Ground) -> Law {
    let (one, other) = (given::waiting(ground, "a"), given::waiting(ground, "b"));
    ground.register(&one).await?;
    ground.register(&other).await?;
    let name = given::id(&one);
    let path = format!("jobs?filter=Name%20%3D%3D%20%22{name}%22");
    let found = ground.read(&path).await?;
    demand!(items(&found).len() == 1, "got {found}");
    demand!(found[0]["ID"] == name, "got {found}");
    ground
        .get("jobs?filter=nonsense%20%3D")
        .await?
        .status(400)?;
    Ok(())
}
