//! Job files in HCL, and the check of jobs before they are registered.

use serde_json::{Value, json};

use super::answer::{Expect as _, items};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Job files";

pub(super) const CASES: &[Case] = &[
    law!(a_job_file_becomes_a_job),
    law!(an_empty_job_file_is_refused),
    law!(a_wrong_job_file_is_refused_with_the_place),
    law!(parsing_alone_fills_in_nothing),
    law!(parsing_with_canonicalize_fills_in_defaults),
    law!(durations_in_a_job_file_become_nanoseconds),
    law!(an_unknown_block_is_refused),
    law!(locals_and_functions_are_evaluated),
    law!(variables_take_their_defaults),
    law!(variables_are_given_beside_the_file).since(1, 6, 0),
    law!(dynamic_blocks_are_unfolded),
    law!(runtime_variables_stay_as_they_are),
    law!(a_good_job_is_valid),
    law!(a_bad_jobs_problems_are_told_all_at_once),
];

async fn parse(ground: &Ground, text: &str, canonicalize: bool) -> Result<Value, Broken> {
    let body = json!({ "JobHCL": text, "Canonicalize": canonicalize });
    ground.post("jobs/parse", &body).await?.value()
}

const SMALL: &str = r#"
job "small" {
  datacenters = ["dc1"]
  group "web" {
    count = 2
    task "main" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
        args    = ["a", "b"]
      }
      kill_timeout = "1m30s"
      env {
        NODE = "${node.unique.name}"
      }
    }
  }
}
"#;

async fn a_job_file_becomes_a_job(ground: &Ground) -> Law {
    let job = parse(ground, SMALL, false).await?;
    demand!(job["ID"] == "small" && job["Name"] == "small", "got {job}");
    let group = &job["TaskGroups"][0];
    demand!(group["Name"] == "web" && group["Count"] == 2, "got {group}");
    let task = &group["Tasks"][0];
    demand!(task["Driver"] == "raw_exec", "got {task}");
    demand!(task["Config"]["args"] == json!(["a", "b"]), "got {task}");
    Ok(())
}

async fn an_empty_job_file_is_refused(ground: &Ground) -> Law {
    ground
        .post("jobs/parse", &json!({ "JobHCL": "" }))
        .await?
        .refuses(400, "Job spec is empty")
}

async fn a_wrong_job_file_is_refused_with_the_place(ground: &Ground) -> Law {
    let body = json!({ "JobHCL": "job \"x\" {\n  group \"g\" {\n" });
    ground
        .post("jobs/parse", &body)
        .await?
        .refuses(400, "input.hcl:")
}

async fn parsing_alone_fills_in_nothing(ground: &Ground) -> Law {
    let job = parse(ground, SMALL, false).await?;
    demand!(
        job["Priority"].is_null(),
        "the priority is {}",
        job["Priority"]
    );
    demand!(job["Type"].is_null(), "the type is {}", job["Type"]);
    Ok(())
}

async fn parsing_with_canonicalize_fills_in_defaults(ground: &Ground) -> Law {
    let job = parse(ground, SMALL, true).await?;
    demand!(job["Priority"] == 50, "the priority is {}", job["Priority"]);
    demand!(job["Type"] == "service", "the type is {}", job["Type"]);
    let group = &job["TaskGroups"][0];
    let restart = &group["RestartPolicy"];
    demand!(restart["Attempts"] == 2, "got {restart}");
    demand!(restart["Mode"] == "fail", "got {restart}");
    let reschedule = &group["ReschedulePolicy"];
    demand!(reschedule["Unlimited"] == true, "got {reschedule}");
    demand!(
        reschedule["DelayFunction"] == "exponential",
        "got {reschedule}"
    );
    let resources = &group["Tasks"][0]["Resources"];
    demand!(resources["CPU"] == 100, "got {resources}");
    demand!(resources["MemoryMB"] == 300, "got {resources}");
    Ok(())
}

