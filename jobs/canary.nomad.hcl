# canary: the same small web servers as `whoami`, rolled out through a canary.
#
# A new version first starts one instance beside the old ones and waits for a promotion. One that
# fails is taken back by itself. `fails_after` makes a version that fails; the deadlines are short,
# so that this is seen soon. With as many `canaries` as instances it is a blue/green rollout, with
# none a rolling one.
#
# Takes Nomad 1.1.0 or later.

variable "version" {
  type    = string
  default = "1"
}

# How long it serves before it exits by itself: a good version serves for longer than anyone looks.
variable "fails_after" {
  type    = string
  default = "24h"
}

variable "canaries" {
  type    = number
  default = 1
}

# Whether a failed rollout brings back the last version that was stable.
variable "auto_revert" {
  type    = bool
  default = true
}

job "canary" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = 3

    update {
      max_parallel = 1

      # So many instances of the new version beside the old ones, until somebody promotes them.
      canary = var.canaries

      auto_revert = var.auto_revert

      # There are no checks here: they would need Consul, or Nomad 1.3.
      health_check     = "task_states"
      min_healthy_time = "2s"
      healthy_deadline = "15s"

      # Nomad reschedules a failed instance of a service without end, so that a rollout fails
      # only when this is over.
      progress_deadline = "20s"
    }

    # The first failure is the last: the allocation is unhealthy at once.
    restart {
      attempts = 0
      interval = "30s"
      delay    = "1s"
      mode     = "fail"
    }

    network {
      port "http" {}
    }

    task "server" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "${NOMAD_META_version}", "-fail-after", "${NOMAD_META_fails_after}"]
      }

      meta {
        version     = var.version
        fails_after = var.fails_after
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
