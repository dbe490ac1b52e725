//! Plans, states and tests as Terraform prints them, cut to what is read.

use std::sync::Arc;

use serde_json::json;

use crate::spec::Role;
use crate::terraform::aws::{AwsCluster, Peer};
use crate::terraform::source::Source;
use crate::terraform::{Basis, Configuration, ToldError, read_text};

fn read(text: impl Into<String>) -> Result<Configuration, ToldError> {
    read_text(&Arc::new(Source {
        path: "plan.json".into(),
        text: text.into(),
    }))
}

fn cluster(json: &serde_json::Value) -> AwsCluster {
    let configuration = read(json.to_string()).unwrap();
    AwsCluster::of(&configuration, std::path::Path::new("."))
}

fn plan() -> serde_json::Value {
    let machine = |index: u32| {
        json!({
            "address": format!("aws_instance.server[{index}]"), "mode": "managed", "type": "aws_instance", "name": "server",
            "index": index,
            "values": {
                "instance_type": "t4g.small", "user_data": "d7ef7b13d7ef7b13d7ef7b13d7ef7b13d7ef7b13",
                "tags": { "Name": format!("server-{index}") },
                "tags_all": { "Name": format!("server-{index}"), "role": "server" },
                "root_block_device": [{ "volume_size": 20, "encrypted": true }],
            },
        })
    };
    let change = |address: &str, unknown: serde_json::Value| json!({ "address": address, "change": { "after_unknown": unknown } });
    // The real provider leaves open whatever is not configured, and a state has null there.
    let open = || {
        json!({
            "id": true, "vpc_security_group_ids": true, "security_groups": true, "user_data_base64": true, "availability_zone": true,
            "launch_template": [], "tags": {}, "tags_all": {},
        })
    };
    json!({
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "variables": { "region": { "value": "us-east-2" } },
        "planned_values": { "root_module": {
            "resources": [
                machine(0), machine(1), machine(2),
                { "address": "aws_security_group.nomad", "mode": "managed", "type": "aws_security_group", "name": "nomad",
                  "values": { "ingress": [{ "protocol": "tcp", "from_port": 4646, "to_port": 4648, "self": true, "cidr_blocks": [] }] } },
            ],
        } },
        "resource_changes": [
            change("aws_instance.server[0]", { let mut open = open(); open["root_block_device"] = json!([{ "kms_key_id": true }]); open }),
            change("aws_instance.server[1]", open()),
            change("aws_instance.server[2]", open()),
        ],
        "configuration": {
            "provider_config": { "aws": { "name": "aws", "version_constraint": "~> 5.100", "expressions": { "region": { "references": ["var.region"] } } } },
            "root_module": { "resources": [
                { "address": "aws_instance.server", "expressions": {
                    "user_data": { "references": ["local.user_data"] },
                    "vpc_security_group_ids": { "references": ["aws_security_group.nomad.id", "aws_security_group.nomad"] } } },
            ] },
        },
    })
}

#[test]
fn a_plan_tells_machines_rules_and_digests() {
    let cluster = cluster(&plan());
    assert_eq!(cluster.basis, Basis::Plan);
    assert_eq!(cluster.region.known().unwrap(), "us-east-2");
    assert_eq!(cluster.of_role(Role::Server).count(), 3);
    let machine = &cluster.machines[0];
    assert_eq!(machine.groups, ["aws_security_group.nomad"]);
    assert_eq!(machine.tags["role"], "server", "the provider's own tags");
    assert_eq!(machine.disks[0].size_gib.known(), Some(&20));
    assert_eq!(
        machine.user_data.text, None,
        "a digest is not taken for text"
    );
    assert_eq!(
        machine.user_data.sha1.as_deref(),
        Some("d7ef7b13d7ef7b13d7ef7b13d7ef7b13d7ef7b13")
    );
    assert_eq!(
        cluster.rules[0].peer,
        Peer::Group("aws_security_group.nomad".to_owned())
    );
    assert!(cluster.rules_are_whole);
    assert!(machine.site.column > 1, "{:?}", machine.site);
}

