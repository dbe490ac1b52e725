# ingress: a reverse proxy on every node, in front of the instances of `whoami` wherever they are.
#
# A system job runs once on each node, so that any node's port 8080 leads to the service. The proxy
# asks the agent beside it for the service's addresses, with TLS and ACLs on: it shows the node's own
# certificate, and a token that may read jobs and nothing else. The token is in the job, which only
# those see who may read jobs themselves. From Nomad 1.5 on, `identity { env = true }` in the task
# gives it one that Nomad makes and renews.
#
#   nomad acl policy apply ingress - <<< 'namespace "default" { capabilities = ["read-job"] }'
#   nomad acl token create -policy ingress
#   nomad job run -var token=SECRET ingress.nomad.hcl
#
# Takes Nomad 1.1.0 or later; what it asks, Nomad answers from 1.3.0 on.

variable "token" {
  type        = string
  description = "May read the jobs of the namespace."
  default     = ""
}

variable "service" {
  type    = string
  default = "whoami"
}

# The file names of a rehearsed node; the Terraform configuration here uses ca.pem and agent.pem.
variable "tls" {
  type = object({ ca = string, cert = string, key = string })

  default = {
    ca   = "/etc/nomad.d/tls/nomad-agent-ca.pem"
    cert = "/etc/nomad.d/tls/global-client-nomad.pem"
    key  = "/etc/nomad.d/tls/global-client-nomad-key.pem"
  }
}

job "ingress" {
  datacenters = ["dc1"]
  type        = "system"

  group "proxy" {
    restart {
      attempts = 2
      interval = "30s"
      delay    = "1s"
      mode     = "delay"
    }

    network {
      # The same port on every node: a load balancer outside needs no discovery.
      port "http" {
        static = 8080
      }
    }

    task "proxy" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["ingress", "-service", var.service]
      }

      env {
        # The agent on this node answers, whichever server leads.
        NOMAD_ADDR        = "https://127.0.0.1:4646"
        NOMAD_CACERT      = var.tls.ca
        NOMAD_CLIENT_CERT = var.tls.cert
        NOMAD_CLIENT_KEY  = var.tls.key
        NOMAD_TOKEN       = var.token
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
