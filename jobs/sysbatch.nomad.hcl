# sysbatch: something that is done once on every node, now and on nodes that come later. Here it tells
# how full the disk is.
#
# Takes Nomad 1.2.0 or later.

job "sysbatch" {
  datacenters = ["dc1"]
  type        = "sysbatch"

  group "node" {
    task "work" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["df", "-kP", "/"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
