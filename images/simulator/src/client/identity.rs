//! The node's identity, which outlives the agent: `data_dir/client/client-id` and `secret-id`.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::StartError;

/// A node's UUID, and the one that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) node_id: String,
    pub(super) secret_id: String,
}

impl Identity {
    /// Reads it from `client_dir`, or makes it there.
    pub(super) fn load(client_dir: &Path) -> Result<Self, StartError> {
        make_dir(client_dir)?;
        Ok(Self {
            node_id: read_or_make(&client_dir.join("client-id"))?,
            secret_id: read_or_make(&client_dir.join("secret-id"))?,
        })
    }
}

/// Makes a directory and those above it.
pub(super) fn make_dir(path: &Path) -> Result<(), StartError> {
    fs::create_dir_all(path).map_err(failed("create", path))
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> StartError + 'a {
    move |source| StartError::State {
        action,
        path: PathBuf::from(path),
        source,
    }
}

fn read_or_make(path: &Path) -> Result<String, StartError> {
    match fs::read_to_string(path) {
        Ok(text) if uuid::Uuid::parse_str(text.trim()).is_ok() => {
            return Ok(text.trim().to_ascii_lowercase());
        }
        Ok(_) => {
            let source = std::io::Error::new(ErrorKind::InvalidData, "expected a UUID");
            return Err(failed("read", path)(source));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", path)(error)),
    }
    let id = uuid::Uuid::new_v4().to_string();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(id.as_bytes())
        .map_err(failed("write", path))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Identity::load(dir.path()).expect("it is made");
        assert_ne!(first.node_id, first.secret_id);
        assert_eq!(Identity::load(dir.path()).expect("it is read"), first);
    }

    #[test]
    fn a_damaged_identity_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("client-id"), "nonsense").expect("write");
        let error = Identity::load(dir.path()).expect_err("it is damaged");
        assert!(error.to_string().contains("client-id"), "{error}");
    }
}
