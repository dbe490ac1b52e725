//! Writes a task's templates before its process starts.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::taskenv::{TaskDirs, TaskEnv};
use super::template;
use crate::types::{Task, Template};

/// Writes the files; the environment with what `env` templates add to it.
pub(super) fn write(task: &Task, dirs: &TaskDirs, mut env: TaskEnv) -> Result<TaskEnv, String> {
    for one in task.templates.iter().flatten() {
        let lookup = |name: &str| env.vars().get(name).cloned();
        let text = template::render(one, &lookup)?;
        let path = destination(one, dirs, &env)?;
        let parent = path.parent().unwrap_or(&dirs.task);
        let mode = u32::from_str_radix(&one.perms, 8).unwrap_or(0o644);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, &text))
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(mode)))
            .map_err(|e| format!("failed to write template to {}: {e}", path.display()))?;
        if one.envvars {
            env.add(template::variables(&text)?);
        }
    }
    Ok(env)
}

/// In the task's directory, or in the allocation's where it is written out.
fn destination(one: &Template, dirs: &TaskDirs, env: &TaskEnv) -> Result<PathBuf, String> {
    let wanted = env.replace(&one.dest_path);
    let wanted = Path::new(&wanted);
    let root = dirs.shared.parent().unwrap_or(&dirs.shared);
    let path = if wanted.starts_with(root) {
        wanted.to_owned()
    } else {
        dirs.task.join(wanted.strip_prefix("/").unwrap_or(wanted))
    };
    // `..` by its letters: nothing of the path need exist yet.
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    if !clean.starts_with(root) {
        return Err(format!("template destination {} escapes", wanted.display()));
    }
    Ok(clean)
}