#[test]
fn an_open_reference_to_one_of_several_is_listed_and_not_guessed() {
    let mut plan = plan();
    plan["configuration"]["root_module"]["resources"][0]["expressions"]["vpc_security_group_ids"] =
        json!({ "references": ["aws_security_group.agent", "each.value"] });
    let cluster = cluster(&plan);
    assert!(!cluster.machines[0].groups[0].starts_with("aws_security_group"));
    assert!(
        cluster
            .unevaluated
            .iter()
            .any(|open| open.address == "aws_instance.server[0].vpc_security_group_ids")
    );
}

#[test]
fn a_state_is_read_by_the_addresses_of_its_ids() {
    let state = json!({
        "format_version": "1.0", "terraform_version": "1.11.4",
        "values": { "outputs": { "nomad_addr": { "value": "https://198.51.100.1:4646" } }, "root_module": {
            "child_modules": [{ "address": "module.nomad", "resources": [
                { "address": "module.nomad.aws_instance.client[\"a\"]", "mode": "managed", "type": "aws_instance", "name": "client", "index": "a",
                  "values": { "id": "i-1", "instance_type": "t3.micro", "vpc_security_group_ids": ["sg-1"], "availability_zone": "eu-west-1b" } },
                { "address": "module.nomad.aws_security_group.all", "mode": "managed", "type": "aws_security_group", "name": "all",
                  "values": { "id": "sg-1", "ingress": [] } },
            ] }],
        } },
    });
    let cluster = cluster(&state);
    assert_eq!(cluster.basis, Basis::State);
    assert_eq!(cluster.region.known().unwrap(), "eu-west-1");
    assert_eq!(
        cluster.machines[0].groups,
        ["module.nomad.aws_security_group.all"]
    );
    assert_eq!(cluster.machines[0].role, Some(Role::Client));
    assert_eq!(cluster.outputs, ["nomad_addr"]);
}

#[test]
fn a_test_has_the_text_of_user_data() {
    let script =
        "#!/bin/bash\ncat > /etc/nomad.d/nomad.hcl <<EOF\nserver {\n  enabled = true\n}\nEOF\n";
    let line = json!({ "@level": "info", "type": "test_plan", "@testrun": "plan", "test_plan": {
        "plan_format_version": "1.2",
        "resource_changes": [
            { "address": "aws_instance.server", "mode": "managed", "type": "aws_instance", "name": "server",
              "change": { "actions": ["create"], "after": { "user_data": script, "vpc_security_group_ids": ["sg:all"] }, "after_unknown": { "id": true } } },
            { "address": "aws_instance.gone", "mode": "managed", "type": "aws_instance", "name": "gone",
              "change": { "actions": ["delete"], "after": null, "after_unknown": {} } },
        ],
    } });
    let text = format!(
        "{}\n{line}\n",
        json!({ "@level": "info", "type": "version" })
    );
    let configuration = read(text).unwrap();
    let cluster = AwsCluster::of(&configuration, std::path::Path::new("."));
    assert_eq!(cluster.basis, Basis::Test);
    assert_eq!(cluster.machines.len(), 1, "what is deleted will not stand");
    assert_eq!(cluster.machines[0].role, Some(Role::Server));
    assert_eq!(cluster.machines[0].user_data.text.as_deref(), Some(script));
}

