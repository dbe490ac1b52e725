//! What happens to an agent's data while it is down: `data wipe FOLDER` removes all that is in a
//! folder, and leaves the folder itself, which is a volume.

use std::path::{Path, PathBuf};

/// The tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataError {
    #[error("expected `data wipe FOLDER`, not `data {0}`")]
    Usage(String),
    #[error("cannot remove `{}`: {source}", .path.display())]
    Remove {
        path: PathBuf,
        source: std::io::Error,
    },
}

pub(super) fn run(args: &[String]) -> Result<String, DataError> {
    match args {
        [verb, folder] if verb == "wipe" => wipe(Path::new(folder)),
        _ => Err(DataError::Usage(args.join(" "))),
    }
}

fn wipe(folder: &Path) -> Result<String, DataError> {
    let failed = |path: &Path, source| DataError::Remove {
        path: path.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(|source| failed(folder, source))?;
    let mut removed = 0;
    for entry in entries {
        let path = entry.map_err(|source| failed(folder, source))?.path();
        // A link to a folder is a link.
        let kind = path.symlink_metadata().map_err(|e| failed(&path, e))?;
        let outcome = if kind.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        outcome.map_err(|source| failed(&path, source))?;
        removed += 1;
    }
    Ok(format!(
        "removed {removed} entries of {}\n",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_goes_but_the_folder_and_what_links_lead_to() {
        let root = tempfile::tempdir().unwrap();
        let (data, other) = (root.path().join("data"), root.path().join("other"));
        std::fs::create_dir_all(data.join("server/raft")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(data.join("server/raft/raft.db"), "log").unwrap();
        std::fs::write(other.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&other, data.join("link")).unwrap();
        let said = run(&["wipe".to_owned(), data.display().to_string()]).unwrap();
        assert!(said.starts_with("removed 2 entries"), "{said}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
        assert!(other.join("kept").exists());
        let error = run(&["wipe".to_owned(), "/no/such/folder".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
        assert!(run(&["mend".to_owned()]).is_err());
    }
}
