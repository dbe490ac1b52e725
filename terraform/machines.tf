# Amazon Linux 2023 has the AWS CLI, Session Manager's agent and cloud-init built in: a machine needs
# nothing but Nomad's own zip to become an agent.
data "aws_ssm_parameter" "image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${var.architecture == "arm64" ? "arm64" : "x86_64"}"
}

# A newer image or another user data replaces nobody by itself: applied to three servers at once it
# would stop them all, and a stopped machine does not even run its user data again. scripts/roll.sh
# replaces one agent at a time and waits for the cluster's health in between.

resource "aws_instance" "server" {
  for_each = local.servers

  ami                         = data.aws_ssm_parameter.image.insecure_value
  instance_type               = local.instance_types.server
  subnet_id                   = aws_subnet.zone[each.value.zone].id
  associate_public_ip_address = true
  vpc_security_group_ids      = [aws_security_group.agent["server"].id]
  iam_instance_profile        = aws_iam_instance_profile.agent["server"].name
  user_data                   = local.user_data[each.key]

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.server_disk_gib
    encrypted   = true
    kms_key_id  = var.kms_key_id
  }

  tags = {
    Name                 = "${var.name}-${each.key}"
    "rehearse-role"      = "server"
    "rehearse-agent"     = each.key
    (local.join_tag.key) = local.join_tag.value
  }

  lifecycle {
    ignore_changes = [ami, user_data]

    precondition {
      condition     = length(local.user_data[each.key]) <= 16384
      error_message = "User data may be 16 KiB at most."
    }
  }

  # What the first boot needs.
  depends_on = [
    aws_iam_role_policy.agent,
    aws_route.internet,
    aws_route_table_association.zone,
    aws_ssm_parameter.secret,
    aws_vpc_security_group_egress_rule.server,
    aws_vpc_security_group_egress_rule.server_https,
    aws_vpc_security_group_ingress_rule.agent,
  ]
}

resource "aws_instance" "client" {
  for_each = local.clients

  ami                         = data.aws_ssm_parameter.image.insecure_value
  instance_type               = local.instance_types.client
  subnet_id                   = aws_subnet.zone[each.value.zone].id
  associate_public_ip_address = true
  vpc_security_group_ids      = [aws_security_group.agent["client"].id]
  iam_instance_profile        = aws_iam_instance_profile.agent["client"].name
  user_data                   = local.user_data[each.key]

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # One hop: tasks behind a bridge cannot borrow the machine's role.
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.client_disk_gib
    encrypted   = true
    kms_key_id  = var.kms_key_id
  }

  tags = {
    Name             = "${var.name}-${each.key}"
    "rehearse-role"  = "client"
    "rehearse-agent" = each.key
  }

  lifecycle {
    ignore_changes = [ami, user_data]

    precondition {
      condition     = length(local.user_data[each.key]) <= 16384
      error_message = "User data may be 16 KiB at most."
    }
  }

  depends_on = [
    aws_iam_role_policy.agent,
    aws_route.internet,
    aws_route_table_association.zone,
    aws_ssm_parameter.secret,
    aws_vpc_security_group_egress_rule.client,
    aws_vpc_security_group_ingress_rule.agent,
  ]
}

check "one_zone_may_fail" {
  assert {
    condition     = var.server_count < 3 || ceil(var.server_count / var.zones) < ceil((var.server_count + 1) / 2)
    error_message = "One zone holds a majority of the servers: losing it loses the cluster. Use 3 zones."
  }
}