async fn durations_in_a_job_file_become_nanoseconds(ground: &Ground) -> Law {
    let job = parse(ground, SMALL, false).await?;
    let seen = &job["TaskGroups"][0]["Tasks"][0]["KillTimeout"];
    demand!(*seen == 90_000_000_000_u64, "the kill timeout is {seen}");
    Ok(())
}

async fn an_unknown_block_is_refused(ground: &Ground) -> Law {
    let text = SMALL.replace("count = 2", "count = 2\n nonsense {}");
    let body = json!({ "JobHCL": text });
    ground
        .post("jobs/parse", &body)
        .await?
        .refuses(400, "nonsense")
}

async fn locals_and_functions_are_evaluated(ground: &Ground) -> Law {
    let text = format!(
        "locals {{\n  name = upper(\"dc1\")\n}}\n{}",
        SMALL.replace("[\"dc1\"]", "[local.name, format(\"%s-%d\", \"dc\", 2)]")
    );
    let job = parse(ground, &text, false).await?;
    let seen = &job["Datacenters"];
    demand!(*seen == json!(["DC1", "dc-2"]), "got {seen}");
    Ok(())
}

async fn variables_take_their_defaults(ground: &Ground) -> Law {
    let text = format!(
        "variable \"count\" {{\n  default = 5\n}}\n{}",
        SMALL.replace("count = 2", "count = var.count")
    );
    let job = parse(ground, &text, false).await?;
    let seen = &job["TaskGroups"][0]["Count"];
    demand!(*seen == 5, "the count is {seen}");
    Ok(())
}

async fn variables_are_given_beside_the_file(ground: &Ground) -> Law {
    let text = format!(
        "variable \"count\" {{\n  default = 5\n}}\n{}",
        SMALL.replace("count = 2", "count = var.count")
    );
    let body = json!({ "JobHCL": text, "Variables": "count = 7\n" });
    let job = ground.post("jobs/parse", &body).await?.value()?;
    let seen = &job["TaskGroups"][0]["Count"];
    demand!(*seen == 7, "the count is {seen}");
    Ok(())
}

async fn dynamic_blocks_are_unfolded(ground: &Ground) -> Law {
    let block = r#"count = 2
    dynamic "constraint" {
      for_each = ["x86_64", "arm64"]
      content {
        attribute = "${attr.cpu.arch}"
        operator  = "!="
        value     = constraint.value
      }
    }"#;
    let job = parse(ground, &SMALL.replace("count = 2", block), false).await?;
    let constraints = &job["TaskGroups"][0]["Constraints"];
    let targets: Vec<_> = items(constraints).iter().map(|c| &c["RTarget"]).collect();
    demand!(targets == ["x86_64", "arm64"], "got {constraints}");
    Ok(())
}

async fn runtime_variables_stay_as_they_are(ground: &Ground) -> Law {
    let job = parse(ground, SMALL, false).await?;
    let seen = &job["TaskGroups"][0]["Tasks"][0]["Env"]["NODE"];
    demand!(*seen == "${node.unique.name}", "got {seen}");
    Ok(())
}

async fn a_good_job_is_valid(ground: &Ground) -> Law {
    let body = json!({ "Job": given::service(ground, "web") });
    let reply = ground.write("validate/job", &body).await?;
    demand!(reply["Error"] == "", "got {reply}");
    demand!(reply["ValidationErrors"].is_null(), "got {reply}");
    demand!(reply["DriverConfigValidated"] == true, "got {reply}");
    Ok(())
}

async fn a_bad_jobs_problems_are_told_all_at_once(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    job["Priority"] = json!(0);
    job["Type"] = json!("nonsense");
    given::task(&mut job)["Driver"] = json!("");
    let body = json!({ "Job": job });
    let reply = ground.write("validate/job", &body).await?;
    let told = reply["Error"].as_str().unwrap_or_default();
    for words in ["Invalid job type", "Missing task driver"] {
        demand!(told.contains(words), "`{words}` is not told: {told}");
    }
    let count = items(&reply["ValidationErrors"]).len();
    demand!(count >= 2, "only {count} problems are told: {reply}");
    Ok(())
}
