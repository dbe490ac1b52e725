//! AWS's Signature Version 4, as its documentation has it ("Create a signed AWS API request").

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use super::credentials::Credentials;

/// What is signed of a request.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// As the header has it: with the port where it is not the usual one.
    pub(super) host: &'a str,
    /// Already escaped.
    pub(super) path: &'a str,
    /// Already escaped and sorted.
    pub(super) query: &'a str,
    /// Headers besides host, date and token; names in lower case.
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) body: &'a [u8],
}

/// Returns the headers that a request needs to be believed.
pub(super) fn sign(
    request: &Request<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: OffsetDateTime,
) -> Vec<(&'static str, String)> {
    let long = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = now.format(&long).expect("a time of this era");
    let date = &time[..8];
    let mut added = vec![("x-amz-date", time.clone())];
    if let Some(token) = &credentials.session_token {
        added.push(("x-amz-security-token", token.clone()));
    }
    let mut headers: Vec<(&str, &str)> = std::iter::once(("host", request.host))
        .chain(
            request
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        )
        .chain(added.iter().map(|(name, value)| (*name, value.as_str())))
        .collect();
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
    for (name, value) in &headers {
        canonical.push_str(&format!("{name}:{}\n", value.trim()));
    }
    canonical.push_str(&format!(
        "\n{names}\n{}",
        hex(&Sha256::digest(request.body))
    ));
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let mut key = mac(
        format!("AWS4{}", credentials.secret_access_key).as_bytes(),
        date,
    );
    for part in [region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &to_sign));
    let id = &credentials.access_key_id;
    added.push((
        "authorization",
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    ));
    added
}

/// Escapes as AWS wants it: all but letters, digits and `-_.~`.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to memory does not fail");
        }
    }
    escaped
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);

    fn signature(request: &Request<'_>, token: Option<&str>, service: &str) -> String {
        // The key that AWS's documentation and test suite sign with.
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: token.map(str::to_owned),
            ..Credentials::default()
        };
        let signed = sign(request, &credentials, "us-east-1", service, NOW);
        let (_, value) = signed.last().unwrap();
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn signatures_are_those_of_awss_own_examples() {
        let vanilla = |method| Request {
            method,
            host: "example.amazonaws.com",
            path: "/",
            query: "",
            headers: &[],
            body: b"",
        };
        // Test suite, `get-vanilla` and `post-vanilla`.
        assert_eq!(
            signature(&vanilla("GET"), None, "service"),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(
            signature(&vanilla("POST"), None, "service"),
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
            signature(&listing, None, "iam"),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
        assert_ne!(
            signature(&listing, Some("token"), "iam"),
            signature(&listing, None, "iam"),
            "a session's token is signed"
        );
    }

    #[test]
    fn what_is_not_a_letter_a_digit_or_one_of_four_is_escaped() {
        assert_eq!(escaped("tag:a b/é~-_."), "tag%3Aa%20b%2F%C3%A9~-_.");
    }
}
