# Access control: without a token nothing is shown and nothing can be changed, an unknown or a revoked
# token is as good as none, and the management token may do all. Any agent of the cluster must say the same.

scenario "acl-default-deny" {
  description = "without a token, or with an unknown or revoked one, jobs, nodes and operator endpoints are refused on every agent; the management token is let in"

  for_each {
    agents = all(server)

    call {
      at     = each
      path   = "/v1/jobs"
      token  = "none"
      status = 403
    }
    call {
      at     = each
      path   = "/v1/nodes"
      token  = "none"
      status = 403
    }
    call {
      at     = each
      path   = "/v1/operator/raft/configuration"
      token  = "none"
      status = 403
    }
    call {
      at     = each
      path   = "/v1/jobs"
      token  = "unknown"
      status = 403
    }
    call {
      at     = each
      path   = "/v1/jobs"
      token  = "revoked"
      status = 403
    }
    call {
      at     = each
      path   = "/v1/jobs"
      status = 200
    }
  }

  for_each {
    agents = all(client)

    call {
      at     = each
      path   = "/v1/jobs"
      token  = "none"
      status = 403
    }
    call {
      at     = each
      path   = "/v1/jobs"
      status = 200
    }
  }

  # Nothing is changed either.
  call {
    method = "DELETE"
    path   = "/v1/job/nothing"
    token  = "none"
    status = 403
  }
  call {
    method = "PUT"
    path   = "/v1/system/gc"
    token  = "none"
    status = 403
  }

  # Who leads is told to anybody: Nomad asks for no token there.
  call {
    path  = "/v1/status/leader"
    token = "none"
  }
}
