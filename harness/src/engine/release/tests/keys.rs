//! OpenPGP keys made for one test each, shaped as HashiCorp's is, and what can be wrong with
//! them.

use pgp::composed::{
    ArmorOptions, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails as _, Password, Tag, Timestamp};
use rand_08::thread_rng;

use super::super::signature::{ReleaseKey, SignatureError};

/// 2021-01-01, when all keys here are made.
const MADE: u32 = 1_609_459_200;
const DAY: u32 = 86_400;
/// 2026-11-22: the time at which keys are judged.
const NOW: u32 = 1_795_305_600;

/// A primary key that certifies, a subkey that signs.
pub(super) struct SigningKey {
    secret: SignedSecretKey,
}

impl SigningKey {
    pub(super) fn generate() -> Self {
        let subkey = SubkeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .created_at(Timestamp::from_secs(MADE))
            .build()
            .unwrap();
        let secret = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .created_at(Timestamp::from_secs(MADE))
            .primary_user_id("A Test <test@example.com>".into())
            .subkeys(vec![subkey])
            .build()
            .unwrap()
            .generate(thread_rng())
            .unwrap();
        Self { secret }
    }

    pub(super) fn fingerprint(&self) -> String {
        self.secret.fingerprint().to_string().to_uppercase()
    }

    pub(super) fn public(&self) -> SignedPublicKey {
        self.secret.to_public_key()
    }

    pub(super) fn public_text(&self) -> String {
        armored(&self.public())
    }

    /// A copy whose self-signature ran out after 100 days.
    pub(super) fn expired_public_text(&self) -> String {
        armored(&self.issued(MADE, Some(100 * DAY)))
    }

    /// Signs as HashiCorp does: by the subkey, binary, SHA-256.
    pub(super) fn sign(&self, data: &[u8]) -> Vec<u8> {
        DetachedSignature::sign_binary_data(
            thread_rng(),
            &self.secret.secret_subkeys[0].key,
            &Password::empty(),
            HashAlgorithm::Sha256,
            data,
        )
        .unwrap()
        .to_bytes()
        .unwrap()
    }

    fn sign_by_primary(&self, data: &[u8]) -> Vec<u8> {
        DetachedSignature::sign_binary_data(
            thread_rng(),
            &self.secret.primary_key,
            &Password::empty(),
            HashAlgorithm::Sha512,
            data,
        )
        .unwrap()
        .to_bytes()
        .unwrap()
    }

    /// A copy whose self-signature was made at a time and lets the key live so long.
    fn issued(&self, at: u32, lifetime: Option<u32>) -> SignedPublicKey {
        let primary = &self.secret.primary_key;
        let mut config = SignatureConfig::v4(
            SignatureType::CertPositive,
            primary.algorithm(),
            HashAlgorithm::Sha256,
        );
        config.hashed_subpackets = self.about(at, lifetime);
        let mut public = self.public();
        let user = &mut public.details.users[0];
        let signature = config
            .sign_certification(
                primary,
                primary.public_key(),
                &Password::empty(),
                Tag::UserId,
                &user.id,
            )
            .unwrap();
        user.signatures = vec![signature];
        public
    }

    fn about(&self, at: u32, lifetime: Option<u32>) -> Vec<Subpacket> {
        let mut about = vec![
            SubpacketData::SignatureCreationTime(Timestamp::from_secs(at)),
            SubpacketData::IssuerFingerprint(self.secret.fingerprint()),
        ];
        about.extend(
            lifetime.map(|secs| SubpacketData::KeyExpirationTime(Duration::from_secs(secs))),
        );
        about
            .into_iter()
            .map(|data| Subpacket::regular(data).unwrap())
            .collect()
    }

