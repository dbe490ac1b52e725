//! Seals datagrams with the cluster's key: AES-GCM with a fresh random nonce each, AES-128, 192
//! or 256 by the key's length, as memberlist does. A datagram that the key does not open is
//! nobody's.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, AeadCore, OsRng};
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, KeyInit, Nonce};

/// Bytes of the nonce, which stands before the sealed text.
const NONCE: usize = 12;

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("gossip key has {0} bytes: expected 16, 24 or 32")]
pub struct KeyError(
    /// Its length.
    pub usize,
);

/// A cluster's key.
#[derive(Clone)]
pub struct Seal(Cipher);

#[derive(Clone)]
enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<AesGcm<Aes192, U12>>),
    Aes256(Box<Aes256Gcm>),
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Makes a seal of a key.
    ///
    /// # Errors
    /// Where it has another length than 16, 24 or 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, KeyError> {
        let wrong = |_| KeyError(key.len());
        let cipher = match key.len() {
            16 => Cipher::Aes128(Box::new(Aes128Gcm::new_from_slice(key).map_err(wrong)?)),
            24 => Cipher::Aes192(Box::new(AesGcm::new_from_slice(key).map_err(wrong)?)),
            32 => Cipher::Aes256(Box::new(Aes256Gcm::new_from_slice(key).map_err(wrong)?)),
            other => return Err(KeyError(other)),
        };
        Ok(Self(cipher))
    }

    /// Seals a datagram.
    pub(super) fn close(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let sealed = match &self.0 {
            Cipher::Aes128(cipher) => cipher.encrypt(&nonce, plain),
            Cipher::Aes192(cipher) => cipher.encrypt(&nonce, plain),
            Cipher::Aes256(cipher) => cipher.encrypt(&nonce, plain),
        };
        let sealed = sealed.ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// Opens a datagram; `None` where this key did not seal it.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE)?;
        let nonce = Nonce::from_slice(nonce);
        let plain = match &self.0 {
            Cipher::Aes128(cipher) => cipher.decrypt(nonce, text),
            Cipher::Aes192(cipher) => cipher.decrypt(nonce, text),
            Cipher::Aes256(cipher) => cipher.decrypt(nonce, text),
        };
        plain.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens() {
        for length in [16, 24, 32] {
            let seal = Seal::new(&vec![7; length]).unwrap();
            let sealed = seal.close(b"hello").unwrap();
            assert_ne!(seal.close(b"hello").unwrap(), sealed, "nonces are fresh");
            assert_eq!(seal.open(&sealed).unwrap(), b"hello");
            let other = Seal::new(&vec![8; length]).unwrap();
            assert!(other.open(&sealed).is_none());
            let mut bent = sealed.clone();
            *bent.last_mut().unwrap() ^= 1;
            assert!(seal.open(&bent).is_none());
        }
        assert!(Seal::new(&[1; 31]).is_err());
    }
}