#[test]
fn what_is_none_of_terraforms_is_refused_with_what_was_found() {
    let told = |text: &str| read(text).unwrap_err().to_string();
    insta::assert_snapshot!(told("{\n  \"a\": 1,,\n}"), @"plan.json:2:10: key must be a string (expected the JSON of a plan, a state or a test)");
    insta::assert_snapshot!(told("{}"), @"`plan.json` is some other JSON; expected what `terraform show -json` or `terraform test -json -verbose` print");
    insta::assert_snapshot!(told("{\"format_version\":\"2.0\",\"planned_values\":{}}"), @"`plan.json` has format version `2.0`; expected 1.x");
    insta::assert_snapshot!(told("{\"format_version\":\"1.0\"}"), @"`plan.json` holds no resource: the cluster was destroyed, or never made");
    insta::assert_snapshot!(told("{\"version\":4,\"lineage\":\"x\",\"resources\":[]}"), @"`plan.json` is a state as it is stored, which only Terraform reads reliably; expected what `terraform show -json` or `terraform test -json -verbose` print");
    insta::assert_snapshot!(told("{\"@level\":\"info\",\"type\":\"test_run\"}"), @"`plan.json` is what a test printed, without a plan (is `-verbose` missing?); expected what `terraform show -json` or `terraform test -json -verbose` print");
}

#[test]
fn what_one_side_does_not_know_is_not_compared_and_never_alike() {
    let one = cluster(&plan());
    let mut other = plan();
    let machine = &mut other["planned_values"]["root_module"]["resources"][0]["values"];
    machine.as_object_mut().unwrap().remove("user_data");
    other["resource_changes"][0]["change"]["after_unknown"]["user_data"] = json!(true);
    other["resource_changes"][0]["change"]["after_unknown"]["tags_all"] = json!({ "role": true });
    other["planned_values"]["root_module"]["resources"][0]["values"]["tags_all"] =
        json!({ "Name": "server-0" });
    let witness = one.against(&cluster(&other));
    assert_eq!(
        (witness.alike, witness.differences.len()),
        (2, 0),
        "{witness:?}"
    );
    for (told, part) in witness
        .not_compared
        .iter()
        .zip(["user data", "the tag `role`"])
    {
        assert!(
            told.contains(part) && told.contains("not known there"),
            "{told}"
        );
    }
    assert_eq!(witness.not_compared.len(), 2, "{witness:?}");
    // Neither side's silence is the other's word.
    let machine = &mut other["planned_values"]["root_module"]["resources"][0]["values"];
    machine["tags_all"] = json!({ "Name": "server-0" });
    other["resource_changes"][0]["change"]["after_unknown"]["tags_all"] = json!({});
    other["configuration"]["root_module"]["resources"][0]["expressions"]
        .as_object_mut()
        .unwrap()
        .remove("user_data");
    let differences = one.against(&cluster(&other)).differences;
    assert_eq!(differences.len(), 2, "{differences:#?}");
    assert!(
        differences.iter().all(|told| told.contains("none there")),
        "{differences:#?}"
    );
}

#[test]
fn a_state_of_the_real_provider_has_null_where_nothing_is_configured() {
    let digest = "d7ef7b13d7ef7b13d7ef7b13d7ef7b13d7ef7b13";
    let state = |first: serde_json::Value, second: serde_json::Value| {
        json!({
            "format_version": "1.0",
            "values": { "root_module": { "resources": [
                { "address": "aws_instance.server", "mode": "managed", "type": "aws_instance", "name": "server",
                  "values": { "id": "i-1", "user_data": first, "user_data_base64": second, "security_groups": [], "launch_template": [] } },
            ] } },
        })
    };
    let sha1 = |first, second| {
        cluster(&state(first, second)).machines[0]
            .user_data
            .sha1
            .clone()
    };
    assert_eq!(sha1(json!(digest), json!(null)).as_deref(), Some(digest));
    let script = sha1(json!(null), json!("IyEvYmluL3NoCg=="));
    assert_eq!(
        script.as_deref(),
        Some("bd971bec88149956458a10fc9c5ecb3eb99dd452")
    );
    assert_eq!(sha1(json!(null), json!(null)), None);
}

