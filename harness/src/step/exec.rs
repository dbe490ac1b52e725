//! Runs a command in an agent's container: whatever an operator would look at there.

use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};
use crate::pick::Pick;

pub(super) const FORM: Form = Form {
    name: "exec",
    about: "runs a command in an agent's container, without a shell, and checks how it ends",
    label: Label::None,
    args: &[
        Arg::required("on", Type::Agents, "beside whom"),
        Arg::required("command", Type::Words, "the program and its arguments"),
        Arg::optional(
            "exit_code",
            Type::Count,
            "the exit code that it must end with; 0 where it is left out",
        ),
        Arg::optional("contains", Type::Text, "a text that it must print"),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"exec {
  on       = leader
  command  = ["/usr/local/bin/rehearse-agent", "net", "state"]
  contains = "route"
}"#,
    build: |statement| Step::Exec {
        on: Pick::of(statement.args.word("on")),
        command: statement.args.words("command"),
        exit_code: i64::try_from(statement.args.opt_count("exit_code").unwrap_or(0))
            .unwrap_or(i64::MAX),
        contains: statement.args.opt_text("contains"),
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    on: &Pick,
    command: &[String],
    exit_code: i64,
    contains: Option<&str>,
) -> Result<String, StepError> {
    let picked = scene.pick(on).await?;
    for agent in &picked {
        let called = scene.target.called(agent);
        let said = scene.target.exec(agent, command).await?;
        let shown: String = said.text.trim().chars().take(200).collect();
        if said.code != exit_code {
            return Err(StepError::Failed {
                why: format!("on {called} it ended with exit code {}: {shown}", said.code),
                timed: false,
            });
        }
        if let Some(text) = contains.filter(|text| !said.text.contains(*text)) {
            return Err(StepError::Failed {
                why: format!("on {called} it did not print `{text}`, but: {shown}"),
                timed: false,
            });
        }
    }
    let words: Vec<_> = picked.iter().map(|name| format!("`{name}`")).collect();
    Ok(format!("ended with {exit_code} on {}", words.join(", ")))
}
