//! The instance metadata service, as far as discovery and scripts ask it (AWS, "Use the Instance Metadata
//! Service"): tokens, the identity document, the role's keys, and what a machine is. All else is 404, as there.

use axum::http::{Method, StatusCode};

use super::serve::{Answer, Asked, Responder, Session};
use super::{ACCOUNT, Machine};
use crate::clock;

/// Longest life of a token in seconds (6 hours).
const TOKEN_LIFE_MAX: u32 = 21_600;
/// How long keys are said to be good for: as on AWS, about six hours.
const KEYS_LIFE_SECS: i64 = 21_600;

const TOKEN_LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

pub(super) fn answer(
    responder: &Responder,
    machine: &Machine,
    session: &Session,
    asked: &Asked,
) -> Answer {
    if !machine.metadata {
        return Answer::text(StatusCode::FORBIDDEN, "").with_log("`http_endpoint` is `disabled`");
    }
    let path = asked.uri.path();
    if path == "/latest/api/token" {
        return token(responder, asked);
    }
    if asked.method != Method::GET {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    match asked.headers.get(TOKEN).map(|value| value.to_str()) {
        Some(Ok(token)) if responder.knows_token(token) => {}
        Some(_) => {
            return Answer::text(StatusCode::UNAUTHORIZED, "")
                .with_log("the token is none of this service's");
        }
        None if machine.tokens => {
            return Answer::text(StatusCode::UNAUTHORIZED, "")
                .with_log("version 1, and `http_tokens` is `required`");
        }
        None => {}
    }
    match told(responder, machine, session, path) {
        Some(text) => Answer::text(StatusCode::OK, text),
        None => Answer::text(StatusCode::NOT_FOUND, ""),
    }
}

fn token(responder: &Responder, asked: &Asked) -> Answer {
    if asked.method != Method::PUT {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    if asked.headers.contains_key("x-forwarded-for") {
        return Answer::text(StatusCode::FORBIDDEN, "").with_log("it came by a proxy");
    }
    let life = asked.headers.get(TOKEN_LIFE);
    let life = life.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    match life.filter(|life| (1..=TOKEN_LIFE_MAX).contains(life)) {
        Some(life) => Answer {
            extra: Some((TOKEN_LIFE, life.to_string())),
            ..Answer::text(StatusCode::OK, responder.new_token())
        },
        None => Answer::text(StatusCode::BAD_REQUEST, "").with_log(format!("no `{TOKEN_LIFE}`")),
    }
}

/// The text at a path.
fn told(responder: &Responder, machine: &Machine, session: &Session, path: &str) -> Option<String> {
    let region = &responder.cloud.region;
    let path = path.strip_prefix("/latest/")?.trim_end_matches('/');
    if path == "dynamic/instance-identity/document" {
        return Some(document(machine, region));
    }
    let path = path.strip_prefix("meta-data")?.trim_start_matches('/');
    let host = format!("ip-{}", machine.address.to_string().replace('.', "-"));
    let name = format!("{host}.{region}.compute.internal");
    let text = match path {
        "" => {
            let roles = machine.role.as_ref().map_or("", |_| "iam/\n");
            return Some(format!(
                "ami-id\nhostname\n{roles}instance-id\ninstance-type\nlocal-hostname\nlocal-ipv4\nplacement/"
            ));
        }
        "ami-id" => machine.image.clone(),
        "hostname" | "local-hostname" => name,
        "instance-id" => machine.id(),
        "instance-type" => machine.instance_type.clone(),
        "local-ipv4" => machine.address.to_string(),
        "placement" => "availability-zone\nregion".to_owned(),
        "placement/availability-zone" => machine.zone.clone(),
        "placement/region" => region.clone(),
        "iam" => machine
            .role
            .as_ref()
            .map(|_| "security-credentials/".to_owned())?,
        "iam/security-credentials" => machine.role.clone()?,
        _ => {
            let asked = path.strip_prefix("iam/security-credentials/")?;
            let role = machine.role.as_deref()?;
            return (asked == role).then(|| keys(session));
        }
    };
    Some(text)
}

fn document(machine: &Machine, region: &str) -> String {
    let document = serde_json::json!({
        "accountId": ACCOUNT,
        "architecture": machine.architecture,
        "availabilityZone": machine.zone,
        "imageId": machine.image,
        "instanceId": machine.id(),
        "instanceType": machine.instance_type,
        "privateIp": machine.address.to_string(),
        "region": region,
        "version": "2017-09-30",
    });
    format!("{document:#}")
}

fn keys(session: &Session) -> String {
    let now = clock::now();
    let secs = |secs: i64| format!("{}Z", &clock::rfc3339(now + secs * 1_000_000_000)[..19]);
    let keys = serde_json::json!({
        "Code": "Success",
        "LastUpdated": secs(0),
        "Type": "AWS-HMAC",
        "AccessKeyId": session.id,
        "SecretAccessKey": session.secret,
        "Token": session.token,
        "Expiration": secs(KEYS_LIFE_SECS),
    });
    format!("{keys:#}")
}