    /// A copy whose signing subkey is bound otherwise than by default.
    fn bound(
        &self,
        typ: SignatureType,
        flags: bool,
        back: bool,
        lifetime: Option<u32>,
    ) -> SignedPublicKey {
        let mut public = self.public();
        let subkey = &mut public.public_subkeys[0];
        let embedded = subkey.signatures[0].embedded_signature().unwrap().clone();
        let primary = &self.secret.primary_key;
        let mut config = SignatureConfig::v4(typ, primary.algorithm(), HashAlgorithm::Sha256);
        config.hashed_subpackets = self.about(MADE + 1, lifetime);
        let mut wanted = KeyFlags::default();
        wanted.set_sign(flags);
        let mut more = vec![SubpacketData::KeyFlags(wanted)];
        if back {
            more.push(SubpacketData::EmbeddedSignature(Box::new(embedded)));
        }
        config.hashed_subpackets.extend(
            more.into_iter()
                .map(|data| Subpacket::regular(data).unwrap()),
        );
        let binding = config
            .sign_subkey_binding(
                primary,
                primary.public_key(),
                &Password::empty(),
                &subkey.key,
            )
            .unwrap();
        match typ {
            SignatureType::SubkeyRevocation => subkey.signatures.push(binding),
            _ => subkey.signatures = vec![binding],
        }
        public
    }

    fn revocation(&self) -> Signature {
        let primary = &self.secret.primary_key;
        let mut config = SignatureConfig::v4(
            SignatureType::KeyRevocation,
            primary.algorithm(),
            HashAlgorithm::Sha256,
        );
        config.hashed_subpackets = self.about(MADE + DAY, None);
        config
            .sign_key(primary, &Password::empty(), primary.public_key())
            .unwrap()
    }
}

fn armored(key: &SignedPublicKey) -> String {
    key.to_armored_string(ArmorOptions::default()).unwrap()
}

fn judge(key: &SigningKey, copy: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    ReleaseKey::read(copy, &key.fingerprint(), NOW)?.verify(b"data", signature)
}

fn refused(key: &SigningKey, copy: &SignedPublicKey, signature: &[u8]) -> SignatureError {
    judge(key, armored(copy).as_bytes(), signature).unwrap_err()
}

#[test]
fn the_key_and_its_signing_subkey_vouch_armoured_or_not() {
    let key = SigningKey::generate();
    let (by_subkey, by_primary) = (key.sign(b"data"), key.sign_by_primary(b"data"));
    let copies = [
        key.public_text().into_bytes(),
        key.public().to_bytes().unwrap(),
    ];
    for copy in copies {
        for signature in [&by_subkey, &by_primary] {
            judge(&key, &copy, signature).unwrap();
        }
        assert!(matches!(
            judge(&key, &copy, &key.sign(b"other data")).unwrap_err(),
            SignatureError::Mismatch { .. }
        ));
    }
}

#[test]
fn an_expired_copy_is_refused_with_its_day() {
    let key = SigningKey::generate();
    let error = refused(&key, &key.issued(MADE, Some(100 * DAY)), &key.sign(b"data"));
    assert!(
        matches!(&error, SignatureError::Expired { on, .. } if on == "2021-04-11"),
        "{error}"
    );
}

#[test]
fn of_two_copies_in_one_file_the_newest_self_signature_counts() {
    let key = SigningKey::generate();
    let old = armored(&key.issued(MADE, Some(100 * DAY)));
    let again = armored(&key.issued(MADE + 90 * DAY, Some(9_000 * DAY)));
    for file in [format!("{old}\n{again}"), format!("{again}\n{old}")] {
        judge(&key, file.as_bytes(), &key.sign(b"data")).unwrap();
    }
    // And it counts when it shortens the key's life, too.
    let long = armored(&key.issued(MADE, None));
    let shortened = armored(&key.issued(MADE + DAY, Some(100 * DAY)));
    let error = judge(
        &key,
        format!("{shortened}\n{long}").as_bytes(),
        &key.sign(b"data"),
    );
    assert!(matches!(error, Err(SignatureError::Expired { .. })));
}

