# Every server is restarted, one after the other, as an upgrade does: the followers first, the leader
# last, and each only when the one before votes again.

scenario "rolling-restart" {
  description = "every server is restarted one after the other: the leader changes at most once, no acknowledged write and no request is lost"

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

  for_each {
    agents = followers

    restart {
      on = each
    }

    # Never go on before autopilot finds all healthy again: 10 s of stabilisation, a round of 2 s.
    expect "voters" {
      within      = "90s"
      measured_as = "voter_again_ms"
    }
  }

  restart {
    on = leader
  }
  expect "leader" {
    within = "15s"
  }
  expect "voters" {
    within      = "90s"
    measured_as = "voter_again_ms"
  }

  stop {}

  measure "leader_changes" {
    at_most = 1
  }
  measure "leaderless_ms" {
    at_most = "15s"
  }

  # A write may be held for 5 s while there is no leader.
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
