# template: one file for several uses, by variables, and configuration that is written for each task.
#
# `var.*` and `local.*` are put in when the job is submitted; `${...}` of the node and the task when it
# is placed; `{{ ... }}` by the client, before the task starts, and again whenever what it shows changes.
#
#   nomad job run -var greeting=Welcome template.nomad.hcl
#
# Takes Nomad 1.1.0 or later.

variable "greeting" {
  type        = string
  description = "The first word."
  default     = "Hello"
}

variable "count" {
  type    = number
  default = 1
}

locals {
  name = "${lower(var.greeting)}-${var.count}"
}

job "template" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = var.count

    network {
      port "http" {}
    }

    task "server" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "${GREETING}"]
      }

      # A file that the program would read.
      template {
        destination = "local/app.conf"
        change_mode = "restart"

        data = <<EOT
name = "${local.name}"
dc   = "{{ env "NOMAD_DC" }}"
port = {{ env "NOMAD_PORT_http" }}
EOT
      }

      # Lines of NAME=value become variables of the task.
      template {
        destination = "secrets/app.env"
        env         = true

        data = <<EOT
GREETING={{ env "NOMAD_META_greeting" | toUpper }}
EOT
      }

      meta {
        greeting = var.greeting
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
