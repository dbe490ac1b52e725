# whoami by the driver `docker`: the same answers from a container.
#
# The image is any that holds the program; `rehearse up` makes one on this machine's engine. Needs a
# Docker engine beside the agent, and an agent that may use it, so nodes of a rehearsed cluster do
# not offer it.
#
# Takes Nomad 1.1.0 or later.

variable "image" {
  type        = string
  description = "An image with the program `rehearse-agent`, from a registry that the nodes reach."
  default     = "registry.example.com/rehearse-agent:1"
}

job "whoami-docker" {
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
      # A free port on the node leads to 8080 in the container; NOMAD_PORT_http is the inner one.
      port "http" {
        to = 8080
      }
    }

    task "server" {
      driver = "docker"

      config {
        image      = var.image
        entrypoint = ["/usr/local/bin/rehearse-agent"]
        args       = ["workload", "-version", "${NOMAD_META_version}"]
        ports      = ["http"]

        # The image was put there beforehand, or is fixed by its tag.
        force_pull = false
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
