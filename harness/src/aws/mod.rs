//! A small client of AWS: the few calls of EC2, Systems Manager and STS that a live cluster's target
//! needs. Requests are signed here (Signature Version 4); what is throttled or fails on AWS's side is
//! tried again, with growing pauses, up to a bound.
//!
//! Why not AWS's own kit: its EC2 crate takes nine minutes and eight gigabytes to build.
//!
//! Missing: roles to assume and single sign-on (their keys are had by `aws configure
//! export-credentials`), credentials of containers, FIPS and dual-stack endpoints.

mod credentials;
mod ec2;
mod error;
mod ssm;
mod sts;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

use agent::cloud::sign;

use crate::environment::AwsEnvironment;
use crate::poll;

pub use credentials::{Credentials, CredentialsError};
pub use ec2::{Instance, InstanceState};
pub use error::AwsError;
pub use ssm::Invocation;
pub use sts::Caller;

use wire::{Answer, Wire};

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Machines.
    Ec2,
    /// Commands on machines.
    Ssm,
    /// Who one is.
    Sts,
}

impl Service {
    /// Returns its name in addresses and signatures.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Ssm => "ssm",
            Self::Sts => "sts",
        }
    }
}

/// How often, and after which pauses, what failed for a passing reason is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Attempts in all.
    pub attempts: u32,
    /// The first pause; each further one is up to twice as long.
    pub pause: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Patience {
    /// AWS's own tools make 3 attempts, or more in their adaptive mode; EC2's buckets refill within
    /// seconds.
    fn default() -> Self {
        Self {
            attempts: 8,
            pause: Duration::from_millis(250),
            longest: Duration::from_secs(8),
        }
    }
}

/// A client of AWS in one region.
pub struct Aws {
    wire: Wire,
    environment: AwsEnvironment,
    region: String,
    patience: Patience,
    credentials: tokio::sync::Mutex<Option<Credentials>>,
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Aws {
    /// Makes a client; connects nowhere yet.
    ///
    /// # Errors
    /// [`AwsError::Client`].
    pub fn new(
        environment: &AwsEnvironment,
        region: &str,
        patience: Patience,
    ) -> Result<Self, AwsError> {
        let attempts = environment.max_attempts.unwrap_or(patience.attempts);
        Ok(Self {
            wire: Wire::new(environment)?,
            environment: environment.clone(),
            region: region.to_owned(),
            patience: Patience {
                attempts,
                ..patience
            },
            credentials: tokio::sync::Mutex::default(),
        })
    }

    /// Returns the region that is asked.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns where a service is.
    #[must_use]
    pub fn endpoint(&self, service: Service) -> String {
        let word = service.word();
        let given = self.environment.endpoints.get(word);
        match given.or(self.environment.endpoint.as_ref()) {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let suffix = if self.region.starts_with("cn-") {
                    "amazonaws.com.cn"
                } else {
                    "amazonaws.com"
                };
                format!("https://{word}.{}.{suffix}", self.region)
            }
        }
    }

    /// Returns the credentials, read once and again when they are about to end.
    async fn credentials(&self) -> Result<Credentials, AwsError> {
        let mut kept = self.credentials.lock().await;
        if let Some(credentials) = kept.as_ref().filter(|kept| !kept.ends_soon()) {
            return Ok(credentials.clone());
        }
        let found = credentials::find(&self.environment, &self.wire).await?;
        *kept = Some(found.clone());
        Ok(found)
    }

    /// Makes a call of the Query protocol (EC2, STS), and returns the XML.
    async fn query(
        &self,
        service: Service,
        action: &str,
        parameters: &[(String, String)],
    ) -> Result<String, AwsError> {
        let version = match service {
            Service::Sts => "2011-06-15",
            _ => "2016-11-15",
        };
        let head = [("Action", action), ("Version", version)];
        let head = head.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let body = head
            .iter()
            .chain(parameters)
            .map(|(key, value)| format!("{}={}", sign::escaped(key), sign::escaped(value)))
            .collect::<Vec<_>>()
            .join("&");
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = [("content-type", form.to_owned())];
        self.call(service, action, &headers, &body).await
    }

    /// Makes a call of Systems Manager, and returns the JSON.
    async fn json(
        &self,
        action: &str,
        body: &serde_json::Value,
    ) -> Result<serde_json::Value, AwsError> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("AmazonSSM.{action}")),
        ];
        let text = self
            .call(Service::Ssm, action, &headers, &body.to_string())
            .await?;
        serde_json::from_str(&text).map_err(|error| AwsError::Unreadable {
            action: action.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Signs and sends a request until it is answered for good.
    async fn call(
        &self,
        service: Service,
        action: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Result<String, AwsError> {
        let endpoint = self.endpoint(service);
        let mut pause = self.patience.pause;
        let mut tries = 0;
        loop {
            tries += 1;
            let credentials = self.credentials().await?;
            let answered = self
                .wire
                .post(
                    &endpoint,
                    service,
                    &self.region,
                    &credentials,
                    headers,
                    body,
                )
                .await;
            let error = match answered {
                Ok(Answer { status, text }) if (200..300).contains(&status) => return Ok(text),
                Ok(answer) => self.refusal(service, action, &answer, tries),
                Err(reason) => AwsError::Unreachable {
                    action: action.to_owned(),
                    endpoint: endpoint.clone(),
                    reason,
                    tries,
                },
            };
            if !error.is_passing() || tries >= self.patience.attempts {
                return Err(error);
            }
            tracing::debug!(%error, "trying again");
            // Not all at once: what was throttled together would be throttled together again.
            let part = 0.5 + rand::random::<f64>() / 2.0;
            poll::rest(pause.mul_f64(part)).await;
            pause = (pause * 2).min(self.patience.longest);
        }
    }

    fn refusal(&self, service: Service, action: &str, answer: &Answer, tries: u32) -> AwsError {
        let (code, message) = error::code_and_message(answer);
        AwsError::Refused {
            service,
            action: action.to_owned(),
            region: self.region.clone(),
            status: answer.status,
            code,
            message,
            tries,
        }
    }
}
