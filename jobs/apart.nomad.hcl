# apart: instances that never share a node, and one that runs where it is told to.
#
# `distinct_hosts` is a law, and `spread` a wish: whoever has too few nodes for the law waits, and
# whoever has too few for the wish shares.
#
# Takes Nomad 1.1.0 or later.

# How many instances want a node of their own.
variable "alone" {
  type    = number
  default = 3
}

# The node of the pinned one.
variable "node" {
  type    = string
  default = "client-2"
}

job "apart" {
  datacenters = ["dc1"]
  type        = "service"

  group "alone" {
    count = var.alone

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      port "http" {}
    }

    task "sleeper" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "1"]
      }

      env {
        NODE = "${node.unique.name}"
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "5s"

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }

  group "pinned" {
    count = 1

    constraint {
      attribute = "${node.unique.name}"
      value     = var.node
    }

    network {
      port "http" {}
    }

    task "sleeper" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "1"]
      }

      env {
        NODE = "${node.unique.name}"
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "5s"

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
