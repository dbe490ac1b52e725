# The servers are upgraded to another version as Nomad's own guide says: one at a time, the followers
# before the leader, the next one only when autopilot finds all healthy again. In between the cluster
# is mixed, and must work as one.

scenario "server-upgrade" {
  description = "the servers are upgraded one at a time, the followers before the leader: a mixed cluster works, the leader changes at most once, no acknowledged write and no request is lost"

  expect "versions" {
    different = 1
    within    = "10s"
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

  for_each {
    agents = followers

    upgrade {
      on = each
    }

    # Never go on before autopilot finds all healthy again: 10 s of stabilisation, a round of 2 s.
    expect "voters" {
      within      = "90s"
      measured_as = "voter_again_ms"
    }

    # The leader is still of the old version. A member that comes back tells of itself when it joins;
    # gossip carries that on within a second, and reconciles in full each 30 s.
    expect "versions" {
      different = 2
      within    = "60s"
    }

    # A mixed cluster leads and schedules as one.
    expect "leader" {
      throughout = "3s"
    }
  }
  scale {
    job   = "whoami"
    group = "web"
    count = 4
  }
  expect "allocations" {
    job     = "whoami"
    running = 4
    within  = "60s"
  }
  expect "deployment" {
    job    = "whoami"
    within = "90s"
  }

  upgrade {
    on = leader
  }
  expect "leader" {
    within = "15s"
  }
  expect "voters" {
    within      = "90s"
    measured_as = "voter_again_ms"
  }
  expect "versions" {
    different = 1
    within    = "60s"
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
