# A new version starts as one canary beside the old instances. Nothing else moves until somebody
# promotes it; then the rest follows.

scenario "canary-promote" {
  description = "a canary of a new version waits beside the old instances, and after its promotion the rest follows; no request lost but at instances told to stop"

  submit {
    job = builtin.canary
  }

  # The first version has no canaries. The update block of the job: one at a time, healthy after 2 s
  # each. The rest is for slow machines.
  expect "deployment" {
    job    = "canary"
    within = "90s"
  }
  expect "service" {
    job       = "canary"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "10s"
  }

  start "load" {
    job  = "canary"
    port = "http"
    rate = var.requests
  }
  hold {
    lasting = "1s"
  }

  submit {
    job       = builtin.canary
    variables = { version = "2" }
  }

  # Healthy after `min_healthy_time` 2 s.
  expect "canaries" {
    job         = "canary"
    healthy     = 1
    within      = "30s"
    measured_as = "canary_ms"
  }

  # Three old ones and the canary, for as long as nobody promotes it.
  expect "allocations" {
    job        = "canary"
    running    = 4
    throughout = "5s"
  }

  promote {
    job = "canary"
  }
  expect "deployment" {
    job         = "canary"
    within      = "90s"
    measured_as = "promotion_ms"
  }
  expect "service" {
    job       = "canary"
    port      = "http"
    instances = 3
    version   = "2"
    within    = "10s"
  }
  hold {
    lasting = "1s"
  }

  stop {}

  measure "requests_lost" {
    at_most = 0
  }
}

variable "requests" {
  type        = number
  default     = 50
  description = "Requests a second to the service."
}
