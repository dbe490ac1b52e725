# The leader and a client die in the same moment. The new leader cannot know since when the client is
# silent, and grants every node 5 minutes (`failover_heartbeat_ttl`): for so long nothing of what ran
# there is replaced. That surprises whoever knows the 30 s of an ordinary loss, and is as it must be.
# Slow: some six minutes.

scenario "leader-and-client-die-together" {
  description = "the leader and a client die together: the dead client is believed in for 5 minutes, and only then its work is replaced"

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

  parallel {
    inject "kill" {
      on = leader
    }
    inject "kill" {
      on = node_running("whoami")
    }
  }
  expect "leader" {
    within      = "15s"
    measured_as = "new_leader_ms"
  }

  # 300 s from the new leader's first moment; the last 30 s are left to slow machines.
  expect "nodes" {
    ready      = 3
    throughout = "4m30s"
  }
  expect "nodes" {
    ready       = 2
    within      = "90s"
    measured_as = "noticed_ms"
  }
  expect "allocations" {
    job         = "whoami"
    running     = 3
    nodes       = 2
    within      = "30s"
    measured_as = "replaced_ms"
  }
  heal "kill" {}

  # Autopilot: `server_stabilization_time` of 10 s and a round of 2 s.
  expect "voters" {
    within = "60s"
  }
  expect "nodes" {
    within = "60s"
  }
}
