//! What is run on a machine, as root, by Systems Manager. Each may run twice, and each undoing where
//! nothing was done.

use std::net::Ipv4Addr;

/// Minutes after which a packet filter goes by itself, should nobody be left to remove it.
const FILTER_MINUTES: u32 = 60;

/// Kills the agent's own process (tasks live on), which the service manager then leaves dead.
pub(super) const KILL: &str = "\
set -eu
mkdir -p /run/systemd/system/nomad.service.d
printf '[Service]\\nRestart=no\\n' > /run/systemd/system/nomad.service.d/rehearse.conf
systemctl daemon-reload
systemctl kill --signal=KILL --kill-who=main nomad
turns=0
while systemctl is-active --quiet nomad; do
  turns=$((turns + 1))
  [ $turns -lt 50 ] || { echo 'the process is still there' >&2; exit 9; }
  sleep 0.2
done
";

/// Starts the service, which is restarted by itself again from then on.
pub(super) const START: &str = "\
set -eu
rm -f /run/systemd/system/nomad.service.d/rehearse.conf
systemctl daemon-reload
systemctl reset-failed nomad 2> /dev/null || true
systemctl start nomad
";

/// Freezes the agent's own process.
pub(super) const PAUSE: &str = "systemctl kill --signal=STOP --kill-who=main nomad\n";

/// Thaws it; a service that does not run has nothing to thaw.
pub(super) const RESUME: &str = "\
if systemctl is-active --quiet nomad; then systemctl kill --signal=CONT --kill-who=main nomad; fi
";

/// Has the agent read its files again.
pub(super) const RELOAD: &str = "systemctl kill --signal=HUP --kill-who=main nomad\n";

/// Removes the packet filter, in whichever way it was made, and fails where it is still there.
pub(super) const HEAL: &str = "\
systemctl stop rehearse-heal.timer 2> /dev/null || true
systemctl reset-failed rehearse-heal.timer rehearse-heal.service 2> /dev/null || true
if command -v nft > /dev/null; then nft delete table inet rehearse 2> /dev/null || true; fi
if command -v iptables > /dev/null; then
  for chain in INPUT OUTPUT FORWARD; do iptables -D $chain -j REHEARSE 2> /dev/null || true; done
  iptables -F REHEARSE 2> /dev/null || true
  iptables -X REHEARSE 2> /dev/null || true
fi
ip -4 route show type blackhole proto 213 | while read -r kind address rest; do
  ip -4 route del blackhole \"$address\" proto 213
done
if [ -e /run/rehearse.rp_filter ]; then
  cat /run/rehearse.rp_filter > /proc/sys/net/ipv4/conf/all/rp_filter
  rm -f /run/rehearse.rp_filter
