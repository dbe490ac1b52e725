# The leadership is handed over on purpose, as before the leader's maintenance: no election by
# timeout, and hardly a gap.

scenario "leadership-transfer" {
  description = "the leadership is handed to a follower on purpose: it leads at once, no acknowledged write and no request is lost"

  # `operator/raft/transfer-leadership` came with 1.7.
  needs {
    nomad = ">= 1.7"
  }

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
    lasting = "1s"
  }

  transfer_leadership {
    to = follower
  }
  call {
    at     = last
    path   = "/v1/agent/self"
    check  = { "stats.nomad.leader" = "true" }
    within = "5s"
  }
  expect "leader" {
    within = "5s"
  }
  hold {
    lasting = "2s"
  }

  stop {}

  measure "leader_changes" {
    at_least = 1
    at_most  = 1
  }

  # Nobody waits 1 to 2 s for a leader that is silent: the chosen one calls its election at once. An
  # election still takes a round through the disks, and the new leader's first entries another.
  measure "leaderless_ms" {
    at_most = "2s"
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
