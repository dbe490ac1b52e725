# What `rehearse run --target aws --attach FILE` reads. The first seven have the names that Nomad's own end-to-end
# tests use for the same things.

output "servers" {
  description = "Public addresses of the servers, in the order of their names."
  value       = [for name in sort(keys(local.servers)) : aws_instance.server[name].public_ip]
}

output "clients" {
  description = "Public addresses of the clients, in the order of their names."
  value       = [for name in sort(keys(local.clients)) : aws_instance.client[name].public_ip]
}

output "nomad_addr" {
  description = "HTTP API of the first server. Any server answers."
  value       = "https://${aws_instance.server["server-1"].public_ip}:4646"
}

output "ca_file" {
  description = "The authority's certificate, on this machine."
  value       = abspath("${local.pki}/ca/nomad-agent-ca.pem")
}

output "cert_file" {
  description = "The operator's certificate, on this machine."
  value       = abspath("${local.pki}/cli/${var.nomad_region}-cli-nomad.pem")
}

output "key_file" {
  description = "The key of `cert_file`, on this machine."
  value       = abspath("${local.pki}/cli/${var.nomad_region}-cli-nomad-key.pem")
}

output "environment" {
  description = "For a shell: eval \"$(terraform output -raw environment)\""
  value       = <<-EOT
    export NOMAD_ADDR=https://${aws_instance.server["server-1"].public_ip}:4646
    export NOMAD_TLS_SERVER_NAME=server.${var.nomad_region}.nomad
    export NOMAD_CACERT=${abspath("${local.pki}/ca/nomad-agent-ca.pem")}
    export NOMAD_CLIENT_CERT=${abspath("${local.pki}/cli/${var.nomad_region}-cli-nomad.pem")}
    export NOMAD_CLIENT_KEY=${abspath("${local.pki}/cli/${var.nomad_region}-cli-nomad-key.pem")}
    export NOMAD_TOKEN=$(cat ${abspath("${local.pki}/bootstrap.token")})
  EOT
}

output "tls_server_name" {
  description = "The name in the servers' certificates: what a connection to a bare address verifies."
  value       = "server.${var.nomad_region}.nomad"
}

output "token_file" {
  description = "Where scripts/bootstrap-acl.sh keeps the management token, on this machine."
  value       = abspath("${local.pki}/bootstrap.token")
}

output "cluster" {
  description = "Everything that an attached `rehearse` needs to know and may touch."
  value = {
    name          = var.name
    aws_region    = var.aws_region
    nomad_region  = var.nomad_region
    datacenter    = var.datacenter
    nomad_version = local.release
    architecture  = var.architecture
    cluster_tag   = { key = "rehearse-cluster", value = var.name }
    join_tag      = local.join_tag
    agents = merge(
      {
        for name, machine in aws_instance.server : name => {
          role        = "server"
          instance_id = machine.id
          private_ip  = machine.private_ip
          public_ip   = machine.public_ip
          zone        = machine.availability_zone
        }
      },
      {
        for name, machine in aws_instance.client : name => {
          role        = "client"
          instance_id = machine.id
          private_ip  = machine.private_ip
          public_ip   = machine.public_ip
          zone        = machine.availability_zone
        }
      },
    )
  }
}
