# everywhere: one small web server on every node, as an agent for logs or metrics would be.
#
# A system job has no count: the scheduler places one instance on each node that fits, also on those
# that come later, and never puts the instance of a dead node elsewhere.
#
# Takes Nomad 1.1.0 or later.

job "everywhere" {
  datacenters = ["dc1"]
  type        = "system"

  group "web" {
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
