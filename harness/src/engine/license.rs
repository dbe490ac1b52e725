//! A licence of Nomad Enterprise. Its text is a secret: it goes from the user's file into the
//! cluster's folder and into files of the servers, and nowhere else.

use std::fmt;
use std::io;
use std::path::PathBuf;

use semver::Version;

use super::{EngineError, EngineRequest, release};
use crate::environment::Environment;

/// A licence's text.
#[derive(Clone, PartialEq, Eq)]
pub struct License(String);

impl License {
    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for License {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("License(..)")
    }
}

/// Why there is no licence.
#[derive(Debug, thiserror::Error)]
pub enum LicenseError {
    /// An Enterprise build, and none was named.
    #[error("Nomad {version} is an Enterprise build, whose servers end without a licence")]
    Missing {
        /// Which.
        version: Version,
    },
    /// The file cannot be read.
    #[error("the licence `{path}` cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds none.
    #[error("`{path}` is empty: expected the text of a Nomad Enterprise licence")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Returns the licence for servers of that version: of the file that was asked for, else of
/// `$NOMAD_LICENSE_PATH`. `None` for a build that takes none.
///
/// # Errors
/// When the version needs one and there is none, or it cannot be read.
pub fn license(
    request: &EngineRequest,
    version: &Version,
    environment: &Environment,
) -> Result<Option<License>, EngineError> {
    if !release::is_enterprise(version) {
        return Ok(None);
    }
    let named = request.license.as_ref();
    let Some(path) = named.or(environment.license_path.as_ref()).cloned() else {
        let version = version.clone();
        return Err(LicenseError::Missing { version }.into());
    };
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(LicenseError::Empty { path }.into()),
        Ok(text) => Ok(Some(License(text.trim().to_owned()))),
        Err(source) => Err(LicenseError::Unreadable { path, source }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_enterprise_build_needs_one_and_each_lack_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let asked = |path: Option<PathBuf>, version: &str| {
            let request = EngineRequest {
                license: path,
                ..EngineRequest::default()
            };
            license(&request, &version.parse().unwrap(), &Environment::default())
        };
        let good = file("good", "02MV4UU43BK5\n");
        assert_eq!(asked(None, "1.8.3").unwrap(), None);
        assert_eq!(asked(Some(good.clone()), "1.8.3").unwrap(), None);
        let read = asked(Some(good), "1.8.3+ent").unwrap().unwrap();
        assert_eq!(read.text(), "02MV4UU43BK5");
        assert!(!format!("{read:?}").contains("02MV"));

        let missing = asked(None, "1.8.3+ent").unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("1.8.3+ent is an Enterprise build")
        );
        assert!(missing.hint().unwrap().contains("--license FILE"));
        let empty = asked(Some(file("empty", " \n")), "1.8.3+ent").unwrap_err();
        assert!(empty.to_string().contains("is empty"), "{empty}");
        let gone = asked(Some(folder.path().join("gone")), "1.8.3+ent").unwrap_err();
        assert!(gone.to_string().contains("cannot be read"), "{gone}");
    }

    #[test]
    fn the_environment_names_one_as_it_does_for_nomad() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("license.hclic");
        std::fs::write(&path, "02MV").unwrap();
        let environment = Environment {
            license_path: Some(path),
            ..Environment::default()
        };
        let version = "1.8.3+ent".parse().unwrap();
        let read = license(&EngineRequest::default(), &version, &environment).unwrap();
        assert_eq!(read.unwrap().text(), "02MV");
    }
}
