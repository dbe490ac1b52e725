//! What to type against emulation that does not work: it depends on who provides it here.

use std::path::Path;

use crate::spec::Arch;

use super::Fault;
use super::probe::REPOSITORY;

/// Version of the usual image of emulators which is named: with the repair of netlink lists, unlike
/// `latest` on many machines, which is whatever was pulled once.
const BINFMT_IMAGE: &str = "tonistiigi/binfmt:qemu-v10.2.3-68";

/// Where containers run, as far as it matters for mending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Docker Desktop: emulators are its own.
    DockerDesktop,
    /// A job of GitHub Actions.
    GithubActions,
    /// This machine's own engine, on Debian or what derives from it, in a source tree of ours.
    DebianSources,
    /// Any other engine.
    Elsewhere,
}

impl Place {
    /// Finds out where containers run: `system` is what the engine says of its machine (empty
    /// where it was not asked), `local` whether that machine is this one, `github_actions`
    /// whether this is a job there.
    #[must_use]
    pub fn find(system: &str, local: bool, github_actions: bool) -> Self {
        let here = |path: &str| Path::new(path).exists();
        if system == "Docker Desktop" {
            Self::DockerDesktop
        } else if github_actions {
            Self::GithubActions
        } else if local && here("/etc/debian_version") && here("ci/qemu.sh") {
            Self::DebianSources
        } else {
            Self::Elsewhere
        }
    }
}

/// Returns what to type (or, on GitHub, to write) against the fault; the text after `#` says what
/// for.
#[must_use]
pub fn mend(fault: &Fault, arch: Arch, place: Place) -> String {
    if let Fault::OtherArch { .. } = fault {
        return format!(
            "docker image rm -f $(docker image ls -q {REPOSITORY})    # a foreign one has {arch}'s name"
        );
    }
    match place {
        Place::DebianSources => format!("sudo ci/qemu.sh {arch}"),
        Place::GithubActions => format!(
            "uses: docker/setup-qemu-action    # with: {{ image: {BINFMT_IMAGE}, platforms: {arch} }}"
        ),
        Place::DockerDesktop if *fault != Fault::NotRegistered => {
            "docker desktop update    # its emulators come with it".to_owned()
        }
        Place::DockerDesktop | Place::Elsewhere => {
            let binfmt = format!("docker run --privileged --rm {BINFMT_IMAGE}");
            let install = format!("{binfmt} --install {arch}");
            match fault {
                Fault::NotRegistered => install,
                // `--install` passes over an architecture that has an emulator, be it a bad one.
                _ => format!("{binfmt} --uninstall {} && {install}", emulator(arch)),
            }
        }
    }
}

/// QEMU's name for the architecture's emulator.
fn emulator(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "qemu-x86_64",
        Arch::Arm64 => "qemu-aarch64",
        Arch::S390x => "qemu-s390x",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place; 4] = [
        Place::DockerDesktop,
        Place::GithubActions,
        Place::DebianSources,
        Place::Elsewhere,
    ];

    #[test]
    fn every_fault_has_a_command_everywhere() {
        let faults = [
            Fault::NotRegistered,
            Fault::WithoutF,
            Fault::Netlink,
            Fault::Crash { signal: 11 },
            Fault::OtherArch {
                seen: "amd64 little-endian".to_owned(),
            },
        ];
        for fault in faults {
            for place in PLACES {
                let command = mend(&fault, Arch::S390x, place);
                assert!(!command.trim().is_empty(), "{fault:?} {place:?}");
                assert!(!command.contains('\n'), "{command}");
            }
        }
    }

    #[test]
    fn a_broken_emulator_is_removed_before_a_good_one_is_installed() {
        let command = mend(&Fault::Netlink, Arch::S390x, Place::Elsewhere);
        let (first, second) = command.split_once(" && ").expect("two commands");
        assert!(first.ends_with("--uninstall qemu-s390x"), "{command}");
        assert!(second.ends_with("--install s390x"), "{command}");
        let command = mend(&Fault::NotRegistered, Arch::Arm64, Place::Elsewhere);
        assert!(command.ends_with("--install arm64"), "{command}");
        assert!(!command.contains("--uninstall"), "{command}");
    }
}
