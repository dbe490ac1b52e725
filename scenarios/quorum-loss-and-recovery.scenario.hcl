# Two of three servers crash. Nothing can be written, but what runs goes on, and the survivor says
# honestly that nobody leads. When the others come back, all is as before.

scenario "quorum-loss-and-recovery" {
  description = "a majority of the servers crashes: nobody leads and nothing is written, tasks go on; the cluster recovers when they come back"

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

  start "load" {
    job  = "whoami"
    port = "http"
    rate = var.requests
  }
  hold {
    lasting = "1s"
  }

  inject "kill" {
    on = majority
  }

  # A leader that lost its majority gives up after its lease of 500 ms; a follower after 1 to 2 s.
  expect "no_leader" {
    within      = "10s"
    measured_as = "leader_gone_ms"
  }
  expect "no_leader" {
    throughout = "10s"
  }

  # Servers hold a read for 5 s (`RPCHoldTimeout`) and then refuse it; a stale one they answer.
  call {
    path     = "/v1/jobs"
    status   = 500
    contains = "No cluster leader"
  }
  call {
    path  = "/v1/job/whoami?stale"
    check = { "Stop" = false }
  }

  heal "kill" {}

  # They start, hear of each other, and hold an election: 1 to 4 s, more when votes are split.
  expect "leader" {
    within      = "30s"
    measured_as = "leader_again_ms"
  }

  # Autopilot: `server_stabilization_time` of 10 s and a round of 2 s; of a leader that is new it
  # may know nothing for some 10 s.
  expect "voters" {
    within      = "90s"
    measured_as = "voters_again_ms"
  }

  # Clients whose heartbeats failed try again after 15 to 30 s; the new leader gives every node
  # 5 minutes, so that none is called down meanwhile.
  expect "nodes" {
    within = "60s"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "10s"
  }

  stop {}

  measure "requests_lost" {
    at_most = 0
  }
}

variable "requests" {
  type        = number
  default     = 50
  description = "Requests a second to the service."
}
