//! What to type against emulation that does not work: it depends on who provides it here.

use crate::spec::Arch;

use super::Fault;

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

/// Returns the commands (or the settings) that mend the fault, in order; the text after `#` says
/// what for.
#[must_use]
pub fn mend(fault: &Fault, arch: Arch, place: Place) -> Vec<String> {
    let install = format!("docker run --privileged --rm {BINFMT_IMAGE} --install {arch}");
    // `--install` passes over an architecture that has an emulator, whatever that is worth.
    let uninstall = format!(
        "docker run --privileged --rm {BINFMT_IMAGE} --uninstall {}",
        emulator(arch)
    );
    let replace = match fault {
        Fault::OtherArch { .. } => {
            return vec![format!(
                "docker image rm $(docker image ls -q rehearse/probe)    # then once more: {arch}"
            )];
        }
        Fault::NotRegistered => vec![install],
        _ => vec![uninstall, install],
    };
    match place {
        Place::DebianSources => vec![format!("sudo ci/qemu.sh {arch}")],
        Place::GithubActions => vec![format!(
            "uses: docker/setup-qemu-action    # with: {{ image: {BINFMT_IMAGE}, platforms: {arch} }}"
        )],
        Place::DockerDesktop => [
            vec![
                "docker desktop update    # its emulators come with it; then restart it".to_owned(),
            ],
            replace,
        ]
        .concat(),
        Place::Elsewhere => replace,
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
                let commands = mend(&fault, Arch::S390x, place);
                assert!(!commands.is_empty(), "{fault:?} {place:?}");
                assert!(commands.iter().any(|command| command.contains("s390x")));
            }
        }
    }

    #[test]
    fn a_broken_emulator_is_removed_before_a_good_one_is_installed() {
        let commands = mend(&Fault::Netlink, Arch::S390x, Place::Elsewhere);
        assert!(
            commands[0].ends_with("--uninstall qemu-s390x"),
            "{commands:?}"
        );
        assert!(commands[1].ends_with("--install s390x"), "{commands:?}");
        let commands = mend(&Fault::NotRegistered, Arch::Arm64, Place::Elsewhere);
        assert_eq!(commands.len(), 1, "{commands:?}");
    }
}
