//! A task's files and logs.

use serde_json::Value;

use super::answer::{Expect as _, items, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Files and logs";

pub(super) const CASES: &[Case] = &[
    law!(an_allocations_folder_is_listed),
    law!(a_file_is_described),
    law!(a_log_is_read_as_text),
    law!(a_log_is_read_in_frames),
    law!(a_log_is_read_from_its_end),
    law!(a_log_wants_a_task_and_a_kind),
    law!(a_file_is_read_whole_and_in_part),
    law!(an_unknown_file_is_refused),
    law!(files_want_an_allocation),
    law!(an_unknown_allocations_files_are_404),
    law!(logs_want_the_right_to_read_them),
];

/// Runs a task that says one line and ends; returns its allocation's ID.
async fn spoken(ground: &Ground) -> Result<String, Broken> {
    let job = given::batch(ground, "once", 0);
    ground.register(&job).await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let over = |allocs: &Value| allocs[0]["ClientStatus"] == "complete";
    let allocs = ground.until("a complete allocation", &path, over).await?;
    Ok(allocs[0]["ID"].as_str().unwrap_or_default().to_owned())
}

async fn an_allocations_folder_is_listed(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let files = ground.read(&format!("client/fs/ls/{id}")).await?;
    let names = texts(&files, "Name");
    for name in ["alloc", "main"] {
        demand!(names.contains(&name), "`{name}` is not in {names:?}");
    }
    let folder = items(&files).iter().find(|file| file["Name"] == "main");
    let is = folder.is_some_and(|file| file["IsDir"] == true);
    demand!(is, "got {files}");
    Ok(())
}

async fn a_file_is_described(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let path = format!("client/fs/stat/{id}?path=alloc/logs/main.stdout.0");
    let file = ground.read(&path).await?;
    demand!(file["Name"] == "main.stdout.0", "got {file}");
    demand!(file["IsDir"] == false, "got {file}");
    demand!(file["Size"].as_u64() > Some(0), "got {file}");
    Ok(())
}

fn logs(id: &str, query: &str) -> String {
    format!("client/fs/logs/{id}?task=main&type=stdout&{query}")
}

async fn a_log_is_read_as_text(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let answer = ground.get(&logs(&id, "plain=true")).await?.status(200)?;
    let text = answer.text();
    demand!(text.contains("exits with 0, as told"), "got `{text}`");
    Ok(())
}

async fn a_log_is_read_in_frames(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let answer = ground.get(&logs(&id, "plain=false")).await?.status(200)?;
    let text = answer.text();
    let frame: Value = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .next()
        .and_then(Result::ok)
        .unwrap_or_default();
    let data = frame["Data"].as_str().unwrap_or_default();
    demand!(!data.is_empty(), "the first frame has no data: `{text}`");
    let file = frame["File"].as_str().unwrap_or_default();
    demand!(file.ends_with("main.stdout.0"), "got {frame}");
    Ok(())
}

async fn a_log_is_read_from_its_end(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let query = "plain=true&origin=end&offset=8";
    let answer = ground.get(&logs(&id, query)).await?.status(200)?;
    let text = answer.text();
    demand!(text.len() == 8 && text.ends_with("told\n"), "got `{text}`");
    ground
        .get(&logs(&id, "plain=true&origin=middle"))
        .await?
        .refuses(400, "origin must be start or end")
}

async fn a_log_wants_a_task_and_a_kind(ground: &Ground) -> Law {
    let id = uuid::Uuid::new_v4();
    ground
        .get(&format!("client/fs/logs/{id}?type=stdout"))
        .await?
        .refuses(400, "must provide task name")?;
    ground
        .get(&format!("client/fs/logs/{id}?task=main"))
        .await?
        .refuses(400, "must provide log type (stdout/stderr)")
}

async fn a_file_is_read_whole_and_in_part(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let file = "path=alloc/logs/main.stdout.0";
    let whole = ground.get(&format!("client/fs/cat/{id}?{file}")).await?;
    let whole = whole.status(200)?.text();
    demand!(whole.contains("as told"), "got `{whole}`");
    let path = format!("client/fs/readat/{id}?{file}&offset=3&limit=5");
    let part = ground.get(&path).await?.status(200)?.text();
    let expected = whole.get(3..8).unwrap_or_default();
    demand!(part == expected, "expected `{expected}`, got `{part}`");
    Ok(())
}

async fn an_unknown_file_is_refused(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let path = format!("client/fs/stat/{id}?path=nothing");
    let answer = ground.get(&path).await?;
    if answer.status == 501 {
        return answer.status(404).map(drop);
    }
    demand!(answer.status >= 400, "got {}", answer.text());
    let text = answer.text();
    demand!(text.contains("no such file"), "got `{text}`");
    Ok(())
}

async fn files_want_an_allocation(ground: &Ground) -> Law {
    ground
        .get("client/fs/ls/")
        .await?
        .refuses(400, "must provide a valid alloc id")
}

async fn an_unknown_allocations_files_are_404(ground: &Ground) -> Law {
    let id = uuid::Uuid::new_v4();
    ground
        .get(&format!("client/fs/ls/{id}"))
        .await?
        .refuses(404, "Unknown allocation")
}

async fn logs_want_the_right_to_read_them(ground: &Ground) -> Law {
    let id = spoken(ground).await?;
    let rules = "namespace \"default\" { capabilities = [\"read-job\"] }";
    let reader = ground.with_rules("reader", rules).await?;
    let asked = crate::nomad::Exchange::new("GET", &logs(&id, "plain=true"));
    let answer = reader.exchange(&asked).await?;
    // The refusal comes by the stream, without a code.
    answer.refuses(500, "Permission denied")
}
