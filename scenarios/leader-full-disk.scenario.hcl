# The leader's disk is full to the last byte. A leader that cannot write its own log steps down; Nomad's
# may win the next elections all the same, since a vote still fits where something was written before, and
# steps down again each time. Once another server leads, writes go on.

scenario "leader-full-disk" {
  description = "the leader's disk is full: another server leads, no acknowledged write is lost, and with room again it is a voter as before"

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

  start "leader_watch" {}
  start "term_watch" {}
  start "writer" {
    rate = var.writes
  }
  start "load" {
    job  = "whoami"
    port = "http"
    rate = var.requests
  }
  hold {
    lasting = "2s"
  }

  inject "full-disk" {
    on = leader
  }

  # An election takes 1 to 2 s (`HeartbeatTimeout`, doubled at random); the server without room wins each
  # with the same chance as the others.
  expect "leader" {
    within      = "30s"
    measured_as = "other_leader_ms"
  }
  expect "leader" {
    throughout = "5s"
  }
  heal "full-disk" {}

  # Autopilot's `server_stabilization_time` of 10 s and its round of 10 s, after what the server takes to
  # start if it ended.
  expect "voters" {
    within      = "60s"
    measured_as = "voter_again_ms"
  }

  stop {}

  measure "leader_changes" {
    at_least = 1
  }

  # As long as nobody else leads, and 5 s for which a write may be held.
  measure "write_gap_ms" {
    at_most = "35s"
  }
  measure "requests_lost" {
    at_most = 0
  }
}

variable "writes" {
  type        = number
  default     = 20
  description = "Writes a second through all servers."
}

variable "requests" {
  type        = number
  default     = 50
  description = "Requests a second to the service."
}
