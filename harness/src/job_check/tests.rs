//! What is told of good and of bad files.

use super::*;

fn checked(text: &str, ground: &Ground<'_>) -> Checked {
    check("a.nomad.hcl", text, ground)
}

fn told(text: &str, ground: &Ground<'_>) -> Vec<String> {
    let findings = checked(text, ground).findings;
    findings.iter().map(ToString::to_string).collect()
}

const PLAIN: &str = r#"job "a" {
  datacenters = ["dc1"]

  group "g" {
    task "t" {
      driver = "raw_exec"

      config {
        command = "/bin/true"
      }
    }
  }
}
"#;

fn with(part: &str) -> String {
    PLAIN.replace("  group \"g\" {\n", &format!("  group \"g\" {{\n{part}\n"))
}

#[test]
fn a_good_file_has_no_findings() {
    let checked = checked(PLAIN, &Ground::default());
    assert_eq!(checked.findings, []);
    assert_eq!(checked.from, OLDEST);
    assert_eq!(checked.drivers, ["raw_exec"]);
    assert_eq!(checked.job.as_deref(), Some("a"));
}

#[test]
fn what_is_misspelt_is_named_with_its_place_wherever_it_stands() {
    let ground = Ground::default();
    let text = PLAIN.replace("command", "comand");
    assert_eq!(
        told(&text, &ground)[..2],
        [
            "warning: a.nomad.hcl:8:7: `raw_exec` needs `command` in `config`: Nomad takes the job, and the task fails",
            "error: a.nomad.hcl:9:9: unknown attribute `comand` in `config` (did you mean `command`?)",
        ]
    );
    // In a block that the simulator does not look into, too.
    let text = with("service {\n  check {\n    intervall = \"1s\"\n  }\n}");
    let told = told(&text, &ground);
    let wanted =
        "error: a.nomad.hcl:7:5: unknown `intervall` in `check` (did you mean `interval`?)";
    assert!(told.iter().any(|line| line == wanted), "{told:?}");
}

#[test]
fn a_function_that_is_not_simulated_is_no_error_and_one_that_nobody_has_is() {
    let ground = Ground::default();
    let text = format!(
        "locals {{\n  v = sha1(\"a\")\n}}\n{}",
        with("meta {\n  x = sha256(\"a\")\n  y = local.v\n}")
    );
    assert_eq!(
        told(&text, &ground),
        [
            "note: a.nomad.hcl:2:7: function `sha1` is not simulated: Nomad takes it, a simulated agent does not",
            "note: a.nomad.hcl:9:7: function `sha256` is not simulated: Nomad takes it, a simulated agent does not",
            "note: a.nomad.hcl:10:7: what makes `local.v` is not simulated: Nomad takes it, a simulated agent does not",
        ]
    );
    let told = told(&text.replace("sha256", "sha255"), &ground);
    let wanted = "error: a.nomad.hcl:9:7: unknown function `sha255`";
    assert!(told.iter().any(|line| line == wanted), "{told:?}");
}

#[test]
fn a_driver_is_told_what_to_run() {
    let ground = Ground::default();
    let without = PLAIN.replace("        command = \"/bin/true\"\n", "");
    assert_eq!(
        told(&without, &ground),
        [
            "warning: a.nomad.hcl:8:7: `raw_exec` needs `command` in `config`: Nomad takes the job, and the task fails"
        ]
    );
    // What `dynamic` makes of another kind is no reason to be silent.
    for (made, warned) in [("template", true), ("config", false)] {
        let dynamic = format!("dynamic \"{made}\" {{\n for_each = []\n content {{\n }}\n }}\n");
        let text = without.replace("      config", &format!("{dynamic}      config"));
        let told = told(&text, &ground);
        assert_eq!(!told.is_empty(), warned, "{made}: {told:?}");
    }
    for (driver, key, good) in [
        ("docker", "imge", false),
        ("docker", "image", true),
        ("java", "class", true),
        ("java", "jar_pth", false),
        ("exec", "command", true),
        ("a-plugin", "anything", true),
    ] {
        let text = PLAIN.replace("raw_exec", driver).replace("command", key);
        let told = told(&text, &ground);
        let warned = told
            .iter()
            .any(|line| line.contains(" in `config`: Nomad takes"));
        assert_eq!(warned, !good, "{driver} {key}: {told:?}");
    }
}

#[test]
fn a_syntax_error_has_its_place() {
    let told = told("job \"a\" {\n  type = \n}\n", &Ground::default());
    assert!(told[0].starts_with("error: a.nomad.hcl:2:"), "{told:?}");
}

