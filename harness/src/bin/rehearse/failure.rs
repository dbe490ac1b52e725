//! How a command ends badly: what is printed, and with which exit code.

use std::error::Error;
use std::process::ExitCode;

use nomad_harness::boot::BootError;
use nomad_harness::causes;
use nomad_harness::docker::{ConnectError, DockerError};
use nomad_harness::engine::EngineError;
use nomad_harness::target::docker::{FolderError, LifecycleError, OpenError, SweepError, UpError};

/// A bad command line, or bad input.
const INPUT: u8 = 2;
/// Docker, the disk, the network.
pub const ENVIRONMENT: u8 = 10;
/// The cluster did not come up.
const NOT_UP: u8 = 20;
/// The user, or the system, asked to end: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Why a command did not do its work.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
}

impl Failure {
    /// The environment is at fault.
    pub fn environment(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: ENVIRONMENT,
            error: error.into(),
            hint: None,
        }
    }

    /// The input is at fault.
    pub fn input(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: INPUT,
            error: error.into(),
            hint: None,
        }
    }

    /// The user, or the system, asked to end; nothing is left.
    pub fn interrupted() -> Self {
        Self::new(INTERRUPTED, None, "interrupted; nothing is left behind")
    }

    /// Says what to type next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns its words and those of its causes, in a line.
    pub fn in_a_line(&self) -> String {
        let words = causes::with_causes(self.error.as_ref());
        words.replace('\n', "; ")
    }

    /// Prints it.
    pub fn show(&self) {
        eprint!("{}", self.text());
    }

    /// Prints it, and returns the exit code.
    pub fn report(&self) -> ExitCode {
        self.show();
        ExitCode::from(self.code)
    }

    fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.error);
        let mut said = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(current) = cause {
            let words = current.to_string();
            // Some errors print their cause themselves.
            if !said.contains(&words) {
                text.push_str(&format!("  cause: {words}\n"));
            }
            said = words;
            cause = current.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
        text
    }

    fn new(code: u8, hint: Option<String>, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code,
            error: error.into(),
            hint,
        }
    }
}

fn engine_code(error: &EngineError) -> u8 {
    use nomad_harness::engine::ReleaseError;
    match error {
        EngineError::License(_)
        | EngineError::NoSuchFile { .. }
        | EngineError::IsFolder { .. }
        | EngineError::NotExecutable { .. }
        | EngineError::Elf { .. }
        | EngineError::OtherArch { .. }
        | EngineError::NotNomad { .. }
        | EngineError::OtherVersion { .. }
        | EngineError::NoImage
        | EngineError::SimulatorOnly { .. }
        | EngineError::UnknownPlant(_)
        | EngineError::NoBinary { .. }
        | EngineError::NoWorkbench { .. }
        | EngineError::ImageArch { .. } => INPUT,
        EngineError::Release { source, .. } => match source.as_ref() {
            ReleaseError::Unavailable(_)
            | ReleaseError::NoSuchVersion { .. }
            | ReleaseError::NotBuilt { .. } => INPUT,
            _ => ENVIRONMENT,
        },
        _ => ENVIRONMENT,
    }
}

fn folder_code(error: &FolderError) -> u8 {
    match error {
        FolderError::Absent { .. } | FolderError::Busy { .. } => INPUT,
        _ => ENVIRONMENT,
    }
}

impl From<UpError> for Failure {
    fn from(error: UpError) -> Self {
        let code = match &error {
            UpError::Spec(_)
            | UpError::Settings(_)
            | UpError::NoFederation { .. }
            | UpError::NameTaken { .. } => INPUT,
            UpError::Folder(error) => folder_code(error),
            UpError::Engine(error) => engine_code(error),
            UpError::Died { .. } | UpError::NotReady { .. } => NOT_UP,
            UpError::Interrupted { .. } => INTERRUPTED,
            _ => ENVIRONMENT,
        };
        Self::new(code, error.hint(), error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::Folder(error) => folder_code(error),
            OpenError::HalfMade { .. } => NOT_UP,
            _ => ENVIRONMENT,
        };
        Self::new(code, error.hint(), error)
    }
}

impl From<LifecycleError> for Failure {
    fn from(error: LifecycleError) -> Self {
        let code = match &error {
            LifecycleError::Absent { .. }
            | LifecycleError::NoAgent { .. }
            | LifecycleError::InUse { .. } => INPUT,
            LifecycleError::Folder(error) => folder_code(error),
            LifecycleError::NotReady { .. } => NOT_UP,
            _ => ENVIRONMENT,
        };
        Self::new(code, error.hint(), error)
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        Self::new(folder_code(&error), error.hint(), error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new(ENVIRONMENT, error.hint(), error)
    }
}

impl From<DockerError> for Failure {
    fn from(error: DockerError) -> Self {
        Self::new(ENVIRONMENT, error.hint(), error)
    }
}

impl From<BootError> for Failure {
    fn from(error: BootError) -> Self {
        match error {
            BootError::Engine(error) => error.into(),
            BootError::Docker(error) => error.into(),
            error @ BootError::Archive(_) => Self::environment(error),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::new(engine_code(&error), error.hint(), error)
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        Self::new(ENVIRONMENT, error.hint(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot kill `server-1`")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no such container")]
    struct Inner;

    #[test]
    fn causes_and_hint_have_lines_of_their_own() {
        let failure = Failure::environment(Outer(Inner)).hint("rehearse doctor");
        assert_eq!(
            failure.text(),
            "error: cannot kill `server-1`\n  cause: no such container\n  hint: rehearse doctor\n"
        );
    }
}
