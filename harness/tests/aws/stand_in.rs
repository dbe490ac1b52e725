//! Answers that moto does not give.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

#[derive(Default)]
struct Role {
    ids: Vec<String>,
    journal: Option<PathBuf>,
    refusal: Option<(String, String)>,
    failure: Option<(i64, String)>,
    hangs: bool,
    scripts: Vec<(String, String)>,
}

/// A service on loopback.
#[derive(Clone)]
pub struct StandIn {
    port: u16,
    role: Arc<Mutex<Role>>,
}

impl StandIn {
    /// Systems Manager, which reaches these machines and says of every script that it ran. It looks
    /// at the journal whenever a script comes.
    pub async fn systems_manager(ids: &[String], journal: Option<PathBuf>) -> Self {
        Self::serve(Role {
            ids: ids.to_vec(),
            journal,
            ..Role::default()
        })
        .await
    }

    /// Any service, which says no.
    pub async fn refusing(code: &str, message: &str) -> Self {
        let refusal = Some((code.to_owned(), message.to_owned()));
        Self::serve(Role {
            refusal,
            ..Role::default()
        })
        .await
    }

    async fn serve(role: Role) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let role = Arc::new(Mutex::new(role));
        let router = Router::new().fallback(answer).with_state(role.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, role }
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The scripts that came, each with what the journal held then.
    pub fn scripts(&self) -> Vec<(String, String)> {
        self.role.lock().unwrap().scripts.clone()
    }

    /// Refuses scripts from now on.
    pub fn refuse(&self, code: &str, message: &str) {
        self.role.lock().unwrap().refusal = Some((code.to_owned(), message.to_owned()));
    }

    /// Takes scripts from now on and never answers, or answers again.
    pub fn hang(&self, hangs: bool) {
        self.role.lock().unwrap().hangs = hangs;
    }

    /// Says of scripts that they failed, from now on.
    pub fn fail(&self, code: i64, said: &str) {
        self.role.lock().unwrap().failure = Some((code, said.to_owned()));
    }
}

async fn answer(
    State(role): State<Arc<Mutex<Role>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let (hangs, answered) = said(&role, &headers, &body);
    if hangs {
        std::future::pending::<()>().await;
    }
    answered
}

/// Whether to stay silent, and what to say otherwise.
fn said(role: &Mutex<Role>, headers: &HeaderMap, body: &str) -> (bool, (StatusCode, String)) {
    let mut role = role.lock().unwrap();
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let no = |code: &str, message: &str| {
        let text = match target {
            Some(_) => json!({ "__type": code, "message": message }).to_string(),
            None => format!(
                "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            ),
        };
        (StatusCode::BAD_REQUEST, text)
    };
    let asked: Value = serde_json::from_str(body).unwrap_or_default();
    let sends = target == Some("AmazonSSM.SendCommand");
    let answered = match (target.unwrap_or_default(), role.refusal.clone()) {
        ("AmazonSSM.DescribeInstanceInformation", _) => {
            let online = role
                .ids
                .iter()
                .map(|id| json!({ "InstanceId": id, "PingStatus": "Online" }));
            let list: Vec<Value> = online.collect();
            (
                StatusCode::OK,
                json!({ "InstanceInformationList": list }).to_string(),
            )
        }
        (_, Some((code, message))) => no(&code, &message),
        ("AmazonSSM.SendCommand", None) => {
            let lines = asked["Parameters"]["commands"].as_array().unwrap();
            let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
            let journal = role.journal.as_ref().map(std::fs::read_to_string);
            let journal = journal.and_then(Result::ok).unwrap_or_default();
            role.scripts.push((lines.join("\n"), journal));
            (
                StatusCode::OK,
                json!({ "Command": { "CommandId": "c-1" } }).to_string(),
            )
        }
        ("AmazonSSM.GetCommandInvocation", None) => {
            let (code, said) = role.failure.clone().unwrap_or_default();
            let status = if code == 0 { "Success" } else { "Failed" };
            let text = json!({
                "Status": status, "ResponseCode": code,
                "StandardOutputContent": "", "StandardErrorContent": said,
            });
            (StatusCode::OK, text.to_string())
        }
        _ => no("InvalidAction", "no such call here"),
    };
    (sends && role.hangs, answered)
}
