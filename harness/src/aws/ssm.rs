//! Commands on machines, by Systems Manager.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Aws, AwsError};

/// How a command on a machine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// `Pending`, `InProgress`, `Success`, `Failed`, `TimedOut`, ...
    pub status: String,
    /// The script's exit code; -1 while it runs.
    pub code: i64,
    /// The start of what it printed (24,000 characters).
    pub output: String,
    /// The start of what it complained of.
    pub errors: String,
}

impl Invocation {
    /// Whether it has ended, well or not.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !["Pending", "InProgress", "Delayed", "Cancelling"].contains(&self.status.as_str())
    }
}

impl Aws {
    /// Returns which of these machines Systems Manager reaches now.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn reached_by_ssm(&self, ids: &[String]) -> Result<BTreeSet<String>, AwsError> {
        let filter = json!([{ "Key": "InstanceIds", "Values": ids }]);
        let mut body = json!({ "Filters": filter, "MaxResults": 50 });
        let mut online = BTreeSet::new();
        loop {
            let page = self.json("DescribeInstanceInformation", &body).await?;
            let listed = page["InstanceInformationList"].as_array();
            let up = listed
                .into_iter()
                .flatten()
                .filter(|one| one["PingStatus"] == "Online")
                .filter_map(|one| one["InstanceId"].as_str());
            online.extend(up.map(str::to_owned));
            match page["NextToken"].as_str() {
                Some(token) if !token.is_empty() => body["NextToken"] = token.into(),
                _ => return Ok(online),
            }
        }
    }

    /// Has a machine run a shell script as root; returns the command's ID.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn send_command(
        &self,
        id: &str,
        script: &str,
        seconds: u64,
    ) -> Result<String, AwsError> {
        let body = json!({
            "InstanceIds": [id],
            "DocumentName": "AWS-RunShellScript",
            "Comment": "rehearse",
            // How long it may wait for the machine to take it; AWS's least is 30.
            "TimeoutSeconds": seconds.max(30),
            "Parameters": {
                "commands": script.lines().collect::<Vec<_>>(),
                "executionTimeout": [seconds.to_string()],
            },
        });
        let answer = self.json("SendCommand", &body).await?;
        let command = answer["Command"]["CommandId"].as_str();
        command
            .map(str::to_owned)
            .ok_or_else(|| AwsError::Unreadable {
                action: "SendCommand".to_owned(),
                reason: "no `CommandId`".to_owned(),
            })
    }

    /// Returns how a command stands; `None` while Systems Manager does not yet know of it.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn command(&self, command: &str, id: &str) -> Result<Option<Invocation>, AwsError> {
        let body = json!({ "CommandId": command, "InstanceId": id });
        match self.json("GetCommandInvocation", &body).await {
            Ok(answer) => Ok(Some(invocation(&answer))),
            Err(error) if error.code() == Some("InvocationDoesNotExist") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn invocation(answer: &Value) -> Invocation {
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    Invocation {
        status: text("Status"),
        code: answer["ResponseCode"].as_i64().unwrap_or(-1),
        output: text("StandardOutputContent"),
        errors: text("StandardErrorContent"),
    }
}
