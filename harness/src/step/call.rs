//! Calls the HTTP API as anybody might, with or without token and certificate, and checks the
//! answer: that the right ones are let in and the others are not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Statement, Step, StepError, json_path, with_causes};
use crate::directory::Entry;
use crate::grammar::{Arg, Type};
use crate::nomad::{Api, ApiError, Exchange, Token};
use crate::pick::Pick;
use crate::poll::{self, Look, PollError};
use crate::target::Paper;

/// How long a refusal by TLS may take to be heard clearly: the refusing side closes the
/// connection, and that may overtake its reason.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(200);

pub(super) const FORM: Form = Form {
    name: "call",
    about: "calls the HTTP API of one agent and checks the answer; one try, unless `within` is \
            given",
    label: Label::None,
    args: &[
        Arg::required("path", Type::Text, "as `/v1/jobs?prefix=w`"),
        Arg::optional(
            "method",
            Type::Choice(&["GET", "PUT", "POST", "DELETE"]),
            "`\"GET\"` where it is left out",
        ),
        Arg::optional("body", Type::Json, "what is sent, as JSON"),
        Arg::optional(
            "at",
            Type::Agents,
            "which agent; the first server that no fault touches, where it is left out",
        ),
        Arg::optional(
            "token",
            Type::Choice(&["management", "none", "unknown", "revoked", "global"]),
            "which ACL token is sent: the cluster's, none, one that it never knew, one that it \
             knew and deleted, or a new one that the first region makes for all regions (it is deleted \
             afterwards); `\"management\"` where it is left out",
        ),
        Arg::optional(
            "certificate",
            Type::Choice(&["own", "none", "foreign", "expired", "other-region"]),
            "which certificate is shown: the cluster's, none, one of another authority, one that \
             is over, or one for another region; `\"own\"` where it is left out",
        ),
        Arg::optional(
            "status",
            Type::Count,
            "the HTTP status of the answer; 200 where it is left out",
        ),
        Arg::optional(
            "refused",
            Type::Flag,
            "`true`: the TLS handshake is refused, and there is no answer at all",
        ),
        Arg::optional("contains", Type::Text, "a text that is part of the answer"),
        Arg::optional("check", Type::Paths, "what stands where in the answer"),
        Arg::optional(
            "within",
            Type::Duration,
            "tries again and again for this long",
        ),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"call {
  path  = "/v1/operator/raft/configuration"
  check = { "Servers[*].Voter" = true }
}"#,
    build,
};

/// Which token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenSent {
    /// The cluster's management token.
    Management,
    /// None.
    None,
    /// One that no cluster knows.
    Unknown,
    /// One that the cluster made, and deleted again.
    Revoked,
    /// One that the first region made for all regions.
    Global,
}

/// Which certificate is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certificate {
    /// The one that the cluster's authority signed for this program.
    Own,
    /// None.
    None,
    /// One of another authority.
    Foreign,
    /// One that is over.
    Expired,
    /// One of the cluster's authority for another region.
    OtherRegion,
}

/// A call of the HTTP API, and what is to come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// `GET`, `PUT`, `POST` or `DELETE`.
    pub method: String,
    /// `/v1/jobs`, with its query.
    pub path: String,
    /// What is sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<Value>,
    /// Which agent is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Pick>,
    /// With which token.
    pub token: TokenSent,
    /// With which certificate.
    pub certificate: Certificate,
    /// The HTTP status that is to come; `None` where TLS is to refuse the connection.
    pub status: Option<u16>,
    /// A text that the answer must contain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub contains: Option<String>,
    /// What must stand where in the answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub check: BTreeMap<String, Value>,
    /// For how long it is tried again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub within: Option<Duration>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}`", self.method, self.path)?;
        if let Some(at) = &self.at {
            write!(f, " at {at}")?;
        }
        match self.token {
            TokenSent::Management => {}
            TokenSent::None => f.write_str(" without a token")?,
            TokenSent::Unknown => f.write_str(" with an unknown token")?,
            TokenSent::Revoked => f.write_str(" with a revoked token")?,
            TokenSent::Global => f.write_str(" with a new token for all regions")?,
        }
        match self.certificate {
            Certificate::Own => {}
            Certificate::None => f.write_str(" without a certificate")?,
            Certificate::Foreign => f.write_str(" with another authority's certificate")?,
            Certificate::Expired => f.write_str(" with a certificate that is over")?,
            Certificate::OtherRegion => f.write_str(" with another region's certificate")?,
        }
        match self.status {
            Some(status) => write!(f, " answers {status}"),
            None => f.write_str(" is refused by TLS"),
        }
    }
}