#[test]
fn each_version_takes_what_it_knows() {
    let service = "service {\n  name     = \"a\"\n  provider = \"nomad\"\n}";
    let disconnect = "disconnect {\n  lost_after = \"1m\"\n}";
    for (part, first, before) in [
        (service, Version::new(1, 3, 0), Version::new(1, 2, 16)),
        (disconnect, Version::new(1, 8, 0), Version::new(1, 7, 7)),
    ] {
        let text = with(part);
        let at = |version: &Version| Ground {
            version: Some(version.clone()),
            ..Ground::default()
        };
        let checked = checked(&text, &at(&first));
        assert!(!checked.is_refused(), "{:?}", checked.findings);
        assert_eq!(checked.from, first);
        let told = told(&text, &at(&before));
        let needs = format!("needs Nomad {first} or later, and this is {before}");
        assert!(told.iter().any(|line| line.contains(&needs)), "{told:?}");
    }
}

#[test]
fn what_went_is_refused_after_its_last_version() {
    let text = PLAIN.replace("  datacenters", "  vault_token = \"x\"\n  datacenters");
    let ground = Ground {
        version: Some(Version::new(1, 10, 0)),
        ..Ground::default()
    };
    let told = told(&text, &ground);
    let wanted = "`vault_token` in `job` is refused after Nomad 1.9.7, and this is 1.10.0";
    assert!(told.iter().any(|line| line.contains(wanted)), "{told:?}");
}

#[test]
fn a_driver_that_no_node_offers_is_told() {
    let text = PLAIN.replace("raw_exec", "docker");
    let text = text.replace("command", "image");
    let note = told(&text, &Ground::default());
    assert!(note[0].starts_with("note: a.nomad.hcl:6:16: "), "{note:?}");
    let ground = Ground {
        drivers: Some(vec!["exec".to_owned(), "java".to_owned()]),
        ..Ground::default()
    };
    assert_eq!(
        told(&text, &ground),
        ["error: a.nomad.hcl:6:16: no node offers driver `docker` (offered: `exec`, `java`)"]
    );
}

#[test]
fn what_servers_refuse_is_told() {
    let text = PLAIN.replace("  group", "  priority = 1000\n\n  group");
    let told = told(&text, &Ground::default());
    let wanted = "error: a.nomad.hcl:4:14: Job priority must be between [1, 100]";
    assert!(told.iter().any(|line| line == wanted), "{told:?}");
}

#[test]
fn what_servers_refuse_is_told_at_the_group_or_task_that_is_wrong() {
    let second = "  group \"h\" {\n    count = -1\n\n    task \"u\" {\n      driver = \"raw_exec\"\n\n      \
                  resources {\n        cpu = 0\n      }\n    }\n  }\n}\n";
    let text = format!(
        "# a comment\n{}{second}",
        PLAIN.trim_end().trim_end_matches('}')
    );
    let told = told(&text, &Ground::default());
    let starts = [
        "error: a.nomad.hcl:15:13: Task group count can't be negative",
        "error: a.nomad.hcl:21:15: minimum CPU value is 1; got 0",
    ];
    for wanted in starts {
        assert!(told.iter().any(|line| line == wanted), "{told:#?}");
    }
    // Of two with one name, the second.
    let text = text.replace("\"h\"", "\"g\"");
    let told = super::check("a.nomad.hcl", &text, &Ground::default()).findings;
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    let wanted = "error: a.nomad.hcl:14:3: Job task group 2 redefines 'g' from group 1";
    assert!(told.iter().any(|line| line == wanted), "{told:#?}");
}

#[test]
fn what_servers_refuse_is_told_one_by_one_at_its_field() {
    let update = "update {\n  canary = -1\n  stagger = \"0s\"\n}";
    let text = with(update).replace("  datacenters", "  priority = 500\n  datacenters");
    assert_eq!(
        told(&text, &Ground::default()),
        [
            "error: a.nomad.hcl:2:14: Job priority must be between [1, 100]",
            "error: a.nomad.hcl:7:12: Canary count can not be less than zero: -1 < 0",
            "error: a.nomad.hcl:8:13: Stagger must be greater than zero: 0s",
        ]
    );
    // A group has it from its job; blocks of a kind are counted.
    let both = format!(
        "{update}\nconstraint {{\n  attribute = \"a\"\n  value = \"b\"\n}}\nconstraint {{\n  operator = \"foo\"\n}}"
    );
    let text = PLAIN.replace("  datacenters", &format!("{both}\n  datacenters"));
    assert_eq!(
        told(&text, &Ground::default()),
        [
            "error: a.nomad.hcl:3:12: Canary count can not be less than zero: -1 < 0",
            "error: a.nomad.hcl:4:13: Stagger must be greater than zero: 0s",
            "error: a.nomad.hcl:10:1: Constraint 2 validation failed: No LTarget provided but is required by constraint",
            "error: a.nomad.hcl:10:1: Constraint 2 validation failed: Unknown constraint type \"foo\"",
        ]
    );
    let service = "service {\n  name = \"a\"\n  provider = \"nomad\"\n}\nservice {\n  name = \"b.c\"\n  provider = \"nomad\"\n}";
    let told = told(&with(service), &Ground::default());
    let wanted = "error: a.nomad.hcl:9:1: Task group service validation failed: Service[1] b.c validation failed: Service name must be";
    assert!(
        told.iter().any(|line| line.starts_with(wanted)),
        "{told:#?}"
    );
}

