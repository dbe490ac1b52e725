# The leader hangs: its connections stay open and nobody answers, as on a machine that swaps. The
# others must not wait for it, and it must not go on as if it led when it wakes up.

scenario "leader-pause" {
  description = "the leader hangs: another takes over, and the old one follows when it wakes up; no acknowledged write is lost"

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

  inject "pause" {
    on = leader
  }

  # As after a crash: followers wait 1 to 2 s for the leader's word, an election takes 1 to 2 s.
  expect "leader" {
    within      = "15s"
    measured_as = "new_leader_ms"
  }
  hold {
    lasting = "3s"
  }
  heal "pause" {}

  # The old leader hears of the newer term with the first answer that it gets.
  expect "leader" {
    within      = "15s"
    measured_as = "one_leader_again_ms"
  }

  # Autopilot: `server_stabilization_time` of 10 s and a round of 2 s.
  expect "voters" {
    within      = "60s"
    measured_as = "voter_again_ms"
  }

  stop {}

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
