//! Who made a Docker object or a folder, written so that anybody can tell later whether that
//! process still lives: a number alone is given away again by the kernel.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a half-made object is somebody's, when nobody can look whether its maker lives: an
/// `up` takes no longer, even emulated.
const HALF_MADE_MAX: Duration = Duration::from_secs(3600);

/// A process of a machine, since its last boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The machine's lasting name.
    machine: String,
    /// Its boot.
    boot: String,
    /// The process.
    pid: u32,
    /// When it started, in the kernel's ticks since boot; 0 where that cannot be told.
    started: u64,
}

impl Owner {
    /// Returns this process.
    #[must_use]
    pub fn this() -> Self {
        let pid = std::process::id();
        Self {
            machine: machine(),
            boot: boot(),
            pid,
            started: start_of(pid).unwrap_or(0),
        }
    }

    /// Returns its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether the process lives; `None` where this machine cannot tell.
    #[must_use]
    pub fn lives(&self) -> Option<bool> {
        if self.machine != machine() {
            return None;
        }
        if self.boot != boot() {
            return Some(false);
        }
        if cfg!(target_os = "linux") {
            return Some(start_of(self.pid).is_some_and(|started| started == self.started));
        }
        let pid = i32::try_from(self.pid).ok()?;
        let answer = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
        Some(answer != Err(nix::errno::Errno::ESRCH))
    }

    /// Returns when what it makes now is garbage if it is still half-made: seconds since 1970.
    #[must_use]
    pub fn expiry_soon(&self) -> u64 {
        now_secs() + HALF_MADE_MAX.as_secs()
    }
}

/// Returns the seconds since 1970.
#[must_use]
pub fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.machine, self.boot, self.pid, self.started
        )
    }
}

/// Text that names no owner.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no process (expected MACHINE/BOOT/PID/START)")]
pub struct OwnerError(String);

impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let read = || {
            let [machine, boot, pid, started] = parts.as_slice() else {
                return None;
            };
            Some(Self {
                machine: (*machine).to_owned(),
                boot: (*boot).to_owned(),
                pid: pid.parse().ok()?,
                started: started.parse().ok()?,
            })
        };
        read().ok_or_else(|| OwnerError(text.to_owned()))
    }
}

/// The machine's ID, else its host name. Containers of one image share the former and differ in
/// the latter, so both are taken.
fn machine() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy().replace('/', "-");
    let id: String = id.trim().chars().take(8).collect();
    format!("{host}-{id}")
}

/// The kernel's ID of this boot; a constant where there is none (a process number is all then).
fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id: String = id.trim().chars().take(8).collect();
    if id.is_empty() { "-".to_owned() } else { id }
}

/// The 22nd column of `/proc/PID/stat`; the second may hold anything, even parentheses. A zombie
/// has ended, whoever still has to notice.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    let mut columns = after.split_whitespace();
    let state = columns.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    columns.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_is_read_back() {
        let this = Owner::this();
        assert_eq!(this.lives(), Some(true));
        assert_eq!(this.to_string().parse::<Owner>(), Ok(this));
        assert!("a/b/c".parse::<Owner>().is_err());
    }

    #[test]
    fn the_next_owner_of_a_number_is_somebody_else() {
        let mut other = Owner::this();
        other.started += 1;
        assert_eq!(other.lives(), Some(false));
        let mut before = Owner::this();
        before.boot = "earlier".to_owned();
        assert_eq!(before.lives(), Some(false));
        let mut elsewhere = Owner::this();
        elsewhere.machine = "elsewhere".to_owned();
        assert_eq!(elsewhere.lives(), None, "only that machine can tell");
    }

    #[test]
    fn an_ended_process_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut owner = Owner::this();
        owner.pid = child.id();
        owner.started = start_of(child.id()).unwrap_or(1);
        assert!(child.wait().unwrap().success());
        assert_eq!(owner.lives(), Some(false));
    }
}
