//! The OpenPGP signature of a release's checksums, judged.
//!
//! What is trusted is a *fingerprint*, written in the code; the key itself comes from anywhere.
//! The rules, and why:
//!
//! * Copies of the key differ in their self-signatures only. HashiCorp's key is such a case:
//!   the copy of 2021 expired on 2026-04-18 and was issued again, same fingerprint, valid to
//!   2030-03-01. Of several copies in one file the newest valid self-signature counts.
//! * An *expired* copy is refused, even for signatures made before: whoever holds a stolen old
//!   key can write any date into a signature, and a fresh copy costs one download. (GnuPG
//!   accepts these with exit code 0, which is how expiries go unnoticed.)
//! * A *subkey* may sign (HashiCorp's do) if the primary key bound it for signing, it bound
//!   itself back, nobody revoked it, and it was valid when the signature was made: HashiCorp
//!   retired one in 2022, and what that one signed in its time stays signed.
//! * A *revoked* primary key vouches for nothing, whatever the reason.
//! * MD5, SHA-1 and RIPEMD-160 vouch for no file.

use std::fmt::Write as _;

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, Timestamp};

/// Why a signature, or the key it is judged by, is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The key's text is none.
    #[error("this is not an OpenPGP public key")]
    NotAKey(#[source] Option<pgp::errors::Error>),
    /// Another key than the pinned one.
    #[error("the key is `{}`, expected `{pinned}`", .seen.join("`, `"))]
    OtherKey {
        /// Fingerprints of the keys that were there.
        seen: Vec<String>,
        /// The fingerprint that is trusted.
        pinned: String,
    },
    /// The key was revoked by its owner.
    #[error("the key `{pinned}` was revoked by its owner")]
    Revoked {
        /// The key's fingerprint.
        pinned: String,
    },
    /// This copy's self-signature has run out.
    #[error(
        "this copy of the key `{pinned}` expired on {on}; a copy issued again under the same fingerprint is needed"
    )]
    Expired {
        /// The key's fingerprint.
        pinned: String,
        /// The day, as `2026-04-18`.
        on: String,
    },
    /// Nothing in this copy that the key itself signed.
    #[error("this copy of the key `{pinned}` carries no valid self-signature")]
    NoSelfSignature {
        /// The key's fingerprint.
        pinned: String,
    },
    /// The signature's bytes are none.
    #[error("this is not a detached OpenPGP signature")]
    NotASignature(#[source] Option<pgp::errors::Error>),
    /// Signed with a hash that vouches for nothing.
    #[error("the signature uses {hash}, which is too weak to vouch for a file")]
    WeakHash {
        /// The hash's name.
        hash: String,
    },
    /// Made by somebody else.
    #[error(
        "the signature was made by `{issuer}`, which is neither the key `{pinned}` nor a subkey of it"
    )]
    ByAnother {
        /// Who the signature says made it.
        issuer: String,
        /// The key's fingerprint.
        pinned: String,
    },
    /// The subkey that made it is not the primary key's, or not for signing, or not any more.
    #[error("the subkey `{subkey}` that made the signature may not sign for `{pinned}`: {reason}")]
    BadSubkey {
        /// The subkey's fingerprint.
        subkey: String,
        /// The primary key's fingerprint.
        pinned: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is not what was signed.
    #[error("the signature by `{signer}` does not match the file")]
    Mismatch {
        /// Fingerprint of the key or subkey.
        signer: String,
        /// What the library says.
        #[source]
        source: pgp::errors::Error,
    },
}

/// The pinned key's copies, checked to be usable now.
#[derive(Debug)]
pub struct ReleaseKey {
    copies: Vec<SignedPublicKey>,
    pinned: String,
}

