# A new version is started whole beside the old one, and takes over when somebody says so: as many
# canaries as instances.

scenario "blue-green" {
  description = "a new version runs whole beside the old one until it is promoted; then the old one goes, and no request is lost"

  submit {
    job = builtin.canary
  }

  # The update block of the job: one at a time, healthy after 2 s each. The rest is for slow machines.
  expect "deployment" {
    job         = "canary"
    within      = "90s"
    measured_as = "deploy_ms"
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
    variables = { version = "2", canaries = 3 }
  }

  # Healthy after `min_healthy_time` 2 s; three start at once.
  expect "canaries" {
    job         = "canary"
    healthy     = 3
    within      = "60s"
    measured_as = "green_ready_ms"
  }

  # Both run, for as long as nobody decides.
  expect "allocations" {
    job        = "canary"
    running    = 6
    throughout = "3s"
  }
  promote {
    job = "canary"
  }
  expect "deployment" {
    job         = "canary"
    within      = "60s"
    measured_as = "promote_ms"
  }
  expect "service" {
    job       = "canary"
    port      = "http"
    instances = 3
    version   = "2"
    within    = "30s"
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
