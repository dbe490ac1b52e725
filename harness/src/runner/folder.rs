//! The folder of one run: `result.json`, `timeline.json`, and, when it did not pass, the last
//! lines of every agent's log. No token and no key ever stands in it.

use std::path::{Path, PathBuf};

use crate::report::{self, Report, Verdict};
use crate::step::with_causes;
use crate::target::Target;
use crate::timeline::Timeline;

/// How many lines of each agent's log are kept.
const LOG_LINES: usize = 500;

/// A folder that is there and can be written to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

/// A run's files cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub struct FolderError {
    /// The file or folder.
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Folder {
    /// Makes `<parent>/<scenario>-<id>`, with an ID of its own, before anything runs: what cannot
    /// be written should be known then.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn create(parent: &Path, scenario: &str) -> Result<Self, FolderError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = parent.join(format!("{scenario}-{}", &id[..6]));
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self { path }),
            Err(source) => Err(FolderError { path, source }),
        }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn shown(&self) -> String {
        format!("{}/", self.path.display())
    }

    pub(super) async fn write(
        &self,
        report: &Report,
        timeline: &Timeline,
        target: &dyn Target,
    ) -> Result<(), FolderError> {
        let mut events = serde_json::to_string_pretty(timeline).expect("a timeline is plain data");
        events.push('\n');
        self.file("timeline.json", &events)?;
        self.file("result.json", &report::to_json(report))?;
        if matches!(report.verdict, Verdict::Failed | Verdict::Inconclusive) {
            for agent in target.agents() {
                let log = match target.logs(&agent.name, LOG_LINES).await {
                    Ok(log) => log,
                    Err(error) => format!("(no log: {})\n", with_causes(&error)),
                };
                self.file(&format!("{}.log", agent.name), &log)?;
            }
        }
        Ok(())
    }

    fn file(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        std::fs::write(&path, text).map_err(|source| FolderError { path, source })
    }
}
