# Two regions, federated: one gossip pool, one authority of certificates, and access control that the
# second region copies from the first. Each elects a leader and keeps a log of its own, so that neither
# may suffer when the other does, or when the way between them is cut. What is asked of one region for
# the other is handed on, and refused with an error while there is no way.

scenario "two-regions" {
  description = "two federated regions: requests, jobs and access control cross over; a leader's death stays in its region; a cut between them costs neither a write, and heals"

  needs {
    servers = 3
    clients = 1
    regions = ["east", "west"]
  }

  # Every server of either region knows both.
  for_each {
    agents = all(server)

    call {
      at    = each
      path  = "/v1/regions"
      check = { "[0]" = "east", "[1]" = "west" }
    }
  }
  region "west" {
    for_each {
      agents = all(server)

      call {
        at    = each
        path  = "/v1/regions"
        check = { "[0]" = "east", "[1]" = "west" }
      }
    }
  }

  # Nodes are asked for across, both ways. Who has no token is refused by the region that is asked for.
  call {
    path  = "/v1/nodes?region=west"
    check = { "[0].Name" = "west-client-1" }
  }
  region "west" {
    call {
      path  = "/v1/nodes?region=east"
      check = { "[0].Name" = "client-1" }
    }
  }
  call {
    path   = "/v1/nodes?region=west"
    token  = "none"
    status = 403
  }

  # A job is given to a server in the east, for the west; it runs there, and is unknown in the east.
  submit {
    job = builtin.whoami
    to  = "west"
  }
  region "west" {
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
  }
  call {
    path   = "/v1/job/whoami"
    status = 404
  }
  call {
    path  = "/v1/job/whoami?region=west"
    check = { Region = "west" }
  }

  # Access control: a token and a policy of the first region are good in the second once its leader has
  # copied them. It asks for changes by a blocking query, and again 30 s after one that failed
  # (`nomad/config.go`, `ReplicationBackoff`). A policy that is written in the west is handed to the east.
  call {
    method = "PUT"
    path   = "/v1/acl/policy/rehearse-readers"
    body   = { Name = "rehearse-readers", Rules = "namespace \"default\" { policy = \"read\" }" }
  }
  region "west" {
    call {
      path   = "/v1/acl/policy/rehearse-readers"
      check  = { Name = "rehearse-readers" }
      within = "40s"
    }
    call {
      path   = "/v1/nodes"
      token  = "global"
      within = "40s"
    }
    call {
      method = "PUT"
      path   = "/v1/acl/policy/rehearse-writers"
      body   = { Name = "rehearse-writers", Rules = "namespace \"default\" { policy = \"write\" }" }
    }
  }
  call {
    path  = "/v1/acl/policy/rehearse-writers"
    check = { Name = "rehearse-writers" }
  }

  # The west loses its leader. The east does not notice.
  region "east" {
    start "leader_watch" {}
    start "writer" {
      rate = var.writes
    }
  }
  region "west" {
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
    inject "kill" {
      on = leader
    }

    # As in a single region: 1 to 2 s until the followers miss the leader, 1 to 2 s for the election, more
    # when the vote is split.
    expect "leader" {
      within      = "15s"
      measured_as = "new_leader_ms"
    }
    heal "kill" {}

    # Autopilot's 10 s, and a round of 2 s.
    expect "voters" {
      within      = "60s"
      measured_as = "voter_again_ms"
    }
  }

  # The way between the regions is cut. Each goes on by itself.
  region "west" {
    inject "partition" {
      on = everyone
    }
    expect "leader" {
      throughout = "5s"
    }
    expect "voters" {
      within = "10s"
    }
  }
  expect "leader" {
    throughout = "5s"
  }
  expect "voters" {
    within = "10s"
  }

  # A request for the other region is handed to one of its servers until gossip says that they failed, and
  # only the path's own timers end it: connections are found dead after 40 s (yamux: 30 s between
  # keepalives, 10 s for an answer), members after at most 180 s (memberlist's WAN settings: 6 times 6 times
  # 5 s while too few others say the same), probed within 25 s. Then it is refused: `No path to region`.
  call {
    path     = "/v1/nodes?region=west"
    status   = 500
    contains = "No path to region"
    within   = "240s"
  }
  region "west" {
    call {
      path     = "/v1/nodes?region=east"
      status   = 500
      contains = "No path to region"
      within   = "240s"
    }

    # What it copied before still opens it.
    call {
      path = "/v1/nodes"
    }
  }

  # The first region alone writes access control; the second hears of it when it can.
  call {
    method = "DELETE"
    path   = "/v1/acl/policy/rehearse-readers"
  }
  region "west" {
    call {
      path = "/v1/acl/policy/rehearse-readers"
    }
    call {
      method = "DELETE"
      path   = "/v1/acl/policy/rehearse-writers"
      status = 500
    }
  }

  heal "partition" {}

  # Each server dials one that it holds for failed every 30 s (serf's `ReconnectInterval`); that one's word
  # goes on to the others by gossip. Up to three rounds, for dials that miss each other.
  call {
    path   = "/v1/nodes?region=west"
    check  = { "[0].Name" = "west-client-1" }
    within = "90s"
  }
  region "west" {
    call {
      path   = "/v1/nodes?region=east"
      check  = { "[0].Name" = "client-1" }
      within = "90s"
    }

    # A copying query that hung is given up with its connection (40 s) and asked again 30 s later.
    call {
      path   = "/v1/acl/policy/rehearse-readers"
      status = 404
      within = "90s"
    }
    call {
      method = "DELETE"
      path   = "/v1/acl/policy/rehearse-writers"
      within = "90s"
    }
  }

  stop {}

  measure "east_leader_changes" {
    at_most = 0
  }

  # The usual write takes milliseconds; what is over that is for a busy machine.
  measure "east_write_gap_ms" {
    at_most = "5s"
  }
  measure "west_leader_changes" {
    at_most = 1
  }
  measure "west_leaderless_ms" {
    at_most = "15s"
  }

  # Servers hold a write for 5 s while there is no leader, so a gap may outlast the election.
  measure "west_write_gap_ms" {
    at_most = "20s"
  }
  measure "west_requests_lost" {
    at_most = 0
  }
}

variable "writes" {
  type        = number
  default     = 20
  description = "Writes a second in each region, through all its servers."
}

variable "requests" {
  type        = number
  default     = 20
  description = "Requests a second to the service in the west."
}