impl ReleaseKey {
    /// Reads a key file: armoured (any number of blocks) or binary.
    ///
    /// `pinned` is the full fingerprint in upper-case hexadecimal, `now` seconds since 1970.
    ///
    /// # Errors
    /// When it holds no key, only other keys, or an expired or revoked copy.
    pub fn read(file: &[u8], pinned: &str, now: u32) -> Result<Self, SignatureError> {
        let keys = parse_keys(file)?;
        let seen: Vec<String> = keys.iter().map(hex).collect();
        let copies: Vec<SignedPublicKey> =
            keys.into_iter().filter(|key| hex(key) == pinned).collect();
        if copies.is_empty() {
            return Err(SignatureError::OtherKey {
                seen,
                pinned: pinned.to_owned(),
            });
        }
        let key = Self {
            copies,
            pinned: pinned.to_owned(),
        };
        key.check_usable(now)?;
        Ok(key)
    }

    /// Checks a detached signature over `data`.
    ///
    /// # Errors
    /// Unless the pinned key, or a signing subkey bound to it, made it over exactly these bytes.
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = parse_signature(signature)?;
        let hash = signature.hash_alg();
        if !hash.is_some_and(is_strong) {
            return Err(SignatureError::WeakHash {
                hash: hash.map_or_else(|| "an unknown hash".to_owned(), |hash| hash.to_string()),
            });
        }
        let primary = &self.copies[0];
        if names(&signature, primary) {
            return signature
                .verify(&primary.primary_key, data)
                .map_err(|source| mismatch(primary, source));
        }
        let made = signature.created().map_or(0, Timestamp::as_secs);
        let mut candidates = self.copies.iter().flat_map(|copy| &copy.public_subkeys);
        let Some(subkey) = candidates.find(|subkey| names(&signature, *subkey)) else {
            return Err(SignatureError::ByAnother {
                issuer: issuer(&signature),
                pinned: self.pinned.clone(),
            });
        };
        self.check_subkey(&hex(subkey), made)?;
        signature
            .verify(&subkey.key, data)
            .map_err(|source| mismatch(subkey, source))
    }

    fn check_usable(&self, now: u32) -> Result<(), SignatureError> {
        let pinned = || self.pinned.clone();
        for copy in &self.copies {
            let revoked = copy
                .details
                .revocation_signatures
                .iter()
                .any(|one| one.verify_key(&copy.primary_key).is_ok());
            if revoked {
                return Err(SignatureError::Revoked { pinned: pinned() });
            }
        }
        let newest = self
            .copies
            .iter()
            .flat_map(self_signatures)
            .max_by_key(|one| one.created().map_or(0, Timestamp::as_secs))
            .ok_or_else(|| SignatureError::NoSelfSignature { pinned: pinned() })?;
        match expiry(&self.copies[0], newest) {
            Some(at) if at <= now => Err(SignatureError::Expired {
                pinned: pinned(),
                on: day(at),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that a subkey may sign for the primary key at a time, by the newest valid binding
    /// in any copy.
    fn check_subkey(&self, fingerprint: &str, at: u32) -> Result<(), SignatureError> {
        let bad = |reason| SignatureError::BadSubkey {
            subkey: fingerprint.to_owned(),
            pinned: self.pinned.clone(),
            reason,
        };
        let primary = &self.copies[0].primary_key;
        let valid: Vec<(&SignedPublicSubKey, &Signature)> = self
            .copies
            .iter()
            .flat_map(|copy| &copy.public_subkeys)
            .filter(|subkey| hex(*subkey) == fingerprint)
            .flat_map(|subkey| subkey.signatures.iter().map(move |one| (subkey, one)))
            .filter(|(subkey, one)| one.verify_subkey_binding(primary, &subkey.key).is_ok())
            .collect();
        if valid
            .iter()
            .any(|(_, one)| one.typ() == Some(SignatureType::SubkeyRevocation))
        {
            return Err(bad("it was revoked"));
        }
        let Some((subkey, binding)) = valid
            .iter()
            .max_by_key(|(_, one)| one.created().map_or(0, Timestamp::as_secs))
        else {
            return Err(bad("the primary key did not bind it"));
        };
        if !binding.key_flags().sign() {
            return Err(bad("it is not bound for signing"));
        }
        let bound_back = binding.embedded_signature().is_some_and(|back| {
            back.verify_primary_key_binding(&subkey.key, primary)
                .is_ok()
        });
        if !bound_back {
            return Err(bad("it did not bind itself to the primary key"));
        }
        match expiry(*subkey, binding) {
            Some(end) if end <= at => Err(bad("it had expired when the signature was made")),
            _ => Ok(()),
        }
    }
}

/// The valid signatures by which the key speaks of itself.
fn self_signatures(copy: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let key = &copy.primary_key;
    let direct = copy
        .details
        .direct_signatures
        .iter()
        .filter(|one| one.verify_key(key).is_ok());
    let certified = copy.details.users.iter().flat_map(|user| {
        user.signatures
            .iter()
            .filter(|one| one.typ() != Some(SignatureType::CertRevocation))
            .filter(|one| one.verify_certification(key, Tag::UserId, &user.id).is_ok())
    });
    direct.chain(certified)
}

/// When a key's validity ends by what one signature says, in seconds since 1970; `None`: never.
fn expiry(key: &impl KeyDetails, signature: &Signature) -> Option<u32> {
    match signature.key_expiration_time()?.as_secs() {
        0 => None,
        after => Some(key.created_at().as_secs().saturating_add(after)),
    }
}

fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

/// Whether the signature says that this key made it. One that names nobody is taken to be the
/// primary key's.
fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if !fingerprints.is_empty() {
        return fingerprints.contains(&&key.fingerprint());
    }
    let ids = signature.issuer_key_id();
    ids.is_empty() || ids.contains(&&key.legacy_key_id())
}

fn issuer(signature: &Signature) -> String {
    let mut fingerprints = signature.issuer_fingerprint().into_iter();
    if let Some(fingerprint) = fingerprints.next() {
        return upper_hex(fingerprint.as_bytes());
    }
    let id = signature.issuer_key_id().into_iter().next();
    id.map_or_else(|| "nobody".to_owned(), |id| id.to_string().to_uppercase())
}

fn mismatch(signer: &impl KeyDetails, source: pgp::errors::Error) -> SignatureError {
    SignatureError::Mismatch {
        signer: hex(signer),
        source,
    }
}

fn parse_keys(file: &[u8]) -> Result<Vec<SignedPublicKey>, SignatureError> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    if file.first().is_none_or(|first| first & 0x80 != 0) {
        return collect(SignedPublicKey::from_bytes_many(file));
    }
    // The library reads the first block of a file only.
    let text = std::str::from_utf8(file).map_err(|_| SignatureError::NotAKey(None))?;
    let mut keys = Vec::new();
    for (at, _) in text.match_indices(BEGIN) {
        let block = SignedPublicKey::from_string_many(&text[at..]);
        keys.extend(collect(block.map(|(keys, _)| keys))?);
    }
    if keys.is_empty() {
        return Err(SignatureError::NotAKey(None));
    }
    Ok(keys)
}

type Parsed<'a, T> = Box<dyn Iterator<Item = pgp::errors::Result<T>> + 'a>;

fn collect(
    keys: pgp::errors::Result<Parsed<'_, SignedPublicKey>>,
) -> Result<Vec<SignedPublicKey>, SignatureError> {
    let keys: Vec<SignedPublicKey> = keys
        .and_then(Iterator::collect)
        .map_err(|source| SignatureError::NotAKey(Some(source)))?;
    if keys.is_empty() {
        return Err(SignatureError::NotAKey(None));
    }
    Ok(keys)
}

fn parse_signature(bytes: &[u8]) -> Result<Signature, SignatureError> {
    let not_one = |source| SignatureError::NotASignature(Some(source));
    let (parsed, _) = DetachedSignature::from_reader_single(bytes).map_err(not_one)?;
    let signature = parsed.signature;
    // A text signature would let line ends change; every other type signs something else.
    if signature.typ() != Some(SignatureType::Binary) {
        return Err(SignatureError::NotASignature(None));
    }
    Ok(signature)
}

fn hex(key: &impl KeyDetails) -> String {
    upper_hex(key.fingerprint().as_bytes())
}

fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02X}").expect("writing to a string cannot fail");
        text
    })
}

fn day(at: u32) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(i64::from(at))
        .expect("32 bits of seconds are within the calendar")
        .date();
    format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}
