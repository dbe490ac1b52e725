use std::collections::BTreeMap;

use super::*;
use crate::types::{JobType, SECOND};

const WHOAMI: &str = include_str!("../../../../jobs/whoami.nomad.hcl");
const WHOAMI_V2: &str = include_str!("../../../../jobs/whoami-v2.nomad.hcl");

fn parsed(text: &str) -> Job {
    parse(text, &BTreeMap::new()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = parse(text, &BTreeMap::new()).expect_err("it is wrong");
    errors.iter().map(ToString::to_string).collect()
}

/// A job file around `group`, whose content starts on line 3.
fn with_group(group: &str) -> String {
    format!("job \"j\" {{\n  group \"g\" {{\n{group}\n  }}\n}}\n")
}

const TASK: &str = "    task \"t\" {\n      driver = \"raw_exec\"\n      config {\n        command = \"/bin/true\"\n      }\n    }";

#[test]
fn the_sample_job_is_read_as_nomad_reads_it() {
    let mut job = parsed(WHOAMI);
    canonicalize(&mut job);
    assert_eq!(validate(&job), Vec::<String>::new());
    assert_eq!(
        (job.id.as_str(), job.job_type),
        ("whoami", JobType::Service)
    );
    assert_eq!(job.priority, 50);
    let group = &job.task_groups[0];
    assert_eq!((group.name.as_str(), group.count), ("web", 3));
    let update = group.update.as_ref().expect("it has an update block");
    assert_eq!(update.max_parallel, 1);
    assert_eq!(update.min_healthy_time, SECOND);
    assert_eq!(update.stagger, 30 * SECOND);
    let network = &group.networks.as_ref().expect("it has a network")[0];
    assert_eq!(
        network.dynamic_ports.as_ref().expect("a port")[0].label,
        "http"
    );
    let task = &group.tasks[0];
    let config = task.config.as_ref().expect("it has a config");
    assert_eq!(config["args"][2], "${NOMAD_META_version}");
    assert_eq!(task.kill_timeout, Some(5 * SECOND));
    assert_eq!(
        task.resources.as_ref().map(|r| (r.cpu, r.memory_mb)),
        Some((50, 32))
    );
}

#[test]
fn the_second_version_differs_only_in_its_meta() {
    let mut one = parsed(WHOAMI);
    let two = parsed(WHOAMI_V2);
    assert_ne!(one, two);
    one.task_groups[0].tasks[0].meta = two.task_groups[0].tasks[0].meta.clone();
    assert_eq!(one, two);
}

#[test]
fn defaults_follow_the_job_type() {
    let mut service = parsed(&with_group(TASK));
    canonicalize(&mut service);
    assert!(service.task_groups[0].update.is_some());
    let reschedule = service.task_groups[0].reschedule_policy.clone();
    assert!(reschedule.expect("services are rescheduled").unlimited);

    let mut batch =
        parsed(&with_group(TASK).replace("job \"j\" {", "job \"j\" {\n  type = \"batch\""));
    canonicalize(&mut batch);
    let group = &batch.task_groups[0];
    assert_eq!(group.update, None);
    assert_eq!(group.restart_policy.as_ref().map(|r| r.attempts), Some(3));
    assert_eq!(
        group.reschedule_policy.as_ref().map(|r| r.attempts),
        Some(1)
    );
    assert_eq!(batch.datacenters, Some(vec!["*".to_owned()]));

    let again = batch.clone();
    canonicalize(&mut batch);
    assert_eq!(batch, again);
}

#[test]
fn an_update_block_on_the_group_completes_that_of_the_job() {
    let text = with_group(&format!("    update {{\n      canary = 1\n    }}\n{TASK}")).replace(
        "job \"j\" {",
        "job \"j\" {\n  update {\n    max_parallel = 3\n  }",
    );
    let job = parsed(&text);
    let update = job.task_groups[0].update.as_ref().expect("merged");
    assert_eq!((update.canary, update.max_parallel), (1, 3));
}

#[test]
fn every_unknown_name_is_reported_with_its_place() {
    let text = with_group(&format!(
        "    coutn = 2\n    volume \"v\" {{}}\n    foo {{}}\n{TASK}"
    ));
    assert_eq!(
        errors(&text),
        [
            "3,5: unknown attribute `coutn` in `group` (did you mean `count`?)",
            "4,5: `volume` in `group` is not simulated",
            "5,5: unknown block `foo` in `group`",
        ]
    );
}

#[test]
fn wrong_types_are_reported_at_the_value() {
    let text = with_group(&format!(
        "    count = \"many\"\n    shutdown_delay = \"5 s\"\n{TASK}"
    ));
    assert_eq!(
        errors(&text),
        [
            "3,13: `count`: expected a whole number, found `\"many\"`",
            "4,22: `shutdown_delay`: `5 s` is not a duration, expected one like `30s`, `5m` or `1h30m`",
        ]
    );
}

#[test]
fn a_syntax_error_names_line_and_column() {
    let found = parse("job \"j\" {\n  type = \n}\n", &BTreeMap::new()).expect_err("no value");
    assert_eq!((found.len(), found[0].line), (1, 2));
}

#[test]
fn a_one_line_block_with_two_arguments_is_refused_as_by_nomad() {
    let text = with_group(&format!(
        "    restart {{ attempts = 1 mode = \"fail\" }}\n{TASK}"
    ));
    let found = parse(&text, &BTreeMap::new()).expect_err("it is a parse error");
    assert_eq!(found[0].line, 3, "{found:?}");
}

#[test]
fn variables_come_from_the_submitter_or_their_default() {
    let text = format!(
        "variable \"n\" {{\n  type = number\n  default = 2\n}}\nvariable \"dc\" {{\n  type = string\n}}\nlocals {{\n  name = \"${{var.dc}}-x\"\n  twice = var.n * 2\n}}\n{}",
        with_group(&format!(
            "    count = local.twice\n    meta {{\n      name = local.name\n    }}\n{TASK}"
        ))
    );
    let given = BTreeMap::from([("dc".to_owned(), "eu".to_owned())]);
    let job = parse(&text, &given).unwrap_or_else(|e| panic!("{e:#?}"));
    assert_eq!(job.task_groups[0].count, 4);
    let meta = job.task_groups[0].meta.as_ref().expect("it has meta");
    assert_eq!(meta["name"], "eu-x");

    let missing = parse(&text, &BTreeMap::new()).expect_err("`dc` has no value");
    assert!(
        missing[0]
            .message
            .contains("missing value for variable `dc`"),
        "{missing:?}"
    );
    let unknown = BTreeMap::from([
        ("dc".to_owned(), "eu".to_owned()),
        ("x".to_owned(), "1".to_owned()),
    ]);
    let unknown = parse(&text, &unknown).expect_err("`x` is not declared");
    assert!(
        unknown[0].message.contains("undefined variable `x`"),
        "{unknown:?}"
    );
}

#[test]
fn conditions_keep_their_references_for_the_scheduler() {
    let text = with_group(&format!(
        "    constraint {{\n      attribute = \"${{attr.kernel.name}}\"\n      value = \"linux\"\n    }}\n    constraint {{\n      distinct_hosts = true\n    }}\n    constraint {{\n      attribute = \"${{attr.nomad.version}}\"\n      semver = \">= 1.1\"\n    }}\n{TASK}"
    ));
    let job = parsed(&text);
    let all = job.task_groups[0]
        .constraints
        .as_ref()
        .expect("constraints");
    let shown: Vec<_> = all
        .iter()
        .map(|c| (c.l_target.as_str(), c.operand.as_str(), c.r_target.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("${attr.kernel.name}", "=", "linux"),
            ("", "distinct_hosts", "true"),
            ("${attr.nomad.version}", "semver", ">= 1.1"),
        ]
    );
}

#[test]
fn what_the_servers_refuse_is_listed_at_once() {
    let text = with_group(&format!(
        "    count = -1\n    update {{\n      min_healthy_time = \"10m\"\n      auto_promote = true\n    }}\n{TASK}"
    ));
    let mut job = parsed(&text);
    job.priority = 200;
    canonicalize(&mut job);
    let found = validate(&job).join("\n");
    for text in [
        "Job priority must be between [1, 100]",
        "Task group count can't be negative",
        "Auto Promote requires a Canary count greater than zero",
        "Minimum healthy time must be less than healthy deadline: 10m0s > 5m0s",
    ] {
        assert!(found.contains(text), "{text} is missing in:\n{found}");
    }
}

#[test]
fn launches_hooks_and_templates_are_read() {
    let text = r#"
job "report" {
  type = "batch"
  periodic {
    crons            = ["@daily"]
    prohibit_overlap = true
    time_zone        = "Europe/Berlin"
  }
  parameterized {
    payload       = "required"
    meta_required = ["who"]
  }
  group "g" {
    scaling {
      min = 1
      max = 3
      policy { cooldown = "1m" }
    }
    task "before" {
      driver = "raw_exec"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config { command = "/bin/before" }
    }
    task "main" {
      driver = "raw_exec"
      config { command = "/bin/main" }
      dispatch_payload { file = "in" }
      template {
        destination = "local/conf"
        data        = "who={{ env \"NOMAD_META_who\" }}"
      }
    }
  }
}
"#;
    let mut job = parse(text, &BTreeMap::new()).expect("it is a job");
    super::canonicalize(&mut job);
    assert_eq!(super::validate(&job), Vec::<String>::new());
    let periodic = job.periodic.as_ref().expect("a calendar");
    assert!(periodic.enabled && periodic.prohibit_overlap);
    let group = &job.task_groups[0];
    assert_eq!(group.scaling.as_ref().and_then(|s| s.max), Some(3));
    assert!(group.tasks[0].lifecycle.expect("a hook").sidecar);
    let templates = group.tasks[1].templates.as_ref().expect("a template");
    assert_eq!(templates[0].perms, "0644");
    let bad = text.replace("env \\\"NOMAD_META_who\\\"", "key \\\"a/b\\\"");
    let errors = parse(&bad, &BTreeMap::new()).expect_err("`key` is refused");
    assert!(errors[0].message.contains("`key`"), "{errors:?}");
    assert!(
        errors[0].message.ends_with("is not simulated"),
        "{errors:?}"
    );
}

#[test]
fn dynamic_blocks_are_unfolded_with_their_elements() {
    let text = r#"
variable "ports" {
  default = { http = 80, admin = 81 }
}
job "a" {
  group "g" {
    network {
      dynamic "port" {
        for_each = var.ports
        labels   = [port.key]
        content {
          to = port.value
        }
      }
    }
    dynamic "task" {
      for_each = ["one", "two"]
      iterator = each
      labels   = ["task-${each.value}"]
      content {
        driver = "raw_exec"
        config {
          command = "/bin/${each.value}"
        }
        env {
          NODE = "${node.unique.name}-${each.key}"
        }
        dynamic "constraint" {
          for_each = ["x", "y"]
          content {
            attribute = "${attr.a}"
            value     = "${each.value}-${constraint.value}"
          }
        }
      }
    }
  }
}
"#;
    let job = parse(text, &BTreeMap::new()).unwrap();
    let group = &job.task_groups[0];
    let ports = group.networks.as_ref().unwrap()[0]
        .dynamic_ports
        .as_ref()
        .unwrap();
    let ports: Vec<_> = ports
        .iter()
        .map(|port| (port.label.as_str(), port.to))
        .collect();
    assert_eq!(ports, [("http", 80), ("admin", 81)]);
    let names: Vec<_> = group.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["task-one", "task-two"]);
    let second = &group.tasks[1];
    assert_eq!(second.config.as_ref().unwrap()["command"], "/bin/two");
    assert_eq!(
        second.env.as_ref().unwrap()["NODE"],
        "${node.unique.name}-1"
    );
    let wanted = second.constraints.as_ref().unwrap().iter();
    let wanted: Vec<_> = wanted.map(|one| one.r_target.as_str()).collect();
    assert_eq!(wanted, ["two-x", "two-y"]);
}