/// [`PLAIN`] with more in its task.
fn in_task(part: &str) -> String {
    PLAIN.replace("      config", &format!("      {part}\n      config"))
}

/// The errors alone, without the file's name.
fn errors(text: &str) -> Vec<String> {
    let told = told(text, &Ground::default());
    let errors = told.into_iter().filter(|line| line.starts_with("error"));
    errors
        .map(|line| line.replace("error: a.nomad.hcl:", ""))
        .collect()
}

#[test]
fn blocks_that_no_simulated_agent_reads_are_judged_by_what_is_written_out() {
    for (text, wanted) in [
        (
            with("ephemeral_disk {\n size = 1\n}"),
            vec![
                "6:9: minimum DiskMB value is 10; got 1",
                "5:1: log storage (100 MB) must be less than requested disk capacity (1 MB): `max_files` times `max_file_size` in `logs`, and `size` in `ephemeral_disk`",
            ],
        ),
        (
            in_task("logs {\n max_files = 30\n max_file_size = 10\n}"),
            vec![
                "8:7: log storage (300 MB) must be less than requested disk capacity (300 MB): `max_files` times `max_file_size` in `logs`, and `size` in `ephemeral_disk`",
            ],
        ),
        (
            in_task("artifact {\n mode = \"all\"\n destination = \"../../../etc\"\n}"),
            vec![
                "8:7: source must be specified in `artifact`",
                "9:9: invalid artifact mode \"all\"; must be one of: any, file, dir",
                "10:16: destination escapes allocation directory",
            ],
        ),
        (
            in_task("volume_mount {\n volume = \"date\"\n}").replace(
                "    task",
                "    volume \"data\" {\n type = \"host\"\n}\n    task",
            ),
            vec![
                "5:5: volume has an empty source",
                "12:11: volume mount references undefined volume `date` (did you mean `data`?)",
            ],
        ),
        // Dropped without a word by Nomad, which then refuses what mounts it.
        (
            in_task("volume_mount {\n volume = \"data\"\n}").replace(
                "    task",
                "    volume \"data\" {\n type = \"nfs\"\n}\n    task",
            ),
            vec!["12:11: volume mount references undefined volume `data` (there is none)"],
        ),
        (
            in_task("resources {\n cores = 2\n cpu = 100\n memory_max = 100\n}"),
            vec![
                "9:10: Task can only ask for 'cpu' or 'cores' resource, not both.",
                "11:15: MemoryMaxMB value (100) should be larger than MemoryMB value (300)",
            ],
        ),
    ] {
        let mut wanted: Vec<_> = wanted.into_iter().map(str::to_owned).collect();
        let mut found = errors(&text);
        wanted.sort();
        found.sort();
        assert_eq!(found, wanted, "{text}");
    }
}

#[test]
fn what_nomad_takes_in_blocks_that_no_simulated_agent_reads_is_no_error() {
    let dropped = told(
        &with("volume \"a\" {\n type = \"nfs\"\n}"),
        &Ground::default(),
    );
    let wanted = "warning: a.nomad.hcl:6:9: Nomad drops a volume of type \"nfs\" without a word";
    assert!(
        dropped.iter().any(|line| line.starts_with(wanted)),
        "{dropped:?}"
    );
    for good in [
        with("ephemeral_disk {\n size = 200\n}"),
        with("ephemeral_disk {\n size = var.size\n}\n").replace(
            "job \"a\"",
            "variable \"size\" {\n default = 1\n}\njob \"a\"",
        ),
        in_task(
            "artifact {\n source = \"https://example.com/a\"\n destination = \"../alloc/a\"\n}",
        ),
        in_task("volume_mount {\n volume = \"v\"\n}").replace(
            "    task",
            "    volume \"v\" {\n type = \"host\"\n source = \"v\"\n}\n    task",
        ),
        in_task("resources {\n cores = 2\n memory_max = 400\n}"),
        in_task(
            "template {\n data = \"a\"\n destination = \"local/a\"\n change_mode = \"signal\"\n}",
        ),
        in_task(
            "template {\n source = \"local/a.tpl\"\n destination = \"../alloc/a\"\n change_mode = \"script\"\n}",
        ),
    ] {
        assert_eq!(errors(&good), [""; 0], "{good}");
    }
}

