# Who may reach whom. 4646 is the HTTP API, 4647 RPC and Raft, 4648 gossip (TCP and UDP, servers
# among themselves). Clients open no port to servers: servers reach them over the clients' own
# connections. SSH is open to nobody: Session Manager needs no port.

locals {
  agent_rules = {
    "servers-rpc-from-servers"     = { to = "server", from = "server", port = 4647, protocol = "tcp" }
    "servers-rpc-from-clients"     = { to = "server", from = "client", port = 4647, protocol = "tcp" }
    "servers-gossip-from-servers"  = { to = "server", from = "server", port = 4648, protocol = "tcp" }
    "servers-gossip-udp-of-theirs" = { to = "server", from = "server", port = 4648, protocol = "udp" }
  }

  operator_rules = merge([
    for role in ["server", "client"] : {
      for cidr in var.operator_cidrs : "${role}-http-from-${cidr}" => { to = role, cidr = cidr }
    }
  ]...)

  task_rules = merge(
    {
      for name, rule in var.task_ports : "${name}-from-clients" => merge(rule, { cidr = null })
      if rule.from_clients
    },
    [
      for name, rule in var.task_ports : {
        for cidr in rule.cidrs : "${name}-from-${cidr}" => merge(rule, { cidr = cidr })
      }
    ]...
  )
}

resource "aws_security_group" "agent" {
  for_each = toset(["server", "client"])

  name        = "${var.name}-nomad-${each.key}"
  description = "Nomad ${each.key} agents of cluster ${var.name}"
  vpc_id      = aws_vpc.cluster.id

  tags = { Name = "${var.name}-nomad-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "agent" {
  for_each = local.agent_rules

  security_group_id            = aws_security_group.agent[each.value.to].id
  referenced_security_group_id = aws_security_group.agent[each.value.from].id
  description                  = each.key
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "operator" {
  for_each = local.operator_rules

  security_group_id = aws_security_group.agent[each.value.to].id
  cidr_ipv4         = each.value.cidr
  description       = "HTTP API from the operator"
  ip_protocol       = "tcp"
  from_port         = 4646
  to_port           = 4646
}

resource "aws_vpc_security_group_ingress_rule" "task" {
  for_each = local.task_rules

  security_group_id            = aws_security_group.agent["client"].id
  cidr_ipv4                    = each.value.cidr
  referenced_security_group_id = each.value.cidr == null ? aws_security_group.agent["client"].id : null
  description                  = each.key
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.from_port
  to_port                      = each.value.to_port
}

# Servers need the other servers, and HTTPS for downloads and AWS's own endpoints. Name and time
# services of the VPC are not subject to security groups.
resource "aws_vpc_security_group_egress_rule" "server" {
  for_each = { for name, rule in local.agent_rules : name => rule if rule.from == "server" }

  security_group_id            = aws_security_group.agent["server"].id
  referenced_security_group_id = aws_security_group.agent[each.value.to].id
  description                  = each.key
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "server_https" {
  security_group_id = aws_security_group.agent["server"].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "Downloads, Parameter Store, EC2, Session Manager"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# What tasks talk to is the jobs' affair.
resource "aws_vpc_security_group_egress_rule" "client" {
  security_group_id = aws_security_group.agent["client"].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "Tasks and the agent"
  ip_protocol       = "-1"
}
