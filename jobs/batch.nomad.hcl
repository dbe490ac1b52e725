# batch: work that ends. Three pieces, each done once; one that fails is tried again.
#
# A batch job's allocation that exits with 0 is `complete` and is never replaced; a job all of whose
# work is done is `dead`, which is no failure.
#
# Takes Nomad 1.1.0 or later.

job "batch" {
  datacenters = ["dc1"]
  type        = "batch"

  group "pieces" {
    count = 3

    # On the same node first: twice, a second apart.
    restart {
      attempts = 2
      interval = "1m"
      delay    = "1s"
      mode     = "fail"
    }

    # Then elsewhere: once.
    reschedule {
      attempts  = 1
      interval  = "1h"
      unlimited = false
    }

    task "work" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "piece-${NOMAD_ALLOC_INDEX}", "-start-delay", "1s", "-exit", "0"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
