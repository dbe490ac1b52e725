# A system job runs on every node: on those that are there, and on those that come later.

scenario "system-job-and-new-client" {
  description = "a system job gets an instance on a node that joins later, and none in place of one whose node died"

  # Right after an election a new leader grants every node 5 minutes (`failover_heartbeat_ttl`), until
  # it hears of it; the TTL is 20 s at most. The scenario before may have ended with one.
  hold {
    lasting = "20s"
  }

  inject "stop" {
    on = "client-3"
  }

  # A node has a heartbeat TTL of 10 to 20 s, and 10 s of grace: it is down after 10 to 30 s.
  expect "nodes" {
    ready  = 2
    within = "60s"
  }
  submit {
    job = builtin.everywhere
  }
  expect "allocations" {
    job     = "everywhere"
    running = 2
    nodes   = 2
    within  = "30s"
  }

  heal "stop" {}

  # It is ready at its first heartbeat, which comes within the TTL; a registration that finds no
  # server is tried again after 15 to 30 s.
  expect "nodes" {
    ready  = 3
    within = "60s"
  }
  expect "allocations" {
    job         = "everywhere"
    running     = 3
    nodes       = 3
    within      = "30s"
    measured_as = "placed_on_new_node_ms"
  }

  inject "kill" {
    on = "client-1"
  }
  expect "nodes" {
    ready  = 2
    within = "60s"
  }

  # The instance is lost and nobody takes its place: every other node has its own.
  expect "allocations" {
    job     = "everywhere"
    running = 2
    nodes   = 2
    within  = "15s"
  }
  expect "allocations" {
    job        = "everywhere"
    running    = 2
    nodes      = 2
    throughout = "3s"
  }
  heal "kill" {}
  expect "allocations" {
    job     = "everywhere"
    running = 3
    nodes   = 3
    within  = "60s"
  }
}
