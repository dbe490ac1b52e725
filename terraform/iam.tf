# One role per kind of agent. A server can read what servers need, a client what clients need; both
# may look up instances (discovery has no finer permission) and be reached through Session Manager.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "agent" {
  for_each = toset(["server", "client"])

  statement {
    sid       = "FindServers"
    actions   = ["ec2:DescribeInstances"]
    resources = ["*"]
  }
  statement {
    sid     = "ReadOwnSecrets"
    actions = ["ssm:GetParameter"]
    resources = [
      "arn:${data.aws_partition.current.partition}:ssm:${var.aws_region}:${data.aws_caller_identity.current.account_id}:parameter${local.secrets_path}/${each.key}/*",
    ]
  }
  dynamic "statement" {
    for_each = var.kms_key_id == null ? [] : [var.kms_key_id]
    content {
      sid       = "DecryptOwnSecrets"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "agent" {
  for_each = toset(["server", "client"])

  name               = "${var.name}-nomad-${each.key}"
  description        = "Nomad ${each.key} of cluster ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "agent" {
  for_each = aws_iam_role.agent

  name   = "nomad-${each.key}"
  role   = each.value.id
  policy = data.aws_iam_policy_document.agent[each.key].json
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  for_each = aws_iam_role.agent

  role       = each.value.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "agent" {
  for_each = aws_iam_role.agent

  name = "${var.name}-nomad-${each.key}"
  role = each.value.name
}