#[test]
fn what_is_no_json_of_terraforms_is_told_with_what_to_type() {
    let without =
        "{\"@level\":\"info\",\"type\":\"version\"}\n{\"@level\":\"info\",\"type\":\"test_run\"}\n";
    let error = read(without).unwrap_err();
    assert!(error.to_string().contains("`-verbose` missing"), "{error}");
    assert_eq!(
        error.hint().as_deref(),
        Some("terraform test -json -verbose > test.jsonl")
    );
    let scratch = tempfile::tempdir().unwrap();
    let stored = scratch.path().join("cluster.tfplan");
    std::fs::write(&stored, b"PK\x03\x04\xff\xfe").unwrap();
    let error = crate::terraform::read_told(&stored).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        hint.starts_with("terraform show -json ") && hint.ends_with("cluster.tfplan > plan.json"),
        "{hint}"
    );
}

#[test]
fn a_stale_plan_is_seen_by_its_digest() {
    let one = cluster(&plan());
    assert_eq!(one.against(&cluster(&plan())).alike, 3);
    let mut other = plan();
    other["planned_values"]["root_module"]["resources"][1]["values"]["user_data"] =
        json!("0000000000000000000000000000000000000000");
    other["planned_values"]["root_module"]["resources"]
        .as_array_mut()
        .unwrap()
        .remove(2);
    let witness = one.against(&cluster(&other));
    assert_eq!((witness.alike, witness.differences.len()), (1, 2));
    assert!(witness.differences[0].contains("sha1"), "{witness:?}");
    assert!(
        witness.differences[1].contains("is not there"),
        "{witness:?}"
    );
}

#[test]
fn a_stored_plan_is_known_through_a_pipe_too() {
    let stored = b"PK\x03\x04\xff\xfe".as_slice();
    let piped = std::path::Path::new(crate::terraform::STANDARD_INPUT);
    let error = crate::terraform::read_stream(stored, piped).unwrap_err();
    assert!(matches!(error, ToldError::Stored { .. }), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.ends_with("| rehearse plan -"), "{hint}");
    let latin = b"\xff{}".as_slice();
    let error = crate::terraform::read_stream(latin, piped).unwrap_err();
    assert!(matches!(error, ToldError::Io { .. }), "{error}");
}

#[test]
fn a_group_of_a_plan_is_known_by_the_own_key_and_through_modules() {
    let mut plan = plan();
    let group = |address: &str, name: &str, index: &str| {
        json!({ "address": address, "mode": "managed", "type": "aws_security_group", "name": name, "index": index,
            "values": { "ingress": [] } })
    };
    let root = &mut plan["planned_values"]["root_module"];
    let machine = json!({
        "address": "module.nomad.aws_instance.client[\"a\"]", "mode": "managed", "type": "aws_instance", "name": "client", "index": "a",
        "values": { "instance_type": "t3.small" },
    });
    root["child_modules"] = json!([{ "address": "module.nomad", "resources": [
        machine,
        group("module.nomad.aws_security_group.each[\"a\"]", "each", "a"),
        group("module.nomad.aws_security_group.each[\"b\"]", "each", "b"),
    ] }]);
    let changes = plan["resource_changes"].as_array_mut().unwrap();
    changes.push(
        json!({ "address": "module.nomad.aws_instance.client[\"a\"]",
        "change": { "after_unknown": { "vpc_security_group_ids": true } } }),
    );
    let mut with = |references: serde_json::Value| {
        plan["configuration"]["root_module"]["module_calls"] = json!({ "nomad": {
            "expressions": { "groups": { "references": ["aws_security_group.nomad.id", "aws_security_group.nomad"] } },
            "module": { "resources": [{ "address": "aws_instance.client",
                "expressions": { "vpc_security_group_ids": { "references": references } } }] },
        } });
        let cluster = cluster(&plan);
        let mut clients = cluster.of_role(Role::Client);
        clients.next().unwrap().groups.clone()
    };
    assert_eq!(
        with(json!(["aws_security_group.each", "each.key"])),
        ["module.nomad.aws_security_group.each[\"a\"]"]
    );
    assert_eq!(
        with(json!([
            "var.groups",
            "aws_security_group.each[\"b\"].id",
            "aws_security_group.each[\"b\"]",
            "aws_security_group.each"
        ])),
        [
            "aws_security_group.nomad",
            "module.nomad.aws_security_group.each[\"b\"]"
        ]
    );
}
