# What the plan promises. Needs the AWS provider's schema, but neither an account nor a network:
# every call is mocked.

mock_provider "aws" {
  override_during = plan

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1c", "eu-central-1a", "eu-central-1b"] }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
}

variables {
  operator_cidrs = ["198.51.100.7/32"]
  pki_dir        = "tests/pki"
}

run "three_servers_and_three_clients_over_three_zones" {
  command = plan

  assert {
    condition     = length(aws_instance.server) == 3 && length(aws_instance.client) == 3
    error_message = "3+3 is the default"
  }
  assert {
    condition     = length(distinct([for subnet in aws_subnet.zone : subnet.availability_zone])) == 3
    error_message = "one subnet a zone"
  }
  assert {
    condition     = length(distinct([for name, place in local.servers : place.zone])) == 3
    error_message = "no zone holds two servers"
  }
}

run "only_servers_carry_the_join_tag" {
  command = plan

  assert {
    condition     = alltrue([for machine in aws_instance.server : machine.tags["rehearse-join"] == "rehearse"])
    error_message = "a server without the tag is never found"
  }
  assert {
    condition     = alltrue([for machine in aws_instance.client : !contains(keys(machine.tags), "rehearse-join")])
    error_message = "a client with the tag is taken for a server"
  }
}

run "no_secret_is_in_user_data_or_in_a_readable_argument" {
  command = plan

  assert {
    condition     = alltrue([for text in values(local.user_data) : !strcontains(text, "stand-in") && !strcontains(text, "PRIVATE KEY")])
    error_message = "user data can be read by every process of the machine"
  }
  assert {
    condition     = alltrue([for secret in aws_ssm_parameter.secret : secret.type == "SecureString"])
    error_message = "secrets are encrypted at rest"
  }
}

run "metadata_needs_a_session_token_and_disks_are_encrypted" {
  command = plan

  assert {
    condition = alltrue([
      for machine in concat(values(aws_instance.server), values(aws_instance.client)) :
      machine.metadata_options[0].http_tokens == "required" && machine.metadata_options[0].http_put_response_hop_limit == 1
    ])
    error_message = "the instance metadata service of version 1 hands credentials to anybody who can make the machine fetch a page"
  }
  assert {
    condition = alltrue([
      for machine in concat(values(aws_instance.server), values(aws_instance.client)) : machine.root_block_device[0].encrypted
    ])
    error_message = "disks are encrypted"
  }
}

run "nothing_but_the_agents_ports_is_open" {
  command = plan

  assert {
    condition = toset([
      for rule in values(aws_vpc_security_group_ingress_rule.agent) : "${rule.ip_protocol}/${rule.from_port}-${rule.to_port}"
    ]) == toset(["tcp/4647-4647", "tcp/4648-4648", "udp/4648-4648"])
    error_message = "among agents: RPC and gossip"
  }
  assert {
    condition = alltrue([
      for rule in values(aws_vpc_security_group_ingress_rule.operator) : rule.from_port == 4646 && rule.to_port == 4646 && rule.cidr_ipv4 == "198.51.100.7/32"
    ])
    error_message = "from outside: the API, from the operator"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.task) == 0
    error_message = "no port of a job is open unasked"
  }
}

run "arm64_takes_its_own_image_and_types" {
  command = plan
  variables {
    architecture = "arm64"
  }

  assert {
    condition     = data.aws_ssm_parameter.image.name == "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    error_message = "the image is of the architecture"
  }
  assert {
    condition     = alltrue([for machine in aws_instance.server : startswith(machine.instance_type, "t4g.")])
    error_message = "so is the type"
  }
}

run "enterprise_brings_its_licence" {
  command = plan
  variables {
    nomad_edition      = "enterprise"
    nomad_license_file = "tests/pki/license.hclic"
  }

  assert {
    condition     = strcontains(local.user_data["server-1"], "1.11.3+ent") && strcontains(local.user_data["server-1"], "license.hclic")
    error_message = "servers take the Enterprise build and the licence"
  }
  assert {
    condition     = !strcontains(local.user_data["client-1"], "license.hclic")
    error_message = "clients need none"
  }
}

run "jobs_ports_are_opened_on_demand" {
  command = plan
  variables {
    task_ports = {
      web = { from_port = 8080, to_port = 8080, cidrs = ["203.0.113.0/24"], from_clients = true }
    }
  }

  assert {
    condition     = join(" ", sort(keys(aws_vpc_security_group_ingress_rule.task))) == "web-from-203.0.113.0/24 web-from-clients"
    error_message = "one rule a source"
  }
}

run "an_even_number_of_servers_is_refused" {
  command = plan
  variables {
    server_count = 4
  }
  expect_failures = [var.server_count]
}

run "the_whole_internet_is_refused" {
  command = plan
  variables {
    operator_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.operator_cidrs]
}

run "a_version_whose_discovery_gives_up_is_refused" {
  command = plan
  variables {
    nomad_version = "1.8.3"
  }
  expect_failures = [var.nomad_version]
}

run "a_licence_without_enterprise_is_refused" {
  command = plan
  variables {
    nomad_license_file = "tests/pki/license.hclic"
  }
  expect_failures = [var.nomad_edition]
}

run "a_processor_of_another_architecture_is_refused" {
  command = plan
  variables {
    client_instance_type = "m7g.large"
  }
  expect_failures = [var.client_instance_type]
}

run "missing_certificates_are_named" {
  command = plan
  variables {
    pki_dir = "tests/nowhere"
  }
  expect_failures = [aws_ssm_parameter.secret]
}

run "one_zone_with_the_majority_is_reported" {
  command = plan
  variables {
    zones = 1
  }
  expect_failures = [check.one_zone_may_fail]
}
