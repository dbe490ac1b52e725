//! Who gets in: certificates.

use time::OffsetDateTime;

use super::answer::Expect as _;
use super::case::{Broken, Case, Law, demand, law};
use super::ground::Ground;
use crate::nomad::{Api, ApiConfig, ApiError, Exchange};
use crate::spec::Role;
use crate::tls::Authority;

const SECTION: &str = "TLS";

pub(super) const CASES: &[Case] = &[
    law!(the_api_speaks_tls_only),
    law!(nobody_without_a_certificate_gets_in),
    law!(nobody_with_another_authoritys_certificate_gets_in),
    law!(an_agents_certificate_is_the_authoritys),
    law!(a_client_agent_asks_for_a_certificate_too),
];

/// Asks an agent with what is given, and says what came of it.
async fn ask(config: ApiConfig) -> Result<u16, ApiError> {
    let asked = Exchange::new("GET", "status/leader");
    Ok(Api::new(config)?.exchange(&asked).await?.status)
}

fn config(ground: &Ground, role: Role) -> Result<ApiConfig, Broken> {
    if ground.authority.is_empty() {
        return Err(Broken::new("the cluster's authority is not known"));
    }
    Ok(ApiConfig {
        addr: ground.first(role)?.info.api_addr.clone(),
        ca_pem: ground.authority.clone(),
        cert_pem: String::new(),
        key_pem: String::new(),
        token: None,
    })
}

fn stranger(ground: &Ground) -> Result<Authority, Broken> {
    let made = Authority::new(&ground.region, OffsetDateTime::now_utc());
    made.map_err(|error| Broken::new(error.to_string()))
}

fn shut_out(outcome: Result<u16, ApiError>) -> Law {
    match outcome {
        Err(ApiError::Unreachable { .. } | ApiError::Broken { .. }) => Ok(()),
        Err(error) => Err(Broken::from(error)),
        Ok(status) => Err(Broken::new(format!("it was answered with HTTP {status}"))),
    }
}

async fn the_api_speaks_tls_only(ground: &Ground) -> Law {
    let secure = config(ground, Role::Server)?;
    let addr = secure.addr.replace("https://", "http://");
    let plain = ApiConfig { addr, ..secure };
    let asked = Exchange::new("GET", "status/leader");
    let answer = Api::new(plain)?.exchange(&asked).await?;
    answer.refuses(400, "Client sent an HTTP request to an HTTPS server")
}

async fn nobody_without_a_certificate_gets_in(ground: &Ground) -> Law {
    shut_out(ask(config(ground, Role::Server)?).await)
}

async fn nobody_with_another_authoritys_certificate_gets_in(ground: &Ground) -> Law {
    let leaf = stranger(ground)?.cli_leaf();
    let leaf = leaf.map_err(|error| Broken::new(error.to_string()))?;
    let with_leaf = ApiConfig {
        cert_pem: leaf.certificate,
        key_pem: leaf.key,
        ..config(ground, Role::Server)?
    };
    shut_out(ask(with_leaf).await)
}

async fn an_agents_certificate_is_the_authoritys(ground: &Ground) -> Law {
    let believed = config(ground, Role::Server)?;
    let other = stranger(ground)?.pair().certificate.clone();
    let outcome = ask(ApiConfig {
        ca_pem: other,
        ..believed
    })
    .await;
    let text = outcome.err().map(|error| error.to_string());
    let text = text.unwrap_or_default().to_lowercase();
    let doubted = text.contains("certificate") || text.contains("unknownissuer");
    demand!(doubted, "another authority was believed: {text}");
    Ok(())
}

async fn a_client_agent_asks_for_a_certificate_too(ground: &Ground) -> Law {
    shut_out(ask(config(ground, Role::Client)?).await)
}