fn build(statement: Statement) -> Step {
    let args = &statement.args;
    let refused = args.opt_flag("refused").unwrap_or(false);
    let status = args.opt_count("status").unwrap_or(200);
    Step::Call(Call {
        method: args.opt_text("method").unwrap_or("GET".to_owned()),
        path: args.text("path"),
        body: args.opt_json("body"),
        at: args.opt_word("at").map(Pick::of),
        token: match args.opt_text("token").as_deref() {
            Some("none") => TokenSent::None,
            Some("unknown") => TokenSent::Unknown,
            Some("revoked") => TokenSent::Revoked,
            Some("global") => TokenSent::Global,
            _ => TokenSent::Management,
        },
        certificate: match args.opt_text("certificate").as_deref() {
            Some("none") => Certificate::None,
            Some("foreign") => Certificate::Foreign,
            Some("expired") => Certificate::Expired,
            Some("other-region") => Certificate::OtherRegion,
            _ => Certificate::Own,
        },
        status: (!refused).then(|| u16::try_from(status).unwrap_or(u16::MAX)),
        contains: args.opt_text("contains"),
        check: args.opt_paths("check").unwrap_or_default(),
        within: args.opt_duration("within"),
    })
}

pub(super) async fn run(scene: &Scene<'_>, call: &Call) -> Result<String, StepError> {
    let entry = whom(scene, call).await?;
    let api = caller(scene, &entry.api, call).await?;
    if call.token != TokenSent::Global {
        return ask(&api, call).await;
    }
    let first = scene.in_first_region();
    let made = write(&first, "making a token", Again::Yes, |api| async move {
        api.make_management_token("for all regions", true).await
    })
    .await?;
    let asked = ask(&api.with_token(made.secret_id), call).await;
    let accessor = &made.accessor_id;
    write(&first, "deleting the token", Again::Yes, |api| async move {
        api.delete_token(accessor).await
    })
    .await?;
    asked
}

/// Calls until the answer is right, if time is given for that.
async fn ask(api: &Api, call: &Call) -> Result<String, StepError> {
    let what = call.to_string();
    let refused = call.status.is_none().then_some(REFUSED_WITHIN);
    let Some(within) = call.within.or(refused) else {
        return match look(api, call).await {
            Look::Done(seen) => Ok(seen),
            Look::NotYet(seen) | Look::Never(seen) => Err(PollError::Hopeless {
                what,
                after: Duration::ZERO,
                seen,
            }
            .into()),
        };
    };
    Ok(poll::eventually(within, INTERVAL, &what, || look(api, call)).await?)
}

async fn whom(scene: &Scene<'_>, call: &Call) -> Result<Entry, StepError> {
    let name = match &call.at {
        Some(pick) => scene.pick(pick).await?.into_iter().next(),
        None => {
            let untouched = scene.untouched();
            let first = untouched.servers().next();
            first.map(|entry| entry.info.name.clone())
        }
    };
    let entry = name.and_then(|name| scene.agents.get(&name).cloned());
    entry.ok_or_else(|| StepError::Inconclusive {
        why: "a fault touches every server: there is none to call".to_owned(),
    })
}

/// Returns a client that shows and sends what the call says.
async fn caller(scene: &Scene<'_>, api: &Api, call: &Call) -> Result<Api, StepError> {
    let paper = match call.certificate {
        Certificate::Own | Certificate::None => None,
        Certificate::Foreign => Some(Paper::Foreign),
        Certificate::Expired => Some(Paper::Expired),
        Certificate::OtherRegion => Some(Paper::OtherRegion),
    };
    let api = match (paper, call.certificate) {
        (Some(paper), _) => {
            let (shown, key) = scene.target.caller_certificate(paper).await?;
            api.showing(Some((&shown, &key))).map_err(ours)?
        }
        (None, Certificate::None) => api.showing(None).map_err(ours)?,
        (None, _) => api.clone(),
    };
    Ok(match call.token {
        TokenSent::Management | TokenSent::Global => api,
        TokenSent::None => api.without_token(),
        TokenSent::Unknown => api.with_token(Token::new(uuid::Uuid::new_v4().to_string())),
        TokenSent::Revoked => api.with_token(revoked(scene).await?),
    })
}

