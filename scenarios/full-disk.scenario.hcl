# A follower's disk is full to the last byte. What it cannot write it must not acknowledge; the two others
# are a majority without it, so nothing should be seen of it. With room again it catches up by itself, or
# ended meanwhile and is started, and is a voter as before.

scenario "full-disk" {
  description = "a follower's disk is full: the leader stays, no write is lost, and with room again it is a voter as before"

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
    on = follower
  }
  expect "leader" {
    throughout = "10s"
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
    at_most = 0
  }

  # Writes through the two others are taken all the while. The limit is what a slow machine may
  # take; an election would show in `leader_changes`.
  measure "write_gap_ms" {
    at_most = "5s"
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
