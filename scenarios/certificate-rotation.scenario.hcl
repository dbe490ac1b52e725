# Every agent gets a new certificate before the old one is over, one after the other, without a
# restart. Then one is forgotten: its certificate is over, and nobody believes it any more.

scenario "certificate-rotation" {
  description = "certificates are rotated agent by agent without a loss; a server whose certificate is over is shut out until it gets a good one"

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

  for_each {
    agents = all(server)

    rotate_certificate {
      on = each
    }
  }
  for_each {
    agents = all(client)

    rotate_certificate {
      on = each
    }
  }

  # Connections are made anew; nobody may miss them for as long as an election takes.
  expect "voters" {
    within = "30s"
  }
  expect "leader" {
    throughout = "5s"
  }
  expect "nodes" {
    within = "30s"
  }

  stop {}

  # At a reload a server closes the connections that it has, and a leader that is not heard for 1 to
  # 2 s is replaced: at each of three servers that may happen once.
  measure "leader_changes" {
    at_most = 3
  }
  measure "write_gap_ms" {
    at_most = "20s"
  }
  measure "requests_lost" {
    at_most = 0
  }

  inject "expired-certificate" {
    on = follower
  }

  # Raft is spoken over TLS: the leader cannot reach it, and autopilot finds it unhealthy after
  # `last_contact_threshold`, at its next look (each 2 s); the two others go on.
  call {
    path   = "/v1/operator/autopilot/health"
    status = 429
    check  = { "Healthy" = false }
    within = "15s"
  }
  expect "voters" {
    healthy = 3
    never   = "15s"
  }
  expect "leader" {
    within = "15s"
  }
  heal "expired-certificate" {}
  expect "voters" {
    healthy     = 3
    within      = "90s"
    measured_as = "voter_again_ms"
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
