//! What leaves the process as bytes must be the same on every architecture: hashes, sealed gossip,
//! JSON. Each is compared with a published example, never with itself.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Found, same};

/// SHA-256 of `abc` (FIPS 180-4's example).
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Returns bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 gives the published result.
pub(super) fn hashes() -> Found {
    same("sha256", &ABC.to_owned(), &hex(&Sha256::digest(b"abc")))?;
    Ok("sha256".to_owned())
}

/// AES-256-GCM gives the published result (McGrew and Viega's test case 14: all zero).
pub(super) fn sealing() -> Found {
    let cipher = Aes256Gcm::new(&[0; 32].into());
    let sealed = cipher
        .encrypt(&Nonce::from([0; 12]), Payload::from([0; 16].as_slice()))
        .map_err(|error| error.to_string())?;
    let expected = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
    same("aes-256-gcm", &expected.to_owned(), &hex(&sealed))?;
    Ok("aes-256-gcm".to_owned())
}

/// Numbers survive JSON whole: an index beyond 53 bits, a fraction, a negative one.
pub(super) fn json() -> Found {
    let value = json!({"index": u64::MAX - 1, "offset": i64::MIN, "score": 0.1, "name": "z\u{e9}"});
    let text = value.to_string();
    let expected =
        r#"{"index":18446744073709551614,"name":"zé","offset":-9223372036854775808,"score":0.1}"#;
    same("text", &expected, &text.as_str())?;
    let read: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    same("value", &value, &read)?;
    Ok(format!("{} bytes", text.len()))
}
