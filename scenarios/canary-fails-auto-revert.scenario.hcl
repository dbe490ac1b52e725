# The canary of a bad version fails. The rollout fails with it, the old version is brought back by
# itself, and its instances never stopped serving.

scenario "canary-fails-auto-revert" {
  description = "the canary of a bad version fails: the job is reverted by itself, and the old instances serve throughout"

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
    variables = { version = "2", fails_after = "100ms" }
  }

  # The rollout fails at `progress_deadline`, 20 s after the canary was placed; the job is then
  # registered in its last stable version once more, as version 2.
  expect "version" {
    job         = "canary"
    number      = 2
    within      = "60s"
    measured_as = "reverted_ms"
  }
  expect "deployment" {
    job    = "canary"
    within = "60s"
  }
  expect "service" {
    job       = "canary"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "15s"
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
