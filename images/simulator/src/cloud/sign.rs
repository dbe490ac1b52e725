//! AWS's Signature Version 4, as its documentation has it ("Create a signed AWS API request"): made, and looked
//! at.

use std::fmt::Write as _;

use axum::http::HeaderMap;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// How a signature is made: the one way.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What one signs with. Never printed.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The access key's ID.
    pub id: &'a str,
    /// The secret.
    pub secret: &'a str,
    /// The session's token, of keys that end.
    pub token: Option<&'a str>,
}

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`.
    pub method: &'a str,
    /// As the header has it: with the port where it is not the usual one.
    pub host: &'a str,
    /// Already escaped.
    pub path: &'a str,
    /// Already escaped and sorted.
    pub query: &'a str,
    /// Headers besides host, date and token; names in lower case.
    pub headers: &'a [(&'static str, String)],
    /// The body.
    pub body: &'a [u8],
}

/// Returns the headers that a request needs to be believed. `time` is as `20150830T123600Z`.
#[must_use]
pub fn headers(
    request: &Request<'_>,
    keys: &Keys<'_>,
    region: &str,
    service: &str,
    time: &str,
) -> Vec<(&'static str, String)> {
    let mut added = vec![("x-amz-date", time.to_owned())];
    if let Some(token) = keys.token {
        added.push(("x-amz-security-token", token.to_owned()));
    }
    let host = ("host", request.host);
    let own = request.headers.iter().chain(&added);
    let mut signed: Vec<(&str, &str)> = std::iter::once(host)
        .chain(own.map(|(name, value)| (*name, value.as_str())))
        .collect();
    signed.sort_unstable();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let scope = format!("{}/{region}/{service}/aws4_request", &time[..8]);
    let signature = signature(request, &signed, keys.secret, &scope, time);
    added.push((
        "authorization",
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            keys.id
        ),
    ));
    added
}

/// Signs what is to be signed, `signed` being the headers in order; `scope` is
/// `DATE/REGION/SERVICE/aws4_request`.
fn signature(
    request: &Request<'_>,
    signed: &[(&str, &str)],
    secret: &str,
    scope: &str,
    time: &str,
) -> String {
    let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
    for (name, value) in signed {
        writeln!(canonical, "{name}:{}", value.trim()).expect("a string takes any text");
    }
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let body = hex(&Sha256::digest(request.body));
    write!(canonical, "\n{}\n{body}", names.join(";")).expect("a string takes any text");
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{digest}");
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part));
    hex(&mac(&key, &to_sign))
}

/// A signature as a request carries it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Carried<'a> {
    /// The access key's ID.
    pub(super) id: &'a str,
    /// `DATE/REGION/SERVICE/aws4_request`.
    scope: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Carried<'a> {
    /// Reads the header `Authorization`.
    pub(super) fn read(headers: &'a HeaderMap) -> Option<Self> {
        let text = headers.get("authorization")?.to_str().ok()?;
        let rest = text.strip_prefix(ALGORITHM)?;
        let part = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let (id, scope) = part("Credential")?.split_once('/')?;
        Some(Self {
            id,
            scope,
            signed: part("SignedHeaders")?.split(';').collect(),
            signature: part("Signature")?,
        })
    }

    /// Whether it is for this region and service.
    pub(super) fn is_for(&self, region: &str, service: &str) -> bool {
        let (_, rest) = self.scope.split_once('/').unwrap_or_default();
        rest == format!("{region}/{service}/aws4_request")
    }

    /// Whether it was made with these keys, of this request. (`host` and the like are in the headers.)
    pub(super) fn is_of(
        &self,
        keys: &Keys<'_>,
        method: &str,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> bool {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signed: Option<Vec<(&str, &str)>> = self
            .signed
            .iter()
            .map(|name| Some((*name, value(name)?)))
            .collect();
        let (Some(signed), Some(time)) = (signed, value("x-amz-date")) else {
            return false;
        };
        let whole = ["host", "x-amz-date"]
            .iter()
            .all(|name| self.signed.contains(name));
        let request = Request {
            method,
            host: "",
            path,
            query,
            headers: &[],
            body,
        };
        whole
            && value("x-amz-security-token") == keys.token
            && signature(&request, &signed, keys.secret, self.scope, time) == self.signature
    }
}

/// Escapes as AWS wants it: all but letters, digits and `-_.~`.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes any text");
        }
    }
    escaped
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key that AWS's documentation and test suite sign with.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn signed(request: &Request<'_>, token: Option<&str>, service: &str) -> String {
        let keys = Keys {
            id: "AKIDEXAMPLE",
            secret: SECRET,
            token,
        };
        let made = headers(request, &keys, "us-east-1", service, "20150830T123600Z");
        let (_, value) = made.last().unwrap();
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    fn vanilla(method: &str) -> Request<'_> {
        Request {
            method,
            host: "example.amazonaws.com",
            path: "/",
            query: "",
            headers: &[],
            body: b"",
        }
    }

    #[test]
    fn signatures_are_those_of_awss_own_examples() {
        // Test suite, `get-vanilla` and `post-vanilla`.
        assert_eq!(
            signed(&vanilla("GET"), None, "service"),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(
            signed(&vanilla("POST"), None, "service"),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        // The documentation's `ListUsers`.
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let listing = Request {
            host: "iam.amazonaws.com",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: &[("content-type", form.to_owned())],
            ..vanilla("GET")
        };
        assert_eq!(
            signed(&listing, None, "iam"),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        assert_ne!(
            signed(&listing, Some("token"), "iam"),
            signed(&listing, None, "iam"),
            "a session's token is signed"
        );
    }

    #[test]
    fn a_signature_is_believed_of_its_own_request_alone() {
        let keys = Keys {
            id: "ASIAEXAMPLE",
            secret: SECRET,
            token: Some("a token"),
        };
        let request = Request {
            body: b"Action=DescribeInstances",
            ..vanilla("POST")
        };
        let mut all = HeaderMap::new();
        all.insert("host", "example.amazonaws.com".parse().unwrap());
        for (name, value) in headers(&request, &keys, "us-east-1", "ec2", "20150830T123600Z") {
            all.insert(name, value.parse().unwrap());
        }
        let carried = Carried::read(&all).unwrap();
        assert_eq!(carried.id, "ASIAEXAMPLE");
        assert!(carried.is_for("us-east-1", "ec2"));
        assert!(!carried.is_for("us-east-2", "ec2") && !carried.is_for("us-east-1", "iam"));
        let is_of = |keys: &Keys<'_>, all: &HeaderMap, body: &[u8]| {
            carried.is_of(keys, "POST", "/", "", all, body)
        };
        assert!(is_of(&keys, &all, request.body));
        assert!(!is_of(&keys, &all, b"Action=TerminateInstances"));
        let other = Keys {
            secret: "another",
            ..keys
        };
        assert!(!is_of(&other, &all, request.body));
        let other = Keys {
            token: None,
            ..keys
        };
        assert!(!is_of(&other, &all, request.body));
        let mut later = all.clone();
        later.insert("x-amz-date", "20150830T123700Z".parse().unwrap());
        assert!(!is_of(&keys, &later, request.body));
        let mut none = all.clone();
        none.insert("authorization", "Basic eDp5".parse().unwrap());
        assert_eq!(Carried::read(&none), None);
    }

    #[test]
    fn what_is_not_a_letter_a_digit_or_one_of_four_is_escaped() {
        assert_eq!(escaped("tag:a b/é~-_."), "tag%3Aa%20b%2F%C3%A9~-_.");
    }
}
