# blue-green: two whole sets beside each other, and one moment at which the new one takes over.
#
#   nomad job run blue-green.nomad.hcl
#   nomad job run -var version=2 blue-green.nomad.hcl
#   nomad deployment promote DEPLOYMENT
#
# It needs room for both sets. Takes Nomad 1.1.0 or later.

variable "version" {
  type    = string
  default = "1"
}

job "blue-green" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = 3

    # How a new version replaces the old one.
    update {
      max_parallel = 3

      # As many canaries as instances: the whole new set (green) runs beside the old one (blue),
      # and the promotion changes over in one step. Until then the old set can be gone back to.
      canary = 3

      # Set it, and a set that is wholly healthy is promoted by nobody.
      auto_promote = false

      # An instance is healthy once its task has run this long. There are no checks here:
      # they would need Consul, or Nomad 1.3.
      health_check     = "task_states"
      min_healthy_time = "1s"

      # An instance that is not healthy by then counts as failed ...
      healthy_deadline = "30s"

      # ... and without progress for this long the whole rollout fails.
      progress_deadline = "2m"
    }

    # A crashed task is started again on its node, twice in half a minute; then the
    # allocation fails, and the scheduler places another one.
    restart {
      attempts = 2
      interval = "30s"
      delay    = "1s"
      mode     = "fail"
    }

    network {
      # A free port on the node, handed to the task as NOMAD_PORT_http.
      port "http" {}
    }

    task "server" {
      # The task shares the agent's file system and network; no isolation, no image.
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "${NOMAD_META_version}"]
      }

      meta {
        version = var.version
      }

      # Nomad tells a task much about itself, but not where it runs.
      env {
        NODE = "${node.unique.name}"
      }

      # The task finishes the requests that it has begun before it exits.
      kill_signal  = "SIGTERM"
      kill_timeout = "5s"

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
