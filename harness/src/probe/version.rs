//! In which version a job is registered.

use super::Condition;
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "version",
    about: "the job is registered in this version, counted from 0; a revert counts up too",
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required(
            "number",
            Type::Count,
            "the version that the cluster gave it",
        ),
    ],
    takes: &[],
    build: |args| Condition::Version {
        job: args.text("job"),
        number: args.count("number"),
    },
};

/// Done when the job is in that version; never when it is past it.
pub async fn look(agents: &Directory, job: &str, number: u64) -> Look<String> {
    let registered = agents.ask(|api| async move { api.job(job).await }).await;
    let version = match registered {
        Ok(registered) => registered.version,
        Err(error) => return Look::failed(&error),
    };
    let seen = format!("`{job}` is in version {version}");
    if version == number {
        Look::Done(seen)
    } else if version > number {
        Look::Never(seen)
    } else {
        Look::NotYet(seen)
    }
}