fn ours(error: ApiError) -> StepError {
    StepError::Inconclusive {
        why: with_causes(&error),
    }
}

/// Makes a management token and deletes it.
async fn revoked(scene: &Scene<'_>) -> Result<Token, StepError> {
    let made = write(scene, "making a token", Again::Yes, |api| async move {
        api.make_management_token("to be revoked", false).await
    })
    .await?;
    let accessor = &made.accessor_id;
    write(scene, "revoking the token", Again::Yes, |api| async move {
        api.delete_token(accessor).await
    })
    .await?;
    Ok(made.secret_id)
}

async fn look(api: &Api, call: &Call) -> Look<String> {
    let path = call.path.trim_start_matches("/v1/");
    let method = match call.method.as_str() {
        "PUT" => "PUT",
        "POST" => "POST",
        "DELETE" => "DELETE",
        _ => "GET",
    };
    let asked = Exchange::new(method, path);
    let asked = match &call.body {
        Some(body) => asked.json(body),
        None => asked,
    };
    match api.exchange(&asked).await {
        Ok(answer) => judge(call, answer.status, &String::from_utf8_lossy(&answer.body)),
        Err(error) if call.status.is_none() && is_refusal(&error) => Look::Done(error.to_string()),
        Err(error) => Look::failed(&error),
    }
}

/// Only the other side's own word counts: a connection that merely broke refuses nobody.
fn is_refusal(error: &ApiError) -> bool {
    matches!(error, ApiError::Unreachable { reason, .. } | ApiError::Broken { reason, .. }
        if reason.contains("fatal alert"))
}

fn judge(call: &Call, status: u16, body: &str) -> Look<String> {
    let shown: String = body.trim().chars().take(200).collect();
    let Some(wanted) = call.status else {
        return Look::Never(format!("it was answered: HTTP {status}: {shown}"));
    };
    if status != wanted {
        return Look::NotYet(format!("HTTP {status}: {shown}"));
    }
    if let Some(text) = call.contains.as_ref().filter(|text| !body.contains(*text)) {
        return Look::NotYet(format!("`{text}` is not in the answer: {shown}"));
    }
    if call.check.is_empty() {
        return Look::Done(format!("HTTP {status}"));
    }
    let reply: Value = match serde_json::from_str(body) {
        Ok(reply) => reply,
        Err(error) => return Look::NotYet(format!("the answer is no JSON ({error}): {shown}")),
    };
    let wrong: Vec<_> = call
        .check
        .iter()
        .filter_map(|(path, wanted)| json_path::compare(&reply, path, wanted).err())
        .collect();
    if wrong.is_empty() {
        Look::Done(format!("HTTP {status}, {} checks hold", call.check.len()))
    } else {
        Look::NotYet(wrong.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(status: Option<u16>) -> Call {
        Call {
            method: "GET".into(),
            path: "/v1/jobs".into(),
            body: None,
            at: None,
            token: TokenSent::None,
            certificate: Certificate::Own,
            status,
            contains: Some("denied".into()),
            check: BTreeMap::new(),
            within: None,
        }
    }

    #[test]
    fn the_status_and_the_text_must_be_those_expected() {
        let wanted = call(Some(403));
        assert!(matches!(
            judge(&wanted, 403, "Permission denied"),
            Look::Done(_)
        ));
        assert!(matches!(
            judge(&wanted, 200, "Permission denied"),
            Look::NotYet(_)
        ));
        assert!(matches!(judge(&wanted, 403, "no"), Look::NotYet(_)));
    }

    #[test]
    fn whoever_was_to_be_refused_and_got_an_answer_was_not() {
        assert!(matches!(judge(&call(None), 403, "denied"), Look::Never(_)));
    }
}