#[test]
fn what_is_wrong_with_a_dynamic_block_is_named_with_its_place() {
    for (dynamic, expected) in [
        (
            "dynamic \"port\" {\n content {}\n }",
            "`dynamic` needs `for_each`",
        ),
        (
            "dynamic \"port\" {\n for_each = []\n }",
            "`dynamic` needs a block `content`",
        ),
        (
            "dynamic \"port\" {\n for_each = 1\n content {}\n }",
            "`for_each`: expected a list or a map, found `1`",
        ),
        (
            "dynamic \"port\" {\n for_each = []\n for = 1\n content {}\n }",
            "unknown `for` in `dynamic`",
        ),
    ] {
        let text =
            format!("job \"a\" {{\n group \"g\" {{\n network {{\n {dynamic}\n }}\n }}\n}}\n");
        let errors = parse(&text, &BTreeMap::new()).unwrap_err();
        let found = errors.iter().find(|error| error.message == expected);
        assert!(found.is_some_and(|error| error.line >= 4), "{errors:?}");
    }
}

/// Planted once by a copy that compared each attribute with all before it: a minute for a file like this.
#[test]
fn a_file_with_very_many_attributes_is_read_in_its_time() {
    let pairs: String = (0..80_000).map(|n| format!("    k{n} = \"v\"\n")).collect();
    let text = format!(
        "job \"a\" {{\n  meta {{\n{pairs}  }}\n\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"raw_exec\"\n    }}\n  }}\n}}\n"
    );
    let begin = std::time::Instant::now();
    let job = super::parse(&text, &BTreeMap::new()).expect("it is right");
    assert_eq!(job.meta.map(|meta| meta.len()), Some(80_000));
    assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
}
