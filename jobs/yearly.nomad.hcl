# yearly: work that is due by the calendar, once in four years.
#
# Each launch is a child, a batch job named after the second of its launch. The calendar's date is
# far away, so that a rehearsal forces its launches and no midnight disturbs it.
#
# Takes Nomad 1.1.0 or later.

job "yearly" {
  datacenters = ["dc1"]
  type        = "batch"

  periodic {
    cron             = "0 0 29 2 *"
    prohibit_overlap = true
  }

  group "work" {
    task "work" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-exit", "0"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
