//! The folder of one run: `result.json`, `timeline.json`, the page `report.html`, and, when it
//! did not pass, the last lines of every agent's log. No token and no key ever stands in it.
//!
//! A disk that is full at the end of a run takes no report away: what cannot be written where it
//! belongs is written to the system's folder for temporary files, and the report says so.

use std::io;
use std::path::{Path, PathBuf};

use crate::causes::with_causes;
use crate::report::{self, Report, Verdict};
use crate::target::Target;
use crate::timeline::Timeline;

/// How many lines of each agent's log are kept.
const LOG_LINES: usize = 500;
/// What is written to see whether a folder can be written to: about a run's files without logs.
static TRIAL: [u8; 256 * 1024] = [0; 256 * 1024];
/// The page of a run, in its folder.
pub const PAGE: &str = "report.html";

/// A folder that is there and can be written to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    spare: PathBuf,
}

/// A run's files cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub struct FolderError {
    /// The file or folder.
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Folder {
    /// Makes `<parent>/<scenario>-<id>`, with an ID of its own, before anything runs: what cannot
    /// be written should be known then.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn create(parent: &Path, scenario: &str) -> Result<Self, FolderError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{scenario}-{}", &id[..6]);
        let path = parent.join(&name);
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self {
                path,
                spare: std::env::temp_dir().join("rehearse-reports").join(name),
            }),
            Err(source) => Err(FolderError { path, source }),
        }
    }

    /// Sees whether runs' folders can be made in a folder, and files of their size be written.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn try_out(parent: &Path) -> Result<(), FolderError> {
        let name = format!(".trial-{}", uuid::Uuid::new_v4().simple());
        let path = parent.join(name);
        let tried = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, TRIAL));
        let removed = std::fs::remove_file(&path);
        match tried.and(removed) {
            Ok(()) => Ok(()),
            Err(source) => Err(FolderError {
                path: parent.to_owned(),
                source,
            }),
        }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn shown(&self) -> String {
        shown(&self.path)
    }

    /// Writes the run's files, elsewhere where they cannot be written here; the report then says
    /// so, and has no `evidence` where no place took them.
    pub(super) async fn keep(&self, report: &mut Report, timeline: &Timeline, target: &dyn Target) {
        let Err(error) = self.write(&self.path, report, timeline, target).await else {
            return;
        };
        report.notes.push(with_causes(&error));
        report.evidence = Some(shown(&self.spare));
        if let Err(error) = self.write(&self.spare, report, timeline, target).await {
            report.notes.push(with_causes(&error));
            report.evidence = None;
        }
    }

    async fn write(
        &self,
        folder: &Path,
        report: &Report,
        timeline: &Timeline,
        target: &dyn Target,
    ) -> Result<(), FolderError> {
        // What weighs most comes first.
        file(folder, "result.json", &report::to_json(report))?;
        let mut events = serde_json::to_string_pretty(timeline).expect("a timeline is plain data");
        events.push('\n');
        file(folder, "timeline.json", &events)?;
        file(folder, PAGE, &report::to_html(report, timeline))?;
        if matches!(report.verdict, Verdict::Failed | Verdict::Inconclusive) {
            for agent in target.agents() {
                let log = match target.logs(&agent.name, LOG_LINES).await {
                    Ok(log) => log,
                    Err(error) => format!("(no log: {})\n", with_causes(&error)),
                };
                file(folder, &format!("{}.log", agent.name), &log)?;
            }
        }
        Ok(())
    }
}

fn shown(path: &Path) -> String {
    format!("{}/", path.display())
}

fn file(folder: &Path, name: &str, text: &str) -> Result<(), FolderError> {
    write_whole(&folder.join(name), text)
}

/// Writes a file so that it is there whole or not at all; makes its folder.
///
/// # Errors
/// [`FolderError`].
pub fn write_whole(path: &Path, text: &str) -> Result<(), FolderError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let half = path.with_file_name(format!(".{name}.half"));
    let written = std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
        .and_then(|()| std::fs::write(&half, text))
        .and_then(|()| std::fs::rename(&half, path));
    written.map_err(|source| {
        // What is half there helps nobody.
        let _gone = std::fs::remove_file(&half);
        FolderError {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_told_before_anything_starts() {
        let folder = tempfile::tempdir().expect("a folder of our own");
        Folder::try_out(&folder.path().join("new")).expect("it can be made");
        let left = std::fs::read_dir(folder.path().join("new")).expect("it is there");
        assert_eq!(left.count(), 0, "a trial leaves nothing");
        let file = folder.path().join("a-file");
        std::fs::write(&file, "").expect("it can be written");
        let error = Folder::try_out(&file.join("below")).expect_err("a file is no folder");
        assert!(error.to_string().contains("a-file/below"), "{error}");
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let path = folder.path().join("below").join("x.json");
        write_whole(&path, "{}").expect("it can be written");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "{}");
        // A folder of that name is in the way.
        let taken = folder.path().join("below");
        write_whole(&taken, "{}").expect_err("it is a folder");
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .expect("it is there")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["below"], "nothing half is left");
    }
}
