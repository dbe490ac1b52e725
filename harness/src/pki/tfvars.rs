//! The values of variables that Terraform needs to know of the folder.

use std::path::{Path, PathBuf};

use hcl_edit::structure::{Attribute, Body};
use hcl_edit::{Decorate as _, Ident};

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TfvarsError {
    /// What is there does not parse: it is not ours to throw away.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What was expected.
        message: String,
    },
    /// The disk.
    #[error("cannot write `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
}

/// Sets values in a file of variables; all else in it, comments too, stays as it is. The values are
/// expressions of HCL. No secret belongs here.
///
/// # Errors
///
/// If the file is there and does not parse, and when the disk refuses.
pub fn write_tfvars(
    path: &Path,
    values: &[(&str, hcl_edit::expr::Expression)],
) -> Result<(), TfvarsError> {
    let io = |source| TfvarsError::Io {
        path: path.to_owned(),
        source,
    };
    let mut body = body(path)?;
    // Aligned as `terraform fmt` aligns a file of these alone.
    let width = values.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in values {
        let mut value = value.clone();
        value.decor_mut().set_prefix(" ");
        if let Some(mut there) = body.get_attribute_mut(name) {
            *there.value_mut() = value;
        } else {
            let mut attribute = Attribute::new(Ident::new(*name), value);
            let blanks = " ".repeat(width - name.len() + 1);
            attribute.key.decor_mut().set_suffix(blanks);
            body.push(attribute);
        }
    }
    // Written beside and moved, so that a full disk leaves the old file.
    let partial = path.with_extension("tfvars.partial");
    std::fs::write(&partial, body.to_string())
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(io)
}

/// Returns a number from a file of variables; `None` where the file or the variable is not there.
///
/// # Errors
///
/// If the file is there and does not parse or cannot be read.
pub fn read_tfvar(path: &Path, name: &str) -> Result<Option<u64>, TfvarsError> {
    Ok(body(path)?
        .get_attribute(name)
        .and_then(|attribute| attribute.value.as_number()?.as_u64()))
}

fn body(path: &Path) -> Result<Body, TfvarsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => agent::hcl_text::parse_body(&text).map_err(|error| TfvarsError::Syntax {
            path: path.to_owned(),
            line: error.line,
            column: error.column,
            message: error.message,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Body::new()),
        Err(source) => Err(TfvarsError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_wrote_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("terraform.tfvars");
        std::fs::write(&path, "# mine\nname = \"demo\" # kept\npki_version = 1\n").unwrap();
        let values = [("pki_version", 2.into()), ("nomad_region", "eu".into())];
        write_tfvars(&path, &values).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "# mine\nname = \"demo\" # kept\npki_version = 2\nnomad_region = \"eu\"\n"
        );
        assert_eq!(read_tfvar(&path, "pki_version").unwrap(), Some(2));
        assert_eq!(read_tfvar(&path, "other").unwrap(), None);
        assert_eq!(read_tfvar(&scratch.path().join("none"), "x").unwrap(), None);
    }

    #[test]
    fn a_file_that_does_not_parse_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("terraform.tfvars");
        std::fs::write(&path, "name = \n").unwrap();
        let error = write_tfvars(&path, &[("x", 1.into())]).unwrap_err();
        assert!(error.to_string().contains("terraform.tfvars:1:"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "name = \n");
    }
}
