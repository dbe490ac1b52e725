//! The gossip keys that this server holds: the first seals, any of them opens.
//!
//! They are kept in `serf.keyring` as Serf does, a JSON list of base64 texts with the primary
//! key first. Once that file is there, `encrypt` of the configuration says nothing any more.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KeyError, Seal};

/// A keyring cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A key in the file is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file is no keyring, or cannot be read or written.
    #[error("cannot use the keyring `{path}`: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Keys of one server.
#[derive(Clone)]
pub struct Keyring {
    /// The primary key first; never empty.
    keys: Vec<(Vec<u8>, Seal)>,
    file: Option<PathBuf>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring of {}", self.keys.len())
    }
}

impl Keyring {
    /// A keyring of one key that is kept nowhere.
    ///
    /// # Errors
    /// Where the key has another length than 16, 24 or 32 bytes.
    pub fn of(key: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            keys: vec![(key.to_vec(), Seal::new(key)?)],
            file: None,
        })
    }

    /// The keyring in `file`; where there is none, one of the configuration's key is put there.
    ///
    /// # Errors
    /// Where the file or a key in it is unusable.
    pub fn open(file: &Path, configured: &[u8]) -> Result<Self, KeyringError> {
        let fresh = Self::of(configured)?;
        let refused = |problem: String| KeyringError::File {
            path: file.to_owned(),
            problem,
        };
        let mut ring = match std::fs::read_to_string(file) {
            Ok(text) => {
                let ring = Self::parse(&text).map_err(refused)?;
                if ring.keys[0].0 != configured {
                    tracing::warn!(target: "nomad", "keyring exists but -encrypt given, using keyring");
                }
                ring
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => fresh,
            Err(e) => return Err(refused(e.to_string())),
        };
        ring.file = Some(file.to_owned());
        ring.save().map_err(refused)?;
        Ok(ring)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let texts: Vec<String> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let mut keys = Vec::new();
        for text in texts {
            let key = STANDARD.decode(text).map_err(|e| e.to_string())?;
            let seal = Seal::new(&key).map_err(|e| e.to_string())?;
            keys.push((key, seal));
        }
        if keys.is_empty() {
            return Err("it has no key".to_owned());
        }
        Ok(Self { keys, file: None })
    }

    /// Whole or not at all, and for its owner's eyes only.
    fn save(&self) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text = serde_json::to_string(&self.list()).expect("texts are JSON");
        let fresh = file.with_extension("keyring.new");
        let write = || -> std::io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&fresh)?.write_all(text.as_bytes())?;
            std::fs::rename(&fresh, file)
        };
        write().map_err(|e| e.to_string())
    }

    /// The keys in base64, the primary first.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        self.keys
            .iter()
            .map(|(key, _)| STANDARD.encode(key))
            .collect()
    }

    /// Does `list`, `install`, `use` or `remove` with a key in base64; the errors are Serf's.
    ///
    /// # Errors
    /// Where the key is none or is not held, or the primary one would be removed.
    pub fn order(&mut self, verb: &str, key: &str) -> Result<Vec<String>, String> {
        if verb != "list" {
            let key = STANDARD.decode(key).map_err(|e| e.to_string())?;
            self.change(verb, &key)?;
            self.save()?;
        }
        Ok(self.list())
    }

    fn change(&mut self, verb: &str, key: &[u8]) -> Result<(), String> {
        let place = self.keys.iter().position(|(held, _)| held == key);
        match (verb, place) {
            ("install", Some(_)) => {}
            ("install", None) => {
                let seal = Seal::new(key);
                let seal = seal.map_err(|_| "key size must be 16, 24 or 32 bytes".to_owned())?;
                self.keys.push((key.to_vec(), seal));
            }
            ("use", Some(place)) => {
                let primary = self.keys.remove(place);
                self.keys.insert(0, primary);
            }
            ("use", None) => return Err("requested key is not in the keyring".to_owned()),
            ("remove", Some(0)) => {
                return Err("removing the primary key is not allowed".to_owned());
            }
            ("remove", Some(place)) => drop(self.keys.remove(place)),
            // As in Serf, what is not held is as good as removed.
            ("remove", None) => {}
            (other, _) => return Err(format!("unknown keyring operation `{other}`")),
        }
        Ok(())
    }

    /// Seals a datagram with the primary key.
    pub(super) fn close(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys[0].1.close(plain)
    }

    /// Opens a datagram with whichever key does.
    pub(super) fn open_datagram(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.keys.iter().find_map(|(_, seal)| seal.open(sealed))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn text(key: u8) -> String {
        STANDARD.encode([key; 32])
    }

    #[test]
    fn keys_rotate_in_the_order_install_use_remove() {
        let mut ring = Keyring::of(&[1; 32]).unwrap();
        let old = ring.close(b"old").unwrap();
        assert_eq!(ring.order("install", &text(2)).unwrap(), [text(1), text(2)]);
        assert_eq!(
            ring.order("remove", &text(1)).unwrap_err(),
            "removing the primary key is not allowed"
        );
        assert_eq!(ring.order("use", &text(2)).unwrap(), [text(2), text(1)]);
        assert_eq!(ring.open_datagram(&old).unwrap(), b"old");
        assert_eq!(ring.order("remove", &text(1)).unwrap(), [text(2)]);
        assert!(ring.open_datagram(&old).is_none());
        assert_eq!(
            ring.order("use", &text(3)).unwrap_err(),
            "requested key is not in the keyring"
        );
        assert!(
            ring.order("install", "AAAA")
                .unwrap_err()
                .contains("16, 24 or 32")
        );
    }

    #[test]
    fn the_file_outlives_the_configuration_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("serf.keyring");
        let mut ring = Keyring::open(&file, &[1; 32]).unwrap();
        ring.order("install", &text(2)).unwrap();
        ring.order("use", &text(2)).unwrap();
        let again = Keyring::open(&file, &[1; 32]).unwrap();
        assert_eq!(again.list(), [text(2), text(1)]);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "[]").unwrap();
        let problem = Keyring::open(&file, &[1; 32]).unwrap_err().to_string();
        assert!(problem.contains("serf.keyring"), "{problem}");
    }
}
