# A server dies for good. Autopilot takes it out of Raft's configuration by itself, so that the
# majority is counted among the living, and lets it in again when it comes back.

scenario "autopilot-cleanup" {
  description = "a dead server is removed from Raft by autopilot while the majority is not in danger, and gets its vote back when it returns"

  # These clusters keep a dead server in the configuration (`min_quorum` is their size); Nomad's own
  # default is 0.
  call {
    method = "PUT"
    path   = "/v1/operator/autopilot/configuration"
    body   = { "CleanupDeadServers" = true, "LastContactThreshold" = "200ms", "MaxTrailingLogs" = 250, "MinQuorum" = 0, "ServerStabilizationTime" = "10s" }
  }

  inject "kill" {
    on = follower
  }

  # Gossip calls it failed after 30 to 40 s (a probe each 5 s, and 30 s of suspicion among three);
  # autopilot looks each 10 s.
  expect "voters" {
    healthy     = 2
    within      = "2m"
    measured_as = "removed_ms"
  }
  expect "leader" {
    within = "5s"
  }

  heal "kill" {}

  # It joins as one without a vote and gets it after `server_stabilization_time` of 10 s, at
  # autopilot's next round of 10 s.
  expect "voters" {
    healthy     = 3
    within      = "90s"
    measured_as = "voter_again_ms"
  }
  call {
    method = "PUT"
    path   = "/v1/operator/autopilot/configuration"
    body   = { "CleanupDeadServers" = true, "LastContactThreshold" = "200ms", "MaxTrailingLogs" = 250, "MinQuorum" = 3, "ServerStabilizationTime" = "10s" }
  }
}
