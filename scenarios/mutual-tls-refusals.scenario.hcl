# The door of the API: whoever shows no certificate, one of another authority, or one that is over, is
# not let in, at a server as at a client (`verify_https_client`).

scenario "mutual-tls-refusals" {
  description = "an agent's API refuses callers without a valid certificate of the cluster's authority, on servers and clients alike"

  call {
    path  = "/v1/status/leader"
    token = "none"
  }

  for_each {
    agents = all(server)

    call {
      at          = each
      path        = "/v1/status/leader"
      certificate = "none"
      refused     = true
    }
    call {
      at          = each
      path        = "/v1/status/leader"
      certificate = "foreign"
      refused     = true
    }
    call {
      at          = each
      path        = "/v1/status/leader"
      certificate = "expired"
      refused     = true
    }
  }

  for_each {
    agents = all(client)

    call {
      at          = each
      path        = "/v1/agent/health"
      certificate = "none"
      refused     = true
    }
    call {
      at          = each
      path        = "/v1/agent/health"
      certificate = "foreign"
      refused     = true
    }
    call {
      at          = each
      path        = "/v1/agent/health"
      certificate = "expired"
      refused     = true
    }
  }
}