fi
left=
if command -v nft > /dev/null && nft list table inet rehearse > /dev/null 2>&1; then left=nftables; fi
if command -v iptables > /dev/null && iptables -S 2> /dev/null | grep -q REHEARSE; then left=iptables; fi
if ip -4 route show type blackhole proto 213 | grep -q .; then left=routes; fi
[ -z \"$left\" ] || { echo \"the packet filter is still there ($left)\" >&2; exit 9; }
";

/// Shows what is dropped and where packets go: before a fault and after its healing it is the same.
pub(super) const NETWORK: &str = "\
if command -v nft > /dev/null; then nft list table inet rehearse 2> /dev/null || true; fi
if command -v iptables > /dev/null; then iptables -S 2> /dev/null | grep REHEARSE || true; fi
ip -4 route show type blackhole
cat /proc/sys/net/ipv4/conf/all/rp_filter
";

/// Drops packets to and from these addresses: by nftables, else iptables, else, where the machine has
/// neither (Amazon Linux), by routes into nowhere and the kernel's check of where packets come from.
/// Not by security groups: connections that are tracked survive a change of those.
pub(super) fn isolate(peers: &[Ipv4Addr]) -> String {
    let spaced: Vec<String> = peers.iter().map(Ipv4Addr::to_string).collect();
    let (commas, spaces) = (spaced.join(", "), spaced.join(" "));
    format!(
        "\
set -eu
{HEAL}
cat > /run/rehearse-heal.sh << 'EOF'
{HEAL}EOF
systemd-run --quiet --unit=rehearse-heal --on-active={FILTER_MINUTES}m /bin/sh /run/rehearse-heal.sh
if command -v nft > /dev/null; then
  nft -f - << 'EOF'
table inet rehearse {{
  set peers {{ type ipv4_addr; elements = {{ {commas} }}; }}
  chain input {{ type filter hook input priority -300; ip saddr @peers drop; }}
  chain output {{ type filter hook output priority -300; ip daddr @peers drop; }}
  chain forward {{ type filter hook forward priority -300; ip saddr @peers drop; ip daddr @peers drop; }}
}}
EOF
elif command -v iptables > /dev/null; then
  iptables -N REHEARSE
  for peer in {spaces}; do
    iptables -A REHEARSE -s $peer -j DROP
    iptables -A REHEARSE -d $peer -j DROP
  done
  for chain in INPUT OUTPUT FORWARD; do iptables -I $chain -j REHEARSE; done
else
  cat /proc/sys/net/ipv4/conf/all/rp_filter > /run/rehearse.rp_filter
  echo 2 > /proc/sys/net/ipv4/conf/all/rp_filter
  for peer in {spaces}; do ip -4 route replace blackhole $peer proto 213; done
fi
"
    )
}

/// The last lines of the agent's log.
pub(super) fn logs(lines: usize) -> String {
    format!("journalctl -u nomad -n {lines} --no-pager -o cat | tail -c 20000\n")
}

/// A command of somebody's, each word quoted.
pub(super) fn exec(words: &[String]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    format!("exec {} 2>&1\n", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_scripts() {
        let peers = [Ipv4Addr::new(10, 0, 0, 4), Ipv4Addr::new(10, 0, 0, 5)];
        let words = ["echo".to_owned(), "it's".to_owned()];
        let made = [isolate(&peers), logs(20), exec(&words)];
        let fixed = [KILL, START, PAUSE, RESUME, RELOAD, HEAL, NETWORK];
        for script in made.iter().map(String::as_str).chain(fixed) {
            let checked = std::process::Command::new("sh")
                .args(["-n", "-c", script])
                .output()
                .unwrap();
            assert!(checked.status.success(), "{script}\n{checked:?}");
        }
        assert!(
            made[0].contains("elements = { 10.0.0.4, 10.0.0.5 };"),
            "{}",
            made[0]
        );
        let said = std::process::Command::new("sh")
            .args(["-c", &made[2]])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "it's\n");
    }

    /// Runs a script in a shell that has these functions in the place of programs, and `grep`.
    fn with(programs: &[(&str, &str)], script: &str) -> std::process::Output {
        let folder = tempfile::tempdir().unwrap();
        let grep = ["/bin/grep", "/usr/bin/grep"].map(std::path::Path::new);
        let grep = grep.into_iter().find(|grep| grep.exists()).unwrap();
        std::os::unix::fs::symlink(grep, folder.path().join("grep")).unwrap();
        let functions: String = programs
            .iter()
            .map(|(name, does)| format!("{name}() {{ {does}; }}\n"))
            .collect();
        std::process::Command::new("/bin/sh")
            .args(["-c", &(functions + script)])
            .env("PATH", folder.path())
            .output()
            .unwrap()
    }

    #[test]
    fn a_filter_that_stays_is_not_called_healed() {
        let (gone, stays, quiet) = ("[ $1 != list ]", "[ $1 = list ]", "return 0");
        for (nft, code) in [(gone, 0), (stays, 9)] {
            let programs = [("nft", nft), ("ip", quiet), ("systemctl", quiet)];
            let ended = with(&programs, HEAL);
            assert_eq!(ended.status.code(), Some(code), "{nft}: {ended:?}");
        }
        let chain = "[ $1 = -S ] && echo '-N REHEARSE'";
        let programs = [("iptables", chain), ("ip", quiet), ("systemctl", quiet)];
        assert_eq!(with(&programs, HEAL).status.code(), Some(9));
    }

    #[test]
    fn a_service_that_does_not_run_is_healed_of_a_pause() {
        for (running, killed) in [("return 3", 0), ("return 0", 1)] {
            let systemctl = format!("[ $1 = kill ] && echo killed; {running}");
            let ended = with(&[("systemctl", &systemctl)], RESUME);
            assert!(ended.status.success(), "{ended:?}");
            let said = String::from_utf8_lossy(&ended.stdout);
            assert_eq!(said.lines().count(), killed, "{said}");
        }
    }
}
