# placement: where instances may run (constraint), should run (affinity), and how they are spread.
#
# A constraint that no node meets leaves the job pending, and the evaluation says which one it was; an
# affinity or a spread only orders the nodes that are left.
#
# Takes Nomad 1.1.0 or later.

job "placement" {
  datacenters = ["dc1"]
  type        = "service"

  # Must hold for every node that is used.
  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  # At most one instance of a group on a node.
  constraint {
    operator = "distinct_hosts"
    value    = "true"
  }

  # Not on this one, if it can be helped: weights go from -100 to 100.
  affinity {
    attribute = "${node.unique.name}"
    value     = "client-1"
    weight    = -50
  }

  group "web" {
    count = 2

    # Evenly over datacenters; with several, `target` blocks would say how many per cent each gets.
    spread {
      attribute = "${node.datacenter}"
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

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
