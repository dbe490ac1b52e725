# The leader is cut off from all others. The majority must choose another one; the one that is cut
# off must give up, since it cannot reach a majority any more: two leaders that both take writes
# would be the end of the log.

scenario "leader-isolated" {
  description = "the leader is cut off: the majority chooses another, the old one gives up and follows after the cut; no acknowledged write is lost"

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

  inject "isolate" {
    on = leader
  }

  # 1 to 2 s until the followers miss the leader, 1 to 2 s for the election.
  expect "leader" {
    within      = "15s"
    measured_as = "new_leader_ms"
  }

  # The one that is cut off loses its lease after 500 ms (`LeaderLeaseTimeout`) and then knows of no
  # leader; a stale read asks it and nobody else.
  call {
    at     = last
    path   = "/v1/status/leader?stale"
    check  = { "" = "" }
    within = "10s"
  }
  hold {
    lasting = "3s"
  }
  heal "isolate" {}
  expect "leader" {
    within      = "30s"
    measured_as = "one_leader_again_ms"
  }

  # It may have called elections of its own meanwhile, whose term the others take over: one more
  # election. Then autopilot's 10 s and a round of 2 s.
  expect "voters" {
    within      = "90s"
    measured_as = "voter_again_ms"
  }

  stop {}

  measure "leaderless_ms" {
    at_most = "15s"
  }
  measure "write_gap_ms" {
    at_most = "20s"
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
