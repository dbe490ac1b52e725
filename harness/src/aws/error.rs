//! What AWS says no with, and what the reader can do about it.

use super::Service;
use super::credentials::CredentialsError;
use super::wire::Answer;

/// A call to AWS did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// No client could be made.
    #[error("cannot make a client for AWS: {reason}")]
    Client {
        /// Why.
        reason: String,
    },
    /// There are no credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Nobody answered.
    #[error("`{action}`: no answer from {endpoint} after {tries} attempts: {reason}")]
    Unreachable {
        /// The call.
        action: String,
        /// Where.
        endpoint: String,
        /// The innermost cause.
        reason: String,
        /// Attempts made.
        tries: u32,
    },
    /// AWS said no.
    #[error("AWS refused `{action}` in `{region}`: {message} ({code}, HTTP {status}{})", attempts(*.tries))]
    Refused {
        /// Which service.
        service: Service,
        /// The call.
        action: String,
        /// Where.
        region: String,
        /// HTTP status.
        status: u16,
        /// AWS's code, as `UnauthorizedOperation`.
        code: String,
        /// AWS's words.
        message: String,
        /// Attempts made.
        tries: u32,
    },
    /// The answer is not what AWS's documentation promises.
    #[error("the answer to `{action}` cannot be read: {reason}")]
    Unreadable {
        /// The call.
        action: String,
        /// What is wrong.
        reason: String,
    },
}

fn attempts(tries: u32) -> String {
    if tries > 1 {
        format!(", after {tries} attempts")
    } else {
        String::new()
    }
}

/// Codes of what passes by itself: too many requests, or trouble of AWS's own.
const PASSING: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
    "RequestTimeout",
    "InternalError",
    "InternalFailure",
    "ServiceUnavailable",
    "Unavailable",
];

impl AwsError {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // 501: what stands for AWS does not have it.
            Self::Refused { status, code, .. } => {
                PASSING.contains(&code.as_str())
                    || *status == 429
                    || (*status >= 500 && *status != 501 && code != "NotImplemented")
            }
            _ => false,
        }
    }

    /// Returns AWS's code, if AWS answered.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether an instance is not there, or not of this account and region.
    #[must_use]
    pub fn is_no_such_instance(&self) -> bool {
        self.code()
            .is_some_and(|code| code.starts_with("InvalidInstanceID"))
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let (service, action, region, code) = match self {
            Self::Refused {
                service,
                action,
                region,
                code,
                ..
            } => (service, action, region, code.as_str()),
            Self::Credentials(error) => return error.hint(),
            Self::Unreachable { .. } => {
                return Some(
                    "the region's name, the network, AWS_ENDPOINT_URL and HTTPS_PROXY decide whom \
                     it asks"
                        .to_owned(),
                );
            }
            Self::Client { .. } | Self::Unreadable { .. } => return None,
        };
        Some(match code {
            "ExpiredToken" | "ExpiredTokenException" => {
                "the credentials have ended: aws sso login, or get new keys, and run it again"
                    .to_owned()
            }
            "RequestExpired" | "RequestTimeTooSkewed" => {
                "timedatectl    # this machine's clock is not AWS's".to_owned()
            }
            "AuthFailure" | "InvalidClientTokenId" | "UnrecognizedClientException"
            | "SignatureDoesNotMatch" | "IncompleteSignature" => {
                "aws sts get-caller-identity    # AWS does not know these keys; in a region that the \
                 account has not turned on it says the same"
                    .to_owned()
            }
            "OptInRequired" => format!("the account has not turned on `{region}`"),
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => format!(
                "the identity needs the permission `{}:{action}`: docs/aws.md has a policy",
                service.word()
            ),
            "IncorrectInstanceState" | "IncorrectState" => {
                "the machine is on its way to another state: run it again in a minute".to_owned()
            }
            "InsufficientInstanceCapacity" => {
                "AWS has no such machine left in that zone just now: rehearse heal again later"
                    .to_owned()
            }
            "InvalidInstanceId" => {
                "Systems Manager does not know the machine: its agent, its role \
                 (AmazonSSMManagedInstanceCore) or its way out is missing"
                    .to_owned()
            }
            code if code.starts_with("InvalidInstanceID") => format!(
                "the machine is not in `{region}` of this account: terraform plan says whether it \
                 still is, aws sts get-caller-identity who asks"
            ),
            _ if self.is_passing() => "AWS is busy: run it again in a minute".to_owned(),
            _ => return None,
        })
    }
}

/// Reads which error an answer is, in whichever form.
pub(super) fn code_and_message(answer: &Answer) -> (String, String) {
    from_json(&answer.text)
        .or_else(|| from_xml(&answer.text))
        .unwrap_or_else(|| {
            let words: Vec<&str> = answer.text.split_whitespace().collect();
            let text: String = words.join(" ").chars().take(200).collect();
            ("no code".to_owned(), text)
        })
}

fn from_json(text: &str) -> Option<(String, String)> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let code = value.get("__type")?.as_str()?;
    let code = code.rsplit('#').next().unwrap_or(code).to_owned();
    let words = value.get("message").or_else(|| value.get("Message"));
    let words = words
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    Some((code, shortened(words)))
}

fn from_xml(text: &str) -> Option<(String, String)> {
    let document = roxmltree::Document::parse(text).ok()?;
    let error = document
        .descendants()
        .find(|node| node.has_tag_name("Error") || node.tag_name().name() == "Error")?;
    let part = |name: &str| {
        let found = error.children().find(|node| node.tag_name().name() == name);
        found
            .and_then(|node| node.text())
            .unwrap_or_default()
            .trim()
    };
    Some((part("Code").to_owned(), shortened(part("Message"))))
}

/// A refused operation comes with kilobytes of what only `aws sts decode-authorization-message` reads.
fn shortened(message: &str) -> String {
    let plain = message
        .split("Encoded authorization failure message")
        .next();
    plain
        .unwrap_or(message)
        .trim()
        .trim_end_matches('.')
        .to_owned()
}
