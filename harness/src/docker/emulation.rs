//! Whether the engine runs programs of another architecture, found out by running one.
//!
//! That an emulator is registered proves little, and so does its version: some are registered
//! where containers do not see them, some break the first Go program that lists network
//! interfaces, some hang. The probe (`images/probe`, a few kilobytes without any library) does
//! what an agent does and says `probe ok` at its end.

use super::archive::{Content, ImageRecipe};
use super::live::Docker;
use super::probe::{Privilege, Specimen, Trial};
use super::{DockerEngine as _, DockerError, EngineSaid, Labels, Trouble, labels};
use crate::spec::Arch;

/// Where the probe is in its image.
const PROBE: &str = "/probe";
/// Repository of the probe's images.
const REPOSITORY: &str = "rehearse/probe";

/// What running a program of an architecture came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emulation {
    /// It did all that an agent does.
    Works,
    /// The kernel knows no emulator for it.
    NotRegistered,
    /// An emulator is registered, and containers do not see it.
    NotInContainers,
    /// The emulator garbles what the kernel says of network interfaces (QEMU before 10.0.10).
    GarblesNetlink,
    /// The emulator crashed; the exit code.
    Crashes(i64),
    /// The emulator hangs.
    Hangs,
    /// Something else, in the words of the probe or the engine.
    Fails(String),
}

impl Docker {
    /// Runs the probe of an architecture once. `name` and `tags` (labels) are its container's; the
    /// image is removed again.
    ///
    /// # Errors
    /// When the engine takes in no image, or is gone.
    pub async fn try_emulation(
        &self,
        arch: Arch,
        name: &str,
        tags: &Labels,
    ) -> Result<Emulation, DockerError> {
        let mut recipe = ImageRecipe::new(arch);
        // The labels make it this run's own: nobody else removes it meanwhile.
        recipe.labels = tags.clone();
        let origin = format!("probe {arch}");
        recipe.labels.insert(labels::ORIGIN.to_owned(), origin);
        recipe.file(PROBE, 0o755, Content::Bytes(probe_of(arch)));
        let archive = recipe.seal(REPOSITORY).map_err(|error| DockerError {
            action: "make image",
            object: REPOSITORY.to_owned(),
            trouble: Trouble::Other,
            source: EngineSaid(error.to_string()),
        })?;
        let image = archive.name().to_owned();
        self.load_image(&image, archive.stream()).await?;
        let specimen = Specimen {
            image: image.clone(),
            platform: arch.platform(),
            command: vec![PROBE.to_owned()],
            env: Vec::new(),
            labels: tags.clone(),
        };
        let trial = self.try_container(&specimen, name, Privilege::Usual).await;
        let removed = self.remove_image(&image).await;
        let verdict = verdict(arch, &trial?);
        removed.map(|()| verdict)
    }
}

fn probe_of(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::Amd64 => include_bytes!("../../../images/probe/probe-amd64"),
        Arch::Arm64 => include_bytes!("../../../images/probe/probe-arm64"),
        Arch::S390x => include_bytes!("../../../images/probe/probe-s390x"),
    }
}

/// Judges a run of the probe. A program of the machine's own architecture runs unnoticed under a
/// foreign label, so the probe's first line must name the right one.
fn verdict(arch: Arch, trial: &Trial) -> Emulation {
    let (code, out, err) = match trial {
        Trial::Ran { code, out, err } => (*code, out.trim(), err.trim()),
        Trial::Refused(why) => return of_words(why),
        Trial::Hung(_) => return Emulation::Hangs,
    };
    let named = out
        .lines()
        .next()
        .is_some_and(|line| line.starts_with(&format!("arch {arch} ")));
    if code == 0 && named && out.lines().last() == Some("probe ok") {
        return Emulation::Works;
    }
    if out.contains("FAIL netlink") {
        return Emulation::GarblesNetlink;
    }
    // SIGILL, SIGABRT, SIGBUS, SIGSEGV.
    if matches!(code, 132 | 134 | 135 | 139) {
        return Emulation::Crashes(code);
    }
    let failed = out.lines().find(|line| line.starts_with("FAIL"));
    let last = failed
        .or_else(|| err.lines().last())
        .or_else(|| out.lines().last());
    of_words(last.unwrap_or("it said nothing"))
}

fn of_words(words: &str) -> Emulation {
    if words.contains("exec format error") {
        Emulation::NotRegistered
    } else if words.contains("no such file or directory") {
        Emulation::NotInContainers
    } else {
        Emulation::Fails(words.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ran(code: i64, out: &str, err: &str) -> Trial {
        Trial::Ran {
            code,
            out: out.to_owned(),
            err: err.to_owned(),
        }
    }

    #[test]
    fn only_the_right_architecture_that_ends_well_works() {
        let good = "arch s390x big-endian\nok netlink_link\nprobe ok\n";
        assert_eq!(verdict(Arch::S390x, &ran(0, good, "")), Emulation::Works);
        for trial in [
            ran(0, &good.replace("s390x", "amd64"), ""),
            ran(1, good, ""),
            ran(0, "arch s390x big-endian\n", ""),
            ran(0, "", ""),
        ] {
            assert_ne!(verdict(Arch::S390x, &trial), Emulation::Works, "{trial:?}");
        }
    }

    #[test]
    fn each_way_to_fail_is_told_apart() {
        let verdict = |trial| verdict(Arch::S390x, &trial);
        let head = "arch s390x big-endian\n";
        assert_eq!(
            verdict(ran(1, "", "exec /probe: exec format error\n")),
            Emulation::NotRegistered
        );
        assert_eq!(
            verdict(Trial::Refused(
                "exec: \"/probe\": no such file or directory".to_owned()
            )),
            Emulation::NotInContainers
        );
        let garbled = format!("{head}FAIL netlink_link attribute len 1024\nprobe FAIL\n");
        assert_eq!(verdict(ran(1, &garbled, "")), Emulation::GarblesNetlink);
        assert_eq!(verdict(ran(139, "", "")), Emulation::Crashes(139));
        assert_eq!(
            verdict(Trial::Hung(Duration::from_secs(1))),
            Emulation::Hangs
        );
        let timer = format!("{head}FAIL timer late\nprobe FAIL\n");
        assert_eq!(
            verdict(ran(1, &timer, "")),
            Emulation::Fails("FAIL timer late".to_owned())
        );
    }
}
