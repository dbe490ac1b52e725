# A follower behind a bad line: it is no fault of the others, so nothing should be seen of it but
# that it lags.

scenario "slow-follower" {
  description = "a follower's line carries 256 kbit/s: the leader stays, writes go on without it, no request is lost, and it catches up"

  submit {
    job = builtin.whoami
  }

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
  start "load" {
    job  = "whoami"
    port = "http"
    rate = var.requests
  }

  inject "rate" {
    on = follower
  }

  # Only now: writes that the leader itself cannot commit without the follower would be seen. They are
  # few: what the line cannot carry queues before the leader's heartbeats, and a follower that hears none
  # for a second asks for votes, which costs the leader its place (20 writes a second did, on 1.1.2).
  start "writer" {
    rate = var.writes
  }
  expect "leader" {
    throughout = "15s"
  }
  heal "rate" {}

  # Autopilot takes a server for unhealthy that is more than 250 entries behind
  # (`max_trailing_logs`), or silent for 200 ms (`last_contact_threshold`).
  expect "voters" {
    within      = "60s"
    measured_as = "voter_again_ms"
  }

  stop {}

  measure "leader_changes" {
    at_most = 0
  }
  measure "write_gap_ms" {
    at_most = "5s"
  }
  measure "requests_lost" {
    at_most = 0
  }
}

variable "writes" {
  type        = number
  default     = 5
  description = "Writes a second through all servers."
}

variable "requests" {
  type        = number
  default     = 50
  description = "Requests a second to the service."
}