#[test]
fn variables_are_declared_once_and_with_exact_types() {
    let declared = |what: &str| {
        let text = format!("variable \"x\" {{\n  {what}\n  default = null\n}}\n{PLAIN}");
        told(&text, &Ground::default())
    };
    for good in [
        "string",
        "list(map(number))",
        "object({ a = string, b = list(bool) })",
        "tuple([string, bool])",
    ] {
        assert_eq!(declared(&format!("type = {good}")), [""; 0], "{good}");
    }
    for bad in [
        "any",
        "\"string\"",
        "list",
        "strnig",
        "list(any)",
        "tuple(string)",
        "object({ a = text })",
    ] {
        let told = declared(&format!("type = {bad}"));
        let wanted = "error: a.nomad.hcl:2:10: `";
        assert!(
            told.len() == 1 && told[0].starts_with(wanted),
            "{bad}: {told:?}"
        );
        assert!(
            told[0].contains("is no type of a variable, expected string, "),
            "{told:?}"
        );
    }
    let told = declared("sensitive = true");
    assert!(
        told[0].contains("unknown `sensitive` in `variable`"),
        "{told:?}"
    );
    let twice = format!(
        "variable \"x\" {{\n  default = 1\n}}\nvariable \"x\" {{\n  default = 2\n}}\n{PLAIN}"
    );
    assert_eq!(
        super::check("a", &twice, &Ground::default()).findings[0].to_string(),
        "error: a:4:1: variable `x` is declared twice"
    );
}

#[test]
fn a_value_for_no_variable_has_no_place_and_the_variable_that_was_meant() {
    let text = format!("variable \"count\" {{\n  default = 1\n}}\n\n{PLAIN}");
    let given = |name: &str| Ground {
        variables: BTreeMap::from([(name.to_owned(), "2".to_owned())]),
        ..Ground::default()
    };
    assert_eq!(
        told(&text, &given("cuont")),
        [
            "error: a.nomad.hcl: `--var cuont=...` is for a variable that it does not declare (did \
             you mean `count`?)"
        ]
    );
    let json = serde_json::to_value(checked(&text, &given("cuont"))).unwrap();
    assert_eq!(json["findings"][0].get("line"), None, "{json}");
    let json = serde_json::to_value(checked("job {", &Ground::default())).unwrap();
    assert_eq!(json["findings"][0]["line"], 1, "{json}");
}

#[test]
fn what_is_not_near_is_not_suggested() {
    let told = told(&with("bogus {\n}"), &Ground::default());
    assert_eq!(told, ["error: a.nomad.hcl:5:1: unknown `bogus` in `group`"]);
    let text = PLAIN.replace("config {", "bogus {\n      }\n      config {");
    let told = super::check("a", &text, &Ground::default()).findings;
    let told: Vec<&str> = told.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(told, ["unknown `bogus` in `task`"]);
}

#[test]
fn a_version_that_is_not_known_is_not_said_to_take_it() {
    let ground = Ground {
        version: Some(Version::new(1, 0, 0)),
        ..Ground::default()
    };
    let checked = check("job", PLAIN, &ground);
    assert!(checked.is_refused());
    let told = checked.findings[0].to_string();
    let expected = "error: job:1:1: what Nomad 1.0.0 takes is not known here: 1.1.0 or later";
    assert_eq!(told, expected);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let text = include_str!("../../../jobs/whoami.nomad.hcl");
    let marked = format!("\u{feff}{text}");
    let checked = check("job", &marked, &Ground::default());
    assert_eq!(
        checked.job.as_deref(),
        Some("whoami"),
        "{:?}",
        checked.findings
    );
}

#[test]
fn an_unknown_block_is_told_once_and_an_unknown_driver_is_called_so() {
    let text = "job \"x\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"bogus\"\n      confg {}\n    }\n  }\n}\n";
    let checked = check("job", text, &Ground::default());
    let told: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
    let of = |word: &str| told.iter().filter(|one| one.contains(word)).count();
    assert_eq!(of("`confg`"), 1, "{told:?}");
    assert_eq!(of("`bogus` is none of Nomad's own"), 1, "{told:?}");
}
