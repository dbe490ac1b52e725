# A client loses its servers and finds them again. Meanwhile its work was given to others; what it
# kept running must end, or a service would have more instances than it asked for.

scenario "client-reconnects" {
  description = "a client loses its servers: its allocations are replaced; when it is back, the old ones end and it takes work again"

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

  inject "detach" {
    on = node_running("whoami")
  }

  # A node has a heartbeat TTL of 10 to 20 s, and 10 s of grace (`heartbeat_grace`): it is down after
  # 10 to 30 s.
  expect "nodes" {
    within      = "60s"
    measured_as = "node_down_ms"
  }
  expect "allocations" {
    job         = "whoami"
    running     = 3
    nodes       = 2
    within      = "30s"
    measured_as = "replaced_ms"
  }

  heal "detach" {}

  # A heartbeat that failed is tried again after 1 to 30 s.
  expect "nodes" {
    within      = "90s"
    measured_as = "node_ready_again_ms"
  }

  # The servers' word is that the old ones stop; the three new ones are left alone.
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "30s"
  }
  expect "allocations" {
    job        = "whoami"
    running    = 3
    nodes      = 2
    throughout = "5s"
  }
}
