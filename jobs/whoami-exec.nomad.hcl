# whoami by the driver `exec`: the same program in a file system and namespaces of its own.
#
# The isolated choice for a program that lies on the node: a chroot with copies of /bin, /etc, /lib,
# /usr and so on, limits of memory and processor by cgroups, a user that is not the agent's. Needs
# Linux and an agent that is root, so nodes of a rehearsed cluster do not offer it.
#
# Takes Nomad 1.1.0 or later.

job "whoami-exec" {
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
      driver = "exec"

      config {
        # In the task's own root, which the agent makes of parts of the node's.
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "${NOMAD_META_version}"]
      }

      meta {
        version = "1"
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
