# A follower's disk lies: part of its Raft log is not what was written there. Nomad mends no such
# log: the server ends, or serves on without what it lost. A majority is left, so nothing should be
# seen of it; and what is done about it in earnest (remove the server's data, let it join as a new
# one) brings all voters back.

scenario "corrupt-raft-log" {
  description = "a follower's Raft log is damaged: the leader stays, no write is lost, and with its data removed it becomes a voter again"

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

  inject "corrupt-log" {
    on = follower
  }
  expect "leader" {
    throughout = "5s"
  }
  heal "corrupt-log" {}

  # The leader takes the member at the old address for a new server when it next goes through all
  # members (`ReconcileInterval` of 60 s: an update of a member is no reason to), then come
  # Autopilot's `server_stabilization_time` of 10 s and its round of 10 s.
  expect "voters" {
    within      = "120s"
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
