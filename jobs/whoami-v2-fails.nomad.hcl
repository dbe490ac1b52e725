# whoami, one version on, and broken: each instance exits with 3 at once. Nomad stops after the first
# one, and brings the old version back by itself; two of three instances have served all the time.
#
# Takes Nomad 1.1.0 or later.

job "whoami" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = 3

    # How a new version replaces the old one.
    update {
      # One instance at a time: the other two keep serving.
      max_parallel = 1

      # An instance is healthy once its task has run this long. There are no checks here:
      # they would need Consul, or Nomad 1.3.
      health_check     = "task_states"
      min_healthy_time = "1s"

      # An instance that is not healthy by then counts as failed ...
      healthy_deadline = "10s"

      # ... and without progress for this long the whole rollout fails. Nomad starts a failed
      # instance of a service again and again, elsewhere: without this it would try for 10 minutes.
      progress_deadline = "15s"

      # Then the last version that was stable comes back, as a version of its own.
      auto_revert = true
    }

    # The first failure is the last: the allocation is unhealthy at once.
    restart {
      attempts = 0
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
        args    = ["workload", "-version", "${NOMAD_META_version}", "-exit", "3"]
      }

      meta {
        version = "2-fails"
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
