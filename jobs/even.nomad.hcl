# even: six instances that spread evenly over the nodes.
#
# Without `spread`, the scheduler packs: a node that is used already scores higher than an empty one.
#
# Takes Nomad 1.1.0 or later.

job "even" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = 6

    spread {
      attribute = "${node.unique.name}"
      weight    = 100
    }

    network {
      port "http" {}
    }

    task "server" {
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
