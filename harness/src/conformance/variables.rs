//! Variables.

use serde_json::{Value, json};

use super::answer::{Expect as _, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::ground::Ground;
use crate::nomad::{Answer, Exchange};

const SECTION: &str = "Variables";

pub(super) const CASES: &[Case] = &[
    law!(a_variable_is_written_and_read).since(1, 4, 0),
    law!(an_unknown_variable_is_404).since(1, 4, 0),
    law!(variables_are_listed_without_their_values).since(1, 4, 0),
    law!(a_variable_is_changed_only_at_its_index).since(1, 4, 0),
    law!(a_deleted_variable_is_gone).since(1, 4, 0),
    law!(a_variable_holds_something).since(1, 4, 0),
    law!(variables_want_rights_of_their_own).since(1, 4, 0),
];

async fn set(ground: &Ground, value: &str, query: &str) -> Result<Answer, Broken> {
    let path = ground.named("var");
    ground.at_the_end(Exchange::new("DELETE", &format!("var/{path}")));
    let body = json!({ "Path": path, "Items": { "key": value } });
    ground.put(&format!("var/{path}{query}"), &body).await
}

async fn a_variable_is_written_and_read(ground: &Ground) -> Law {
    let written = set(ground, "secret", "").await?.value()?;
    let keys = [
        "Namespace",
        "Path",
        "CreateIndex",
        "ModifyIndex",
        "CreateTime",
        "ModifyTime",
    ];
    let lacking = lacks(&written, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {written}");
    let seen = ground.read(&format!("var/{}", ground.named("var"))).await?;
    demand!(seen["Items"]["key"] == "secret", "got {seen}");
    Ok(())
}

async fn an_unknown_variable_is_404(ground: &Ground) -> Law {
    let path = format!("var/{}", ground.named("none"));
    ground.get(&path).await?.refuses(404, "variable not found")
}

async fn variables_are_listed_without_their_values(ground: &Ground) -> Law {
    set(ground, "secret", "").await?.good()?;
    let list = ground
        .read(&format!("vars?prefix={}", ground.named("")))
        .await?;
    demand!(texts(&list, "Path") == [ground.named("var")], "got {list}");
    demand!(list[0].get("Items").is_none(), "the values are shown");
    Ok(())
}

async fn a_variable_is_changed_only_at_its_index(ground: &Ground) -> Law {
    let first = set(ground, "one", "?cas=0").await?.value()?;
    let conflict: Value = {
        let answer = set(ground, "two", "?cas=0").await?.status(409)?;
        serde_json::from_slice(&answer.body).unwrap_or_default()
    };
    demand!(conflict["Items"]["key"] == "one", "got {conflict}");
    let query = format!("?cas={}", first["ModifyIndex"]);
    let second = set(ground, "two", &query).await?.value()?;
    let rose = second["ModifyIndex"].as_u64() > first["ModifyIndex"].as_u64();
    demand!(rose, "got {second}");
    Ok(())
}

async fn a_deleted_variable_is_gone(ground: &Ground) -> Law {
    set(ground, "one", "").await?.good()?;
    let path = format!("var/{}", ground.named("var"));
    ground.delete(&path).await?.status(204)?;
    ground.get(&path).await?.status(404).map(drop)
}

async fn a_variable_holds_something(ground: &Ground) -> Law {
    let path = ground.named("var");
    let body = json!({ "Path": path, "Items": {} });
    let answer = ground.put(&format!("var/{path}"), &body).await?;
    answer.status(400).map(drop)
}

async fn variables_want_rights_of_their_own(ground: &Ground) -> Law {
    set(ground, "one", "").await?.good()?;
    let path = ground.named("var");
    let asked = Exchange::new("GET", &format!("var/{path}"));
    let reader = ground
        .with_rules("jobs", "namespace \"default\" { policy = \"read\" }")
        .await?;
    reader.exchange(&asked).await?.status(403)?;
    let rules = format!(
        "namespace \"default\" {{\n  variables {{\n    path \"{path}\" {{\n      \
         capabilities = [\"read\"]\n    }}\n  }}\n}}"
    );
    let allowed = ground.with_rules("vars", &rules).await?;
    allowed.exchange(&asked).await?.good()
}
