use super::*;
use crate::spec::Arch;

const SECRETS: Secrets<'static> = Secrets {
    gossip_key: "cmVoZWFyc2UgcmVoZWFyc2UgcmVoZWFyc2UgcmVoZWE=",
    replication_token: None,
};

fn text(role: Role, version: &str, set: &[(&str, &str)]) -> Result<String, ConfigError> {
    let mut spec = ClusterSpec::new("demo", Arch::Amd64);
    for (key, value) in set {
        spec.set.insert((*key).to_owned(), (*value).to_owned());
    }
    let plan = spec.plan("10.84.3.0/24".parse().unwrap());
    let agent = plan.iter().find(|a| a.role == role).unwrap();
    render(&spec, &plan, agent, &version.parse().unwrap(), SECRETS)
}

#[test]
fn a_server_of_the_middle_version() {
    insta::assert_snapshot!(text(Role::Server, "1.8.3", &[]).unwrap());
}

#[test]
fn a_client_of_the_middle_version() {
    insta::assert_snapshot!(text(Role::Client, "1.8.3", &[]).unwrap());
}

#[test]
fn the_oldest_differs_only_in_what_it_does_not_know() {
    let lines = |version: &str, role| -> Vec<String> {
        let text = text(role, version, &[]).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    assert_eq!(lines("1.1.2", Role::Server), lines("1.8.3", Role::Server));
    let old = lines("1.1.2", Role::Client);
    let missing: Vec<String> = lines("1.8.3", Role::Client)
        .into_iter()
        .filter(|line| !old.contains(line))
        .collect();
    assert_eq!(missing, ["disk_total_mb = 20480", "disk_free_mb = 20480"]);
}

#[test]
fn the_newest_reads_what_the_middle_one_reads() {
    for role in [Role::Server, Role::Client] {
        assert_eq!(
            text(role, "2.0.5", &[]).unwrap(),
            text(role, "1.8.3", &[]).unwrap()
        );
    }
}

#[test]
fn a_further_region_joins_all_and_copies_access_control_from_the_first() {
    let mut spec = ClusterSpec::new("demo", Arch::Amd64);
    (spec.servers, spec.clients) = (1, 1);
    spec.region = "east".to_owned();
    spec.further_regions = vec!["west".to_owned()];
    let plan = spec.plan("10.84.3.0/24".parse().unwrap());
    let secrets = Secrets {
        replication_token: Some("a-management-token"),
        ..SECRETS
    };
    let text = |number: usize| {
        let version = "1.8.3".parse().unwrap();
        render(&spec, &plan, &plan[number], &version, secrets).unwrap()
    };
    let has = |text: &str, line: &str| text.lines().any(|one| one.trim() == line);
    let (east, west, east_client, west_client) = (text(0), text(1), text(2), text(3));
    for (text, own, other) in [(&east, "east", 221), (&west, "west", 11)] {
        assert!(has(text, &format!("region = \"{own}\"")), "{text}");
        assert!(has(text, "authoritative_region = \"east\""), "{text}");
        assert!(has(text, "bootstrap_expect = 1"), "{text}");
        assert!(
            has(text, &format!("retry_join = [\"10.84.3.{other}:4648\"]")),
            "{text}"
        );
        assert!(
            text.contains(&format!("/{own}-server-nomad.pem\"")),
            "{text}"
        );
    }
    assert!(
        has(&west, "replication_token = \"a-management-token\""),
        "{west}"
    );
    for (text, server) in [(&east_client, 11), (&west_client, 221)] {
        assert!(
            has(text, &format!("servers = [\"10.84.3.{server}:4647\"]")),
            "{text}"
        );
    }
    for text in [east, east_client, west_client] {
        assert!(!text.contains("replication_token"), "{text}");
    }
}

#[test]
fn settings_go_to_the_role_that_reads_them() {
    let set = [
        ("server.raft_multiplier", "2"),
        ("client.meta.rack.row", "r1"),
        ("client.options.driver.allowlist", "raw_exec"),
        ("plugin.raw_exec.config.enabled", "false"),
        ("log_level", "DEBUG"),
        ("server.enabled_schedulers", "[\"service\"]"),
    ];
    let server = text(Role::Server, "1.8.3", &set).unwrap();
    assert!(server.contains("  raft_multiplier = 2\n"), "{server}");
    assert!(server.contains("  enabled_schedulers = [\"service\"]\n"));
    assert!(server.contains("\nlog_level = \"DEBUG\"\n"));
    assert!(!server.contains("meta"));
    let client = text(Role::Client, "1.8.3", &set).unwrap();
    assert!(
        client.contains("  meta = {\n    \"rack.row\" = \"r1\"\n  }\n"),
        "{client}"
    );
    assert!(client.contains("    \"driver.allowlist\" = \"raw_exec\"\n"));
    assert!(client.contains("    enabled = false\n"));
    assert!(!client.contains("raft_multiplier"));
}

#[test]
fn what_is_written_is_what_a_parser_reads() {
    for role in [Role::Server, Role::Client] {
        let text = text(role, "1.8.3", &[("client.meta.quote", "a\"b\\c")]).unwrap();
        let body: ::hcl::Body = ::hcl::from_str(&text).unwrap();
        drop(body);
    }
}

#[test]
fn settings_that_cannot_be_are_all_told() {
    let mut spec = ClusterSpec::new("demo", Arch::Amd64);
    for key in [
        "server.failover_heartbeat_ttl",
        "server.raft_multiplyer",
        "heartbeat_grace",
        "client",
        "tls.rpc",
        "plugin.raw_exec",
        "tls_prefer_server_cipher_suites",
        "plugin.raw_exec.config.no_cgroups",
    ] {
        spec.set.insert(key.to_owned(), "1".to_owned());
    }
    let told = |version: &str| {
        let errors = check_settings(&spec, &version.parse().unwrap()).unwrap_err();
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(told("1.1.2"));
    insta::assert_snapshot!(told("1.8.0"));
    assert!(told("1.0.9").starts_with("Nomad 1.0.9 is too old"));
}
