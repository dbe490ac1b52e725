# A client that runs part of a service crashes. Its node is noticed by its missing heartbeats only;
# then what ran there runs elsewhere.

scenario "client-loss" {
  description = "a client crashes: its node is found down, its allocations run elsewhere, and the node comes back ready"

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

  # Right after an election a new leader grants every node 5 minutes (`failover_heartbeat_ttl`), until
  # it hears of it; the TTL is 20 s at most. The scenario before may have ended with one.
  hold {
    lasting = "20s"
  }

  inject "kill" {
    on = node_running("whoami")
  }

  # A node has a heartbeat TTL of 10 to 20 s, and 10 s of grace (`heartbeat_grace`): it is down after
  # 10 to 30 s.
  expect "nodes" {
    within      = "60s"
    measured_as = "node_down_ms"
  }

  # Lost allocations are replaced at once; a task starts in a moment and a look costs little.
  expect "allocations" {
    job         = "whoami"
    running     = 3
    within      = "30s"
    measured_as = "replaced_ms"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "15s"
  }

  heal "kill" {}

  # It registers with its old ID, and is ready at its first heartbeat, which comes within the TTL; a
  # registration that finds no server is tried again after 15 to 30 s.
  expect "nodes" {
    within      = "60s"
    measured_as = "node_ready_again_ms"
  }
  expect "allocations" {
    job     = "whoami"
    running = 3
    within  = "15s"
  }
}
