# A follower crashes. A majority is left, so nothing should be seen of it while it is away.

scenario "follower-loss" {
  description = "a follower crashes: writes go on, no request is lost, and the follower comes back as a voter, for one election at most"

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

  inject "kill" {
    on = follower
  }
  expect "leader" {
    throughout = "5s"
  }
  heal "kill" {}

  # Autopilot: `server_stabilization_time` of 10 s and a round of 2 s.
  expect "voters" {
    within      = "60s"
    measured_as = "voter_again_ms"
  }

  stop {}

  # The leader tries a server that is away ever more rarely. One that comes back and hears nothing for
  # `HeartbeatTimeout` (1 to 2 s) asks for votes in a higher term, and the leader steps down: without
  # pre-vote (hashicorp/raft 1.7) it may win or lose, but there is an election.
  measure "leader_changes" {
    at_most = 1
  }

  # Writes through the two others are taken all the while, but for that election.
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
