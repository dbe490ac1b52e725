locals {
  # Names are those of the local cluster, so that a report of one side reads like the other's.
  servers = { for number in range(var.server_count) : "server-${number + 1}" => { zone = number % var.zones } }
  clients = { for number in range(var.client_count) : "client-${number + 1}" => { zone = number % var.zones } }

  instance_types = {
    server = coalesce(var.server_instance_type, var.architecture == "arm64" ? "t4g.small" : "t3.small")
    client = coalesce(var.client_instance_type, var.architecture == "arm64" ? "t4g.medium" : "t3.medium")
  }

  # Only servers carry this tag: discovery must never hand out a client's address.
  join_tag  = { key = "rehearse-join", value = var.name }
  join_line = "provider=aws region=${var.aws_region} tag_key=${local.join_tag.key} tag_value=${local.join_tag.value}"

  release = var.nomad_edition == "enterprise" ? "${var.nomad_version}+ent" : var.nomad_version

  agent_config = merge(
    {
      for name, place in local.servers : name => templatefile("${path.module}/templates/server.hcl.tpl", {
        name       = name
        region     = var.nomad_region
        datacenter = var.datacenter
        servers    = var.server_count
        join_line  = local.join_line
        enterprise = var.nomad_edition == "enterprise"
      })
    },
    {
      for name, place in local.clients : name => templatefile("${path.module}/templates/client.hcl.tpl", {
        name       = name
        region     = var.nomad_region
        datacenter = var.datacenter
        join_line  = local.join_line
        raw_exec   = var.raw_exec
      })
    },
  )

  user_data = {
    for name, config in local.agent_config : name => templatefile("${path.module}/templates/boot.sh.tpl", {
      role         = contains(keys(local.servers), name) ? "server" : "client"
      aws_region   = var.aws_region
      secrets_path = local.secrets_path
      secrets      = contains(keys(local.servers), name) ? local.server_files : local.client_files
      release      = local.release
      architecture = var.architecture
      sha256       = lookup(var.nomad_sha256, var.architecture, "")
      releases_url = var.releases_url
      agent_config = config
    })
  }
}