#[test]
fn a_self_signature_by_another_key_counts_for_nothing() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let mut forged = key.issued(MADE, Some(100 * DAY));
    forged.details.users[0].signatures = other.issued(MADE + DAY, None).details.users[0]
        .signatures
        .clone();
    let error = refused(&key, &forged, &key.sign(b"data"));
    assert!(
        matches!(error, SignatureError::NoSelfSignature { .. }),
        "{error}"
    );
}

#[test]
fn a_revoked_key_vouches_for_nothing() {
    let key = SigningKey::generate();
    let mut copy = key.public();
    copy.details.revocation_signatures = vec![key.revocation()];
    let error = refused(&key, &copy, &key.sign(b"data"));
    assert!(matches!(error, SignatureError::Revoked { .. }), "{error}");
    // Anybody can append somebody else's revocation.
    let other = SigningKey::generate();
    copy.details.revocation_signatures = vec![other.revocation()];
    judge(&key, armored(&copy).as_bytes(), &key.sign(b"data")).unwrap();
}

#[test]
fn a_signature_by_another_key_names_who_made_it() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    let error = refused(&key, &key.public(), &other.sign(b"data"));
    let subkey = other.secret.secret_subkeys[0].key.fingerprint();
    assert!(
        matches!(&error, SignatureError::ByAnother { issuer, .. }
            if *issuer == subkey.to_string().to_uppercase()),
        "{error}"
    );
}

#[test]
fn a_subkey_that_the_pinned_key_did_not_bind_may_not_sign() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    // The attack: the pinned key's text with the attacker's subkey appended.
    let mut forged = key.public();
    forged.public_subkeys.extend(other.public().public_subkeys);
    let error = refused(&key, &forged, &other.sign(b"data"));
    assert!(
        matches!(&error, SignatureError::BadSubkey { reason, .. } if reason.contains("did not bind")),
        "{error}"
    );
}

#[test]
fn a_subkey_must_be_bound_for_signing_both_ways_and_not_revoked() {
    let key = SigningKey::generate();
    let binding = SignatureType::SubkeyBinding;
    judge(
        &key,
        armored(&key.bound(binding, true, true, None)).as_bytes(),
        &key.sign(b"data"),
    )
    .unwrap();
    for (copy, wanted) in [
        (
            key.bound(binding, false, true, None),
            "not bound for signing",
        ),
        (key.bound(binding, true, false, None), "bind itself"),
        (key.bound(binding, true, true, Some(DAY)), "had expired"),
        (
            key.bound(SignatureType::SubkeyRevocation, true, false, None),
            "revoked",
        ),
    ] {
        let error = refused(&key, &copy, &key.sign(b"data"));
        assert!(
            matches!(&error, SignatureError::BadSubkey { reason, .. } if reason.contains(wanted)),
            "{wanted}: {error}"
        );
    }
}

#[test]
fn weak_hashes_vouch_for_nothing() {
    let key = SigningKey::generate();
    let mut signature = key.sign(b"data");
    // After two octets of header and those of version, type and key algorithm (the library
    // refuses to make such a signature).
    assert_eq!(signature[5], u8::from(HashAlgorithm::Sha256));
    signature[5] = u8::from(HashAlgorithm::Sha1);
    let error = refused(&key, &key.public(), &signature);
    assert!(matches!(error, SignatureError::WeakHash { .. }), "{error}");
}

#[test]
fn what_is_neither_key_nor_signature_is_called_so() {
    let key = SigningKey::generate();
    let page = b"<html>not found</html>";
    for file in [&page[..], b"", b"\xff\xff\xff"] {
        let error = judge(&key, file, &key.sign(b"data")).unwrap_err();
        assert!(matches!(error, SignatureError::NotAKey(_)), "{error}");
        let error = judge(&key, key.public_text().as_bytes(), file).unwrap_err();
        assert!(matches!(error, SignatureError::NotASignature(_)), "{error}");
    }
}
