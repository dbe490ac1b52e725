# The Docker engine below the agents is restarted, as by an upgrade of its package: every container on it
# ends at once, the cluster's as everybody else's. So this runs only where the command for it is given:
#
#   rehearse run engine-restart --restart-engine-with 'sudo systemctl restart docker'
#
# State is on disk: what was acknowledged is there again, and the job runs without being asked.

scenario "engine-restart" {
  description = "the Docker engine is restarted below the agents: a leader is elected, no acknowledged write is lost, and the service runs again by itself"

  submit {
    job = builtin.whoami
  }

  # The update block of the job: one at a time, healthy after 1 s each. The rest is for slow machines.
  expect "deployment" {
    job         = "whoami"
    within      = "90s"
    measured_as = "deploy_ms"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "10s"
  }

  start "writer" {
    rate = var.writes
  }
  hold {
    lasting = "2s"
  }

  inject "restart-engine" {
    on = everyone
  }
  heal "restart-engine" {}

  # Servers find each other again and hold an election.
  expect "leader" {
    within      = "60s"
    measured_as = "leader_again_ms"
  }
  expect "voters" {
    within = "90s"
  }

  # Clients find their servers within 15 to 30 s where the first try failed.
  expect "nodes" {
    within      = "90s"
    measured_as = "nodes_again_ms"
  }

  # What ran on a client ended with it: the client finds its tasks dead and starts them anew, or the
  # servers place them elsewhere.
  expect "service" {
    job         = "whoami"
    port        = "http"
    instances   = 3
    version     = "1"
    within      = "90s"
    measured_as = "service_again_ms"
  }

  stop {}
}

variable "writes" {
  type        = number
  default     = 20
  description = "Writes a second through all servers."
}
