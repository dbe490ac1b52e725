# periodic: a batch job by the calendar. Every five minutes a child job is made, `periodic/periodic-TIME`,
# with the same content; `nomad job periodic force periodic` makes one now.
#
# Takes Nomad 1.1.0 or later.

job "periodic" {
  datacenters = ["dc1"]
  type        = "batch"

  periodic {
    cron      = "*/5 * * * *"
    time_zone = "UTC"

    # A run that takes longer than five minutes is not overtaken by the next.
    prohibit_overlap = true
  }

  group "run" {
    task "work" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "${NOMAD_JOB_ID}", "-exit", "0"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
