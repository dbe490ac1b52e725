# Certificates, keys, the gossip key and the licence lie in Parameter Store, one parameter each, and
# a machine's role can read just those of its kind. They pass through write-only arguments: they are
# in no plan, in no state and in no user data. The authority's key stays with the operator.

locals {
  pki          = coalesce(var.pki_dir, "${path.module}/pki")
  secrets_path = "/rehearse/${var.name}"

  # Parameter (below `secrets_path`) => file on the operator's machine.
  server_secrets = merge(
    {
      "server/ca"     = "${local.pki}/ca/nomad-agent-ca.pem"
      "server/cert"   = "${local.pki}/servers/${var.nomad_region}-server-nomad.pem"
      "server/key"    = "${local.pki}/servers/${var.nomad_region}-server-nomad-key.pem"
      "server/gossip" = "${local.pki}/gossip.key"
    },
    var.nomad_license_file == null ? {} : { "server/license" = var.nomad_license_file },
  )
  client_secrets = {
    "client/ca"   = "${local.pki}/ca/nomad-agent-ca.pem"
    "client/cert" = "${local.pki}/clients/${var.nomad_region}-client-nomad.pem"
    "client/key"  = "${local.pki}/clients/${var.nomad_region}-client-nomad-key.pem"
  }

  # Parameter => file on the machine. The gossip key becomes a configuration file of its own.
  server_files = merge(
    {
      "server/ca"   = "/etc/nomad.d/tls/ca.pem"
      "server/cert" = "/etc/nomad.d/tls/agent.pem"
      "server/key"  = "/etc/nomad.d/tls/agent-key.pem"
    },
    var.nomad_license_file == null ? {} : { "server/license" = "/etc/nomad.d/license.hclic" },
  )
  client_files = {
    "client/ca"   = "/etc/nomad.d/tls/ca.pem"
    "client/cert" = "/etc/nomad.d/tls/agent.pem"
    "client/key"  = "/etc/nomad.d/tls/agent-key.pem"
  }
}

resource "aws_ssm_parameter" "secret" {
  for_each = merge(local.server_secrets, local.client_secrets)

  name             = "${local.secrets_path}/${each.key}"
  description      = "Nomad cluster ${var.name}"
  type             = "SecureString"
  key_id           = var.kms_key_id
  value_wo         = file(each.value)
  value_wo_version = var.pki_version

  lifecycle {
    precondition {
      condition     = fileexists(each.value)
      error_message = "There is no ${each.value}. Make the certificates first: rehearse pki create --dir ${local.pki}"
    }
  }
}
