# The leader crashes. Another server takes over, nothing acknowledged is lost, and the service on
# the clients does not notice.

scenario "leader-failover" {
  description = "the leader crashes: another takes over, no acknowledged write is lost, the service keeps answering, the old one comes back as a voter"

  needs {
    servers = 3
    clients = 3
  }

  submit {
    job = builtin.whoami
  }

  # Three instances, one at a time, healthy after 1 s each: some 3 s. The rest is for slow,
  # emulated machines.
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
  expect "leader" {
    throughout = "2s"
  }

  inject "kill" {
    on = leader
  }

  # Nomad's followers call an election 1 to 2 s after the leader's last word, and an election takes
  # 1 to 2 s (`raft_multiplier` 1), more when the vote is split: this allows for several split votes.
  expect "leader" {
    within = "15s"
  }
  hold {
    lasting = "3s"
  }
  heal "kill" {}

  # Autopilot calls a server that came back healthy after its `server_stabilization_time` of 10 s and
  # a round of 2 s.
  expect "voters" {
    within      = "60s"
    measured_as = "voter_again_ms"
  }

  stop {}

  measure "leaderless_ms" {
    at_most = "15s"
  }

  # Servers hold a write for 5 s while there is no leader, so a gap may outlast the election.
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
